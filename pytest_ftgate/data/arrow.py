"""Read Parquet and Arrow files, and the folders that ``datasets.save_to_disk`` writes, with PyArrow."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from pytest_ftgate.data.cells import Table, class_labels
from pytest_ftgate.data.jsonl import parse_object
from pytest_ftgate.data.lines import Lines, open_lines, read_text
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.text import excerpt, listed

_STATE, _SPLITS = "state.json", "dataset_dict.json"


def read_parquet(lines: Lines) -> Table:
    """Return the rows of a Parquet file."""
    parquet = _pyarrow("parquet", lines.path)
    with _readable(lines.path, "Parquet"):
        file = parquet.ParquetFile(io.BytesIO(lines.rest()))
        return Table(_rows(file.iter_batches(), lines.path, "Parquet"), _labels(file.schema_arrow))


def read_arrow(lines: Lines) -> Table:
    """Return the rows of an Arrow file, in the format of streams or of files."""
    ipc = _pyarrow("ipc", lines.path)
    content = lines.rest()
    with _readable(lines.path, "Arrow"):
        if content.startswith(b"ARROW1"):
            file = ipc.open_file(io.BytesIO(content))
            batches = map(file.get_batch, range(file.num_record_batches))
        else:
            batches = file = ipc.open_stream(io.BytesIO(content))
        return Table(_rows(batches, lines.path, "Arrow"), _labels(file.schema))


def is_saved(path: Path) -> bool:
    """Return whether a path is a folder that ``save_to_disk`` of a data set or of several splits wrote."""
    return any(os.path.isfile(path / name) for name in (_STATE, _SPLITS))


def saved_files(path: Path) -> list[Path]:
    """Return the Arrow files of a folder that ``save_to_disk`` wrote, in their order; refuse several splits."""
    if not (path / _STATE).is_file():
        splits = _described(path / _SPLITS).get("splits") or []
        cure = f"name one of them: {', '.join(shown_path(path / str(one)) for one in splits)}"
        what = f"the folder holds a DatasetDict with the splits {listed(splits)}"
        raise DataError(what, where=Where(path=shown_path(path)), cure=cure)
    files = _described(path / _STATE).get("_data_files") or []
    return [path / str(one["filename"]) for one in files]


def read_saved(path: Path) -> tuple[Table, str]:
    """Return the rows of such a folder, and the SHA-256 (hex) of its Arrow files one after the other."""
    tables, digest = [], sha256()
    for file in saved_files(path):
        with open_lines(file) as lines:
            tables.append(read_arrow(lines))
            digest.update(lines.sha256().encode())
    info = path / "dataset_info.json"
    features = _described(info).get("features") if info.is_file() else None
    labels = class_labels(features) if isinstance(features, dict) else tables[0].labels if tables else {}
    return Table((row for table in tables for row in table.rows), labels), digest.hexdigest()


def _described(path: Path) -> dict[str, Any]:
    return parse_object(read_text(path))


def _labels(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the labels that ``datasets`` notes in the schema of a file."""
    noted = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(noted)["info"]["features"] if noted else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return class_labels(features) if isinstance(features, dict) else {}


def _rows(batches: Iterable[Any], path: str, kind: str) -> Iterator[dict[str, Any]]:
    with _readable(path, kind):
        for batch in batches:
            yield from batch.to_pylist()


def _pyarrow(module: str, path: str) -> Any:
    try:
        return import_module(f"pyarrow.{module}")
    except ImportError:
        cure = 'pip install "pytest-ftgate[parquet]"'
        raise DataError("reading this file needs PyArrow", where=Where(path=path), cure=cure) from None


@contextmanager
def _readable(path: str, kind: str) -> Iterator[None]:
    """Raise PyArrow's errors about a file, which are ValueErrors and OSErrors, as :class:`DataError`."""
    try:
        yield
    except (ValueError, OSError, NotImplementedError, KeyError) as error:
        what = f"not a {kind} file that PyArrow can read: {excerpt(str(error), width=200)}"
        raise DataError(what, where=Where(path=path), cure="write the file again") from error
