"""What moved between two reports, gate by gate. Pure: facts in, moves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_ftgate.cli.report_file import Facts, ReportFile, roles
from pytest_ftgate.cli.thresholds import shifts
from pytest_ftgate.result import called
from pytest_ftgate.text import is_share, show_difference, show_seconds, show_usd, show_value

Mark = Literal["worse", "loosened", "better", "stricter", ""]

_VERDICTS = ("pass", "inconclusive", "fail", "error")
_STATUSES = ("", "note", "pass", "warning", "inconclusive", "fail", "error")
_CALLED_OUT = _STATUSES.index("warning")
_STEADY = 0.1
"""Times that differ by no more than this share of the larger one are the same time measured twice."""

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


def _verdict(old: Facts, new: Facts) -> Iterator[Move]:
    was, now = old.text("verdict") or "", new.text("verdict") or ""
    if was != now:
        yield Move("verdict", f"{was} -> {now}", "worse" if _severity(now) > _severity(was) else "better")


def _severity(verdict: str) -> int:
    """A verdict that is not known is taken for the worst."""
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
    return any(was is not None and now is not None and was != now for was, now in facts)


def _counts(old: Facts, new: Facts, name: str) -> str:
    was, now = old.number(name), new.number(name)
    return "" if was is None or now is None else f" ({was:g} -> {now:g} {name})"


def _values(old: Facts, new: Facts) -> Iterator[Move]:
    share = is_share(new.range("metric_range") or old.range("metric_range"))
    before = dict(roles(old))
    for role, model in roles(new):
        if role not in before:
            continue
        was, now = (show_value(one.number("value"), share=share) for one in (before[role], model))
        if was != now:
            yield Move(called(role), f"{was} -> {now} {new.text('metric') or ''}".rstrip())
    was, now = (show_difference(one.number("gain"), share=share) for one in (old, new))
    if was != now:
        yield Move("gain", f"{was} -> {now}{_noise(old, new)}")
    was, now = (_bounds(one, share) for one in (old, new))
    if was != now:
        yield Move("bounds of the gain", f"{was} -> {now}")


def _bounds(gate: Facts, share: bool) -> str:
    lower, upper = (show_difference(gate.number(name), share=share) for name in ("lower_bound", "upper_bound"))
    return "unknown" if lower == upper == "unknown" else f"{lower} to {upper}"


def _noise(old: Facts, new: Facts) -> str:
    """Whether each gain lies between the bounds of the other; nothing where that is not known."""
    if _another_test_set(old, new):
        return ""
    pairs = [(old, new), (new, old)]
    inside = []
    for one, other in pairs:
        gain, lower, upper = one.number("gain"), other.number("lower_bound"), other.number("upper_bound")
        if gain is None or lower is None or upper is None:
            return ""
        inside.append(lower <= gain <= upper)
    return " (within noise)" if all(inside) else " (more than noise)"


# --- parts and checks ----------------------------------------------------------------------------------------


def _parts(old: Facts, new: Facts) -> Iterator[Move]:
    """Guards, slices and several candidates: what became of each."""
    for what, name, of in (
        ("guard", "guards", ("name",)),
        ("slice", "slices", ("field", "value")),
        ("candidate", "candidates", ("name",)),
    ):
        before = _by_name(old, name, of)
        for key, part in _by_name(new, name, of).items():
            was = before[key].text("verdict") if key in before else "not there"
            now = part.text("verdict")
            if was != now:
                yield Move(f"{what} {key}", f"{was or 'not judged'} -> {now or 'not judged'}")


def _by_name(gate: Facts, name: str, of: tuple[str, ...] = ("name",)) -> dict[str, Facts]:
    return {" ".join(one.text(key) or "" for key in of): one for one in gate.parts(name)}


def _checks(old: Facts, new: Facts) -> Iterator[Move]:
    """Checks that call something out now, or did so before; the verdict is what counts of them."""
    before, after = _worst(old), _worst(new)
    for name in dict.fromkeys((*after, *before)):
        was, _ = before.get(name, ("", ""))
        now, message = after.get(name, ("", ""))
        if was == now or max(_STATUSES.index(was), _STATUSES.index(now)) < _CALLED_OUT:
            continue
        told = f": {message}" if _STATUSES.index(now) >= _CALLED_OUT else ""
        yield Move(f"check {name}", f"{was or 'not made'} -> {now or 'not made'}{told}")


def _worst(gate: Facts) -> dict[str, tuple[str, str]]:
    """The worst status of each check, which may be made once for each baseline, and its message."""
    found: dict[str, tuple[str, str]] = {}
    for check in gate.parts("checks"):
        name, status = check.text("name") or "", check.text("status") or ""
        if status not in _STATUSES:
            status = "error"
        if name not in found or _STATUSES.index(status) > _STATUSES.index(found[name][0]):
            found[name] = status, check.text("message") or ""
    return found


# --- models --------------------------------------------------------------------------------------------------


def _models(old: Facts, new: Facts) -> Iterator[Move]:
    before, after = dict(roles(old)), dict(roles(new))
    for role in dict.fromkeys((*after, *before)):
        if role not in before or role not in after:
            yield Move(called(role), "is new" if role in after else "is no longer asked")
            continue
        yield from _model(called(role), before[role], after[role])


def _model(role: str, old: Facts, new: Facts) -> Iterator[Move]:
    was, now = (_identity(one) for one in (old, new))
    if was and now and was != now:
        yield Move(f"{role} model", f"{was} -> {now}")
    for name in ("latency_p50_s", "latency_p95_s"):
        yield from _moved_time(role, name, old.number(name), new.number(name))
    was, now = (show_usd(one.number("cost_usd")) for one in (old, new))
    if was != now:
        yield Move(f"{role} cost", f"{was} -> {now}")


def _identity(model: Facts) -> str:
    """What was asked, and the job that made it."""
    parts = (model.text("model"), model.text("job"))
    return ", ".join(part for part in parts if part)


def _moved_time(role: str, name: str, was: float | None, now: float | None) -> Iterator[Move]:
    if was == now or (was is not None and now is not None and abs(was - now) <= _STEADY * max(was, now)):
        return
    shown = name.removeprefix("latency_").removesuffix("_s")
    yield Move(f"{role} {shown}", f"{show_seconds(was)} -> {show_seconds(now)}")


def moved_versions(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What was installed in another version: ``scipy 1.11.4 -> 1.14.0``."""
    names = dict.fromkeys((*after, *before))
    return [
        f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in names
        if before.get(name) != after.get(name)
    ]
