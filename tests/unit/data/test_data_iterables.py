"""Examples from fixtures and markers: three forms of items, and what everything else is told."""

import contextlib
import datetime
import enum
import hashlib
import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import Example, content_id, examples_from, load_examples
from pytest_ftgate.errors import ConfigError, DataError

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ORIGIN = "fixture ftgate_test_set"
USER = {"role": "user", "content": "u"}
ANSWER = {"role": "assistant", "content": "A"}


def read(rows, **options):
    return examples_from(rows, origin=ORIGIN, **options)


def error_of(rows, **options):
    with pytest.raises(DataError) as caught:
        read(rows, **options)
    return str(caught.value)


class TestItems:
    def test_pairs(self):
        assert read([("a", "b"), ["c", {"x": 1}], ([USER], 3)]).examples == (
            Example(content_id("a"), "a", "b"),
            Example(content_id("c"), "c", {"x": 1}),
            Example(content_id((USER,)), (USER,), 3),
        )

    def test_mappings_are_rows(self):
        row = {"id": 1, "input": "a", "expected": "b", "group": 2, "lang": "en"}
        assert read([row, MappingProxyType({**row, "id": 2})]).examples == (
            Example("1", "a", "b", "2", {"lang": "en"}),
            Example("2", "a", "b", "2", {"lang": "en"}),
        )

    def test_conversations(self):
        assert read([{"messages": [USER, ANSWER], "id": "x"}]).examples == (Example("x", (USER,), "A"),)

    def test_forms_may_be_mixed(self):
        rows = [("a", "b"), {"messages": [USER, ANSWER]}, {"input": "c", "expected": "d"}, Example("x", "e", "f")]
        assert [example.expected for example in read(rows)] == ["b", "A", "d", "f"]

    def test_examples_stay_what_they_are(self):
        examples = (Example("1", (USER,), 3, "g", {"input": "context"}), Example("2", "a", "b"))
        assert read(examples).examples == examples

    def test_names_are_mapped_for_mappings_only(self):
        rows = [{"question": "a", "label": "b"}, ("c", "d"), Example("x", "e", "f")]
        data = read(rows, fields={"input": "question", "expected": "label"})
        assert [example.input for example in data] == ["a", "c", "e"]

    def test_a_data_set_is_an_iterable_of_examples(self):
        data = read([("a", "b"), ("a", "c")])
        assert read(data).examples == data.examples

    def test_values_are_copied_as_json(self):
        class Label(str, enum.Enum):
            YES = "yes"

        expected = {"x": (1, 2)}
        data = read([("a", expected), (np.str_("b"), Label.YES)])
        expected["x"] = ()
        assert data.examples[0].expected == {"x": [1, 2]}
        assert [type(value) for value in (data.examples[1].input, data.examples[1].expected)] == [str, str]
        assert data.examples[1].expected == "yes"

    def test_a_generator_is_used_once_and_up_to_the_limit_only(self):
        asked = []

        def endless():
            while True:
                asked.append(1)
                yield str(len(asked)), "x"

        assert len(read(endless(), limit=3)) == 3
        assert len(asked) == 3

    @UNHURRIED
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["input", "expected", "id", "group", "messages", "x"]),
                st.none() | st.integers() | st.text() | st.floats() | st.lists(st.text()) | st.binary(),
            )
        )
    )
    def test_any_rows_give_examples_or_a_data_error(self, rows):
        with contextlib.suppress(DataError):
            assert len(read(rows)) == len(rows)

    def test_an_iterable_and_a_file_of_the_same_rows_agree(self, tmp_path):
        rows = [{"id": 1, "input": "a", "expected": [1.5]}, {"input": [USER], "expected": "b", "x": None}]
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert read(rows).examples == load_examples(path).examples


