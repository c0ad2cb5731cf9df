"""Turn rows into examples, whatever their format, their columns and their source."""

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
    row_place,
)
from pytest_ftgate.data.faults import without_faults
from pytest_ftgate.data.turns import examples_by_turn
from pytest_ftgate.errors import DataError, FtgateError, Where, located
from pytest_ftgate.text import excerpt, kind_of, listed, nearest, printable

_USUAL_INPUTS = "input, inputs, text, question, prompt, query, instruction, utterance, sentence"
_USUAL_OUTPUTS = (
    "expected, label, answer, output, completion, response, target, intent, category, class, "
    "labels, ground_truth"
)
_USUAL = {
    "input": frozenset(_USUAL_INPUTS.split(", ")),
    "expected": frozenset(_USUAL_OUTPUTS.split(", ")),
}
"""Names of these columns that are understood where exactly one of them is there."""

_ABSENT: Any = object()
_state = json.JSONEncoder(default=repr).encode


class ColumnsError(DataError):
    """A row lacks columns, as all rows of a table then do."""


def part_of(path: str) -> str | None:
    """Return the part of an example that the path of a column usually holds."""
    for word in path.strip().lower().split("."):
        for key, usual_names in _USUAL.items():
            if word in usual_names or word.removesuffix("s") in usual_names:
                return key
    return None


