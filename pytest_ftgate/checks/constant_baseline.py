"""The rule that a model must beat always giving the same answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.checks.advice import TOOLS_ADVICE
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import Answers, Metric
from pytest_ftgate.metrics.tool_calls import NO_CALL
from pytest_ftgate.result import Action, Check, Status, called
from pytest_ftgate.runs.measure import Measured, compare_scored
from pytest_ftgate.text import shortened, show_value

_TRIED = 20
_CONFIDENCE = 0.95
_SHOWN = 60


def check(gate: Context) -> list[Check]:
    """Check that every model beats the best constant answer, and does not give one itself."""
    only = {role: constant_answer(gate.deciding, one.answers) for role, one in gate.scored.items()}
    if gate.deciding.judged:
        return list(_throughout(gate, only))
    standard = _Standard(gate, best_constant(gate.deciding, gate.expected), only)
    return [*standard.weak_baselines(), *(standard.degenerate_candidate() if "candidate" in only else ())]


# --- the best constant answer --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant:
    """Hold the constant answer that every model must beat.

    Attributes:
        perfect: whether nothing scores better.
        n_expected: the number of different outputs that the test set expects, as the metric reads them.
    """

    answer: str
    value: float
    perfect: bool
    n_expected: int


def best_constant(metric: Metric, expected: Sequence[Any]) -> Constant:
    """Return the best constant answer: the most frequent expected output, as the metric reads it.

    By metrics over all labels another label may score better (F1 of a rare positive label), so the 20 most frequent
    ones are tried; a metric may name others, such as the median of numbers. A perfect one (recall of the positive
    label) is left out where there is another, because no model could beat it.

    Raise :class:`MetricError` if the metric cannot score an output that its own test set expects elsewhere.
    """
    bare = metric.bare()
    texts = [metric.right_answer(value) for value in expected]
    read = bare.answers_read(texts)
    counted, written = Counter(read).most_common(), dict(zip(reversed(read), reversed(texts), strict=True))
    over_labels = metric.kind == "set" and metric.uses_labels
    tried = [written[answer] for answer, _ in (counted[:_TRIED] if over_labels else counted[:1])]
    tried += metric.constants(expected)
    constants = [Constant(answer, *_scored(bare, expected, answer), len(counted)) for answer in tried]
    beatable = [one for one in constants if not one.perfect] or constants
    return max(beatable, key=lambda one: one.value if metric.greater_is_better else -one.value)


def _scored(metric: Metric, expected: Sequence[Any], answer: str) -> tuple[float, bool]:
    """Return the value of a constant answer, and whether no value is better."""
    try:
        value = metric.score(expected, [[answer] * len(expected)]).value
    except MetricError as error:
        evidence = f"it failed on the constant answer {answer[:60]!r}, which the test set expects elsewhere"
        raise MetricError(error.what, where=error.where, evidence=evidence, cure=error.cure) from error
    return value, not beats(metric, metric.best, value)


def beats(metric: Metric, value: float, other: float) -> bool:
    """Return whether a value is better after rounding to 12 decimals, so that 40 of 60 does not beat 2/3."""
    one, two = round(value, 12), round(other, 12)
    return one > two if metric.greater_is_better else one < two


def chance(metric: Metric, answer: str, model: Measured, groups: Sequence[str | None]) -> float | None:
    """Return the one-sided p-value of "the model is no better than a constant answer", at most 5 % if it is better.

    The test is that of a gate's gain. None: it shows at 5 % that the model is better, or there is no such test.
    """
    expected, repeats = model.run.test_set.expected, len(model.run.predictions)
    constant = metric.bare().score(expected, [[answer] * len(expected)] * repeats)
    compared = compare_scored(
        constant,
        model.scores[metric.name],
        margin=0.0,
        confidence=_CONFIDENCE,
        evidence="significant",
        groups=groups,
    )
    return None if compared.above_zero else compared.p_zero


def constant_answer(metric: Metric, answers: Answers) -> str | None:
    """Return the only answer that a model gave; None where its answers differ or are all missing.

    Labels are compared as the metric reads them, other answers as stripped text.
    """
    given = {answer for repeat in answers for answer in metric.answers_read(repeat) if answer is not None}
    return next(iter(given)) if len(given) == 1 else None


# --- the models ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Standard:
    """Compare the answers of all models with the best constant answer.

    Attributes:
        only: the answer of each model, by role, if it gave the same to every example; else None.
    """

    gate: Context
    constant: Constant
    only: Mapping[str, str | None]

    def weak_baselines(self) -> Iterator[Check]:
        """Yield a check of every baseline: any fine-tune beats a baseline that is no better than a constant answer.

        Where the metric does not compare with the expected output, a constant answer may score best. Then a baseline
        only fails if it gives one answer to everything.
        """
        constant, compares = self.constant, self.gate.deciding.compares
        for role in self.only:
            throughout = self._throughout(role)
            if role not in self.gate.config.decisive or not (compares or throughout):
                continue
            if self._beaten(role) and not throughout:
                yield self._above(role)
                continue
            message = f"{self._value(role)} is no better than {self}"
            message += f"; it {throughout}" if throughout else ""
            if constant.n_expected == 1:
                advice = "The test set expects the same output everywhere: add examples of other outputs, "
                advice += f"{_OTHERWISE}."
            elif constant.perfect and compares:
                advice = f"A constant answer is perfect by {self.gate.deciding.name}: use a metric that compares with "
                advice += f"the expected output, and move this one to thresholds, {_OTHERWISE}."
            elif self.only[role] == NO_CALL and self.gate.deciding.calls_tools:
                advice = f"{TOOLS_ADVICE.format(role=called(role))[:-1]}; {_OTHERWISE}."
            else:
                advice = self._better_prompt(role)
            yield self._check("weak_baseline", "fail", role, message, advice=advice)

    def _above(self, role: str) -> Check:
        """Return the check of a baseline that scores better than the constant answer: perhaps by chance alone."""
        message = f"{self._value(role)}; always answering {self._answer} scores {self._shown(self.constant.value)}"
        p = None
        if self.gate.deciding.compares:
            p = chance(self.gate.deciding, self.constant.answer, self.gate.scored[role], self.gate.groups)
        if p is None:
            return self._check("weak_baseline", "pass", role, message)
        message += f", and the difference may be chance (p = {p:.2g}, above 0.05)"
        return self._check("weak_baseline", "warning", role, message, advice=self._better_prompt(role))

    def _better_prompt(self, role: str) -> str:
        baseline, examples = self.gate.config.baselines[role], ", with a few examples"
        if baseline.provider == "openai":
            examples = "" if "few_shot" in baseline.options else ", and give examples (few_shot: 8)"
        return f"Describe the task and every possible answer in the baseline's prompt{examples}; {_OTHERWISE}."

    def degenerate_candidate(self) -> Iterator[Check]:
        """Yield a failure for a candidate that always gives the same answer, or is no better than that.

        The latter is checked where a weak baseline is accepted, since the margin does not imply it there.
        """
        constant, throughout, message = self.constant, self._throughout("candidate"), ""
        may_be_weak = self.gate.config.accepts("weak_baseline") and self.gate.deciding.compares
        if throughout:
            message = f"candidate {self.gate.scored['candidate'].facts.name} {throughout}, "
            message += f"but the test set expects {constant.n_expected:,} different outputs"
            advice = "Check whether most training rows have this output; if not, the training run has collapsed."
            if self.only["candidate"] == NO_CALL and self.gate.deciding.calls_tools:
                advice = TOOLS_ADVICE.format(role="candidate")
        elif may_be_weak and not constant.perfect and not self._beaten("candidate"):
            message = f"{self._value('candidate')} is no better than {self}"
            advice = "Check the training data, and that the candidate is prompted as in its training rows."
        if message:
            yield self._check("degenerate_candidate", "fail", "candidate", message, advice=advice)

    def __str__(self) -> str:
        return f"always answering {self._answer}, which scores {self._shown(self.constant.value)}"

    @property
    def _answer(self) -> str:
        """Return the constant answer in words; of tool calls, as the metric reads it."""
        metric, answer = self.gate.deciding, self.constant.answer
        return _read_answer(metric, metric.answers_read([answer])[0] if metric.calls_tools else answer)

    def _shown(self, value: float | None) -> str:
        return show_value(value, share=self.gate.share)

    def _value(self, role: str) -> str:
        facts = self.gate.scored[role].facts
        return f"{called(role, facts.name)}: {self.gate.deciding.name} {self._shown(facts.value)}"

    def _beaten(self, role: str) -> bool:
        value = self.gate.scored[role].facts.value
        return value is not None and beats(self.gate.deciding, value, self.constant.value)

    def _throughout(self, role: str) -> str | None:
        """Return the finding that a model gave one answer to everything, though the test set expects several."""
        answer = self.only[role]
        return (
            None
            if answer is None or self.constant.n_expected == 1
            else f"always answers {_read_answer(self.gate.deciding, answer)}"
        )

    def _check(self, name: str, status: Status, role: str, message: str, **fields: Any) -> Check:
        value = self.gate.scored[role].facts.value
        return Check(name, status, message, value, self.constant.value, action=_ACTIONS[name], **fields)


_OTHERWISE = "or accept a weak baseline: checks: {weak_baseline: warn}"
_ACTIONS: Mapping[str, Action] = {"weak_baseline": "better_prompt", "degenerate_candidate": "fix_data"}


def _throughout(gate: Context, only: Mapping[str, str | None]) -> Iterator[Check]:
    """Refuse models that always give the same answer, by a judged metric: scoring a constant would cost money."""
    n = len({expected_text(value).strip() for value in gate.expected})
    for role, answer in only.items():
        if answer is None or n == 1:
            continue
        name = "degenerate_candidate" if role == "candidate" else "weak_baseline"
        yield Check(
            name,
            "fail",
            f"{called(role)} always answers {_quoted(answer)}, but the test set expects {n:,} different outputs",
            advice="Check its prompt, or the rows that it was trained on.",
            action=_ACTIONS[name],
        )


def _read_answer(metric: Metric, answer: str | None) -> str:
    """Return an answer in words, as the metric reads it."""
    said = _quoted(answer or "")
    return f"{said} (no tool call)" if metric.calls_tools and answer == NO_CALL else said


def _quoted(answer: str) -> str:
    return repr(shortened(answer, _SHOWN))
