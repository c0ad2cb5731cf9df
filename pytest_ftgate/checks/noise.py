"""The noise of answers: how much baselines disagree with themselves (``noise``), and what ``repeats`` say of a gain."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import answers_of, rightness, rightness_by_repeat
from pytest_ftgate.runs.runner import Job
from pytest_ftgate.text import plural, show_difference, show_percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.runs.runner import Run
    from pytest_ftgate.statistics import Comparison

SAMPLE = 50
"""The most examples that a baseline is asked about again."""


def noise_jobs(gate: Context) -> dict[str, Job]:
    """Return for each baseline the run that asks it ``noise`` times about a sample; none for recorded answers.

    The first answers are those of the gate itself, and are not asked for again.
    """
    if gate.config.noise is None or gate.deciding.judged or gate.deciding.pairwise:
        return {}
    models = {role: model for role, model in gate.models.items() if role in gate.config.baselines}
    return {
        role: Job(model, gate.test.sample(SAMPLE), gate.config.noise)
        for role, model in models.items()
        if model.verified is None
    }


def check(gate: Context) -> Iterator[Check]:
    """Report how much each baseline's answers to the same question differ in score; warn if by more than the margin."""
    if gate.config.noise is None:
        return
    source = gate.source("noise")
    if not gate.noise_runs:
        why = "a judged metric" if gate.deciding.judged or gate.deciding.pairwise else "recorded answers"
        yield Check("noise", "note", f"noise was not measured: it cannot be with {why}", source=source)
    for role, run in gate.noise_runs.items():
        name = called(role)
        if run.unanswered:
            failure = run.failure
            message = f"the noise of the {name} was not measured: {failure.cause if failure else 'no cause is known'}"
            advice = failure.advice if failure else None
            yield Check("noise", "warning", message, source=source, advice=advice)
            continue
        yield _check(gate, name, run)


def _check(gate: Context, name: str, run: Run) -> Check:
    metric, config = gate.deciding, gate.config
    expected = {example.id: one for example, one in zip(gate.test, gate.expected, strict=True)}
    asked = [expected[example.id] for example in run.test_set]
    scores = [rightness(metric.score(asked, [answers])) for answers in answers_of(run)]
    differences = [abs(one - other).mean() for one, other in combinations(scores, 2)]
    # The range of a metric may be unlimited: the difference stays in the metric's unit, or is a share.
    noise = float(sum(differences)) / len(differences)
    loud = round(noise, 12) > abs(config.asked_gain)
    share = show_percent(noise) if gate.share else f"{noise:.2g}"
    return Check(
        "noise",
        "warning" if loud else "note",
        f"asked {config.noise} times about {plural(len(asked), 'example')}, the {name} differs from itself by {share} "
        f"(margin {show_difference(config.asked_gain, share=gate.share)})",
        observed=noise,
        required=config.asked_gain if loud else None,
        source=gate.source("noise"),
        advice="Set temperature: 0 or a seed in params, or average over several answers with repeats."
        if loud
        else None,
    )


# --- several answers per example ----------------------------------------------------------------------------------


def check_repeats(gate: Context) -> list[Check]:
    """Note for each gain whether more repeats or more examples would settle it."""
    if gate.config.repeats == 1 or len(gate.test) == 1 or gate.deciding.pairwise:
        return []
    return [_spread(gate, role, comparison) for role, comparison in gate.comparisons.items()]


def _spread(gate: Context, role: str, comparison: Comparison) -> Check:
    """Return the noise between examples and within them, and how many repeats or examples would settle the gain."""
    from pytest_ftgate.statistics import remedy, spread_of

    config, metric = gate.config, gate.deciding
    baseline, candidate = gate.scored[role], gate.scored["candidate"]
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    spread = spread_of(*(rightness_by_repeat(one, gate.expected, metric) for one in (worse, better)))
    target = config.asked_gain if config.evidence == "proven" else 0.0
    asked = {"target": target, "margin": config.asked_gain, "confidence": config.confidence}
    cure = remedy(spread, gain=comparison.gain, **asked)
    settled = comparison.reaches_margin or comparison.above_zero
    more = [f"{plural(cure.more_repeats, 'more repeat')} of each example"] if cure.more_repeats else []
    more += [plural(cure.more_examples, "more example")] if cure.more_examples else []
    return Check(
        "repeats",
        "note",
        f"{spread.repeats} answers per example: standard deviation of the difference {spread.between**0.5:.2f} between "
        f"examples, {spread.within**0.5:.2f} within an example",
        observed=spread.repeats,
        advice=None if settled or not more else f"{' or '.join(more)} would settle it with 80 % power.",
    )