def paths_of(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path, ``answers.text``, and the value of all in a row that is not an object."""
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
        """Return whether rows hold the parts of an example alone, each in a column of its own."""
        columns = set(self.column.values())
        return (
            self.format is formats.PLAIN and not self.renamed and len(columns) == len(self.column)
        )


class RowReader:
    """Read the rows of a data set, in the format and the columns of the first row.

    Errors lack file and line.

    Args:
        fields: what the rows call the parts of an example; ``answers.text`` is a value within a
            value.
        form: the format of all rows; None: that of the first row.
        mappable: the user can name columns beside the rows.
        labeled: every row must have an expected output.
        mixed: each row may have a format of its own.
        by_turn: each row must be a conversation, which becomes the input as a whole.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        form: formats.Format | None = None,
        *,
        mappable: bool = True,
        labeled: bool = True,
        mixed: bool = False,
        by_turn: bool = False,
    ) -> None:
        self._fields = fields
        self._form = form
        self._mappable = mappable
        self._labeled = labeled
        self._mixed = mixed
        self._by_turn = by_turn

        self._paths = [path for path in fields.values() if "." in path]
        self._columns: dict[tuple[str, ...], _Columns] = {}  # by the keys of a row
        self._first: _Columns | None = None

    def described(self, container: str) -> str:
        """Return what was recognized: ``chat JSONL (OpenAI)``.

        Empty for rows as we write them ourselves.
        """
        if self._first is None:
            return ""
        title = self._first.title
        if not title and container in ("JSONL", "CSV", "TSV", ""):
            return ""

        form = self._first.format
        words = [title or form.title, container, form.by and f"({form.by})"]
        return " ".join(word for word in words if word)

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
        bad: Mapping[str, DataError] = {}
        if table is not None or not parsed:
            row, bad = cells.json_row(row, table)
        elif not self._by_turn and (simple := self._simple(row, place)) is not None:
            return simple

        row, columns = self.recognized({**row, **bad} if bad else row)
        for name, error in bad.items():
            if name in columns.taken:
                raise error

        content = columns.format.parts(row, columns.column)
        if content is None:
            return None
        column = columns.column
        key_of_input = column.get("input", columns.format.keys[0])
        key_of_expected = column.get("expected", columns.format.keys[-1])
        example_input = _checked_input(content.input, key_of_input)
        if self._by_turn:
            example_input = _conversation_in(content, columns)
        own_id = _id_in(row, column.get("id"))
        if columns.format.id_of is not None and "id" not in column:
            own_id = columns.format.id_of(row)
        group = _group_in(row, column.get("group"))
        return Example(
            id=own_id or content_id(example_input),
            input=example_input,
            expected=self._checked_expected(content.expected, key_of_expected),
            group=group,
            fields=_further_fields(row, columns, bad, content.tools),
            place=place,
        )

    def _simple(self, row: Mapping[Any, Any], place: Where) -> Example | None:
        """Return the example of a row of texts without further fields, as most are.

        Return None for other rows.

        It is what :meth:`example` returns, in half the time.
        """
        columns = self._columns.get(tuple(row))
        if columns is None or not columns.is_bare or self._paths:
            return None
        text = row.get(columns.column["input"])
        expected = row.get(columns.column["expected"])
        if type(text) is not str or type(expected) is not str:
            return None

        if len(row) == 2:
            return Example(content_id(text), text, expected, place=place)
        own_id = row.get(columns.column.get("id"))
        if len(row) == 3 and type(own_id) is str and own_id.strip():
            return Example(own_id, text, expected, place=place)
        return None

    def _checked_expected(self, value: Any, key: str) -> Any:
        if value is None:
            if not self._labeled:
                return ""
            cure = 'write the output: a label such as `none`, or "" for an empty text'
            raise DataError("the expected output is null", where=Where(key=key), cure=cure)

        if not isinstance(value, list) or not value:
            return value
        if all(isinstance(call, dict) and "function" in call for call in value):
            return messages.checked_calls(value, key)
        return value

    def recognized(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], _Columns]:
        """Return a row, with the values that the fields name within others, and its columns.

        Raise :class:`DataError` if it lacks columns, or has another format than the first row.
        """
        row = self._unpacked(row)
        columns = self._columns.get(tuple(row))
        if columns is not None:
            return row, columns

        form = self._form or self._format_of(row)
        columns = self._first
        if columns is None or self._mixed:
            columns = self._columns_of(form or formats.PLAIN, row)
        elif form is not None and form != columns.format:
            message = f"this row is {form.title}, and the rows before it are {columns.format.title}"
            cure = f"all rows need one format: name it, for example format: {form.name}"
            raise DataError(message, evidence=f"found: {listed(row)}", cure=cure)
        self._check(row, columns)

        self._first = self._first or columns
        self._columns[tuple(row)] = columns
        return row, columns

    def _unpacked(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with the values that paths name within others."""
        for path in self._paths:
            if path not in row:
                value = _value_at(row, path)
                if value is not _ABSENT:
                    row = {**row, path: value}
        return row

    def _format_of(self, row: Mapping[str, Any]) -> formats.Format | None:
        if "input" in self._fields or "expected" in self._fields:
            return formats.PLAIN
        renamed = {name: row[column] for name, column in self._fields.items() if column in row}
        return formats.format_of({**row, **renamed})

    def _columns_of(self, form: formats.Format, row: Mapping[str, Any]) -> _Columns:
        """Return the columns of rows like this one: those of ``fields``, else the usual names."""
        usual = {}
        title = form.title
        if form is formats.PLAIN:
            usual = self._usual_columns(row)
            title = ""
        fields = {**usual, **self._fields}

        column = {name: fields.get(name, name) for name in form.keys}
        for name in ("id", "group"):
            # A column of this name that another part is read from is neither.
            if name in fields or name not in fields.values():
                column[name] = fields.get(name, name)
        if form.id_of is not None and "id" not in fields:
            del column["id"]
        renamed = {name: path for name, path in fields.items() if name not in column}

        # What a gate names itself must be there, also where nothing needs it.
        required = {name: column[name] for name in form.keys if self._labeled or name != "expected"}
        required.update(fields)

        taken = {*form.uses, *column.values(), *renamed.values()}
        for name in form.keys:
            # An object that holds the answer is no further field.
            taken.add(column[name].partition(".")[0])

        if usual:
            title = "/".join(column[name] for name in form.keys)
        return _Columns(form, column, renamed, required, frozenset(taken), title)

    def _usual_columns(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Return the column of each part of an example that one column is usually called by."""
        columns = {}
        for key, usual_names in _USUAL.items():
            if key in row or key in self._fields:
                continue

            likely = []
            for name in row:
                if name.strip().lower() in usual_names and name not in self._fields.values():
                    likely.append(name)
            if len(likely) == 1:
                columns[key] = likely[0]
        return columns

    def _check(self, row: Mapping[str, Any], columns: _Columns) -> None:
        """Raise :class:`ColumnsError` if a row lacks a column.

        The cure names columns that are probably meant.
        """
        absent = {}
        for name, column in columns.required.items():
            if column not in row:
                absent[name] = column
        if not absent:
            return

        # A rejected answer of a preference row is never the one that is meant.
        paths = [path for path, _ in paths_of(row)]
        unused = {}
        for path in paths:
            if path not in columns.column.values() and "reject" not in path:
                unused[path.strip().lower()] = path

        nothing_unused = not unused
        flaws = []
        likely = []
        for name, column in absent.items():
            flaw = f'no field "{column}"'
            if name != column:
                flaw += f' for "{name}"'
            flaws.append(flaw)

            guess = nearest(column.lower(), unused)
            if guess is None:
                guess = next((path for path in unused if part_of(path) == name), None)
            path = "NAME"
            if guess is not None:
                path = listed([unused.pop(guess)])
            likely.append(f"{name}: {path}")

        cure = self._mapping_cure(likely)
        if nothing_unused:
            cure = f"add {listed(absent.values())} to the row"
        raise ColumnsError("; ".join(flaws), evidence=f"found: {listed(paths)}", cure=cure)

    def _mapping_cure(self, likely: list[str]) -> str:
        """Return how to name the columns that are probably meant, ``expected: label``."""
        mapped = f"fields: {{{', '.join(likely)}}}"
        if self._mappable:
            return f"map the columns: {mapped}"
        return f"rename the keys, or give {{path: ROWS, {mapped}}} in place of the rows"


def collected(
    rows: Iterable[Example | DataError | None], limit: int | None, *, by_turn: bool = False
) -> tuple[tuple[Example, ...], int]:
    """Return the first examples, and how many rows before the last one hold no output.

    Raise all errors together. ``by_turn``: each turn of a row is an example.
    """
    if by_turn:
        rows = examples_by_turn(rows)
    left_out = 0

    def filled() -> Iterator[Example | DataError]:
        nonlocal left_out
        for row in rows:
            if row is None:
                left_out += 1
            else:
                yield row

    examples = tuple(without_faults(islice(filled(), limit)))
    return examples, left_out


def _value_at(row: Any, path: str) -> Any:
    """Return the value at a path such as ``answers.text`` or ``answers.text.0``.

    Of a list of one text, the text.
    """
    for key in path.split("."):
        if isinstance(row, list) and key.isdecimal() and int(key) < len(row):
            row = row[int(key)]
        elif isinstance(row, Mapping) and key in row:
            row = row[key]
        else:
            return _ABSENT

    # The answers of SQuAD repeat one text.
    if isinstance(row, list) and all(isinstance(text, str) for text in row) and len(set(row)) == 1:
        return row[0]
    return row


def _further_fields(
    row: Mapping[str, Any], columns: _Columns, bad: Mapping[str, DataError], tools: Any
) -> dict[str, Any]:
    """Return the values of a row that are no part of the example, and its tools."""
    fields = {}
    for name, value in row.items():
        if name not in columns.taken and name not in bad:
            fields[name] = value
    for name, column in columns.renamed.items():
        fields[name] = row[column]
    if tools is not None:
        fields["tools"] = tools
    return fields


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str | tuple):  # a tuple: messages that the format checked
        return value
    if isinstance(value, list):
        return messages.checked_messages(value, key)
    raise messages.must_be("text or a list of messages", value, key)


