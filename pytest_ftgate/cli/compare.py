"""The command ``compare``: what changed between two reports, gate by gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.cli.report_file import ReportFile
from pytest_ftgate.cli.thresholds import Mark, Move, shifts
from pytest_ftgate.result import GateResult, TestSetResult, TrainingResult, called
from pytest_ftgate.text import is_share, plural, printable, show_difference, show_seconds, show_usd, show_value, wrapped

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STATUSES = ("", "note", "pass", "warning", "inconclusive", "fail", "error")
_CALLED_OUT = _STATUSES.index("warning")
_STEADY = 0.1
"""Relative difference up to which two latencies count as equal."""
_MARK_WIDTH = 10
_NAMES_SHOWN = 10
_NAME_WIDTH = 60


@dataclass(frozen=True, slots=True)
class GateMoves:
    """The changes of one gate; ``verdict`` is the later one, empty if there is none."""

    name: str
    moves: tuple[Move, ...]
    verdict: str = ""

    @property
    def worse(self) -> bool:
        return any(move.mark in ("worse", "loosened") for move in self.moves)


def compare_reports(
    before: ReportFile, after: ReportFile, gates: Sequence[Mapping[tuple[str, str], GateResult]] | None = None
) -> tuple[GateMoves, ...]:
    """Return the changes of every gate in either report, those of ``after`` first, and of unmet obligations.

    Gates are matched by name, and also by test if a name repeats in one of the reports, or are given as matched.
    """
    old, new = gates or matched((before, after))
    found = [_moves(key, old.get(key), new.get(key), before, after) for key in dict.fromkeys((*new, *old))]
    known = {name for name, _ in (*old, *new)}
    owed = [name for name in dict.fromkeys((*after.reasons, *before.reasons)) if name not in known]
    found += [GateMoves(name, tuple(_obligation(name, before, after))) for name in owed]
    return tuple(found)


def matched(reports: Sequence[ReportFile]) -> list[dict[tuple[str, str], GateResult]]:
    """Return the gates of each report by name, and by test if a name repeats in one of the reports, else by ""."""
    counts = [Counter(gate.name for gate in report.gates) for report in reports]
    repeated = {name for count in counts for name, n in count.items() if n > 1}
    return [
        {(gate.name, gate.nodeid if gate.name in repeated else ""): gate for gate in report.gates} for report in reports
    ]


def full_name(key: tuple[str, str]) -> str:
    """Return a gate's name, with its test if the name repeats."""
    return f"{key[0]} ({key[1]})" if key[1] else key[0]


def _moves(
    key: tuple[str, str], old: GateResult | None, new: GateResult | None, before: ReportFile, after: ReportFile
) -> GateMoves:
    name = full_name(key)
    if new is None:
        reason = f": {after.reasons[key[0]]}" if key[0] in after.reasons else ""
        return GateMoves(name, (Move("gate", f"missing from the later report{reason}", "worse"),))
    moves = [Move("gate", f"new, with the verdict {new.verdict}")] if old is None else compare_gate(old, new)
    return GateMoves(name, (*moves, *_obligation(key[0], before, after)), new.verdict)


def _obligation(name: str, before: ReportFile, after: ReportFile) -> Iterator[Move]:
    """Yield a change if an obligation of ``ftgate_required`` is no longer met, or is met again."""
    if name in after.reasons and name not in before.reasons:
        yield Move("required", f"no longer met: {after.reasons[name]}", "worse")
    if name in before.reasons and name not in after.reasons:
        yield Move("required", f"met again, or no longer required; before: {before.reasons[name]}", "better")


def compare_gate(old: GateResult, new: GateResult) -> Iterator[Move]:
    """Yield the changes of a gate that both reports have."""
    worse = _VERDICTS.index(new.verdict) > _VERDICTS.index(old.verdict)
    yield from _changed("verdict", old.verdict, new.verdict, mark="worse" if worse else "better")
    yield from shifts(old, new)
    yield from _data(old, new)
    yield from _values(old, new)
    for what, before, after in (
        ("guard", {one.name: one for one in old.guards}, {one.name: one for one in new.guards}),
        ("slice", {f"{one.field} {one.value}": one for one in old.slices},
         {f"{one.field} {one.value}": one for one in new.slices}),
    ):  # fmt: skip
        for name, part in after.items():
            known = (before[name].verdict or "not judged") if name in before else "absent"
            yield from _changed(f"{what} {name}", known, part.verdict or "not judged")
    yield from _checks(old, new)
    yield from _models(old, new)


def _changed(what: str, before: str, after: str, more: str = "", mark: Mark = "") -> Iterator[Move]:
    """Yield a change unless both texts are the same."""
    if before != after:
        yield Move(what, f"{before} -> {after}{more}", mark)


def _data(old: GateResult, new: GateResult) -> Iterator[Move]:
    test, training = (old.test_set, new.test_set), (old.training, new.training)
    if _another_test_set(*test):
        yield Move("test set", f"changed{_counts('examples', *test)}: values cannot be compared")
    if _differ(*((one.sha256, one.rows) for one in training)):
        yield Move("training set", f"changed{_counts('usable', *training)}")
    guards = {guard.name: guard for guard in new.guards}
    for guard in old.guards:
        if guard.name in guards and _another_test_set(guard.test_set, guards[guard.name].test_set):
            yield Move(f"guard {guard.name}", "its test set changed: values cannot be compared")


def _another_test_set(old: TestSetResult, new: TestSetResult) -> bool:
    return _differ((old.sha256, old.examples), (new.sha256, new.examples))


