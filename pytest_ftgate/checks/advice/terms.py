"""Advice on what a gate asks beside the answers: that they were measured fairly and lately, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftgate.checks.advice.facts import Facts
from pytest_ftgate.result import Advice, Check

_COSTS = ("cost_usd", "latency_p50_s", "latency_p95_s")


def nothing_measured(facts: Facts) -> Iterator[Advice]:
    """The scores tell nothing of the candidate."""
    for check in facts.unmeasured:
        text = check.advice or ""
        if check.name.startswith("position_bias."):
            text = "Take another judge, or say in the rubric what makes an answer better: this one goes by the order."
        yield Advice("measure_again", text, check.message)


def unfit_judge(facts: Facts) -> Iterator[Advice]:
    """A judge that does not agree with people; a guard by which the baseline can do nothing."""
    unfit = [f"guards.{guard.name}.nothing_to_lose" for guard in facts.result.guards]
    yield from _told("measure_again", facts.red("calibration.", *unfit))


def out_of_date(facts: Facts) -> Iterator[Advice]:
    """Evidence that is old, or of a model that may be another one by now."""
    yield from _told("measure_again", facts.red("max_age_days", "base_changed_", "alias_"))


def failing_endpoint(facts: Facts) -> Iterator[Advice]:
    """Too many requests fail."""
    for check in facts.bounds(quality=False):
        if check.name.endswith(".error_rate"):
            yield Advice("measure_again", "Look at the endpoint of the candidate, and ask again.", check.message)


def form_bound(facts: Facts) -> Iterator[Advice]:
    """Answers that break the rules of the metric ``format``."""
    for check in facts.bounds(quality=False):
        if check.name.endswith(".format"):
            yield Advice(
                "better_prompt",
                "Constrain the candidate's answers with response_format, or train on rows that hold to every rule.",
                check.message,
            )


def shutdowns(facts: Facts) -> Iterator[Advice]:
    """A base model that is about to go."""
    yield from _told("another_model", facts.red("shutdown_"))


def costs(facts: Facts) -> Iterator[Advice]:
    """A candidate that is good enough, and too dear or too slow."""
    yield from _told("cut_costs", facts.red("cheaper_by", "faster_by", "economics."))
    for check in facts.bounds(quality=False):
        if check.name.removeprefix("require.candidate.") in _COSTS:
            yield Advice("cut_costs", "Try a smaller model, a shorter prompt, or shorter answers.", check.message)


def _told(action: str, checks: Iterator[Check]) -> Iterator[Advice]:
    return (Advice(action, check.advice, check.message) for check in checks if check.advice)