def _conversation_in(content: formats.Parts, columns: _Columns) -> Input:
    """Return all messages of a row. Raise :class:`DataError` if it is no conversation."""
    if content.conversation is not None:
        return content.conversation
    message = f"turns: each needs conversations, and this row is {columns.format.title}"
    cure = 'remove turns, or write the row as {"messages": [...]}'
    raise DataError(message, cure=cure)


def _group_in(row: Mapping[str, Any], column: str | None) -> str | None:
    """Return the group that a row names; None where it names none."""
    if column is None or row.get(column) is None:
        return None
    group = _text_of(row[column], column)
    return group if group.strip() else None


def _id_in(row: Mapping[str, Any], column: str | None) -> str | None:
    """Return the id in a row; None if it has no column for it."""
    if column is None or column not in row:
        return None
    text = _text_of(row[column], column)
    if not text.strip():
        cure = "write an id, or remove the ids from all rows: they are then made from the inputs"
        raise DataError("the id is blank", where=Where(key=column), cure=cure)
    return text


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise messages.must_be("text or an integer", value, key)


# --- Python objects -------------------------------------------------------------------------------

_ROWS = (
    'each row must be an Example, a mapping {"input": ..., "expected": ...}, or a pair '
    "(input, expected); zip(X, y) makes pairs of two columns"
)


