"""Write copies of the data files without repeated rows and without the training rows that leak the test set."""

import csv
import io
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.audit import TrainingAudit
from pytest_ftgate.checks.audit.exact import count_exact, outputs_of
from pytest_ftgate.data import DataSet, normalized_input
from pytest_ftgate.data.cells import json_row
from pytest_ftgate.data.lines import Lines, suffix_of
from pytest_ftgate.data.load import DELIMITERS, opened, read_cells
from pytest_ftgate.data.rows import RowReader
from pytest_ftgate.data.strict_json import read_objects
from pytest_ftgate.errors import ConfigError, Where, shown_path, without_faults
from pytest_ftgate.text import plural


@dataclass(frozen=True)
class Source:
    """A loaded data file; ``fields`` are the columns that the user names, ``others`` are files that match, too."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]
    others: Sequence[Path] = ()


@dataclass(frozen=True)
class Cleaned:
    """A copy of a data file without some of its rows; ``removed`` counts these by the reason.

    ``without`` are columns of the original that JSON cannot hold.
    """

    source: Source
    removed: Mapping[str, int]
    parts: tuple[str, ...]
    without: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(plural(count, reason) for reason, count in self.removed.items() if count)


def without_copies(test: Source, training: Source, audit: TrainingAudit) -> tuple[Cleaned, Cleaned]:
    """Return both files without repeats with the same output, and the training set without its other copies.

    These are near duplicates of earlier rows, and rows that are in the test set. A repeat with another output stays:
    which of the two is right is for a person to decide.
    """
    data, outputs = test.data, outputs_of(test.data)
    first: dict[str, int] = {}
    pairs = [(row, first.setdefault(normalized_input(one.input), row)) for row, one in enumerate(data)]
    repeats = {row for row, other in pairs if row != other and outputs[row] == outputs[other]} | _repeated_ids(data)
    tested = _cleaned(test, repeats, {"exact duplicate": len(repeats)})

    data = training.data
    exact = count_exact(data, tested.source.data, outputs_of(data))
    leaks = {row for _, row in (*audit.leaked_rows, *audit.leaked_near_rows)}
    repeats = {row for row, _ in exact.repeats} - {row for row, _ in exact.conflicts} - leaks
    repeats |= _repeated_ids(data) - leaks
    near = {row for row, _ in audit.near_rows} - leaks - repeats
    removed = {"exact duplicate": len(repeats), "near duplicate": len(near), "leaked row": len(leaks)}
    return tested, _cleaned(training, leaks | repeats | near, removed)


def _repeated_ids(data: DataSet) -> set[int]:
    """Return the rows with an own id that an earlier row has; the other values are the same, as was checked."""
    first: dict[str, int] = {}
    return {row for row, one in enumerate(data) if first.setdefault(one.id, row) != row and one.has_own_id}


def _cleaned(source: Source, rows: Collection[int], removed: Mapping[str, int]) -> Cleaned:
    path, data = source.path, source.data
    if not rows:
        return Cleaned(source, {}, ())
    suffix = suffix_of(path)
    stem = path.name[: -len("".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])) or None]
    copy = path.with_name(f"{stem}.deduped{suffix if suffix in ('.json', *DELIMITERS) else '.jsonl'}")
    if os.path.lexists(copy):
        cure = "Move or delete it, or leave out --dedupe to use the original."
        raise ConfigError("the file exists, and nothing was written", where=Where(shown_path(copy)), cure=cure)
    left, kept, reader, number = list[Mapping[str, Any]](), [], RowReader(source.fields), 0
    without: dict[str, None] = {}
    with opened(path) as file:
        for _, raw in without_faults(file.rows):
            row, bad = (raw, ()) if file.table is None else json_row(_dated(raw), file.table)
            without |= dict.fromkeys(bad)
            found = reader.example(row, Where(data.path))
            number += found is not None  # a row without an output to learn is no example, and is kept
            if found is None or number - 1 not in rows:
                kept.append(found and data.examples[number - 1])
                left.append(row)
    if not left:
        raise ConfigError("no row would be left without its duplicates and leaks", where=Where(shown_path(path)))
    parts, shown = tuple(_written(left, suffix)), shown_path(copy)
    lines = Lines(io.BytesIO("".join(parts).encode()), shown)
    again = read_cells(lines, DELIMITERS[suffix]) if suffix in DELIMITERS else read_objects(lines)
    placed = (
        one and replace(one, place=Where(shown, line))
        for one, (line, _) in zip(kept, without_faults(again), strict=True)
    )
    examples = tuple(one for one in placed if one is not None)
    copied = replace(data, examples=examples, path=shown, origin=shown)
    return Cleaned(Source(copy, copied, source.fields), removed, parts, tuple(without))


def _dated(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table with its dates, times and decimal numbers as text."""
    return {
        key: value.isoformat() if hasattr(value, "isoformat") else str(value) if isinstance(value, Decimal) else value
        for key, value in row.items()
    }


def _written(rows: Sequence[Mapping[str, Any]], suffix: str) -> Iterator[str]:
    """Yield the content of a file with these rows."""
    if suffix in DELIMITERS:
        cells = io.StringIO()
        writer = csv.DictWriter(cells, list(rows[0]), delimiter=DELIMITERS[suffix], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        yield cells.getvalue()
    elif suffix == ".json":
        yield json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    else:
        yield from (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
