"""Turn rows into examples, whatever their format, the names of their columns and where they come from."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pytest_ftgate.data import cells, formats, messages
from pytest_ftgate.data.example import (
    DataSet,
    Example,
    Input,
    canonical_json,
    checked,
    content_id,
    item_place,
)
from pytest_ftgate.errors import DataError, FtgateError, Where, located, without_faults
from pytest_ftgate.text import excerpt, kind_of, listed, nearest

_USUAL = {
    "input": (
        "input",
        "text",
        "question",
        "prompt",
        "query",
        "instruction",
        "utterance",
        "sentence",
    ),
    "expected": (
        *(
            "expected",
            "label",
            "answer",
            "output",
            "completion",
            "response",
            "target",
            "intent",
            "category",
            "class",
        ),
        "labels",
    ),
}
"""Names of these columns that are understood where exactly one of them is there."""

_ABSENT: Any = object()
_state = json.JSONEncoder(default=repr).encode


def _part_of(path: str) -> str | None:
    """Return the part of an example that a path names: its first word, or its singular, which is a usual name."""
    words = [{word, word.removesuffix("s")} for word in path.strip().lower().split(".")]
    return next(
        (part for one in words for part, names in _USUAL.items() if not one.isdisjoint(names)), None
    )


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
        title: what reports call the rows; empty where they have our own names, or those of the
            user.
    """

    format: formats.Format
    column: Mapping[str, str]
    renamed: Mapping[str, str]
    required: Mapping[str, str]
    taken: frozenset[str]
    title: str

    @property
    def is_bare(self) -> bool:
        """Return whether the rows hold each part of an example in a column of its own, and no further field."""
        columns = set(self.column.values())
        return (
            self.format is formats.PLAIN and not self.renamed and len(columns) == len(self.column)
        )


