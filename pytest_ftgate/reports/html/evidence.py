"""Texts that the page shows beside a result.

They are many: neither the JSON report nor JUnit keeps them.

The answers of both models stand side by side.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Literal, get_args

from pytest_ftgate import plain
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.gain import shown_answers
from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics import Metric
from pytest_ftgate.models import Completion
from pytest_ftgate.reports.sentences import FINISHES
from pytest_ftgate.runs.measure import Measured, is_right, rightness, shown_input
from pytest_ftgate.text import plural, readable, show_seconds

_ID_CHARACTERS = 200
_ROUNDING = 1e-9
_MISSING = Completion("", finish="missing")

Change = Literal["broken", "fixed", "wrong", "right"]
"""What the candidate changes; without a change, whether both are right."""
Reply = tuple[str, str, str, str]
"""A model's answer, the first of its repeats; ``right`` or ``wrong``; remarks; its reasoning."""
Row = tuple[str, str, str, Change, Reply, Reply | None]
"""An example: id, input, expected output, change, and the answers of baseline and candidate."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold the texts of one gate.

    ``rows`` are the answers of the best baseline and of the candidate, those that changed first;
    empty where the models were not scored.
    """

    rows: tuple[Row, ...] = ()
    repeats: int = 1

    def to_json(self) -> str:
        """Return it on one line, for another process."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Evidence":
        """Return what :meth:`to_json` wrote."""
        return plain.from_plain(cls, json.loads(text))


def collect(gate: Context) -> Evidence:
    """Return the texts of a gate that was judged."""
    if gate.best not in gate.scored:
        return Evidence()
    answers = shown_answers(gate)
    return side_by_side(gate.deciding, answers, gate.best) if answers else Evidence()


def side_by_side(metric: Metric, scored: Mapping[str, Measured], best: str) -> Evidence:
    """Return the answers of the best baseline and the candidate, scored by the deciding metric."""
    baseline = scored[best]
    candidate = scored.get("candidate")
    examples = baseline.run.test_set.examples
    repeats = len(baseline.run.predictions)
    has_scores = metric.kind == "graded" or (metric.kind == "set" and not metric.uses_labels)
    scores = repeats > 1 or has_scores

    old_replies = _replies(metric, baseline, scores=scores)
    new_replies: Iterable[tuple[float | None, Reply | None]] = repeat((None, None), len(examples))
    if candidate is not None:
        new_replies = _replies(metric, candidate, scores=scores)

    rows: list[Row] = []
    for example, (old_score, old_reply), (new_score, new_reply) in zip(
        examples, old_replies, new_replies, strict=True
    ):
        name = readable(example.name, _ID_CHARACTERS)
        question = readable(shown_input(example))
        expected = readable(expected_text(example.expected))
        change = _change(metric, old_score, new_score)
        rows.append((name, question, expected, change, old_reply, new_reply))

    order = get_args(Change)
    rows.sort(key=lambda row: order.index(row[3]))
    return Evidence(tuple(rows), repeats)


def _replies(metric: Metric, model: Measured, *, scores: bool) -> Iterator[tuple[float, Reply]]:
    """Yield the mean score of each answer over the repeats, and the answer as it is shown."""
    scored = model.scores[metric.name]
    predictions = model.run.predictions[0]
    notes = scored.notes or [None] * len(predictions)
    values = rightness(scored).astype(float).tolist()
    for prediction, value, note in zip(predictions, values, notes, strict=True):
        completion = prediction.completion or _MISSING
        score = round(value, 6)
        is_correct = is_right(metric, value)
        mark = "right" if is_correct else "wrong"

        remarks = [mark]
        if scores:
            remarks.append(f"score {score:.3g}")
        if completion.finish in FINISHES:
            remarks.append(FINISHES[completion.finish])
        if prediction.latency_s is not None:
            remarks.append(show_seconds(round(prediction.latency_s, 4)))
        if completion.output_tokens is not None:
            remarks.append(plural(completion.output_tokens, "token"))
        # Notes say what is wrong; a graded answer can be right and have some.
        if note and not is_correct:
            remarks.append(readable(note))

        text = readable(completion.text).strip() or "(empty)"
        reasoning = readable(completion.reasoning or "")
        yield score, (text, mark, " · ".join(remarks), reasoning)


def _change(metric: Metric, old: float, new: float | None) -> Change:
    if new is not None:
        gain = metric.sign * (new - old)
        if gain > _ROUNDING:
            return "fixed"
        if gain < -_ROUNDING:
            return "broken"
    return "right" if is_right(metric, old) else "wrong"
