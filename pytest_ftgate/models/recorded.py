"""Answer from recorded answers, joined to the examples by id."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import Example, Input, content_id, expected_text, input_sha256
from pytest_ftgate.data.lines import sha256_of, written_at
from pytest_ftgate.errors import DataError, ModelError, Where, located, shown_path
from pytest_ftgate.models import logs, price, protocol
from pytest_ftgate.text import excerpt, got, listed

_IDS_SHOWN = 3
_FORM = 'a recorded answer looks like this: {"id": "...", "output": "..."}'
_STATUSES = ("status", "status_code")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_TEXT = (_is_text, "text")
_SECONDS = (protocol.is_seconds, "a number of seconds")
_COUNT = (protocol.is_count, "a whole number from 0")
_MUST: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "key": _TEXT,
    "reasoning": _TEXT,
    "input_sha256": _TEXT,
    "latency_s": _SECONDS,
    "busy_s": _SECONDS,
    "created_at": (protocol.is_seconds, "a number of seconds since 1970"),
    "finish": (lambda value: value in protocol.FINISHES, f"one of {listed(protocol.FINISHES)}"),
    "repeat": _COUNT,
    "usage": (lambda value: isinstance(value, Mapping), "an object"),
    **{f"usage.{name}": _COUNT for name in protocol.COUNTS},
}
"""What the value of each fact must be that a row may have, unless it is null."""


class RecordedRow(NamedTuple):
    """Hold one row of a file, and the hash of its input if stated.

    A prediction without a key has no answer.
    """

    line: int | None  # None for a row that has an id and a text, and nothing that could be wrong
    prediction: protocol.Prediction
    input_sha256: str | None
    failure: str | None = None  # why the recorded call failed, such as "status 500"


class Recording(NamedTuple):
    """Hold the answer that committed files record under one key, and hashes of its inputs.

    ``of_candidate`` says that it serves only candidates, since no other file records it.
    """

    prediction: protocol.Prediction
    where: Where
    inputs: set[str]
    of_candidate: bool = False

    def prediction_for(self, example: Example) -> protocol.Prediction:
        """Return the answer. Raise :class:`ModelError` if it was made for none of these inputs.

        They are several where a template leaves parts out.
        """
        _check_input(example, self.inputs, self.where)
        return self.prediction


def _check_input(example: Example, stated: Iterable[str], where: Where) -> None:
    """Raise a fatal :class:`ModelError` if all stated hashes are those of other inputs."""
    if stated and input_sha256(example.input) not in stated:
        message = f'the recording with id "{excerpt(example.id)}" was made for another input'
        evidence = "its input_sha256 is not that of the test set's input"
        cure = "record the model again, or correct the ids"
        raise ModelError(message, where=where, fatal=True, evidence=evidence, cure=cure)


class Rows(Mapping[tuple[str, int], RecordedRow]):
    """Hold the rows of a file by id and repeat.

    Of rows with nothing but an id and a text there may be a hundred thousand: they are kept as
    texts by id, and made into rows when they are looked up. ``made_by`` are the models that rows
    name.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.others: dict[tuple[str, int], RecordedRow] = {}
        self.made_by: set[str] = set()

    def add(
        self, values: Mapping[str, Any], number: int, place: Callable[[int], Where]
    ) -> tuple[str, int] | None:
        """Add a row of the file.

        If an earlier row has the same id and repeat, return these, and add nothing.
        """
        id_ = values.get("id")
        output = values.get("output")
        if len(values) == 2 and type(id_) is str and type(output) is str and id_.strip():
            if id_ in self.texts or (id_, 0) in self.others:
                return id_, 0
            self.texts[id_] = intern(output)  # many answers are one of few labels
            return None

        identity, row = _row_of(dict(values), place(number).line)
        if identity in self.others or (identity[1] == 0 and identity[0] in self.texts):
            return identity
        self.others[identity] = row
        made_by = values.get("model")
        if isinstance(made_by, str) and made_by:
            self.made_by.add(made_by)
        return None

    def __getitem__(self, identity: tuple[str, int]) -> RecordedRow:
        id_, repeat = identity
        if repeat or id_ not in self.texts:
            return self.others[identity]
        answer = _bare(self.texts[id_])
        prediction = protocol.Prediction("", answer, id=id_, stored=True, recorded=True)
        return RecordedRow(None, prediction, None)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for id_ in self.texts:
            yield id_, 0
        yield from self.others

    def __len__(self) -> int:
        return len(self.texts) + len(self.others)


