"""The rules for latencies that a gate bounds: they are taken from a sample of the model alone."""

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
    """Check that models whose latency is bounded have a latency sample.

    Without one, latencies depend on whatever else ran at the same time.
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
    """Return the latencies of each sample; a sample with missing answers is an error."""
    return [_sample(role, gate.measured[role].facts, run) for role, run in gate.samples.items()]


def latency_bounds(config: GateKeys) -> list[BoundKeys]:
    """Return ``faster_by`` as a latency bound without limits on either model, to be checked in the same way."""
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
    how = "sequential" if at_once == 1 else f"concurrency {at_once:,}"
    measured = f"p50 {show_seconds(facts.latency_p50_s)}, p95 {show_seconds(facts.latency_p95_s)} (n={n:,}, {how})"
    return Check(name, "note", f"{model}: {measured}")


def _unsampled(bound: BoundKeys, role: str, model: Model) -> Check:
    what = f"{bound.metric.name} of {called(role, model.name)}"
    status: Status = "warning"
    advice: str | None = "Set latency: {concurrency: 1, examples: 50} on the model, which takes a separate sample"
    if model.mode == "batch":
        status, finding = "error", "is unknown: mode: batch has no latencies"
        advice = f"{advice} with live calls."
    elif model.verified is not None:
        finding, advice = "comes from the recording, made under unknown load", None
    else:
        finding = f"is measured with up to {model.concurrency:,} concurrent calls, while the other model runs"
        advice = f"{advice}."
    return Check("latency_sample", status, f"{what} {finding}", source=str(bound.source), advice=advice)
