"""Write copies of the data files without repeated rows and without the training rows that leak the test set."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.audit import TrainingAudit
from pytest_ftgate.checks.audit.exact import outputs_of
from pytest_ftgate.data import DataSet, normalized_input
from pytest_ftgate.data.cells import json_row
from pytest_ftgate.data.load import opened
from pytest_ftgate.data.rows import RowReader
from pytest_ftgate.errors import ConfigError, Where, shown_path, without_faults, write_whole
from pytest_ftgate.text import plural


@dataclass(frozen=True)
class Source:
    """A loaded data file; ``fields`` are the columns that the user names."""

    path: Path
    data: DataSet
    fields: Mapping[str, str]


Copies = Mapping[Path, tuple[Source, Mapping[str, set[int]]]]
"""By the path of each copy: the original, and the rows that the copy leaves out, by the reason."""


def removable(test: Source, training: Source, audit: TrainingAudit) -> Copies:
    """Return which copies to write: without repeats with the same output, near duplicates, and rows of the test set.

    A repeat with another output stays: which of the two is right is for a person to decide. A copy is written as JSON
    Lines, whatever the original is; it must not exist yet.
    """
    outputs, first = outputs_of(test.data), dict[str, int]()
    pairs = [(row, first.setdefault(normalized_input(one.input), row)) for row, one in enumerate(test.data)]
    same = {row for row, other in pairs if row != other and outputs[row] == outputs[other]}
    leaks = {row for _, row in (*audit.leaked_rows, *audit.leaked_near_rows)}
    repeats = {row for row, _ in {*audit.repeats} - {*audit.conflict_rows}} | _repeated_ids(training.data)
    near = {row for row, _ in audit.near_rows} - repeats
    of_training = {"exact duplicate": repeats - leaks, "near duplicate": near - leaks, "leaked row": leaks}
    copies = {}
    for source, removed in ((test, {"exact duplicate": same | _repeated_ids(test.data)}), (training, of_training)):
        copy = source.path.with_name(f"{Path(source.path.name.removesuffix('.gz')).stem}.deduped.jsonl")
        if copy in copies:
            copy = source.path.with_name(f"{source.path.name}.deduped.jsonl")
        if any(removed.values()):
            if os.path.lexists(copy):
                cure = "Move or delete it, or leave out --dedupe to use the original."
                raise ConfigError("the file exists, and nothing was written", where=Where(shown_path(copy)), cure=cure)
            copies[copy] = source, removed
    return copies


def _repeated_ids(data: DataSet) -> set[int]:
    """Return the rows with an own id that an earlier row has; the other values are the same, as was checked."""
    first: dict[str, int] = {}
    return {row for row, one in enumerate(data) if first.setdefault(one.id, row) != row and one.has_own_id}


def write_copies(copies: Copies) -> Iterator[str]:
    """Write the copies, and yield a sentence for each. Raises :class:`OSError`."""
    for copy, (source, removed) in copies.items():
        kept = list(_rows_without(source, set().union(*removed.values())))
        written = (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in kept)
        # A lone surrogate, which UTF-8 cannot hold, is escaped as in JSON.
        write_whole(copy, (line.encode(errors="backslashreplace").decode() for line in written))
        counts = ", ".join(plural(len(rows), reason) for reason, rows in removed.items() if rows)
        yield f"removed     {counts}: {shown_path(copy)} has the other {plural(len(kept), 'row')}"


def _rows_without(source: Source, removed: Collection[int]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file but these examples; a row without an output to learn is no example, and is kept."""
    reader, number = RowReader(source.fields), -1
    with opened(source.path) as file:
        for _, raw in without_faults(file.rows):
            row = raw
            if file.table is not None:
                good, other = json_row(raw, file.table)
                row = {**raw, **good, **{name: str(raw[name]) for name in other if isinstance(raw[name], float)}}
            found = reader.example(row, Where(source.data.path))
            number += found is not None
            if found is None or number not in removed:
                yield row
