"""Examples from fixtures and markers: three forms of items, and what everything else is told."""

import datetime
import enum
import hashlib

import numpy as np
import pytest

from pytest_ftgate.data import Example, content_id, examples_from, load_examples
from pytest_ftgate.errors import ConfigError, DataError

ORIGIN = "fixture ftgate_test_set"
USER = {"role": "user", "content": "u"}


def read(rows, **options):
    return examples_from(rows, origin=ORIGIN, **options)


def refused(rows, place, *words, **options):
    with pytest.raises(DataError) as caught:
        read(rows, **options)
    assert str(caught.value.where) == f"{ORIGIN}{place}"
    assert [word for word in words if word not in str(caught.value)] == []
    return caught.value


class TestItems:
    def test_pairs(self):
        assert read([("a", "b"), ["c", {"x": 1}], ([USER], 3)]).examples == (
            Example(content_id("a"), "a", "b"),
            Example(content_id("c"), "c", {"x": 1}),
            Example(content_id((USER,)), (USER,), 3),
        )

    def test_rows_of_an_array_are_pairs(self):
        assert read(np.array([["a", "b"], ["c", "d"]])).examples[1] == Example(
            content_id("c"), "c", "d"
        )

    def test_examples_stay_what_they_are(self):
        examples = (Example("1", (USER,), 3, "g", {"input": "context"}), Example("2", "a", "b"))
        assert read(examples).examples == examples

    def test_names_are_mapped_for_mappings_only(self):
        rows = [{"question": "a", "label": "b"}, ("c", "d"), Example("x", "e", "f")]
        data = read(rows, fields={"input": "question", "expected": "label"})
        assert (data.path, data.origin, str(data.where(0, "input"))) == (
            None,
            ORIGIN,
            "test_set[0]: input",
        )
        assert [example.input for example in data] == ["a", "c", "e"]

    def test_values_are_copied_as_json(self):
        class Label(str, enum.Enum):
            YES = "yes"

        expected = {"x": (1, 2)}
        data = read([("a", expected), (np.str_("b"), Label.YES)])
        expected["x"] = ()
        assert data.examples[0].expected == {"x": [1, 2]}
        assert [type(value) for value in (data.examples[1].input, data.examples[1].expected)] == [
            str,
            str,
        ]
        assert data.examples[1].expected == "yes"

    def test_a_generator_is_used_once_and_up_to_the_limit_only(self):
        questions = []

        def endless():
            while True:
                questions.append(1)
                yield str(len(questions)), "x"

        assert len(read(endless(), limit=3)) == 3
        assert len(questions) == 3


class TestDataSet:
    def test_an_example_of_a_file_keeps_its_place(self, tmp_path):
        path = tmp_path / "data.csv"
        path.write_text("input,expected\na,b\nc,d\n")
        data = read(list(load_examples(path))[1:])
        assert (data.where(0).line, data.examples[0].name) == (3, str(data.where(0)))

    def test_the_hash_is_of_the_content_whatever_the_form(self):
        forms = [
            [("a", "b")],
            iter([["a", "b"]]),
            ({"expected": "b", "input": "a"},),
            [Example(content_id("a"), "a", "b")],
        ]
        line = b'["ca978112ca1bbdca","a","b",null,{}]\n'
        assert {read(form).sha256 for form in forms} == {hashlib.sha256(line).hexdigest()}


class TestNames:
    def test_a_row_is_called_by_its_index_in_the_object(self):
        data = examples_from([("a", "b"), ("c", "d")], origin="judge()", name="training_set")
        assert (str(data.where(1)), data.row_name(1), data.examples[1].name) == (
            "training_set[1]",
        ) * 3

    def test_an_error_also_names_where_the_rows_come_from(self):
        with pytest.raises(DataError) as caught:
            examples_from(
                [("a", "b"), {"input": [{}], "expected": "c"}],
                origin="judge()",
                name="training_set",
            )
        assert str(caught.value.where) == "judge(): training_set[1].input[0]"


class TestNoIterables:
    @pytest.mark.parametrize(
        ("rows", "found"),
        [
            ({"input": "a", "expected": "b"}, "one mapping with the keys input, expected"),
            ({"input": ["a", "b"], "expected": ["c"]}, "input has 2, expected has 1"),
        ],
    )
    def test_one_row_or_uneven_columns_say_what_to_return(self, rows, found):
        refused(
            rows,
            "",
            found,
            "return all rows as a list",
            "columns of one length",
        )

    def test_two_columns_are_paired_by_zip(self):
        refused((["a", "b", "c"], ["x", "y", "z"]), ": test_set[0]", "got a list of 3", "zip(X, y)")
        assert len(read(zip(["a", "b", "c"], ["x", "y", "z"], strict=True))) == 3

    def test_a_value_that_is_shown_in_lines_is_named_in_one(self):
        class Frame:
            def __repr__(self):
                return "text\n    label  0\n"

        refused([("a", Frame())], ": test_set[0].expected", "found: text label 0")

    def test_an_iterable_that_raises(self):
        def broken():
            yield "a", "b"
            raise KeyError("first\nsecond")

        class NotEvenBegun:
            def __iter__(self):
                raise RuntimeError("no\nway")

        error = refused(broken(), ": test_set[1]", "KeyError: 'first\\nsecond'")
        assert isinstance(error.__cause__, KeyError)
        refused(NotEvenBegun(), ": test_set[0]", "RuntimeError: no way")

    @pytest.mark.parametrize("error", [ConfigError("mine"), KeyboardInterrupt()])
    def test_our_own_errors_and_an_interrupt_pass_through_it(self, error):
        def broken():
            raise error
            yield

        with pytest.raises(type(error)) as caught:
            read(broken())
        assert caught.value is error


ENDLESS = []
ENDLESS.append(ENDLESS)
NO_JSON = [float("-inf"), b"a", {1, 2}, {"x": object()}, {(1, 2): "a"}, 10**5000]
NO_JSON += [datetime.date(2026, 1, 2), ENDLESS]


class TestWrongItems:
    @pytest.mark.parametrize("value", NO_JSON, ids=lambda value: type(value).__name__)
    def test_a_value_that_is_no_json(self, value):
        for rows in (
            [("a", value)],
            [Example("x", "a", value)],
            [{"input": "a", "expected": value}],
        ):
            refused(rows, ": test_set[0].expected")
        (example,) = read([{"input": "a", "expected": "b", "score": value}])  # nothing uses it
        assert example.fields.get("score") is None
        refused(
            [{"input": "a", "expected": "b", "score": value}],
            ": test_set[0].score",
            fields={"mark": "score"},
        )


def test_what_is_expected_may_be_absent_where_nobody_compares_with_it():
    items = [{"input": "a"}, ("b", None), Example("e", "c", None), ("d", "D")]
    assert [example.expected for example in read(items, labeled=False)] == ["", "", "", "D"]
