"""From the runs of all models to the verdict: completeness, scores, gains, bounds, remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate import gate
from pytest_ftgate.alternatives import gap_checks
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.numbers import is_share
from pytest_ftgate.result import Check, Gain, GateResult, ModelResult, called, closed, failed_result, verdict_of

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.inference import Comparison
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.preparation import Prepared
    from pytest_ftgate.runner import Run

_BROKEN_KEPT = 10


def judge(
    result: GateResult,
    prepared: Prepared,
    free: tuple[Check, ...],
    runs: Mapping[str, Run],
    samples: Mapping[str, Run],
) -> GateResult:
    """The verdict on complete runs; a missing answer or an undefined score is an error.

    Args:
        result: what is known so far.
        prepared: what was known before the models were called.
        free: the checks that rest on it.
        runs: the models over the test set, by role.
        samples: from which latencies are taken, by role, where a model asks for one.
    """
    from pytest_ftgate.latency import sample_check
    from pytest_ftgate.measure import measure_run

    specs = {**prepared.config.baselines, "candidate": prepared.config.candidate}
    measured = {role: measure_run(specs[role].name, run, samples.get(role)) for role, run in runs.items()}
    measured = {role: replace(one, facts=prepared.described(role, one.facts)) for role, one in measured.items()}
    result = _with_models(result, {role: one.facts for role, one in measured.items()}, prepared.deciding)
    sampled = (sample_check(role, measured[role].facts, sample) for role, sample in samples.items())
    checks = (*free, *_completeness(prepared, measured), *sampled)
    if verdict_of(checks) == "error":
        return closed(result, checks)
    try:
        return _judge_scores(result, prepared, checks, measured)
    except FtgateError as error:
        return failed_result(replace(result, checks=checks), error)


def _with_models(result: GateResult, facts: Mapping[str, ModelResult], metric: Metric) -> GateResult:
    baselines = {role: facts[role] for role in result.baselines}
    best = _best(baselines, metric)
    return replace(result, baselines=baselines, baseline=baselines[best], candidate=facts["candidate"])


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
            gate.complete_check(
                role,
                one.facts,
                missing_ids=[p.id for p in missing],
                error=error,
                policy=prepared.config.errors,
            )
        )
    return checks


def _judge_scores(
    result: GateResult, prepared: Prepared, checks: tuple[Check, ...], measured: Mapping[str, Measured]
) -> GateResult:
    from pytest_ftgate.measure import flips, same_outputs, score_run
    from pytest_ftgate.slices import judge_slices, label_results

    config, metric = prepared.config, prepared.deciding
    expected = prepared.expected
    scored = {role: score_run(one, prepared.metrics, metric.name, expected) for role, one in measured.items()}
    facts = {role: one.facts for role, one in scored.items()}
    result = _with_models(result, facts, metric)
    best = _best(result.baselines, metric)
    candidate = scored["candidate"]
    comparisons = {role: _compare(prepared, scored[role], candidate) for role in config.baselines}
    found = [*checks, *_against_constant(prepared, scored)]
    for role, comparison in comparisons.items():
        same = gate.identical_check(
            _against(role), identical=same_outputs(scored[role].run, candidate.run), n=len(expected)
        )
        found += [same] if same else []
        found += gate.gain_checks(_judgement(prepared), comparison, _against(role))
        found += _repeats(prepared, scored[role], candidate, comparison)
        found += _second_opinion(prepared, scored[role], candidate, _against(role))
    found += [_require(prepared, bound, result) for bound in config.require]
    found += _remarks(prepared, scored, comparisons)
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
        margin_proven=decided.reaches_margin,
        method=decided.method,
        p_value=decided.p_margin if config.evidence == "proven" else decided.p_zero,
        n=decided.n,
        wins=wins,
        losses=losses,
        examples_needed=decided.examples_needed,
        note=decided.note,
        broken=broken,
        gains={role: Gain(one.gain, one.lower, one.upper) for role, one in comparisons.items()},
        slices=slices,
        labels=label_results(scored[best], candidate, metric),
    )
    return closed(result, tuple(found))


def _against_constant(prepared: Prepared, scored: Mapping[str, Measured]) -> Sequence[Check]:
    """What one constant answer to everything would score: no model is called for that."""
    from pytest_ftgate.constant import Answered, Standard, constant_checks
    from pytest_ftgate.trivial import constant_answer, trivial_baseline

    config, metric = prepared.config, prepared.deciding
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


def _judgement(prepared: Prepared) -> gate.Judgement:
    config = prepared.config
    return gate.Judgement(
        prepared.deciding,
        config.margin,
        config.evidence,
        config.confidence,
        str(config.sources["margin"]),
        str(config.sources["evidence"]),
    )


def _compare(prepared: Prepared, baseline: Measured, candidate: Measured) -> Comparison:
    """The method follows from the metric: right or wrong, graded, or of the whole set."""
    name = prepared.config.metric.name
    return compare_scores(prepared.config, baseline.scores[name], candidate.scores[name], prepared.groups)


def compare_scores(config: GateConfig, baseline: Any, candidate: Any, groups: Any) -> Comparison:
    """Candidate minus baseline of one metric, the sign turned where lower is better."""
    from pytest_ftgate import inference

    metric = candidate.metric
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    asked = {
        "margin": config.margin,
        "confidence": config.confidence,
        "evidence": config.evidence,
        "groups": groups,
    }
    if metric.kind == "set":
        return inference.compare_set(worse.statistic, better.statistic, **asked)
    if metric.kind == "right_wrong" and config.repeats == 1:
        return inference.compare_right_wrong(worse.per_example > 0.5, better.per_example > 0.5, **asked)
    return inference.compare_graded(worse.per_example, better.per_example, low=metric.low, high=metric.high, **asked)


def _repeats(prepared: Prepared, baseline: Measured, candidate: Measured, comparison: Comparison) -> list[Check]:
    """Where the noise comes from, and what would lessen it: more answers per example, or more examples."""
    from pytest_ftgate.inference import remedy, spread_of
    from pytest_ftgate.measure import rightness_by_repeat

    config, metric = prepared.config, prepared.deciding
    if config.repeats == 1 or len(prepared.test) == 1:
        return []
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    scores = [rightness_by_repeat(one, prepared.expected, metric) for one in (worse, better)]
    spread = spread_of(*scores)
    target = config.margin if config.evidence == "proven" else 0.0
    cure = remedy(spread, gain=comparison.gain, target=target, confidence=config.confidence)
    return [gate.repeats_check(spread, cure, settled=comparison.reaches_margin or comparison.above_zero)]


def _second_opinion(prepared: Prepared, baseline: Measured, candidate: Measured, against: str) -> list[Check]:
    """The bootstrap's bound, where the metric asks for it: shown, never decisive."""
    from pytest_ftgate.inference import bca_set

    config, metric = prepared.config, prepared.deciding
    if not getattr(metric, "bca", False):
        return []
    before, after = (one.scores[metric.name].statistic for one in (baseline, candidate))
    assert before is not None  # metrics with this option are of the whole set
    assert after is not None
    bounds = None if prepared.grouped else bca_set(before, after, confidence=config.confidence)
    return [gate.bca_check(bounds, _judgement(prepared), against, grouped=prepared.grouped)]


def _require(prepared: Prepared, bound: Any, result: GateResult) -> Check:
    model = result.candidate if bound.of == "candidate" else result.baseline
    metric = prepared.metrics.get(bound.metric.name)
    share = metric is not None and is_share((metric.low, metric.high))
    return gate.bound_check(bound, model, share=share)


def _remarks(
    prepared: Prepared,
    scored: Mapping[str, Measured],
    comparisons: Mapping[str, Comparison],
) -> list[Check]:
    remarks: list[Check | None] = []
    for role, one in scored.items():
        remarks += gate.answer_checks(called(role), one.facts)
        remarks.append(gate.attested_check(called(role), one.facts))
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
    judgement = _judgement(prepared)
    verdicts = [verdict_of(tuple(gate.gain_checks(judgement, one, _against(role)))) for one in (strict, comparison)]
    return gate.normalization_check(
        verdict=verdicts[0],
        lenient_verdict=verdicts[1],
        gain=strict.gain,
        lenient_gain=comparison.gain,
        share=judgement.share,
    )
