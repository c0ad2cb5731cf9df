"""Models held against one constant answer to everything: what does not beat it is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.result import Action, Check, ModelResult, Status, called
from pytest_ftgate.text import is_share, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Answers, Metric


_TRIED = 20


def check(gate: Context) -> Sequence[Check]:
    """Check what one constant answer to everything would score: no model is called for that."""
    config, metric, scored = gate.config, gate.deciding, gate.scored
    constants = {role: constant_answer(metric, one.answers) for role, one in scored.items()}
    reason, source = config.allow_weak_baseline, gate.source("allow_weak_baseline")
    if metric.judged:
        n_expected = len({expected_text(value).strip() for value in gate.expected})
        return throughout_checks(constants, n_expected=n_expected, reason=reason, source=source)
    standard = Standard(metric, trivial_baseline(metric, gate.expected), reason, source)
    return constant_checks(standard, {role: Answered(one.facts, constants[role]) for role, one in scored.items()})


@dataclass(frozen=True, slots=True)
class Trivial:
    """The constant answer that a model must beat to be one.

    Attributes:
        answer: the text that every example gets.
        value: what it scores.
        perfect: nothing scores better.
        n_expected: how many different outputs the test set expects.
    """

    answer: str
    value: float
    perfect: bool
    n_expected: int


def trivial_baseline(metric: Metric, expected: Sequence[Any]) -> Trivial:
    """The best constant answer: the most frequent expected output, which is what a model without a clue would say.

    Of metrics over all labels together another label may score better (F1 of a rare positive label), so the 20 most
    frequent ones are tried. One that is perfect (recall of the positive label) is left out where another is there:
    a standard that nothing can beat says nothing about a model.

    Args:
        metric: the one that decides.
        expected: the expected output of each example, at least one.

    Raises:
        MetricError: the metric cannot score an output that its own test set expects elsewhere.
    """
    counted = Counter(expected_text(value).strip() for value in expected).most_common()
    over_labels = metric.kind == "set" and metric.uses_labels
    tried = [answer for answer, _ in (counted[:_TRIED] if over_labels else counted[:1])]
    bare = metric.bare()
    found = [Trivial(answer, *_scored(bare, expected, answer), len(counted)) for answer in tried]
    beatable = [one for one in found if not one.perfect] or found
    return max(beatable, key=lambda one: one.value if metric.greater_is_better else -one.value)


def _scored(metric: Metric, expected: Sequence[Any], answer: str) -> tuple[float, bool]:
    """The value of a constant answer, and whether it is the best there is."""
    try:
        value = metric.score(expected, [[answer] * len(expected)]).value
    except MetricError as error:
        evidence = f"it was scoring the constant answer {answer[:60]!r}, which the test set expects elsewhere"
        raise MetricError(error.what, where=error.where, evidence=evidence, cure=error.cure) from error
    best = metric.high if metric.greater_is_better else metric.low
    return value, not beats(metric, best, value)


def beats(metric: Metric, value: float, other: float) -> bool:
    """Strictly better in the metric's direction, after rounding to 12 decimals: 2/3 is not below 40 of 60."""
    seen, asked = round(value, 12), round(other, 12)
    return seen > asked if metric.greater_is_better else seen < asked


def constant_answer(metric: Metric, answers: Answers) -> str | None:
    """The one answer that a model gave wherever it gave any; None where its answers differ, or are none.

    Labels are compared as the metric reads them, other answers as text without the white space around it.
    """
    given = {answer for repeat in answers for answer in metric.answers_read(repeat) if answer is not None}
    return next(iter(given)) if len(given) == 1 else None


_SHOWN = 60


@dataclass(frozen=True)
class Standard:
    """What the answers of all models are held against.

    Attributes:
        metric: the one that decides.
        trivial: the best constant answer by it.
        reason: why a weak baseline is allowed; None where it is not.
        source: where that is written.
    """

    metric: Metric
    trivial: Trivial
    reason: str | None
    source: str

    @property
    def compares(self) -> bool:
        """Whether the metric compares answers with what is expected; else a constant answer is no standard by it."""
        return self.metric.compares

    def shown(self, value: float | None) -> str:
        """A value of the metric as people read it."""
        return show_value(value, share=is_share((self.metric.low, self.metric.high)))

    def __str__(self) -> str:
        return f"{_quoted(self.trivial.answer)} to everything scores {self.shown(self.trivial.value)}"


@dataclass(frozen=True)
class Answered:
    """A model's facts, and the one answer that it gave to everything; None where it gave several."""

    facts: ModelResult
    constant: str | None


