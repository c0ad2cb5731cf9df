"""The audit of the training set, and the refusal of a test set that counts an input twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.checks.audit import audit_training_set, check_test_set
from pytest_ftgate.checks.audit.audit import HARDLY, Labels, chat_errors, estimated_tokens
from pytest_ftgate.data import Example, examples_from, load_examples
from pytest_ftgate.errors import DataError


def data(rows, origin="here"):
    return examples_from(rows, origin=origin)


def audit(training, test=(("unseen", "x"),), **options):
    return audit_training_set(data(training), data(test), **options)


def told(*rows):
    """Return rows of (instructions, input, output)."""
    return [(chat(question, instructions), output) for instructions, question, output in rows]


def chat(question, instructions=None, role="system"):
    instructions_turn = [] if instructions is None else [{"role": role, "content": instructions}]
    return [*instructions_turn, {"role": "user", "content": question}]


INPUTS = st.sampled_from(["a", "A", " a ", "ａ", "b", "B\n", "ß", "SS", "", " ", "c d", "c  D"])
OUTPUTS = st.sampled_from(["x", "y", "", " ", "X"])
ROWS = st.lists(st.tuples(INPUTS, OUTPUTS), min_size=1, max_size=30)
CHAT_INPUTS = st.builds(
    chat, st.sampled_from(["a", "A ", "b", ""]), st.sampled_from([None, "s", "S", "t"])
)
MIXED_ROWS = st.lists(st.tuples(INPUTS | CHAT_INPUTS, OUTPUTS), min_size=1, max_size=20)


ANSWERS = [
    *(("x", " x\n", 0), ("x", "X", 1), (1, "1", 0), (1, True, 1)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 0),
]
VARIANTS = ["Turn on", "turn  on", "\tTURN ON\n", "ｔｕｒｎ　ｏｎ", "turn\u00a0on"]
SUM_UP = told(
    ("document 1", "sum up", "x"), ("document 2", "sum up", "y"), ("Document 2", "sum up", "y")
)


@pytest.mark.parametrize(
    ("rows", "usable", "duplicates", "conflicts"),
    [
        (
            [("a", "x"), ("A ", "x"), ("ａ", "y"), ("b", "x"), ("", "x"), ("c", " "), (" ", "")],
            2,
            2,
            ((2, 0),),
        ),
        *(([("turn on", "x"), (variant, "x")], 1, 1, ()) for variant in VARIANTS),
        # a blank output hides no usable row
        ([("a", ""), ("a", "x"), ("a", "y")], 1, 1, ((2, 1),)),
        *(([("a", one), ("a", other)], 1, 1, ((1, 0),) * differ) for one, other, differ in ANSWERS),
        ([("a", 0), ("b", False), ("c", [])], 3, 0, ()),  # what is no text is never blank
        (told(("s", " ", "x"), ("", "a", "x")), 1, 0, ()),  # the last question counts
        # Other instructions make no other example, unless they decide the answer.
        *(
            ([(chat("a", i, role), "x") for i in "st"], 1, 1, ())
            for role in ("system", "developer")
        ),
        ([*told(("s", "a", "x"), ("t", "a", "x")), ("A", "x")], 1, 2, ()),
        (SUM_UP, 2, 1, ()),
        *(
            ([(first, "x"), (chat("a", "s"), "y")], 1, 1, ((1, 0),))
            for first in ("a", chat("a", "s"))
        ),
    ],
)
def test_each_row_is_counted_once(rows, usable, duplicates, conflicts):
    audit_result = audit(rows)
    assert (audit_result.rows, audit_result.usable, audit_result.duplicates) == (
        len(rows),
        usable,
        duplicates,
    )
    assert (audit_result.conflict_rows, audit_result.conflicts) == (conflicts, len(conflicts))


@given(MIXED_ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_the_counts(rows, shuffler):
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    test = [("a", "x"), ("new", "y"), (chat("b", "u"), "x")]
    counts = [
        (
            audit_result.rows,
            audit_result.usable,
            audit_result.duplicates,
            audit_result.conflicts > 0,
            audit_result.leaked,
            audit_result.labels.only_in_test,
        )
        for audit_result in (audit(rows, test), audit(shuffled, test))
    ]
    assert counts[0] == counts[1]


LONG = [*chat("hello"), {"role": "assistant", "content": "yes?"}, *chat("a")]
POEM, JOKE = ([{"role": "system", "content": text}] for text in ("write a poem", "write a joke"))
DISGUISES = ["a", chat("A"), chat("a", "s"), chat("a", "t"), chat("a", "d", "developer")]


@pytest.mark.parametrize(
    ("training", "test", "pairs"),
    [
        *(
            (
                [("other", "x"), (variant, "y"), ("turn on", "x")],
                [("new", "x"), ("turn on", "x")],
                ((1, 1), (1, 2)),
            )
            for variant in (
                "turn on",
                "TURN  ON",
                "ｔｕｒｎ on",
                [{"role": "user", "content": "Turn on"}],
            )
        ),
        # rows that are not usable leak too, and blank inputs do not
        ([("a", "")], [("a", "x")], ((0, 0),)),
        ([("", "x")], [(" ", "x")], ()),
        *(
            ([(trained, "x")], [(tested, "x")], ((0, 0),))
            for trained in DISGUISES
            for tested in ("a", chat("a"), chat("a ", "s"))
        ),
        (SUM_UP[:2], told(("document 3", "sum up", "z"), ("Document 2", "Sum up", "y")), ((1, 1),)),
        (told(("s", "a", "x"), ("s", "a", "y")), [("a", "x")], ((0, 0), (0, 1))),
        (told(("s", "a", "x"), ("s", "a", "y")), told(("t", "a", "x")), ((0, 0), (0, 1))),
        ([(LONG, "x")], [("a", "x"), (LONG, "x")], ((1, 0),)),  # conversations leak as a whole
        ([("a", "x")], [(LONG, "x")], ()),
        ([(POEM, "x")], [(JOKE, "x")], ()),  # instructions alone are an input of their own
    ],
)
def test_a_test_input_in_the_training_set(training, test, pairs):
    audit_result = audit(training, test)
    assert (audit_result.leaked_rows, audit_result.leaked) == (
        pairs,
        len({row for row, _ in pairs}),
    )


WORDS = ("red", "blue", "green", "black", "white", "pink", "gold", "grey", "teal", "lime", "plum")


def test_a_copy_with_the_template_of_the_test_set_leaks_into_a_set_without_it():
    test = [(f"paint it {word}", word) for word in WORDS]
    others = [(f"{word} is fine", word) for word in WORDS]
    audit_result = audit([*others, *test[:2]], test)
    assert audit_result.leaked_rows == ((0, 11), (1, 12))


@given(ROWS)
def test_every_non_blank_input_leaks_from_its_own_set(rows):
    audit_result = audit(rows, rows)
    assert audit_result.leaked == sum(1 for question, _ in rows if question.strip())
    filled = {row for row, (question, _) in enumerate(rows) if question.strip()}
    assert [{pair[side] for pair in audit_result.leaked_rows} for side in (0, 1)] == [filled] * 2


PAIRS = [("a", "b")] * 40 + [("a", "c")] * 10 + [("b", "d")] * 2
ROOMS = [f'{{"room": "{room}"}}' for room in ("hall", "attic")] * 50
CALLS = [f'[{{"arguments":{{"room":{n % 3}}},"name":"light"}}]' for n in range(60)]
LABELS = [  # outputs of both sets, and what is found
    (["a"] * 30 + ["b"] * HARDLY + ["c"] * (HARDLY - 1) + ["d"], "abce",
     Labels({"e": 3}, {"a": 30, "b": HARDLY, "c": HARDLY - 1, "d": 1})),
    ("aabbcczz", "abqp", Labels({"p": 3, "q": 2})),
    (["a", "b"] * 20, "a", Labels({}, {"a": 20, "b": 20})),
    # no labels
    *((rows, rows[:10], Labels()) for rows in ([f"text {n}" for n in range(40)], ROOMS)),
    ([f"text {n // 3}" for n in range(90)], [f"text {n // 3}" for n in range(10)], Labels()),
    ([f"text {n}" for n in range(10)], [f"other {n}" for n in range(10)], Labels()),
    *((trained, tested, Labels()) for trained, tested in (("a", "b"), ("ab", "c"), ("aabbcczz", "abqpx"))),
    ([True, "1"], ["true", 1], Labels({}, {"1": 1, "true": 1})),
    *((trained, tested, Labels({}, {"a": 1})) for trained, tested in ((["a", ""], "a"), ("a", "a "))),
    (["", ""], [""], Labels()),
    (ROOMS, ['{"room": "cellar"}'] * 20, Labels()),
    # said beside calls
    ([*CALLS, *["You are welcome!"] * 20], [*CALLS[:10], "Sorry, I cannot."], Labels()),
    (["[1]", "refund"] * 50, ["[1]", "invoice"] * 10, Labels({"invoice": 1}, {"[1]": 50, "refund": 50})),
]  # fmt: skip


def outputs(training, test, **options):
    sets = (
        [(f"{name}{n}", one) for n, one in enumerate(some)]
        for name, some in (("t", training), ("u", test))
    )
    return audit(*sets, **options).labels


@pytest.mark.parametrize(("training", "test", "labels"), LABELS)
def test_labels_that_the_test_set_has_are_counted_in_the_training_set(training, test, labels):
    assert outputs(training, test) == labels


@pytest.mark.parametrize(
    ("form", "separator"),
    [('["{0}", "{1}"]', None), ('["{0}", "{1}"]', ","), ("{0}, {1}", ","), ("{0};{1}", ";")],
)
def test_each_of_several_labels_is_counted(form, separator):
    sets = ([form.format(*pair) for pair in pairs] for pairs in (PAIRS, [("a", "e"), ("d", "a")]))
    assert outputs(*sets, separator=separator) == Labels(
        {"e": 0}, {"a": 50, "b": 42, "c": 10, "d": 2}
    )


# --- conversations -------------------------------------------------------------------------------------------


def turns(*roles, **contents):
    return tuple({"role": role, "content": contents.get(role, "text")} for role in roles)


CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
LONG_CALL = {
    "role": "assistant",
    "tool_calls": [{"function": {"name": "mail", "arguments": "x" * 4000}}],
}
FLAWS = {
    None: [
        *(turns("user"), turns("system", "user"), turns("developer", "user", "assistant", "user")),
        *(turns("system", "developer", "user"), (*turns("user"), CALL, *turns("tool"))),
        (*turns("user"), CALL, *turns("tool", "tool", "assistant", "user")),
        (*turns("user"), CALL, *turns("tool", tool="")),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},),
    ],
    "instructions": [turns("user", "system"), turns("user", "assistant", "system", "user")],
    "user": [turns("user", "user"), turns("system"), turns("system", "assistant")],
    "assistant": [
        *(
            turns("user", "assistant", "assistant", "user"),
            turns("user", "assistant"),
            turns("assistant", "user"),
        )
    ],
}


@pytest.mark.parametrize(
    ("word", "messages"), [(word, one) for word, some in FLAWS.items() for one in some]
)
def test_the_order_of_turns(word, messages):
    errors = chat_errors(["text", messages, turns("user")])
    assert list(errors) == [1] * (word is not None)
    assert word is None or word in errors[1]


@pytest.mark.parametrize(
    ("input_text", "output", "fields", "tokens"),
    [
        ("x" * 36, "y" * 7, {}, 10),
        ("x" * 36, "y" * 8, {}, 11),
        ("x" * 36, "", {"tools": [{"name": "f"}]}, 12),
        ("ü" * 22, "", {}, 11),
        (turns("system", "user", system="x" * 20, user="y" * 24), "", {}, 11),
        ((*turns("user"), LONG_CALL, *turns("tool")), "sent", {}, 1015),
    ],
)
def test_tokens_are_bytes_by_four(input_text, output, fields, tokens):
    assert estimated_tokens(Example("", input_text, "", fields=fields), output) == tokens


# --- the test set --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ('input,expected\n"a\nb",x\n" ",refund\n', "test.csv:4", ["blank", "refund"]),
        (
            "id,input,expected\nx,Turn on,1\ny,b,1\nz,turn  ON,1\n",
            "test.csv:4",
            ["line 2", "turn on"],
        ),
        ("input,expected\na,1\na,1\n", "test.csv:3", ["line 2"]),
    ],
)
def test_a_blank_or_repeated_input_names_its_lines(tmp_path, monkeypatch, content, place, words):
    monkeypatch.chdir(tmp_path)
    Path("test.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        check_test_set(load_examples(Path("test.csv")))
    assert str(caught.value.where) == place
    assert all(word in str(caught.value) for word in words)


def test_several_repeats_are_counted():
    with pytest.raises(DataError) as caught:
        check_test_set(
            data([(chat("a"), "x"), ("b", "x"), ("A", "x"), ("b ", "x")], "fixture ftgate_test_set")
        )
    assert str(caught.value.where) == "test_set[2]"
    assert "test_set[0]" in caught.value.what
    assert "test_set[3]" in caught.value.evidence


@given(ROWS)
def test_a_test_set_passes_exactly_where_all_its_rows_would_be_usable(rows):
    test = data([(question, "x") for question, _ in rows])
    all_usable = audit_training_set(test, test).usable == len(rows)
    try:
        check_test_set(test)
    except DataError:
        assert not all_usable
    else:
        assert all_usable
