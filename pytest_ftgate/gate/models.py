"""What is said of each scored model by itself: asked at every stage, with a candidate or before there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks import answers, bounds, hypothesis
from pytest_ftgate.result import Check, Diagnosis, GateResult, ModelResult, called
from pytest_ftgate.text import is_share

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.config import Bound
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.runs.measure import Measured


def with_models(result: GateResult, facts: Mapping[str, ModelResult], metric: Metric) -> GateResult:
    """The result with the facts of all models; the baseline that it names is the best."""
    baselines = {role: facts[role] for role in result.baselines}
    best = best_baseline(baselines, metric)
    return replace(
        result, baselines=baselines, baseline=baselines[best], candidate=facts.get("candidate", result.candidate)
    )


def best_baseline(baselines: Mapping[str, ModelResult], metric: Metric) -> str:
    """The baseline that is hardest to beat; the first one where none was scored."""
    sign = 1 if metric.greater_is_better else -1
    return max(baselines, key=lambda role: sign * (baselines[role].value or 0.0))


def opponent(role: str) -> str:
    """What checks call the model that the candidate is compared with."""
    return "the baseline" if role == "baseline" else called(role)


def constant_answer_checks(prepared: Prepared, scored: Mapping[str, Measured]) -> Sequence[Check]:
    """What one constant answer to everything would score: no model is called for that."""
    from pytest_ftgate.checks.constant_baseline import (
        Answered,
        Standard,
        constant_answer,
        constant_checks,
        throughout_checks,
        trivial_baseline,
    )
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.metrics.judged import is_judged

    config, metric = prepared.config, prepared.deciding
    if is_judged(metric):
        return throughout_checks(
            {role: constant_answer(metric, one.answers) for role, one in scored.items()},
            n_expected=len({expected_text(value).strip() for value in prepared.expected}),
            reason=config.allow_weak_baseline,
            source=str(config.sources["allow_weak_baseline"]),
        )
    standard = Standard(
        metric,
        trivial_baseline(metric, prepared.expected),
        config.allow_weak_baseline,
        str(config.sources["allow_weak_baseline"]),
    )
    answered = {role: Answered(one.facts, constant_answer(metric, one.answers)) for role, one in scored.items()}
    return constant_checks(standard, answered)


def hypothesis_checks(prepared: Prepared, scored: Mapping[str, Measured], best: str) -> list[Check]:
    """The hypothesis in numbers against the best baseline, and against the candidate where there is one."""
    config, prediction = prepared.config, prepared.config.prediction
    if prediction is None:
        return []
    name = prediction.metric.name
    metric, before = prepared.metrics[name], scored[best].scores[name]
    interval = hypothesis.interval_of(
        before, confidence=config.confidence, repeats=config.repeats, groups=prepared.groups
    )
    match = config.objective == "match"
    found = [hypothesis.from_check(prediction, metric, before.value, interval, opponent(best), match=match)]
    if "candidate" in scored:
        found.append(hypothesis.to_check(prediction, metric, scored["candidate"].scores[name].value))
    return found


def bound_check(prepared: Prepared, bound: Bound, result: GateResult) -> Check:
    """Whether a model holds what the gate requires of it."""
    model = result.candidate if bound.of == "candidate" else result.baseline
    metric = prepared.metrics.get(bound.metric.name)
    share = metric is not None and is_share((metric.low, metric.high))
    return bounds.bound_check(bound, model, share=share)


def answer_remarks(scored: Mapping[str, Measured]) -> list[Check]:
    """What is to be said of each model's answers, whatever they scored."""
    remarks: list[Check | None] = []
    for role, one in scored.items():
        remarks += answers.answer_checks(role, one.facts)
        remarks.append(answers.attested_check(role, one.facts))
    return [remark for remark in remarks if remark is not None]


def diagnosis_of(prepared: Prepared, scored: Mapping[str, Measured], best: str) -> Diagnosis | None:
    """The kinds of mistakes; none by a metric that compares answers, and calls none of them right."""
    from pytest_ftgate.metrics.judged import is_pairwise
    from pytest_ftgate.runs.mistakes import diagnose

    if is_pairwise(prepared.deciding):
        return None
    test, training = prepared.test.examples, prepared.training.examples
    return diagnose(prepared.deciding, test, training, scored[best], scored.get("candidate"))
