"""Turn the values of Python objects and columnar files into JSON values."""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.strict_json import object_of, parse_object
from pytest_ftgate.errors import DataError, Where
from pytest_ftgate.text import excerpt, kind_of, listed

_SPOKEN = frozenset(
    (
        "messages",
        "conversations",
        "contents",
        "system",
        "systemInstruction",
        "system_instruction",
        "tools",
        "prompt",
        "completion",
        "chosen",
        "rejected",
        "input",
    )
)
"""Columns that hold messages, whose absent keys columnar files fill with nulls."""


class Table(NamedTuple):
    """The rows of a table with typed columns, and the labels of columns that hold their numbers."""

    rows: Iterable[Mapping[str, Any]]
    labels: Mapping[str, tuple[str, ...]] = {}


def json_row(
    row: Mapping[Any, Any], table: Table | None = None
) -> tuple[dict[str, Any], dict[str, DataError]]:
    """Return a copy of the row as if read from JSONL, and the errors of its other values.

    Scalars and arrays of NumPy are values; a NaN in a cell is a missing value. ``table`` is what
    the row is from.
    """
    if table is not None:
        row = {key: _cell(key, value, table.labels.get(key)) for key, value in row.items()}

    bad: dict[str, DataError] = {}
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
        return [_labeled(number, labels) for number in value]
    return None if value is None or value < 0 else labels[value]  # -1: no label


def _without_nulls(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, Mapping):
        return value

    filled = {}
    for key, item in value.items():
        item = _without_nulls(item)
        if item is not None or key == "content":
            filled[key] = item
    return filled


def _sorted_out(row: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, DataError]]:
    """Return the cells that are JSON values, and the errors of the others."""
    good: dict[str, Any] = {}
    bad: dict[str, DataError] = {}
    for key, value in row.items():
        if _is_missing(value):
            value = None
        # Only cells that are read must be JSON values, so each is tried alone.
        try:
            _json({key: value})
            good[key] = value
        except (TypeError, ValueError, RecursionError) as error:
            bad[str(key)] = DataError(
                f"not a JSON value: {error}",
                where=Where(key=str(key)),
                evidence=f"found: {_shown(value)}",
                cure="use text, numbers, booleans, None, and lists or mappings of these",
            )
    return good, bad


def _is_missing(value: Any) -> bool:
    """Return whether a cell of a table has no value: NaN, or pandas' NA and NaT."""
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return value.tolist()
    raise TypeError(f"type {type(value).__name__}")


_json = json.JSONEncoder(allow_nan=False, default=_plain).encode


def _shown(value: Any) -> str:
    try:
        return excerpt(" ".join(repr(value).split()))
    except Exception:  # the value's own __repr__, or an integer with more digits than Python prints
        return kind_of(value)


def table_of(value: Any) -> Table | None:
    """Return the rows of a frame of pandas, polars or Arrow, a dataset, or a dict of columns.

    Return None for any other object.
    """
    features = getattr(value, "features", None)
    if isinstance(features, Mapping):
        return Table(value, class_labels(features))
    if hasattr(value, "collect") and hasattr(value, "collect_schema"):  # a lazy frame of polars
        value = value.collect()

    if isinstance(value, Mapping):
        return _table_of_columns(value)

    # The libraries are told apart by their methods, so that none is imported.
    if hasattr(value, "iter_rows") and hasattr(value, "to_dicts"):  # polars
        return Table(value.iter_rows(named=True))
    if hasattr(value, "to_pylist") and hasattr(value, "column_names"):  # Arrow
        return Table(value.to_pylist())
    if not hasattr(value, "to_dict") or not hasattr(value, "columns"):
        return None

    # pandas
    names = [str(name) for name in value.columns]
    if len(set(names)) < len(names):
        raise DataError("two columns have the same name", evidence=f"found: {listed(names)}")
    rows = value.to_dict("records")
    return Table(dict(zip(names, row.values(), strict=True)) for row in rows)


_SPLITS = {"train", "test", "validation"}
"""The keys of a mapping that holds several data sets, and no columns."""


def _table_of_columns(columns: Mapping[Any, Any]) -> Table | None:
    """Return the rows of a mapping of columns of one length; None for another mapping."""
    lengths = set(lengths_of(columns).values())
    if len(columns) < 2 or len(lengths) != 1 or columns.keys() <= _SPLITS:
        return None
    rows = zip(*columns.values(), strict=True)
    return Table([dict(zip(map(str, columns), row, strict=True)) for row in rows])


def lengths_of(columns: Mapping[Any, Any]) -> dict[str, int]:
    """Return the length of each column by its name; none where a value is no column."""
    lengths = {}
    for name, column in columns.items():
        if isinstance(column, str | Mapping) or not hasattr(column, "__len__"):
            return {}
        lengths[str(name)] = len(column)
    return lengths


def index_of(value: Any, limit: int | None) -> tuple[Any, ...] | None:
    """Return the label of each row of a frame of pandas, or of the first ``limit``, else None."""
    index: Any = getattr(value, "index", None)
    if not hasattr(index, "tolist") or not hasattr(value, "columns"):
        return None
    return tuple(index[:limit].tolist())


def class_labels(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the labels of columns that hold their numbers, by the features of ``datasets``."""
    labels = {}
    for key, feature in features.items():
        names = _label_names(feature)
        if names is not None:
            labels[key] = names
    return labels


def _label_names(feature: Any) -> tuple[str, ...] | None:
    if not isinstance(feature, Mapping):
        kind = type(feature).__name__
        feature = {name: getattr(feature, name, None) for name in ("names", "feature")}
        feature["_type"] = kind

    names = feature.get("names")
    if feature.get("_type") == "ClassLabel" and names:
        return tuple(names)
    if feature.get("feature") is None:
        return None
    return _label_names(feature["feature"])  # of the items of a list


def read_parquet(lines: Lines) -> Table:
    """Return the rows of a Parquet file."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        message = "reading this file needs PyArrow"
        raise DataError(message, where=Where(path=lines.path), cure="pip install pyarrow") from None

    with _readable(lines.path):
        file = ParquetFile(io.BytesIO(lines.file.read()))
        return Table(_batches(file, lines.path), _labels_in(file.schema_arrow))


def _batches(file: Any, path: str) -> Iterator[dict[str, Any]]:
    with _readable(path):
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _labels_in(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return the labels that ``datasets`` notes in the schema of a file."""
    note = (schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(note)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return class_labels(object_of(features))


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Raise PyArrow's errors about a file as :class:`DataError`."""
    try:
        yield
    except (ValueError, OSError, NotImplementedError, KeyError) as error:
        message = f"not a Parquet file that PyArrow can read: {excerpt(str(error), width=200)}"
        raise DataError(message, where=Where(path=path), cure="write the file again") from error
