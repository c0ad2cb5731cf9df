"""From the runs of all models to the verdict: completeness, scores, gains, bounds, remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import answers, gain, hypothesis, readiness
from pytest_ftgate.checks.alternatives import gap_checks
from pytest_ftgate.checks.bounds import bound_check
from pytest_ftgate.diagnosis import knowledge
from pytest_ftgate.diagnosis.breakdown import breakdown_results
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.noninferiority import advantage, match
from pytest_ftgate.numbers import is_share
from pytest_ftgate.result import (
    Check,
    Diagnosis,
    Gain,
    GateResult,
    ModelResult,
    called,
    closed,
    failed_result,
    verdict_of,
)

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.inference import Comparison
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.money.economics import Economics
    from pytest_ftgate.preparation import Prepared
    from pytest_ftgate.running.runner import Run

_BROKEN_KEPT = 10


def judge(
    result: GateResult,
    prepared: Prepared,
    free: tuple[Check, ...],
    runs: Mapping[str, Run],
    samples: Mapping[str, Run],
) -> tuple[GateResult, Mapping[str, Measured]]:
    """The verdict on complete runs, and the scores; a missing answer or an undefined score is an error, without any.

    Args:
        result: what is known so far.
        prepared: what was known before the models were called.
        free: the checks that rest on it.
        runs: the models over the test set, by role.
        samples: from which latencies are taken, by role, where a model asks for one.
    """
    from pytest_ftgate.measure import measure_run, score_run
    from pytest_ftgate.running.latency import sample_check

    specs = prepared.config.asked
    measured = {role: measure_run(specs[role].name, run, samples.get(role)) for role, run in runs.items()}
    measured = {role: replace(one, facts=prepared.described(role, one.facts)) for role, one in measured.items()}
    result = _with_models(result, {role: one.facts for role, one in measured.items()}, prepared.deciding)
    sampled = (sample_check(role, measured[role].facts, sample) for role, sample in samples.items())
    checks = (*free, *_completeness(prepared, measured), *sampled)
    if verdict_of(checks) == "error":
        return closed(result, checks), {}
    name, expected = prepared.deciding.name, prepared.expected
    try:
        scored = {role: score_run(one, prepared.metrics_of(role), name, expected) for role, one in measured.items()}
        judge_scores = _judge_scores if "candidate" in measured else _judge_baselines
        return judge_scores(result, prepared, checks, scored), scored
    except FtgateError as error:
        return failed_result(replace(result, checks=checks), error), {}


def _with_models(result: GateResult, facts: Mapping[str, ModelResult], metric: Metric) -> GateResult:
    baselines = {role: facts[role] for role in result.baselines}
    best = _best(baselines, metric)
    return replace(
        result, baselines=baselines, baseline=baselines[best], candidate=facts.get("candidate", result.candidate)
    )


def _best(baselines: Mapping[str, ModelResult], metric: Metric) -> str:
    """The baseline that is hardest to beat; the first one where none was scored."""
    sign = 1 if metric.greater_is_better else -1
    return max(baselines, key=lambda role: sign * (baselines[role].value or 0.0))


def _completeness(prepared: Prepared, measured: Mapping[str, Measured]) -> list[Check]:
    checks = []
    for role, one in sorted(measured.items(), key=lambda item: item[1].run.fatal is None):  # the cause comes first
        missing = [p for repeat in one.run.predictions for p in repeat if p.completion is None]
        error = str(one.run.fatal) if one.run.fatal else missing[0].error if missing else None
        checks.append(
            answers.complete_check(
                role,
                one.facts,
                missing_ids=[p.id for p in missing],
                error=error,
                policy=prepared.config.errors,
            )
        )
    return checks


def _judge_baselines(
    result: GateResult, prepared: Prepared, checks: tuple[Check, ...], scored: Mapping[str, Measured]
) -> GateResult:
    """Before training: whether the baselines are what they are said to be, and whether any candidate could pass."""
    config, metric = prepared.config, prepared.deciding
    result = _with_models(result, {role: one.facts for role, one in scored.items()}, metric)
    best = _best(result.baselines, metric)
    found = [*checks, *_against_constant(prepared, scored), *_hypothesis(prepared, scored, best)]
    found += readiness.readiness_checks(
        config,
        scored[best].scores[metric.name],
        best,
        examples=len(prepared.test),
        compare=lambda baseline, candidate: compare_scores(config, baseline, candidate, prepared.groups),
    )
    found += [_require(prepared, bound, result) for bound in config.bounds]
    found += _remarks(prepared, scored, {})
    result = replace(result, breakdowns=breakdown_results({"baseline": scored[best]}))
    return closed(replace(result, diagnosis=_diagnosis(prepared, scored, best)), tuple(found))


def _diagnosis(prepared: Prepared, scored: Mapping[str, Measured], best: str) -> Diagnosis | None:
    """None by a metric that compares answers, and calls none of them right."""
    from pytest_ftgate.diagnosis.mistakes import diagnose
    from pytest_ftgate.metrics.judged import is_pairwise

    if is_pairwise(prepared.deciding):
        return None
    test, training = prepared.test.examples, prepared.training.examples
    return diagnose(prepared.deciding, test, training, scored[best], scored.get("candidate"))


def _hypothesis(prepared: Prepared, scored: Mapping[str, Measured], best: str) -> list[Check]:
    """The hypothesis in numbers against the best baseline, and against the candidate where there is one."""
    config, prediction = prepared.config, prepared.config.prediction
    if prediction is None:
        return []
    name = prediction.metric.name
    metric, before = prepared.metrics[name], scored[best].scores[name]
    interval = hypothesis.interval_of(
        before, confidence=config.confidence, repeats=config.repeats, groups=prepared.groups
    )
    found = [hypothesis.from_check(prediction, metric, before.value, interval, _against(best))]
    if "candidate" in scored:
        found.append(hypothesis.to_check(prediction, metric, scored["candidate"].scores[name].value))
    return found


def _judge_scores(
    result: GateResult, prepared: Prepared, checks: tuple[Check, ...], scored: Mapping[str, Measured]
) -> GateResult:
    from pytest_ftgate.measure import flips, same_outputs
    from pytest_ftgate.noninferiority.labels import label_results
    from pytest_ftgate.noninferiority.slices import judge_slices

    config, metric = prepared.config, prepared.deciding
    facts = {role: one.facts for role, one in scored.items()}
    result = _with_models(result, facts, metric)
    best = _best(result.baselines, metric)
    candidate = scored["candidate"]
    comparisons = {role: _compare(prepared, scored[role], candidate) for role in config.baselines}
    found = [*checks, *_against_constant(prepared, scored), *_hypothesis(prepared, scored, best)]
    for role, comparison in comparisons.items():
        identical = same_outputs(scored[role].run, candidate.run)
        found += _alike(prepared, role, scored[role], identical=identical)
        found += _gain_checks(prepared, comparison, _against(role))
        found += _repeats(prepared, scored[role], candidate, comparison)
        found += _second_opinion(prepared, scored[role], candidate, _against(role))
    if config.objective == "match":
        found += advantage.advantage_checks(config, result.baseline, result.candidate)
        found += advantage.rival_checks(config, result.baselines, best, result.candidate, metric)
    found += [_require(prepared, bound, result) for bound in config.require]
    economics, limits = _economics(prepared, result)
    found += limits
    found += _remarks(prepared, scored, comparisons)
    diagnosis = _diagnosis(prepared, scored, best)
    found += knowledge.knowledge_checks(diagnosis) if diagnosis else []
    if config.objective == "beat":  # else no gain is weighed against the costs of a fine-tune
        found += gap_checks(config, {role: one.value for role, one in facts.items()}, metric)
    slices, held = judge_slices(prepared.slices, scored[best], candidate, metric.name)
    found += held
    wins, losses, broken = flips(scored[best], candidate, metric.name, _BROKEN_KEPT)
    decided = comparisons[best]
    result = replace(
        result,
        gain=decided.gain,
        lower_bound=decided.lower,
        upper_bound=decided.upper,
        tango_interval=_tango(prepared, decided),
        margin_proven=decided.reaches_margin if config.objective == "beat" else None,
        method=decided.method,
        p_value=decided.p_margin if config.evidence == "proven" else decided.p_zero,
        n=decided.n,
        wins=wins,
        losses=losses,
        examples_needed=decided.examples_needed,
        note=decided.note,
        broken=broken,
        diagnosis=diagnosis,
        economics=economics,
        gains={role: Gain(one.gain, one.lower, one.upper) for role, one in comparisons.items()},
        slices=slices,
        labels=label_results(scored[best], candidate, metric),
        breakdowns=breakdown_results({"baseline": scored[best], "candidate": candidate}),
    )
    return closed(result, tuple(found))


def _gain_checks(prepared: Prepared, comparison: Comparison, against: str) -> list[Check]:
    rule = match.drop_checks if prepared.config.objective == "match" else gain.gain_checks
    return rule(_judgement(prepared), comparison, against)


def _alike(prepared: Prepared, role: str, baseline: Measured, *, identical: bool) -> list[Check]:
    """What is to be said of a baseline whose answers are those of the candidate, or the labels themselves."""
    n, scored = len(prepared.test), baseline.scores[prepared.deciding.name]
    if prepared.config.objective == "beat":
        same = answers.identical_check(_against(role), identical=identical, n=n)
        return [same] if same else []
    found = [match.identical_check(_against(role), n=n, mistakes=match.mistakes_in(scored))] if identical else []
    labels = match.answers_are_labels(prepared.expected, baseline.answers, scored)
    circular = match.circular_check(role, baseline.facts, all_right=labels, n=n)
    return [*found, circular] if circular else found


def _economics(prepared: Prepared, result: GateResult) -> tuple[Economics | None, list[Check]]:
    from pytest_ftgate.checks.economics import economics_checks, measured_economics

    spec = prepared.config.economics
    if spec is None:
        return None, []
    economics = measured_economics(spec, result.baseline, result.candidate, prepared.models)
    return economics, economics_checks(spec, economics)


def _against_constant(prepared: Prepared, scored: Mapping[str, Measured]) -> Sequence[Check]:
    """What one constant answer to everything would score: no model is called for that."""
    from pytest_ftgate.checks.constant import Answered, Standard, constant_checks, throughout_checks
    from pytest_ftgate.checks.trivial import constant_answer, trivial_baseline
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


def _tango(prepared: Prepared, comparison: Comparison) -> tuple[float, float] | None:
    """Tango's interval of the gain, where answers are right or wrong, asked once, and independent."""
    from pytest_ftgate.inference import tango_interval

    config, n = prepared.config, len(prepared.test)
    if prepared.deciding.kind != "right_wrong" or config.repeats > 1 or prepared.grouped:
        return None
    if comparison.wins is None or comparison.losses is None:
        return None
    return tango_interval(comparison.wins, comparison.losses, n, 2 * config.confidence - 1)


