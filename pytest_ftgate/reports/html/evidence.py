"""Texts that the page shows beside a result. They are many: neither the JSON report nor JUnit keeps them.

The answers of both models stand side by side.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from pytest_ftgate.checks.audit import row_pairs
from pytest_ftgate.checks.shown import hides, shown_answers
from pytest_ftgate.data import canonical_json, expected_text
from pytest_ftgate.models import Completion
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.plain import from_plain
from pytest_ftgate.result import RowPair, called
from pytest_ftgate.runs.measure import is_right, rightness, shown_input
from pytest_ftgate.text import readable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.runs.measure import Measured

_PROMPT_CHARACTERS = 50_000
_ROUNDING = 1e-9
_ID_CHARACTERS = 200
_MISSING = Completion("", finish="missing")

Change = Literal["fixed", "broken", "right", "wrong", "same"]
"""What the candidate changes; without a change, whether both are right. ``same``: unchanged, rightness unknown."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold one model's answer to one example, the first of its repeats, escaped and shortened.

    ``score`` is the mean over the repeats, in the metric's unit; ``right`` is ``None`` if the metric has no midpoint.
    ``finish`` is one of :data:`pytest_ftgate.models.FINISHES`. ``why`` is the metric's explanation of a wrong answer,
    ``reasoning`` what the model wrote before its answer, or beside its tool calls.
    """

    text: str
    score: float
    right: bool | None
    finish: str
    latency_s: float | None = None
    output_tokens: int | None = None
    why: str | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one example of the test set; ``candidate`` is ``None`` before training."""

    id: str
    input: str
    expected: str
    change: Change
    baseline: Reply
    candidate: Reply | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Hold all answers of the best baseline and of the candidate.

    ``graded`` is True if an answer may be partly right, ``alone`` if there is no candidate.
    """

    rows: tuple[Row, ...]
    repeats: int
    graded: bool
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Texts of one gate.

    ``answers`` is None where the models were not scored. ``prompts`` are the messages that were sent for the first test
    example, by the models that were sent them. ``near_duplicates`` pairs a training row with an earlier one.
    """

    answers: Answers | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    near_duplicates: tuple[RowPair, ...] = ()

    def to_json(self) -> str:
        """Return it on one line, for another process."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Evidence:
        """Return what :meth:`to_json` wrote."""
        return from_plain(cls, json.loads(text))


def collect(gate: Context) -> Evidence:
    """Return the texts of a gate that was judged."""
    answers = None
    if gate.best in gate.scored:
        shown = shown_answers(gate) if hides(gate) else gate.scored
        answers = side_by_side(gate.deciding, shown, gate.best) if shown else None
    return Evidence(answers, _prompts(gate), row_pairs(gate.training, gate.training, gate.audit.near_rows))


def _prompts(gate: Context) -> dict[str, str]:
    """Return each different prompt once, by the models that share it."""
    roles: dict[str, list[str]] = {}
    for role, run in gate.runs_of("test").items():
        prompt = getattr(run.model, "prompt", None)
        if isinstance(prompt, Prompt):
            messages = map(_message, prompt.messages(gate.test.examples[0]))
            roles.setdefault(readable("\n\n".join(messages), _PROMPT_CHARACTERS), []).append(called(role))
    return {", ".join(models): text for text, models in roles.items()}


def _message(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return f"[{message['role']}]\n{content if isinstance(content, str) else canonical_json(dict(message))}"


# --- answers side by side ------------------------------------------------------------------------------------


def side_by_side(metric: Metric, scored: Mapping[str, Measured], best: str) -> Answers:
    """Return the answers of the best baseline and of the candidate, scored by the deciding metric."""
    baseline, candidate = scored[best], scored.get("candidate")
    return Answers(
        rows=tuple(_rows(metric, baseline, candidate)),
        repeats=len(baseline.run.predictions),
        graded=metric.kind == "graded" or (metric.kind == "set" and not metric.uses_labels),
        alone=candidate is None,
    )


def _rows(metric: Metric, baseline: Measured, candidate: Measured | None) -> Iterator[Row]:
    before = _replies(metric, baseline)
    after = _replies(metric, candidate) if candidate is not None else [None] * len(before)
    for example, old, new in zip(baseline.run.test_set.examples, before, after, strict=True):
        yield Row(
            id=readable(example.name, _ID_CHARACTERS),
            input=readable(shown_input(example)),
            expected=readable(expected_text(example.expected)),
            change=_change(metric, old, new),
            baseline=old,
            candidate=new,
        )


def _replies(metric: Metric, one: Measured) -> list[Reply]:
    scored, answers = one.scores[metric.name], one.run.predictions[0]
    notes = scored.notes or [None] * len(answers)
    replies = []
    for prediction, score, why in zip(answers, rightness(scored).astype(float).tolist(), notes, strict=True):
        completion = prediction.completion or _MISSING
        replies.append(
            Reply(
                readable(completion.text),
                round(score, 6) if isfinite(score) else 0.0,
                is_right(metric, score),
                completion.finish,
                None if prediction.latency_s is None else round(prediction.latency_s, 4),
                completion.output_tokens,
                why=None if why is None else readable(why),
                reasoning=readable(completion.reasoning) if completion.reasoning else None,
            )
        )
    return replies


def _change(metric: Metric, old: Reply, new: Reply | None) -> Change:
    if new is not None:
        gain = (new.score - old.score) * (1 if metric.greater_is_better else -1)
        if abs(gain) > _ROUNDING:
            return "fixed" if gain > 0 else "broken"
    if old.right is None:
        return "same"
    return "right" if old.right else "wrong"
