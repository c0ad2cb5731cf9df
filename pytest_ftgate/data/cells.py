"""Turn the values of Python objects and of columnar files into JSON values, so that all rows follow the same rules."""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.strict_json import parse_object
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, kind_of, listed

_SPOKEN = {
    *(
        "messages",
        "conversations",
        "contents",
        "system",
        "systemInstruction",
        "system_instruction",
        "tools",
    ),
    *("prompt", "completion", "chosen", "rejected", "input"),
}
"""Columns that hold messages. Columnar files fill keys that only some messages have with nulls, which mean nothing."""


class Table(NamedTuple):
    """The rows of a table with typed columns, and the labels of its columns that hold their numbers."""

    rows: Iterable[Mapping[str, Any]]
    labels: Mapping[str, tuple[str, ...]] = {}


def json_row(
    row: Mapping[Any, Any], table: Table | None = None
) -> tuple[dict[str, Any], dict[str, DataError]]:
    """Return a copy of the row as if read from a JSONL file, and the errors of its values that are not JSON values.

    Scalars and arrays of NumPy are values; a NaN in a cell is a missing value. ``table`` is what
    the row is from.
    """
    bad: dict[str, DataError] = {}
    if table is not None:
        row = {key: _cell(key, value, table.labels.get(key)) for key, value in row.items()}
    try:
        text = _json(row)
    except (TypeError, ValueError, RecursionError):
        row, bad = _sorted_out(row)
        text = _json(row)
    return parse_object(text), bad


def _cell(key: str, value: Any, labels: tuple[str, ...] | None) -> Any:
    if labels is not None:
        return _labeled(value, labels)
    return _without_nulls(value) if key in _SPOKEN else value


def _labeled(value: Any, labels: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_labeled(one, labels) for one in value]
    return None if value is None or value < 0 else labels[value]  # -1: no label


def _without_nulls(value: Any) -> Any:
    value = _listed(value)
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    if isinstance(value, Mapping):
        parts = ((key, _without_nulls(one)) for key, one in value.items())
        return {key: one for key, one in parts if one is not None or key == "content"}
    return value


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _sorted_out(row: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, DataError]]:
    """Return the cells that are JSON values, and the errors of the others."""
    good: dict[str, Any] = {}
    bad: dict[str, DataError] = {}
    for key, value in row.items():
        nothing = (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in (
            "NAType",
            "NaTType",
        )
        cell = None if nothing else value  # a missing value of a table: NaN, or pandas' NA and NaT
        try:
            _json({key: cell})
            good[key] = cell
        except (TypeError, ValueError, RecursionError) as error:
            what, found = f"not a JSON value: {error}", f"found: {_shown(value)}"
            cure = "use text, numbers, booleans, None, and lists or mappings of these"
            bad[str(key)] = DataError(what, where=Where(key=str(key)), evidence=found, cure=cure)
    return good, bad


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return value.tolist()
    raise TypeError(f"type {type(value).__name__}")


_json = json.JSONEncoder(allow_nan=False, default=_plain).encode


def _shown(value: Any) -> str:
    try:
        return excerpt(repr(value))
    except Exception:  # the value's own __repr__, or an integer with more digits than Python prints
        return kind_of(value)


def table_of(given: Any) -> Table | None:
    """Return the rows of a frame of pandas, polars or Arrow, or a ``datasets.Dataset``; else None."""
    if isinstance(features := getattr(given, "features", None), Mapping):
        return Table(given, class_labels(features))
    if hasattr(given, "collect") and hasattr(given, "collect_schema"):  # a lazy frame of polars
        given = given.collect()
    if hasattr(given, "iter_rows") and hasattr(given, "to_dicts"):  # polars
        return Table(given.iter_rows(named=True))
    if hasattr(given, "to_pylist") and hasattr(given, "column_names"):  # Arrow
        return Table(given.to_pylist())
    if hasattr(given, "to_dict") and hasattr(given, "columns"):  # pandas
        names = [str(name) for name in given.columns]
        if len(set(names)) < len(names):
            raise DataError("two columns have the same name", evidence=f"found: {listed(names)}")
        return Table(
            {str(key): value for key, value in row.items()} for row in given.to_dict("records")
        )
    return None


def class_labels(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the labels of the columns that hold their numbers, of the features of ``datasets``: objects or JSON."""
    return {key: names for key, one in features.items() if (names := _label_names(one)) is not None}


def _label_names(feature: Any) -> tuple[str, ...] | None:
    kind, names, inner = (
        (feature.get("_type"), feature.get("names"), feature.get("feature"))
        if isinstance(feature, Mapping)
        else (
            type(feature).__name__,
            getattr(feature, "names", None),
            getattr(feature, "feature", None),
        )
    )
    if kind == "ClassLabel" and names:
        return tuple(names)
    return None if inner is None else _label_names(inner)


def read_parquet(lines: Lines) -> Table:
    """Return the rows of a Parquet file."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        where = Where(path=lines.path)
        raise DataError(
            "reading this file needs PyArrow", where=where, cure="pip install pyarrow"
        ) from None
    with _readable(lines.path):
        file = ParquetFile(io.BytesIO(lines.file.read()))
        return Table(_batches(file, lines.path), _noted_labels(file.schema_arrow))


def _batches(file: Any, path: str) -> Iterator[dict[str, Any]]:
    with _readable(path):
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _noted_labels(schema: Any) -> dict[str, tuple[str, ...]]:
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
