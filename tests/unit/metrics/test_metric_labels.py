"""How a label is read out of an answer, and which label it is."""

import pytest
from building import build, failure, refusal
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.errors import Where
from pytest_ftgate.metrics.options import AS_WRITTEN, FULL, Normalization
from pytest_ftgate.metrics.reading import read_leniently

TEXT = st.text(alphabet=st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("name", "text", "normal"),
    [
        ("case", "REFUND Straße", "refund strasse"),
        ("whitespace", "a\n  b\u00a0c", "a b c"),
        ("unicode", "Ｒefund ﬁne", "Refund fine"),
        *(("punctuation", text, "refund") for text in ("“refund.”", " (refund) ! ", "**refund**", "`refund`")),
        *(("punctuation", text, text) for text in ("can't, won't", "C#", "-1", "C++", "?", "")),
        ("punctuation", "5%.", "5%"),
    ],
)
def test_a_step_of_normalization(name, text, normal):
    assert Normalization(frozenset([name]))(text) == normal
    assert AS_WRITTEN(text) == text


@given(TEXT, st.sampled_from(["", " ", "\n", "."]), st.sampled_from(["", "\t", "!", "”"]))
def test_full_normalization_leaves_something_and_ignores_what_is_around_a_text(text, before, after):
    assert bool(FULL(text.strip())) == bool(text.strip())
    if any(character.isalnum() for character in text):
        assert FULL(before + text + after) == FULL(text)


@pytest.mark.parametrize(
    ("labels", "options", "same", "others"),
    [
        (("yes", "no"), {}, [" yes\n", "Yes", "**YES**."], ["yes!no", "ja", " "]),
        (("yes", "no"), {"normalize": []}, [" yes\n"], ["Yes", "yes."]),
        (("yes", "no"), {"normalize": "case"}, ["YES"], ["yes."]),
        (("c", "C"), {}, ["c.", " c"], ["C", "d"]),  # no step may make labels equal
        (("a", "a."), {}, ["A"], ["a."]),
    ],
)
def test_case_and_punctuation_do_not_count_unless_the_gate_or_the_labels_say_so(labels, options, same, others):
    metric = build("accuracy", labels, **options)
    expected = [labels[0]] * len([*same, *others])
    assert metric.score(expected, [[*same, *others]]).per_example.tolist() == [1] * len(same) + [0] * len(others)


BROKEN = ['"yes"', "yes", '```json\n{"label": "yes"}\n```', '{"label": "no", "label": "yes"}', '{"label": NaN}']
BROKEN += ['{"label": 1e999}', '{"label": "yes"} and more', "[" * 200_000, '{"label": ' + "9" * 5000 + "}"]
BROKEN += ['{"label": {"a": 1}}', '{"label": ["yes"]}', '{"other": "yes"}']


@pytest.mark.parametrize(
    ("option", "place", "labels"),
    [
        ("pattern", r"Label: (\w+)", {"I think so.\nLabel: yes": "yes", "yes": None}),
        ("pattern", r"yes|no", {"well, no": "no"}),
        ("pattern", r"^yes$", {"  yes ": "yes"}),
        ("pattern", r"(?:so )(yes)|(no)", {"no": None}),
        ("pattern", r"Label:(.*)", {"Label:   ": None}),
        ("json_field", "label", {'{"label": " yes "}': "yes", '{"label": 1}': "1", '{"label": true}': "true"}),
        ("json_field", "label", dict.fromkeys(BROKEN)),
        ("json_field", "result.label", {'{"result": {"label": "yes"}}': "yes"}),
        ("json_field", "0.label", {'[{"label": "yes"}]': "yes"}),
        *(("json_field", field, {'{"label": "yes"}': None, '["yes"]': None}) for field in ("label.x", "x", "7")),
    ],
)
def test_pattern_and_json_field_find_the_label_and_forgive_nothing(option, place, labels):
    metric = build("accuracy", **{option: place})
    assert {answer: metric.answers_read([answer]) for answer in labels} == {one: [labels[one]] for one in labels}


def test_answers_that_are_no_known_label_are_counted_over_all_repeats():
    metric = build("accuracy", known=("d ", "a"))
    scored = metric.score(["a", "b", "c", "a", "b", "c"], [["d", "b", "x", None, "", "b"]])
    assert scored.n_unknown == 2  # "x" and the empty answer; "d" is a label of the training set, None is no answer
    assert scored.per_example.tolist() == [0, 1, 0, 0, 0, 0]
    assert build("accuracy", known=("Delta",), normalize="case").score(["a"], [["DELTA"]]).n_unknown == 0
    assert build("f1_macro").label_set.predicted([["x", "a"], ["y", "x"]])[1] == 3


@pytest.mark.parametrize("value", [{"a": 1}, ["a"]])
@pytest.mark.parametrize("name", ["accuracy", "f1_macro"])
def test_an_object_or_list_is_no_label(name, value):
    examples = [Example(f"t{i}", f"input {i}", one, place=Where(line=i)) for i, one in enumerate(["a", 1, value])]
    error = refusal(name, ("a", "1"), examples=examples)
    assert (error.where.line, "exact_match" in error.cure) == (2, True)


