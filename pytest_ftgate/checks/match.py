"""The rules for ``max_drop``: the candidate is proven to be hardly worse than the baseline, and is cheaper or faster.

They warn where another baseline is as good and as cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pytest_ftgate.checks.advice import loss_advice
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.drop import drop_limit, examples_advice, gain_status, shown_gain
from pytest_ftgate.checks.economics import call_usd, free, no_price, unknown_cost
from pytest_ftgate.checks.thresholds import UNTIMED
from pytest_ftgate.config import GateKeys
from pytest_ftgate.metrics import Metric
from pytest_ftgate.result import Action, Check, ModelResult, called
from pytest_ftgate.statistics.evidence import Comparison, is_sure, level
from pytest_ftgate.statistics.exact import share_p_value
from pytest_ftgate.statistics.planning import fewest_examples
from pytest_ftgate.text import (
    plural,
    show_amount,
    show_difference,
    show_distance,
    show_dollars,
    show_percent,
    show_seconds,
    show_usd,
)
from pytest_ftgate.unknown import Unknown, together

_WORSE = (
    "Keep the baseline, or look at the examples that it broke and correct the training data before another attempt."
)
_UNBOUNDED = "Use a metric that scores each answer, such as accuracy, and move the other to thresholds."

_MOST_EXAMPLES = 100_000
"""The largest number of examples that is calculated exactly."""


def max_drop_check(gate: Context, role: str, comparison: Comparison) -> Check:
    """Check that the candidate is proven to be at most ``max_drop`` worse than a baseline."""
    standard, share = gate.config.standard_of(role), gate.share
    most = -standard.gain
    status = gain_status(gate, role, comparison)
    measured = shown_gain(gate, role, comparison)
    limit, bound = drop_limit(most, share=share), f"{show_percent(gate.config.confidence)} lower bound"
    message, observed = f"{measured} ({limit})", comparison.lower
    advice: str | None = None
    if status == "fail":
        advice, observed = loss_advice(gate, comparison, -most, _WORSE), comparison.gain
    elif comparison.lower is None:
        message = f"{measured}, no {bound} ({limit}): {comparison.note or 'the method gives none'}"
        advice = _UNBOUNDED
    else:
        message = f"{measured}, {bound} {show_difference(comparison.lower, share=share)} ({limit})"
        advice = examples_advice(comparison, "is better", "test example") if status != "pass" else None
    required = gate.requirement(standard.path, required=-most)
    action: Action | None = "add_examples" if status == "inconclusive" and comparison.examples_needed else None
    return Check("max_drop", status, message, observed=observed, **required, advice=advice, action=action)


def check_absent(gate: Context) -> Iterator[Check]:
    """Note the baselines that have no model yet: the others alone count."""
    for role, entry in gate.config.standards.items():
        if entry.model is None:
            message = f"{called(role)} has no model yet, so the candidate is not compared with it"
            yield Check("max_drop", "note", message, source=gate.source(entry.standard(role).path))


def check_reach(gate: Context) -> list[Check]:
    """Check before any call that the test set can prove ``max_drop`` for a candidate that is equal to the baseline.

    Not for a test set with groups, where the number needed cannot be calculated in advance.
    """
    config, metric, n = gate.config, gate.deciding, len(gate.test)
    drops = [one for one in map(config.standard_of, config.baselines) if one.drops]
    if gate.grouped or not n or not drops:
        return []
    strictest = max(drops, key=lambda one: one.gain)
    if metric.kind == "set" or metric.high - metric.low == float("inf"):
        return []
    needed = examples_without_difference(metric, -strictest.gain, config.confidence)
    if needed is None and n > _MOST_EXAMPLES:
        return []
    counted = f"more than {_MOST_EXAMPLES:,} examples" if needed is None else plural(needed, "example")
    message = (
        f"{counted} required to prove at {show_percent(config.confidence)} confidence that an equal candidate is "
        f"at most {show_amount(-strictest.gain, share=gate.share)} worse (max_drop)"
    )
    numbers: dict[str, Any] = {"observed": n, "required": needed, "source": gate.source(strictest.path)}
    if needed is not None and n >= needed:
        return [Check("min_wins", "note", message, **numbers)]
    more = plural(needed - n, "more test example") if needed is not None else "more test examples"
    advice = f"Label {more}. If the candidate should be better than the baseline, write margin in place of max_drop."
    message = f"{plural(n, 'test example')}, {message}"
    return [Check("min_wins", "inconclusive", message, **numbers, advice=advice, action="add_examples")]


def examples_without_difference(metric: Metric, max_drop: float, confidence: float) -> int | None:
    """Return the fewest examples that prove two models equal which differ nowhere; None where above 100,000."""
    exact = metric.kind == "right_wrong"
    share = max_drop / (metric.high - metric.low)
    return fewest_examples(share, confidence=confidence, proven=True, exact=exact, most=_MOST_EXAMPLES)


# --- cheaper, faster ------------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that costs and latencies can be compared."""
    if gate.config.cheaper_by is not None:
        unknown = no_price(gate.models) or free(gate.models.get("candidate"))
        yield from () if unknown is None else (_cheaper_unknown(gate, unknown),)
    yield from _unlike_samples(gate)


