"""Map the columns of a row to the parts of an example, and report missing columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.data.formats import FORMATS, PLAIN, Format, format_of
from pytest_ftgate.errors import DataError
from pytest_ftgate.text import listed, nearest

# Common names of these columns. They are suggested in errors, and never used without being asked for.
_USUAL_NAMES = {
    "input": ("question", "prompt", "text", "query", "instruction", "utterance", "sentence", "message", "messages"),
    "expected": ("label", "answer", "output", "completion", "target", "response", "intent", "class"),
    "messages": ("conversation", "conversations", "dialog", "chat"),
}


NEVER = frozenset(("rejected", "non_preferred_output", "kto_tag", "chosen_score", "score_chosen", "score_rejected"))
"""Columns that are never suggested: they hold what a model must not answer, or only judge it."""


@dataclass(frozen=True)
class Columns:
    """The columns of a row that hold the parts of an example.

    Attributes:
        column: the column of each key of the format, and of ``id`` and ``group``.
        renamed: the columns of further fields that have another name in the row.
        required: the columns that every row must have, by the name of their part or field.
        taken: all columns that are not further fields under their own name.
        mappable: whether the user can map names; otherwise the rows must be changed.
    """

    format: Format
    column: Mapping[str, str]
    renamed: Mapping[str, str]
    required: Mapping[str, str]
    taken: frozenset[str]
    mappable: bool
    labeled: bool

    @classmethod
    def of(cls, form: Format, fields: Mapping[str, str], *, mappable: bool = True, labeled: bool = True) -> Columns:
        """Return the columns for a mapping of our names to the row's names. A mapped column must exist."""
        column = {name: fields.get(name, name) for name in (*form.keys, "id", "group")}
        renamed = {name: theirs for name, theirs in fields.items() if name not in column}
        required = {**{name: column[name] for name in form.keys if labeled or name != "expected"}, **fields}
        taken = frozenset((*form.uses, *column.values(), *renamed.values()))
        return cls(form, column, renamed, required, taken, mappable, labeled)

    def further_fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return all other values of the row. A renamed field wins over a column with the same name."""
        rest = {name: value for name, value in row.items() if name not in self.taken}
        rest.update((name, row[column]) for name, column in self.renamed.items())
        return rest


class Forms:
    """Tell the format and the columns of each row: those of the first row, unless the format is given.

    ``fields`` are what the rows call the parts of an example; ``mixed``: each row may have a format of its own.
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
        self._fields, self._mappable, self._labeled, self._mixed = fields, mappable, labeled, mixed
        self._is_given = form is not None
        self._known: dict[tuple[str, ...], Columns] = {}
        self.first: Columns | None = None if form is None else self._of(form)

    def columns(self, row: Mapping[str, Any]) -> Columns:
        """Return the columns of a row. Raise :class:`DataError` if it lacks some, or has another format."""
        keys = tuple(row)
        if keys not in self._known:
            self._known[keys] = self._recognised(row)
        return self._known[keys]

    def check_header(self, names: Collection[str]) -> None:
        """Raise :class:`DataError` if the header of a table lacks a column."""
        row = dict.fromkeys(names, "")
        check_columns(row, self.first or self._of(format_with(row, self._fields) or PLAIN))

    def described(self, container: str) -> str:
        """Return what was recognised: ``chat JSONL (OpenAI)``; empty for rows as we write them ourselves."""
        if self.first is None or (self.first.format is PLAIN and container in ("JSONL", "CSV", "TSV", "")):
            return ""
        form = self.first.format
        return " ".join(filter(None, (form.title, container, form.by and f"({form.by})")))

    def _recognised(self, row: Mapping[str, Any]) -> Columns:
        found = None if self._is_given else format_with(row, self._fields)
        columns = self._of(found or PLAIN) if self._mixed or self.first is None else self.first
        check_columns(row, columns)
        if found not in (None, columns.format):
            raise DataError(
                f"this row is {found.title}, and the rows before it are {columns.format.title}",
                evidence=f"found: {listed(row)}",
                cure=f"all rows need one format: name it, for example format: {found.name}",
            )
        self.first = self.first or columns
        return columns

    def _of(self, form: Format) -> Columns:
        return Columns.of(form, self._fields, mappable=self._mappable, labeled=self._labeled)


def format_with(row: Mapping[str, Any], fields: Mapping[str, str]) -> Format | None:
    """Return the format of a row as :func:`format_of` does, where ``fields`` name columns."""
    if "input" in fields or "expected" in fields:
        return PLAIN
    named = {name: row[theirs] for name, theirs in fields.items() if theirs in row}
    return format_of({**row, **named})


def check_columns(row: Mapping[str, Any], columns: Columns) -> None:
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
        cure = _mapping_cure(absent, tuple(row), columns)
        if {"input", "expected"} <= absent.keys():
            known = "; ".join(f"{one.name} ({', '.join(one.keys)})" for one in FORMATS.values())
            evidence += f"\nformats known by their keys: {known}"
    raise DataError(what, evidence=evidence, cure=cure)


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
    left, found = {one.strip().lower(): one for one in free if one.lower() not in NEVER}, dict[str, str]()
    for name, column in wanted.items():
        usual = (one for one in _USUAL_NAMES.get(name, ()) if one in left)
        guess = nearest(column.lower(), left) or next(usual, None)
        if guess is not None:
            found[name] = left.pop(guess)
    return found