class TestDataSet:
    def test_there_is_no_path_and_no_line(self):
        data = read([("a", "b")])
        assert (data.path, data.lines, data.origin) == (None, None, ORIGIN)
        assert str(data.where(0, "input")) == "fixture ftgate_test_set, item 1: input"

    def test_the_hash_is_of_the_content_whatever_the_form(self):
        forms = [
            [("a", "b")],
            iter([["a", "b"]]),
            ({"expected": "b", "input": "a"},),
            [Example(content_id("a"), "a", "b")],
        ]
        line = b'["ca978112ca1bbdca","a","b",null,{}]\n'
        assert {read(form).sha256 for form in forms} == {hashlib.sha256(line).hexdigest()}

    @pytest.mark.parametrize(
        "other",
        [
            Example("y", "a", "b"),
            Example("x", "A", "b"),
            Example("x", "a", "B"),
            Example("x", "a", "b", "g"),
            Example("x", "a", "b", None, {"k": 1}),
        ],
    )
    def test_the_hash_sees_every_part(self, other):
        assert read([other]).sha256 != read([Example("x", "a", "b")]).sha256

    def test_repeated_ids_name_both_items(self):
        assert error_of([Example("x", "a", "b"), ("c", "d"), {"id": "x", "input": "e", "expected": "f"}]) == (
            'fixture ftgate_test_set, item 3: id: the id "x" repeats: item 1 has it too\n'
            "  correct it, or leave ids out of all rows: they are then made from the inputs"
        )


class _Table:
    columns = ("input", "expected")

    def to_dict(self, orient):
        raise NotImplementedError

    def __iter__(self):
        return iter(self.columns)


class TestNoIterables:
    @pytest.mark.parametrize(
        ("rows", "kind", "cure"),
        [
            ("test.jsonl", "of type str", "to read a file, write its path as the gate's test_set or training_set"),
            (
                Path("test.jsonl"),
                f"of type {type(Path()).__name__}",
                "to read a file, write its path as the gate's test_set or training_set",
            ),
            ({"input": "a"}, "of type dict", "a single mapping is one item: put the items in a list"),
            ({("a", "b")}, "of type set", "a set has no order: give a list"),
            (_Table(), "of type _Table", 'give the rows of a table: table.to_dict("records")'),
            (b"ab", "of type bytes", "give a list, a tuple or a generator of examples"),
            (3, "of type int", "give a list, a tuple or a generator of examples"),
            (None, "None", "give a list, a tuple or a generator of examples"),
            (Example("x", "a", "b"), "of type Example", "give a list, a tuple or a generator of examples"),
        ],
    )
    def test_they_are_refused(self, rows, kind, cure):
        assert error_of(rows) == f"fixture ftgate_test_set: must be an iterable of examples, is {kind}\n  {cure}"

    @pytest.mark.parametrize("rows", [[], (), iter([])])
    def test_no_items(self, rows):
        assert error_of(rows) == (
            "fixture ftgate_test_set: gave no example\n  give at least one; a generator can be used up once only"
        )

    @pytest.mark.parametrize("limit", [0, True])
    def test_a_limit_is_a_whole_number_from_1(self, limit):
        assert error_of([("a", "b")], limit=limit).startswith("fixture ftgate_test_set: limit: must be a whole number")

    def test_an_iterable_that_raises(self):
        def broken():
            yield "a", "b"
            raise KeyError("first\nsecond")

        with pytest.raises(DataError) as caught:
            read(broken())
        assert str(caught.value) == ("fixture ftgate_test_set, item 2: the iterable raised KeyError: 'first\\nsecond'")
        assert isinstance(caught.value.__cause__, KeyError)

    def test_an_iterable_that_cannot_even_begin(self):
        class Broken:
            def __iter__(self):
                raise RuntimeError("no\nway")

        assert error_of(Broken()) == "fixture ftgate_test_set, item 1: the iterable raised RuntimeError: no way"

    def test_our_own_errors_pass_through_it(self):
        def broken():
            raise ConfigError("mine")
            yield

        with pytest.raises(ConfigError, match=r"^mine$"):
            read(broken())

    def test_an_interrupt_passes_through_it(self):
        def interrupted():
            raise KeyboardInterrupt
            yield

        with pytest.raises(KeyboardInterrupt):
            read(interrupted())


