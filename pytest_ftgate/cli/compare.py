"""``compare``: tell what moved between two reports, gate by gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_ftgate.cli.report_file import Facts, ReportFile, roles
from pytest_ftgate.cli.thresholds import shifts
from pytest_ftgate.result import called
from pytest_ftgate.text import (
    is_share,
    plural,
    printable,
    show_difference,
    show_seconds,
    show_usd,
    show_value,
    wrapped,
)

Mark = Literal["worse", "loosened", "better", "stricter", ""]

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STATUSES = ("", "note", "pass", "warning", "inconclusive", "fail", "error")
_CALLED_OUT = _STATUSES.index("warning")
_STEADY = 0.1
"""Times that differ by no more than this share of the larger one are the same time measured twice."""
_MARK_WIDTH = 10
_NAMES_SHOWN = 10
_NAME_WIDTH = 60

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that is not as it was; ``worse`` and ``loosened`` count."""

    what: str
    said: str
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class GateMoves:
    """All that moved of one gate; ``verdict`` is the later one, where it has one."""

    name: str
    moves: tuple[Move, ...]
    verdict: str = ""

    @property
    def worse(self) -> bool:
        return any(move.mark in ("worse", "loosened") for move in self.moves)


def compare_reports(before: ReportFile, after: ReportFile) -> tuple[GateMoves, ...]:
    """Every gate of either report, those of ``after`` first, and the obligations that no gate of them met."""
    keys = _keys(before, after)
    old, new = ({keys(gate): gate for gate in report.gates} for report in (before, after))
    found = [_moves(key, old.get(key), new.get(key), before, after) for key in dict.fromkeys((*new, *old))]
    known = {key[0] for key in (*old, *new)}
    owed = [name for name in dict.fromkeys((*after.unjudged, *before.unjudged)) if name not in known]
    found += [GateMoves(name, tuple(_obligation(name, before, after))) for name in owed]
    return tuple(found)


def _keys(before: ReportFile, after: ReportFile) -> Callable[[Facts], Key]:
    """A gate goes by its name; where that repeats in one of the reports, by its test too."""
    repeated = set()
    for report in (before, after):
        times = Counter(gate.text("name") for gate in report.gates)
        repeated |= {name for name, count in times.items() if count > 1}

    def key(gate: Facts) -> Key:
        name = gate.text("name") or ""
        return name, (gate.text("nodeid") or "") if name in repeated else ""

    return key


def _moves(key: Key, old: Facts | None, new: Facts | None, before: ReportFile, after: ReportFile) -> GateMoves:
    name = f"{key[0]} ({key[1]})" if key[1] else key[0]
    moves: list[Move] = []
    if new is None:
        reason = f": {after.unjudged[key[0]]}" if key[0] in after.unjudged else ""
        return GateMoves(name, (Move("gate", f"lost: it is not in the later report{reason}", "worse"),))
    if old is None:
        moves.append(Move("gate", f"new, with the verdict {new.text('verdict')}"))
    else:
        moves += compare_gate(old, new)
    return GateMoves(name, (*moves, *_obligation(key[0], before, after)), new.text("verdict") or "")


def _obligation(name: str, before: ReportFile, after: ReportFile) -> Iterator[Move]:
    """``ftgate_required``: met before and not met now, or the other way round."""
    if name in after.unjudged and name not in before.unjudged:
        yield Move("required", f"no longer met: {after.unjudged[name]}", "worse")
    if name in before.unjudged and name not in after.unjudged:
        yield Move("required", f"met again, or asked for no more; it was: {before.unjudged[name]}", "better")


def compare_gate(old: Facts, new: Facts) -> Iterator[Move]:
    """What moved of a gate that both reports have."""
    yield from _verdict(old, new)
    for shift in shifts(old, new):
        yield Move(shift.key, f"{shift.before} -> {shift.after}", shift.direction)
    yield from _data(old, new)
    yield from _values(old, new)
    yield from _parts(old, new)
    yield from _checks(old, new)
    yield from _models(old, new)


def _changed(what: str, before: str, after: str, more: str = "", mark: Mark = "") -> Iterator[Move]:
    """Yield a move unless both texts are the same."""
    if before != after:
        yield Move(what, f"{before} -> {after}{more}", mark)


