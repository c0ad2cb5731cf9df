"""Write the inputs that need a label as a file to be filled in: JSONL, or CSV.

It is blind: no answer, no model, and an order that tells nothing. What people have filled in is
never written over: of a file that is there only further inputs are added at its end.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from pytest_ftgate.data.example import expected_text
from pytest_ftgate.data.labels import read_labels
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.files import write_whole
from pytest_ftgate.result import GateResult, Unanswered
from pytest_ftgate.text import listed

_COLUMNS = ("id", "input", "expected")


def write_to_label(path: Path, results: Iterable[GateResult]) -> list[str]:
    """Add the inputs that need a label, and return a remark where there is none.

    Raises:
        DataError: the file that is there has no labels by id, or gates have different inputs.
        OSError: it cannot be written.
    """
    rows: dict[str, Unanswered] = {}
    origins = set()
    for result in results:
        if result.unlabeled is not None:
            origins.add((result.unlabeled.path, result.unlabeled.sha256))
            rows.update((row.id, row) for row in result.unlabeled.rows)
    if len(origins) > 1:
        message = "gates have different unlabeled sets, and labels are read by id"
        evidence = listed([str(origin) for origin, _ in sorted(origins, key=str)])
        cure = "write a file for each: run one of the gates at a time (-k)"
        raise DataError(message, where=_place(path), evidence=evidence, cure=cure)

    kept = b""
    if path.exists():
        kept = path.read_bytes()
        _check_columns(path, kept)
        for label in read_labels(path) if kept.strip() else ():
            rows.pop(label.id, None)
    if not rows:
        return [f"{shown_path(path)} is as it was: no further input needs a label"]

    if kept and not kept.endswith(b"\n"):
        kept += b"\n"
    has_header = bool(kept.strip())
    write_whole(path, [kept, _text(path, sorted(rows.values(), key=_chance), has_header)])
    return []


def _place(path: Path) -> Where:
    return Where(shown_path(path))


def _check_columns(path: Path, kept: bytes) -> None:
    """Refuse to add rows to a table with other columns, or other separators."""
    header = kept.decode("utf-8-sig", "replace").partition("\n")[0].strip()
    if path.suffix.lower() == ".csv" and header and header != ",".join(_COLUMNS):
        message = f"the file is there, and its header is not {','.join(_COLUMNS)}: nothing is "
        message += "written over"
        raise DataError(message, where=_place(path), cure="name another file")


def _chance(row: Unanswered) -> str:
    """Return what orders the rows as if by chance, the same in each run."""
    return sha256(row.id.encode("utf-8", "surrogatepass")).hexdigest()


def _text(path: Path, rows: Sequence[Unanswered], has_header: bool) -> str:
    if path.suffix.lower() != ".csv":
        lines = []
        for row in rows:
            values = {"id": row.id, "input": row.input, "expected": ""}
            lines.append(f"{json.dumps(values, ensure_ascii=False)}\n")
        return "".join(lines)

    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    if not has_header:
        writer.writerow(_COLUMNS)
    writer.writerows((row.id, expected_text(row.input), "") for row in rows)
    return table.getvalue()
