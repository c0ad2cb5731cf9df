"""CSV: headers, cells, lines, and what each broken table is told."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import Example, content_id, load_examples
from pytest_ftgate.errors import DataError

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(text, **options):
    Path("data.csv").write_text(text, encoding="utf-8", newline="")
    return load_examples(Path("data.csv"), **options)


def error_of(text, **options):
    with pytest.raises(DataError) as caught:
        load(text, **options)
    return str(caught.value)


class TestRows:
    def test_a_row_becomes_an_example(self):
        data = load("id,input,expected,group,lang\nx,a,b,g,en\n")
        assert data.examples == (Example("x", "a", "b", "g", {"lang": "en"}),)

    def test_all_cells_are_text(self):
        data = load("input,expected,n\n1,true,null\n")
        assert data.examples == (Example(content_id("1"), "1", "true", None, {"n": "null"}),)

    def test_an_empty_group_cell_is_no_group(self):
        assert [example.group for example in load("input,expected,group\na,b,\nc,d,g\n")] == [None, "g"]

    def test_an_empty_expected_cell_is_empty_text(self):
        assert load("input,expected\na,\n").examples[0].expected == ""

    def test_lines_are_those_on_which_rows_start(self):
        data = load('input,expected\r\n"two\r\nlines, and ""quotes""",b\r\n\r\nc,"d\n\n"\r\ne,f')
        assert [(example.input, example.expected) for example in data] == [
            ('two\r\nlines, and "quotes"', "b"),
            ("c", "d\n\n"),
            ("e", "f"),
        ]
        assert list(data.lines or ()) == [2, 5, 8]

    def test_blank_lines_are_no_rows(self):
        assert list(load("\n \ninput,expected\n\n \t\na,b\n\n").lines or ()) == [6]

    def test_names_are_mapped(self):
        data = load(
            "question,label,language\na,b,en\n", fields={"input": "question", "expected": "label", "lang": "language"}
        )
        assert data.examples == (Example(content_id("a"), "a", "b", None, {"lang": "en"}),)

    def test_cells_beyond_pythons_limit(self):
        before = csv.field_size_limit()
        long = "x" * (before + 1)
        assert load(f"input,expected\n{long},b\n").examples[0].input == long
        assert csv.field_size_limit() == before

    @UNHURRIED
    @given(
        st.lists(
            st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))] * 2).filter(any),
            min_size=1,
        )
    )
    def test_what_is_written_is_read(self, tmp_path_factory, pairs):
        path = tmp_path_factory.getbasetemp() / "round.csv"
        table = io.StringIO(newline="")
        csv.writer(table, quoting=csv.QUOTE_ALL).writerows([("input", "expected"), *pairs])
        path.write_text(table.getvalue(), encoding="utf-8", newline="")
        assert [(example.input, example.expected) for example in load_examples(path)] == pairs


class TestHeader:
    def test_a_header_alone_has_no_rows(self):
        assert error_of("input,expected\n") == "data.csv: has no rows"

    def test_absent_columns(self):
        assert error_of("question,label\na,b\n") == (
            'data.csv:1: no field "input"; no field "expected" in the header\n'
            "  found: question, label\n"
            "  say what they are called: fields: {input: question, expected: label}"
        )

    def test_an_absent_mapped_column(self):
        assert error_of("input,lable\na,b\n", fields={"expected": "label"}) == (
            'data.csv:1: no field "label", which `fields` gives for "expected" in the header\n'
            "  found: input, lable\n"
            "  say what they are called: fields: {expected: lable}"
        )

    @pytest.mark.parametrize(
        ("separator", "words"),
        [(";", "semicolons"), ("\t", "tabs (those take the suffix .tsv)"), ("|", "bars")],
    )
    def test_another_separator(self, separator, words):
        message = error_of(f"input{separator}expected\na{separator}b\n")
        assert message.endswith(f"\n  the columns seem to be separated by {words}: separate them with commas")

    def test_a_column_given_twice(self):
        assert error_of("input,expected,input\na,b,c\n") == (
            'data.csv:1: the header has the column "input" 2 times\n'
            "  found: input, expected, input\n"
            "  give each column a name of its own"
        )


class TestBrokenRows:
    def test_too_few_cells(self):
        assert error_of('input,expected\n"a\nb",c\nd\n') == (
            "data.csv:4: the row has 1 cell, the header 2\n  found: d\n  write all cells, those without content too"
        )

    def test_too_many_cells(self):
        assert error_of("input,expected\na, b,c\n") == (
            "data.csv:2: the row has 3 cells, the header 2\n"
            "  found: a |  b | c\n"
            "  put cells that hold the separator in quotes"
        )

    def test_text_after_a_closing_quote(self):
        assert error_of('input,expected\n"a" b,c\n') == (
            "data.csv:2: is not CSV: ',' expected after '\"'\n"
            '  found: "a" b,c\n'
            '  a quote within a quoted cell is written ""'
        )

    def test_a_quote_that_is_never_closed_names_the_line_where_its_row_starts(self):
        assert error_of('input,expected\na,b\n"c,d\ne,f\n') == (
            'data.csv:3: a quoted cell is never closed\n  close it with "; within a cell write ""'
        )

    def test_carriage_returns_alone(self):
        assert error_of("input,expected\ra,b\r") == (
            "data.csv:1: a carriage return stands alone\n"
            "  found: input,expected a,b\n"
            "  end lines with line feeds, or put the cell in quotes"
        )

    def test_a_blank_id(self):
        assert error_of("id,input,expected\nx,a,b\n,c,d\n").startswith("data.csv:3: id: is blank\n")

    def test_a_repeated_id(self):
        assert error_of('id,input,expected\nx,"a\n",b\nx,c,d\n').startswith(
            'data.csv:4: id: the id "x" repeats: line 2 has it too\n'
        )

    def test_the_limit_on_cells_is_restored_after_an_error(self):
        before = csv.field_size_limit()
        error_of('input,expected\n"a\n')
        assert csv.field_size_limit() == before


def test_what_is_expected_may_be_absent_where_nobody_compares_with_it():
    assert [example.expected for example in load("input,note\na,x\nb,y\n", labeled=False)] == ["", ""]
    assert 'no field "expected" in the header' in error_of("input,note\na,x\n")