class TestWrongItems:
    @pytest.mark.parametrize(
        ("item", "kind"),
        [
            ("ab", "text"),
            (3, "a number"),
            (("a",), "a list of 1"),
            (("a", "b", "c"), "a list of 3"),
            (None, "null"),
            (object(), "of type object"),
        ],
    )
    def test_an_item_has_one_of_three_forms(self, item, kind):
        assert error_of([("a", "b"), item]) == (
            f"fixture ftgate_test_set, item 2: must be an example, is {kind}\n"
            '  an item is an Example, a mapping {"input": ..., "expected": ...}, or a pair (input, expected)'
        )

    def test_absent_keys_are_to_be_renamed_where_no_mapping_is_possible(self):
        assert error_of([{"question": "a", "label": "b"}]) == (
            'fixture ftgate_test_set, item 1: no field "input"; no field "expected"\n'
            "  found: question, label\n"
            "  rename keys: question to input, label to expected"
        )
        assert error_of([{"foo": "a"}]).endswith("\n  each mapping must have the keys input, expected")

    def test_absent_keys_are_to_be_mapped_where_that_is_possible(self):
        assert error_of([{"question": "a", "label": "b"}], fields={}).endswith(
            "\n  say what they are called: fields: {input: question, expected: label}"
        )

    def test_a_value_that_is_no_json(self):
        assert error_of([{"input": "a", "expected": datetime.date(2026, 1, 2)}]) == (
            "fixture ftgate_test_set, item 1: expected: is not a JSON value: type date\n"
            "  found: datetime.date(2026, 1, 2)\n"
            "  give text, numbers, booleans, lists or mappings of those; None where there is none"
        )

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("-inf"),
            b"a",
            {1, 2},
            np.int64(1),
            {"x": object()},
            {(1, 2): "a"},
            pytest.param(10**5000, id="digits"),
        ],
    )
    def test_further_values_that_are_no_json(self, value):
        for rows in ([("a", value)], [Example("x", "a", value)], [{"input": "a", "expected": value}]):
            assert error_of(rows).startswith("fixture ftgate_test_set, item 1: expected: is not a JSON value: ")

    def test_a_value_that_holds_itself(self):
        endless = []
        endless.append(endless)
        assert "expected: is not a JSON value: " in error_of([("a", endless)])

    def test_a_field_that_is_no_json(self):
        row = {"input": "a", "expected": "b", "score": float("nan")}
        assert error_of([row]).startswith("fixture ftgate_test_set, item 1: score: is not a JSON value: ")

    def test_half_a_surrogate_pair(self):
        assert error_of([("a\ud83d", "b")]).startswith(
            "fixture ftgate_test_set, item 1: holds half a surrogate pair, not a character\n"
        )

    @pytest.mark.parametrize(
        ("example", "message"),
        [
            (Example(True, "a", "b"), "id: must be text or an integer, is true"),
            (Example(" ", "a", "b"), "id: is blank"),
            (Example("x", 3, "b"), "input: must be text or a list of messages, is a number"),
            (Example("x", ({"role": "user"},), "b"), 'input[0]: a message must have a "content"'),
            (Example("x", "a", None), "expected: is null: an example needs an expected output"),
            (Example("x", "a", "b", 1.5), "group: must be text or an integer, is a number"),
            (Example("x", "a", "b", None, [1]), "fields: must be a mapping, is a list"),
        ],
    )
    def test_examples_are_checked_as_rows_are(self, example, message):
        assert error_of([example]).split("\n")[0] == f"fixture ftgate_test_set, item 1: {message}"


def test_what_is_expected_may_be_absent_where_nobody_compares_with_it():
    items = [{"input": "a"}, ("b", None), Example("e", "c", None), ("d", "D")]
    assert [example.expected for example in read(items, labeled=False)] == ["", "", "", "D"]
