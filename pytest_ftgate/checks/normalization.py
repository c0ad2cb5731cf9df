"""The rule that the form of answers must not decide a gate: "Refund." for "refund", a label in JSON, reasoning first.

Such a gate compares how two models write, not what they know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.checks import baseline_form, constant_baseline, thresholds
from pytest_ftgate.checks.drop import gain_status
from pytest_ftgate.checks.identical_outputs import mistakes_in
from pytest_ftgate.checks.readings import (
    FENCE,
    REASONING,
    Reading,
    Reread,
    can_be_reread,
    example_of,
    form_is_the_skill,
    option_readings,
    reread,
    strip_line,
    touches,
    written_metric,
    yaml_quoted,
)
from pytest_ftgate.result import Check, Status, called, verdict_of
from pytest_ftgate.text import plural, show_difference

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

IMPROVED_LEAST, IMPROVED_SHARE = 5, 0.5
"""So many, and such a share, of the candidate's wrong answers show a habit and no accident."""

_STOP_TOKEN = re.compile(r"<\|?/?[\w ]+\|?>")


def check(gate: Context) -> list[Check]:
    """Check that no form of the answers decides which another reading would ignore.

    Of a gate that is red for its answers this is the cause, and has its status; else it is a warning. Of one that form
    made green, see :mod:`~pytest_ftgate.checks.baseline_form`.
    """
    if not can_be_reread(gate):
        return []
    found = _finding(gate) if not (of_baseline := baseline_form.check(gate)) else None
    return of_baseline if found is None else [found]


def _finding(gate: Context) -> Check | None:
    """Return the check of a gate that a form of the answers decides; None where none does.

    Every reading that is proposed was tried: the answers were scored with it, no model scores worse, and what becomes
    of the gate changes, or at least half of the candidate's mistakes are gone.
    """
    rereads = [
        one for reading in _readings(gate) if (one := reread(gate, reading)) is not None and _is_better(gate, one)
    ]
    best = max(rereads, key=lambda one: round(one.worth, 9), default=None)  # of equal ones the first, which is simpler
    if best is None:
        return None
    name = gate.deciding.name
    statuses = _statuses(gate, name)
    candidate = gate.scored["candidate"].scores[name]
    most_mistakes = max(IMPROVED_LEAST, IMPROVED_SHARE * mistakes_in(candidate))
    if statuses == _statuses(best.gate, name) and len(best.improved["candidate"]) < most_mistakes:
        return None
    verdict = verdict_of(tuple(Check(name, status, "") for name, status in statuses))
    return _check(gate, best, "warning" if verdict == "pass" else verdict)


def _readings(gate: Context) -> Iterator[Reading]:
    """Yield the readings of which one is proposed, the simplest first."""
    options = list(option_readings(gate))
    reasons = touches(gate, REASONING)
    if reasons:
        yield REASONING
    yield from options
    if reasons:
        yield from (REASONING.also(one) for one in options)
    if not form_is_the_skill(gate):
        yield FENCE


def _is_better(gate: Context, other: Reread) -> bool:
    """Return whether a model scores better than by the gate's own reading, and none worse."""
    values = {
        role: (one.facts.value or 0.0, other.gate.scored[role].facts.value or 0.0) for role, one in gate.scored.items()
    }
    gains = [gate.deciding.sign * (after - before) for before, after in values.values()]
    return min(gains) >= 0 and round(max(gains), 12) > 0


def _statuses(gate: Context, metric: str) -> list[tuple[str, Status]]:
    """Return the statuses of all that rests on the deciding metric: gains, constant answers, thresholds of it."""
    found: list[tuple[str, Status]] = [(role, gain_status(gate, one)) for role, one in gate.comparisons.items()]
    of_metric = (one for one in thresholds.check(gate) if one.name == f"thresholds.{metric}")
    rest = [*constant_baseline.check(gate), *of_metric]
    return found + [(one.name, one.status) for one in map(gate.at_level, rest)]


# --- in words ------------------------------------------------------------------------------------------------


def _check(gate: Context, best: Reread, status: Status) -> Check:
    rows = {role: one for role, one in best.improved.items() if one}
    roles = sorted(rows, key=lambda role: (-len(rows[role]), role != "candidate"))
    counted = " and ".join(
        f"{plural(len(rows[role]), 'answer')} of {called(role, gate.scored[role].facts.name)}" for role in roles
    )
    message = (
        f"the form of answers decides: ignoring {best.reading.ignores}, {_outcome(gate, best)}; "
        f"{counted} are then right, such as {example_of(gate, roles[0], min(rows[roles[0]]))}"
    )
    gain = best.gate.comparisons[gate.best].gain
    advice = " ".join(_advice(gate, best, roles))
    return Check("formatting_gain", status, message, observed=gain, advice=advice, action="measure_again")


def _advice(gate: Context, best: Reread, roles: list[str]) -> Iterator[str]:
    if REASONING.changes[0] in best.reading.changes:
        yield strip_line(gate, roles)
        if not best.reading.options:
            return
    names = " and ".join("the " + role if role in ("baseline", "candidate") else called(role) for role in roles)
    stop = best.reading.after if _STOP_TOKEN.fullmatch(best.reading.after) else ""
    how = f"make {names} answer with the expected text alone"
    how += ", prompted as in the training rows" if "candidate" in roles else ""
    how = f"end the answers of {names} there with params: {{stop: [{yaml_quoted(stop)}]}}" if stop else how
    if best.reading.options:
        yield f"If your application ignores this, use metric: {written_metric(best.spec)}. If it does not, {how}."
    else:
        yield f"{how[0].upper()}{how[1:]}."


def _outcome(gate: Context, best: Reread) -> str:
    strict, other = gate.comparisons[gate.best], best.gate.comparisons[gate.best]
    before, after = gain_status(gate, strict), gain_status(best.gate, other)
    less, more = (show_difference(one.gain, share=gate.share) for one in (strict, other))
    verdict = f"{after} instead of {before}" if before != after else f"still {before}"
    return f"the gain is {more} instead of {less} ({verdict})"
