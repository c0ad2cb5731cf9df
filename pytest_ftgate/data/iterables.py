"""Read examples from the iterables that fixtures and markers give."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from pytest_ftgate.data.columns import Columns, is_chat
from pytest_ftgate.data.example import DataSet, Example, canonical_json, check_ids, item_place
from pytest_ftgate.data.jsonl import parse_object
from pytest_ftgate.data.load import check_limit
from pytest_ftgate.data.row import checked_example, example_from_row
from pytest_ftgate.errors import DataError, FtgateError, Where, located
from pytest_ftgate.text import excerpt, kind_of

_FORMS = 'each item must be an Example, a mapping {"input": ..., "expected": ...}, or a pair (input, expected)'


def examples_from(
    rows: Iterable[Any],
    *,
    origin: str,
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
) -> DataSet:
    """Return all examples of an iterable, or the first ``limit``; it is iterated once.

    Args:
        rows: items are ``Example`` objects, mappings with the keys of a JSONL row (conversations included), or pairs
            ``(input, expected)``. All values must be JSON values, and are copied.
        origin: the source of the iterable in messages: ``fixture ftgate_test_set``.
        fields: what the mappings call ``input``, ``expected`` and so on.
        limit: at least 1; the iterable is not read beyond it.
        labeled: every item must have an expected output; otherwise a missing one is the empty text.

    Raises:
        DataError: ``rows`` is no such iterable or raised an exception, or an item is not an example; names the item.
    """
    check_limit(limit, origin)
    _check_iterable(rows, origin)
    examples: list[Example] = []
    digest = hashlib.sha256()
    for number, item in enumerate(_items(rows, origin, limit), 1):
        place = item_place(origin, number)
        try:
            example = _example(item, fields, place, labeled=labeled)
        except DataError as error:
            raise located(error, place) from None
        examples.append(example)
        digest.update(_canonical(example).encode() + b"\n")
    if not examples:
        cure = "give at least one; a generator can be read only once"
        raise DataError("the iterable is empty", where=Where(path=origin), cure=cure)
    data = DataSet(tuple(examples), None, digest.hexdigest(), origin)
    check_ids(data)
    return data


def content_of(rows: Iterable[Any]) -> str | None:
    """Return a hash of the contents of a list or tuple, which shows whether it was changed in place.

    Return None for other iterables, which may be readable only once, and for values that are not JSON.
    """
    if not isinstance(rows, list | tuple):
        return None
    digest = hashlib.blake2b(digest_size=16)
    try:
        for row in rows:
            digest.update(_json(_parts(row) if isinstance(row, Example) else row).encode() + b"\n")
    except (TypeError, ValueError, RecursionError):
        return None
    return digest.hexdigest()


def _canonical(example: Example) -> str:
    return canonical_json([example.id, example.input, example.expected, example.group, dict(example.fields)])


def _check_iterable(rows: Any, origin: str) -> None:
    if isinstance(rows, str | os.PathLike):
        cure = "to read a file, set the gate's test_set or training_set to its path"
    elif isinstance(rows, Mapping):
        cure = "put the mapping in a list: it is one item"
    elif isinstance(rows, set | frozenset):
        cure = "use a list: a set has no order"
    elif hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        cure = 'use the rows of the table: table.to_dict("records")'
    elif isinstance(rows, bytes | bytearray) or not (hasattr(rows, "__iter__") or hasattr(rows, "__getitem__")):
        cure = "give a list, a tuple or a generator of examples"
    else:
        return
    kind = "None" if rows is None else f"a value of type {type(rows).__name__}"
    raise DataError(f"must be an iterable of examples, got {kind}", where=Where(path=origin), cure=cure)


def _items(rows: Iterable[Any], origin: str, limit: int | None) -> Iterator[Any]:
    """Yield the items; an exception of the iterable is raised as :class:`DataError`."""
    number = 0
    try:
        for item in islice(rows, limit):
            number += 1
            yield item
    except (FtgateError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # pytest.skip() too: it must not skip a gate
        raise DataError(
            f"the iterable raised {type(error).__name__}: {excerpt(str(error), width=200)}",
            where=item_place(origin, number + 1),
        ) from error


def _example(item: Any, fields: Mapping[str, str] | None, place: Where, *, labeled: bool) -> Example:
    if isinstance(item, Example):
        return checked_example(_json_row(_parts(item)), item.place or place, labeled=labeled)
    if isinstance(item, Mapping):
        row, names = _json_row(item), fields or {}
        chat, mappable = is_chat(row, names), fields is not None
    elif isinstance(item, tuple | list) and len(item) == 2:
        row, names = _json_row({"input": item[0], "expected": item[1]}), {}
        chat = mappable = False
    else:
        size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
        raise DataError(f"must be an example, got {kind_of(item)}{size}", cure=_FORMS)
    return example_from_row(row, Columns.of(names, chat=chat, mappable=mappable, labeled=labeled), place)


def _parts(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in ("id", "input", "expected", "group", "fields")}


def _json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the row as if read from a JSONL file, so that the same rules apply."""
    try:
        text = _json(row)
    except (TypeError, ValueError, RecursionError):
        raise _no_json(row) from None
    return parse_object(text)


def _plain(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"type {type(value).__name__}")


_json = json.JSONEncoder(allow_nan=False, default=_plain).encode


def _no_json(row: Mapping[str, Any]) -> DataError:
    for key, value in row.items():
        try:
            _json({key: value})
        except (TypeError, ValueError, RecursionError) as error:
            return DataError(
                f"not a JSON value: {error}",
                where=Where(key=str(key)),
                evidence=f"found: {_shown(value)}",
                cure="use text, numbers, booleans, None, and lists or mappings of these",
            )
    return DataError("not a JSON object")


def _shown(value: Any) -> str:
    try:
        return excerpt(repr(value))
    except Exception:  # the value's own __repr__, or an integer with more digits than Python prints
        return kind_of(value)
