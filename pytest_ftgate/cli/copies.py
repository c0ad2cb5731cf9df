"""Copies of data files without duplicates and leaks, for ``init --dedupe``."""

import csv
import io
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.audit import TrainingAudit
from pytest_ftgate.checks.audit.wording import outputs_of
from pytest_ftgate.data import DataSet, cells, load, normalized_input
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.rows import RowReader
from pytest_ftgate.errors import ConfigError, Where, shown_path
from pytest_ftgate.files import write_whole
from pytest_ftgate.text import plural

_TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class Source:
    """A loaded data file; ``fields`` are the columns that the user names."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Copy:
    """A copy of a data file.

    Attributes:
        path: where it is written: as CSV if the original is CSV, else as JSON Lines.
        original: the data file.
        removed: the rows that the copy leaves out.
    """

    path: Path
    original: Source
    removed: Collection[int]

    def write(self) -> str:
        """Write the copy, and return a sentence on it. Raises :class:`OSError`."""
        rows = list(_rows_without(self.original, self.removed))
        write_whole(self.path, _lines(self, rows))
        removed = plural(len(self.removed), "row")
        return f"removed     {removed}: {shown_path(self.path)} has the other {len(rows):,}"


def plan_copies(test: Source, training: Source, audit: TrainingAudit) -> list[Copy]:
    """Return the copies to write: without duplicates, near duplicates, and rows of the test set.

    A repeat with another output stays: which of the two is right is for a person to decide.

    Raises:
        ConfigError: a copy exists.
    """
    of_training = {row for row, _ in {*audit.repeats} - {*audit.conflict_rows}}
    of_training.update(row for row, _ in audit.near_rows)
    of_training.update(row for _, row in (*audit.leaked_rows, *audit.leaked_near_rows))

    copies = []
    for source, removed in ((test, _same_rows(test.data)), (training, of_training)):
        if not removed:
            continue
        name = Path(source.path.name.removesuffix(".gz"))
        suffix = name.suffix if name.suffix in _TABLES else ".jsonl"
        path = source.path.with_name(f"{name.stem}.deduped{suffix}")
        if os.path.lexists(path):
            message = "the file exists, and nothing was written"
            fix = "Move or delete it, or leave out --dedupe to use the original."
            raise ConfigError(message, where=Where(shown_path(path)), cure=fix)
        copies.append(Copy(path, source, removed))
    return copies


def _same_rows(data: DataSet) -> set[int]:
    """Return the rows with the input and the output of an earlier row."""
    outputs = outputs_of(data)
    first: dict[str, int] = {}
    repeated = set()
    for row, example in enumerate(data):
        earlier = first.setdefault(normalized_input(example.input), row)
        if earlier != row and outputs[earlier] == outputs[row]:
            repeated.add(row)
    return repeated


def _rows_without(source: Source, removed: Collection[int]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file but these examples.

    A row without an output to learn is no example, and is kept.
    """
    reader = RowReader(source.fields)
    number = -1
    with load.opened(source.path) as file:
        for _, raw in without_faults(file.rows):
            row = raw
            if file.table is not None:
                # JSON has no dates or decimals: they are written as text.
                good, unreadable = cells.json_row(raw, file.table)
                numbers = {
                    name: str(raw[name]) for name in unreadable if isinstance(raw[name], float)
                }
                row = {**raw, **good, **numbers}

            example = reader.example(row, Where(source.data.path))
            if example is not None:
                number += 1
            if example is None or number not in removed:
                yield row


def _lines(copy: Copy, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the text of a copy."""
    if copy.path.suffix not in _TABLES:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, default=str) + "\n"
            # A lone surrogate, which UTF-8 cannot hold, is escaped as in JSON.
            yield line.encode(errors="backslashreplace").decode()
        return

    text = io.StringIO()
    separator = "\t" if copy.path.suffix == ".tsv" else ","
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield text.getvalue()