def _verdict(old: Facts, new: Facts) -> Iterator[Move]:
    before, after = old.text("verdict") or "", new.text("verdict") or ""
    yield from _changed("verdict", before, after, mark="worse" if _severity(after) > _severity(before) else "better")


def _severity(verdict: str) -> int:
    """Return the rank of a verdict; one that is not known is taken for the worst."""
    return _VERDICTS.index(verdict) if verdict in _VERDICTS else len(_VERDICTS)


# --- data and values -----------------------------------------------------------------------------------------


def _data(old: Facts, new: Facts) -> Iterator[Move]:
    if _another_test_set(old, new):
        counts = _counts(old.part("test_set"), new.part("test_set"), "examples")
        yield Move("test set", f"changed{counts}: values cannot be compared")
    if _another(old, new, "training", "rows"):
        yield Move("training set", f"changed{_counts(old.part('training'), new.part('training'), 'usable')}")
    guards = _by_name(new, "guards")
    for name, guard in _by_name(old, "guards").items():
        if name in guards and _another_test_set(guard, guards[name]):
            yield Move(f"guard {name}", "its test set changed: values cannot be compared")


def _another_test_set(old: Facts, new: Facts) -> bool:
    return _another(old, new, "test_set", "examples")


def _another(old: Facts, new: Facts, name: str, size: str) -> bool:
    """Whether the files are known to differ, or how much was read of them: ``limit`` leaves the file as it is."""
    one, other = old.part(name), new.part(name)
    facts = ((one.text("sha256"), other.text("sha256")), (one.number(size), other.number(size)))
    return any(before is not None and after is not None and before != after for before, after in facts)


def _counts(old: Facts, new: Facts, name: str) -> str:
    before, after = old.number(name), new.number(name)
    return "" if before is None or after is None else f" ({before:g} -> {after:g} {name})"


def _values(old: Facts, new: Facts) -> Iterator[Move]:
    share = is_share(new.range("metric_range") or old.range("metric_range"))

    def value(model: Facts) -> str:
        return show_value(model.number("value"), share=share)

    def difference(gate: Facts, name: str) -> str:
        return show_difference(gate.number(name), share=share)

    def bounds(gate: Facts) -> str:
        lower, upper = difference(gate, "lower_bound"), difference(gate, "upper_bound")
        return "unknown" if lower == upper == "unknown" else f"{lower} to {upper}"

    before, metric = dict(roles(old)), new.text("metric")
    for role, model in roles(new):
        if role in before:
            yield from _changed(called(role), value(before[role]), value(model), f" {metric}" if metric else "")
    yield from _changed("gain", difference(old, "gain"), difference(new, "gain"), _noise(old, new))
    yield from _changed("bounds of the gain", bounds(old), bounds(new))


def _noise(old: Facts, new: Facts) -> str:
    """Say whether each gain lies between the bounds of the other; nothing where that is not known."""
    if _another_test_set(old, new):
        return ""
    inside = []
    for one, other in ((old, new), (new, old)):
        gain, lower, upper = one.number("gain"), other.number("lower_bound"), other.number("upper_bound")
        if gain is None or lower is None or upper is None:
            return ""
        inside.append(lower <= gain <= upper)
    return " (within noise)" if all(inside) else " (more than noise)"


# --- parts and checks ----------------------------------------------------------------------------------------


def _parts(old: Facts, new: Facts) -> Iterator[Move]:
    """What became of each guard, slice and candidate."""
    for what, name, of in (
        ("guard", "guards", ("name",)),
        ("slice", "slices", ("field", "value")),
        ("candidate", "candidates", ("name",)),
    ):
        before = _by_name(old, name, of)
        for key, part in _by_name(new, name, of).items():
            known = (before[key].text("verdict") or "not judged") if key in before else "not there"
            yield from _changed(f"{what} {key}", known, part.text("verdict") or "not judged")


def _by_name(gate: Facts, name: str, of: tuple[str, ...] = ("name",)) -> dict[str, Facts]:
    return {" ".join(one.text(key) or "" for key in of): one for one in gate.parts(name)}