class RowReader:
    """Read the rows of a data set, in the format and the columns of the first row unless the format is given.

    Errors lack file and line.

    Args:
        fields: what the rows call the parts of an example; ``answers.text`` is a value within a
            value.
        form: the format of all rows; None: that of the first row.
        mappable: the user can name columns beside the rows.
        labeled: every row must have an expected output.
        mixed: each row may have a format of its own.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        form: formats.Format | None = None,
        *,
        mappable: bool = True,
        labeled: bool = True,
        mixed: bool = False,
    ) -> None:
        self._fields, self._given, self._mappable, self._labeled, self._mixed = (
            fields,
            form,
            mappable,
            labeled,
            mixed,
        )
        self._paths = [path for path in fields.values() if "." in path]
        self._known: dict[tuple[str, ...], _Columns] = {}
        self._first: _Columns | None = None

    def described(self, container: str) -> str:
        """Return what was recognised: ``chat JSONL (OpenAI)``; empty for rows as we write them ourselves."""
        if self._first is None or (
            not self._first.title and container in ("JSONL", "CSV", "TSV", "")
        ):
            return ""
        form = self._first.format
        return " ".join(
            filter(None, (self._first.title or form.title, container, form.by and f"({form.by})"))
        )

    def example(
        self,
        row: Mapping[Any, Any],
        place: Where,
        table: cells.Table | None = None,
        *,
        parsed: bool = True,
    ) -> Example | None:
        """Return the example in a row; None if the row is left out.

        Args:
            row: JSON values; Python values where it is not ``parsed``, or from a ``table``. Those
                that are not used may be of any type.
            place: of the row.
        """
        if table is None and parsed and (simple := self._simple(row, place)) is not None:
            return simple

        bad: Mapping[str, DataError] = {}
        if table is not None or not parsed:
            row, bad = cells.json_row(row, table)
        row, columns = self.recognised({**row, **bad} if bad else row)
        if (
            wrong := next((one for name, one in bad.items() if name in columns.taken), None)
        ) is not None:
            raise wrong
        column, form = columns.column, columns.format
        if (parts := form.parts(row, column)) is None:
            return None
        fields = {
            name: one for name, one in row.items() if name not in columns.taken and name not in bad
        }
        fields.update((name, row[theirs]) for name, theirs in columns.renamed.items())
        if parts.tools is not None:
            fields["tools"] = parts.tools
        given = _checked_input(parts.input, column.get("input", form.keys[0]))
        group = row[column["group"]] if column.get("group") in row else None
        group = "" if group is None else _text_of(group, column["group"])
        return Example(
            id=_checked_id(row[column["id"]], column["id"])
            if column.get("id") in row
            else content_id(given),
            input=given,
            expected=self._checked_expected(parts.expected, column.get("expected", form.keys[-1])),
            group=group if group.strip() else None,
            fields=fields,
            place=place,
        )

    def _simple(self, row: Mapping[Any, Any], place: Where) -> Example | None:
        """Return the example of a row of texts without further fields, as most are; None for other rows.

        It is what :meth:`example` returns, in half the time.
        """
        columns = self._known.get(tuple(row))
        if columns is None or not columns.is_bare or self._paths:
            return None
        given = row.get(columns.column["input"])
        expected = row.get(columns.column["expected"])
        if type(given) is not str or type(expected) is not str:
            return None
        if len(row) == 2:
            return Example(content_id(given), given, expected, place=place)
        own_id = row.get(columns.column.get("id"))
        if len(row) == 3 and type(own_id) is str and own_id.strip():
            return Example(own_id, given, expected, place=place)
        return None

    def _checked_expected(self, value: Any, key: str) -> Any:
        if value is None and self._labeled:
            cure = 'write the output, or "" if the output should be empty'
            raise DataError("the expected output is null", where=Where(key=key), cure=cure)
        if (
            isinstance(value, list)
            and value
            and all(isinstance(one, dict) and "function" in one for one in value)
        ):
            return messages.checked_calls(value, key)
        return "" if value is None else value

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
            columns = self._columns_of(self._given or found or formats.PLAIN, row)
        elif found not in (None, columns.format):
            what = f"this row is {found.title}, and the rows before it are {columns.format.title}"
            cure = f"all rows need one format: name it, for example format: {found.name}"
            raise DataError(what, evidence=f"found: {listed(row)}", cure=cure)
        self._check(row, columns)
        self._first = self._first or columns
        self._known[tuple(row)] = columns
        return row, columns

    def _unpacked(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the values that paths name within others."""
        for path in self._paths:
            if path not in row and (value := _value_at(row, path)) is not _ABSENT:
                row = {**row, path: value}
        return row

    def _format_of(self, row: Mapping[str, Any]) -> formats.Format | None:
        if "input" in self._fields or "expected" in self._fields:
            return formats.PLAIN
        return formats.format_of(
            {**row, **{name: row[theirs] for name, theirs in self._fields.items() if theirs in row}}
        )

    def _columns_of(self, form: formats.Format, row: Mapping[str, Any]) -> _Columns:
        """Return the columns of rows like this one: those of ``fields``, which must exist, else the usual names."""
        usual = self._usual_columns(row) if form is formats.PLAIN else {}
        fields = {**usual, **self._fields}

        column = {name: fields.get(name, name) for name in form.keys}
        for name in ("id", "group"):
            # A column of this name that another part is read from is neither.
            if name in fields or name not in fields.values():
                column[name] = fields.get(name, name)
        renamed = {name: path for name, path in fields.items() if name not in column}

        required = {name: column[name] for name in form.keys if self._labeled or name != "expected"}
        required.update(fields)

        taken = {*form.uses, *column.values(), *renamed.values()}
        for name in form.keys:
            # An object that holds the answer is no further field.
            taken.add(column[name].partition(".")[0])

        title = "" if form is formats.PLAIN else form.title
        if usual:
            title = "/".join(column[name] for name in form.keys)
        return _Columns(form, column, renamed, required, frozenset(taken), title)

    def _usual_columns(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return the column of each part that exactly one column of the row is usually called by."""
        columns = {}
        for part, usual_names in _USUAL.items():
            if part in row or part in self._fields:
                continue

            likely = [
                name
                for name in row
                if name.strip().lower() in usual_names and name not in self._fields.values()
            ]
            if len(likely) == 1:
                columns[part] = likely[0]
        return columns

    def _check(self, row: Mapping[str, Any], columns: _Columns) -> None:
        """Raise :class:`DataError` if a row lacks a column; the cure names columns that are probably meant."""
        if not (
            absent := {
                name: column for name, column in columns.required.items() if column not in row
            }
        ):
            return
        found = [path for path, _ in paths_of(row)]
        left = {
            one.strip().lower(): one
            for one in found
            if one not in columns.column.values() and "reject" not in one
        }
        likely = {}
        for name, column in absent.items():
            guess = nearest(column.lower(), left) or next(
                (one for one in left if _part_of(one) == name), None
            )
            likely[name] = listed([left.pop(guess)]) if guess is not None else "NAME"
        pairs = ", ".join(f"{name}: {one}" for name, one in likely.items())
        cure = f"map the columns: fields: {{{pairs}}}"
        if not self._mappable:
            cure = (
                f"rename the keys, or give {{path: ROWS, fields: {{{pairs}}}}} in place of the rows"
            )
        what = "; ".join(
            f'no field "{one}"' + f' for "{name}"' * (name != one) for name, one in absent.items()
        )
        raise DataError(what, evidence=f"found: {listed(found)}", cure=cure)


def collected(
    rows: Iterable[Example | DataError | None], limit: int | None
) -> tuple[tuple[Example, ...], int]:
    """Return the first examples, and how many rows before the last one hold no output.

    Raise all errors together.
    """
    left_out = 0

    def kept() -> Iterator[Example | DataError]:
        nonlocal left_out
        for row in rows:
            if row is None:
                left_out += 1
            else:
                yield row

    return tuple(without_faults(islice(kept(), limit))), left_out


def _value_at(row: Any, path: str) -> Any:
    """Return the value at a path such as ``answers.text`` or ``answers.text.0``; of a list of one text, the text."""
    for part in path.split("."):
        if isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        elif isinstance(row, Mapping) and part in row:
            row = row[part]
        else:
            return _ABSENT
    one_text = (
        isinstance(row, list) and all(isinstance(one, str) for one in row) and len(set(row)) == 1
    )
    return row[0] if one_text else row


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str | tuple):  # a tuple: messages that the format checked
        return value
    if isinstance(value, list):
        return messages.checked_messages(value, key)
    raise DataError(
        f"must be text or a list of messages, got {kind_of(value)}", where=Where(key=key)
    )


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


# --- iterables
# -------------------------------------------------------------------------------------------------------

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

    Items are ``Example`` objects, mappings with the keys of a JSONL row (conversations included),
    or pairs ``(input, expected)``, of JSON values, which are copied. ``origin`` is the source in
    messages: ``fixture ftgate_test_set``. For ``fields`` and ``labeled`` see :func:`load_examples`.
    A :class:`DataError` names the item.
    """
    reader = RowReader(fields or {}, mappable=fields is not None, labeled=labeled, mixed=True)
    ours = RowReader({}, formats.PLAIN, mappable=False, labeled=labeled)
    try:
        table = cells.table_of(rows)
    except DataError as error:
        raise located(error, Where(path=origin)) from None

    def read() -> Iterator[Example | None]:
        for number, item in enumerate(_items(rows if table is None else table.rows, origin), 1):
            place = item_place(origin, number)
            try:
                yield _example(item, reader, ours, place, table)
            except DataError as error:
                raise located(error, place) from None

    examples, left_out = collected(read(), limit)
    digest = hashlib.sha256()
    for one in examples:
        digest.update(canonical_json([*_parts(one).values()]).encode() + b"\n")
    recognised = reader.described(type(rows).__name__ if table is not None else "")
    cure = "give at least one; a generator can be read only once"
    absent = DataError("the iterable is empty", where=Where(path=origin), cure=cure)
    return checked(
        DataSet(examples, None, digest.hexdigest(), origin, recognised, left_out), "item", absent
    )


def content_of(rows: Iterable[Any]) -> str | None:
    """Return a hash of the contents of a list, tuple or table, which shows whether it was changed in place.

    Return None for other iterables, which cannot be changed or can be read only once, and for
    values without a text.
    """
    if hasattr(rows, "features"):  # of ``datasets``
        return None
    digest = hashlib.blake2b(digest_size=16)
    try:
        table = cells.Table(rows) if isinstance(rows, list | tuple) else cells.table_of(rows)
        if table is None:
            return None
        for row in table.rows:
            digest.update(_state(_parts(row) if isinstance(row, Example) else row).encode() + b"\n")
    except Exception:  # the values' own code: what is wrong is said when they are read
        return None
    return digest.hexdigest()


def _items(rows: Any, origin: str) -> Iterator[Any]:
    """Yield the items; an exception of the iterable is raised as :class:`DataError`."""
    number = 0
    iterates = hasattr(rows, "__iter__") or hasattr(rows, "__getitem__")
    if not iterates or isinstance(rows, str | bytes | bytearray | Mapping | set | frozenset):
        kind = "None" if rows is None else f"a value of type {type(rows).__name__}"
        cure = "give a list, a tuple or a generator of examples; or the path of a file as test_set or training_set"
        raise DataError(
            f"must be an iterable of examples, got {kind}", where=Where(path=origin), cure=cure
        )
    try:
        for item in rows:
            number += 1
            yield item
    except (FtgateError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # pytest.skip() too: it must not skip a gate
        what = f"the iterable raised {type(error).__name__}: {excerpt(str(error), width=200)}"
        raise DataError(what, where=item_place(origin, number + 1)) from error


def _example(
    item: Any, reader: RowReader, ours: RowReader, place: Where, table: cells.Table | None
) -> Example | None:
    if isinstance(item, Example):
        parts, bad = cells.json_row(_parts(item))
        if bad:
            raise next(iter(bad.values()))
        own = parts.pop("fields")
        found = ours.example(parts, item.place or place)
        if not isinstance(own, dict):
            raise DataError(f"must be a mapping, got {kind_of(own)}", where=Where(key="fields"))
        return found and replace(found, fields=own)
    if isinstance(item, Mapping):
        return reader.example(item, place, table, parsed=False)
    if isinstance(item, tuple | list) and len(item) == 2:
        return ours.example({"input": item[0], "expected": item[1]}, place, parsed=False)
    size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise DataError(f"must be an example, got {kind_of(item)}{size}", cure=_ITEMS)


def _parts(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in ("id", "input", "expected", "group", "fields")}
