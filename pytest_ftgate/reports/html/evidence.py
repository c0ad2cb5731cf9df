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
"""A model's answer, the first of its repeats; ``right``, ``wrong`` or ``open``; remarks; what it wrote before."""
Row = tuple[str, str, str, Change, Reply, Reply | None]
"""An example: its id, input, expected output and change, the baseline's answer and, after training, the candidate's."""


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
    shown = shown_answers(gate) if gate.best in gate.scored else {}
    return side_by_side(gate.deciding, shown, gate.best) if shown else Evidence()


def side_by_side(metric: Metric, scored: Mapping[str, Measured], best: str) -> Evidence:
    """Return the answers of the best baseline and of the candidate, scored by the deciding metric."""
    baseline = scored[best]
    candidate = scored.get("candidate")
    examples = baseline.run.test_set.examples
    repeats = len(baseline.run.predictions)
    scores = (
        repeats > 1 or metric.kind == "graded" or (metric.kind == "set" and not metric.uses_labels)
    )

    before = _replies(metric, baseline, scores=scores)
    after: Iterable[tuple[float | None, Reply | None]] = repeat((None, None), len(examples))
    if candidate is not None:
        after = _replies(metric, candidate, scores=scores)

    rows: list[Row] = []
    for example, (old_score, old_reply), (new_score, new_reply) in zip(
        examples, before, after, strict=True
    ):
        name = readable(example.name, _ID_CHARACTERS)
        question = readable(shown_input(example))
        expected = readable(expected_text(example.expected))
        change = _change(metric, old_score, new_score)
        rows.append((name, question, expected, change, old_reply, new_reply))

    order = get_args(Change)
    rows.sort(key=lambda row: order.index(row[3]))
    return Evidence(tuple(rows), repeats)


def _replies(metric: Metric, one: Measured, *, scores: bool) -> Iterator[tuple[float, Reply]]:
    """Yield the score of each answer, which is the mean over the repeats, and the answer as it is shown."""
    scored, answers = one.scores[metric.name], one.run.predictions[0]
    notes = scored.notes or [None] * len(answers)
    for prediction, score, why in zip(
        answers, rightness(scored).astype(float).tolist(), notes, strict=True
    ):
        found, right = prediction.completion or _MISSING, is_right(metric, score)
        mark = "right" if right else "wrong"
        shown = round(score, 6)
        remarks = [
            mark,
            f"score {shown:.3g}" if scores else "",
            FINISHES.get(found.finish, ""),
            "" if prediction.latency_s is None else show_seconds(round(prediction.latency_s, 4)),
            "" if found.output_tokens is None else plural(found.output_tokens, "token"),
            readable(why) if why and not right else "",
        ]
        said = " · ".join(filter(None, remarks))
        yield (
            shown,
            (
                readable(found.text).strip() or "(empty)",
                mark,
                said,
                readable(found.reasoning or ""),
            ),
        )


def _change(metric: Metric, old: float, new: float | None) -> Change:
    gain = 0.0 if new is None else metric.sign * (new - old)
    if abs(gain) > _ROUNDING:
        return "fixed" if gain > 0 else "broken"
    return "right" if is_right(metric, old) else "wrong"
