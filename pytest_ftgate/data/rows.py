"""Turn the rows of a data set, whatever their format and the names of their columns, into examples."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.data.cells import Table, json_row
from pytest_ftgate.data.example import Example, Input, content_id
from pytest_ftgate.data.formats import PLAIN, Format, format_of
from pytest_ftgate.data.messages import checked_calls, checked_messages
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import kind_of, listed, nearest, plural

_USUAL_NAMES = {
    "input": ("input", "text", "question", "prompt", "query", "instruction", "utterance", "sentence"),
    "expected": (
        *("expected", "label", "answer", "output", "completion", "response", "target", "intent", "category", "class"),
        "labels",
    ),
}
"""Names of these columns that are understood where exactly one of them is there."""

_LIKELY_NAMES = {
    "input": (*_USUAL_NAMES["input"], "message", "messages"),
    "expected": _USUAL_NAMES["expected"],
    "messages": ("conversation", "conversations", "dialog", "chat"),
}
"""Names that errors suggest."""

NEVER = frozenset(("rejected", "non_preferred_output", "kto_tag", "chosen_score", "score_chosen", "score_rejected"))
"""Columns that are never suggested: they hold what a model must not answer, or only judge it."""

_ABSENT: Any = object()


@dataclass(frozen=True)
class Columns:
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
    mappable: bool
    labeled: bool

    def further_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return all other values of the row. A renamed field wins over a column with the same name."""
        rest = {name: value for name, value in row.items() if name not in self.taken}
        rest.update((name, row[column]) for name, column in self.renamed.items())
        return rest


class Forms:
    """Tell the format and the columns of each row: those of the first row, unless the format is given.

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
        self._paths = [column for column in fields.values() if "." in column]
        self._known: dict[tuple[str, ...], Columns] = {}
        self.first: Columns | None = None

    def columns(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Columns]:
        """Return a row, with the values that the fields name within others, and its columns.

        Raise :class:`DataError` if it lacks columns, or has another format than the first row.
        """
        if self._paths:
            within = ((path, _value_at(row, path)) for path in self._paths if path not in row)
            row = {**row, **{path: value for path, value in within if value is not _ABSENT}}
        keys = tuple(row)
        if keys not in self._known:
            self._known[keys] = self._recognised(row)
        return row, self._known[keys]

    def check_header(self, names: Collection[str]) -> None:
        """Raise :class:`DataError` if the header of a table lacks a column."""
        row = dict.fromkeys(names, "")
        _check_columns(row, self._of(self._given or self._format_of(row) or PLAIN, row))

    def described(self, container: str) -> str:
        """Return what was recognised: ``chat JSONL (OpenAI)``; empty for rows as we write them ourselves."""
        if self.first is None or (not self.first.title and container in ("JSONL", "CSV", "TSV", "")):
            return ""
        form = self.first.format
        return " ".join(filter(None, (self.first.title or form.title, container, form.by and f"({form.by})")))

    def _recognised(self, row: Mapping[str, Any]) -> Columns:
        found = None if self._given else self._format_of(row)
        columns = self.first
        if columns is None or self._mixed:
            columns = self._of(self._given or found or PLAIN, row)
        _check_columns(row, columns)
        if found not in (None, columns.format):
            raise DataError(
                f"this row is {found.title}, and the rows before it are {columns.format.title}",
                evidence=f"found: {listed(row)}",
                cure=f"all rows need one format: name it, for example format: {found.name}",
            )
        self.first = self.first or columns
        return columns

    def _format_of(self, row: Mapping[str, Any]) -> Format | None:
        if "input" in self._fields or "expected" in self._fields:
            return PLAIN
        named = {name: row[theirs] for name, theirs in self._fields.items() if theirs in row}
        return format_of({**row, **named})

    def _of(self, form: Format, row: Collection[str]) -> Columns:
        """Return the columns of rows with these keys: those of ``fields``, which must exist, else the usual names."""
        usual = _usual_columns(row, self._fields) if form is PLAIN else {}
        fields = {**usual, **self._fields}
        column = {name: fields.get(name, name) for name in (*form.keys, "id", "group")}
        renamed = {name: theirs for name, theirs in fields.items() if name not in column}
        required = {**{name: column[name] for name in form.keys if self._labeled or name != "expected"}, **fields}
        taken = {*form.uses, *column.values(), *renamed.values()}
        taken |= {column[name].partition(".")[0] for name in form.keys}  # what holds the answer is no field
        title = "/".join(column[name] for name in form.keys) if usual else form.title if form is not PLAIN else ""
        return Columns(form, column, renamed, required, frozenset(taken), title, self._mappable, self._labeled)


def _usual_columns(row: Collection[str], fields: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of input and expected output under other names, where only one column can be meant."""
    found = {}
    for part in _USUAL_NAMES.keys() - fields.keys() - set(row):
        fitting = [one for one in row if one.strip().lower() in _USUAL_NAMES[part] and one not in fields.values()]
        if len(fitting) == 1:
            found[part] = fitting[0]
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


