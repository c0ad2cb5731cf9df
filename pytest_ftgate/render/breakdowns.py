"""What the values of metrics are made of, baseline against candidate, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_ftgate.numbers import show_value
from pytest_ftgate.result import BreakdownResult, Check, GateResult
from pytest_ftgate.safe import printable

_LABEL_WIDTH = 50
_LONG_LABEL_WIDTH = 74
_FEW, _MANY = 5, 30

_Rows = Mapping[str, tuple[float | None, ...]]


def breakdown_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """A table a metric: of the deciding one, and of those that miss a bound, the five worst rows by their first number;
    with ``full`` all of all."""
    missed = {check.name.rpartition(".")[2] for check in result.checks if _misses_bound(check)}
    for metric, tables in _by_metric(result).items():
        if full or metric in {result.metric, *missed}:
            yield from _table(metric, tables, full=full)


def _misses_bound(check: Check) -> bool:
    return check.name.startswith("require.") and check.status == "fail"


def breakdown_cells(result: GateResult) -> Iterator[tuple[str, list[list[str]]]]:
    """Every table as its title and its cells, below a row of headings, for pages that have room for them."""
    for metric, tables in _by_metric(result).items():
        first, rows, labels = tables[0], _rows(tables), _labels(tables)
        columns = [(role, column) for column in range(len(first.columns)) for role in rows]
        header = [first.title, *(f"{first.columns[column]}, {role}" for role, column in columns)]
        body = [[label, *(_cell(first, rows[role], label, column) for role, column in columns)] for label in labels]
        if body:
            yield f"{metric}: {first.title}s", [header, *body]


def _by_metric(result: GateResult) -> dict[str, list[BreakdownResult]]:
    found: dict[str, list[BreakdownResult]] = {}
    for one in result.breakdowns:
        found.setdefault(one.metric, []).append(one)
    return found


def _rows(tables: Sequence[BreakdownResult]) -> dict[str, _Rows]:
    return {one.role: dict(one.rows) for one in tables}


def _labels(tables: Sequence[BreakdownResult]) -> list[str]:
    """The candidate's rows come first: they are the worst of what is judged."""
    return list(dict.fromkeys(label for one in reversed(tables) for label, _ in one.rows))


def _table(metric: str, tables: Sequence[BreakdownResult], *, full: bool) -> Iterator[str]:
    rows, labels = _rows(tables), _labels(tables)
    if not labels:
        return
    first = tables[0]
    shown = labels[: _MANY if full else _FEW]
    of_all = "" if len(shown) == len(labels) else f", worst {len(shown)} of {len(labels):,}"
    wide = full and len(first.columns) > 1
    yield f"{metric}: {first.title}s{of_all}" + ("" if wide else f" ({first.columns[0]})")
    lines = _wide(first, rows, shown) if wide else _narrow(first, rows, shown)
    yield from _aligned(lines)


def _narrow(first: BreakdownResult, rows: Mapping[str, _Rows], labels: Sequence[str]) -> list[list[str]]:
    """A line a label, the first number of each model."""
    body = [[_label(label, _LABEL_WIDTH), *(_cell(first, rows[role], label, 0) for role in rows)] for label in labels]
    return [["", *rows], *body]


def _wide(first: BreakdownResult, rows: Mapping[str, _Rows], labels: Sequence[str]) -> list[list[str]]:
    """A line a label, and below it one a model with all of its numbers."""
    lines = [["", *first.columns]]
    for label in labels:
        lines.append([_label(label, _LONG_LABEL_WIDTH)])
        for role in rows:
            cells = (_cell(first, rows[role], label, column) for column in range(len(first.columns)))
            lines.append([f"  {role}", *cells])
    return lines


def _label(label: str, width: int) -> str:
    return printable(label, width)


def _cell(first: BreakdownResult, rows: _Rows, label: str, column: int) -> str:
    share = first.columns[column] in first.shares
    if label not in rows:
        return "-" if share else "0"
    value = rows[label][column]
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not share else show_value(value, share=share)


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns below each other; a line of its label alone takes no part in that."""
    widths = [max(len(line[i]) for line in lines if len(line) > 1) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(line)]
        yield ("  " + "  ".join(cells)).rstrip()
