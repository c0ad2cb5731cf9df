"""Read what classifiers of common libraries return: a label, or what holds one; else say how to unpack it."""

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import islice
from typing import Any

from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import ModelError
from pytest_ftgate.text import shortened

_FASTTEXT = "__label__"
_CURE = (
    "return text (str), a label (int, float, bool) or a Completion for every input; an empty string is scored as a "
    "wrong answer"
)


def predicted(model: Any, inputs: list[Any]) -> object:
    """Return the predictions of an object with ``predict`` as a list, such as those of a scikit-learn pipeline."""
    found = model.predict(inputs)
    if isinstance(found, tuple) and len(found) == 2:  # fastText: the labels of each input, and their probabilities
        found = [labels[0] if len(labels) else None for labels in found[0]]
    return found.tolist() if hasattr(found, "tolist") else found


def label_of(answer: Any) -> str | None:
    """Return the text of an answer; None if it holds no label.

    Text counts as it is, and a number or truth value as JSON writes it. Of labels with scores the best one counts:
    ``{"label": ..., "score": ...}``, or a list of them, as ``pipeline("text-classification")`` returns them, and the
    ``cats`` of a spaCy document.
    """
    if hasattr(answer, "dtype") and hasattr(answer, "item"):  # a scalar of NumPy and its like counts as what it holds
        try:
            answer = answer.item()
        except (ValueError, RuntimeError):  # several values
            return None
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], tuple) and answer[0]:  # fastText, one
        answer = answer[0][0]
    if isinstance(answer, str):
        answer = answer.value if isinstance(answer, Enum) else answer
        return answer.removeprefix(_FASTTEXT) if answer.startswith(_FASTTEXT) else str(answer)
    if isinstance(answer, int | float) and math.isfinite(answer):
        return canonical_json(answer)
    scored = _scored(answer)
    return max(scored, key=lambda label: scored[label]) if scored else None


def _scored(answer: Any) -> Mapping[str, float]:
    """Return labels with their scores; empty if an answer is nothing like that."""
    found: Any = getattr(answer, "cats", None)
    if found is None:
        rows = answer if isinstance(answer, list) else [answer]
        rows = rows[0] if len(rows) == 1 and isinstance(rows[0], list) else rows  # with top_k, of one input
        if not all(isinstance(row, Mapping) and {"label", "score"} <= row.keys() for row in rows):
            return {}
        found = {row["label"]: row["score"] for row in rows}
    return found if isinstance(found, Mapping) and all(isinstance(label, str) for label in found) else {}


def unreadable(name: str, answer: object) -> ModelError:
    """Return the error that an answer holds no label, with the value, and how to unpack it."""
    if answer is None:
        return ModelError(f"{name} returned None", cure=_CURE)
    numbers: Any = getattr(answer, "tolist", lambda: answer)()
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], list):  # a batch of one
        numbers = numbers[0]
    if isinstance(numbers, list | tuple) and len(numbers) > 1 and all(isinstance(one, int | float) for one in numbers):
        what = f"{name} returned {len(numbers):,} numbers for an input, such as probabilities: {_shown(numbers)}"
        return ModelError(what, cure="return the label of the largest: lambda text: LABELS[int(scores(text).argmax())]")
    what = f"{name} returned a value of type {type(answer).__name__}"
    paths = list(islice(_paths(answer, "answer"), 2))
    cure = f"return its text: {paths[0]}" if len(paths) == 1 else _CURE
    return ModelError(what, evidence=_shown(answer), cure=cure)


def _paths(value: Any, path: str) -> Iterator[str]:
    """Yield how Python reads each text within a value."""
    if isinstance(value, Enum):
        value, path = value.value, f"{path}.value"
    if isinstance(value, str):
        yield path
    elif isinstance(value, Mapping | list | tuple):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _paths(one, f'{path}["{key}"]' if isinstance(key, str) else f"{path}[{key!r}]")


def encoded(name: str, label: str) -> ModelError:
    """Return the error that a label is a number where the test set expects none: that of an encoder."""
    return ModelError(
        f"{name} returned {label}, the number of a label, and the expected outputs of the test set are words",
        cure="return the text from the label encoder, encoder.inverse_transform([n])[0], or set id2label of the model",
        fatal=True,
    )


def _shown(value: object) -> str:
    return shortened(repr(value), 80)
