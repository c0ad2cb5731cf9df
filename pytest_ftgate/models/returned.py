"""Read what classifiers of common libraries return: a label, or what holds one; else say how to unpack it."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any

from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import ModelError
from pytest_ftgate.text import shortened

_CURE = "return text (str), a label (int, float, bool) or a Completion for every input"


def predicted(model: Any, inputs: list[Any]) -> object:
    """Return the predictions of an object with ``predict`` as a list, such as those of a scikit-learn pipeline."""
    found = model.predict(inputs)
    if isinstance(found, tuple) and len(found) == 2:  # fastText: the labels of each input, and their probabilities
        found = [labels[0] if len(labels) else None for labels in found[0]]
    return found.tolist() if hasattr(found, "tolist") else found


def one_each(name: str, answers: object, n: int) -> Sequence[Any]:
    """Return the answers of a function to ``n`` inputs. Raise :class:`ModelError` unless it is a list of as many."""
    found = f"a value of type {type(answers).__name__}"
    if isinstance(answers, Sequence) and not isinstance(answers, str):
        if len(answers) == n:
            return answers
        found = f"{len(answers):,} answers for {n:,} inputs"
    cure = "with batch_size, return a list with one answer for each input of the list"
    raise ModelError(f"{name} returned {found}", cure=cure)


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
        return str(answer.value if isinstance(answer, Enum) else answer).removeprefix("__label__")
    if isinstance(answer, int | float) and math.isfinite(answer):
        return canonical_json(answer)
    rows = answer if isinstance(answer, list) else [answer]
    rows = rows[0] if len(rows) == 1 and isinstance(rows[0], list) else rows  # with top_k, of one input
    scores: Any = getattr(answer, "cats", {})
    if all(isinstance(row, Mapping) and isinstance(row.get("label"), str) and "score" in row for row in rows):
        scores = {row["label"]: row["score"] for row in rows}
    return max(scores, key=scores.__getitem__) if scores else None


def unreadable(name: str, answer: object) -> ModelError:
    """Return the error that an answer holds no label, with the value, and how to unpack it."""
    if inspect.iscoroutine(answer):
        answer.close()  # or Python warns that it was never awaited
    numbers: Any = getattr(answer, "tolist", lambda: answer)()
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], list):  # a batch of one
        numbers = numbers[0]
    if isinstance(numbers, list | tuple) and len(numbers) > 1 and all(isinstance(one, int | float) for one in numbers):
        what = f"{name} returned {len(numbers):,} numbers for an input, such as probabilities"
        cure = "return the label of the largest: lambda text: LABELS[int(scores(text).argmax())]"
    else:
        what = f"{name} returned a value of type {type(answer).__name__}"
        paths = list(islice(_paths(answer, "answer"), 2))
        cure = f"return its text: {paths[0]}" if len(paths) == 1 else _CURE
    return ModelError(what, evidence=shortened(repr(answer), 80), cure=cure)


def _paths(value: Any, path: str) -> Iterator[str]:
    """Yield how Python reads each text within a value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, Mapping | list | tuple):
        for key, one in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _paths(one, f"{path}[{key!r}]")
