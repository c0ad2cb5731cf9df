"""Measure drift: how far each model's score has moved since the last green verdict, paired by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.freshness.last_green import (
    KeptModel,
    LastGreen,
    as_kept,
    asked_anew,
    asked_hash,
    check_name,
    kept_role,
    metric_text,
    unpack_scores,
)
from pytest_ftgate.result import Check, Clock, Drift, called
from pytest_ftgate.runs.measure import rightness
from pytest_ftgate.text import day, plural, show_difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric, Scored

_UNMEASURED = "drift cannot be measured"
_SAME_REQUESTS = "The requests are the same, so the endpoint serves another model under this name."


def facts(gate: Context) -> dict[str, Clock | None]:
    """Return the clock with the drift since the last green verdict."""
    clock = gate.result.clock
    return {"clock": clock and replace(clock, drift=tuple(_drifts(gate)[0]))}


def check(gate: Context) -> list[Check]:
    """Check for drift since the last green verdict, if stored answers are refreshed."""
    return _drifts(gate)[1]


@once
def _drifts(gate: Context) -> tuple[list[Drift], list[Check]]:
    config, test, last = gate.config, gate.test, gate.last_green
    if gate.surroundings.newer_than is None:  # stored answers are reused
        return [], []
    why = incomparable(last, test.sha256, len(test), metric_text(config))
    if why is not None or last is None:
        return [], [Check("drift", "note", why or "")]
    drifts, checks = [], []
    for role, measured in gate.scored.items():
        before, run = last.models.get(kept_role(config, role)), measured.run
        if before is None:
            continue
        spelling = gate.asked(role).spelling
        if before.model != spelling:
            message = f"{called(role)} is {spelling}, but was {before.model} at the last green verdict "
            message += f"({day(last.since)}): {_UNMEASURED}"
            checks.append(Check(check_name("drift", role), "note", message))
            continue
        scored = measured.scores[config.decided_by.name]
        drift = measure_drift(role, before, scored, confidence=config.confidence, groups=gate.groups)
        if drift is None:
            continue
        alike = not run.model.persistent or before.asked == asked_hash(run)
        drifts.append(drift)
        checks.append(drift_check(drift, last.since, scored, asked_alike=alike, asked_anew=asked_anew(gate, role)))
    if not checks:
        checks.append(Check("drift", "note", f"no answers of the last green verdict are stored: {_UNMEASURED}"))
    return drifts, checks


def incomparable(last: LastGreen | None, test_set: str | None, examples: int, metric: str) -> str | None:
    """Return why drift cannot be measured; None if it can."""
    if last is None:
        return f"this gate has no earlier green verdict: {_UNMEASURED}"
    since = f"since the last green verdict ({day(last.judged_at)})"
    if last.test_set == test_set and last.examples != examples:
        return f"{examples:,} examples were compared in place of {last.examples:,} {since}: {_UNMEASURED}"
    if last.test_set != test_set:
        return f"the test set has changed {since}: {_UNMEASURED}"
    if last.metric != metric:
        return f"the metric has changed {since}: {_UNMEASURED}"
    return None


def measure_drift(
    role: str, before: KeptModel, scored: Scored, *, confidence: float, groups: Sequence[str | None]
) -> Drift | None:
    """Compare today's scores with those of the last green verdict; return None if none are stored.

    The test is two-sided at ``confidence``. A metric of the whole set is compared by its right answers.
    """
    today = as_kept(rightness(scored))
    then = unpack_scores(before.scores, len(today))
    if then is None or before.value is None:
        return None
    sign = scored.metric.sign
    better, worse = int((sign * (today - then) > 0).sum()), int((sign * (today - then) < 0).sum())
    asked = {"margin": 0.0, "confidence": 1 - (1 - confidence) / 2, "evidence": "observed", "groups": groups}
    moved, note = _moved(then, today, scored.metric, asked)
    return Drift(role, before.value, scored.value, scored.value - before.value, worse, better, moved, note)


def _moved(
    then: NDArray[np.float64], today: NDArray[np.float64], metric: Metric, asked: dict[str, Any]
) -> tuple[bool | None, str | None]:
    """Return whether the real value has moved, at the confidence; or None and the reason if that is unknown."""
    import numpy as np

    from pytest_ftgate.statistics import compare_graded, compare_right_wrong

    if (then == today).all():
        return False, None
    low, high = (0.0, 1.0) if metric.kind == "set" else (metric.low, metric.high)
    if low == 0 and high == 1 and np.isin([then, today], (0.0, 1.0)).all():
        found = [compare_right_wrong(*pair, **asked) for pair in ((then, today), (today, then))]
    else:
        then, today = np.clip(then, low, high), np.clip(today, low, high)
        found = [compare_graded(*pair, low=low, high=high, **asked) for pair in ((then, today), (today, then))]
    if all(one.p_zero is None for one in found):
        return None, found[0].note
    return any(one.above_zero for one in found), None


def drift_check(drift: Drift, since: float, metric: Scored, *, asked_alike: bool, asked_anew: bool) -> Check:
    """Return the check of one model's drift: a warning beyond chance, else a note. It never decides a verdict.

    ``since`` is when the earlier answers were made, in seconds since the epoch. ``asked_alike``: endpoint, messages and
    parameters are the same as then. ``asked_anew``: at least one answer was requested in this run.
    """
    move = show_difference(drift.change, share=metric.metric.share)
    message = f"{called(drift.role)} changed by {move} since {day(since)} "
    message += f"({plural(drift.worse, 'example')} worse, {drift.better:,} better), "
    if not drift.worse and not drift.better:
        message = f"{called(drift.role)} scores the same on every example as on {day(since)}"
    elif drift.beyond_noise is None:
        message += f"which may be chance: {drift.note or 'no bound exists'}"
    else:
        message += "beyond chance" if drift.beyond_noise else "within chance"
    message += "" if asked_alike else "; its prompt, examples or parameters have changed"
    if drift.beyond_noise:
        advice = _SAME_REQUESTS if asked_alike else "Check that the change of the requests is intended."
        return Check(check_name("drift", drift.role), "warning", message, observed=drift.change, advice=advice)
    message += "" if asked_anew else "; all answers are stored ones"
    return Check(check_name("drift", drift.role), "note", message, observed=drift.change)
