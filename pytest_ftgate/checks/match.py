"""The rules of gates with ``max_drop``: the test set can prove it, and the candidate is cheaper or faster.

They warn where another baseline is as good and as cheap.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pytest_ftgate import plain, result, text
from pytest_ftgate.checks import context, economics, parts, thresholds
from pytest_ftgate.runs.measure import UNTIMED
from pytest_ftgate.statistics.groups import group_codes


def check_absent(gate: context.Context) -> Iterator[result.Check]:
    """Note the baselines that have no model yet: the others alone count."""
    for role, entry in gate.config.standards.items():
        if entry.model is None:
            message = (
                f"{result.called(role)} has no model yet, so the candidate is not compared with it"
            )
            yield result.Check(
                "max_drop", "note", message, source=gate.source(gate.config.standard_of(role).path)
            )


def check_reach(gate: context.Context) -> list[result.Check]:
    """Check before any call that the test set can prove ``max_drop`` for a candidate that is equal to the baseline.

    Not for a test set with groups, where the number needed cannot be calculated in advance.
    """
    drops = [one for one in map(gate.config.standard_of, gate.config.baselines) if one.drops]
    metric, n = gate.deciding, len(gate.test)
    known = metric.kind != "set" and group_codes(gate.groups, n) is None
    if not drops or not n or not known:
        return []
    path, least = max(drops, key=lambda one: one.gain)  # the strictest
    needed = parts.size_of(
        metric, gate.groups, parts.Tolerance(-least, gate.config.confidence, proven=True)
    ).needed
    confidence = text.show_percent(gate.config.confidence)
    message = f"{text.plural(needed, 'example')} required to prove at {confidence} confidence that "
    message += f"an equal candidate is at most {text.show_amount(-least, share=gate.share)} worse (max_drop)"
    numbers: dict[str, Any] = {"observed": n, "required": needed, "source": gate.source(path)}
    if n >= needed:
        return [result.Check("min_wins", "note", message, **numbers)]
    message = f"{text.plural(n, 'test example')}, {message}"
    advice = f"Label {text.plural(needed - n, 'more test example')}. If the candidate should be better than the"
    numbers |= {"advice": f"{advice} baseline, write margin in place of max_drop."}
    return [result.Check("min_wins", "inconclusive", message, **numbers)]


def check_free(gate: context.Context) -> Iterator[result.Check]:
    """Check before any call that costs can be compared, and that latency samples are of one size."""
    candidate = gate.models.get("candidate")
    if gate.config.cheaper_by is not None:
        unknown = economics.no_price(gate.models) or economics.free(candidate)
        yield from () if unknown is None else (_cheaper_unknown(gate, unknown),)
    if gate.config.faster_by is None or candidate is None or not candidate.latency_sample:
        return
    for role, model in gate.models.items():
        if model.latency_sample not in (0, candidate.latency_sample):
            sizes = f"{result.called(role, model.name)} has {text.plural(model.latency_sample, 'example')}, "
            sizes += f"{result.called('candidate', candidate.name)} has {text.plural(candidate.latency_sample, 'example')}"
            message, advice = (
                f"the latency samples of the models differ: {sizes}",
                "Give both models the same ",
            )
            required = gate.requirement("faster_by")
            yield result.Check(
                "faster_by", "error", message, **required, advice=f"{advice}latency_sample: 50."
            )


def check(gate: context.Context) -> Iterator[result.Check]:
    """Check how many times cheaper and faster the candidate is, and whether another baseline would do."""
    if gate.config.cheaper_by is not None:
        yield _cheaper(gate)
    if gate.config.faster_by is not None:
        yield _faster(gate)
    yield from _rivals(gate)


def _cheaper_unknown(gate: context.Context, unknown: plain.Unknown) -> result.Check:
    message = f"the candidate's cost cannot be compared with the baseline's: {unknown.why}"
    required = gate.requirement("cheaper_by")
    return result.Check("cheaper_by", "error", message, **required, advice=unknown.cure)


def _cheaper(gate: context.Context) -> result.Check:
    baseline, candidate = gate.facts_of(gate.best), gate.facts_of("candidate")
    unknown = plain.together(
        economics.unknown_cost("baseline", baseline), economics.unknown_cost("candidate", candidate)
    )
    if unknown.why or (unknown := economics.free(candidate) or unknown).why:
        return _cheaper_unknown(gate, unknown)
    # each is known
    old, new = economics.call_usd(baseline) or 0.0, economics.call_usd(candidate) or 0.0
    hosting = gate.config.economics.hosting_usd_per_month if gate.config.economics else None
    hosting_note = f", without hosting at {text.show_usd(hosting)} per month" if hosting else ""
    evidence = f"1,000 calls cost {text.show_usd(1000 * new)} instead of {text.show_usd(1000 * old)}{hosting_note}"
    return _advantage(gate, "cheaper", old / new, evidence)


def _faster(gate: context.Context) -> result.Check:
    """Check the ratio of p50 latencies, and by the sign test those of single examples."""
    models = {"baseline": gate.facts_of(gate.best), "candidate": gate.facts_of("candidate")}
    old, new = (model.latency_p50_s for model in models.values())
    if old is None or not new:
        untimed = [
            result.called(role, model.name)
            + (f" ({model.latency_unknown.why})" if model.latency_unknown else "")
            for role, model in models.items()
            if not model.latency_p50_s
        ]
        message = f"the speed cannot be compared: no latency is known of {' and '.join(untimed)}"
        return result.Check(
            "faster_by", "error", message, **gate.requirement("faster_by"), advice=UNTIMED
        )
    evidence = f"p50 latency {text.show_seconds(new)} instead of {text.show_seconds(old)}"
    factor = gate.config.faster_by or 1.0
    pairs = zip(gate.measured[gate.best].seconds, gate.measured["candidate"].seconds, strict=False)
    reached = [
        round(old - factor * new, 12) >= 0
        for old, new in pairs
        if old is not None and new is not None
    ]
    counted = f"only {sum(reached):,} of {text.plural(len(reached), 'example')} were {factor:g} times faster, which "
    counted += "could be chance (paired sign test"
    return thresholds.shown_by_share(
        gate, _advantage(gate, "faster", old / new, evidence), reached, 0.5, counted
    )


def _advantage(gate: context.Context, word: str, measured: float, evidence: str) -> result.Check:
    required = gate.requirement(f"{word}_by")
    factor, measured = required["required"], round(measured, 12)
    enough = measured >= round(factor, 12)
    message = f"{measured:.6g} times {word} ({factor:g} times required): {evidence}"
    advice = (
        None
        if enough
        else "Use a smaller model, or shorten what it reads: a fine-tune needs fewer instructions."
    )
    status: result.Status = "pass" if enough else "fail"
    return result.Check(f"{word}_by", status, message, measured, **required, advice=advice)


def _rivals(gate: context.Context) -> Iterator[result.Check]:
    """Warn of another baseline that also meets the gate: within ``max_drop`` of the best, and as cheap and fast.

    This rests on measured values without bounds, so it is a warning. A baseline of unknown cost is
    not considered.
    """
    config, best, most = gate.config, gate.best, gate.config.max_drop
    asked: tuple[tuple[str, Any, Callable[[result.ModelResult], float | None]], ...] = (
        ("more expensive", config.cheaper_by, economics.call_usd),
        ("slower", config.faster_by, lambda model: model.latency_p50_s),
    )
    ways = {
        word: (of, of(gate.facts_of("candidate")))
        for word, factor, of in asked
        if factor is not None
    }
    models = {role: gate.facts_of(role) for role in config.decisive}
    top = models[best].value
    for role, one in models.items():
        pairs = [(of(one), new) for of, new in ways.values()]
        as_cheap = all(
            old is not None and new is not None and round(old, 12) <= round(new, 12)
            for old, new in pairs
        )
        if role == best or top is None or one.value is None or not as_cheap:
            continue
        drop = gate.deciding.sign * (top - one.value)
        if round(drop, 12) <= round(most, 12):
            worse = text.show_difference(abs(drop), share=gate.share)[1:]
            message = f"{result.called(role, one.name)} is only {worse} worse than {result.called(best)} and not "
            message += (
                f"{' or '.join(ways)} than the candidate: it may make the fine-tune unnecessary"
            )
            advice = "Make it the only baseline, and measure what the fine-tune gains over it."
            source = str(config.baselines[role].source)
            yield result.Check("alternatives", "warning", message, -drop, -most, source, advice)


def check_headroom(gate: context.Context) -> Iterator[result.Check]:
    """Check before training that a call can be cheaper."""
    if gate.config.cheaper_by is None:
        return
    baseline, required = gate.facts_of(gate.best), gate.requirement("cheaper_by")
    unknown = economics.unknown_cost(gate.best, baseline)
    if unknown is not None:
        yield _cheaper_unknown(gate, unknown)
    elif not baseline.cost_usd:
        name = result.called(gate.best, baseline.name)
        message = f"by its price a call of {name} costs nothing, so no candidate can be cheaper"
        advice = "Do not train to save money: there is nothing to save."
        yield result.Check("headroom", "fail", message, 0.0, **required, advice=advice)