def _against(role: str) -> str:
    return "the baseline" if role == "baseline" else called(role)


def _judgement(prepared: Prepared) -> gain.Judgement:
    config = prepared.config
    return gain.Judgement(
        prepared.deciding,
        config.asked_gain,
        config.evidence,
        config.confidence,
        str(config.sources[config.asked_by]),
        str(config.sources["evidence"]),
    )


def _compare(prepared: Prepared, baseline: Measured, candidate: Measured) -> Comparison:
    """The method follows from the metric: right or wrong, graded, or of the whole set."""
    name = prepared.config.metric.name
    return compare_scores(prepared.config, baseline.scores[name], candidate.scores[name], prepared.groups)


def compare_scores(config: GateConfig, baseline: Scored, candidate: Scored, groups: Sequence[str | None]) -> Comparison:
    """Candidate minus baseline of one metric, as the gate asks for it."""
    from pytest_ftgate.measure import compare_scored

    return compare_scored(
        baseline,
        candidate,
        repeats=config.repeats,
        margin=config.asked_gain,
        confidence=config.confidence,
        evidence=config.evidence,
        groups=groups,
    )


def _repeats(prepared: Prepared, baseline: Measured, candidate: Measured, comparison: Comparison) -> list[Check]:
    """Where the noise comes from, and what would lessen it: more answers per example, or more examples."""
    from pytest_ftgate.inference import remedy, spread_of
    from pytest_ftgate.measure import rightness_by_repeat
    from pytest_ftgate.metrics.judged import is_pairwise

    config, metric = prepared.config, prepared.deciding
    if config.repeats == 1 or len(prepared.test) == 1 or is_pairwise(metric):
        return []
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    scores = [rightness_by_repeat(one, prepared.expected, metric) for one in (worse, better)]
    spread = spread_of(*scores)
    target = config.asked_gain if config.evidence == "proven" else 0.0
    cure = remedy(spread, gain=comparison.gain, target=target, confidence=config.confidence)
    return [gain.repeats_check(spread, cure, settled=comparison.reaches_margin or comparison.above_zero)]


