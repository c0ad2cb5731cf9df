"""One row of a data set, whatever its format, becomes one example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.data.example import NO_FIELDS, Example, Input, content_id
from pytest_ftgate.data.messages import checked_messages, split_conversation
from pytest_ftgate.data.wording import kind_of, listed, nearest
from pytest_ftgate.errors import DataError, Where

_ABSENT: Any = object()

# What others call these columns; only to suggest a mapping, never to guess one.
_USUAL_NAMES = {
    "input": ("question", "prompt", "text", "query", "instruction", "utterance", "sentence", "messages"),
    "expected": ("label", "answer", "output", "completion", "target", "response", "intent", "class"),
    "messages": ("conversation", "conversations", "dialog", "chat"),
}


@dataclass(frozen=True)
class Columns:
    """Which column of a row holds which part of an example.

    Args:
        chat: the input and the expected output come from ``messages``.
        column: the column of each part: ``input`` and ``expected`` or ``messages``, ``id``, ``group``.
        renamed: the columns of further fields that are called otherwise in the row.
        required: the columns that every row must have, by the name of their part or field.
        taken: all columns that are not further fields under their own name.
        mappable: whether the user can map names, or must change the rows.
    """

    chat: bool
    column: Mapping[str, str]
    renamed: Mapping[str, str]
    required: Mapping[str, str]
    taken: frozenset[str]
    mappable: bool

    @classmethod
    def of(cls, fields: Mapping[str, str], *, chat: bool, mappable: bool = True) -> Columns:
        """The columns under a mapping of our names to the row's. A mapped column must be there."""
        source = ("messages",) if chat else ("input", "expected")
        column = {name: fields.get(name, name) for name in (*source, "id", "group")}
        renamed = {name: theirs for name, theirs in fields.items() if name not in column}
        required = {**{name: column[name] for name in source}, **fields}
        taken = frozenset((*column.values(), *renamed.values()))
        return cls(chat, column, renamed, required, taken, mappable)

    def further_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """All else that the row holds. A renamed field wins over a column that has its name."""
        rest = {name: value for name, value in row.items() if name not in self.taken}
        rest.update((name, row[column]) for name, column in self.renamed.items())
        return rest


def is_chat(row: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Whether a row is a conversation: it has messages, and nothing else could be its input."""
    mapped = "input" in fields or "expected" in fields
    return not mapped and "input" not in row and fields.get("messages", "messages") in row


def example_from_row(row: Mapping[str, Any], columns: Columns) -> Example:
    """The example that a row of JSON values holds.

    Raises:
        DataError: without file and line, which the caller adds.
    """
    check_columns(row, columns)
    column = columns.column
    if columns.chat:
        _refuse_second_source(row)
        given: Any
        expected: Any
        given, expected = split_conversation(row[column["messages"]], column["messages"])
    else:
        given = _checked_input(row[column["input"]], column["input"])
        expected = _checked_expected(row[column["expected"]], column["expected"])
    return Example(
        id=_checked_id(row.get(column["id"], _ABSENT), column["id"], given),
        input=given,
        expected=expected,
        group=_checked_group(row.get(column["group"]), column["group"]),
        fields=columns.further_fields(row) or NO_FIELDS,
    )


def checked_example(parts: Mapping[str, Any]) -> Example:
    """An example from its five parts by their own names, which may be of any JSON type."""
    given = _checked_input(parts["input"], "input")
    if not isinstance(parts["fields"], dict):
        raise DataError(f"must be a mapping, is {kind_of(parts['fields'])}", where=Where(key="fields"))
    return Example(
        id=_checked_id(parts["id"], "id", given),
        input=given,
        expected=_checked_expected(parts["expected"], "expected"),
        group=_checked_group(parts["group"], "group"),
        fields=parts["fields"] or NO_FIELDS,
    )


def check_columns(found: Iterable[str], columns: Columns) -> None:
    """Refuse a row, or a header, that lacks a column."""
    absent = [name for name, column in columns.required.items() if column not in found]
    if absent:
        raise _absent_error(absent, tuple(found), columns)


def _absent_error(absent: list[str], found: tuple[str, ...], columns: Columns) -> DataError:
    return DataError(
        "; ".join(_absent_words(name, columns.required[name]) for name in absent),
        evidence=f"found: {listed(found)}",
        cure=_other_form_cure(absent, found, columns) or _mapping_cure(absent, found, columns),
    )


def _absent_words(name: str, column: str) -> str:
    return f'no field "{column}"' + (f', which `fields` gives for "{name}"' if name != column else "")


def _other_form_cure(absent: list[str], found: tuple[str, ...], columns: Columns) -> str | None:
    if columns.chat and "input" in found:
        return 'this row is no conversation: all rows of a file have one form, set by the first or by "format"'
    if "messages" in found and {"input", "expected"} <= set(absent):
        return 'this row is a conversation: all rows of a file have one form, set by the first or by "format"'
    return None


def _mapping_cure(absent: list[str], found: tuple[str, ...], columns: Columns) -> str:
    free = [name for name in found if name not in columns.column.values()]
    mapping: dict[str, str] = {}
    for name in absent:
        guess = _suggestion(name, columns.required[name], free)
        if guess is not None:
            mapping[name] = guess
            free.remove(guess)
    mapping = mapping or {absent[0]: "NAME"}
    if columns.mappable:
        pairs = ", ".join(f"{ours}: {theirs}" for ours, theirs in mapping.items())
        return f"say what they are called: fields: {{{pairs}}}"
    return "rename keys: " + ", ".join(f"{theirs} to {ours}" for ours, theirs in mapping.items())


def _suggestion(name: str, column: str, free: list[str]) -> str | None:
    by_lower = {one.strip().lower(): one for one in free}
    near = nearest(column.lower(), by_lower)
    usual = (one for one in _USUAL_NAMES.get(name, ()) if one in by_lower)
    guess = near if near is not None else next(usual, None)
    return by_lower[guess] if guess is not None else None


def _refuse_second_source(row: Mapping[str, Any]) -> None:
    for name in ("input", "expected"):
        if name in row:
            raise DataError(
                f'the row has "messages" and "{name}": which of the two counts is not said',
                evidence=f"found: {listed(row)}",
                cure="remove one, or make the messages the input: format: jsonl, fields: {input: messages}",
            )


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return checked_messages(value, key)
    raise DataError(f"must be text or a list of messages, is {kind_of(value)}", where=Where(key=key))


def _checked_expected(value: Any, key: str) -> Any:
    if value is None:
        raise DataError(
            "is null: an example needs an expected output",
            where=Where(key=key),
            cure='write the output, or "" where no text is expected',
        )
    return value


def _checked_id(value: Any, key: str, given: Input) -> str:
    if value is _ABSENT:
        return content_id(given)
    text = _text_of(value, key)
    if not text.strip():
        raise DataError(
            "is blank",
            where=Where(key=key),
            cure="write an id, or leave it out of all rows and ids are made from the inputs",
        )
    return text


def _checked_group(value: Any, key: str) -> str | None:
    """A blank cell of a table says that the row belongs to no group."""
    text = None if value is None else _text_of(value, key)
    return text if text and text.strip() else None


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"must be text or an integer, is {kind_of(value)}", where=Where(key=key))
