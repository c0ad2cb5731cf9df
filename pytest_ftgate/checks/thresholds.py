"""The rules for ``thresholds``, and for the latencies that they limit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, inf, log

from pytest_ftgate.checks.answers import complete_checks
from pytest_ftgate.checks.causes import cure_of_a_threshold
from pytest_ftgate.checks.context import Context, Finding, Unadvised
from pytest_ftgate.config.requirements import ThresholdKeys
from pytest_ftgate.models.price import UNPRICED, price_of
from pytest_ftgate.plain import Unknown
from pytest_ftgate.result import Check, ModelResult, Status, called
from pytest_ftgate.runs.measure import Measured, measure_run
from pytest_ftgate.statistics import evidence, exact
from pytest_ftgate.text import show_percent, show_seconds, show_usd, show_value

RUN_METRICS = {
    **dict.fromkeys(("latency_p50_s", "latency_p95_s", "cost_usd"), (0.0, inf)),
    "error_rate": (0.0, 1.0),
}
"""The range of each metric of a run, as opposed to metrics of quality."""
LATENCIES = ("latency_p50_s", "latency_p95_s")
_P95 = "latency_p95_s"
_SHARE = 0.95
_UNREPORTED = Unknown("", "The model does not report what is needed to measure it.")
_CURES: Mapping[str, str] = {
    **dict.fromkeys(RUN_METRICS, "Use a smaller model, or shorten what it reads and writes."),
    "error_rate": "Find out why the candidate's endpoint fails, then run again.",
    "format": "Train on rows whose outputs follow every rule, or constrain the answers.",
}
"""What to do about a threshold that is missed; of other metrics, see `causes`."""


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that a limited cost can be known, and a limited p95 be shown."""
    model = gate.models["candidate"]
    price = price_of(model)
    if "cost_usd" in gate.config.thresholds and not price.known:
        unknown = Unknown(price.unknown or "", UNPRICED)
        yield _check(gate, "cost_usd", ModelResult(model.name, cost_unknown=unknown))

    # Without a sample, latencies are those of all examples.
    n = min(model.latency_sample, len(gate.test)) or len(gate.test)
    few = _few_latencies(gate, n)
    if few is not None:
        yield few


def check(gate: Context) -> Iterator[Finding]:
    """Check the measured values of the candidate against ``thresholds``."""
    for name, limits in gate.config.thresholds.items():
        check = _check(gate, name, gate.facts_of("candidate"))
        if name == _P95 and limits.max is not None and check.status == "pass":
            seconds = gate.measured["candidate"].seconds
            within = [latency is not None and latency <= limits.max for latency in seconds]
            doubt = f"{sum(within):,} of {len(within):,} within the limit could be chance "
            doubt += "(order statistic"
            few = _few_latencies(gate, len(within))
            check = few or shown_by_share(gate, check, within, _SHARE, doubt)
        # What makes a model slow, or its endpoint fail, is no matter of its answers.
        if check.status == "fail" and check.cure is None:
            yield Unadvised(check, cure_of_a_threshold)
        else:
            yield check


def _few_latencies(gate: Context, n: int) -> Check | None:
    """Return the objection to fewer latencies than can show a p95, even if all are in its limit."""
    limits = gate.config.thresholds.get(_P95)
    confidence = gate.config.confidence
    needed = ceil(log(evidence.level(confidence)) / log(_SHARE))
    if limits is None or limits.max is None or n >= needed:
        return None

    message = f"a p95 at {show_percent(confidence)} confidence needs {needed:,} latencies, "
    message += f"all of them within the limit, and there are {n:,}"
    cure = (
        f"Set latency_sample: {needed} or more, with as many test examples; or limit latency_p50_s."
    )
    source = str(limits.source)
    return Check(
        f"thresholds.{_P95}",
        "inconclusive",
        message,
        observed=n,
        required=needed,
        source=source,
        cure=cure,
    )


def shown_by_share(
    gate: Context, check: Check, reached: Sequence[bool], share: float, doubt: str
) -> Check:
    """Return a check; it is inconclusive if ``reached`` does not show more than a share of all.

    ``doubt`` names the counts and the test. See
    :func:`~pytest_ftgate.statistics.exact.share_p_value`.
    """
    p_value = exact.share_p_value(sum(reached), len(reached), share)
    confidence = gate.config.confidence
    if check.status != "pass" or evidence.is_sure(p_value, evidence.level(confidence)):
        return check

    message = f"{check.message}; {doubt} at {show_percent(confidence)} confidence)"
    cure = "Measure more examples: set a larger latency_sample."
    return replace(check, status="inconclusive", message=message, cure=cure)


