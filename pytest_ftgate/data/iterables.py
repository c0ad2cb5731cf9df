"""Read examples from the iterables that fixtures and markers give."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_ftgate.data.cells import Table, json_row, splits_of, table_of
from pytest_ftgate.data.example import DataSet, Example, canonical_json, item_place
from pytest_ftgate.data.formats import PLAIN
from pytest_ftgate.data.load import check_limit, data_set
from pytest_ftgate.data.rows import Forms, example_from_row, example_from_values
from pytest_ftgate.errors import DataError, FtgateError, Where, located
from pytest_ftgate.text import excerpt, kind_of, listed

_FORMS = 'each item must be an Example, a mapping {"input": ..., "expected": ...}, or a pair (input, expected)'


def examples_from(
    rows: Iterable[Any],
    *,
    origin: str,
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
) -> DataSet:
    """Return all examples of an iterable, or the first ``limit``; it is iterated once, and not beyond the limit.

    Items are ``Example`` objects, mappings with the keys of a JSONL row (conversations included), or pairs ``(input,
    expected)``, of JSON values, which are copied. ``origin`` is the source in messages: ``fixture ftgate_test_set``.
    For ``fields`` and ``labeled`` see :func:`load_examples`. A :class:`DataError` names the item.
    """
    check_limit(limit, origin)
    table = _table(rows, origin)
    forms = Forms(fields or {}, mappable=fields is not None, labeled=labeled, mixed=True)
    ours = Forms({}, PLAIN, mappable=False, labeled=labeled)
    examples: list[Example] = []
    left_out, digest = 0, hashlib.sha256()
    for number, item in enumerate(_items(rows if table is None else table.rows, origin), 1):
        place = item_place(origin, number)
        try:
            example = _example(item, forms, ours, place, table)
        except DataError as error:
            raise located(error, place) from None
        if example is None:
            left_out += 1
            continue
        examples.append(example)
        digest.update(canonical_json([*_parts(example).values()]).encode() + b"\n")
        if len(examples) == limit:
            break
    recognised = forms.described(type(rows).__name__ if table is not None else "")
    cure = "give at least one; a generator can be read only once"
    absent = DataError("the iterable is empty", where=Where(path=origin), cure=cure)
    data = DataSet(tuple(examples), None, digest.hexdigest(), origin, recognised, left_out)
    return data_set(data, "item", absent)


def content_of(rows: Iterable[Any]) -> str | None:
    """Return a hash of the contents of a list, tuple or table, which shows whether it was changed in place.

    Return None for other iterables, which cannot be changed or can be read only once, and for values without a text.
    """
    if hasattr(rows, "features"):  # of ``datasets``
        return None
    digest = hashlib.blake2b(digest_size=16)
    try:
        table = None if isinstance(rows, list | tuple) else table_of(rows)
        if table is None and not isinstance(rows, list | tuple):
            return None
        for row in rows if table is None else table.rows:
            digest.update(_state(_parts(row) if isinstance(row, Example) else row).encode() + b"\n")
    except Exception:  # the values' own code: what is wrong is said when they are read
        return None
    return digest.hexdigest()


_state = json.JSONEncoder(default=repr).encode


def _table(rows: Any, origin: str) -> Table | None:
    """Return the rows of a table; None for other iterables. Raise :class:`DataError` if there are no rows to read."""
    splits = splits_of(rows)
    if splits:
        cure = f"give one of them: {' or '.join(f'data[{one!r}]' for one in splits)}"
        what = f"must be an iterable of examples, got a mapping of the splits {listed(splits)}"
        raise DataError(what, where=Where(path=origin), cure=cure)
    try:
        table = table_of(rows)
    except DataError as error:
        raise located(error, Where(path=origin)) from None
    if table is None:
        _check_iterable(rows, origin)
    return table


def _check_iterable(rows: Any, origin: str) -> None:
    if isinstance(rows, str | os.PathLike):
        cure = "to read a file, set the gate's test_set or training_set to its path"
    elif isinstance(rows, Mapping):
        cure = "put the mapping in a list: it is one item"
    elif isinstance(rows, set | frozenset):
        cure = "use a list: a set has no order"
    elif isinstance(rows, bytes | bytearray) or not (hasattr(rows, "__iter__") or hasattr(rows, "__getitem__")):
        cure = "give a list, a tuple or a generator of examples"
    else:
        return
    kind = "None" if rows is None else f"a value of type {type(rows).__name__}"
    raise DataError(f"must be an iterable of examples, got {kind}", where=Where(path=origin), cure=cure)


def _items(rows: Iterable[Any], origin: str) -> Iterator[Any]:
    """Yield the items; an exception of the iterable is raised as :class:`DataError`."""
    number = 0
    try:
        for item in rows:
            number += 1
            yield item
    except (FtgateError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # pytest.skip() too: it must not skip a gate
        raise DataError(
            f"the iterable raised {type(error).__name__}: {excerpt(str(error), width=200)}",
            where=item_place(origin, number + 1),
        ) from error


def _example(item: Any, forms: Forms, ours: Forms, place: Where, table: Table | None) -> Example | None:
    if isinstance(item, Example):
        parts, bad = json_row(_parts(item))
        if bad:
            raise next(iter(bad.values()))
        own = parts.pop("fields")
        found = example_from_row(*ours.columns(parts), item.place or place)
        if not isinstance(own, dict):
            raise DataError(f"must be a mapping, got {kind_of(own)}", where=Where(key="fields"))
        return found and replace(found, fields=own)
    if isinstance(item, Mapping):
        return example_from_values(item, forms, place, table)
    if isinstance(item, tuple | list) and len(item) == 2:
        return example_from_values({"input": item[0], "expected": item[1]}, ours, place)
    size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise DataError(f"must be an example, got {kind_of(item)}{size}", cure=_FORMS)


def _parts(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in ("id", "input", "expected", "group", "fields")}
