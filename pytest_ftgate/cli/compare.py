"""The command ``compare``: what changed between two JSON reports, gate by gate."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pytest_ftgate.config.gate_keys import comparison_of
from pytest_ftgate.errors import shown_path
from pytest_ftgate.reports.json import Report
from pytest_ftgate.result import PROBLEMS_FIRST, RED, GateResult, TestSetResult, called
from pytest_ftgate.text import (
    FARTHEST,
    is_share,
    plural,
    printable,
    show_amount,
    show_difference,
    show_percent,
    show_seconds,
    show_usd,
    show_value,
    wrapped,
)  # fmt: skip

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STEADY = 0.2
"""Relative difference up to which two latencies or costs count as equal."""
_WHAT_WIDTH = 24
_NAMES_SHOWN = 10
_NAME_WIDTH = 50


@dataclass(frozen=True, slots=True)
class Move:
    """One change; ``worse`` and ``weaker`` make the gate worse."""

    what: str
    text: str
    mark: Literal["worse", "weaker", "better", "stricter", ""] = ""


@dataclass(frozen=True, slots=True)
class GateMoves:
    """The changes of one gate; ``verdict`` is the later one, empty if there is none."""

    name: str
    moves: tuple[Move, ...]
    verdict: str = ""

    @property
    def worse(self) -> bool:
        return any(move.mark in ("worse", "weaker") for move in self.moves)


def compare_reports(before: Report, after: Report) -> list[GateMoves]:
    """Return the changes of every gate in either report, those of ``after`` first, and of unmet obligations.

    Gates are matched by name, and also by test if a name repeats in one of the reports.
    """
    counts = [Counter(gate.name for gate in report.gates) for report in (before, after)]
    repeated = {name for count in counts for name, n in count.items() if n > 1}
    old, new = (
        {f"{gate.name} ({gate.nodeid})" if gate.name in repeated else gate.name: gate for gate in report.gates}
        for report in (before, after)
    )
    then, now = ({one.name: one.reason for one in report.unjudged} for report in (before, after))
    found = []
    for name in dict.fromkeys((*new, *old, *now, *then)):
        moves = list(_moves(old.get(name), new.get(name), now.get(name)))
        if name in now and name not in then and (name in new or name not in old):
            moves.append(Move("required", f"no longer met: {now[name]}", "worse"))
        if name in then and name not in now:
            moves.append(Move("required", f"met again, or no longer required; before: {then[name]}", "better"))
        found.append(GateMoves(name, tuple(moves), new[name].verdict if name in new else ""))
    return found


def _moves(old: GateResult | None, new: GateResult | None, why: str | None) -> Iterator[Move]:
    if old is None or new is None:
        if old is not None:
            yield Move("gate", f"missing from the later report{f': {why}' if why else ''}", "worse")
        if new is not None:
            yield Move("gate", f"new, with the verdict {new.verdict}")
        return
    if old.verdict != new.verdict:
        worse = _VERDICTS.index(new.verdict) > _VERDICTS.index(old.verdict)
        yield Move("verdict", f"{old.verdict} -> {new.verdict}", "worse" if worse else "better")
    yield from _values(old, new)
    yield from _thresholds(old, new)
    yield from _data(old, new)
    was, now = _judged(old), _judged(new)
    for name in dict.fromkeys((*now, *was)):
        (before, _), (after, message) = (one.get(name, ("absent", "")) for one in (was, now))
        yield from _changed(name, before, after, f": {message}" if message else "")


def _changed(what: str, before: str, after: str, more: str = "") -> Iterator[Move]:
    """Yield a change unless both texts are the same."""
    if before != after:
        yield Move(what, f"{before} -> {after}{more}")


def _thresholds(before: GateResult, after: GateResult) -> Iterator[Move]:
    """Yield the thresholds that differ, by their directions (``Weaker``); another metric counts as weaker.

    An absent one counts as removed only if the gate was judged to its end: many are only reported by their checks.
    """
    old, new = _asked(before), _asked(after)
    # Where one replaces the other, the margin says which is stricter.
    replaced = ("max_drop", "evidence") if (before.max_drop is None) != (after.max_drop is None) else ()
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        lacking = after if now is None else before
        value = lacking.baseline.value if lacking.stage == "ready" else lacking.gain
        judged = value is not None and lacking.verdict != "error"
        if was == now or key in replaced or (None in (was, now) and not judged):
            continue
        comparison, last = comparison_of(key), key.rpartition(".")[2]
        try:
            weaker = now is None or (was is not None and (comparison is None or comparison.asks_less(was, now)))
        except ValueError:  # an unknown word
            weaker = True
        of = next((one for one in before.guards if key.startswith(f"guards.{one.name}.")), after)
        drops = last in ("margin", "max_drop") and is_share(of.metric_range)
        show = show_percent if last == "confidence" else partial(show_amount, share=drops)
        ends = ("none" if was is None else was, "removed" if now is None else now)
        first, then = (one if isinstance(one, str) else show(one) for one in ends)
        yield Move(key, f"{first} -> {then}", "weaker" if weaker else "stricter")
    for text in set(after.loosened) - set(before.loosened):
        yield Move("marker weaker than the file", f"no -> {text}", "weaker")


def _asked(gate: GateResult) -> dict[str, Any]:
    """Return all thresholds of a gate that its report contains, by key."""
    found: dict[str, Any] = {"stage": gate.stage or "accept"}
    found |= {key: getattr(gate, key) for key in ("metric", "margin", "max_drop", "evidence", "confidence")}
    for check in gate.checks:
        # A check of the data that finds nothing may be absent.
        if check.threshold is not None and (check.kind != "data" or check.status == "pass"):
            key, value = check.threshold.key, check.threshold.value
            found |= {f"{key}.{end}": one for end, one in value.items()} if isinstance(value, Mapping) else {key: value}
    for guard in gate.guards:
        found |= {f"guards.{guard.name}.{key}": getattr(guard, key) for key in ("max_drop", "metric")}
    found |= {f"slices by {part.field}": "judged" for part in gate.slices}
    return {
        key: one for key, one in found.items() if isinstance(one, str) or (one is not None and abs(one) <= FARTHEST)
    }


def _data(old: GateResult, new: GateResult) -> Iterator[Move]:
    if _another_test_set(old.test_set, new.test_set):
        counts = _counts("examples", old.test_set.examples, new.test_set.examples)
        yield Move("test set", f"changed{counts}: values cannot be compared")
    if _differ(*((one.sha256, one.rows) for one in (old.training, new.training))):
        yield Move("training set", f"changed{_counts('usable', old.training.usable, new.training.usable)}")
    guards = {guard.name: guard for guard in new.guards}
    for guard in old.guards:
        if guard.name in guards and _another_test_set(guard.test_set, guards[guard.name].test_set):
            yield Move(f"guard {guard.name}", "its test set changed: values cannot be compared")


def _another_test_set(old: TestSetResult | None, new: TestSetResult | None) -> bool:
    return old is not None and new is not None and _differ((old.sha256, old.examples), (new.sha256, new.examples))


def _differ(old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Return whether the files are known to differ, by hash or by rows read (``limit`` changes only the latter)."""
    return any(None not in (one, other) and one != other for one, other in zip(old, new, strict=True))


