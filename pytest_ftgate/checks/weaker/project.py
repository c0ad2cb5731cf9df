"""Compare the project with what it was at the merge base: its ini keys, its gate file, and its test sets."""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.weaker.base import Base, HiddenHistoryError, find_base, requested
from pytest_ftgate.checks.weaker.examples import Kind, compared_examples, test_sets
from pytest_ftgate.checks.weaker.gates import Weakening, another_training_set, weakenings
from pytest_ftgate.config import GateFile, GateKeys, Layer, Source, file_of, load_gate_file, places_of, resolve_gate
from pytest_ftgate.config.baselines import has_own_standards
from pytest_ftgate.errors import FtgateError, HistoryError, shown_path
from pytest_ftgate.ini_file import IniFile, line_of, used_ini
from pytest_ftgate.result import Check, Status

_CONFIG, _REQUIRED, _FORBID = "ftgate_config", "ftgate_required", "ftgate_forbid_weakening"
_BASE_REF = "ftgate_base_ref"
_NO_PROMISE = (_CONFIG, "ftgate_recordings", "ftgate_state")
"""Ini keys that require nothing. The gate file is compared itself."""
_LEFT_OPEN = Source("fixture", "not in the gate file", Path())
_STAND_INS: Mapping[str, Any] = {"test_set": (), "training_set": (), "baseline": str, "candidate": str, "margin": 0.0}
_OTHERS = {"baseline": ("baselines",), "margin": ("max_drop",)}

_STATUS: Mapping[bool, Status] = {True: "fail", False: "warning"}
_CURES = {
    "weaker": "Check that this is intended: a weaker gate proves less.",
    "forbidden": "Restore it, or merge the change separately, with the approval of someone who may override this gate.",
    "untracked": "Add it to git, or track it with Git LFS or DVC.",
}
_NO_HISTORY = "Run the gate in a clone with the history (git clone, or fetch-depth: 0 for actions/checkout)."


@dataclass(frozen=True)
class Finding:
    """What is weaker, could not be compared, is not in git, or is only to be noted, in one line.

    ``gate`` is the one of the gate file that it is about; None for the whole project.
    """

    kind: Kind
    text: str
    gate: str | None = None
    cure: str | None = None

    def check(self, *, forbidden: bool) -> Check:
        """Return the finding as a check of a gate."""
        if self.kind == "note":
            return Check("weakened", "note", self.text)
        name, status = "untracked" if self.kind == "untracked" else "weakened", _STATUS[forbidden]
        cure = self.cure or _CURES.get("forbidden" if forbidden and self.kind == "weaker" else self.kind)
        return Check(name, status, self.text, source=f"ini {_FORBID}" if forbidden else None, advice=cure)


@dataclass(frozen=True)
class Compared:
    """What was found of one gate file.

    Attributes:
        forbade: the ini file forbade weakening at the merge base.
        required: the gates that it required there.
        absent: there is no history: no repository, or none with a commit.
    """

    findings: tuple[Finding, ...] = ()
    forbade: bool = False
    required: tuple[str, ...] = ()
    absent: bool = False

    def of(self, gate: str | None) -> Iterator[Finding]:
        """Yield the findings on a gate of the file and on the whole project."""
        return (one for one in self.findings if one.gate in (None, gate))