def constant_checks(standard: Standard, answered: Mapping[str, Answered]) -> Sequence[Check]:
    """Every baseline beats the best constant answer, and the candidate is none itself.

    By a metric that does not compare with what is expected a constant answer is no standard: there it is enough that
    no model gives one answer to everything.

    Args:
        standard: the best constant answer.
        answered: by role: the baselines' names, and "candidate" where there is one.
    """
    held = [(role, one) for role, one in answered.items() if role != "candidate"]
    if not standard.compares:
        held = [(role, one) for role, one in held if _throughout(standard, one)]
    baselines = [_weak_baseline(standard, role, one) for role, one in held]
    candidate = answered.get("candidate")
    degenerate = None if candidate is None else _degenerate(standard, candidate)
    return [*baselines, degenerate] if degenerate else baselines


def throughout_checks(
    constants: Mapping[str, str | None], *, n_expected: int, reason: str | None, source: str
) -> list[Check]:
    """Models that say one thing to everything, by a metric that would have to be asked what that is worth.

    Args:
        constants: the one answer that each model gave, by role; None where it gave several.
        n_expected: how many different outputs the test set expects.
        reason: why a weak baseline is allowed; None where it is not.
        source: where that is written.
    """
    found = []
    for role, answer in constants.items():
        if answer is None or n_expected == 1:
            continue
        allowed = role != "candidate" and reason is not None
        found.append(
            Check(
                "degenerate_candidate" if role == "candidate" else "weak_baseline",
                "warning" if allowed else "fail",
                f"{called(role)} answers {_quoted(answer)} throughout, and the test set expects {n_expected:,} "
                f"different outputs{f' (allowed: {reason})' if allowed else ''}",
                source=source if allowed else None,
                advice=None if allowed else "Look at its prompt, or at what it was trained on.",
                action="fix_data" if role == "candidate" else "better_prompt",
            )
        )
    return found


def _weak_baseline(standard: Standard, role: str, one: Answered) -> Check:
    """Any fine-tune beats a baseline that is no better than a constant answer, or is one."""
    throughout = _throughout(standard, one)
    if _beaten(standard, one) and not throughout:
        return _check("weak_baseline", "pass", f"{_value(standard, role, one)}; {standard}", standard, one)
    message = f"{_value(standard, role, one)} is no better than a constant answer: {standard}"
    message += f", and it {throughout}" if throughout else ""
    if standard.reason is None:
        return _check("weak_baseline", "fail", message, standard, one, advice=_advice(standard))
    allowed = f"{message} (allowed: {standard.reason})"
    return _check("weak_baseline", "warning", allowed, standard, one, source=standard.source)


def _advice(standard: Standard) -> str:
    otherwise = 'or say why it may be weak: allow_weak_baseline: "..."'
    if standard.trivial.n_expected == 1:
        return f"The test set expects one output everywhere: add examples with others, {otherwise}."
    if standard.trivial.perfect and standard.compares:
        return (
            f"A constant answer is perfect by {standard.metric.name}: decide by a metric that compares with the "
            f"expected output, and put this one under require, {otherwise}."
        )
    return (
        "Write a real prompt: what the task is, every possible answer, a few examples (few_shot: {k: 8}); "
        f"{otherwise}."
    )


def _degenerate(standard: Standard, one: Answered) -> Check | None:
    """Where the baseline may be weak, the margin alone does not lift the candidate above a constant answer."""
    throughout = _throughout(standard, one)
    if throughout:
        message = (
            f"candidate {one.facts.name} {throughout}, "
            f"and the test set expects {standard.trivial.n_expected:,} different outputs"
        )
        advice = "Look at the training set: most of it may be this answer, or the training has collapsed."
        return _check("degenerate_candidate", "fail", message, standard, one, advice=advice)
    if standard.reason is None or standard.trivial.perfect or not standard.compares or _beaten(standard, one):
        return None
    message = f"{_value(standard, 'candidate', one)} is no better than a constant answer: {standard}"
    return _check("degenerate_candidate", "fail", message, standard, one, advice="Drop it: it learned nothing of use.")


def _beaten(standard: Standard, one: Answered) -> bool:
    value = one.facts.value
    return value is not None and beats(standard.metric, value, standard.trivial.value)


def _throughout(standard: Standard, one: Answered) -> str | None:
    """Says so where a model gave one answer to everything and the test set expects several."""
    if one.constant is None or standard.trivial.n_expected == 1:
        return None
    return f"answers {_quoted(one.constant)} throughout"


def _value(standard: Standard, role: str, one: Answered) -> str:
    return f"{called(role, one.facts.name)}: {standard.metric.name} {standard.shown(one.facts.value)}"


def _quoted(answer: str) -> str:
    return repr(answer if len(answer) <= _SHOWN else answer[: _SHOWN - 3] + "...")


def _check(
    name: str,
    status: Status,
    message: str,
    standard: Standard,
    one: Answered,
    *,
    source: str | None = None,
    advice: str | None = None,
) -> Check:
    action: Action = "better_prompt" if name == "weak_baseline" else "fix_data"
    return Check(name, status, message, one.facts.value, standard.trivial.value, source, advice, action)
