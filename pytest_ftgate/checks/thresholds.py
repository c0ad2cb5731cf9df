"""The rules for ``thresholds``, and for the latencies that they limit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil, inf, log

from pytest_ftgate.checks.answers import answers_of
from pytest_ftgate.checks.context import Context
from pytest_ftgate.models.price import UNPRICED, price_of
from pytest_ftgate.plain import Unknown
from pytest_ftgate.result import Check, ModelResult, Status, called
from pytest_ftgate.statistics import evidence, exact
from pytest_ftgate.text import show_percent, show_seconds, show_usd, show_value

RUN_METRICS = {
    **dict.fromkeys(("latency_p50_s", "latency_p95_s", "cost_usd"), (0.0, inf)),
    "error_rate": (0.0, 1.0),
}
"""The range of each metric of a run, as opposed to metrics of quality."""
LATENCIES = ("latency_p50_s", "latency_p95_s")
_UNREPORTED = "The model does not report what is needed to measure it."
_P95, _SHARE = "latency_p95_s", 0.95
_NAMES = {
    "latency_p50_s": "p50 latency",
    _P95: "p95 latency",
    "cost_usd": "cost",
    "error_rate": "error rate",
}
_LOOK = "Look at the examples that the candidate still gets wrong, and add or correct similar training rows."
_CURES: Mapping[str, str] = {
    **dict.fromkeys(RUN_METRICS, "Use a smaller model, or shorten what it reads and writes."),
    "error_rate": "Find out why the candidate's endpoint fails, then run again.",
    "format": "Train on rows whose outputs follow every rule, or constrain the answers.",
}
"""What to do about a threshold that is missed; of other metrics :data:`_LOOK`."""


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that a cost with a threshold can be known, and that a p95 can be shown."""
    limits, model = gate.config.thresholds.get("cost_usd"), gate.models["candidate"]
    if limits is not None and not (price := price_of(model)).known:
        yield _check(
            gate,
            "cost_usd",
            ModelResult(model.name, cost_unknown=Unknown(price.unknown or "", UNPRICED)),
        )
    few = _few_latencies(gate, min(model.latency_sample, len(gate.test)) or len(gate.test))
    if few is not None:
        yield few


def check(gate: Context) -> Iterator[Check]:
    """Check the measured values of the candidate against ``thresholds``."""
    for name, limits in gate.config.thresholds.items():
        found = _check(gate, name, gate.facts_of("candidate"))
        if name == _P95 and limits.max is not None and found.status == "pass":
            within = [
                one is not None and one <= limits.max for one in gate.measured["candidate"].seconds
            ]
            doubt = f"{sum(within):,} of {len(within):,} within the limit could be chance (order statistic"
            found = _few_latencies(gate, len(within)) or shown_by_share(
                gate, found, within, _SHARE, doubt
            )
        yield found


def _few_latencies(gate: Context, n: int) -> Check | None:
    """Return the objection to fewer latencies than can show that p95 is within its limit, even if all are."""
    limits, needed = (
        gate.config.thresholds.get(_P95),
        ceil(log(evidence.level(gate.config.confidence)) / log(_SHARE)),
    )
    if limits is None or limits.max is None or n >= needed:
        return None
    message = f"{'1 latency shows' if n == 1 else f'{n:,} latencies show'} no p95 at "
    message += f"{show_percent(gate.config.confidence)} confidence: {needed:,} are needed, all of them within the limit"
    advice = (
        f"Set latency_sample: {needed} or more, with as many test examples; or limit latency_p50_s."
    )
    source = str(limits.source)
    return Check(f"thresholds.{_P95}", "inconclusive", message, n, needed, source, advice)


def shown_by_share(
    gate: Context, check: Check, reached: Sequence[bool], share: float, doubt: str
) -> Check:
    """Return a check that holds, or is inconclusive if ``reached`` does not show that more than a share of all do.

    ``doubt`` names the counts and the test. See
    :func:`~pytest_ftgate.statistics.exact.share_p_value`.
    """
    p, alpha = (
        exact.share_p_value(sum(reached), len(reached), share),
        evidence.level(gate.config.confidence),
    )
    if check.status != "pass" or evidence.is_sure(p, alpha):
        return check
    message = f"{check.message}; {doubt} at {show_percent(gate.config.confidence)} confidence)"
    advice = "Measure more examples: set a larger latency_sample."
    return replace(check, status="inconclusive", message=message, advice=advice)


