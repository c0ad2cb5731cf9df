"""Turn rows into examples, whatever their format, the names of their columns and where they come from."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_ftgate.data.cells import Table, json_row, splits_of, table_of
from pytest_ftgate.data.example import (
    DataSet,
    Example,
    Input,
    canonical_json,
    check_limit,
    checked,
    content_id,
    item_place,
)
from pytest_ftgate.data.formats import PLAIN, Format, format_of
from pytest_ftgate.data.messages import checked_calls, checked_messages
from pytest_ftgate.errors import DataError, FtgateError, Where, located
from pytest_ftgate.text import excerpt, kind_of, listed, nearest

_USUAL = {
    "input": ("input", "text", "question", "prompt", "query", "instruction", "utterance", "sentence"),
    "expected": (
        *("expected", "label", "answer", "output", "completion", "response", "target", "intent", "category", "class"),
        "labels",
    ),
}
"""Names of these columns that are understood where exactly one of them is there."""

_LIKELY = {"input": ("message", "messages"), "messages": ("conversation", "conversations", "dialog", "chat")}
"""Further names that errors suggest."""

NEVER = frozenset(("rejected", "non_preferred_output", "kto_tag", "chosen_score", "score_chosen", "score_rejected"))
"""Columns that are never suggested: they hold what a model must not answer, or only judge it."""

_ABSENT: Any = object()


def _part_of(path: str) -> str | None:
    """Return the part of an example that a path names: its first word, or its singular, which is a usual name."""
    words = [{word, word.removesuffix("s")} for word in path.strip().lower().split(".")]
    return next((part for one in words for part, names in _USUAL.items() if not one.isdisjoint(names)), None)


def paths_of(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of everything in a row that is not an object: ``answers.text``."""
    for key, value in row.items():
        if isinstance(value, Mapping) and value:
            yield from paths_of(value, f"{above}{key}.")
        else:
            yield above + key, value


@dataclass(frozen=True)
class _Columns:
    """The columns of a row that hold the parts of an example.

    Attributes:
        column: the column of each key of the format, and of ``id`` and ``group``.
        renamed: the columns of further fields that have another name in the row.
        required: the columns that every row must have, by the name of their part or field.
        taken: all columns that are not further fields under their own name.
        title: what reports call the rows; empty where they have our own names, or those of the user.
    """

    format: Format
    column: Mapping[str, str]
    renamed: Mapping[str, str]
    required: Mapping[str, str]
    taken: frozenset[str]
    title: str


