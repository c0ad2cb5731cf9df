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
from pytest_ftgate.data import DataSet, cells, load, load_examples, normalized_input
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.lines import open_lines
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
        removed: the rows that the copy leaves out, by the reason.
    """

    path: Path
    original: Source
    removed: Mapping[str, set[int]]

    def load(self) -> Source:
        """Return the copy as a source, once it is written."""
        fields = self.original.fields
        return Source(self.path, load_examples(self.path, fields=fields), fields)

    def write(self) -> str:
        """Write the copy, and return a sentence on it. Raises :class:`OSError`."""
        removed = set().union(*self.removed.values())
        rows = list(_rows_without(self.original, removed))
        write_whole(self.path, _lines(self, rows))
        counts = [plural(len(group), reason) for reason, group in self.removed.items() if group]
        rest_of_rows = plural(len(rows), "row")
        return (
            f"removed     {', '.join(counts)}: {shown_path(self.path)} has the other {rest_of_rows}"
        )


def plan_copies(test: Source, training: Source, audit: TrainingAudit) -> list[Copy]:
    """Return the copies to write: without duplicates, near duplicates, and rows of the test set.

    A repeat with another output stays: which of the two is right is for a person to decide.

    Raises:
        ConfigError: a copy exists.
    """
    leaks = {row for _, row in (*audit.leaked_rows, *audit.leaked_near_rows)}
    repeats = {row for row, _ in {*audit.repeats} - {*audit.conflict_rows}}
    repeats |= _repeated_ids(training.data)
    near = {row for row, _ in audit.near_rows}
    of_training = {
        "exact duplicate": repeats - leaks,
        "near duplicate": near - repeats - leaks,
        "leaked row": leaks,
    }
    of_test = {"exact duplicate": _same_rows(test.data) | _repeated_ids(test.data)}

    copies: list[Copy] = []
    # The names of copies differ, though those of the originals may only differ in their suffix.
    for source, removed in ((test, of_test), (training, of_training)):
        name = source.path.name.removesuffix(".gz")
        suffix = Path(name).suffix if Path(name).suffix in _TABLES else ".jsonl"
        path = source.path.with_name(f"{Path(name).stem}.deduped{suffix}")
        if any(copy.path == path for copy in copies):
            path = source.path.with_name(f"{name}.deduped{suffix}")
        if not any(removed.values()):
            continue
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


def _repeated_ids(data: DataSet) -> set[int]:
    """Return the rows with the id of an earlier row; their other values are the same."""
    first: dict[str, int] = {}
    repeated = set()
    for row, example in enumerate(data):
        if first.setdefault(example.id, row) != row and example.has_own_id:
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


def header_of(path: Path) -> tuple[str, str]:
    """Return the first line of a table, and the sign that separates its cells."""
    with open_lines(path) as lines:
        header = next((line for line in lines if not line.isspace()), "")
    return header, load.separator_of(header, "\t" if ".tsv" in path.suffixes else ",")


def _lines(copy: Copy, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the text of a copy; CSV has the separator of the original."""
    if copy.path.suffix not in _TABLES:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, default=str) + "\n"
            # A lone surrogate, which UTF-8 cannot hold, is escaped as in JSON.
            yield line.encode(errors="backslashreplace").decode()
        return

    text = io.StringIO()
    _, separator = header_of(copy.original.path)
    with open_lines(copy.original.path) as lines:
        cells_of_rows = csv.reader(lines, delimiter=separator)
        columns = next(cells for cells in cells_of_rows if cells)
    writer = csv.DictWriter(text, columns, delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield text.getvalue()