class Past:
    """The project at the merge base.

    Args:
        home: the folder of the ini file, or pytest's rootdir without one.
        inis: where pytest looks for its ini file, in its order.
        ini: the ini file of today.
        ref: its ``ftgate_base_ref``.
    """

    def __init__(self, home: Path, inis: Sequence[Path], ini: Path | None, ref: str | None) -> None:
        self._base: Base | None = None
        self._problem: FtgateError | None = None
        self._used: Path | None = None
        self._ini, self._home, self._then = ini, home, dict[str, Any]()
        try:
            self._base = _usual_base(home, ref)
            self._look(inis)
            if ref is not None and self._then.get(_BASE_REF) == ref and requested() is None:
                self._base = find_base(home, ref)
                self._look(inis)
        except FtgateError as error:
            self._base, self._problem = None, error

    def _look(self, inis: Sequence[Path]) -> None:
        """Find the ini file that pytest would have used, and our keys in it."""
        used = used_ini(self._base.existing(inis), self._base.content) if self._base is not None else None
        self._then = _ours(used)
        if used is not None:
            self._used, self._home = used.path, used.path.parent

    def compare(self, file: Path, used: Callable[[Path], Path]) -> Compared:
        """Compare a gate file, which may have been deleted, with those that its tests had at the merge base.

        ``used`` returns the gate file of the tests in a folder today. Tests below may have lost a nearer one.
        """
        base, forbade = self._base, _is_true(self._then.get(_FORBID)) or isinstance(self._problem, HiddenHistoryError)
        if base is None:
            nothing = HistoryError("this project is not in a git repository with a commit", cure=_NO_HISTORY)
            return Compared((_unread(self._problem or nothing),), forbade, absent=self._problem is None)
        name = str(self._then.get(_CONFIG, "ftgate.yaml"))
        try:
            above = (one for one in places_of(name, file.parent, self._home) if base.content(one) is not None)
            lost = [one for one in base.named(name, file.parent) if used(one.parent) == file]
            found = [self._compared(base, was, file) for was in dict.fromkeys((next(above, file), *lost))]
            findings = dict.fromkeys(finding for one in found for finding in one.findings)
            required = dict.fromkeys(name for one in found for name in one.required)
            return Compared(tuple(findings), forbade, tuple(required))
        except FtgateError as error:
            return Compared((_unread(error, base),), forbade)

    def _compared(self, base: Base, was: Path, file: Path) -> Compared:
        content = base.content(was)
        before = load_gate_file(was, content, read=partial(_policy_then, base)) if content is not None else None
        after = load_gate_file(file) if file.exists() else None
        texts = [*_ini_keys(self._then, self._used, self._ini, after.gate_names if after else ())]
        if before is not None and after is not None and was != file:
            texts.append(f"the gate file {shown_path(was)} is no longer used, but {shown_path(file)}")
        owed, names = _names(self._then.get(_REQUIRED)), before.gate_names if before else ()
        required = tuple(name for name in names if not {"all", name}.isdisjoint(owed))
        found = [Finding("weaker", f"weaker than {base.name}: {text}") for text in texts]
        return Compared((*found, *_gates(base, before, after, required)), required=required)


def _policy_then(base: Base, path: Path) -> bytes:
    """Return the content of a policy at the merge base, or as it is installed where git does not have it."""
    content = base.content(path)
    if content is None and base.tracks(path):
        raise HistoryError(f"the policy {shown_path(path)} is new, and {base.name} extends another one of this name")
    return path.read_bytes() if content is None else content


def _unread(error: FtgateError, base: Base | None = None, gate: str | None = None) -> Finding:
    what = f"could not compare with {base.name if base else 'the base branch'}: {error.headline}"
    return Finding("unread", what, gate, error.cure)


def _usual_base(home: Path, ref: str | None) -> Base | None:
    """Return the base that this change cannot choose. A ref of its ini file counts once the base names it, too."""
    try:
        return find_base(home)
    except HistoryError:
        if ref is None or requested() is not None:
            raise
        return find_base(home, ref)


# --- ini keys ------------------------------------------------------------------------------------------------


def _ours(file: IniFile | None) -> dict[str, Any]:
    return {key: value for key, value in (file.values if file else {}).items() if key.startswith("ftgate_")}


def _ini_keys(then: Mapping[str, Any], used: Path | None, ini: Path | None, gates: Collection[str]) -> Iterator[str]:
    """Yield the keys that require less than they did, and another ini file; ``gates`` are those of "all" now."""
    now = _ours(used_ini([ini] if ini else [], Path.read_bytes))
    if then and used is not None and used != ini:
        yield f"the ini file {shown_path(used)} is no longer used, but {shown_path(ini) if ini else 'none'}"
    for key in dict.fromkeys((*then, *({_BASE_REF} & now.keys()))):
        old, new = then.get(key), now.get(key)
        if key == _REQUIRED:
            kept = {*_names(new), *(gates if "all" in _names(new) else ())}
            if {*_names(old)} <= kept | {f"{one}:ready" for one in kept}:
                continue
            old, new = " ".join(_names(old)), " ".join(_names(new)) or None
        elif key in _NO_PROMISE or str(old) == str(new) or (key == _FORBID and _is_true(old) <= _is_true(new)):
            continue
        old, new = ("not set" if one is None else str(one) for one in (old, new))
        yield f"ini {key}: {old} -> {new}{f' ({line_of(ini, key)})' if ini else ''}"


