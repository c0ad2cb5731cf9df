"""Read Parquet files with PyArrow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_ftgate.data.cells import Table, class_labels
from pytest_ftgate.data.lines import Lines
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt


def read_parquet(lines: Lines) -> Table:
    """Return the rows of a Parquet file."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        cure = 'pip install "pytest-ftgate[parquet]"'
        raise DataError("reading this file needs PyArrow", where=Where(path=lines.path), cure=cure) from None
    with _readable(lines.path):
        file = ParquetFile(io.BytesIO(lines.rest()))
        return Table(_rows(file, lines.path), _labels(file.schema_arrow))


def _rows(file: Any, path: str) -> Iterator[dict[str, Any]]:
    with _readable(path):
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _labels(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the labels that ``datasets`` notes in the schema of a file."""
    noted = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(noted)["info"]["features"] if noted else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return class_labels(features) if isinstance(features, dict) else {}


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Raise PyArrow's errors about a file, which are ValueErrors and OSErrors, as :class:`DataError`."""
    try:
        yield
    except (ValueError, OSError, NotImplementedError, KeyError) as error:
        what = f"not a Parquet file that PyArrow can read: {excerpt(str(error), width=200)}"
        raise DataError(what, where=Where(path=path), cure="write the file again") from error