class RowReader:
    """Read the rows of a data set, in the format and the columns of the first row unless the format is given.

    Errors lack file and line.

    Args:
        fields: what the rows call the parts of an example; ``answers.text`` is a value within a value.
        form: the format of all rows; None: that of the first row.
        mappable: the user can name columns beside the rows.
        labeled: every row must have an expected output.
        mixed: each row may have a format of its own.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        form: Format | None = None,
        *,
        mappable: bool = True,
        labeled: bool = True,
        mixed: bool = False,
    ) -> None:
        self._fields, self._given, self._mappable, self._labeled, self._mixed = fields, form, mappable, labeled, mixed
        self._paths = [path for path in fields.values() if "." in path]
        self._known: dict[tuple[str, ...], _Columns] = {}
        self._first: _Columns | None = None

    def described(self, container: str) -> str:
        """Return what was recognised: ``chat JSONL (OpenAI)``; empty for rows as we write them ourselves."""
        if self._first is None or (not self._first.title and container in ("JSONL", "CSV", "TSV", "")):
            return ""
        form = self._first.format
        return " ".join(filter(None, (self._first.title or form.title, container, form.by and f"({form.by})")))

    def check_header(self, names: Collection[str]) -> None:
        """Raise :class:`DataError` if the header of a table lacks a column."""
        row = dict.fromkeys(names, "")
        self._check(row, self._columns_of(self._given or self._format_of(row) or PLAIN, row))

    def examples(
        self,
        rows: Iterable[tuple[int, Mapping[str, Any]] | DataError],
        place_of: Callable[[int], Where],
        table: Table | None = None,
    ) -> Iterator[Example | DataError | None]:
        """Yield the example of each row, None if it is left out, or its error; ``table``: values are not JSON yet."""
        for found in rows:
            if isinstance(found, DataError):
                yield found
                continue
            place = place_of(found[0])
            try:
                yield self.example(found[1], {}, place) if table is None else self.of_values(found[1], place, table)
            except DataError as error:
                yield located(error, place)

    def of_values(self, values: Mapping[Any, Any], place: Where, table: Table | None = None) -> Example | None:
        """Return the example in a row of Python values, of which those that are not used may be of any type."""
        return self.example(*json_row(values, table), place)

    def example(self, row: Mapping[str, Any], bad: Mapping[str, DataError], place: Where) -> Example | None:
        """Return the example in a row of JSON values; None if it is left out; ``bad``: errors of others."""
        row, columns = self.recognised({**row, **bad} if bad else row)
        if (wrong := next((one for name, one in bad.items() if name in columns.taken), None)) is not None:
            raise wrong
        column, form = columns.column, columns.format
        parts = form.parts(row, column)
        if parts is None:
            return None
        fields = {name: one for name, one in row.items() if name not in columns.taken and name not in bad}
        fields.update((name, row[theirs]) for name, theirs in columns.renamed.items())
        if parts.tools is not None:
            fields["tools"] = parts.tools
        given = _checked_input(parts.input, column.get("input", form.keys[0]))
        group = row[column["group"]] if column.get("group") in row else None
        group = "" if group is None else _text_of(group, column["group"])
        return Example(
            id=_checked_id(row[column["id"]], column["id"]) if column.get("id") in row else content_id(given),
            input=given,
            expected=self._checked_expected(parts.expected, column.get("expected", form.keys[-1])),
            group=group if group.strip() else None,
            fields=fields,
            place=place,
        )

    def _checked_expected(self, value: Any, key: str) -> Any:
        if value is None and self._labeled:
            cure = 'write the output, or "" if the output should be empty'
            raise DataError("the expected output is null", where=Where(key=key), cure=cure)
        if isinstance(value, list) and value and all(isinstance(one, dict) and "function" in one for one in value):
            return checked_calls(value, key)
        return "" if value is None else value

    # --- columns -----------------------------------------------------------------------------------------------------

    def recognised(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], _Columns]:
        """Return a row, with the values that the fields name within others, and its columns.

        Raise :class:`DataError` if it lacks columns, or has another format than the first row.
        """
        row = self._unpacked(row)
        if (known := self._known.get(tuple(row))) is not None:
            return row, known
        found = None if self._given else self._format_of(row)
        columns = self._first
        if columns is None or self._mixed:
            columns = self._columns_of(self._given or found or PLAIN, row)
            self._paths += (path for path in columns.column.values() if "." in path)
            row = self._unpacked(row)
        self._check(row, columns)
        if found not in (None, columns.format):
            raise DataError(
                f"this row is {found.title}, and the rows before it are {columns.format.title}",
                evidence=f"found: {listed(row)}",
                cure=f"all rows need one format: name it, for example format: {found.name}",
            )
        self._first = self._first or columns
        self._known[tuple(row)] = columns
        return row, columns

    def _unpacked(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the values that paths name within others."""
        for path in self._paths:
            if path not in row and (value := _value_at(row, path)) is not _ABSENT:
                row = {**row, path: value}
        return row

    def _format_of(self, row: Mapping[str, Any]) -> Format | None:
        if "input" in self._fields or "expected" in self._fields:
            return PLAIN
        return format_of({**row, **{name: row[theirs] for name, theirs in self._fields.items() if theirs in row}})

    def _columns_of(self, form: Format, row: Mapping[str, Any]) -> _Columns:
        """Return the columns of rows like this one: those of ``fields``, which must exist, else the usual names.

        Where no column has a usual name, two texts may be both parts: in other columns, or within objects.
        """
        absent = _USUAL.keys() - self._fields.keys() - set(row) if form is PLAIN else ()
        free = {name: value for name, value in row.items() if name not in self._fields.values()}
        names = {part: [name for name in free if name.strip().lower() in _USUAL[part]] for part in absent}
        if not any(names.values()):
            texts = [path for path, value in paths_of(free) if isinstance(value, str)]
            inner = {part: [path for path in texts if _part_of(path) == part] for part in absent}
            names = inner if [*map(len, inner.values())] == [1, 1] else {}
        usual = {part: found[0] for part, found in names.items() if len(found) == 1}
        _check_twin(usual.get("expected", ""), free)
        fields = {**usual, **self._fields}
        own = (name for name in ("id", "group") if name in fields or name not in fields.values())
        column = {name: fields.get(name, name) for name in (*form.keys, *own)}
        renamed = {name: theirs for name, theirs in fields.items() if name not in column}
        required = {**{name: column[name] for name in form.keys if self._labeled or name != "expected"}, **fields}
        whole = (column[name].partition(".")[0] for name in form.keys)  # what holds the answer is no field
        title = "/".join(column[name] for name in form.keys) if usual else form.title if form is not PLAIN else ""
        taken = frozenset((*form.uses, *column.values(), *renamed.values(), *whole))
        return _Columns(form, column, renamed, required, taken, title)

    def _check(self, row: Mapping[str, Any], columns: _Columns) -> None:
        """Raise :class:`DataError` if a row lacks a column."""
        absent = {name: column for name, column in columns.required.items() if column not in row}
        if not absent:
            return
        mapped = {name: f', which `fields` maps to "{name}"' if name != one else "" for name, one in absent.items()}
        leaves = [*paths_of(row)]
        other, unmapped = format_of(row), columns.format is not PLAIN or {"input", "expected"} <= absent.keys()
        if other not in (None, columns.format) and unmapped:
            cure = f'this row is {other.title}; all rows need the format of the first row or of "format"'
        else:
            likely = _likely_columns(absent, [name for name, _ in leaves if name not in columns.column.values()])
            pairs = ", ".join(f"{name}: {listed([likely[name]]) if name in likely else 'NAME'}" for name in absent)
            cure = f"map the columns: fields: {{{pairs}}}"
            if not self._mappable:
                cure = f"rename the keys, or give {{path: ROWS, fields: {{{pairs}}}}} in place of the rows"
        what = "; ".join(f'no field "{column}"{mapped[name]}' for name, column in absent.items())
        raise DataError(what, evidence=f"found: {listed(name for name, _ in leaves)}", cure=cure)


