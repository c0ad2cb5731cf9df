"""Read labels by id: the rows of ``--ftgate-report=to_label:FILE`` that people have filled in."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.data.cells import json_row
from pytest_ftgate.data.example import expected_text
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.load import opened
from pytest_ftgate.data.rows import part_of
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import listed


class Label(NamedTuple):
    """Hold the label of an id, None where it is missing, and its place."""

    id: str
    expected: Any
    place: Where


def is_missing(expected: Any) -> bool:
    """Return whether an expected output of unlabeled_set is missing: null, or blank."""
    return expected is None or not expected_text(expected).strip()


def read_labels(path: Path) -> Iterator[Label]:
    """Yield the label of each row of a file of any format.

    Raises:
        DataError: the file cannot be read, or a row has no id or no column of a label.
    """
    with opened(path) as source:
        for number, values in without_faults(source.rows):
            row, _ = json_row(values, source.table)
            place = source.place(number)
            column = "expected"
            if column not in row:
                column = next((name for name in row if part_of(name) == column), column)
            for name in ("id", column):
                if name not in row:
                    raise _no_field(name, row, place)

            label = None if is_missing(row[column]) else row[column]
            yield Label(str(row["id"]), label, place)


def _no_field(name: str, row: Mapping[str, Any], place: Where) -> DataError:
    evidence = f"found: {listed(row)}"
    cure = "each row needs id and expected, as --ftgate-report=to_label:FILE writes them"
    return DataError(f'no field "{name}"', where=place, evidence=evidence, cure=cure)