def _counts(name: str, before: int | None, after: int | None) -> str:
    return "" if before is None or after is None else f" ({before} -> {after} {name})"


def _values(old: GateResult, new: GateResult) -> Iterator[Move]:
    share = is_share(new.metric_range or old.metric_range)
    was, now = (show_difference(gate.gain, share=share) for gate in (old, new))
    yield from _changed("gain", was, now, _noise(old, new))
    before, after = old.models, new.models
    for role in dict.fromkeys((*after, *before)):
        what = called(role)
        if not (role in before and role in after):
            yield Move(what, "is new" if role in after else "was removed")
            continue
        first, last = before[role], after[role]
        was, now = (show_value(one.value, share=share) for one in (first, last))
        yield from _changed(what, was, now, f" {new.metric}" if new.metric else "")
        if first.model and last.model:
            yield from _changed(f"{what} model", first.model, last.model)
        for name, show in (("latency_p50_s", show_seconds), ("latency_p95_s", show_seconds), ("cost_usd", show_usd)):
            one, other = getattr(first, name), getattr(last, name)
            if one is None or other is None or abs(one - other) > _STEADY * max(one, other):
                yield from _changed(f"{what} {name}", show(one), show(other))


def _noise(old: GateResult, new: GateResult) -> str:
    """Return whether each gain is between the bounds of the other, as text; empty if that is unknown."""
    known = [(one.lower_bound, other.gain, one.upper_bound) for one, other in ((old, new), (new, old))]
    if any(None in one for one in known) or _another_test_set(old.test_set, new.test_set):
        return ""
    inside = all(low <= gain <= high for low, gain, high in known)  # type: ignore[operator]
    return ", may be chance" if inside else ", beyond chance"