def _is_true(value: Any) -> bool:
    """Return whether a key is set to true, as pytest reads it."""
    return str(value).strip().lower() in ("1", "yes", "true", "on")


def _names(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else [str(name) for name in value or ()]


# --- gates ---------------------------------------------------------------------------------------------------


def _gates(base: Base, before: GateFile | None, after: GateFile | None, required: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings on the gates of two gate files."""
    was = before.gate_names if before is not None else ()
    gone = [name for name in was if after is None or name not in after.gate_names]
    for name in gone:
        place = f" ({replace(before.where(('gates', name)), key=None)} at {base.name})" if before is not None else ""
        yield Finding("weaker", f"the gate {name} was removed{place}", name)
    if after is None:
        return
    owed = [name for name in gone if name in required]
    for name in after.gate_names:
        if before is not None and name in was:
            yield from _gate(base, name, before, after)
        else:
            instead = f"; gone are the required gates {', '.join(owed)}" if owed else ""
            yield Finding("note", f"the gate {name} is new: {base.name} has nothing to compare with{instead}", name)
    if not base.tracks(after.path):
        yield _untracked(after.path)


def _gate(base: Base, name: str, before: GateFile, after: GateFile) -> Iterator[Finding]:
    try:
        now = as_written(after, name)
    except FtgateError:
        return  # reported where it is judged
    try:
        then = as_written(before, name)
    except FtgateError as error:
        yield _unread(error, base, name)
        return
    for one in loosened(then, now):
        gone = then.place_of(one.key)
        place = now.place_of(one.key) or (f"{gone} at {base.name}" if gone else "")
        yield Finding("weaker", f"weaker than {base.name}: {one}{f' ({place})' if place else ''}", name)
    for kind, key, text in compared_examples(then, now, base):
        place = f"weaker than {base.name}: {key}: {text} ({now.place_of(key)})" if kind == "weaker" else text
        yield Finding(kind, place if kind != "unread" else f"could not compare with {base.name}: {text}", name)
    for data in filter(None, map(file_of, test_sets(now).values())):
        beside = data.path.with_name(f"{data.path.name}.dvc")
        if data.path.is_file() and not base.tracks(data.path) and not base.tracks(beside):
            yield _untracked(data.path, name)


def _untracked(path: Path, gate: str | None = None) -> Finding:
    return Finding("untracked", f"{shown_path(path)} is not in git, so changes cannot be detected", gate)


def as_written(file: GateFile, gate: str) -> GateKeys:
    """Return a gate as the file alone defines it, with stand-ins for the keys that it leaves to markers."""
    layers = file.layers(gate)
    given = {key for layer in layers for key in layer.values}
    missing = {key: one for key, one in _STAND_INS.items() if given.isdisjoint({key, *_OTHERS.get(key, ())})}
    if any(has_own_standards(layer.values.get("baselines")) for layer in layers):
        missing.pop("margin", None)
    stand_ins = Layer(missing, dict.fromkeys(missing, _LEFT_OPEN))
    return resolve_gate([*layers, stand_ins], file=file, gate=gate, default_name=gate)


def loosened(before: GateKeys, after: GateKeys, *, of_marker: bool = False) -> Iterator[Weakening]:
    """Yield the keys in which a gate is weaker, but those that the one before leaves open.

    ``of_marker``: the gate after is that of a marker, for which another training set counts, too.
    """
    for one in (*weakenings(before, after), *(another_training_set(before, after) if of_marker else ())):
        key = one.key.partition(".")[0]
        if before.sources.get(key) != _LEFT_OPEN:
            yield replace(one, after=_LEFT_OPEN.text) if after.sources.get(key) == _LEFT_OPEN else one
