"""The bounds that a gate sets under ``require``: what was measured of a model against each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING

from pytest_ftgate.checks.pricing import UNTIMED_CURE, unpriced_cure, unpriced_models
from pytest_ftgate.result import Action, Check, ModelResult, Status
from pytest_ftgate.text import is_share, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import BoundKeys
    from pytest_ftgate.models import Model


RUN_METRICS = {
    "latency_p50_s": (0.0, inf),
    "latency_p95_s": (0.0, inf),
    "cost_usd": (0.0, inf),
    "error_rate": (0.0, 1.0),
}
"""What is measured of a run, besides quality: the range of each."""

LATENCIES = ("latency_p50_s", "latency_p95_s")


def check_free(gate: Context) -> list[Check]:
    """Check that the costs that the gate bounds can be known."""
    return unpriced_bound_checks(gate.config.bounds, gate.models)


def check(gate: Context) -> list[Check]:
    """Check what was measured of each model against the bounds under ``require``."""
    found = []
    for bound in gate.config.bounds:
        model = gate.result.candidate if bound.of == "candidate" else gate.result.baseline
        metric = gate.metrics.get(bound.metric.name)
        share = metric is not None and is_share((metric.low, metric.high))
        found.append(bound_check(bound, model, share=share))
    return found


def unpriced_bound_checks(bounds: Sequence[BoundKeys], models: Mapping[str, Model]) -> list[Check]:
    """Bounds on a cost of which is known before any call that it will be unknown."""
    unknown = unpriced_models(models)
    found = []
    for bound in bounds:
        blind = [role for role in unknown if (role == "candidate") == (bound.of == "candidate")]
        if bound.metric.name == "cost_usd" and blind:
            why = "; ".join(dict.fromkeys(unknown[role].unknown or "" for role in blind))
            unseen = ModelResult(models[blind[0]].name, price=unknown[blind[0]].text, cost_unknown=why)
            found.append(bound_check(bound, unseen, share=False))
    return found


def bound_check(bound: BoundKeys, model: ModelResult, *, share: bool) -> Check:
    """One item of ``require``: a measured value against its bound. What was not measured is an error, never zero."""
    name = bound.metric.name
    value = getattr(model, name) if name in RUN_METRICS else model.metrics.get(name)
    limits = [f"at least {_limit(bound.min, share)}"] if bound.min is not None else []
    limits += [f"at most {_limit(bound.max, share)}"] if bound.max is not None else []
    status: Status = "error" if value is None else "pass" if _within(value, bound) else "fail"
    seen = "unknown" if value is None else _limit(value, share)
    reason = _why_unknown(name, model) if value is None else None
    why = f": {reason}" if reason else ""
    advice, action = _what_to_do(bound)
    return Check(
        f"require.{bound.of}.{name}",
        status,
        f"{bound.of} {name} {seen}, asked for {' and '.join(limits)}{why}",
        observed=value,
        required=bound.min if bound.min is not None else bound.max,
        source=str(bound.source),
        advice=_missing_advice(name, model) if value is None else advice if status == "fail" else None,
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
    """Both sides rounded to 12 decimals: 56 of 60 is not below a bound of 0.9333333333333333."""
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
        return unpriced_cure(model.price_unknown)
    if name == "cost_usd":
        return "Nothing counts what is missing: ask again (--ftgate-cache=refresh), or an endpoint that reports usage."
    if name in LATENCIES:
        return UNTIMED_CURE
    return "The models did not report what is needed to measure it."
