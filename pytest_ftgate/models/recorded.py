"""Answer from recorded answers, joined to the examples by id."""

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import Example, Input, expected_text, input_sha256
from pytest_ftgate.data.example import content_id
from pytest_ftgate.data.lines import Lines, open_lines, sha256_of, written_at
from pytest_ftgate.data.strict_json import parse_object
from pytest_ftgate.errors import DataError, ModelError, Where, located
from pytest_ftgate.models.price import written_price
from pytest_ftgate.models.protocol import (
    COUNTS,
    FINISHES,
    BuiltModel,
    Completion,
    Prediction,
    Surroundings,
    finish_in,
    is_count,
)
from pytest_ftgate.text import excerpt, kind_of, listed, nearest

_IDS_SHOWN = 3
_HASH = re.compile("[0-9a-f]{16}")  # an id that was made from an input


class RecordedRow(NamedTuple):
    """Hold one row of a file, and the hash of its input if stated. A prediction without a key has no answer."""

    line: int
    prediction: Prediction
    input_sha256: str | None


class Recording(NamedTuple):
    """Hold the answer that committed files record under one key, and the hashes of the inputs stated there.

    ``of_candidate`` says that it serves only candidates, since no other file records it.
    """

    prediction: Prediction
    where: Where
    inputs: set[str]
    of_candidate: bool = False

    def prediction_for(self, example: Example) -> Prediction:
        """Return the answer. Raise :class:`ModelError` if it was made for none of these inputs.

        They are several where a template leaves parts out.
        """
        if self.inputs and input_sha256(example.input) not in self.inputs:
            raise _other_input(example.id, self.where)
        return self.prediction


def _other_input(name: str, where: Where) -> ModelError:
    return ModelError(
        f'the recording with id "{excerpt(name)}" was made for another input',
        where=where,
        fatal=True,
        evidence="its input_sha256 is not that of the test set's input",
        cure="record the model again, or correct the ids",
    )


class RecordedFile(NamedTuple):
    """Hold all rows of one file by id and repeat, with its path for messages and the hash of its bytes, in hex."""

    path: str
    sha256: str
    rows: Mapping[tuple[str, int], RecordedRow]


@dataclass(eq=False, kw_only=True)
class RecordedModel(BuiltModel):
    """Answer from a :class:`RecordedFile`."""

    path: str
    sha256: str
    rows: Mapping[tuple[str, int], RecordedRow]
    verified: bool | None  # whether every row states the input it was made for, which is checked when the row is used
    concurrency: int = 16
    timeout_s: float | None = None
    retries: int = 0
    persistent: bool = False

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of examples that have a row."""
        return frozenset(id_ for id_, _ in self.rows)

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of the file's hash, the example's id, the repeat, and the input if it is stated.

        It tells models apart; recorded answers are neither asked for nor stored.
        """
        text = f"recorded\n{self.sha256}\n{repeat}\n{example.id}"
        row = self.rows.get((example.id, repeat))
        if row is not None and row.input_sha256 is not None:
            text += f"\n{input_sha256(example.input)}"  # a row checked against one input is never used for another
        return hashlib.sha256(text.encode()).hexdigest()

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        completion = self.prediction(example, repeat).completion
        assert completion is not None
        return completion

    def prediction(self, example: Example, repeat: int = 0) -> Prediction:
        """Return the row with this id. Raise :class:`ModelError`: a fatal one if it was made for another input."""
        row = self.rows.get((example.id, repeat))
        if row is None:
            raise self._not_recorded(example, repeat)
        if row.input_sha256 is not None and row.input_sha256 != input_sha256(example.input):
            raise _other_input(example.id, Where(self.path, row.line))
        if row.prediction.completion is None:
            what = f'the recording with id "{excerpt(example.id)}" holds no answer'
            raise ModelError(what, where=Where(self.path, row.line), cure="record the example again")
        return row.prediction

    def answer_to(self, given: Input, examples: Iterable[Example]) -> Completion:
        """Return the answer to an input, found by a row's hash or by the example. Raises :class:`ModelError`."""
        given = given if isinstance(given, str) else tuple(given)
        sha256 = input_sha256(given)
        stated = (id_ for (id_, repeat), row in self.rows.items() if not repeat and row.input_sha256 == sha256)
        ids = (*stated, *(example.id for example in examples if example.input == given), content_id(given))
        id_ = next((id_ for id_ in ids if (id_, 0) in self.rows), ids[-1])
        completion = self.prediction(Example(id_, given, "")).completion
        assert completion is not None
        return completion

    def _not_recorded(self, example: Example, repeat: int) -> ModelError:
        """Return the error of an example without a row; its cure depends on where the ids come from."""
        of_repeat = f", repeat {repeat}" if repeat else ""
        ids = list(dict.fromkeys(id_ for id_, _ in self.rows))
        first = ", ".join(f'"{excerpt(id_)}"' for id_ in ids[:_IDS_SHOWN])
        first += f" and {len(ids) - _IDS_SHOWN:,} more" if len(ids) > _IDS_SHOWN else ""
        evidence, cure = f"recorded ids: {first}", "record the model on this example too, or correct the ids"
        if not example.has_own_id:
            evidence = f"the test set has no ids, so each id is a hash of the input; recorded ids: {first}"
            cure = 'add a field or column "id" with the recorded ids to the test set'
            if any(map(_HASH.fullmatch, ids)):  # made from a test set without ids, too
                cure = "record the model again: the input is new, or was changed since"
        what = f'no recorded answer for {example.place or "an example"} (id "{excerpt(example.id)}"{of_repeat})'
        return ModelError(what, where=Where(path=self.path), evidence=evidence, cure=cure)


