"""The rule that a model must beat always giving the same answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate import errors, result, text
from pytest_ftgate.checks.advice import TOOLS_ADVICE
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics import Answers, Metric, tool_calls
from pytest_ftgate.runs.measure import Measured, compare_scored

_TRIED = 20
_CONFIDENCE = 0.95
_SHOWN = 60


def check(gate: Context) -> Iterator[result.Check]:
    """Check that every model beats the best constant answer, and does not give one itself.

    A baseline that does not is weak: any fine-tune beats it. Where that is accepted the margin does not imply that the
    candidate does, so it is checked, too. Where the metric does not compare with the expected output, a constant answer
    may score best, and then as for judged metrics, whose judges of a constant cost money, only a model that gives one
    answer to everything is refused.
    """
    metric = gate.deciding
    constant = None if metric.judged else best_constant(metric, gate.expected)
    n = len({expected_text(value).strip() for value in gate.expected}) if constant is None else constant.n_expected
    form_decides = any(one.kind == "form" and one.status in ("fail", "inconclusive") for one in gate.checks)
    for role, model in gate.scored.items():
        if form_decides and role != "candidate":  # its answers are malformed, and no sign of a weak prompt
            continue
        only = constant_answer(metric, model.answers) if n > 1 else None
        value = model.scores[metric.name].value
        worse = constant is not None and metric.compares and not beats(metric, value, constant.value)
        if role == "candidate":
            worse = worse and gate.config.accepts("weak_baseline") and constant is not None and not constant.perfect
        elif constant is not None and role not in gate.config.decisive:
            continue
        elif constant is not None and metric.compares and not worse and only is None:
            yield _beaten(gate, role, constant)
        if only is not None or worse:
            yield _refused(gate, role, constant, only, n)


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
    constants = []
    for answer in tried:
        try:
            value = bare.score(expected, [[answer] * len(expected)]).value
        except errors.MetricError as error:
            evidence = f"it failed on the constant answer {answer[:60]!r}, which the test set expects elsewhere"
            raise errors.MetricError(error.what, where=error.where, evidence=evidence, cure=error.cure) from error
        constants.append(Constant(answer, value, not beats(bare, bare.best, value), len(counted)))
    beatable = [one for one in constants if not one.perfect] or constants
    return max(beatable, key=lambda one: one.value if metric.greater_is_better else -one.value)


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
    asked: dict[str, Any] = {"margin": 0.0, "confidence": _CONFIDENCE, "evidence": "significant", "bounds": False}
    compared = compare_scored(constant, model.scores[metric.name], groups=groups, **asked)
    return None if compared.above_zero else compared.p_zero


def constant_answer(metric: Metric, answers: Answers) -> str | None:
    """Return the only answer that a model gave; None where its answers differ or are all missing.

    Labels are compared as the metric reads them, other answers as stripped text.
    """
    given = {answer for repeat in answers for answer in metric.answers_read(repeat) if answer is not None}
    return next(iter(given)) if len(given) == 1 else None


def _beaten(gate: Context, role: str, constant: Constant) -> result.Check:
    """Return the check of a baseline that is better than a constant answer, perhaps by chance."""
    value, (named, said, best) = gate.scored[role].scores[gate.deciding.name].value, _shown(gate, role, constant)
    message = f"{named}; {said} scores {best}"
    p = chance(gate.deciding, constant.answer, gate.scored[role], gate.groups)
    if p is None:
        return result.Check("weak_baseline", "pass", message, value, constant.value)
    message += f", and the difference may be chance (p = {p:.2g}, above 0.05)"
    return result.Check(
        "weak_baseline", "warning", message, value, constant.value, None, _better(gate, role), "better_prompt"
    )


def _refused(gate: Context, role: str, constant: Constant | None, only: str | None, n: int) -> result.Check:
    """Return the check of a model that is no better than a constant answer, or gave ``only`` one of ``n``."""
    (message, said, best), value = _shown(gate, role, constant), gate.scored[role].scores[gate.deciding.name].value
    if constant is not None and not beats(gate.deciding, value, constant.value):
        message += f" is no better than {said}, which scores {best}"
    if only is not None:
        message += f"; it always answers {_said(gate, only)}, but the test set expects {n:,} different outputs"
    tools = only == tool_calls.NO_CALL and gate.deciding.calls_tools
    advice = TOOLS_ADVICE.format(role=result.called(role)) if tools else _better(gate, role, constant)
    measured, best_value = (None, None) if constant is None else (value, constant.value)
    if role != "candidate":
        return result.Check("weak_baseline", "fail", message, measured, best_value, None, advice, "better_prompt")
    cure = "Check the training data: whether most rows have the same output; and what the candidate returns."
    advice = advice if tools else cure
    return result.Check("degenerate_candidate", "fail", message, measured, best_value, None, advice, "fix_data")


def _shown(gate: Context, role: str, constant: Constant | None) -> tuple[str, str, str]:
    """Return a model with its value, the constant answer, and the value of that, in words."""
    metric, facts = gate.deciding, gate.scored[role].facts
    named = f"{result.called(role, facts.name)}: {metric.name} {text.show_value(facts.value, share=gate.share)}"
    if constant is None:
        return named, "", ""
    answer = metric.answers_read([constant.answer])[0] if metric.calls_tools else constant.answer
    return named, f"always answering {_said(gate, answer)}", text.show_value(constant.value, share=gate.share)


def _said(gate: Context, answer: str | None) -> str:
    """Return an answer in words, as the metric reads it."""
    said = repr(text.shortened(answer or "", _SHOWN))
    return f"{said} (no tool call)" if gate.deciding.calls_tools and answer == tool_calls.NO_CALL else said


def _better(gate: Context, role: str, constant: Constant | None = None) -> str:
    cure = f"Check the answers of {result.called(role)} ({gate.asked(role).source}), or use a better one"
    if constant is not None and constant.perfect:
        cure = f"Decide by a metric and rows for which no constant is perfect, and {gate.deciding.name} by thresholds"
    elif gate.asked(role).has_prompt:
        cure = "Describe the task and every possible answer in the baseline's prompt, with a few examples"
    return f"{cure}; or accept a weak baseline: checks: {{weak_baseline: warn}}."
