"""Predictions that were recorded before, joined to the examples by id."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text, input_sha256
from pytest_ftgate.data.jsonl import parse_object
from pytest_ftgate.data.lines import Lines, open_lines, written_at
from pytest_ftgate.errors import DataError, ModelError, Where, located
from pytest_ftgate.models.price import written_price
from pytest_ftgate.models.protocol import FINISHES, BuiltModel, Completion, Prediction, Surroundings, is_count
from pytest_ftgate.text import excerpt, kind_of, listed, nearest

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.data import Example

_COUNTS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens")


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row of a file, and where stated the input that it was made for. A prediction without a key says none."""

    line: int
    prediction: Prediction
    input_sha256: str | None


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """All rows of one file, by id and repeat; the path as messages show it, and the hash of the file's bytes."""

    path: str
    sha256: str
    rows: Mapping[tuple[str, int], RecordedRow]


@dataclass(eq=False, kw_only=True)
class RecordedModel(BuiltModel):
    """A model that answers from a file.

    Args:
        path: the file as messages show it.
        sha256: of the file's bytes, in hex.
        rows: by id and repeat.
        verified: whether every row states the input it was made for, so that each is checked when it is used.
    """

    path: str
    sha256: str
    rows: Mapping[tuple[str, int], RecordedRow]
    verified: bool | None
    concurrency: int = 16
    timeout_s: float | None = None
    retries: int = 0
    persistent: bool = False

    @property
    def ids(self) -> frozenset[str]:
        """The examples that have a row."""
        return frozenset(id_ for id_, _ in self.rows)

    def key(self, example: Example, repeat: int = 0) -> str:
        """SHA-256 (hex) of the file's hash, the example's id, the repeat, and the input where the row is held to one.

        So what was found right for one input is never taken for another: that is an answer of its own, or an error.
        """
        text = f"recorded\n{self.sha256}\n{repeat}\n{example.id}"
        row = self.rows.get((example.id, repeat))
        if row is not None and row.input_sha256 is not None:
            text += f"\n{input_sha256(example.input)}"
        return hashlib.sha256(text.encode()).hexdigest()

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        """See :meth:`prediction`."""
        completion = self.prediction(example, repeat).completion
        assert completion is not None
        return completion

    def prediction(self, example: Example, repeat: int = 0) -> Prediction:
        """Return the row with this id.

        Raises:
            ModelError: there is none, or it holds no answer; fatal: it was made for another input.
        """
        row = self.rows.get((example.id, repeat))
        if row is None:
            first = next(iter(self.rows))[0]
            raise ModelError(
                f'no recorded prediction for id "{excerpt(example.id)}"' + (f", repeat {repeat}" if repeat else ""),
                where=Where(path=self.path),
                evidence=f'recorded are {len(self.rows)}, the first with id "{excerpt(first)}"',
            )
        where = Where(path=self.path, line=row.line)
        if row.input_sha256 not in (None, input_sha256(example.input)):
            raise ModelError(
                f'the recording with id "{excerpt(example.id)}" was made for another input',
                where=where,
                fatal=True,
                evidence="its input_sha256 is not that of the test set's input",
                cure="record the model anew, or correct the ids",
            )
        if row.prediction.completion is None:
            raise ModelError(f'the recording with id "{excerpt(example.id)}" holds no answer', where=where)
        return row.prediction


def build_recorded(spec: ModelSpec, surroundings: Surroundings) -> RecordedModel:  # noqa: ARG001
    """Return the model ``recorded:PATH``. Raise :class:`DataError` as :func:`read_rows` does."""
    with written_at(spec.source.where()):
        file = read_rows(Path(spec.options["path"]))
    return RecordedModel(
        name=spec.name,
        spelling=spec.spelling,
        path=file.path,
        sha256=file.sha256,
        rows=file.rows,
        verified=all(row.input_sha256 is not None for row in file.rows.values()),
        price=written_price(spec.options.get("price"), str(spec.source)),
    )


