"""The command ``compare``: what changed between two JSON reports, gate by gate."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_ftgate import text
from pytest_ftgate.config.gate_keys import comparison_of
from pytest_ftgate.errors import shown_path
from pytest_ftgate.reports.json import Report
from pytest_ftgate.result import (
    PROBLEMS_FIRST,
    RED,
    GateResult,
    TestSetResult,
    TrainingResult,
    called,
)

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STEADY = 0.2
"""Relative difference up to which two latencies or costs count as equal."""
_WHAT_WIDTH, _NAME_WIDTH = 24, 50
_SHOWN = {
    "latency_p50_s": text.show_seconds,
    "latency_p95_s": text.show_seconds,
    "cost_usd": text.show_usd,
}


class Move(NamedTuple):
    """One change; ``worse`` and ``weaker`` make the gate worse."""

    what: str
    text: str
    mark: Literal["worse", "weaker", "better", "stricter", ""] = ""


def is_worse(moves: Sequence[Move]) -> bool:
    """Return whether these changes of a gate make it worse."""
    return any(move.mark in ("worse", "weaker") for move in moves)


def compare_reports(before: Report, after: Report) -> dict[str, list[Move]]:
    """Return the changes of every gate in either report, those of ``after`` first, and of unmet obligations.

    Gates are matched by name, and also by test if a name repeats in one of the reports.
    """
    counts = [Counter(gate.name for gate in report.gates) for report in (before, after)]
    repeated = {name for count in counts for name, n in count.items() if n > 1}
    old, new = (
        {
            f"{gate.name} ({gate.nodeid})" if gate.name in repeated else gate.name: gate
            for gate in report.gates
        }
        for report in (before, after)
    )
    then, now = ({one.name: one.reason for one in report.unjudged} for report in (before, after))
    found = {}
    for name in dict.fromkeys((*new, *old, *now, *then)):
        moves = list(_moves(old.get(name), new.get(name), now.get(name)))
        if name in now and name not in then and (name in new or name not in old):
            moves.append(Move("required", f"no longer met: {now[name]}", "worse"))
        if name in then and name not in now:
            moves.append(
                Move(
                    "required", f"met again, or no longer required; before: {then[name]}", "better"
                )
            )
        found[name] = moves
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
    yield from _changes(
        _values(old), _values(new), {"gain": f" {new.metric or ''}{_noise(old, new)}".rstrip()}
    )
    for role in (role for role in new.models if role in old.models):
        for name, show in _SHOWN.items():
            was, now = getattr(old.models[role], name), getattr(new.models[role], name)
            if was != now and (None in (was, now) or abs(was - now) > _STEADY * max(was, now)):
                yield Move(f"{called(role)} {name}", f"{show(was)} -> {show(now)}")
    yield from _thresholds(old, new)
    yield from _changes(_state(old), _state(new), {"test set": ": values cannot be compared"})


def _changes(
    old: Mapping[str, str], new: Mapping[str, str], remarks: Mapping[str, str]
) -> Iterator[Move]:
    """Yield what has another text; an empty text is unknown."""
    for what in dict.fromkeys((*new, *old)):
        before, after = (one.get(what, "absent") for one in (old, new))
        if before != after and before and after:
            yield Move(what, f"{before} -> {after}{remarks.get(what, '')}")


def _values(gate: GateResult) -> dict[str, str]:
    """Return the gain, and the value and the name of each model."""
    share, values = text.is_share(gate.metric_range), {}
    for role, model in gate.models.items():
        values[called(role)] = text.show_value(model.value, share=share)
        values[f"{called(role)} model"] = model.model or ""
    return {"gain": text.show_difference(gate.gain, share=share), **values}


def _noise(old: GateResult, new: GateResult) -> str:
    """Return whether each gain is between the bounds of the other, as text; empty if that is unknown."""
    known = [
        (one.lower_bound, other.gain, one.upper_bound) for one, other in ((old, new), (new, old))
    ]
    if any(None in one for one in known) or _rows(old.test_set) != _rows(new.test_set):
        return ""
    inside = all(low <= gain <= high for low, gain, high in known)  # type: ignore[operator]
    return ", may be chance" if inside else ", beyond chance"


def _state(gate: GateResult) -> dict[str, str]:
    """Return the data, the verdict on each guard and slice, and each check that does not hold with its message."""
    found = {"test set": _rows(gate.test_set), "training set": _rows(gate.training)}
    found |= {f"test set of guard {one.name}": _rows(one.test_set) for one in gate.guards}
    found |= {f"guard {one.name}": one.verdict or "not judged" for one in gate.guards}
    found |= {f"slice {one.field} {one.value}": one.verdict or "not judged" for one in gate.slices}
    worst_last = sorted(gate.checks, key=lambda check: -PROBLEMS_FIRST.index(check.status))
    told = (check for check in worst_last if check.status in (*RED, "warning"))
    return found | {f"check {check.name}": f"{check.status}: {check.message}" for check in told}


def _rows(data: TestSetResult | TrainingResult | None) -> str:
    """Return how many rows a data set has, and the beginning of its file's hash; empty if that is unknown."""
    if data is None:
        return ""
    count, noun = (
        (data.usable, "usable row")
        if isinstance(data, TrainingResult)
        else (data.examples, "example")
    )
    digest = f" (sha256 {data.sha256[:8]})" if data.sha256 else ""
    return f"{text.plural(count, noun)}{digest}" if count else ""