def _judged(gate: GateResult) -> dict[str, tuple[str, str]]:
    """Return the verdict on each guard and slice, and of each check the worst status and message, from a warning on."""
    found: dict[str, tuple[str, str]] = {f"guard {one.name}": (one.verdict or "not judged", "") for one in gate.guards}
    found |= {f"slice {one.field} {one.value}": (one.verdict or "not judged", "") for one in gate.slices}
    worst_last = sorted(gate.checks, key=lambda check: -PROBLEMS_FIRST.index(check.status))
    told = (check for check in worst_last if check.status in (*RED, "warning"))
    return found | {f"check {check.name}": (check.status, check.message) for check in told}


def comparison_lines(paths: Sequence[Path], reports: Sequence[Report], found: Sequence[GateMoves]) -> Iterator[str]:
    """Yield the two reports, the changes of each gate, and the outcome, in lines that fit a CI log."""
    told = []
    for path, report in zip(paths, reports, strict=True):
        written = report.environment.get("written", "")[:16].replace("T", " ")
        facts = [written, "written with --ftgate-allow-missing" if report.allowed_missing else ""]
        told.append(f"{shown_path(path)} ({', '.join(filter(None, facts)) or 'undated'})")
    yield from wrapped(" -> ".join(told))
    old, new = ({**report.environment, "written": ""} for report in reports)
    moved = [f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}" for name in {**new, **old}
             if old.get(name) != new.get(name)]  # fmt: skip
    yield from wrapped(f"versions: {', '.join(moved)}") if moved else ()
    for gate in found:
        moves = [move for move in gate.moves if move.what != "verdict"]
        heading = ["WORSE"] if gate.worse else []
        heading += [move.text for move in gate.moves if move.what == "verdict"]
        if not gate.moves:
            heading = ["no change" if gate.verdict in ("", "pass") else f"no change, still {gate.verdict}"]
        yield from ("", *wrapped("  ".join([printable(gate.name, _NAME_WIDTH), *heading])))
        width = min(max((len(printable(move.what)) for move in moves), default=0), _WHAT_WIDTH)
        for move in moves:
            mark = move.mark.upper() if move.mark in ("worse", "weaker") else move.mark
            first = f"  {printable(move.what, _NAME_WIDTH):<{width}}  "
            yield from wrapped(f"{move.text}  {mark}".rstrip(), first, " " * (width + 4))
    worse = [printable(gate.name, _NAME_WIDTH) for gate in found if gate.worse]
    names = ", ".join(worse[:_NAMES_SHOWN]) + (", ..." if len(worse) > _NAMES_SHOWN else "")
    told_worse = f"{plural(len(worse), 'gate')} got worse: {names}"
    yield from ("", *wrapped(told_worse if worse else f"no gate got worse ({plural(len(found), 'gate')} compared)"))
