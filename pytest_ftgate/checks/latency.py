"""Latencies that a gate bounds: whether they say anything of the model alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.checks.bounds import LATENCIES
from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import one_line, show_seconds

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import BoundKeys, GateKeys
    from pytest_ftgate.models import Model
    from pytest_ftgate.runs.runner import Run


def check_free(gate: Context) -> list[Check]:
    """Check that models whose latency is bounded are asked for a sample of it."""
    compared = latency_bounds(gate.config) if gate.accepts else []
    return unsampled_checks([*gate.config.bounds, *compared], gate.models)


def check(gate: Context) -> list[Check]:
    """Say what the samples of latencies found; one with a gap is an error."""
    return [sample_check(role, gate.measured[role].facts, sample) for role, sample in gate.samples.items()]


def latency_bounds(config: GateKeys) -> list[BoundKeys]:
    """What is asked of latencies, as a bound without ends on either model: what holds of bounds on them holds here."""
    from pytest_ftgate.config import BoundKeys, MetricSpec

    if config.faster_by is None:
        return []
    source = config.sources["faster_by"]
    spec = MetricSpec("latency_p50_s", {}, source)
    both = [BoundKeys.model_construct(metric=spec, of=of) for of in ("baseline", "candidate")]
    return [bound.placed(lambda *_: source) for bound in both]


def sample_check(role: str, facts: ModelResult, run: Run) -> Check:
    """What the sample found; one with a gap is an error."""
    name = f"{role}_latency"
    predictions = run.predictions[0]
    missing = [one for one in predictions if one.completion is None]
    if missing:
        reason = str(run.fatal) if run.fatal else missing[0].error or ""
        head, *rest = reason.splitlines() or [""]
        counted = f"{len(missing):,} of {len(predictions):,} answers of the latency sample are missing"
        advice = one_line("\n".join(rest)) or None
        return Check(name, "error", f"{called(role, facts.name)}: {counted}: {head}", advice=advice)
    n, at_once = len(predictions), run.model.concurrency
    seen = f"half of {n:,} answers within {show_seconds(facts.latency_p50_s)}, 95 % within "
    seen += f"{show_seconds(facts.latency_p95_s)}, {at_once:,} call{'s' * (at_once > 1)} at a time"
    return Check(name, "note", f"{called(role, facts.name)}: {seen}")


def unsampled_checks(bounds: Sequence[BoundKeys], models: Mapping[str, Model]) -> list[Check]:
    """A bound on the latency of a model that asks for no sample holds to what else ran at that time, if to anything."""
    found = {}
    for bound in bounds:
        roles = ["candidate"] if bound.of == "candidate" else [role for role in models if role != "candidate"]
        for role in roles:
            if bound.metric.name in LATENCIES and models[role].latency is None:
                found[role] = _unsampled(bound, role, models[role])
    return list(found.values())


def _unsampled(bound: BoundKeys, role: str, model: Model) -> Check:
    if model.mode == "batch":
        return Check(
            "latency_sample",
            "error",
            f"{bound.metric.name} of {called(role, model.name)} cannot be known: mode: batch tells no latency",
            source=str(bound.source),
            advice="Give the model latency: {concurrency: 1, examples: 50}: a sample is then asked live.",
        )
    if model.verified is not None:
        seen = "is what the recording says, and nobody knows what else ran"
        advice = None
    else:
        seen = f"is measured with up to {model.concurrency:,} calls at a time, beside the other model"
        advice = "Give the model latency: {concurrency: 1, examples: 50}: a sample is then taken by itself."
    message = f"{bound.metric.name} of {called(role, model.name)} {seen}"
    return Check("latency_sample", "warning", message, source=str(bound.source), advice=advice)
