"""The command ``compare``: what changed between two JSON reports, gate by gate."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_ftgate import text
from pytest_ftgate.config.gate_keys import comparison_of
from pytest_ftgate.errors import shown_path
from pytest_ftgate.reports.json import Report
from pytest_ftgate.result import (
    RED,
    Check,
    GateResult,
    TestSetResult,
    TrainingResult,
    called,
)

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STEADY = 0.2
"""Relative difference up to which two latencies or costs count as equal."""
_STEADY_S = 0.01
"""Difference up to which two latencies count as equal, in seconds."""
_UNITS = ("%", "points", "ms", "s")
_WHAT_WIDTH = 24
_NAME_WIDTH = 50
_WIDTH = 80
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


def compare_reports(old_report: Report, new_report: Report) -> dict[str, list[Move]]:
    """Return the changes of every gate in either report, and of required gates.

    The gates of the later report come first. Gates are matched by name, and also by test if a name
    repeats in one of the reports.
    """
    repeated: set[str] = set()
    for report in (old_report, new_report):
        counts = Counter(gate.name for gate in report.gates)
        repeated.update(name for name, count in counts.items() if count > 1)

    old_gates = _gates_by_name(old_report, repeated)
    new_gates = _gates_by_name(new_report, repeated)
    old_unmet = _reasons(old_report)
    new_unmet = _reasons(new_report)
    changes = {}
    for name in dict.fromkeys((*new_gates, *old_gates, *new_unmet, *old_unmet)):
        new_reasons = new_unmet.get(name, [])
        moves = list(_moves(old_gates.get(name), new_gates.get(name), "; ".join(new_reasons)))
        is_lost = name in old_gates and name not in new_gates
        if not is_lost:
            moves += _requirement(old_unmet.get(name, []), new_reasons)
        changes[name] = moves
    return changes


def _reasons(report: Report) -> dict[str, list[str]]:
    """Return why required gates did not pass, and all forbidden changes, by their names."""
    reasons: dict[str, list[str]] = {}
    for gate in report.unjudged:
        reasons.setdefault(gate.name, []).append(gate.reason)
    return reasons


def _requirement(old: Sequence[str], new: Sequence[str]) -> Iterator[Move]:
    """Yield the reasons that only one report has, if it has more of them.

    The words of a single reason may change.
    """
    if len(new) > len(old):
        for reason in new:
            if reason not in old:
                yield Move("required", f"no longer met: {reason}", "worse")
    if len(new) < len(old):
        for reason in old:
            if reason not in new:
                before = f"met again, or no longer required; before: {reason}"
                yield Move("required", before, "better")


def _gates_by_name(report: Report, repeated: set[str]) -> dict[str, GateResult]:
    gates = {}
    for gate in report.gates:
        name = gate.name
        if name in repeated:
            name = f"{gate.name} ({gate.nodeid})"
        gates[name] = gate
    return gates


def _moves(old: GateResult | None, new: GateResult | None, reason: str) -> Iterator[Move]:
    """Yield the changes of one gate; ``reason`` says why a required one did not pass."""
    if new is None:
        if old is not None:
            message = "missing from the later report"
            yield Move("gate", f"{message}: {reason}" if reason else message, "worse")
        return
    if old is None:
        yield Move("gate", f"new, with the verdict {new.verdict}")
        return

    if old.verdict != new.verdict:
        change = f"{old.verdict} -> {new.verdict}"
        if _VERDICTS.index(new.verdict) > _VERDICTS.index(old.verdict):
            yield Move("verdict", change, "worse")
        else:
            yield Move("verdict", change, "better")
    gain_remark = f" {new.metric or ''}{_noise(old, new)}".rstrip()
    yield from _changes(_values(old), _values(new), {"gain": gain_remark})
    yield from _measures(old, new)
    yield from _thresholds(old, new)
    yield from _changes(_state(old), _state(new), {"test set": ": values cannot be compared"})
    yield from _checks(old, new)


def _changes(
    old: Mapping[str, str], new: Mapping[str, str], remarks: Mapping[str, str]
) -> Iterator[Move]:
    """Yield what has another text; an empty text is unknown."""
    for name in dict.fromkeys((*new, *old)):
        old_text = old.get(name, "absent")
        new_text = new.get(name, "absent")
        if old_text != new_text and old_text and new_text:
            yield Move(name, f"{_arrow(old_text, new_text)}{remarks.get(name, '')}")


def _arrow(old_text: str, new_text: str) -> str:
    """Return ``23.6 -> 20.4 points``: a unit of both is written once."""
    unit = new_text.rpartition(" ")[2]
    if unit in _UNITS:
        old_text = old_text.removesuffix(f" {unit}")
    return f"{old_text} -> {new_text}"


def _values(gate: GateResult) -> dict[str, str]:
    """Return the gain, and the value and the name of each model."""
    share = text.is_share(gate.metric_range)
    values = {"gain": text.show_difference(gate.gain, share=share)}
    for role, model in gate.models.items():
        values[called(role)] = text.show_value(model.value, share=share)
        values[f"{called(role)} model"] = model.model or ""
    return values


def _noise(old: GateResult, new: GateResult) -> str:
    """Return as text whether each gain is between the bounds of the other; empty if unknown."""
    if _rows(old.test_set) != _rows(new.test_set):
        return ""
    is_inside = True
    for gate, counterpart in ((old, new), (new, old)):
        if gate.lower_bound is None or gate.upper_bound is None or counterpart.gain is None:
            return ""
        is_inside = is_inside and gate.lower_bound <= counterpart.gain <= gate.upper_bound

    # Each gain could be measured in place of the other.
    if is_inside:
        return ", may be chance"
    return ", beyond chance"


def _measures(old: GateResult, new: GateResult) -> Iterator[Move]:
    """Yield the latencies and costs that changed by more than what one run has of noise."""
    for role in new.models:
        if role not in old.models:
            continue
        for name, show in _SHOWN.items():
            was = getattr(old.models[role], name)
            is_now = getattr(new.models[role], name)

            # One run differs from the next by as much.
            if was is not None and is_now is not None:
                least = _STEADY_S if name.startswith("latency") else 0
                if abs(was - is_now) <= max(_STEADY * max(was, is_now), least):
                    continue
            if was != is_now:
                yield Move(f"{called(role)} {name}", _arrow(show(was), show(is_now)))


def _state(gate: GateResult) -> dict[str, str]:
    """Return the data, and the verdict on each guard and slice."""
    state = {"test set": _rows(gate.test_set), "training set": _rows(gate.training)}
    for guard in gate.guards:
        state[f"test set of guard {guard.name}"] = _rows(guard.test_set)
        state[f"guard {guard.name}"] = guard.verdict or "not judged"
    for group in gate.slices:
        state[f"slice {group.field} {group.value}"] = group.verdict or "not judged"
    return state


def _checks(old: GateResult, new: GateResult) -> Iterator[Move]:
    """Yield the checks that do not hold any more, and those that hold again, the worst first."""
    old_problems = _problems(old)
    new_problems = _problems(new)

    for name in dict.fromkeys((*new_problems, *old_problems)):
        old_check = old_problems.get(name)
        new_check = new_problems.get(name)
        if new_check is None and old_check is not None:
            yield Move(name, f"gone: {old_check.status}")
        elif new_check is not None and (old_check is None or old_check.status != new_check.status):
            change = f"new {new_check.status}"
            if new_check.kind != "gain":  # the gain has a line of its own
                change += f": {new_check.message}"
            yield Move(name, change)


def _problems(gate: GateResult) -> dict[str, Check]:
    problems = {}
    for status in (*RED, "warning"):
        for check in gate.checks:
            if check.status == status:
                problems[check.name] = check
    return problems


def _rows(data: TestSetResult | TrainingResult | None) -> str:
    """Return how many rows a data set has, and the beginning of its hash; empty if unknown."""
    if data is None:
        return ""
    if isinstance(data, TrainingResult):
        count = data.usable
        noun = "usable row"
    else:
        count = data.examples
        noun = "example"

    if not count:
        return ""
    counted = text.plural(count, noun)
    return f"{counted} (sha256 {data.sha256[:8]})" if data.sha256 else counted


def _thresholds(old_gate: GateResult, new_gate: GateResult) -> Iterator[Move]:
    """Yield the thresholds that differ, by their directions (``Weaker``).

    Another metric counts as weaker. An absent one counts as removed only if the gate was judged to
    its end: many are only reported by their checks.
    """
    old_values = _requirements(old_gate)
    new_values = _requirements(new_gate)
    # Where one replaces the other, the margin says which is stricter.
    is_replaced = (old_gate.max_drop is None) != (new_gate.max_drop is None)
    for key in dict.fromkeys((*old_values, *new_values)):
        old = old_values.get(key)
        new = new_values.get(key)
        if old == new or (is_replaced and key in ("max_drop", "evidence")):
            continue
        if (old is None and not _is_judged(old_gate)) or (new is None and not _is_judged(new_gate)):
            continue

        old_text = _shown(old_gate, key, old, "none")
        new_text = _shown(new_gate, key, new, "removed")
        change = _arrow(old_text, new_text)
        if _asks_less(key, old, new):
            yield Move(key, change, "weaker")
        else:
            yield Move(key, change, "stricter")

    for change in new_gate.loosened:
        if change not in old_gate.loosened:
            yield Move("marker weaker than the file", f"no -> {change}", "weaker")


def _is_judged(gate: GateResult) -> bool:
    return gate.scored and gate.verdict != "error"


def _asks_less(key: str, old: Any, new: Any) -> bool:
    """Return whether a threshold is weaker than before; also if that cannot be told."""
    if new is None or old is None:
        return new is None
    comparison = comparison_of(key)
    try:
        return comparison is None or comparison.asks_less(old, new)
    except ValueError:  # an unknown word
        return True


def _shown(gate: GateResult, key: str, value: Any, absent: str) -> str:
    """Return a threshold as text, in the unit of its metric."""
    if value is None:
        return absent
    if isinstance(value, str):
        return value
    name = key.rpartition(".")[2]
    if name == "confidence":
        return text.show_percent(value)

    # A guard has a metric of its own.
    metric_range = gate.metric_range
    for guard in gate.guards:
        if key.startswith(f"guards.{guard.name}."):
            metric_range = guard.metric_range
    share = name in ("margin", "max_drop") and text.is_share(metric_range)
    return text.show_amount(value, share=share)


def _requirements(gate: GateResult) -> dict[str, Any]:
    """Return all thresholds of a gate that its report contains, by key."""
    values: dict[str, Any] = {"stage": gate.stage or "accept"}
    for key in ("metric", "margin", "max_drop", "evidence", "confidence"):
        values[key] = getattr(gate, key)

    for check in gate.checks:
        # A check of the data that finds nothing may be absent, although its threshold is the same.
        if check.threshold is None or (check.kind == "data" and check.status != "pass"):
            continue
        key = check.threshold.key
        if isinstance(check.threshold.value, Mapping):
            for end, limit in check.threshold.value.items():
                values[f"{key}.{end}"] = limit
        else:
            values[key] = check.threshold.value

    for guard in gate.guards:
        values[f"guards.{guard.name}.max_drop"] = guard.max_drop
        values[f"guards.{guard.name}.metric"] = guard.metric
    for group in gate.slices:
        values[f"slices by {group.field}"] = "judged"
    return {key: value for key, value in values.items() if _is_comparable(value)}


def _is_comparable(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return value is not None and abs(value) <= text.FARTHEST


def comparison_lines(
    paths: Sequence[Path], reports: Sequence[Report], changes: Mapping[str, Sequence[Move]]
) -> Iterator[str]:
    """Yield the reports, the changes of each gate, and the outcome, in lines that fit a log."""
    titles = []
    for path, report in zip(paths, reports, strict=True):
        written = report.environment.get("written", "undated")[:16].replace("T", " ")
        titles.append(f"{shown_path(path)} ({written})")
    yield from text.wrapped(" -> ".join(titles))

    for name, moves in changes.items():
        yield ""
        yield from _gate_lines(name, moves)

    worse = [_shortened(name) for name in changes if is_worse(changes[name])]
    outcome = f"no gate got worse ({text.plural(len(changes), 'gate')} compared)"
    if worse:
        outcome = f"{text.plural(len(worse), 'gate')} got worse: {', '.join(worse)}"
    yield ""
    yield from text.wrapped(outcome)


def _shortened(name: str) -> str:
    """Return a name without its middle if it is long: the cases of a test differ at the end."""
    return text.middle(text.printable(name), _NAME_WIDTH)


def _gate_lines(name: str, moves: Sequence[Move]) -> Iterator[str]:
    """Yield the changes of one gate, with the verdict in the heading."""
    heading = [_shortened(name)]
    if is_worse(moves):
        heading.append("WORSE")
    if not moves:
        heading.append("no change")

    lines = []
    width = 0
    for move in moves:
        if move.what == "verdict":
            heading.append(move.text)
        else:
            lines.append(move)
            width = min(max(width, len(text.printable(move.what))), _WHAT_WIDTH)
    yield from text.wrapped("  ".join(heading))

    for move in lines:
        mark = move.mark.upper() if is_worse([move]) else move.mark
        first = f"  {_shortened(move.what):<{width}}  "
        line = f"{move.text}  {mark}".rstrip()
        if mark and len(first) + len(line) > _WIDTH:  # the mark would be on a line of its own
            line = f"{mark}: {move.text}"
        yield from text.wrapped(line, first, " " * (width + 4))