def _check_twin(label: str, row: Mapping[str, Any]) -> None:
    """Raise :class:`DataError` if the label is a number, and beside it is a text of that name, as ``label_text``."""
    is_number, texts = re.compile(r"[-\d.]*").fullmatch, (name for name, one in row.items() if isinstance(one, str))
    twins = [name for name in texts if name.startswith(f"{label}_") and not is_number(row[name])]
    if label and twins and is_number(str(row[label])):
        what = f'the expected output may be the number in "{label}" or the text in "{twins[0]}"'
        raise DataError(what, cure=f"name one of them: fields: {{expected: {twins[0]}}}")


def _likely_columns(wanted: Mapping[str, str], free: Collection[str]) -> dict[str, str]:
    """Return the ``free`` columns that probably hold the missing parts; ``wanted`` has the expected column of each."""
    left = {one.strip().lower(): one for one in free if NEVER.isdisjoint(one.lower().split("."))}
    found: dict[str, str] = {}
    for name, column in wanted.items():
        usual = (one for one in left if _part_of(one) == name or one in _LIKELY.get(name, ()))
        guess = nearest(column.lower(), left) or next(usual, None)
        if guess is not None:
            found[name] = left.pop(guess)
    if not found and len(left) == len(wanted) and all("." in one for one in left):  # {"translation": {"en", "de"}}
        return dict(zip(wanted, left.values(), strict=True))
    return found


def _value_at(row: Any, path: str) -> Any:
    """Return the value at a path such as ``answers.text`` or ``answers.text.0``; of a list of one text, the text."""
    for part in path.split("."):
        if isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        elif isinstance(row, Mapping) and part in row:
            row = row[part]
        else:
            return _ABSENT
    one_text = isinstance(row, list) and all(isinstance(one, str) for one in row) and len(set(row)) == 1
    return row[0] if one_text else row


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str | tuple):  # a tuple: messages that the format checked
        return value
    if isinstance(value, list):
        return checked_messages(value, key)
    texts = [path for path, one in paths_of({key: value}) if isinstance(one, str)]
    cure = f"name a text within it: fields: {{input: {listed(texts, at_most=1)}}}" if texts else None
    raise DataError(f"must be text or a list of messages, got {kind_of(value)}", where=Where(key=key), cure=cure)


def _checked_id(value: Any, key: str) -> str:
    text = _text_of(value, key)
    if not text.strip():
        cure = "write an id, or remove the ids from all rows: they are then made from the inputs"
        raise DataError("the id is blank", where=Where(key=key), cure=cure)
    return text


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"must be text or an integer, got {kind_of(value)}", where=Where(key=key))