class RecordedFile(NamedTuple):
    """Hold all rows of one file, its path for messages, and the hash of its bytes, in hex."""

    path: str
    sha256: str
    rows: Rows


@dataclass(eq=False, kw_only=True)
class RecordedModel(protocol.BuiltModel):
    """Answer from a :class:`RecordedFile`."""

    path: str
    sha256: str
    rows: Rows
    # whether every row states the input it was made for, which is checked when the row is used
    verified: bool | None
    made_by: str | None = None
    concurrency: int = 16
    timeout_s: float | None = None
    retries: int = 0
    persistent: bool = False

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of examples that have a row."""
        return frozenset(id_ for id_, _ in self.rows)

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of file, id, repeat, and the input if the row states it.

        It tells models apart; recorded answers are neither asked for nor stored.
        """
        text = f"recorded\n{self.sha256}\n{repeat}\n{example.id}"
        row = self.rows.get((example.id, repeat))
        if row is not None and row.input_sha256 is not None:
            # A row checked against one input is never used for another.
            text += f"\n{input_sha256(example.input)}"
        return hashlib.sha256(text.encode()).hexdigest()

    async def complete(self, example: Example, repeat: int = 0) -> protocol.Completion:
        completion = self.prediction(example, repeat).completion
        assert completion is not None
        return completion

    def prediction(self, example: Example, repeat: int = 0) -> protocol.Prediction:
        """Return the row with this id.

        Raise :class:`ModelError`: a fatal one if it was made for another input.
        """
        row = self.rows.get((example.id, repeat))
        if row is None:
            raise self._no_answer(example, repeat)

        if row.input_sha256 is not None:
            _check_input(example, (row.input_sha256,), Where(self.path, row.line))
        if row.prediction.completion is not None:
            return row.prediction

        message = f'the recording with id "{excerpt(example.id)}" holds no answer'
        if row.failure is not None:
            message = f'the recorded call with id "{excerpt(example.id)}" failed'
        cure = "record the example again"
        where = Where(self.path, row.line)
        raise ModelError(message, where=where, evidence=row.failure, cure=cure)

    def _no_answer(self, example: Example, repeat: int) -> ModelError:
        """Return the error that no row has the id of an example."""
        ids = dict.fromkeys(id_ for id_, _ in self.rows)
        evidence = f"recorded ids: {listed(ids, _IDS_SHOWN)}"
        cure = "record the model on this example too, or correct the ids"
        if not example.has_own_id:
            cure = "give the rows of the test set the ids of the recording: they have none"
        answer = f'id "{excerpt(example.id)}"'
        if repeat:
            answer += f", repeat {repeat}"
        message = f"no recorded answer for {example.place or 'an example'} ({answer})"
        return ModelError(message, where=Where(path=self.path), evidence=evidence, cure=cure)

    def answer_to(self, text: Input, examples: Iterable[Example]) -> protocol.Completion:
        """Return the answer to an input, found by a row's hash or by the example.

        Raises :class:`ModelError`.
        """
        text = text if isinstance(text, str) else tuple(text)
        id_ = self._id_of(text, examples)
        completion = self.prediction(Example(id_, text, "")).completion
        assert completion is not None
        return completion

    def _id_of(self, text: Input, examples: Iterable[Example]) -> str:
        """Return the id under which the answer to an input is recorded, or would be."""
        # A stated hash is exact; an id may be that of another test set.
        sha256 = input_sha256(text)
        for (id_, repeat), row in self.rows.items():
            if not repeat and row.input_sha256 == sha256:
                return id_
        for example in examples:
            if example.input == text and (example.id, 0) in self.rows:
                return example.id
        return content_id(text)


def build_recorded(spec: ModelSpec, _: protocol.Surroundings) -> RecordedModel:
    """Return the model ``recorded:PATH``. Raises :class:`DataError` as :func:`read_rows` does."""
    # The path may be wrong where the gate gives it.
    with written_at(spec.source.where()):
        file = read_rows(Path(spec.options["path"]))

    made_by = None
    if len(file.rows.made_by) == 1:
        [made_by] = file.rows.made_by
    return RecordedModel(
        name=spec.name,
        spelling=spec.spelling,
        path=file.path,
        sha256=file.sha256,
        rows=file.rows,
        verified=all(row.input_sha256 is not None for row in file.rows.values()),
        made_by=made_by,
        price=price.written_price(spec.options.get("price"), str(spec.source)),
        strip_reasoning=spec.options.get("strip_reasoning", "auto"),
    )