def _second_opinion(prepared: Prepared, baseline: Measured, candidate: Measured, against: str) -> list[Check]:
    """The bootstrap's bound, where the metric asks for it: shown, never decisive."""
    from pytest_ftgate.inference import LabelCounts, bca_set

    config, metric = prepared.config, prepared.deciding
    if not getattr(metric, "bca", False):
        return []
    before, after = (one.scores[metric.name].statistic for one in (baseline, candidate))
    assert isinstance(before, LabelCounts)  # metrics with this option are of labels
    assert isinstance(after, LabelCounts)
    bounds = None if prepared.grouped else bca_set(before, after, confidence=config.confidence)
    return [gain.bca_check(bounds, _judgement(prepared), against, grouped=prepared.grouped)]


def _require(prepared: Prepared, bound: Any, result: GateResult) -> Check:
    model = result.candidate if bound.of == "candidate" else result.baseline
    metric = prepared.metrics.get(bound.metric.name)
    share = metric is not None and is_share((metric.low, metric.high))
    return bound_check(bound, model, share=share)


def _remarks(
    prepared: Prepared,
    scored: Mapping[str, Measured],
    comparisons: Mapping[str, Comparison],
) -> list[Check]:
    remarks: list[Check | None] = []
    for role, one in scored.items():
        remarks += answers.answer_checks(called(role), one.facts)
        remarks.append(answers.attested_check(called(role), one.facts))
    remarks += [_normalization(prepared, scored, role, comparison) for role, comparison in comparisons.items()]
    return [remark for remark in remarks if remark is not None]


def _normalization(prepared: Prepared, scored: Mapping[str, Measured], role: str, strict: Comparison) -> Check | None:
    """Judge once more with case and punctuation ignored, and say where that changes the verdict on the gain."""
    lenient = prepared.deciding.lenient()
    if lenient is None:
        return None
    expected = prepared.expected
    baseline, candidate = (lenient.score(expected, scored[r].answers) for r in (role, "candidate"))
    comparison = compare_scores(prepared.config, baseline, candidate, prepared.groups)
    verdicts = [verdict_of(tuple(_gain_checks(prepared, one, _against(role)))) for one in (strict, comparison)]
    return answers.normalization_check(
        verdict=verdicts[0],
        lenient_verdict=verdicts[1],
        gain=strict.gain,
        lenient_gain=comparison.gain,
        share=_judgement(prepared).share,
    )