def _thresholds(before: GateResult, after: GateResult) -> Iterator[Move]:
    """Yield the thresholds that differ, by their directions (``Weaker``); another metric counts as weaker.

    An absent one counts as removed only if the gate was judged to its end: many are only reported
    by their checks.
    """
    old, new = _asked(before), _asked(after)
    # Where one replaces the other, the margin says which is stricter.
    replaced = (
        ("max_drop", "evidence") if (before.max_drop is None) != (after.max_drop is None) else ()
    )
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        lacking = after if now is None else before
        judged = lacking.scored and lacking.verdict != "error"
        if was == now or key in replaced or (None in (was, now) and not judged):
            continue
        comparison, last = comparison_of(key), key.rpartition(".")[2]
        try:
            weaker = now is None or (
                was is not None and (comparison is None or comparison.asks_less(was, now))
            )
        except ValueError:  # an unknown word
            weaker = True
        of = next((one for one in before.guards if key.startswith(f"guards.{one.name}.")), after)
        share = last in ("margin", "max_drop") and text.is_share(of.metric_range)
        show = text.show_percent if last == "confidence" else partial(text.show_amount, share=share)
        ends = ("none" if was is None else was, "removed" if now is None else now)
        first, then = (one if isinstance(one, str) else show(one) for one in ends)
        yield Move(key, f"{first} -> {then}", "weaker" if weaker else "stricter")
    for way in set(after.loosened) - set(before.loosened):
        yield Move("marker weaker than the file", f"no -> {way}", "weaker")


def _asked(gate: GateResult) -> dict[str, Any]:
    """Return all thresholds of a gate that its report contains, by key."""
    found: dict[str, Any] = {"stage": gate.stage or "accept"}
    found |= {
        key: getattr(gate, key)
        for key in ("metric", "margin", "max_drop", "evidence", "confidence")
    }
    for check in gate.checks:
        # A check of the data that finds nothing may be absent.
        if check.threshold is not None and (check.kind != "data" or check.status == "pass"):
            key, value = check.threshold.key, check.threshold.value
            found |= (
                {f"{key}.{end}": one for end, one in value.items()}
                if isinstance(value, Mapping)
                else {key: value}
            )
    for guard in gate.guards:
        found |= {
            f"guards.{guard.name}.{key}": getattr(guard, key) for key in ("max_drop", "metric")
        }
    found |= {f"slices by {part.field}": "judged" for part in gate.slices}
    return {
        key: one
        for key, one in found.items()
        if isinstance(one, str) or (one is not None and abs(one) <= text.FARTHEST)
    }


def comparison_lines(
    paths: Sequence[Path], reports: Sequence[Report], found: Mapping[str, Sequence[Move]]
) -> Iterator[str]:
    """Yield the two reports, the changes of each gate, and the outcome, in lines that fit a CI log."""
    written = [
        report.environment.get("written", "undated")[:16].replace("T", " ") for report in reports
    ]
    told = (f"{shown_path(path)} ({when})" for path, when in zip(paths, written, strict=True))
    yield from text.wrapped(" -> ".join(told))
    for name, moves in found.items():
        verdict = [move.text for move in moves if move.what == "verdict"]
        heading = [
            text.printable(name, _NAME_WIDTH),
            *(["WORSE"] if is_worse(moves) else []),
            *verdict,
        ]
        yield from ("", *text.wrapped("  ".join([*heading, *([] if moves else ["no change"])])))
        others = [move for move in moves if move.what != "verdict"]
        width = min(
            max((len(text.printable(move.what)) for move in others), default=0), _WHAT_WIDTH
        )
        for move in others:
            mark = move.mark.upper() if move.mark in ("worse", "weaker") else move.mark
            first = f"  {text.printable(move.what, _NAME_WIDTH):<{width}}  "
            yield from text.wrapped(f"{move.text}  {mark}".rstrip(), first, " " * (width + 4))
    worse = [text.printable(name, _NAME_WIDTH) for name, moves in found.items() if is_worse(moves)]
    told_worse = f"{text.plural(len(worse), 'gate')} got worse: {', '.join(worse)}"
    yield from (
        "",
        *text.wrapped(
            told_worse
            if worse
            else f"no gate got worse ({text.plural(len(found), 'gate')} compared)"
        ),
    )