def examples_from(
    rows: Iterable[Any],
    *,
    origin: str,
    name: str = "test_set",
    fields: Mapping[str, str] | None = None,
    limit: int | None = None,
    labeled: bool = True,
    by_turn: bool = False,
) -> DataSet:
    """Return all examples of an iterable, or the first ``limit``.

    It is iterated once, and not beyond the limit.

    Rows are ``Example`` objects, mappings with the keys of a JSONL row (conversations included), or
    pairs ``(input, expected)``, of JSON values, which are copied.

    Args:
        origin: the source in messages: ``fixture ftgate_test_set, conftest.py:9``.
        name: what messages call the rows: ``test_set`` for ``test_set[14]``.
        fields: see :func:`load_examples`, as for ``limit``, ``labeled`` and ``by_turn``.

    Raises:
        DataError: a row cannot be read; it names the row.
    """
    source = _Rows(rows, origin, name)
    reader = RowReader(
        fields or {},
        mappable=fields is not None,
        labeled=labeled,
        mixed=True,
        by_turn=by_turn,
    )
    plain_reader = RowReader({}, formats.PLAIN, mappable=False, labeled=labeled, by_turn=by_turn)

    def read() -> Iterator[Example | None]:
        for index, row in enumerate(source):
            place = row_place(name, index)
            try:
                yield _example(row, reader, plain_reader, place, source.table)
            except DataError as error:
                raise source.located(error, index) from None

    examples, left_out = collected(read(), limit, by_turn=by_turn)

    # The hash is that of the content, whatever form the rows have.
    digest = hashlib.sha256()
    for example in examples:
        digest.update(canonical_json([*_parts(example).values()]).encode() + b"\n")
    recognized = reader.described("" if source.table is None else type(rows).__name__)
    data = DataSet(
        examples,
        path=None,
        sha256=digest.hexdigest(),
        origin=origin,
        recognized=recognized,
        left_out=left_out,
        name=name,
        index=None if left_out or by_turn else cells.index_of(rows, limit),
        by_turn=by_turn,
    )
    return checked(data)


