"""The one type of table, and how it looks as text."""

from pytest_ftgate.reports.table import Column, Table

COLUMNS = (Column("", "text"), Column("model", "text"), Column("gain"), Column("cost"), Column("", "status"))


def test_numbers_end_and_texts_begin_below_each_other():
    table = Table("t", COLUMNS, (("a", "x", "+1.0", "$0", "fail"), ("bcd", "yz", "-", "unknown", "")))
    assert table.lines("  ") == [
        "       model  gain     cost",
        "  a    x      +1.0       $0  fail",
        "  bcd  yz        -  unknown",
    ]


def test_a_row_of_one_cell_takes_no_part_in_the_widths():
    table = Table("t", COLUMNS[1:3], (("a long label",), ("x", "+1.0")))
    assert table.lines() == ["model  gain", "a long label", "x      +1.0"]


def test_columns_that_say_nothing_are_left_out_but_for_the_first_two():
    table = Table("t", COLUMNS, (("a", "", "-", "unknown", ""), ("b", "", "-", "$1", "")))
    assert [column.heading for column in table.compact().columns] == ["", "model", "cost"]
    assert table.compact().rows == (("a", "", "unknown"), ("b", "", "$1"))


def test_without_rows_there_is_nothing_to_show():
    empty = Table("t", COLUMNS, ())
    assert not empty
    assert empty.compact().lines() == []
