"""The audit of the training set, and the refusal of a test set that counts an input twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.checks.training_set import audit_training_set, check_test_set
from pytest_ftgate.data import examples_from, load_examples
from pytest_ftgate.errors import DataError


def data(rows, origin="here"):
    return examples_from(rows, origin=origin)


def audit(training, test=(("unseen", "x"),)):
    return audit_training_set(data(training), data(test))


def chat(question, instructions=None, role="system"):
    before = [] if instructions is None else [{"role": role, "content": instructions}]
    return [*before, {"role": "user", "content": question}]


INPUTS = st.sampled_from(["a", "A", " a ", "ａ", "b", "B\n", "ß", "SS", "", " ", "c d", "c  D"])
OUTPUTS = st.sampled_from(["x", "y", "", " ", "X"])
ROWS = st.lists(st.tuples(INPUTS, OUTPUTS), min_size=1, max_size=30)
CHAT_INPUTS = st.builds(chat, st.sampled_from(["a", "A ", "b", ""]), st.sampled_from([None, "s", "S", "t"]))
MIXED_ROWS = st.lists(st.tuples(INPUTS | CHAT_INPUTS, OUTPUTS), min_size=1, max_size=20)


class TestCounts:
    def test_each_row_is_counted_once(self):
        found = audit([("a", "x"), ("A ", "x"), ("ａ", "y"), ("b", "x"), ("", "x"), ("c", " "), (" ", "")])
        assert (found.rows, found.usable, found.duplicates, found.conflicts) == (7, 2, 2, 1)
        assert found.conflict_rows == ((2, 0),)

    def test_path_and_hash_are_the_training_sets(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("train.csv").write_text("input,expected\na,b\n", encoding="utf-8")
        training = load_examples(Path("train.csv"))
        found = audit_training_set(training, data([("c", "d")]))
        assert (found.path, found.sha256, found.rows) == ("train.csv", training.sha256, 1)

    @pytest.mark.parametrize("variant", ["Turn on", "turn  on", "\tTURN ON\n", "ｔｕｒｎ　ｏｎ", "turn\u00a0on"])
    def test_variants_of_case_width_and_space_are_duplicates(self, variant):
        found = audit([("turn on", "x"), (variant, "x")])
        assert (found.usable, found.duplicates, found.conflicts) == (1, 1, 0)

    def test_a_row_with_a_blank_output_does_not_hide_a_usable_one(self):
        found = audit([("a", ""), ("a", "x"), ("a", "y")])
        assert (found.usable, found.duplicates, found.conflict_rows) == (1, 1, ((2, 1),))

    @pytest.mark.parametrize(
        ("one", "other", "differ"),
        [
            ("x", " x\n", False),
            ("x", "X", True),
            (1, "1", False),
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
            (1, True, True),
        ],
    )
    def test_when_outputs_differ(self, one, other, differ):
        assert audit([("a", one), ("a", other)]).conflicts == differ

    def test_outputs_that_are_no_text_are_never_blank(self):
        assert audit([("a", 0), ("b", False), ("c", [])]).usable == 3

    def test_a_conversation_is_blank_where_its_last_question_is(self):
        assert audit([(chat(" ", "s"), "x"), (chat("a", ""), "x")]).usable == 1

    @given(MIXED_ROWS, st.randoms(use_true_random=False))
    def test_the_order_of_rows_does_not_change_the_counts(self, rows, shuffler):
        shuffled = list(rows)
        shuffler.shuffle(shuffled)
        test = [("a", "x"), ("new", "y"), (chat("b", "u"), "x")]
        counts = [
            (found.rows, found.usable, found.duplicates, found.conflicts > 0, found.leaked, found.labels.only_in_test)
            for found in (audit(rows, test), audit(shuffled, test))
        ]
        assert counts[0] == counts[1]

    @given(ROWS, st.data())
    def test_padding_with_variants_of_rows_never_makes_more_usable(self, rows, choose):
        padding = [
            (f" {given.upper()}\n", output)
            for given, output in choose.draw(st.lists(st.sampled_from(rows), max_size=10))
        ]
        before, after = audit(rows), audit([*rows, *padding])
        assert after.usable == before.usable
        assert after.rows == before.rows + len(padding)

    @given(MIXED_ROWS)
    def test_counts_fit_together(self, rows):
        found = audit(rows)
        assert 0 <= found.conflicts <= found.duplicates
        assert found.usable + found.duplicates <= found.rows
        assert found.usable > 0 or found.duplicates == 0
        assert all(first < row for row, first in found.conflict_rows)


class TestInstructions:
    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_other_instructions_do_not_make_another_example(self, role):
        found = audit([(chat("a", "s", role), "x"), (chat("a", "t", role), "x"), ("A", "x")])
        assert (found.usable, found.duplicates, found.conflicts) == (1, 2, 0)

    def test_instructions_count_where_they_decide_the_answer(self):
        found = audit(
            [
                (chat("sum up", "document 1"), "x"),
                (chat("sum up", "document 2"), "y"),
                (chat("sum up", "Document 2"), "y"),
            ]
        )
        assert (found.usable, found.duplicates, found.conflicts) == (2, 1, 0)

    @pytest.mark.parametrize("first", ["a", chat("a", "s")])
    def test_two_answers_under_the_same_instructions_or_one_without_are_a_conflict(self, first):
        found = audit([(first, "x"), (chat("a", "s"), "y")])
        assert (found.usable, found.conflict_rows) == (1, ((1, 0),))


class TestLeakage:
    @pytest.mark.parametrize(
        "variant", ["turn on", "TURN  ON", "ｔｕｒｎ on", [{"role": "user", "content": "Turn on"}]]
    )
    def test_a_test_input_in_the_training_set(self, variant):
        found = audit([("other", "x"), (variant, "y"), ("turn on", "x")], [("new", "x"), ("turn on", "x")])
        assert (found.leaked, found.leaked_rows) == (1, ((1, 1), (1, 2)))

    def test_rows_that_are_not_usable_leak_too_and_blank_inputs_do_not(self):
        assert audit([("a", "")], [("a", "x")]).leaked == 1
        assert audit([("", "x")], [(" ", "x")]).leaked == 0

    @pytest.mark.parametrize(
        "in_training", ["a", chat("A"), chat("a", "s"), chat("a", "t"), chat("a", "d", "developer")]
    )
    @pytest.mark.parametrize("in_test", ["a", chat("a"), chat("a ", "s")])
    def test_a_system_prompt_is_no_disguise(self, in_training, in_test):
        assert audit([(in_training, "x")], [(in_test, "x")]).leaked == 1

    def test_instructions_count_where_they_decide_the_answer(self):
        training = [(chat("sum up", "document 1"), "x"), (chat("sum up", "document 2"), "y")]
        test = [(chat("sum up", "document 3"), "z"), (chat("Sum up", "Document 2"), "y")]
        assert audit(training, test).leaked_rows == ((1, 1),)

    def test_contradictory_answers_under_the_same_instructions_hide_nothing(self):
        assert audit([(chat("a", "s"), "x"), (chat("a", "s"), "y")], [("a", "x"), (chat("a", "t"), "x")]).leaked == 2

    def test_conversations_leak_as_a_whole(self):
        answer = [{"role": "assistant", "content": "yes?"}]
        long = [*chat("hello"), *answer, *chat("a")]
        assert audit([(long, "x")], [("a", "x"), (long, "x")]).leaked_rows == ((1, 0),)
        assert audit([("a", "x")], [(long, "x")]).leaked == 0

    def test_instructions_alone_are_an_input_of_their_own(self):
        alone = [[{"role": "system", "content": text}] for text in ("write a poem", "write a joke")]
        assert audit([(alone[0], "x")], [(alone[1], "x")]).leaked == 0

    @given(ROWS)
    def test_every_non_blank_input_leaks_from_its_own_set(self, rows):
        found = audit(rows, rows)
        assert found.leaked == sum(1 for given, _ in rows if given.strip())
        filled = {row for row, (given, _) in enumerate(rows) if given.strip()}
        assert [{pair[side] for pair in found.leaked_rows} for side in (0, 1)] == [filled] * 2


@pytest.mark.parametrize(
    ("training", "test", "only_in_test"),
    [
        ("aabbcczz", "abqp", ("p", "q")),
        ([f"text {n}" for n in range(10)], [f"other {n}" for n in range(10)], ()),  # free text has no labels
        ("a", "b", ("b",)),  # two labels are labels however few the rows
        ([True, "1"], ["true", 1], ()),
        (["a", ""], ["a"], ()),
        (["a"], ["a", " "], ()),
    ],
)
def test_labels_without_a_training_row(training, test, only_in_test):
    found = audit([(f"t{n}", one) for n, one in enumerate(training)], [(f"u{n}", one) for n, one in enumerate(test)])
    assert found.labels.only_in_test == only_in_test


class TestCheckTestSet:
    def test_distinct_inputs_pass(self):
        check_test_set(data([("a", "x"), ("b", "x"), (chat("c", "s"), "x"), (chat("c", "t"), "x")]))

    @pytest.mark.parametrize(
        ("content", "place", "words"),
        [
            ('input,expected\n"a\nb",x\n" ",refund\n', "test.csv:4", ["blank", "refund"]),
            (
                "id,input,expected\nx,Turn on,1\ny,b,1\nz,turn  ON,1\n",
                "test.csv:4",
                ["line 2", '"z"', '"x"', "turn on"],
            ),
            ("input,expected\na,1\na,1\n", "test.csv:3", ["line 2"]),
        ],
    )
    def test_a_blank_or_repeated_input_names_its_lines_and_written_ids(
        self, tmp_path, monkeypatch, content, place, words
    ):
        monkeypatch.chdir(tmp_path)
        Path("test.csv").write_text(content, encoding="utf-8")
        with pytest.raises(DataError) as caught:
            check_test_set(load_examples(Path("test.csv")))
        assert str(caught.value.where) == place
        assert all(word in str(caught.value) for word in words)
        assert ("ids" in caught.value.what) is ("id," in content)

    def test_several_repeats_are_counted(self):
        with pytest.raises(DataError) as caught:
            check_test_set(data([(chat("a"), "x"), ("b", "x"), ("A", "x"), ("b ", "x")], "fixture ftgate_test_set"))
        assert str(caught.value.where) == "fixture ftgate_test_set, item 3"
        assert "item 1" in caught.value.what
        assert "item 4" in caught.value.evidence

    @given(ROWS)
    def test_a_test_set_passes_exactly_where_all_its_rows_would_be_usable(self, rows):
        test = data([(given, "x") for given, _ in rows])
        all_usable = audit_training_set(test, test).usable == len(rows)
        try:
            check_test_set(test)
        except DataError:
            assert not all_usable
        else:
            assert all_usable
