"""Blind rating sheets: two answers per example in a random order, which only the key of the sheet reveals."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_ftgate.data.table import Row, read_table
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.judges.pairs import value_unasked
from pytest_ftgate.text import excerpt, printable

SHEET, PAGE, KEY = FILES = ("sheet.csv", "sheet.html", "key.csv")
ROLES = ("baseline", "candidate")
_SHEET_COLUMNS = ("sheet", "id", "rater", "input", "answer_a", "answer_b", "preferred")
_KEY_COLUMNS = ("sheet", "id", "a", "b", "baseline_sha256", "candidate_sha256")
_SAVE_AS = f"Put what the raters saved there; name a filled-in {SHEET} after its rater."
_RATINGS = (".csv", ".tsv", ".jsonl")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_QUOTED_FORMULA = re.compile(r"'+[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of both models to one example, by role; ``sides`` are the roles shown as A and B."""

    id: str
    input: str
    answers: Mapping[str, str]
    sides: tuple[str, str]

    @property
    def shown(self) -> tuple[str, str]:
        """Return the answers A and B."""
        return self.answers[self.sides[0]], self.answers[self.sides[1]]

    @property
    def equal(self) -> bool:
        """Return whether the pair is a tie that nobody has to judge."""
        return value_unasked(*self.shown) is not None


@dataclass(frozen=True)
class Sheet:
    """The pairs of one gate. Its id, which ratings state, is a hash of its key and does not reveal it."""

    gate: str
    pairs: tuple[Pair, ...]

    @property
    def id(self) -> str:
        key = [(one.id, one.sides, _hashes(one)) for one in self.pairs]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]

    def rows(self) -> str:
        """Return the sheet as CSV, for spreadsheets; equal answers are filled in as a tie."""
        return _written(
            _SHEET_COLUMNS,
            ((self.id, one.id, "", one.input, *one.shown, "tie" if one.equal else "") for one in self.pairs),
        )

    def key(self) -> str:
        """Return the key as CSV: which model is A and which is B, and the hashes of their outputs."""
        return _written(_KEY_COLUMNS, ((self.id, one.id, *one.sides, *_hashes(one)) for one in self.pairs))


def blinded(gate: str, examples: Iterable[tuple[str, str, Mapping[str, str]]], seed: str) -> Sheet:
    """Return a sheet of examples (id, input, answers by role); each model is A in half of the pairs, by the seed."""
    given = list(examples)
    sides = [ROLES, ROLES[::-1]] * (len(given) // 2 + 1)
    del sides[len(given) :]
    random.Random(seed).shuffle(sides)
    return Sheet(gate, tuple(Pair(*one, side) for one, side in zip(given, sides, strict=True)))


def _hashes(pair: Pair) -> list[str]:
    return [sha256_of(pair.answers[role]) for role in ROLES]


def sha256_of(output: str) -> str:
    """Return the SHA-256, in hex, of an output in UTF-8, as in ``baseline_sha256`` and ``candidate_sha256``."""
    return hashlib.sha256(output.encode("utf-8", "surrogatepass")).hexdigest()


def _written(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return CSV that spreadsheets open as UTF-8."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *(map(_cell, row) for row in rows)])
    return "\ufeff" + out.getvalue()


def _cell(text: str) -> str:
    """Return a text that a spreadsheet does not run as a formula: ``=1+1`` becomes ``'=1+1``."""
    plain = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return f"'{plain}" if _FORMULA.match(plain) else plain


def _text_of(cell: object) -> object:
    """Return the text that :func:`_cell` was given."""
    return cell[1:] if isinstance(cell, str) and _QUOTED_FORMULA.match(cell) else cell


# --- filled-in sheets ----------------------------------------------------------------------------------------


def revealed(path: Path, key: Path | None) -> Iterator[Row]:
    """Yield the rows of ratings; those of blind sheets that have a choice, with the sides and hashes of their key.

    ``path`` and ``key`` are as in :func:`~pytest_ftgate.judges.people.read_ratings`. Raises :class:`DataError`.
    """
    folder = path if path.is_dir() else path.parent
    key = key or folder / KEY
    known: dict[object, Row] | None = None
    for file in _files(path, key) if path.is_dir() else [path]:
        for row in read_table(file, ("id", "preferred")):
            named = row.values if row.values.get("rater") or file == path else {**row.values, "rater": file.stem}
            if not row.values.get("sheet") or row.values.get("a"):
                yield replace(row, values=named)
                continue
            known = _read_key(key, row) if known is None else known
            if row.values["preferred"] != "":
                yield _joined(replace(row, values=named), known, key)


def _files(folder: Path, key: Path) -> list[Path]:
    found = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in _RATINGS]
    found = [file for file in found if file.name not in FILES and file.resolve() != key.resolve()]
    if not found:
        what = f"the folder has no filled-in sheet: no CSV or JSONL file besides {SHEET} and {KEY}"
        raise DataError(what, where=Where(shown_path(folder)), cure=_SAVE_AS)
    return found


def _read_key(path: Path, row: Row) -> dict[object, Row]:
    if not path.is_file():
        raise DataError(
            f"the ratings are a blind sheet, and there is no key {shown_path(path)}",
            where=row.where,
            cure=f"Put the {KEY} of this sheet there, or name it with the option key beside path.",
        )
    return {_text_of(row.values["id"]): row for row in read_table(path, _KEY_COLUMNS)}


def _joined(row: Row, known: Mapping[object, Row], key: Path) -> Row:
    """Return a row of a sheet with its id as written in the test set, and what the key says of it."""
    id_ = _text_of(row.values["id"])
    revealing = known.get(id_)
    if revealing is None and any(one.values["sheet"] == row.values["sheet"] for one in known.values()):
        raise DataError(
            f'there is no id "{printable(str(id_), 60)}" in the key {shown_path(key)}',
            where=row.at("id"),
            cure=f"Write the id as in {SHEET}: a spreadsheet may change an id such as 007 or 1e3, or strip its spaces.",
        )
    if revealing is None or revealing.values["sheet"] != row.values["sheet"]:
        raise DataError(
            f'"{excerpt(str(row.values["sheet"]))}" is not the sheet of the key {shown_path(key)}',
            where=row.at("sheet"),
            cure=f"Use the {KEY} that was written together with this sheet.",
        )
    if row.values["preferred"] in ROLES:
        raise row.wrong("preferred", "a, b or tie")
    shown = {name: value for name, value in revealing.values.items() if name not in ("sheet", "id")}
    return replace(row, values={**row.values, "id": id_, "rater": _text_of(row.values.get("rater")), **shown})