def build_recorded(spec: ModelSpec, surroundings: Surroundings) -> RecordedModel:  # noqa: ARG001
    """Return the model ``recorded:PATH``. Raises :class:`DataError` as :func:`read_rows` does."""
    with written_at(spec.source.where()):
        file = read_rows(Path(spec.options["path"]))
    return RecordedModel(
        name=spec.name,
        spelling=spec.spelling,
        **file._asdict(),
        verified=all(row.input_sha256 is not None for row in file.rows.values()),
        price=written_price(spec.options.get("price"), str(spec.source)),
        strip_reasoning=spec.options.get("strip_reasoning", "auto"),
    )


def read_rows(path: Path) -> RecordedFile:
    """Return the predictions of one file. Raises :class:`DataError` if there are none, or a row is not a prediction."""
    with open_lines(path) as lines:
        rows = _rows(lines)
        if not rows:
            raise DataError("holds no answers", where=Where(path=lines.path))
        return RecordedFile(lines.path, sha256_of(path), rows)


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
    id_, output = _id(row.pop("id")), row.pop("output")
    found = {name: _READ[name](name, value) for name, value in row.items() if value is not None and name in _READ}
    prediction = Prediction(
        found.get("key", ""),
        None if output is None else _answer(output if isinstance(output, str) else expected_text(output), row, found),
        found.get("latency_s"),
        found.get("created_at") or None,
        found.get("busy_s"),
        id=id_,
        stored=True,
        recorded=True,
    )
    return (id_, found.get("repeat", 0)), RecordedRow(line, prediction, found.get("input_sha256"))


def _answer(text: str, row: Mapping[str, Any], found: Mapping[str, Any]) -> Completion:
    """Return the answer of a row; one object for equal texts without further facts, which saves memory."""
    if not row:
        return _bare(text)
    usage = found.get("usage") or {}
    counts: dict[str, Any] = {
        name: _count(f"usage.{name}", usage[name]) for name in COUNTS if usage.get(name) is not None
    }
    return Completion(
        text,
        **counts,
        finish=found.get("finish") or finish_in(row, {"finish_reason": row.get("stop_reason")}),
        latency_s=found.get("latency_s"),
        reasoning=found.get("reasoning"),
    )


_bare = lru_cache(1_000)(Completion)

_NO_MOMENT = 1e11  # the year 5138: the number is of milliseconds
_LOOKS = 'a recorded answer looks like this: {"id": "...", "output": "..."}'


def _id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"must be text or an integer, is {kind_of(value)}", where=Where(key="id"))
    if not value.strip():
        raise DataError("is blank", where=Where(key="id"))
    return value


def _of_kind(kind: Any, words: str, key: str, value: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"must be {words}, is {kind_of(value)}", where=Where(key=key))
    return value


_text = partial(_of_kind, str, "text")


def _finish(key: str, value: object) -> str:
    finish: str = _text(key, value)
    if finish and finish not in FINISHES:
        near = nearest(finish, FINISHES)
        raise DataError(
            f'is not a way to finish: "{excerpt(finish)}"',
            where=Where(key=key),
            evidence=f"known: {listed(FINISHES)}",
            cure=f'did you mean "{near}"?' if near else None,
        )
    return finish


def _seconds(key: str, value: object) -> float:
    seconds: float = _of_kind(int | float, "a number", key, value)
    if not 0 <= seconds <= sys.maxsize:
        raise DataError(f"must be a number of seconds, is {excerpt(str(seconds))}", where=Where(key=key))
    return float(seconds)


def _moment(key: str, value: object) -> float:
    seconds = _seconds(key, value)
    if seconds >= _NO_MOMENT:
        raise DataError(f"must be seconds since 1970, is {seconds:g}", where=Where(key=key))
    return seconds


def _count(key: str, value: object) -> int:
    if is_count(value):
        return value
    found = value if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)
    raise DataError(f"must be a whole number from 0, is {found}", where=Where(key=key))


_READ: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(("key", "reasoning", "input_sha256"), _text),
    **dict.fromkeys(("latency_s", "busy_s"), _seconds),
    "created_at": _moment,
    "finish": _finish,
    "repeat": _count,
    "usage": partial(_of_kind, dict, "an object"),
}
"""What reads the value of each key that a row may have."""
