"""The bounds that a gate sets under ``require``: what was measured of a model against each."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from pytest_ftgate.checks.pricing import UNTIMED_CURE, unpriced_cure, unpriced_models
from pytest_ftgate.result import Action, Check, ModelResult, Status
from pytest_ftgate.text import is_share, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import BoundKeys


RUN_METRICS = {
    "latency_p50_s": (0.0, inf),
    "latency_p95_s": (0.0, inf),
    "cost_usd": (0.0, inf),
    "error_rate": (0.0, 1.0),
}
"""What is measured of a run, besides quality: the range of each."""

LATENCIES = ("latency_p50_s", "latency_p95_s")


def check_free(gate: Context) -> Iterator[Check]:
    """Check that the costs that the gate bounds can be known, whatever is answered."""
    unknown = unpriced_models(gate.models)
    for bound in gate.config.bounds:
        blind = [role for role in unknown if (role == "candidate") == (bound.of == "candidate")]
        if bound.metric.name == "cost_usd" and blind:
            why = "; ".join(dict.fromkeys(unknown[role].unknown or "" for role in blind))
            first = unknown[blind[0]]
            unseen = ModelResult(
                gate.models[blind[0]].name, price_unknown=first.unknown, price_lack=first.lack, cost_unknown=why
            )
            yield bound_check(bound, unseen, share=False)


def check(gate: Context) -> Iterator[Check]:
    """Check what was measured of each model against the bounds under ``require``."""
    for bound in gate.config.bounds:
        model = gate.result.candidate if bound.of == "candidate" else gate.result.baseline
        metric = gate.metrics.get(bound.metric.name)
        yield bound_check(bound, model, share=metric is not None and is_share((metric.low, metric.high)))


def bound_check(bound: BoundKeys, model: ModelResult, *, share: bool) -> Check:
    """Hold a measured value against its bound. What was not measured is an error, never zero."""
    name = bound.metric.name
    value = getattr(model, name) if name in RUN_METRICS else model.metrics.get(name)
    limits = [f"at least {_limit(bound.min, share)}"] if bound.min is not None else []
    limits += [f"at most {_limit(bound.max, share)}"] if bound.max is not None else []
    advice: str | None
    advice, action = _what_to_do(bound)
    status: Status = "fail"
    seen, why = "unknown", ""
    if value is None:
        status, advice, reason = "error", _missing_advice(name, model), _why_unknown(name, model)
        why = f": {reason}" if reason else ""
    else:
        seen = _limit(value, share)
        if _within(value, bound):
            status, advice = "pass", None
    return Check(
        f"require.{bound.of}.{name}",
        status,
        f"{bound.of} {name} {seen}, asked for {' and '.join(limits)}{why}",
        observed=value,
        required=bound.min if bound.min is not None else bound.max,
        source=str(bound.source),
        advice=advice,
        action=action,
        threshold=bound.threshold,
    )


def _what_to_do(bound: BoundKeys) -> tuple[str, Action]:
    """Return the advice where a bound does not hold."""
    if bound.of == "baseline":
        return "Give the baseline another prompt, or take another one.", "better_prompt"
    if bound.metric.name == "error_rate":
        return "Look at the endpoint of the candidate, and ask again.", "measure_again"
    if bound.metric.name in RUN_METRICS:
        return "Try a smaller model, a shorter prompt, or shorter answers.", "cut_costs"
    if bound.metric.name == "format":
        advice = "Constrain the candidate's answers with response_format, or train on rows that hold to every rule."
        return advice, "better_prompt"
    return "Look at what the candidate still gets wrong, and at training rows like it.", "fix_data"


def _limit(value: float, share: bool) -> str:
    return show_value(value, share=True) if share else f"{value:.6g}"


def _within(value: float, bound: BoundKeys) -> bool:
    """Return whether it is, both sides rounded to 12 decimals: 56 of 60 is not below a bound of 0.9333333333333333."""
    seen = round(value, 12)
    above = bound.min is None or seen >= round(bound.min, 12)
    below = bound.max is None or seen <= round(bound.max, 12)
    return above and below


def _why_unknown(name: str, model: ModelResult) -> str | None:
    if name in LATENCIES:
        return model.latency_unknown
    return model.cost_unknown if name == "cost_usd" else None


def _missing_advice(name: str, model: ModelResult) -> str:
    if name == "cost_usd" and model.price_unknown is not None:
        return unpriced_cure(model.price_lack)
    if name == "cost_usd":
        return "Nothing counts what is missing: ask again (--ftgate-cache=refresh), or an endpoint that reports usage."
    if name in LATENCIES:
        return UNTIMED_CURE
    return "The models did not report what is needed to measure it."