def read_rows(path: Path) -> RecordedFile:
    """Return the predictions of one file.

    Raises :class:`DataError` if there are none, or a row is not a prediction.
    """
    rows = Rows()
    with logs.opened_answers(path) as source:
        for number, values in source.rows:
            try:
                repeated = rows.add(values, number, source.place)
            except DataError as error:
                raise located(error, source.place(number)) from None
            if repeated is not None:
                raise _repeated(repeated[0], replace(source.place(number), key="id"))
    return _file_of(rows, path)


def _file_of(rows: Rows, path: Path) -> RecordedFile:
    """Return the rows of a file, of which there must be one."""
    name = shown_path(path)
    if not rows:
        raise DataError("holds no answers", where=Where(path=name))
    return RecordedFile(name, sha256_of(path), rows)


def _repeated(id_: str, where: Where) -> DataError:
    """Return the error that an earlier row has the id of this one."""
    cure = 'keep one row of each id; further answers of one example carry "repeat": 1, 2, ...'
    return DataError(f'the id "{excerpt(id_)}" repeats', where=where, cure=cure)


def _row_of(row: dict[str, Any], line: int | None) -> tuple[tuple[str, int], RecordedRow]:
    """Return the id and the repeat of a recorded answer, and the answer.

    Values are taken out of ``row``.
    """
    for name in ("id", "output"):
        if name not in row:
            raise DataError(f'no field "{name}"', evidence=f"found: {listed(row)}", cure=_FORM)
    id_ = _checked_id(row.pop("id"))
    output = row.pop("output")

    facts = _checked(row)
    counts = _checked({f"usage.{name}": count for name, count in facts.pop("usage", {}).items()})
    failure = _failure_in(row)
    answer = None
    # A failed call has no answer, whatever its row holds.
    if output is not None and failure is None:
        output = expected_text(output)
        # One object for equal texts without further facts saves memory.
        answer = _completion(output, row, facts, counts) if row else _bare(output)

    prediction = protocol.Prediction(
        facts.get("key", ""),
        answer,
        latency_s=facts.get("latency_s"),
        created_at=facts.get("created_at") or None,
        busy_s=facts.get("busy_s"),
        id=id_,
        stored=True,
        recorded=True,
    )
    recorded = RecordedRow(
        line, prediction=prediction, input_sha256=facts.get("input_sha256"), failure=failure
    )
    return (id_, facts.get("repeat", 0)), recorded


def _checked_id(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    message = f"must be text that is not blank, {got(value, ('id',))}"
    raise DataError(message, where=Where(key="id"))


def _completion(
    output: str, row: Mapping[str, Any], facts: Mapping[str, Any], counts: Mapping[str, int]
) -> protocol.Completion:
    tokens: dict[str, Any] = {}
    for name, count in counts.items():
        tokens[name.removeprefix("usage.")] = count
    reason = protocol.unknown_reason(row.get("finish_reason"))
    finish = facts.get("finish") or protocol.finish_of(row.get("finish_reason"))
    return protocol.Completion(
        output,
        latency_s=facts.get("latency_s"),
        reasoning=facts.get("reasoning"),
        finish=finish,
        finish_reason=excerpt(reason) if reason is not None and finish == "cut_off" else None,
        **tokens,
    )


def _failure_in(row: Mapping[str, Any]) -> str | None:
    """Return why the call of a row failed: its error, a status of 400 or more, or how it ended.

    Return None for a call that did not fail.
    """
    error = row.get("error")
    if error:
        return f"error: {excerpt(expected_text(error))}"

    for name in _STATUSES:
        status = row.get(name)
        if isinstance(status, str) and status.isdecimal():  # tables are exported as text
            status = int(status)
        if protocol.is_count(status) and status >= 400:
            return f"{name}: {status}"

    if row.get("finish") is None and protocol.finish_of(row.get("finish_reason")) == "failed":
        return "its finish reason is an error"
    return None


def _checked(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known facts in a row. Raise :class:`DataError` if a value is impossible."""
    facts = {name: value for name, value in row.items() if value is not None and name in _MUST}
    for name, value in facts.items():
        fits, words = _MUST[name]
        if not fits(value):
            message = f"must be {words}, {got(value, (name.split('.')[0],))}"
            raise DataError(message, where=Where(key=name))
    return facts


_bare = lru_cache(1_000)(protocol.Completion)
