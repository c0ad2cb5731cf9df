"""Answer with what Python code has predicted already, in the order of the test set or by id."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

from pytest_ftgate.config import ModelSpec
from pytest_ftgate.config.models import Given
from pytest_ftgate.data import DataSet, canonical_json
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.models import price, protocol, workers
from pytest_ftgate.models.python import label_number, may_be_numbers
from pytest_ftgate.models.recorded import RecordedModel, Rows
from pytest_ftgate.text import excerpt, kind_of, plural


def build_given(spec: ModelSpec, surroundings: protocol.Surroundings) -> RecordedModel:
    """Return a model that gives the answers which a marker, a fixture or ``judge`` gives.

    Raises:
        ConfigError: they do not fit the test set, or one of them is no answer.
    """
    given: Given = spec.options["answers"]
    test = surroundings.asked
    if test is None:
        message = "answers that are given serve the test set of a gate only"
        raise ConfigError(message, where=spec.source.where())

    rows = Rows()
    numbers = may_be_numbers(surroundings)
    for id_, place, answer in _paired(given, test, spec):
        rows.texts[id_] = _text(answer, place, spec, numbers=numbers)
    digest = hashlib.sha256(canonical_json(rows.texts).encode(errors="backslashreplace"))
    return RecordedModel(
        name=spec.name,
        spelling=spec.spelling,
        path=spec.spelling,
        sha256=digest.hexdigest(),
        rows=rows,
        verified=False,
        price=price.written_price(spec.options.get("price"), str(spec.source)),
        strip_reasoning="auto",
    )


def _paired(given: Given, test: DataSet, spec: ModelSpec) -> Iterator[tuple[str, str, Any]]:
    """Yield the id of each example, the place of its answer, and the answer."""
    where = spec.source.where()
    if isinstance(given.answers, Mapping):
        missing = [example for example in test if example.id not in given.answers]
        if missing:
            message = f"no answer for {len(missing):,} of {plural(len(test), 'test example')}"
            evidence = (
                f'such as {missing[0].place or "the example"} (id "{excerpt(missing[0].id)}")'
            )
            fix = "give an answer for each id of the test set"
            raise ConfigError(message, where=where, evidence=evidence, cure=fix)
        for example in test:
            yield example.id, f"{spec.name}[{example.id!r}]", given.answers[example.id]
        return

    if len(given.answers) != len(test):
        message = f"{plural(len(given.answers), 'answer')} for {plural(len(test), 'test example')}"
        fix = "give one answer for each example, in the order of the test set; or a dict by id"
        raise ConfigError(message, where=where, cure=fix)
    _check_index(given.index, test, spec)
    for row, (example, answer) in enumerate(zip(test, given.answers, strict=True)):
        yield example.id, f"{spec.name}[{row}]", answer


def _check_index(index: Sequence[Any] | None, test: DataSet, spec: ModelSpec) -> None:
    """Raise :class:`ConfigError` for a series whose index is not that of the test set."""
    expected = range(len(test)) if test.index is None else test.index
    for row, (label, wanted) in enumerate(zip(index or (), expected, strict=False)):
        if label != wanted:
            message = f"the index is not that of the test set: at row {row} it is {label!r}, "
            message += f"not {wanted!r}"
            fix = "sort the series as the test set is: series.loc[frame.index]; or give its values"
            raise ConfigError(message, where=spec.source.where(), cure=fix)


def _text(answer: Any, place: str, spec: ModelSpec, *, numbers: bool) -> str:
    """Return an answer as text."""
    where = spec.source.where()
    is_number = isinstance(answer, Number) and not isinstance(answer, bool)
    is_missing = answer is None or (isinstance(answer, float) and math.isnan(answer))
    if is_missing or type(answer).__name__ in ("NAType", "NaTType"):
        fix = "give the answer of the model; an empty one is the empty text"
        message = f"{place} is missing: {kind_of(answer) if answer is None else answer}"
        raise ConfigError(message, where=where, cure=fix)

    text = workers.label_of(answer)
    if text is None:
        error: ModelError = workers.unreadable(place, answer)
        raise ConfigError(error.what, where=where, evidence=error.evidence, cure=error.cure)
    if not numbers and (is_number or label_number(text)):
        message = f"{place} is {text}, the number of a label, and the outputs of the test "
        fix = "give the texts of the label encoder: encoder.inverse_transform(predictions)"
        raise ConfigError(f"{message}set are words", where=where, cure=fix)
    return text