def _differ(old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Return whether the files are known to differ, by hash or by rows read (``limit`` changes only the latter)."""
    return any(None not in (one, other) and one != other for one, other in zip(old, new, strict=True))


def _counts(name: str, *sets: TestSetResult | TrainingResult) -> str:
    before, after = (getattr(one, name) for one in sets)
    return "" if before is None or after is None else f" ({before} -> {after} {name})"


def _values(old: GateResult, new: GateResult) -> Iterator[Move]:
    share = is_share(new.metric_range or old.metric_range)

    def bounds(gate: GateResult) -> str:
        lower, upper = (show_difference(bound, share=share) for bound in (gate.lower_bound, gate.upper_bound))
        return "unknown" if lower == upper == "unknown" else f"{lower} to {upper}"

    for role, model in new.models.items():
        if role in old.models:
            was, now = (show_value(one.value, share=share) for one in (old.models[role], model))
            yield from _changed(called(role), was, now, f" {new.metric}" if new.metric else "")
    was, now = (show_difference(gate.gain, share=share) for gate in (old, new))
    yield from _changed("gain", was, now, _noise(old, new))
    yield from _changed("bounds of the gain", bounds(old), bounds(new))


def _noise(old: GateResult, new: GateResult) -> str:
    """Return whether each gain is between the bounds of the other, as text; empty if that is unknown."""
    if _another_test_set(old.test_set, new.test_set):
        return ""
    inside = []
    for one, other in ((old, new), (new, old)):
        if one.gain is None or other.lower_bound is None or other.upper_bound is None:
            return ""
        inside.append(other.lower_bound <= one.gain <= other.upper_bound)
    return " (within noise)" if all(inside) else " (more than noise)"


def _checks(old: GateResult, new: GateResult) -> Iterator[Move]:
    """Yield changes of checks that are, or were, at least a warning."""
    before, after = _worst(old), _worst(new)
    for name in dict.fromkeys((*after, *before)):
        rank, message = after.get(name, (0, ""))
        ranks = before.get(name, (0, ""))[0], rank
        if max(ranks) >= _CALLED_OUT:
            was, now = (_STATUSES[one] or "absent" for one in ranks)
            yield from _changed(f"check {name}", was, now, f": {message}" if rank >= _CALLED_OUT else "")


def _worst(gate: GateResult) -> dict[str, tuple[int, str]]:
    """Return the worst rank of each check, which may be repeated for each baseline, with its message."""
    found: dict[str, tuple[int, str]] = {}
    for check in gate.checks:
        rank = _STATUSES.index(check.status)
        if rank > found.get(check.name, (0, ""))[0]:
            found[check.name] = rank, check.message
    return found


def _models(old: GateResult, new: GateResult) -> Iterator[Move]:
    before, after = old.models, new.models
    for role in dict.fromkeys((*after, *before)):
        if not (role in before and role in after):
            yield Move(called(role), "is new" if role in after else "was removed")
            continue
        what, was, now = called(role), before[role], after[role]
        if was.model and now.model:
            yield from _changed(f"{what} model", was.model, now.model)
        times = (("p50", was.latency_p50_s, now.latency_p50_s), ("p95", was.latency_p95_s, now.latency_p95_s))
        for name, one, other in times:
            if one is None or other is None or abs(one - other) > _STEADY * max(one, other):
                yield from _changed(f"{what} {name}", show_seconds(one), show_seconds(other))
        yield from _changed(f"{what} cost", show_usd(was.cost_usd), show_usd(now.cost_usd))


def comparison_lines(before: ReportFile, after: ReportFile, found: Sequence[GateMoves]) -> Iterator[str]:
    """Yield the two reports, the changes of each gate, and the outcome, in lines that fit a CI log."""
    for label, report in (("before:", before), ("after:", after)):
        allowed = ", written with --ftgate-allow-missing" if report.allowed_missing else ""
        yield from wrapped(f"{label:<8}{report.path} ({plural(len(report.gates), 'gate')}{allowed})")
    old, new = before.environment, after.environment
    versions = [(name, old.get(name, "absent"), new.get(name, "absent")) for name in {**new, **old}]
    moved = [f"{name} {one} -> {other}" for name, one, other in versions if one != other]
    if moved:
        yield from wrapped(f"versions: {', '.join(moved)}")
    for gate in found:
        yield ""
        yield from wrapped(": ".join(filter(None, (printable(gate.name, _NAME_WIDTH), _heading(gate)))))
        for move in gate.moves:
            first = f"  {move.mark:<{_MARK_WIDTH}}"
            yield from wrapped(f"{move.what}: {move.text}", first, " " * len(first))
    yield from ("", *wrapped(outcome(found)))


def outcome(found: Sequence[GateMoves]) -> str:
    """Return how many gates got worse, and which."""
    worse = [printable(gate.name, _NAME_WIDTH) for gate in found if gate.worse]
    if not worse:
        return f"no gate got worse ({plural(len(found), 'gate')} compared)"
    names = ", ".join(worse[:_NAMES_SHOWN]) + (", ..." if len(worse) > _NAMES_SHOWN else "")
    return f"{len(worse):,} of {plural(len(found), 'gate')} got worse: {names}"


def _heading(gate: GateMoves) -> str:
    if gate.moves:
        return "WORSE" if gate.worse else ""
    return "no change" if gate.verdict in ("", "pass") else f"no change, still {gate.verdict}"