def _check(gate: Context, name: str, model: ModelResult) -> Check:
    """Check a measured value against its limits.

    A value that was not measured is an error, never zero.
    """
    limits = gate.config.thresholds[name]
    metric = gate.metrics.get(name)
    is_share = name == "error_rate" or (metric is not None and metric.share)
    value = getattr(model, name) if name in RUN_METRICS else model.metrics.get(name)
    ends = {key: _shown(name, end, is_share) for key, end in limits.ends.items()}

    measured = "unknown"
    reason = ""
    status: Status = "error"
    cure: str | None
    if value is None:
        unknown = _unknown(name, model)
        cure = unknown.cure
        reason = f": {unknown.why}" if unknown.why else ""
    else:
        measured = _shown(name, value, is_share)
        status = "pass"
        cure = None
        if not _is_within(value, limits):
            status = "fail"
            cure = _CURES.get(name)
            if measured in ends.values():  # they differ, but not when rounded
                measured = f"{value:.6g}"

    requirements = []
    if "min" in ends:
        requirements.append(f"at least {ends['min']} required")
    if "max" in ends:
        requirements.append(f"limit {ends['max']}")
    return Check(
        f"thresholds.{name}",
        status,
        f"candidate {name} {measured} ({', '.join(requirements)}){reason}",
        observed=value,
        required=next(iter(limits.ends.values())),
        source=str(limits.source),
        cure=cure,
        threshold=limits.threshold,
    )


def _is_within(value: float, limits: ThresholdKeys) -> bool:
    """Return whether a rounded value is within its limits: 56 of 60 meets 0.933333333333333."""
    rounded = round(value, 12)
    if limits.min is not None and rounded < round(limits.min, 12):
        return False
    return limits.max is None or rounded <= round(limits.max, 12)


def _unknown(name: str, model: ModelResult) -> Unknown:
    """Return why a value of a model is unknown, as far as that is known."""
    unknown = None
    if name in LATENCIES:
        unknown = model.latency_unknown
    elif name == "cost_usd":
        unknown = model.cost_unknown
    return unknown or _UNREPORTED


def _shown(name: str, value: float, is_share: bool) -> str:
    if name in LATENCIES:
        return show_seconds(value).replace(".0 s", " s")
    if name == "cost_usd":
        return show_usd(value)
    if is_share:
        return show_value(value, share=True)
    return f"{value:.6g}"


def check_sampled(gate: Context) -> Iterator[Check]:
    """Check that models whose latency has a threshold or is compared have a latency sample."""
    if gate.config.faster_by is not None:
        yield from _unsampled(gate, "faster_by", gate.source("faster_by"), gate.models)
        return

    for name in LATENCIES:
        limits = gate.config.thresholds.get(name)
        if limits is not None:
            yield from _unsampled(gate, f"thresholds.{name}", str(limits.source), ["candidate"])


def _unsampled(
    gate: Context, check_name: str, source: str, roles: Iterable[str]
) -> Iterator[Check]:
    """Warn of models without a sample: their latencies depend on what else ran."""
    models = []
    cure = None
    for role in roles:
        model = gate.models[role]
        if model.latency_sample:
            continue
        models.append(called(role, model.name))
        # Of a recording it is too late, and a callable has no sample.
        if model.endpoint:
            cure = "Set latency_sample: 60, which measures one call at a time."

    if models:
        message = f"the latencies of {' and '.join(models)} are those of all calls, "
        message += "whatever ran at the same time"
        yield Check(check_name, "warning", message, source=source, cure=cure)


def check_samples(gate: Context) -> Iterator[Check]:
    """Check that no answer of a latency sample is missing."""
    samples: dict[str, Measured] = {}
    for role, run in gate.runs_of("latency").items():
        samples[role] = measure_run(gate.asked(role).name, run)
    for check in complete_checks(samples, ()):
        if check.status != "pass":
            yield replace(check, message=f"latency sample: {check.message}")
