"""Latencies that a gate bounds: whether they say anything of the model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.bounds import LATENCIES
from pytest_ftgate.result import Check, ModelResult, Status, called
from pytest_ftgate.text import show_seconds

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import BoundKeys, GateKeys
    from pytest_ftgate.models import Model
    from pytest_ftgate.runs.runner import Run


def check_free(gate: Context) -> list[Check]:
    """Check that models whose latency is bounded are asked for a sample of it.

    What is bounded without one holds to what else ran at that time, if to anything.
    """
    compared = latency_bounds(gate.config) if gate.accepts else []
    checks = {}
    for bound in [*gate.config.bounds, *compared]:
        roles = ["candidate"] if bound.of == "candidate" else [role for role in gate.models if role != "candidate"]
        for role in roles:
            if bound.metric.name in LATENCIES and gate.models[role].latency is None:
                checks[role] = _unsampled(bound, role, gate.models[role])
    return list(checks.values())


def check(gate: Context) -> list[Check]:
    """Say what the samples of latencies found; one with a gap is an error."""
    return [_sample(role, gate.measured[role].facts, run) for role, run in gate.samples.items()]


def latency_bounds(config: GateKeys) -> list[BoundKeys]:
    """Return ``faster_by`` as a bound without ends on either model: what holds of bounds on latencies holds here."""
    from pytest_ftgate.config import BoundKeys, MetricSpec

    if config.faster_by is None:
        return []
    source = config.sources["faster_by"]
    spec = MetricSpec("latency_p50_s", {}, source)
    both = [BoundKeys.model_construct(metric=spec, of=of) for of in ("baseline", "candidate")]
    return [bound.placed(lambda *_: source) for bound in both]


def _sample(role: str, facts: ModelResult, run: Run) -> Check:
    name, model, predictions = f"{role}_latency", called(role, facts.name), run.predictions[0]
    missing = [one for one in predictions if one.completion is None]
    if missing:
        failure = run.failure
        counted = f"{len(missing):,} of {len(predictions):,} answers of the latency sample missing"
        message = f"{model}: {failure.cause if failure else 'no cause is known'}; {counted}"
        return Check(name, "error", message, advice=failure.advice if failure else None)
    n, at_once = len(predictions), run.model.concurrency
    seen = f"half of {n:,} answers within {show_seconds(facts.latency_p50_s)}, 95 % within "
    seen += f"{show_seconds(facts.latency_p95_s)}, {at_once:,} call{'s' * (at_once > 1)} at a time"
    return Check(name, "note", f"{model}: {seen}")


def _unsampled(bound: BoundKeys, role: str, model: Model) -> Check:
    what = f"{bound.metric.name} of {called(role, model.name)}"
    status: Status = "warning"
    advice: str | None = "Give the model latency: {concurrency: 1, examples: 50}: a sample is then "
    if model.mode == "batch":
        status, seen, advice = "error", "cannot be known: mode: batch tells no latency", f"{advice}asked live."
    elif model.verified is not None:
        seen, advice = "is what the recording says, and nobody knows what else ran", None
    else:
        seen = f"is measured with up to {model.concurrency:,} calls at a time, beside the other model"
        advice = f"{advice}taken by itself."
    return Check("latency_sample", status, f"{what} {seen}", source=str(bound.source), advice=advice)