def _check(gate: Context, name: str, model: ModelResult) -> Check:
    """Check a measured value against its limits.

    A value that was not measured is an error, never zero.
    """
    limits, metric = gate.config.thresholds[name], gate.metrics.get(name)
    share = name == "error_rate" or (metric is not None and metric.share)
    value = getattr(model, name) if name in RUN_METRICS else model.metrics.get(name)
    least, most = (
        None if end is None else _shown(name, end, share) for end in (limits.min, limits.max)
    )
    asked = [f"at least {least} required"] if least is not None else []
    asked += [f"limit {most}"] if most is not None else []
    status: Status = "error"
    advice: str | None = _CURES.get(name, _LOOK)
    shown = "unknown"
    why = ""
    if value is None:
        unknown = (
            model.latency_unknown
            if name in LATENCIES
            else model.cost_unknown
            if name == "cost_usd"
            else None
        )
        advice, why = (
            _UNREPORTED if unknown is None else unknown.cure,
            f": {unknown.why}" if unknown else "",
        )
    else:
        # so that 56 of 60 meets 0.933333333333333
        shown, rounded = _shown(name, value, share), round(value, 12)
        above = limits.min is None or rounded >= round(limits.min, 12)
        status = (
            "pass" if above and (limits.max is None or rounded <= round(limits.max, 12)) else "fail"
        )
        advice = None if status == "pass" else advice
        if status == "fail" and shown in (least, most):  # not to be told apart when rounded
            shown = f"{value:.6g}"
    message = f"candidate {_NAMES.get(name, name)} {shown} ({', '.join(asked)}){why}"
    required, source = limits.max if limits.min is None else limits.min, str(limits.source)
    return Check(
        f"thresholds.{name}", status, message, value, required, source, advice, limits.threshold
    )


def _shown(name: str, value: float, share: bool) -> str:
    if name in LATENCIES:
        return show_seconds(value).replace(".0 s", " s")
    return (
        show_usd(value)
        if name == "cost_usd"
        else show_value(value, share=True)
        if share
        else f"{value:.6g}"
    )


def check_sampled(gate: Context) -> list[Check]:
    """Check that models whose latency has a threshold or is compared have a latency sample.

    Without one, latencies depend on whatever else ran at the same time.
    """
    checks, limits = (
        {},
        {name: one for name, one in gate.config.thresholds.items() if name in LATENCIES},
    )
    asked = [
        (f"thresholds.{name}", "candidate", name, str(one.source)) for name, one in limits.items()
    ]
    compared = gate.models if gate.config.faster_by is not None else ()
    asked += [("faster_by", role, "latency_p50_s", gate.source("faster_by")) for role in compared]
    for check, role, metric, source in asked:
        model = gate.models[role]
        if not model.latency_sample:
            advice = (
                "Set latency_sample: 50 on the model, which takes a separate sample."
                if model.endpoint
                else None
            )
            found = f"is measured with up to {model.concurrency:,} concurrent calls, while the other model runs"
            if model.verified is not None:
                found, advice = "comes from the recording, made under unknown load", None
            message = f"{metric} of {called(role, model.name)} {found}"
            checks[role] = Check(check, "warning", message, source=source, advice=advice)
    return list(checks.values())


def check_samples(gate: Context) -> Iterator[Check]:
    """Yield the latencies of each sample; a sample with missing answers is an error."""
    for role, run in gate.runs_of("latency").items():
        facts, n = gate.measured[role].facts, len(run.predictions[0])
        if missing := sum(one.completion is None for one in run.predictions[0]):
            cause, advice = (
                (run.failure.cause, run.failure.advice)
                if run.failure
                else ("no cause is known", None)
            )
            found = f"{cause}; {missing:,} of {n:,} answers of the latency sample missing"
        else:
            times = (
                f"p50 {show_seconds(facts.latency_p50_s)}, p95 {show_seconds(facts.latency_p95_s)}"
            )
            found, advice = f"{times} (n={n:,}, sequential)", None
        status: Status = "error" if missing else "note"
        yield Check(answers_of(role), status, f"{called(role, facts.name)}: {found}", advice=advice)
