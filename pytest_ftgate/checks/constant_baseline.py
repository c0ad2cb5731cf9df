"""The rule that a model must beat always giving the same answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.checks.advice import TOOLS_ADVICE
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import Answers, Metric
from pytest_ftgate.metrics.tool_calls import NO_CALL
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import Measured, compare_scored
from pytest_ftgate.text import shortened, show_value

_TRIED = 20
_CONFIDENCE = 0.95
_SHOWN = 60


def check(gate: Context) -> list[Check]:
    """Check that every model beats the best constant answer, and does not give one itself."""
    metric = gate.deciding
    constant = None if metric.judged else best_constant(metric, gate.expected)  # judges of a constant cost money
    n = len({expected_text(value).strip() for value in gate.expected}) if constant is None else constant.n_expected
    found = []
    for role, model in gate.scored.items():
        only = constant_answer(metric, model.answers) if n > 1 else None
        if constant is None or role == "candidate":
            found.append(_degenerate(gate, role, constant, n, only))
        elif role in gate.config.decisive:
            found.append(_weak(gate, role, constant, only))
    return [one for one in found if one is not None]


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
        bounds=False,
    )
    return None if compared.above_zero else compared.p_zero


def constant_answer(metric: Metric, answers: Answers) -> str | None:
    """Return the only answer that a model gave; None where its answers differ or are all missing.

    Labels are compared as the metric reads them, other answers as stripped text.
    """
    given = {answer for repeat in answers for answer in metric.answers_read(repeat) if answer is not None}
    return next(iter(given)) if len(given) == 1 else None


_OTHERWISE = "or accept a weak baseline: checks: {weak_baseline: warn}"


def _weak(gate: Context, role: str, constant: Constant, only: str | None) -> Check | None:
    """Check one baseline, which gave only one answer or None: any fine-tune beats one that is as good as a constant.

    Where the metric does not compare with the expected output, a constant answer may score best. Then a baseline
    only fails if it gives one answer to everything.
    """
    metric, model = gate.deciding, gate.scored[role]
    if only is None and not metric.compares:
        return None
    value, (at, said, best) = model.scores[metric.name].value, _shown(gate, role, constant)
    if only is None and beats(metric, value, constant.value):
        p, advice = chance(metric, constant.answer, model, gate.groups), _better_prompt(gate, role)
        message = f"{at}; always answering {said} scores {best}"
        if p is None:
            return Check("weak_baseline", "pass", message, value, constant.value)
        message += f", and the difference may be chance (p = {p:.2g}, above 0.05)"
        return Check("weak_baseline", "warning", message, value, constant.value, None, advice, "better_prompt")
    message = f"{at} is no better than always answering {said}, which scores {best}"
    message += f"; it always answers {_read_answer(metric, only)}" if only is not None else ""
    if constant.n_expected == 1:
        advice = f"The test set expects the same output everywhere: add examples of other outputs, {_OTHERWISE}."
    elif constant.perfect and metric.compares:
        advice = f"A constant answer is perfect by {metric.name}: use a metric that compares with the expected output, "
        advice += f"and move this one to thresholds, {_OTHERWISE}."
    elif only == NO_CALL and metric.calls_tools:
        advice = f"{TOOLS_ADVICE.format(role=called(role))[:-1]}; {_OTHERWISE}."
    else:
        advice = _better_prompt(gate, role)
    return Check("weak_baseline", "fail", message, value, constant.value, None, advice, "better_prompt")


def _better_prompt(gate: Context, role: str) -> str:
    baseline, examples = gate.config.baselines[role], ", with a few examples"
    if not baseline.has_prompt:
        return f"Check the answers of {called(role)} ({baseline.source}), or use a better one; {_OTHERWISE}."
    if baseline.provider == "openai":
        examples = "" if "few_shot" in baseline.options else ", and give examples (few_shot: 8)"
    return f"Describe the task and every possible answer in the baseline's prompt{examples}; {_OTHERWISE}."


def _degenerate(gate: Context, role: str, constant: Constant | None, n: int, only: str | None) -> Check | None:
    """Refuse a model that gave only one answer where ``n`` are expected, or a candidate no better than a constant.

    The latter is checked where a weak baseline is accepted, since the margin does not imply it there. A judged metric,
    which has no constant, refuses only the former, and baselines, too.
    """
    metric, model = gate.deciding, gate.scored[role]
    value, best = (None, None) if constant is None else (model.scores[metric.name].value, constant.value)
    worse = constant is not None and not constant.perfect and not beats(metric, value or 0.0, constant.value)
    if only is not None:
        said = _read_answer(metric, only)
        message = (
            f"{called(role, model.facts.name)} always answers {said}, but the test set expects {n:,} different outputs"
        )
        advice = f"Check whether most training rows have the output {said}; if not, check what the candidate returns, "
        advice += "and whether the training run has collapsed."
        if role != "candidate":
            advice = "Check its prompt." if gate.asked(role).has_prompt else "Check what it is asked."
        elif only == NO_CALL and metric.calls_tools:
            advice = TOOLS_ADVICE.format(role="candidate")
    elif constant is None or not (worse and gate.config.accepts("weak_baseline") and metric.compares):
        return None
    else:
        message = "{} is no better than always answering {}, which scores {}".format(*_shown(gate, role, constant))
        prompted = ", and that the candidate is prompted as in its training rows"
        advice = f"Check the training data{prompted if gate.asked(role).has_prompt else ''}."
    if role != "candidate":
        return Check("weak_baseline", "fail", message, advice=advice, action="better_prompt")
    return Check("degenerate_candidate", "fail", message, value, best, None, advice, "fix_data")


def _shown(gate: Context, role: str, constant: Constant) -> tuple[str, str, str]:
    """Return a model's value, the constant answer and its value, in words."""
    metric, facts = gate.deciding, gate.scored[role].facts
    answer = metric.answers_read([constant.answer])[0] if metric.calls_tools else constant.answer
    value, best = (show_value(one, share=gate.share) for one in (facts.value, constant.value))
    return f"{called(role, facts.name)}: {metric.name} {value}", _read_answer(metric, answer), best


def _read_answer(metric: Metric, answer: str | None) -> str:
    """Return an answer in words, as the metric reads it."""
    said = repr(shortened(answer or "", _SHOWN))
    return f"{said} (no tool call)" if metric.calls_tools and answer == NO_CALL else said