def _checks(old: Facts, new: Facts) -> Iterator[Move]:
    """Checks that call something out now, or did so before; the verdict is what counts of them."""
    before, after = _worst(old), _worst(new)
    for name in dict.fromkeys((*after, *before)):
        rank, message = after.get(name, (0, ""))
        ranks = before.get(name, (0, ""))[0], rank
        if max(ranks) >= _CALLED_OUT:
            was, now = (_STATUSES[one] or "not made" for one in ranks)
            yield from _changed(f"check {name}", was, now, f": {message}" if rank >= _CALLED_OUT else "")


def _worst(gate: Facts) -> dict[str, tuple[int, str]]:
    """The worst status of each check, which may be made once for each baseline, by its rank, and its message."""
    found: dict[str, tuple[int, str]] = {}
    for check in gate.parts("checks"):
        name, status = check.text("name") or "", check.text("status") or ""
        rank = _STATUSES.index(status if status in _STATUSES else "error")
        if name not in found or rank > found[name][0]:
            found[name] = rank, check.text("message") or ""
    return found


# --- models --------------------------------------------------------------------------------------------------


def _models(old: Facts, new: Facts) -> Iterator[Move]:
    before, after = dict(roles(old)), dict(roles(new))
    for role in dict.fromkeys((*after, *before)):
        if role in before and role in after:
            yield from _model(called(role), before[role], after[role])
        else:
            yield Move(called(role), "is new" if role in after else "is no longer asked")


def _model(role: str, old: Facts, new: Facts) -> Iterator[Move]:
    before, after = (", ".join(filter(None, (one.text("model"), one.text("job")))) for one in (old, new))
    if before and after:
        yield from _changed(f"{role} model", before, after)
    for name in ("p50", "p95"):
        one, other = (model.number(f"latency_{name}_s") for model in (old, new))
        if one is None or other is None or abs(one - other) > _STEADY * max(one, other):
            yield from _changed(f"{role} {name}", show_seconds(one), show_seconds(other))
    yield from _changed(f"{role} cost", show_usd(old.number("cost_usd")), show_usd(new.number("cost_usd")))


# --- text ----------------------------------------------------------------------------------------------------


def comparison_lines(before: ReportFile, after: ReportFile, found: Sequence[GateMoves]) -> Iterator[str]:
    """The two reports, each gate with what moved, and the outcome, no wider than a CI log shows."""
    for label, report in (("before:", before), ("after:", after)):
        partial = ", partial: its obligations were not enforced" if report.partial else ""
        yield from wrapped(f"{label:<8}{report.path} ({plural(len(report.gates), 'gate')}{partial})")
    versions = _moved_versions(before.environment, after.environment)
    if versions:
        yield from wrapped(f"versions: {', '.join(versions)}")
    for gate in found:
        yield ""
        yield from wrapped(": ".join(filter(None, (printable(gate.name, _NAME_WIDTH), _heading(gate)))))
        for move in gate.moves:
            first = f"  {move.mark:<{_MARK_WIDTH}}"
            yield from wrapped(f"{move.what}: {move.said}", first, " " * len(first))
    yield ""
    yield from wrapped(_outcome(found))


def _moved_versions(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What was installed in another version: ``scipy 1.11.4 -> 1.14.0``."""
    versions = ((name, before.get(name, "absent"), after.get(name, "absent")) for name in {**after, **before})
    return [f"{name} {one} -> {other}" for name, one, other in versions if one != other]


def _heading(gate: GateMoves) -> str:
    if gate.moves:
        return "WORSE" if gate.worse else ""
    return "nothing moved" if gate.verdict in ("", "pass") else f"nothing moved, {gate.verdict} as before"


def _outcome(found: Sequence[GateMoves]) -> str:
    worse = [printable(gate.name, _NAME_WIDTH) for gate in found if gate.worse]
    if not worse:
        return f"no gate got worse ({plural(len(found), 'gate')} compared)"
    names = ", ".join(worse[:_NAMES_SHOWN]) + (", ..." if len(worse) > _NAMES_SHOWN else "")
    return f"{len(worse):,} of {plural(len(found), 'gate')} got worse: {names}"
