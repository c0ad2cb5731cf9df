"""Early stopping (``stop_early``): both models are asked only as far as the verdict needs, in up to five looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.drop import gain_status
from pytest_ftgate.checks.planned_calls import jobs_over_test_set
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.result import Check, EarlyStop
from pytest_ftgate.runs.measure import answers_of

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.runs.runner import Job, Run
    from pytest_ftgate.statistics import Expected


def check_free(gate: Context) -> Iterator[Check]:
    """Refuse early stopping before any call where the looks together would pass too often, or where that is unknown."""
    if gate.config.stop_early and gate.accepts:
        for what, cure in _unfit(gate):
            yield Check("stop_early", "error", f"stop_early cannot be used {what}", source=gate.source("stop_early"),
                        advice=f"Remove stop_early{cure}.")  # fmt: skip


def _unfit(gate: Context) -> Iterator[tuple[str, str]]:
    """Yield what early stopping cannot be used with, and what else than removing it would help."""
    config = gate.config
    if gate.judging or any(metric.judged or metric.pairwise for metric in gate.metrics.values()):
        yield "with judged metrics, because judges are asked after all models have answered", ""
    elif gate.deciding.kind != "right_wrong":
        why = "its five tests are exact only where each answer is right or wrong"
        yield f"with {gate.deciding.name}: {why}", ", or decide by a metric such as accuracy or exact_match"
    if config.repeats > 1:
        yield f"with repeats {config.repeats}: its five tests count one answer per example", " or repeats"
    if gate.grouped:
        yield "with groups: its five tests count examples as independent, and examples of one group are not", ""
    if config.evidence == "observed" and config.objective == "beat":
        yield (
            "with evidence observed: without a test, early looks would pass too often",
            (", or set evidence: significant"),
        )
    if gate.slices is not None:
        yield "with slices, which need the whole test set", " or slices"


def first_look(gate: Context) -> Context:
    """Return the gate at its first look; the whole gate without early stopping."""
    return _at(gate, gate, 0) if gate.config.stop_early and gate.accepts else gate


def further_looks(whole: Context, gate: Context, ask: Callable[[Sequence[Job]], Sequence[Run]]) -> Context:
    """Ask the models about more examples until the verdict is clear, and return the gate at its last look.

    Args:
        whole: the gate before its first look.
        gate: the gate with its answers at the first look.
        ask: runs models; an answer that is known is not asked for again.
    """
    while gate.look is not None and not gate.look.is_last and _undecided(gate):
        before, gate = gate.runs, _at(whole, gate, gate.look.number)
        jobs = jobs_over_test_set(gate)
        runs = zip(jobs, ask(list(jobs.values())), strict=True)
        gate = replace(gate, runs={role: _as_fresh(before[role], run) for role, run in runs})
    return gate


def _as_fresh(before: Run, run: Run) -> Run:
    """Return a run in which answers that were asked for at an earlier look are not called stored ones."""
    asked = {one.key for one in before.all_predictions if one.completion is not None and not one.stored}
    predictions = tuple(
        tuple(replace(one, stored=False) if one.key in asked else one for one in repeat) for repeat in run.predictions
    )
    return replace(run, predictions=predictions)


def looked(gate: Context, ask: Callable[[Sequence[Job]], Sequence[Run]]) -> Context:
    """Return the gate with its answers to the test set, or with early stopping to as much of it as is needed."""
    first = first_look(gate)
    jobs = jobs_over_test_set(first)
    return further_looks(gate, replace(first, runs=dict(zip(jobs, ask(list(jobs.values())), strict=True))), ask)


def _at(whole: Context, gate: Context, number: int) -> Context:
    """Return the gate at a look (from 0), with the examples that are looked at as its test set, in the file's order."""
    from pytest_ftgate.statistics import looks

    look = looks(len(whole.test), whole.config.confidence)[number]
    return replace(gate, look=look, test=whole.test.sample(look.n))


def _undecided(gate: Context) -> bool:
    """Return whether further answers could change the verdict. A missing answer is an error, which they do not cure."""
    from pytest_ftgate.statistics import is_futile, keeps_margin

    assert gate.look is not None
    if any(run.unanswered for role, run in gate.runs.items() if role not in gate.forgiven):
        return False
    try:
        scores = {role: gate.deciding.score(gate.expected, answers_of(run)) for role, run in gate.runs.items()}
        compared = [gate.compare(scores[role], scores["candidate"]) for role in gate.config.baselines]
    except FtgateError:
        return False
    passed = []
    for one in compared:
        wins, losses, gained = one.wins or 0, one.losses or 0, gain_status(gate, one) == "pass"
        if not gained and is_futile(wins, losses, gate.look, **_asked(gate)):
            return False
        passed.append(gained and keeps_margin(wins, losses, gate.look, gate.config.asked_gain))
    return not all(passed)


def _asked(gate: Context) -> dict[str, float]:
    """Return the gain that must be measured, the one that must be shown, and the confidence of all looks together."""
    config = gate.config
    proven = config.evidence == "proven" or config.objective == "match"
    target = config.asked_gain if proven else 0.0
    return {"margin": config.asked_gain, "target": target, "confidence": config.confidence}


def expected_looks(gate: Context, gain: float, disagreement: float) -> Expected:
    """Return how likely each verdict is at a real gain, and the share of the test set that is expected to be needed."""
    from pytest_ftgate.statistics import expected

    return expected(gate.n_whole, gain=gain, disagreement=disagreement, **_asked(gate))


def early_stop(gate: Context) -> EarlyStop | None:
    """Return at which look the gate stopped and what that saved; None without early stopping."""
    look = gate.look
    if look is None:
        return None
    from pytest_ftgate.statistics import LOOKS

    left = look.total - look.n
    called = [one.facts for one in gate.scored.values() if one.run.model.verified is None]
    costs = [None if one.cost_usd is None else one.cost_usd / look.n * left for one in called]
    return EarlyStop(
        look=look.number,
        looks=LOOKS,
        examples=look.n,
        of=look.total,
        futile=not look.is_last and not all(gain_status(gate, one) == "pass" for one in gate.comparisons.values()),
        level=1 - look.confidence,
        calls_saved=left * len(called),
        saved_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
    )
