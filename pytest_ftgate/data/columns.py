"""Map the columns of a row to the parts of an example, and report missing columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.errors import DataError
from pytest_ftgate.text import listed, nearest

# Common names of these columns. They are suggested in errors, and never used without being asked for.
_USUAL_NAMES = {
    "input": ("question", "prompt", "text", "query", "instruction", "utterance", "sentence", "message", "messages"),
    "expected": ("label", "answer", "output", "completion", "target", "response", "intent", "class"),
    "messages": ("conversation", "conversations", "dialog", "chat"),
}


@dataclass(frozen=True)
class Columns:
    """The columns of a row that hold the parts of an example.

    Attributes:
        chat: the input and the expected output come from ``messages``.
        column: the column of each part: ``input`` and ``expected`` or ``messages``, ``id``, ``group``.
        renamed: the columns of further fields that have another name in the row.
        required: the columns that every row must have, by the name of their part or field.
        taken: all columns that are not further fields under their own name.
        mappable: whether the user can map names; otherwise the rows must be changed.
        labeled: every row must have an expected output.
    """

    chat: bool
    column: Mapping[str, str]
    renamed: Mapping[str, str]
    required: Mapping[str, str]
    taken: frozenset[str]
    mappable: bool
    labeled: bool

    @classmethod
    def of(cls, fields: Mapping[str, str], *, chat: bool, mappable: bool = True, labeled: bool = True) -> Columns:
        """Return the columns for a mapping of our names to the row's names. A mapped column must exist."""
        source = ("messages",) if chat else ("input", "expected")
        column = {name: fields.get(name, name) for name in (*source, "id", "group")}
        renamed = {name: theirs for name, theirs in fields.items() if name not in column}
        required = {**{name: column[name] for name in source if labeled or name != "expected"}, **fields}
        taken = frozenset((*column.values(), *renamed.values()))
        return cls(chat, column, renamed, required, taken, mappable, labeled)

    def further_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return all other values of the row. A renamed field wins over a column with the same name."""
        rest = {name: value for name, value in row.items() if name not in self.taken}
        rest.update((name, row[column]) for name, column in self.renamed.items())
        return rest


def is_chat(row: Mapping[str, Any], fields: Mapping[str, str]) -> bool:
    """Return whether a row is a conversation: it has messages and no other input."""
    mapped = "input" in fields or "expected" in fields
    return not mapped and "input" not in row and fields.get("messages", "messages") in row


def check_columns(found: Collection[str], columns: Columns) -> None:
    """Raise :class:`DataError` if a row or a header lacks a column."""
    absent = {name: column for name, column in columns.required.items() if column not in found}
    if not absent:
        return
    what = "; ".join(
        f'no field "{column}"' + (f', which `fields` maps to "{name}"' if name != column else "")
        for name, column in absent.items()
    )
    other = None
    if columns.chat and "input" in found:
        other = "not a conversation"
    elif "messages" in found and {"input", "expected"} <= absent.keys():
        other = "a conversation"
    one_form = f'this row is {other}; all rows need the form of the first row or of "format"'
    cure = one_form if other else _mapping_cure(absent, tuple(found), columns)
    raise DataError(what, evidence=f"found: {listed(found)}", cure=cure)


def _mapping_cure(absent: Mapping[str, str], found: tuple[str, ...], columns: Columns) -> str:
    mapping = likely_columns(absent, [name for name in found if name not in columns.column.values()])
    if columns.mappable:
        named = mapping or {next(iter(absent)): "NAME"}
        pairs = ", ".join(f"{ours}: {listed([theirs])}" for ours, theirs in named.items())
        return f"map the columns: fields: {{{pairs}}}"
    if mapping:
        return "rename keys: " + ", ".join(f"{listed([theirs])} to {ours}" for ours, theirs in mapping.items())
    return f"each mapping needs the keys {listed(columns.required)}"


def likely_columns(wanted: Mapping[str, str], free: Collection[str]) -> dict[str, str]:
    """Return the ``free`` columns that probably hold the missing parts; ``wanted`` has the expected column of each."""
    left, found = {one.strip().lower(): one for one in free}, dict[str, str]()
    for name, column in wanted.items():
        usual = (one for one in _USUAL_NAMES.get(name, ()) if one in left)
        guess = nearest(column.lower(), left) or next(usual, None)
        if guess is not None:
            found[name] = left.pop(guess)
    return found