def check(gate: Context) -> Iterator[Check]:
    """Check how many times cheaper and faster the candidate is, and whether another baseline would do."""
    if gate.config.cheaper_by is not None:
        yield _cheaper(gate)
    if gate.config.faster_by is not None:
        yield _faster(gate)
    yield from _rivals(gate)


def _cheaper_unknown(gate: Context, unknown: Unknown) -> Check:
    message = f"the candidate's cost cannot be compared with the baseline's: {unknown.why}"
    required = gate.requirement("cheaper_by")
    return Check("cheaper_by", "error", message, **required, advice=unknown.cure, action="cut_costs")


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
    models = {"baseline": baseline, "candidate": candidate}
    unknown = together(*(unknown_cost(role, model) for role, model in models.items()))
    if unknown.why or (unknown := free(candidate) or unknown).why:
        return _cheaper_unknown(gate, unknown)
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
        return _shown_faster(gate, _advantage(gate, "faster", old / new, evidence))
    roles = (("baseline", baseline), ("candidate", candidate))
    untimed = [
        called(role, model.name) + (f" ({model.latency_unknown})" if model.latency_unknown else "")
        for role, model in roles
        if not model.latency_p50_s
    ]
    message = f"the speed cannot be compared: no latency is known of {' and '.join(untimed)}"
    return Check("faster_by", "error", message, **gate.requirement("faster_by"), advice=UNTIMED)


def _shown_faster(gate: Context, check: Check) -> Check:
    """Return the check with the verdict of the sign test of the ratios of latencies, example by example."""
    factor = gate.config.faster_by or 1.0
    pairs = zip(gate.measured[gate.best].seconds, gate.measured["candidate"].seconds, strict=False)
    reached = [round(old - factor * new, 12) >= 0 for old, new in pairs if old is not None and new is not None]
    faster, n = sum(reached), len(reached)
    if check.status != "pass" or is_sure(share_p_value(faster, n, 0.5), level(gate.config.confidence)):
        return check
    return replace(
        check,
        status="inconclusive",
        message=f"{check.message}; only {faster:,} of {plural(n, 'answer')} came {factor:g} times faster, which could "
        f"be chance (paired sign test at {show_percent(gate.config.confidence)} confidence)",
        advice="Measure more examples: give both models a larger latency_sample.",
        action="add_examples",
    )


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


# --- another baseline ----------------------------------------------------------------------------------------


def _rivals(gate: Context) -> Iterator[Check]:
    """Warn of another baseline that also meets the gate: within ``max_drop`` of the best, and as cheap and fast.

    This rests on measured values without bounds, so it is a warning. A baseline of unknown cost is not considered.
    """
    config, best, sign, candidate = gate.config, gate.best, gate.deciding.sign, gate.facts_of("candidate")
    top = gate.facts_of(best).value
    for role, one in {role: gate.facts_of(role) for role in config.decisive}.items():
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
    unknown = unknown_cost(gate.best, baseline)
    if unknown is not None:
        yield _cheaper_unknown(gate, unknown)
    elif not baseline.cost_usd:
        name = called(gate.best, baseline.name)
        message = f"by its price a call of {name} costs nothing, so no candidate can be cheaper"
        advice = "Do not train to save money: there is nothing to save."
        yield Check("headroom", "fail", message, 0.0, **required, advice=advice, action="stop")
