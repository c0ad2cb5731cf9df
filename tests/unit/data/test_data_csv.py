"""CSV: headers, cells, lines, whatever stands in them. What a broken table is told: tests/messages."""

import contextlib
import csv

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_ftgate.data import Example, content_id, load_examples
from pytest_ftgate.errors import DataError


def table(load, text, **options):
    return load(text, "data.csv", **options)


class TestRows:
    def test_all_cells_are_text_and_an_empty_group_is_none(self, load):
        data = table(load, "input,expected,n,group\n1,true,null,\n2,,,g\n")
        assert data.examples == (
            Example(content_id("1"), "1", "true", None, {"n": "null"}),
            Example(content_id("2"), "2", "", "g", {"n": ""}),
        )

    def test_lines_are_those_on_which_rows_start(self, load):
        data = table(
            load, 'input,expected\r\n"two\r\nlines, and ""quotes""",b\r\n\r\nc,"d\n\n"\r\ne,f'
        )
        assert [(example.input, example.expected) for example in data] == [
            ('two\r\nlines, and "quotes"', "b"),
            ("c", "d\n\n"),
            ("e", "f"),
        ]
        assert [data.where(row).line for row in range(3)] == [2, 5, 8]

    def test_blank_lines_are_no_rows(self, load):
        assert [row.place.line for row in table(load, "\n \ninput,expected\n\n \t\na,b\n\n")] == [6]

    def test_cells_beyond_pythons_limit(self, load, refused):
        limit = csv.field_size_limit()
        long = "x" * (limit + 1)
        assert table(load, f"input,expected\n{long},b\n").examples[0].input == long
        refused('input,expected\na,b\n"c,d\ne,f\n', ":3", name="data.csv")
        assert csv.field_size_limit() == limit


PIECES = ["input", "expected", "id", ",", '"', "\n", "\r", "a", " ", "\t", "é"]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_gives_examples_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(f"input,expected\n{content}", encoding="utf-8", newline="")
    with contextlib.suppress(DataError):
        assert len(load_examples(path)) >= 1
