"""The command ``compare``: what changed between two JSON reports, gate by gate."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_ftgate import text
from pytest_ftgate.config.gate_keys import comparison_of
from pytest_ftgate.errors import shown_path
from pytest_ftgate.reports.json import Report
from pytest_ftgate.result import GateResult, UnlabeledResult, called

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STEADY = 0.2
"""Relative difference up to which two latencies or costs count as equal."""
_UNITS = ("%", "points", "ms", "s")
_WHAT_WIDTH = 24
_NAME_WIDTH = 50
_SHOWN = {
    "latency_p50_s": text.show_seconds,
    "latency_p95_s": text.show_seconds,
    "cost_usd": text.show_usd,
}


class Move(NamedTuple):
    """One change; with a mark it makes the gate worse."""

    what: str
    text: str
    mark: Literal["WORSE", "WEAKER", ""] = ""


def is_worse(moves: Sequence[Move]) -> bool:
    """Return whether these changes of a gate make it worse."""
    return any(move.mark for move in moves)


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
    changes = {}
    for name in dict.fromkeys((*new_gates, *old_gates)):
        changes[name] = list(_moves(old_gates.get(name), new_gates.get(name)))

    # The verdict of a red gate says already that it is not met.
    known = {gate.name for gate in old_report.unjudged}
    known.update(gate.name for gate in new_report.gates if not gate.passed)
    for gate in new_report.unjudged:
        if gate.name not in known:
            lost = Move("required", f"no longer met: {gate.reason}", "WORSE")
            changes.setdefault(gate.name, []).append(lost)
    return changes


def _gates_by_name(report: Report, repeated: set[str]) -> dict[str, GateResult]:
    gates = {}
    for gate in report.gates:
        name = gate.name
        if name in repeated:
            name = f"{gate.name} ({gate.nodeid})"
        gates[name] = gate
    return gates


def _moves(old: GateResult | None, new: GateResult | None) -> Iterator[Move]:
    """Yield the changes of one gate."""
    if new is None:
        yield Move("gate", "missing from the later report", "WORSE")
        return
    if old is None:
        yield Move("gate", f"new, with the verdict {new.verdict}")
        return

    if old.verdict != new.verdict:
        change = f"{old.verdict} -> {new.verdict}"
        if _VERDICTS.index(new.verdict) > _VERDICTS.index(old.verdict):
            yield Move("verdict", change, "WORSE")
        else:
            yield Move("verdict", change)
    gain_remark = f" {new.metric or ''}{_noise(old, new)}".rstrip()
    yield from _changes(_values(old), _values(new), {"gain": gain_remark})
    yield from _measures(old, new)
    yield from _thresholds(old, new)
    yield from _changes(_data(old), _data(new), {"test set": ": values cannot be compared"})


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
    if _data(old)["test set"] != _data(new)["test set"]:
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
            if was is None or is_now is None:
                continue
            if abs(was - is_now) > _STEADY * max(was, is_now):
                yield Move(f"{called(role)} {name}", _arrow(show(was), show(is_now)))


def _data(gate: GateResult) -> dict[str, str]:
    """Return how many rows the data have, and which files they are; empty texts if unknown."""
    test = gate.test_set
    training = gate.training
    unlabeled = gate.unlabeled or UnlabeledResult()
    return {
        "test set": _rows(test.examples, "example", test.sha256),
        "unlabeled set": _rows(unlabeled.inputs, "input", unlabeled.sha256),
        "training set": _rows(training.usable, "usable row", training.sha256),
    }


def _rows(count: int | None, noun: str, sha256: str | None) -> str:
    if not count:
        return ""
    counted = text.plural(count, noun)
    return f"{counted} (sha256 {sha256[:8]})" if sha256 else counted


def _thresholds(old_gate: GateResult, new_gate: GateResult) -> Iterator[Move]:
    """Yield the thresholds that differ, by their directions (``Weaker``).

    Another metric counts as weaker. An absent one counts as removed only if the gate was judged to
    its end: many are only reported by their checks.
    """
    old_values = _requirements(old_gate)
    new_values = _requirements(new_gate)
    is_judged = new_gate.scored and new_gate.verdict != "error"
    # Where one replaces the other, the margin says which is stricter.
    is_replaced = (old_gate.max_drop is None) != (new_gate.max_drop is None)
    for key in dict.fromkeys((*old_values, *new_values)):
        old = old_values.get(key)
        new = new_values.get(key)
        if old == new or (is_replaced and key in ("max_drop", "evidence")):
            continue
        if new is None and not is_judged:
            continue

        change = _arrow(_shown(old_gate, key, old, "none"), _shown(new_gate, key, new, "removed"))
        yield Move(key, change, "WEAKER" if _asks_less(key, old, new) else "")


def _asks_less(key: str, old: Any, new: Any) -> bool:
    """Return whether a threshold is weaker than before; also if that cannot be told."""
    if new is None or old is None:
        return new is None
    comparison = comparison_of(key)
    return comparison is None or comparison.asks_less(old, new)


def _shown(gate: GateResult, key: str, value: Any, absent: str) -> str:
    """Return a threshold as text, in the unit of its metric."""
    if value is None:
        return absent
    if isinstance(value, str):
        return value
    if key == "confidence":
        return text.show_percent(value)
    share = key in ("margin", "max_drop") and text.is_share(gate.metric_range)
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
    return values


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

    outcomes: dict[str, list[str]] = {}
    for name, moves in changes.items():
        marks = {move.mark for move in moves}
        if "WORSE" in marks:
            outcomes.setdefault("got worse", []).append(_shortened(name))
        elif "WEAKER" in marks:
            outcomes.setdefault("got weaker", []).append(_shortened(name))

    yield ""
    for outcome, names in outcomes.items():
        yield from text.wrapped(f"{text.plural(len(names), 'gate')} {outcome}: {', '.join(names)}")
    if not outcomes:
        yield f"no gate got worse ({text.plural(len(changes), 'gate')} compared)"


def _shortened(name: str) -> str:
    """Return a name without its middle if it is long: the cases of a test differ at the end."""
    return text.middle(text.printable(name), _NAME_WIDTH)


def _gate_lines(name: str, moves: Sequence[Move]) -> Iterator[str]:
    """Yield the changes of one gate, with the verdict in the heading."""
    heading = [_shortened(name)]
    marks = {move.mark for move in moves}
    if "WORSE" in marks:
        heading.append("WORSE")
    elif "WEAKER" in marks:
        heading.append("WEAKER")
    if not moves:
        heading.append("no change")
    heading += [move.text for move in moves if move.what == "verdict"]
    yield from text.wrapped("  ".join(heading))

    lines = [move for move in moves if move.what != "verdict"]
    longest = max((len(move.what) for move in lines), default=0)
    width = min(longest, _WHAT_WIDTH)
    for move in lines:
        first = f"  {_shortened(move.what):<{width}}  "
        yield from text.wrapped(f"{move.text}  {move.mark}", first, " " * (width + 4))
