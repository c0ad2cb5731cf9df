"""Read data files into data sets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_ftgate.data.columns import Columns
from pytest_ftgate.data.csvfile import DELIMITERS, check_header, csv_header, delimiter_of, read_cells
from pytest_ftgate.data.example import DataSet, check_ids
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.jsonl import read_jsonl, read_objects
from pytest_ftgate.data.lines import UnopenedError, open_lines
from pytest_ftgate.data.row import examples_of
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.text import kind_of, listed, nearest

FORMATS = ("jsonl", "csv", "chat")
SUFFIXES = (".jsonl", ".ndjson", ".jsonlines", ".json-lines", *DELIMITERS)
"""Suffixes that tell the format of a file."""


def load_examples(
    path: Path,
    *,
    format: str | None = None,  # noqa: A002
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
) -> DataSet:
    """Return all examples of a file, or the first ``limit``; no row is skipped.

    Args:
        path: a UTF-8 file.
        format: ``jsonl``, ``chat`` (JSONL of conversations) or ``csv``; None: by the suffix, and JSONL is ``chat`` if
            the first row has ``messages`` and no ``input``.
        fields: what the file calls ``input``, ``expected``, ``id``, ``group``, ``messages`` or a further field.
        limit: at least 1; the hash is always that of the whole file.
        labeled: every row must have an expected output; otherwise a missing one is the empty text.

    Raises:
        DataError: the file cannot be read, or rows are not examples; names file and lines.
    """
    check_limit(limit, shown_path(path))
    chosen, names = _format(path, format), fields or {}
    clash = listed(name for name in ("input", "expected") if name in names)
    if chosen == "chat" and clash != "none":
        raise DataError(
            f"fields names {clash}, but in the format chat input and expected come from the messages",
            where=Where(path=shown_path(path), key="fields"),
            cure="to use the messages as input: format: jsonl, fields: {input: messages}",
        )
    chat = {"chat": True, "jsonl": False}.get(chosen)
    with open_lines(path) as lines:
        if chosen == "csv":
            check = partial(check_header, columns=Columns.of(names, chat=False, labeled=labeled))
            cells = read_cells(lines, delimiter=delimiter_of(path) or ",", check_header=check)
            rows = examples_of(lines.path, cells, names, chat=False, labeled=labeled)
        else:
            rows = read_jsonl(lines, names, chat=chat, labeled=labeled)
        examples = tuple(without_faults(islice(rows, limit)))
        sha256 = lines.sha256()
    if not examples:
        raise DataError("the file has no rows" if lines.number else "the file is empty", where=Where(path=lines.path))
    data = DataSet(examples, lines.path, sha256, lines.path)
    check_ids(data)
    return data


def column_names(path: Path) -> list[str]:
    """Return the column names of a file: the header of CSV, or the keys of the first row of JSONL."""
    chosen = _format(path, None)
    with open_lines(path) as lines:
        if chosen == "csv":
            return csv_header(lines, delimiter=delimiter_of(path) or ",")
        return next((list(row) for _, row in without_faults(read_objects(lines))), [])


def check_limit(limit: Any, path: str) -> None:
    """Raise :class:`DataError` unless the limit is None or a whole number of at least 1."""
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1):
        return
    found = limit if isinstance(limit, int | float) and not isinstance(limit, bool) else kind_of(limit)
    raise DataError(f"must be a whole number of at least 1, got {found}", where=Where(path=path, key="limit"))


def _format(path: Path, written: str | None) -> str:
    """Return one of ``FORMATS``, or ``by first row``."""
    suffix = path.suffix.lower()
    if written in FORMATS:
        return written
    if written is not None:
        near = nearest(str(written), FORMATS)
        raise DataError(
            f'unknown format "{written}"',
            where=Where(path=shown_path(path), key="format"),
            evidence=f"known: {listed(FORMATS)}",
            cure=f'did you mean "{near}"?' if near else None,
        )
    if suffix in SUFFIXES:
        return "csv" if suffix in DELIMITERS else "by first row"
    raise UnopenedError(
        f'unknown suffix "{path.suffix}"' if suffix else "the format is unknown, because the file has no suffix",
        where=Where(path=shown_path(path)),
        evidence=f"known: {', '.join(SUFFIXES)}",
        cure=f"give the format: {', '.join(FORMATS[:-1])} or {FORMATS[-1]}",
    )
