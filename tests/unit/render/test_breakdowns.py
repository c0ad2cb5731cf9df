"""Tables: what a metric's value is made of, within 80 columns, and the bars of parts."""

from dataclasses import replace

import pytest

from pytest_ftgate.reports.tables import Column, Table, breakdowns, parts
from pytest_ftgate.reports.text import block
from pytest_ftgate.result import BreakdownResult, GateResult, PartResult

COLUMNS = ("F1", "precision", "recall", "right", "wrong", "missing", "invented")


def fields(role, *rows):
    return BreakdownResult("field_f1", role, "field", COLUMNS, rows, COLUMNS[:3])


def rules(role, *rows):
    return BreakdownResult("format", role, "failing rule", ("answers",), tuple((label, (n,)) for label, n in rows))


FIELDS = (
    fields("baseline", ("intent", (0.95, 0.9, 1.0, 1234, 6, 0, 0)), ("slots.room", (0.5, 0.5, 0.5, 3, 2, 1, 1))),
    fields("candidate", ("slots.room", (0.25, None, 0.5, 1, 2, 3, 0)), ("other", (0.0, 0.0, None, 0, 0, 0, 7))),
)


def gate(*breakdowns, metric="field_f1"):
    result = GateResult("intents", "test.py::test", "fail", metric=metric, metric_range=(0.0, 1.0))
    return replace(result, models_called=True, breakdowns=breakdowns)


def breakdown_lines(result):
    return [line for table in breakdowns(result, 30) for line in (table.title, *table.lines("  "))]


def test_several_numbers_are_a_line_for_each_model():
    assert list(breakdown_lines(gate(*FIELDS))) == [
        "field_f1: fields, worst first",
        "  field            F1  precision   recall  right  wrong  missing  invented",
        "  slots.room",
        "    baseline   50.0 %     50.0 %   50.0 %      3      2        1         1",
        "    candidate  25.0 %          -   50.0 %      1      2        3         0",
        "  other",
        "    baseline        -          -        -      0      0        0         0",
        "    candidate   0.0 %      0.0 %        -      0      0        0         7",
        "  intent",
        "    baseline   95.0 %     90.0 %  100.0 %  1,234      6        0         0",
        "    candidate       -          -        -      0      0        0         0",
    ]
    assert not any(breakdowns(gate(rules("baseline"))))


def test_only_the_worst_rows_are_shown():
    many = rules("candidate", *((f"json_schema $.field_{i}: type", 100 - i) for i in range(60)))
    lines = list(breakdown_lines(gate(many, metric="format")))
    assert ("30 of 60" in lines[0], len(lines)) == (True, 2 + 2 * 30)


def test_columns_that_say_nothing_are_left_out_but_for_the_first_two():
    headings = (Column("", "text"), Column("model", "text"), Column("gain"), Column("cost"), Column("", "status"))
    table = Table("t", headings, (("a", "", "-", "unknown", ""), ("b", "", "-", "$1", ""))).compact()
    assert [column.heading for column in table.columns] == ["", "model", "cost"]
    assert table.rows == (("a", "", "unknown"), ("b", "", "$1"))


def test_labels_out_of_answers_are_harmless_and_short():
    label = "json_schema $.\x1b[31m::error::" + "x" * 500
    for full in (False, True):
        lines = [
            line.text for line in block(gate(rules("candidate", (label, 3)), metric="format"), verbosity=int(full))
        ]
        assert all(line.isprintable() for line in lines)
        assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("values", "metric_range", "span"),
    [
        ((3.0, 12.0), (0.0, float("inf")), (0.0, 12.0)),
        ((0.3, None), (0.0, 1.0), (0.0, 1.0)),
        ((None, None), None, (0.0, 1.0)),
    ],
)
def test_a_metric_without_an_end_is_drawn_as_far_as_it_goes(values, metric_range, span):
    one = PartResult("lang=en", "accuracy", 0.03, None, "lang", "en", *values, metric_range=metric_range)
    (bars,) = parts(GateResult("a", "b", "pass", slices=(one,)))[1].bars
    assert bars == (*values, *span)
