"""The rule that a model must beat always giving the same answer."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_ftgate import errors, result, text
from pytest_ftgate.checks.advice import TOOLS_ADVICE
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics import Answers, Metric, tool_calls


def check(gate: Context) -> Iterator[result.Check]:
    """Check that the best baseline beats always giving the same answer.

    A further baseline that does not is a warning. A baseline with a ``max_drop`` of its own, and
    the candidate, fail where they give one answer to everything, or none. Where a weak baseline is
    accepted the margin does not imply that the candidate beats the constant answer, so it is
    checked, too.

    Where the metric does not compare with the expected output, a constant answer may score best,
    and then, as for judged metrics, whose judges of a constant cost money, only one answer to
    everything counts.
    """
    constant = None if gate.deciding.judged else best_constant(gate.deciding, gate.expected)
    models = {role: _Model(gate, role, constant) for role in gate.scored}

    yield from _of_baselines(gate, models, constant)

    candidate = models.get("candidate")
    if candidate is not None:
        can_be_beaten = constant is not None and not constant.perfect
        is_accepted = can_be_beaten and gate.config.accepts("weak_baseline")
        if candidate.is_dead or (is_accepted and candidate.is_worse):
            yield candidate.degenerate()


def _of_baselines(
    gate: Context, models: Mapping[str, "_Model"], constant: "Constant | None"
) -> list[result.Check]:
    """Return the checks of the baselines; none where their form decides, which is no sign of a weak prompt."""
    if any(check.kind == "form" and check.status in result.RED for check in gate.checks):
        return []

    weak: list[result.Check] = []
    for role, model in models.items():
        decides = role in gate.config.decisive
        if role != "candidate" and (model.is_dead or (decides and model.is_worse)):
            weak.append(model.weak("warning" if decides and role != gate.best else "fail"))
    if not weak and constant is not None and gate.deciding.compares:
        weak.append(models[gate.best].strong(constant))
    return weak


@dataclass(frozen=True, slots=True)
class Constant:
    """Hold the constant answer that every model must beat.

    Attributes:
        perfect: whether nothing scores better.
        n_expected: the number of different outputs that the test set expects, as the metric reads
            them.
    """

    answer: str
    value: float
    perfect: bool
    n_expected: int


def best_constant(metric: Metric, expected: Sequence[Any]) -> Constant:
    """Return the best constant answer: the most frequent expected output, as the metric reads it.

    A metric may name others: the positive label, or the median of numbers. A perfect one (recall of
    the positive label) is left out where there is another, because no model could beat it.

    Raise :class:`MetricError` if the metric cannot score an output that its own test set expects
    elsewhere.
    """
    bare = metric.bare()
    texts = [metric.right_answer(value) for value in expected]
    read = bare.answers_read(texts)
    counted, written = (
        Counter(read).most_common(),
        dict(zip(reversed(read), reversed(texts), strict=True)),
    )
    tried = [written[answer] for answer, _ in counted[:1]]
    tried += metric.constants(expected)
    constants = []
    for answer in tried:
        try:
            value = bare.score(expected, [[answer] * len(expected)]).value
        except errors.MetricError as error:
            evidence = f"it failed on the constant answer {answer[: text.EXCERPT]!r}, which the test set expects elsewhere"
            raise errors.MetricError(
                error.what, where=error.where, evidence=evidence, cure=error.cure
            ) from error
        constants.append(Constant(answer, value, not beats(bare, bare.best, value), len(counted)))
    beatable = [constant for constant in constants if not constant.perfect] or constants
    return max(beatable, key=lambda constant: metric.sign * constant.value)


def beats(metric: Metric, value: float, other: float) -> bool:
    """Return whether a value is better after rounding to 12 decimals, so that 40 of 60 does not beat 2/3."""
    one, two = round(value, 12), round(other, 12)
    return one > two if metric.greater_is_better else one < two


def answers_given(metric: Metric, answers: Answers) -> set[str]:
    """Return the different answers of a model, without those that are missing.

    Labels are compared as the metric reads them, other answers as stripped text.
    """
    given: set[str] = set()
    for repeat in answers:
        given.update(answer for answer in metric.answers_read(repeat) if answer is not None)
    return given


class _Model:
    """Compare one model with the constant answer; ``constant`` is None for a judged metric.

    Attributes:
        n_expected: the number of different outputs that the test set expects.
        is_dead: whether the model gives no answer, or one answer where several are expected.
        is_worse: whether its value is no better than that of the constant answer.
    """

    def __init__(self, gate: Context, role: str, constant: Constant | None) -> None:
        self.gate = gate
        self.role = role
        self.constant = constant
        self.measured = gate.scored[role]
        self.value = self.measured.scores[gate.deciding.name].value
        if constant is None:
            self.n_expected = len({expected_text(value).strip() for value in gate.expected})
        else:
            self.n_expected = constant.n_expected

        self.answers = answers_given(gate.deciding, self.measured.answers)
        self.is_dead = not self.answers or (len(self.answers) == 1 and self.n_expected > 1)
        self.is_worse = False
        if constant is not None and gate.deciding.compares:
            self.is_worse = not beats(gate.deciding, self.value, constant.value)

    def strong(self, constant: Constant) -> result.Check:
        """Return the check of a baseline that is better than the constant answer."""
        message = f"{self._shown()}; {self._shown_constant(constant)}"
        return result.Check("weak_baseline", "pass", message, self.value, constant.value)

    def weak(self, status: result.Status) -> result.Check:
        """Return the check of a baseline that is no better than a constant answer."""
        cure = self._cure()
        if status == "fail" and not self.gate.config.accepts("weak_baseline"):
            cure += " Or accept a weak baseline: checks: {weak_baseline: warn}."
        check = self._check("weak_baseline", status, self._finding(), cure)
        return replace(check, source=str(self.gate.asked(self.role).source))

    def degenerate(self) -> result.Check:
        """Return the check of a candidate that is no better than a constant answer."""
        cure = "Check the training data: whether most rows have the same output; and what the candidate returns."
        if self._calls_no_tool:
            cure = TOOLS_ADVICE.format(role="candidate")
        return self._check("degenerate_candidate", "fail", self._finding(), cure)

    def _check(self, name: str, status: result.Status, message: str, cure: str) -> result.Check:
        observed = None if self.constant is None else self.value
        required = None if self.constant is None else self.constant.value
        return result.Check(name, status, message, observed, required, advice=cure)

    def _finding(self) -> str:
        """Return why a model is refused, in one sentence."""
        message = self._shown()
        if self.is_dead and self.answers:
            message += (
                f"; it always answers {self._quoted(*self.answers)}, but the test set expects "
            )
            return message + f"{self.n_expected:,} different outputs"

        if self.is_dead:
            answers = sum(map(len, self.measured.answers))
            return (
                message
                + f"; {answers:,} of {text.plural(answers, 'answer')} are empty or unreadable"
            )

        assert self.constant is not None  # else the value is compared with nothing
        return f"{message}, no better than a constant: {self._shown_constant(self.constant)}"

    def _shown(self) -> str:
        """Return the model with its value: ``baseline few_shot: accuracy 41.7 %``."""
        facts = self.measured.facts
        value = text.show_value(self.value, share=self.gate.share)
        return f"{result.called(self.role, facts.name)}: {self.gate.deciding.name} {value}"

    def _shown_constant(self, constant: Constant) -> str:
        """Return the constant answer with its value: ``always answering 'refund' scores 33.3 %``."""
        metric = self.gate.deciding
        answer = (
            metric.answers_read([constant.answer])[0] if metric.calls_tools else constant.answer
        )
        value = text.show_value(constant.value, share=self.gate.share)
        return f"always answering {self._quoted(answer or '')} scores {value}"

    def _quoted(self, answer: str) -> str:
        quoted = repr(text.shortened(answer, text.EXCERPT))
        no_call = self.gate.deciding.calls_tools and answer == tool_calls.NO_CALL
        return f"{quoted} (no tool call)" if no_call else quoted

    @property
    def _calls_no_tool(self) -> bool:
        return self.gate.deciding.calls_tools and self.answers == {tool_calls.NO_CALL}

    def _cure(self) -> str:
        """Return what to do about a weak baseline."""
        asked = self.gate.asked(self.role)
        named = result.called(self.role)
        if self._calls_no_tool:
            return TOOLS_ADVICE.format(role=named)
        if self.constant is not None and self.constant.perfect:
            metric = self.gate.deciding.name
            return f"Decide by a metric and rows for which no constant is perfect, and {metric} by thresholds."
        if self.is_dead:
            return f"Check what {named} ({asked.spelling}) returns, and measure again."
        if asked.has_prompt:
            return "Describe the task and every possible answer in the baseline's prompt, with a few examples."
        return f"Check the answers of {named} ({asked.spelling}), or use a better one."