# --- iterables -------------------------------------------------------------------------------------------------------

_ITEMS = 'each item must be an Example, a mapping {"input": ..., "expected": ...}, or a pair (input, expected)'


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
    reader = RowReader(fields or {}, mappable=fields is not None, labeled=labeled, mixed=True)
    ours = RowReader({}, PLAIN, mappable=False, labeled=labeled)
    examples: list[Example] = []
    left_out, digest = 0, hashlib.sha256()
    for number, item in enumerate(_items(rows if table is None else table.rows, origin), 1):
        place = item_place(origin, number)
        try:
            example = _example(item, reader, ours, place, table)
        except DataError as error:
            raise located(error, place) from None
        if example is None:
            left_out += 1
            continue
        examples.append(example)
        digest.update(canonical_json([*_parts(example).values()]).encode() + b"\n")
        if len(examples) == limit:
            break
    recognised = reader.described(type(rows).__name__ if table is not None else "")
    cure = "give at least one; a generator can be read only once"
    absent = DataError("the iterable is empty", where=Where(path=origin), cure=cure)
    return checked(DataSet(tuple(examples), None, digest.hexdigest(), origin, recognised, left_out), "item", absent)


def content_of(rows: Iterable[Any]) -> str | None:
    """Return a hash of the contents of a list, tuple or table, which shows whether it was changed in place.

    Return None for other iterables, which cannot be changed or can be read only once, and for values without a text.
    """
    if hasattr(rows, "features"):  # of ``datasets``
        return None
    digest = hashlib.blake2b(digest_size=16)
    try:
        table = Table(rows) if isinstance(rows, list | tuple) else table_of(rows)
        if table is None:
            return None
        for row in table.rows:
            digest.update(_state(_parts(row) if isinstance(row, Example) else row).encode() + b"\n")
    except Exception:  # the values' own code: what is wrong is said when they are read
        return None
    return digest.hexdigest()


_state = json.JSONEncoder(default=repr).encode


def _table(rows: Any, origin: str) -> Table | None:
    """Return the rows of a table; None for other iterables. Raise :class:`DataError` if there are no rows to read."""
    must, kind = "must be an iterable of examples", "None" if rows is None else f"a value of type {type(rows).__name__}"
    if splits := splits_of(rows):
        cure = f"give one of them: {' or '.join(f'data[{one!r}]' for one in splits)}"
        kind = f"a mapping of the splits {listed(splits)}"
        raise DataError(f"{must}, got {kind}", where=Where(path=origin), cure=cure)
    try:
        if (table := table_of(rows)) is not None:
            return table
    except DataError as error:
        raise located(error, Where(path=origin)) from None
    if isinstance(rows, str | os.PathLike):
        cure = "to read a file, set the gate's test_set or training_set to its path"
    elif isinstance(rows, Mapping):
        cure = "put the mapping in a list: it is one item"
    elif isinstance(rows, set | frozenset):
        cure = "use a list: a set has no order"
    elif isinstance(rows, bytes | bytearray) or not (hasattr(rows, "__iter__") or hasattr(rows, "__getitem__")):
        cure = "give a list, a tuple or a generator of examples"
    else:
        return None
    raise DataError(f"{must}, got {kind}", where=Where(path=origin), cure=cure)


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
        what = f"the iterable raised {type(error).__name__}: {excerpt(str(error), width=200)}"
        raise DataError(what, where=item_place(origin, number + 1)) from error


def _example(item: Any, reader: RowReader, ours: RowReader, place: Where, table: Table | None) -> Example | None:
    if isinstance(item, Example):
        parts, bad = json_row(_parts(item))
        if bad:
            raise next(iter(bad.values()))
        own = parts.pop("fields")
        found = ours.example(parts, {}, item.place or place)
        if not isinstance(own, dict):
            raise DataError(f"must be a mapping, got {kind_of(own)}", where=Where(key="fields"))
        return found and replace(found, fields=own)
    if isinstance(item, Mapping):
        return reader.of_values(item, place, table)
    if isinstance(item, tuple | list) and len(item) == 2:
        return ours.of_values({"input": item[0], "expected": item[1]}, place)
    size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise DataError(f"must be an example, got {kind_of(item)}{size}", cure=_ITEMS)


def _parts(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in ("id", "input", "expected", "group", "fields")}