def read_rows(path: Path) -> RecordedFile:
    """The predictions of one file. Raises :class:`DataError` where it has none, or a row is not a prediction."""
    with open_lines(path) as lines:
        rows = _rows(lines)
        if not rows:
            raise DataError("holds no predictions", where=Where(path=lines.path))
        return RecordedFile(lines.path, lines.sha256(), rows)


def _rows(lines: Lines) -> dict[tuple[str, int], RecordedRow]:
    rows: dict[tuple[str, int], RecordedRow] = {}
    for text in lines:
        if text.isspace():
            continue
        try:
            identity, row = _row(text, lines.number)
            first = rows.setdefault(identity, row)
            if first is not row:
                raise DataError(
                    f'the id "{excerpt(identity[0])}" repeats: line {first.line} has it too',
                    where=Where(key="id"),
                    cure='keep one of the two; further answers of one example carry "repeat": 1, 2, ...',
                )
        except DataError as error:
            raise located(error, Where(path=lines.path, line=lines.number)) from None
    return rows


def _row(text: str, line: int) -> tuple[tuple[str, int], RecordedRow]:
    row = parse_object(text, looks=_LOOKS)
    for name in ("id", "output"):
        if name not in row:
            raise DataError(f'no field "{name}"', evidence=f"found: {listed(row)}", cure=_LOOKS)
    output = row["output"]
    usage = _optional(row, "usage", dict, "an object") or {}
    counts: dict[str, Any] = {name: _count(usage, name, f"usage.{name}") for name in _COUNTS}
    completion = Completion(
        text="" if output is None else expected_text(output),
        finish=_finish(row),
        latency_s=_seconds(row, "latency_s"),
        reasoning=_optional(row, "reasoning", str, "text"),
        **counts,
    )
    identity = (_id(row["id"]), _count(row, "repeat", "repeat") or 0)
    prediction = Prediction(
        _optional(row, "key", str, "text") or "",
        None if output is None else completion,
        completion.latency_s,
        _moment(row, "created_at") or None,
        _seconds(row, "busy_s"),
    )
    return identity, RecordedRow(line, prediction, _optional(row, "input_sha256", str, "text"))


_NO_MOMENT = 1e11  # the year 5138
_LOOKS = 'a recorded prediction looks like this: {"id": "...", "output": "..."}'


def _id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"must be text or an integer, is {kind_of(value)}", where=Where(key="id"))
    if not value.strip():
        raise DataError("is blank", where=Where(key="id"))
    return value


def _finish(row: Mapping[str, Any]) -> str:
    finish: str = _optional(row, "finish", str, "text") or "stop"
    if finish not in FINISHES:
        near = nearest(finish, FINISHES)
        raise DataError(
            f'is not a way to finish: "{excerpt(finish)}"',
            where=Where(key="finish"),
            evidence=f"known: {listed(FINISHES)}",
            cure=f'did you mean "{near}"?' if near else None,
        )
    return finish


def _seconds(row: Mapping[str, Any], name: str) -> float | None:
    seconds = _optional(row, name, int | float, "a number")
    if seconds is not None and not 0 <= seconds <= sys.maxsize:
        raise DataError(f"must be a number of seconds, is {excerpt(str(seconds))}", where=Where(key=name))
    return None if seconds is None else float(seconds)


def _moment(row: Mapping[str, Any], name: str) -> float | None:
    """Seconds since the epoch; milliseconds would be years from now."""
    seconds = _seconds(row, name)
    if seconds is not None and seconds >= _NO_MOMENT:
        raise DataError(f"must be seconds since 1970, is {seconds:g}", where=Where(key=name))
    return seconds


def _count(row: Mapping[str, Any], name: str, key: str) -> int | None:
    value = row.get(name)
    if value is None or is_count(value):
        return value
    found = value if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)
    raise DataError(f"must be a whole number from 0, is {found}", where=Where(key=key))


def _optional(row: Mapping[str, Any], name: str, kind: Any, words: str) -> Any:
    value = row.get(name)
    if value is None or (isinstance(value, kind) and not isinstance(value, bool)):
        return value
    raise DataError(f"must be {words}, is {kind_of(value)}", where=Where(key=name))