def _check_columns(row: Mapping[str, Any], columns: Columns) -> None:
    """Raise :class:`DataError` if a row lacks a column."""
    absent = {name: column for name, column in columns.required.items() if column not in row}
    if not absent:
        return
    what = "; ".join(
        f'no field "{column}"' + (f', which `fields` maps to "{name}"' if name != column else "")
        for name, column in absent.items()
    )
    evidence, other = f"found: {listed(row)}", format_of(row)
    unmapped = columns.format is not PLAIN or {"input", "expected"} <= absent.keys()
    if other not in (None, columns.format) and unmapped:
        cure = f'this row is {other.title}; all rows need the format of the first row or of "format"'
    else:
        likely = likely_columns(absent, [name for name in row if name not in columns.column.values()])
        pairs = ", ".join(f"{name}: {listed([likely[name]]) if name in likely else 'NAME'}" for name in absent)
        cure = f"map the columns: fields: {{{pairs}}}"
        if not columns.mappable:
            cure = f"rename the keys, or give {{path: ROWS, fields: {{{pairs}}}}} in place of the rows"
    raise DataError(what, evidence=evidence, cure=cure)


def likely_columns(wanted: Mapping[str, str], free: Collection[str]) -> dict[str, str]:
    """Return the ``free`` columns that probably hold the missing parts; ``wanted`` has the expected column of each."""
    left, found = {one.strip().lower(): one for one in free if one.lower() not in NEVER}, dict[str, str]()
    for name, column in wanted.items():
        usual = (one for one in _LIKELY_NAMES.get(name, ()) if one in left)
        guess = nearest(column.lower(), left) or next(usual, None)
        if guess is not None:
            found[name] = left.pop(guess)
    return found


# --- examples --------------------------------------------------------------------------------------------------------


def examples_of(
    rows: Iterable[tuple[int, Mapping[str, Any]] | DataError],
    place_of: Callable[[int], Where],
    forms: Forms,
    table: Table | None = None,
) -> Iterator[Example | DataError | None]:
    """Yield the example of each row, None if it is left out, or its error; ``table``: values are not JSON yet."""
    for found in rows:
        if isinstance(found, DataError):
            yield found
            continue
        number, row = found
        place = place_of(number)
        try:
            if table is not None:
                yield example_from_values(row, forms, place, table)
            else:
                yield example_from_row(*forms.columns(row), place)
        except DataError as error:
            yield located(error, place)


def told_left_out(left_out: int) -> str:
    """Return how many rows are left out, and why."""
    return f"{plural(left_out, 'row')} left out: no turn of the assistant has a weight above 0"


def example_from_values(
    values: Mapping[Any, Any], forms: Forms, place: Where, table: Table | None = None
) -> Example | None:
    """Return the example in a row of Python values, of which those that are not used may be of any type."""
    cells, bad = json_row(values, table)
    row, columns = forms.columns({**cells, **bad} if bad else cells)
    error = next((one for name, one in bad.items() if name in columns.taken), None)
    if error is not None:
        raise error
    return example_from_row({name: one for name, one in row.items() if name not in bad}, columns, place)


def example_from_row(row: Mapping[str, Any], columns: Columns, place: Where) -> Example | None:
    """Return the example in a row of JSON values, None if it is left out; errors lack file and line."""
    column = columns.column
    parts = columns.format.parts(row, column)
    if parts is None:
        return None
    given = _checked_input(parts.input, column.get("input", columns.format.keys[0]))
    fields = columns.further_fields(row)
    if parts.tools is not None:
        fields["tools"] = parts.tools
    return Example(
        id=_checked_id(row.get(column["id"], _ABSENT), column["id"], given),
        input=given,
        expected=_checked_expected(
            parts.expected, column.get("expected", columns.format.keys[-1]), labeled=columns.labeled
        ),
        group=_checked_group(row.get(column["group"]), column["group"]),
        fields=fields,
        place=place,
    )


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str | tuple):  # a tuple: messages that the format checked
        return value
    if isinstance(value, list):
        return checked_messages(value, key)
    raise DataError(f"must be text or a list of messages, got {kind_of(value)}", where=Where(key=key))


def _checked_expected(value: Any, key: str, *, labeled: bool) -> Any:
    if value is None and labeled:
        cure = 'write the output, or "" if the output should be empty'
        raise DataError("the expected output is null", where=Where(key=key), cure=cure)
    if isinstance(value, list) and value and all(isinstance(one, dict) and "function" in one for one in value):
        return checked_calls(value, key)
    return "" if value is None else value


def _checked_id(value: Any, key: str, given: Input) -> str:
    if value is _ABSENT:
        return content_id(given)
    text = _text_of(value, key)
    if not text.strip():
        cure = "write an id, or remove the ids from all rows: they are then made from the inputs"
        raise DataError("the id is blank", where=Where(key=key), cure=cure)
    return text


def _checked_group(value: Any, key: str) -> str | None:
    """Return the group; None where it is absent or blank."""
    text = None if value is None else _text_of(value, key)
    return text if text and text.strip() else None


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"must be text or an integer, got {kind_of(value)}", where=Where(key=key))