def test_other_labels_than_the_metric_was_made_for_are_an_error():
    error = failure(build("accuracy"), ["a", "zebra"], ["a", "zebra"])
    assert (error.example, error.unsuited) == (1, True)
    assert "zebra" in error.what


@pytest.mark.parametrize(
    ("option", "expected", "answers", "scores"),
    [
        ({"pattern": r"#### (\S+)"}, ["2 + 2 = 4 #### 4", "#### 7"], ["so #### 4", "#### 8"], [1, 0]),
        ({"json_field": "label"}, [{"label": "a", "why": "x"}, {"label": "b"}], ['{"label": "A"}', "b"], [1, 0]),
        ({"pattern": r"Label: (\w+)"}, ["a", "b"], ["Label: a", "b"], [1, 0]),  # labels alone need no pattern
        ({"pattern": "a|b"}, ["a", "b"], ["a or b", "b"], [1, 1]),
        *(({"normalize": one}, ["Yes", "no"], ["yEs", "NO"], [1, 1]) for one in ("case", ["case"], ("case", "case"))),
        ({"pattern": "So:(.*)", "normalize": ["case", "punctuation"]}, ["Yes", "No"], ["So:  YES. ", "no"], [1, 0]),
        ({}, [1, True, "yes", "1"], ["1", "true", "yes", "1"], [1, 1, 1, 1]),
    ],
)
def test_expected_outputs_are_read_as_answers_are(option, expected, answers, scores):
    metric = build("accuracy", tuple(map(expected_text, expected)), **option)
    assert metric.score(expected, [answers]).per_example.tolist() == scores
    assert metric.bare().score(expected, [[metric.right_answer(one) for one in expected]]).value == 1


@pytest.mark.parametrize("other", ["18", "no number", "refund"])
def test_expected_outputs_of_which_only_some_hold_more_than_a_label_are_refused(other):
    error = refusal("accuracy", ("2 + 2 = 4 #### 4", other), pattern=r"#### (\S+)|refund")
    assert (error.where.key, "2 + 2" in error.what, other in error.what) == ("pattern", True, True)


def test_answers_with_several_matches_are_counted():
    reading = build("accuracy", pattern="[abc]").label_set.reading
    assert reading.count_ambiguous([["a", "a or a", "a or b", None], ["none", "c b a", "A", "b"]]) == 2


LABELS = ("card_arrival", "lost card", "refund", "partial refund", "C", "C++", "0", "-1", "10", "\u8fd4\u91d1")
NAMED = {
    "card_arrival": [
        *("card arrival", "card-arrival", "CardArrival", "CARD ARRIVAL!", "**card_arrival**", "card.arrival"),
        *("card_arrival\n\nThe customer asks about the refund of a lost card.", "Intent: Card Arrival"),
        *("It is about CardArrival.", '{"label": "card-arrival", "sure": 0.9}', "word " * 50 + "\nLabel: card_arrival"),
        *('```json\n{"label": "card arrival",}\n```', "['card_arrival']", "<label>card_arrival</label>"),
    ],
    "refund": ["Refund.", "A refund it is", "refund<|im_end|>"],
    "partial refund": ["This is a partial refund."],
    "C": ["c", "The answer is C."],
    "C++": ["It is C++."],
    "0": ["0.0", "The answer is 0", "-0"],
    "-1": ["-1.0", "It is \u22121."],
    "10": ["10.00", "1e1 or 10"],
    "chargeback": ["a chargeback"],  # a label of the training set
    "\u8fd4\u91d1": ["\u3053\u308c\u306f\u8fd4\u91d1\u3067\u3059"],
    None: [
        *("card", "arrival card", "1", "1.0", "100", "refundable", "refund or lost card", "nothing", ""),
        "a refund or a chargeback",
        *("word " * 30 + "refund", '{"refund": 7, "C": 8}', "refund\nno: C", "c is a letter of the alphabet"),
    ],
}


@pytest.mark.parametrize(
    ("label", "answer"), [(label, answer) for label, answers in NAMED.items() for answer in answers]
)
def test_the_label_that_an_answer_names(label, answer):
    labels = build("accuracy", LABELS, known=("chargeback",)).label_set
    found = read_leniently(answer, "label", labels=labels)
    assert found == (answer if label is None else label)


@given(
    st.lists(st.sampled_from(["a-b", "ab", "a b", "A_B", "1", "1.0", "01", "a", "-1", "+"]), min_size=2, unique=True)
)
def test_labels_stay_apart_when_they_are_read_leniently(texts):
    labels = build("accuracy", tuple(texts), normalize=[]).label_set
    assert labels.named_by("A B") is None or not {"a-b", "ab"} <= {*texts}
    assert [read_leniently(text, "label", labels=labels) for text in texts] == texts
