"""The rules of gates with ``max_drop``: the test set can prove it, and the candidate costs less."""

from collections.abc import Iterator

from pytest_ftgate import plain
from pytest_ftgate.checks import economics, parts, thresholds
from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import UNTIMED
from pytest_ftgate.statistics.groups import group_codes
from pytest_ftgate.text import (
    plural,
    show_amount,
    show_percent,
    show_seconds,
    show_usd,
)

_SMALLER = "Use a smaller model, or shorten what it reads: a fine-tune needs fewer instructions."


def check_absent(gate: Context) -> Iterator[Check]:
    """Note the baselines that have no model yet: the others alone count."""
    for role, entry in gate.config.standards.items():
        if entry.model is None:
            message = f"{called(role)} has no model yet, so the candidate is not compared with it"
            source = gate.source(gate.config.standard_of(role).path)
            yield Check("max_drop", "note", message, source=source)


def check_reach(gate: Context) -> Iterator[Check]:
    """Check before any call that the test set can prove ``max_drop`` for an equal candidate.

    Not for a test set with groups, where the number needed cannot be calculated in advance.
    """
    n = len(gate.gain_set)
    groups = gate.gain_set.groups
    standards = [gate.config.standard_of(role) for role in gate.config.baselines]
    # a baseline without max_drop is judged by its margin
    drops = [standard for standard in standards if standard.drops]
    has_groups = group_codes(groups, n) is not None
    if not drops or not n or has_groups or gate.deciding.kind == "set":
        return

    strictest = max(drops, key=lambda standard: standard.gain)
    tolerance = parts.Tolerance(-strictest.gain, gate.config.confidence)
    needed = parts.size_of(gate.deciding, groups, tolerance).needed
    message = f"{plural(needed, 'example')} required to prove at "
    message += f"{show_percent(gate.config.confidence)} confidence that an equal candidate is at "
    message += f"most {show_amount(-strictest.gain, share=gate.share)} worse (max_drop)"
    source = gate.source(strictest.path)
    if n >= needed:
        yield Check("min_fixed", "note", message, observed=n, required=needed, source=source)
        return

    message = f"{plural(n, 'test example')}, {message}"
    cure = f"Label {plural(needed - n, 'more test example')}. If the candidate should be better "
    cure += "than the baseline, write margin in place of max_drop."
    yield Check(
        "min_fixed", "inconclusive", message, observed=n, required=needed, source=source, cure=cure
    )


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that costs and latency samples can be compared."""
    candidate = gate.models.get("candidate")
    if gate.config.cheaper_by is not None:
        unknown = economics.no_price(gate.models) or economics.free(candidate)
        if unknown is not None:
            yield _cheaper_unknown(gate, unknown)

    if gate.config.faster_by is None or candidate is None or not candidate.latency_sample:
        return
    for role, model in gate.models.items():
        if model.latency_sample not in (0, candidate.latency_sample):
            message = (
                f"the latency samples of {called(role, model.name)} and the candidate differ: "
            )
            message += f"{model.latency_sample:,} and {candidate.latency_sample:,} examples"
            cure = "Give both models the same latency_sample."
            required = gate.requirement("faster_by")
            yield Check("faster_by", "error", message, **required, cure=cure)


def check(gate: Context) -> Iterator[Check]:
    """Check how much cheaper and faster the candidate is."""
    if gate.config.cheaper_by is not None:
        yield _cheaper(gate)
    if gate.config.faster_by is not None:
        yield _faster(gate, gate.config.faster_by)


def _cheaper_unknown(gate: Context, unknown: plain.Unknown) -> Check:
    message = f"the candidate's cost cannot be compared with the baseline's: {unknown.why}"
    required = gate.requirement("cheaper_by")
    return Check("cheaper_by", "error", message, **required, cure=unknown.cure)


def _cheaper(gate: Context) -> Check:
    baseline = gate.facts_of(gate.best)
    candidate = gate.facts_of("candidate")
    cost = economics.call_usd(baseline)
    candidate_cost = economics.call_usd(candidate)
    if cost is None or candidate_cost is None:
        unknown = plain.together(
            economics.unknown_cost("baseline", baseline),
            economics.unknown_cost("candidate", candidate),
        )
        return _cheaper_unknown(gate, unknown)
    free = economics.free(candidate)
    if free is not None:
        return _cheaper_unknown(gate, free)

    evidence = f"1,000 calls cost {show_usd(1000 * candidate_cost)} instead of "
    evidence += show_usd(1000 * cost)
    return _advantage(gate, "cheaper", cost / candidate_cost, evidence)


def _faster(gate: Context, factor: float) -> Check:
    """Check the ratio of p50 latencies, and by the sign test those of single examples."""
    models = {"baseline": gate.facts_of(gate.best), "candidate": gate.facts_of("candidate")}
    old = models["baseline"].latency_p50_s
    new = models["candidate"].latency_p50_s
    if old is None or not new:
        untimed = []
        for role, model in models.items():
            if model.latency_p50_s:
                continue
            name = called(role, model.name)
            unknown = model.latency_unknown
            untimed.append(name if unknown is None else f"{name} ({unknown.why})")
        message = f"the speed cannot be compared: no latency is known of {' and '.join(untimed)}"
        required = gate.requirement("faster_by")
        return Check("faster_by", "error", message, **required, cure=UNTIMED)

    baseline_times = gate.measured[gate.best].seconds
    candidate_times = gate.measured["candidate"].seconds
    reached = []
    for baseline_time, time in zip(baseline_times, candidate_times, strict=False):
        if baseline_time is not None and time is not None:
            reached.append(round(baseline_time - factor * time, 12) >= 0)
    evidence = f"p50 latency {show_seconds(new)} instead of {show_seconds(old)}"
    doubt = f"only {sum(reached):,} of {plural(len(reached), 'example')} were {factor:g} times "
    doubt += "faster, which could be chance (paired sign test"
    advantage = _advantage(gate, "faster", old / new, evidence)
    return thresholds.shown_by_share(gate, advantage, reached, 0.5, doubt)


def _advantage(gate: Context, word: str, measured: float, evidence: str) -> Check:
    required = gate.requirement(f"{word}_by")
    factor = required["required"]
    measured = round(measured, 12)
    shown = f"{round(measured, 2):g} times {word}"
    message = f"{shown} ({factor:g} times required): {evidence}"
    if measured >= round(factor, 12):
        return Check(f"{word}_by", "pass", message, observed=measured, **required)
    return Check(f"{word}_by", "fail", message, observed=measured, **required, cure=_SMALLER)


def check_headroom(gate: Context) -> Iterator[Check]:
    """Check before training that a call can be cheaper."""
    if gate.config.cheaper_by is None:
        return

    baseline = gate.facts_of(gate.best)
    unknown = economics.unknown_cost(gate.best, baseline)
    if unknown is not None:
        yield _cheaper_unknown(gate, unknown)
    elif not baseline.cost_usd:
        name = called(gate.best, baseline.name)
        message = f"by its price a call of {name} costs nothing, so no candidate can be cheaper"
        cure = "Do not train to save money: there is nothing to save."
        required = gate.requirement("cheaper_by")
        yield Check("headroom", "fail", message, observed=0.0, **required, cure=cure)
