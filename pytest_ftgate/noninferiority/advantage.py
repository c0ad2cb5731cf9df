"""Equal but cheaper: how many times cheaper and faster the candidate is, and whether another baseline is, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.checks.bounds import UNTIMED_CURE
from pytest_ftgate.checks.pricing import FREE_CURE, UNPRICED_CURE, why_free, why_priced_at_nothing, why_unpriced
from pytest_ftgate.money.economics import dollars
from pytest_ftgate.money.price import UNKNOWN
from pytest_ftgate.numbers import is_share, plural, show_amount, show_seconds, show_usd
from pytest_ftgate.result import Check, ModelResult, called

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import LatencySample, Model


def free_advantage_checks(config: GateConfig, models: Mapping[str, Model]) -> list[Check]:
    """Whether costs and times can be compared at all, whatever is answered."""
    return [*_cost_checks(config, models), *_unlike_samples_checks(config, models)]


def _cost_checks(config: GateConfig, models: Mapping[str, Model]) -> list[Check]:
    """Whether costs can be compared, whatever is answered."""
    if config.cheaper_by is None:
        return []
    no_price, nothing = why_unpriced(models), why_priced_at_nothing(models)
    if no_price:
        return [_cheaper_unknown(config, f"known: {no_price}", UNPRICED_CURE)]
    return [_cheaper_unknown(config, f"told: {nothing}", FREE_CURE)] if nothing else []


def _cheaper_unknown(config: GateConfig, why: str, advice: str) -> Check:
    return Check(
        "cheaper_by",
        "error",
        f"how much cheaper a call is cannot be {why}",
        required=config.cheaper_by,
        source=str(config.sources["cheaper_by"]),
        advice=advice,
    )


def _unlike_samples_checks(config: GateConfig, models: Mapping[str, Model]) -> list[Check]:
    """Latencies are compared, and so their samples must be taken alike."""
    candidate: LatencySample | None = getattr(models.get("candidate"), "latency", None)
    if config.faster_by is None or candidate is None:
        return []
    found = []
    for role, model in models.items():
        sample: LatencySample | None = getattr(model, "latency", None)
        if sample is not None and sample != candidate:
            taken = f"{called(role)} {model.name}: {_taken(sample)}; candidate {models['candidate'].name}"
            found.append(
                Check(
                    "faster_by",
                    "error",
                    f"latencies of unlike samples cannot be compared: {taken}: {_taken(candidate)}",
                    required=config.faster_by,
                    source=str(config.sources["faster_by"]),
                    advice="Give both models the same latency: {concurrency: 1, examples: 50}.",
                )
            )
    return found


def _taken(sample: LatencySample) -> str:
    return f"{plural(sample.concurrency, 'call')} at a time, {plural(sample.examples, 'example')}"


def advantage_checks(config: GateConfig, baseline: ModelResult, candidate: ModelResult) -> list[Check]:
    """The candidate is as many times cheaper and faster as the gate asks for.

    Args:
        config: a gate with ``objective: match``.
        baseline: the one that is reported.
        candidate: the fine-tuned model.
    """
    found = []
    if config.cheaper_by is not None:
        found.append(_cheaper_check(config, config.cheaper_by, baseline, candidate))
    if config.faster_by is not None:
        found.append(_faster_check(config, config.faster_by, baseline, candidate))
    return found


def rival_checks(
    config: GateConfig, baselines: Mapping[str, ModelResult], best: str, candidate: ModelResult, metric: Metric
) -> list[Check]:
    """Say where another baseline does what is asked of the candidate: not much worse than the best, and no dearer.

    By what was measured, without bounds, and so a warning; what is unknown of a baseline is not held against anybody.

    Args:
        config: a gate with ``objective: match``.
        baselines: by role.
        best: the role of the one that cost and time are compared with.
        candidate: the fine-tuned model.
        metric: the one that decides.
    """
    assert config.max_drop is not None  # a gate that matches has one
    top, sign = baselines[best].value, 1 if metric.greater_is_better else -1
    found = []
    for role, one in baselines.items():
        if role == best or top is None or one.value is None or not _no_dearer(config, one, candidate):
            continue
        drop = sign * (top - one.value)
        if round(drop, 12) > round(config.max_drop, 12):
            continue
        loses = show_amount(drop, share=is_share((metric.low, metric.high)))
        found.append(
            Check(
                "rival",
                "warning",
                f"{called(role)} {one.name} is worse than {called(best)} by {loses}, and no {_asked_less(config)} than "
                "the candidate: it may be enough without a fine-tune",
                observed=-drop,
                required=-config.max_drop,
                source=str(config.baselines[role].source),
                advice="Make it the only baseline, and see what the fine-tune brings over it.",
            )
        )
    return found


def _no_dearer(config: GateConfig, baseline: ModelResult, candidate: ModelResult) -> bool:
    """No dearer and no slower than the candidate, as far as the gate asks for it."""
    pairs = []
    if config.cheaper_by is not None:
        pairs.append((_per_call(baseline), _per_call(candidate)))
    if config.faster_by is not None:
        pairs.append((baseline.latency_p50_s, candidate.latency_p50_s))
    return all(old is not None and new is not None and round(old, 12) <= round(new, 12) for old, new in pairs)


def _asked_less(config: GateConfig) -> str:
    words = [("dearer", config.cheaper_by), ("slower", config.faster_by)]
    return " or ".join(word for word, factor in words if factor is not None)


def _cheaper_check(config: GateConfig, factor: float, baseline: ModelResult, candidate: ModelResult) -> Check:
    costs = [_per_call(model) for model in (baseline, candidate)]
    unknown = [
        f"{role} {model.name}: {model.cost_unknown or 'no cost was measured'}"
        for role, model, cost in zip(("baseline", "candidate"), (baseline, candidate), costs, strict=True)
        if cost is None
    ]
    if unknown:
        unpriced = any((model.price or "").startswith(UNKNOWN) for model in (baseline, candidate))
        again = "Ask again (--ftgate-cache=refresh), or an endpoint that reports usage."
        return _cheaper_unknown(config, f"known: {'; '.join(unknown)}", UNPRICED_CURE if unpriced else again)
    free = why_free(candidate)
    if free:
        return _cheaper_unknown(config, f"told: {free}", FREE_CURE)
    source = str(config.sources["cheaper_by"])
    old, new = (cost for cost in costs if cost is not None)
    seen = f"{show_usd(1000 * old)} against {show_usd(1000 * new)} for 1,000 calls"
    hosting = config.economics.hosting_usd_per_month if config.economics else None
    beside = f"; hosting, {dollars(hosting)} a month, is not in it" if hosting else ""
    return _advantage("cheaper", factor, old / new, f"{seen}{beside}", source)


def _per_call(model: ModelResult) -> float | None:
    return None if model.cost_usd is None or not model.n_expected else model.cost_usd / model.n_expected


def _faster_check(config: GateConfig, factor: float, baseline: ModelResult, candidate: ModelResult) -> Check:
    old, new = baseline.latency_p50_s, candidate.latency_p50_s
    source = str(config.sources["faster_by"])
    if old is None or not new:
        roles = (("baseline", baseline), ("candidate", candidate))
        untimed = " and ".join(_untimed(role, model) for role, model in roles if not model.latency_p50_s)
        return Check(
            "faster_by",
            "error",
            f"how much faster it is cannot be known: there is no latency of {untimed}",
            required=factor,
            source=source,
            advice=UNTIMED_CURE,
        )
    seen = f"half of the answers within {show_seconds(old)} against {show_seconds(new)}"
    return _advantage("faster", factor, old / new, seen, source)


def _untimed(role: str, model: ModelResult) -> str:
    return f"{role} {model.name}" + (f" ({model.latency_unknown})" if model.latency_unknown else "")


def _advantage(word: str, factor: float, measured: float, seen: str, source: str) -> Check:
    measured = round(measured, 12)
    held = measured >= round(factor, 12)
    times = f"{measured:.4g}" if held == (float(f"{measured:.4g}") >= factor) else f"{measured:.12g}"
    return Check(
        f"{word}_by",
        "pass" if held else "fail",
        f"{times} times {word} ({seen}), asked for {factor:g}",
        observed=measured,
        required=factor,
        source=source,
        advice=None if held else "Try a smaller model, or a shorter prompt: a tuned model needs fewer words.",
    )
