"""The candidate's gain over one baseline: how it is compared, and what is to be said of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks import answers, gain, match
from pytest_ftgate.gate.models import opponent
from pytest_ftgate.result import Check, verdict_of

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.metrics import Scored
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.statistics import Comparison


def compare_models(prepared: Prepared, baseline: Measured, candidate: Measured) -> Comparison:
    """The method follows from the metric: right or wrong, graded, or of the whole set."""
    name = prepared.config.metric.name
    return compare_scores(prepared.config, baseline.scores[name], candidate.scores[name], prepared.groups)


def compare_scores(config: GateConfig, baseline: Scored, candidate: Scored, groups: Sequence[str | None]) -> Comparison:
    """Candidate minus baseline of one metric, as the gate asks for it."""
    from pytest_ftgate.runs.measure import compare_scored

    return compare_scored(
        baseline,
        candidate,
        repeats=config.repeats,
        margin=config.asked_gain,
        confidence=config.confidence,
        evidence=config.evidence,
        groups=groups,
    )


def gain_checks(
    prepared: Prepared, comparison: Comparison, against: str, before_dropping: str | None = None
) -> list[Check]:
    """Whether the margin is reached, or with ``match`` the drop allowed, and how sure that is.

    Args:
        prepared: what the gate asks for.
        comparison: of the candidate with a baseline.
        against: what checks call that.
        before_dropping: what has to be mended before a gain that is too small says anything against the candidate.
    """
    rule = match.drop_checks if prepared.config.objective == "match" else gain.gain_checks
    return rule(_judgement(prepared, before_dropping), comparison, against)


def _judgement(prepared: Prepared, before_dropping: str | None = None) -> gain.Judgement:
    config = prepared.config
    return gain.Judgement(
        prepared.deciding,
        config.asked_gain,
        config.evidence,
        config.confidence,
        str(config.sources[config.asked_by]),
        str(config.sources["evidence"]),
        before_dropping,
    )


def repeats_checks(prepared: Prepared, baseline: Measured, candidate: Measured, comparison: Comparison) -> list[Check]:
    """Where the noise comes from, and what would lessen it: more answers per example, or more examples."""
    from pytest_ftgate.metrics.judged import is_pairwise
    from pytest_ftgate.runs.measure import rightness_by_repeat
    from pytest_ftgate.statistics import remedy, spread_of

    config, metric = prepared.config, prepared.deciding
    if config.repeats == 1 or len(prepared.test) == 1 or is_pairwise(metric):
        return []
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    scores = [rightness_by_repeat(one, prepared.expected, metric) for one in (worse, better)]
    spread = spread_of(*scores)
    target = config.asked_gain if config.evidence == "proven" else 0.0
    cure = remedy(spread, gain=comparison.gain, target=target, confidence=config.confidence)
    return [gain.repeats_check(spread, cure, settled=comparison.reaches_margin or comparison.above_zero)]


def normalization_check(
    prepared: Prepared, role: str, baseline: Measured, candidate: Measured, strict: Comparison
) -> Check | None:
    """Judge once more with case and punctuation ignored, and say where that changes the verdict on the gain."""
    lenient = prepared.deciding.lenient()
    if lenient is None:
        return None
    expected = prepared.expected
    before, after = (lenient.score(expected, one.answers) for one in (baseline, candidate))
    comparison = compare_scores(prepared.config, before, after, prepared.groups)
    verdicts = [verdict_of(tuple(gain_checks(prepared, one, opponent(role)))) for one in (strict, comparison)]
    return answers.normalization_check(
        verdict=verdicts[0],
        lenient_verdict=verdicts[1],
        gain=strict.gain,
        lenient_gain=comparison.gain,
        share=_judgement(prepared).share,
    )