class _Rows:
    """Iterate over the rows of a Python object; errors name the place that gives it.

    Attributes:
        table: the rows and their types, where the object is a frame or a ``datasets.Dataset``.
    """

    def __init__(self, rows: Any, origin: str, name: str) -> None:
        self._rows = rows
        self._origin = origin
        self._name = name
        try:
            self.table = cells.table_of(rows)
        except DataError as error:
            raise located(error, Where(path=origin)) from None
        if self.table is not None:
            self._rows = self.table.rows
        self._check()

    def located(self, error: DataError, index: int) -> DataError:
        """Return the error of a row with its place: ``conftest.py:9: test_set[14].expected``."""
        key = str(row_place(self._name, index))
        if error.where is not None and error.where.key is not None:
            key += f".{error.where.key}"
        return DataError(error.what, **error.parts(where=Where(self._origin, key=key)))

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows; an error of the iterable becomes one that names its row."""
        index = 0
        try:
            for row in self._rows:
                yield row
                index += 1
        except (FtgateError, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # pytest.skip() too: it must not skip a gate
            text = excerpt(str(error), width=200)
            message = f"the iterable raised {type(error).__name__}: {text}"
            raise self.located(DataError(message), index) from error

    def _check(self) -> None:
        """Raise :class:`DataError` for an object that does not hold rows in an order."""
        where = Where(path=self._origin)
        if isinstance(self._rows, Mapping):
            message = f"must be a list of rows, got one mapping with the keys {listed(self._rows)}"
            lengths = cells.lengths_of(self._rows)
            if len(set(lengths.values())) > 1:
                counts = [f"{printable(name)} has {n:,}" for name, n in lengths.items()]
                message = f"the columns have different lengths: {', '.join(counts)}"
            cure = (
                "return all rows as a list (of a fixture that yields its rows, pytest takes only "
                "the first), a dict of two or more columns of one length, or one of several splits"
            )
            raise DataError(message, where=where, cure=cure)

        # A set has no order that two runs share; a text is no list of texts.
        iterates = hasattr(self._rows, "__iter__") or hasattr(self._rows, "__getitem__")
        if not iterates or isinstance(self._rows, str | bytes | bytearray | set | frozenset):
            kind = "None" if self._rows is None else f"a value of type {type(self._rows).__name__}"
            cure = (
                "give a list, a tuple or a generator of examples; or the path of a file as "
                "test_set or training_set"
            )
            message = f"must be an iterable of examples, got {kind}"
            raise DataError(message, where=where, cure=cure)


def content_of(rows: Iterable[Any]) -> str | None:
    """Return a hash of a list, tuple or table, which shows whether it was changed in place.

    Return None for other iterables, which cannot be changed or can be read only once, and for
    values without a text.
    """
    if hasattr(rows, "features"):  # of ``datasets``
        return None

    digest = hashlib.blake2b(digest_size=16)
    try:
        if isinstance(rows, list | tuple):
            table: cells.Table | None = cells.Table(rows)
        else:
            table = cells.table_of(rows)
        if table is None:
            return None
        for row in table.rows:
            values = _parts(row) if isinstance(row, Example) else row
            digest.update(_state(values).encode() + b"\n")
    except Exception:  # the values' own code: what is wrong is said when they are read
        return None
    return digest.hexdigest()


def _example(
    row: Any, reader: RowReader, plain_reader: RowReader, place: Where, table: cells.Table | None
) -> Example | None:
    if isinstance(row, Example):
        return _copied(row, plain_reader, place)
    if isinstance(row, Mapping):
        return reader.example(row, place, table, parsed=False)

    if hasattr(row, "tolist"):  # a row of a NumPy array
        row = row.tolist()
    if not isinstance(row, tuple | list):
        raise DataError(f"must be an example, got {kind_of(row)}", cure=_ROWS)
    if len(row) != 2:
        raise DataError(f"must be an example, got a list of {len(row)}", cure=_ROWS)
    pair = {"input": row[0], "expected": row[1]}
    return plain_reader.example(pair, place, parsed=False)


def _copied(example: Example, plain_reader: RowReader, place: Where) -> Example | None:
    """Return an example of the user's with its values as JSON values."""
    values, bad = cells.json_row(_parts(example))
    for error in bad.values():
        raise error

    fields = values.pop("fields")
    copy = plain_reader.example(values, example.place or place)
    if not isinstance(fields, dict):
        raise messages.must_be("a mapping", fields, "fields")
    return copy and replace(copy, fields=fields)


def _parts(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in ("id", "input", "expected", "group", "fields")}
