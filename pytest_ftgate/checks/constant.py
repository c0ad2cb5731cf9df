"""Models held against one constant answer to everything: what does not beat it is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ftgate.checks.trivial import Trivial, beats
from pytest_ftgate.numbers import is_share, show_value
from pytest_ftgate.result import Check, ModelResult, Status, called

if TYPE_CHECKING:
    from pytest_ftgate.metrics import Metric

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
        return getattr(self.metric, "compares", True)

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
    return Check(name, status, message, one.facts.value, standard.trivial.value, source, advice)
