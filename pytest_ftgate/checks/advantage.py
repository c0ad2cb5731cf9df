"""The rules for ``cheaper_by`` and ``faster_by``, and a warning where another baseline is as good and as cheap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.checks.pricing import (
    FREE_CURE,
    UNTIMED_CURE,
    call_usd,
    cost_cure,
    no_price,
    why_free,
    why_priced_at_nothing,
)
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import plural, show_distance, show_dollars, show_seconds, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that costs and latencies can be compared."""
    if gate.config.cheaper_by is not None:
        unpriced, free = no_price(gate.models), why_priced_at_nothing(gate.models)
        if unpriced:
            yield _cheaper_unknown(gate, *unpriced)
        elif free:
            yield _cheaper_unknown(gate, free, FREE_CURE)
    yield from _unlike_samples(gate)


def check(gate: Context) -> Iterator[Check]:
    """Check how many times cheaper and faster the candidate is, and whether another baseline would do."""
    if gate.config.cheaper_by is not None:
        yield _cheaper(gate)
    if gate.config.faster_by is not None:
        yield _faster(gate)
    yield from _rivals(gate)


def _cheaper_unknown(gate: Context, why: str, advice: str) -> Check:
    message = f"the candidate's cost cannot be compared with the baseline's: {why}"
    required = gate.requirement("cheaper_by")
    return Check("cheaper_by", "error", message, **required, advice=advice, action="cut_costs")


def _unlike_samples(gate: Context) -> Iterator[Check]:
    """Refuse to compare latencies of models whose samples differ in size."""
    candidate = gate.models.get("candidate")
    if gate.config.faster_by is None or candidate is None or not candidate.latency_sample:
        return
    for role, model in gate.models.items():
        sample = model.latency_sample
        if sample and sample != candidate.latency_sample:
            samples = f"{called(role, model.name)} has {plural(sample, 'example')}, "
            samples += f"{called('candidate', candidate.name)} has {plural(candidate.latency_sample, 'example')}"
            yield Check(
                "faster_by",
                "error",
                f"the latency samples of the models differ: {samples}",
                **gate.requirement("faster_by"),
                advice="Give both models the same latency_sample: 50.",
            )


# --- the candidate against the baseline ----------------------------------------------------------------------


def _cheaper(gate: Context) -> Check:
    baseline, candidate = gate.facts_of(gate.best), gate.facts_of("candidate")
    unknown, free = _cost_unknown(gate, {"baseline": baseline, "candidate": candidate}), why_free(candidate)
    if unknown is not None:
        return unknown
    if free:
        return _cheaper_unknown(gate, free, FREE_CURE)
    old, new = call_usd(baseline) or 0.0, call_usd(candidate) or 0.0  # each is known
    hosting = gate.config.economics.hosting_usd_per_month if gate.config.economics else None
    hosting_note = f", without hosting at {show_dollars(hosting)} per month" if hosting else ""
    evidence = f"1,000 calls cost {show_usd(1000 * new)} instead of {show_usd(1000 * old)}{hosting_note}"
    return _advantage(gate, "cheaper", old / new, evidence)


def _faster(gate: Context) -> Check:
    baseline, candidate = gate.facts_of(gate.best), gate.facts_of("candidate")
    old, new = baseline.latency_p50_s, candidate.latency_p50_s
    if old is not None and new:
        evidence = f"p50 latency {show_seconds(new)} instead of {show_seconds(old)}"
        return _advantage(gate, "faster", old / new, evidence)
    roles = (("baseline", baseline), ("candidate", candidate))
    untimed = [
        called(role, model.name) + (f" ({model.latency_unknown})" if model.latency_unknown else "")
        for role, model in roles
        if not model.latency_p50_s
    ]
    message = f"the speed cannot be compared: no latency is known of {' and '.join(untimed)}"
    return Check("faster_by", "error", message, **gate.requirement("faster_by"), advice=UNTIMED_CURE)


def _advantage(gate: Context, word: str, measured: float, evidence: str) -> Check:
    required = gate.requirement(f"{word}_by")
    factor, measured = required["required"], round(measured, 12)
    enough = measured >= round(factor, 12)
    times = f"{measured:.4g}" if enough == (float(f"{measured:.4g}") >= factor) else f"{measured:.12g}"
    return Check(
        f"{word}_by",
        "pass" if enough else "fail",
        f"{times} times {word} ({factor:g} times required): {evidence}",
        observed=measured,
        **required,
        advice=None if enough else "Use a smaller model or a shorter prompt: a fine-tune needs fewer instructions.",
        action="cut_costs",
    )


def _cost_unknown(gate: Context, models: Mapping[str, ModelResult]) -> Check | None:
    """Return an error where the cost of one of these models, by role, is unknown."""
    unknown = {role: model for role, model in models.items() if call_usd(model) is None}
    if not unknown:
        return None
    why = [f"{called(role, one.name)}: {one.cost_unknown or 'no cost was measured'}" for role, one in unknown.items()]
    return _cheaper_unknown(gate, "; ".join(why), cost_cure(*unknown.values()))


# --- another baseline ----------------------------------------------------------------------------------------


def _rivals(gate: Context) -> Iterator[Check]:
    """Warn of another baseline that also meets the gate: within ``max_drop`` of the best, and as cheap and fast.

    This rests on measured values without bounds, so it is a warning. A baseline of unknown cost is not considered.
    """
    config, best, sign, candidate = gate.config, gate.best, gate.deciding.sign, gate.facts_of("candidate")
    top = gate.facts_of(best).value
    for role, one in {role: gate.facts_of(role) for role in config.baselines}.items():
        if role == best or top is None or one.value is None or not _as_cheap(config, one, candidate):
            continue
        drop = sign * (top - one.value)
        if round(drop, 12) > round(config.max_drop, 12):
            continue
        loses = show_distance(drop, share=gate.share)
        words = [("more expensive", config.cheaper_by), ("slower", config.faster_by)]
        less = " or ".join(word for word, factor in words if factor is not None)
        yield Check(
            "alternatives",
            "warning",
            f"{called(role, one.name)} is only {loses} worse than {called(best)} and not {less} than the "
            "candidate: it may make the fine-tune unnecessary",
            observed=-drop,
            required=-config.max_drop,
            source=str(config.baselines[role].source),
            advice="Make it the only baseline, and measure what the fine-tune gains over it.",
        )


def _as_cheap(config: GateKeys, baseline: ModelResult, candidate: ModelResult) -> bool:
    """Return whether a baseline is as cheap and as fast as the candidate, in whatever the gate requires."""
    pairs = [] if config.cheaper_by is None else [(call_usd(baseline), call_usd(candidate))]
    pairs += [] if config.faster_by is None else [(baseline.latency_p50_s, candidate.latency_p50_s)]
    return all(old is not None and new is not None and round(old, 12) <= round(new, 12) for old, new in pairs)


# --- before training -----------------------------------------------------------------------------------------


def check_headroom(gate: Context) -> Iterator[Check]:
    """Check before training that a call can be cheaper."""
    if gate.config.cheaper_by is None:
        return
    baseline, required = gate.facts_of(gate.best), gate.requirement("cheaper_by")
    unknown = _cost_unknown(gate, {gate.best: baseline})
    if unknown is not None or not baseline.cost_usd:
        name = called(gate.best, baseline.name)
        message = f"by its price a call of {name} costs nothing, so no candidate can be cheaper"
        advice = "Do not train to save money: there is nothing to save."
        yield unknown or Check("headroom", "fail", message, 0.0, **required, advice=advice, action="stop")
