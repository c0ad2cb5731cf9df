"""A table of all answers, with their scores, for pandas, a notebook or a spreadsheet.

A row is an example, once for each repeat, and each model has two columns, of which the score is
that of the deciding metric, or of the guard's. Where attempts are limited, only the examples are
written that may be shown.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.gain import shown_answers
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.files import write_whole
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.measure import Measured, rightness_by_repeat, scored_alone

SUFFIXES = (".csv", ".jsonl", ".parquet")
Row: TypeAlias = dict[str, Any]

_COLUMNS = ("gate", "guard", "repeat", "id", "input", "expected")
_ANSWER, _SCORE = "_answer", "_score"


def rows_of(gate: Context) -> list[Row]:
    """Return the answers to the test set and to the guards; none if no model was called."""
    if gate.shown is not None:
        runs = gate.runs_of("shown")
        scored = shown_answers(gate, gate.shown)
        return list(_rows(gate.config.name, None, gate.shown.test, runs, scored))

    rows = list(_rows(gate.config.name, None, gate.test, gate.runs_of("test"), gate.scored))
    for guard in gate.parts.guards:
        runs = gate.runs_of("guard", guard.name)
        scored = scored_alone(runs, guard.metric, guard.test.expected)
        rows += _rows(gate.config.name, guard.name, guard.test, runs, scored)
    return rows


def _rows(
    gate: str,
    guard: str | None,
    test: DataSet,
    runs: Mapping[str, Run],
    scored: Mapping[str, Measured],
) -> Iterator[Row]:
    """Yield a row for each example and repeat of runs over one test set, given by role."""
    scores = {}
    for role, measured in scored.items():
        # All scores of a model are of one metric, or the first one decides.
        metric = next(iter(measured.scores.values())).metric
        scores[role] = rightness_by_repeat(measured, test.expected, metric).tolist()

    n_repeats = max((len(run.predictions) for run in runs.values()), default=0)
    for repeat in range(n_repeats):
        for number, example in enumerate(test):
            facts = (gate, guard, repeat, example.id, example.input, example.expected)
            row: Row = dict(zip(_COLUMNS, facts, strict=True))
            for role, run in runs.items():
                completion = run.predictions[repeat][number].completion
                row[role + _ANSWER] = None if completion is None else completion.text
                row[role + _SCORE] = scores[role][repeat][number] if role in scores else None
            yield row


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows of all gates as the suffix says. Raises :class:`OSError`."""
    names = list(dict.fromkeys([*_COLUMNS, *(name for row in rows for name in row)]))
    writers: Mapping[str, Callable[[Sequence[str], Iterable[Row]], Iterable[str | bytes]]]
    writers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    write_whole(path, writers[path.suffix.lower()](names, rows))


def _jsonl(names: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        line = json.dumps({name: row.get(name) for name in names}, ensure_ascii=False)
        yield f"{line}\n"


def _csv(names: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        writer.writerow(_texts(names, row))
    yield text.getvalue()


def _parquet(names: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    pyarrow = import_module("pyarrow")
    texts = [_texts(names, row) for row in rows]
    columns = []
    for number, name in enumerate(names):
        kind = pyarrow.string()
        if name == "repeat":
            kind = pyarrow.int64()
        elif name.endswith(_SCORE):
            kind = pyarrow.float64()
        columns.append(pyarrow.array([row[number] for row in texts], kind))
    buffer = io.BytesIO()
    table = pyarrow.table(columns, names=list(names))
    import_module("pyarrow.parquet").write_table(table, buffer)
    yield buffer.getvalue()


def _texts(names: Sequence[str], row: Row) -> list[Any]:
    """Return the cells of a row: numbers, and text, of a conversation or a JSON value its JSON."""
    cells = []
    for name in names:
        cell = row.get(name)
        if cell is not None and name != "repeat" and not name.endswith(_SCORE):
            cell = expected_text(cell)
        cells.append(cell)
    return cells
