"""What moved since the last green verdict, paired by example, and whether chance could have moved it so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.freshness.last_green import (
    KeptModel,
    LastGreen,
    as_kept,
    asked_hash,
    metric_text,
    unpack_scores,
)
from pytest_ftgate.checks.freshness.models import asked_anew, check_name, kept_role
from pytest_ftgate.result import Check, Clock, Drift, called
from pytest_ftgate.text import day, is_share, plural, show_difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Scored

_SAME_QUESTION = "The same examples were asked in the same way: the endpoint serves another model under this name."


def facts(gate: Context) -> dict[str, Clock | None]:
    """Return the clock with what moved since the last green verdict."""
    clock = gate.result.clock
    return {"clock": clock and replace(clock, drift=tuple(_drifts(gate)[0]))}


def check(gate: Context) -> list[Check]:
    """Check whether the models moved since the last green verdict, where stored answers are asked for anew."""
    return _drifts(gate)[1]


@once
def _drifts(gate: Context) -> tuple[list[Drift], list[Check]]:
    config, test, last = gate.config, gate.test, gate.last_green
    if gate.surroundings.newer_than is None:  # nothing is asked for anew
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
            message = f"{called(role)} {spelling} is another model than at the last green verdict "
            message += f"({before.model}, {day(last.since)}): what changed is no drift"
            checks.append(Check(check_name("drift", role), "note", message))
            continue
        scored = measured.scores[config.metric.name]
        drift = measure_drift(role, before, scored, confidence=config.confidence, groups=gate.groups)
        if drift is None:
            continue
        alike = not run.model.persistent or before.asked == asked_hash(run)
        drifts.append(drift)
        checks.append(drift_check(drift, last.since, scored, asked_alike=alike, asked_anew=asked_anew(gate, role)))
    if not checks:
        checks.append(Check("drift", "note", "no answers of the last green verdict are known to compare today's with"))
    return drifts, checks


def incomparable(last: LastGreen | None, test_set: str | None, examples: int, metric: str) -> str | None:
    """Return why nothing can be compared, in words; None where it can."""
    if last is None:
        return "no earlier green verdict of this gate is known: there is nothing to compare today's answers with"
    since = f"at the last green verdict ({day(last.judged_at)})"
    if (last.test_set, last.examples) != (test_set, examples):
        return f"the test set is another one than {since}: whether the models moved cannot be told"
    if last.metric != metric:
        return f"the metric is another one than {since}: whether the models moved cannot be told"
    return None


def measure_drift(
    role: str,
    before: KeptModel,
    scored: Scored,
    *,
    confidence: float,
    groups: Sequence[str | None],
) -> Drift | None:
    """Hold today's answers against the kept ones of the same examples; None where none were kept.

    Two-sided at ``confidence``. A metric of the whole set is compared by how many answers are right.

    Args:
        role: of the model.
        before: as it was kept.
        scored: today's answers, by the same metric.
        confidence: of the gate.
        groups: a name per example for examples that belong together.
    """
    from pytest_ftgate.runs.measure import rightness

    today = as_kept(rightness(scored))
    then = unpack_scores(before.scores, len(today))
    if then is None or before.value is None:
        return None
    sign = 1 if scored.metric.greater_is_better else -1
    better, worse = int((sign * (today - then) > 0).sum()), int((sign * (today - then) < 0).sum())
    moved, note = _moved(then, today, scored, confidence=confidence, groups=groups)
    return Drift(role, before.value, scored.value, scored.value - before.value, worse, better, moved, note)


def _moved(
    then: NDArray[np.float64],
    today: NDArray[np.float64],
    scored: Scored,
    *,
    confidence: float,
    groups: Sequence[str | None],
) -> tuple[bool | None, str | None]:
    """Whether it is sure at ``confidence`` that the real value went up or down; None where that cannot be told."""
    import numpy as np

    from pytest_ftgate import statistics as inference

    if (then == today).all():
        return False, None
    metric = scored.metric
    low, high = (0.0, 1.0) if metric.kind == "set" else (metric.low, metric.high)
    asked = {"margin": 0.0, "confidence": 1 - (1 - confidence) / 2, "evidence": "observed", "groups": groups}
    binary = low == 0 and high == 1 and np.isin(np.concatenate([then, today]), (0.0, 1.0)).all()
    found = []
    for before, after in ((then, today), (today, then)):
        if binary:
            found.append(inference.compare_right_wrong(before > 0.5, after > 0.5, **asked))  # type: ignore[arg-type]
        else:
            clipped = (np.clip(before, low, high), np.clip(after, low, high))
            found.append(inference.compare_graded(*clipped, low=low, high=high, **asked))  # type: ignore[arg-type]
    if all(one.p_zero is None for one in found):
        return None, found[0].note
    return any(one.above_zero for one in found), None


def drift_check(drift: Drift, since: float, metric: Scored, *, asked_alike: bool, asked_anew: bool) -> Check:
    """Say how far a model moved: beyond noise is a warning, all else a note; a verdict rests on today's answers alone.

    Args:
        drift: what was measured.
        since: when the answers were made that it is measured from, seconds since the epoch.
        metric: today's scores, for the unit.
        asked_alike: the same endpoint was asked the same messages with the same parameters.
        asked_anew: some answers were asked for in this run.
    """
    move = show_difference(drift.change, share=is_share((metric.metric.low, metric.metric.high)))
    message = f"{called(drift.role)} moved by {move} since {day(since)} "
    message += f"({plural(drift.worse, 'example')} worse, {drift.better:,} better), "
    if not drift.worse and not drift.better:
        message = f"{called(drift.role)} does as well on every example as on {day(since)}"
    elif drift.beyond_noise is None:
        message += f"how far that is chance cannot be told: {drift.note or 'no bound exists'}"
    else:
        message += "more than chance allows" if drift.beyond_noise else "no more than chance allows"
    message += "" if asked_alike else "; it is asked in another way (prompt, examples or parameters) than then"
    if drift.beyond_noise:
        advice = _SAME_QUESTION if asked_alike else "Look whether the change was meant."
        return Check(check_name("drift", drift.role), "warning", message, observed=drift.change, advice=advice)
    message += "" if asked_anew else "; no answer was asked for anew"
    return Check(check_name("drift", drift.role), "note", message, observed=drift.change)
