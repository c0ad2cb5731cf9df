"""Equal but cheaper: how many times cheaper and faster the candidate is, and whether another baseline is, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.checks.costs import dollars
from pytest_ftgate.checks.pricing import (
    FREE_CURE,
    UNTIMED_CURE,
    unpriced_cure,
    why_free,
    why_priced_at_nothing,
    why_unpriced,
)
from pytest_ftgate.models.price import tokens_usd, written_price
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import is_share, plural, show_difference, show_seconds, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import LatencySample, Model


def check_free(gate: Context) -> list[Check]:
    """Check that costs and times can be compared at all, whatever is answered."""
    if gate.config.objective != "match":
        return []
    return [*_cost_checks(gate.config, gate.models), *_unlike_samples_checks(gate.config, gate.models)]


def check(gate: Context) -> list[Check]:
    """Check how many times cheaper and faster the candidate is; before training, whether it can be."""
    config, result = gate.config, gate.result
    if not gate.accepts:
        return cheaper_room_checks(config, gate.best, result.baseline)
    if config.objective != "match":
        return []
    return [
        *advantage_checks(config, result.baseline, result.candidate),
        *rival_checks(config, result.baselines, gate.best, result.candidate, gate.deciding),
    ]


def _cost_checks(config: GateKeys, models: Mapping[str, Model]) -> list[Check]:
    """Whether costs can be compared, whatever is answered."""
    if config.cheaper_by is None:
        return []
    no_price, nothing = why_unpriced(models), why_priced_at_nothing(models)
    if no_price:
        return [_cheaper_unknown(config, f"known: {no_price}", unpriced_cure(no_price))]
    return [_cheaper_unknown(config, f"told: {nothing}", FREE_CURE)] if nothing else []


def _cheaper_unknown(config: GateKeys, why: str, advice: str) -> Check:
    return Check(
        "cheaper_by",
        "error",
        f"how much cheaper a call is cannot be {why}",
        required=config.cheaper_by,
        source=str(config.sources["cheaper_by"]),
        advice=advice,
        action="cut_costs",
    )


def _unlike_samples_checks(config: GateKeys, models: Mapping[str, Model]) -> list[Check]:
    """Latencies are compared, and so their samples must be taken alike."""
    candidate = models["candidate"].latency if "candidate" in models else None
    if config.faster_by is None or candidate is None:
        return []
    found = []
    for role, model in models.items():
        sample = model.latency
        if sample is not None and sample != candidate:
            taken = f"{called(role, model.name)}: {_taken(sample)}; {called('candidate', models['candidate'].name)}"
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


def advantage_checks(config: GateKeys, baseline: ModelResult, candidate: ModelResult) -> list[Check]:
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
    config: GateKeys, baselines: Mapping[str, ModelResult], best: str, candidate: ModelResult, metric: Metric
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
        loses = show_difference(drop, share=is_share((metric.low, metric.high))).removeprefix("+")
        found.append(
            Check(
                "rival",
                "warning",
                f"{called(role, one.name)} is worse than {called(best)} by {loses}, and no {_asked_less(config)} than "
                "the candidate: it may be enough without a fine-tune",
                observed=-drop,
                required=-config.max_drop,
                source=str(config.baselines[role].source),
                advice="Make it the only baseline, and see what the fine-tune brings over it.",
            )
        )
    return found


def _no_dearer(config: GateKeys, baseline: ModelResult, candidate: ModelResult) -> bool:
    """No dearer and no slower than the candidate, as far as the gate asks for it."""
    pairs = []
    if config.cheaper_by is not None:
        pairs.append((_per_call(baseline), _per_call(candidate)))
    if config.faster_by is not None:
        pairs.append((baseline.latency_p50_s, candidate.latency_p50_s))
    return all(old is not None and new is not None and round(old, 12) <= round(new, 12) for old, new in pairs)


def _asked_less(config: GateKeys) -> str:
    words = [("dearer", config.cheaper_by), ("slower", config.faster_by)]
    return " or ".join(word for word, factor in words if factor is not None)


def cheaper_room_checks(config: GateKeys, role: str, baseline: ModelResult) -> list[Check]:
    """Before training: whether a call can be cheaper at all, and with a declared price, how much it would be.

    With as many tokens as the baseline takes. A tuned model needs fewer, so that too little is no failure.

    Args:
        config: the gate.
        role: of the baseline.
        baseline: the one that is reported.
    """
    factor = config.cheaper_by
    if factor is None:
        return []
    unknown = _cost_unknown_check(config, {role: baseline})
    if unknown is not None:
        return [unknown]
    source = str(config.sources["cheaper_by"])
    if not baseline.cost_usd:
        message = f"no room: a call of {called(role, baseline.name)} costs nothing by its price: none can be cheaper"
        return [Check("room", "fail", message, 0.0, factor, source, "Do not train to save what is not paid.", "stop")]
    return _foreseen(config, factor, baseline, baseline.cost_usd, source)


def _foreseen(config: GateKeys, factor: float, baseline: ModelResult, usd: float, source: str) -> list[Check]:
    """What the cheapest candidate with a declared price would come to."""
    specs = config.candidates.values() or [config.candidate]
    prices = [written_price(spec.options["price"], str(spec.source)) for spec in specs if spec.options.get("price")]
    costs = [(cost, price.source) for price in prices if (cost := _same_tokens(price, baseline))]
    if not costs:
        return []
    cost, priced = min(costs)
    times = round(usd / cost, 12)
    held = times >= round(factor, 12)
    return [
        Check(
            "cheaper_by",
            "note" if held else "warning",
            f"with as many tokens as the baseline a call of the candidate would be {times:.4g} times cheaper "
            f"by its price ({priced}), asked for {factor:g}",
            observed=times,
            required=factor,
            source=source,
            advice=None if held else "Plan for a smaller model, or a much shorter prompt, before you train.",
        )
    ]


def _same_tokens(price: Price, baseline: ModelResult) -> float | None:
    if baseline.input_tokens is None or baseline.output_tokens is None:
        return None
    return tokens_usd(price, baseline.input_tokens, baseline.output_tokens)


def _cost_unknown_check(config: GateKeys, models: Mapping[str, ModelResult]) -> Check | None:
    """That the cost of one of these models, by role, is unknown."""
    unknown = {role: model for role, model in models.items() if _per_call(model) is None}
    if not unknown:
        return None
    told = [f"{called(role, one.name)}: {one.cost_unknown or 'no cost was measured'}" for role, one in unknown.items()]
    unpriced = [model.price_unknown for model in unknown.values() if model.price_unknown is not None]
    again = "Ask again (--ftgate-cache=refresh), or an endpoint that reports usage."
    advice = unpriced_cure("; ".join(unpriced)) if unpriced else again
    return _cheaper_unknown(config, f"known: {'; '.join(told)}", advice)


def _cheaper_check(config: GateKeys, factor: float, baseline: ModelResult, candidate: ModelResult) -> Check:
    unknown = _cost_unknown_check(config, {"baseline": baseline, "candidate": candidate})
    old, new = _per_call(baseline), _per_call(candidate)
    if unknown is not None or old is None or new is None:
        assert unknown is not None  # one whose cost is not known is told
        return unknown
    free = why_free(candidate)
    if free:
        return _cheaper_unknown(config, f"told: {free}", FREE_CURE)
    source = str(config.sources["cheaper_by"])
    seen = f"{show_usd(1000 * old)} against {show_usd(1000 * new)} for 1,000 calls"
    hosting = config.economics.hosting_usd_per_month if config.economics else None
    beside = f"; hosting, {dollars(hosting)} a month, is not in it" if hosting else ""
    return _advantage("cheaper", factor, old / new, f"{seen}{beside}", source)


def _per_call(model: ModelResult) -> float | None:
    return None if model.cost_usd is None or not model.n_expected else model.cost_usd / model.n_expected


def _faster_check(config: GateKeys, factor: float, baseline: ModelResult, candidate: ModelResult) -> Check:
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
    return called(role, model.name) + (f" ({model.latency_unknown})" if model.latency_unknown else "")


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
        action="cut_costs",
    )
