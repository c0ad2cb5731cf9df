"""Compare the project with what it was at the merge base: its ini keys, its gate file, and its test sets."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_ftgate.checks.weaker.base import Base, HiddenHistoryError, ShallowHistoryError, find_base, requested
from pytest_ftgate.checks.weaker.examples import Kind, compared_examples, test_sets
from pytest_ftgate.checks.weaker.gates import as_written, weakenings
from pytest_ftgate.config import GateFile, file_of, load_gate_file, places_of
from pytest_ftgate.errors import FtgateError, HistoryError, shown_path
from pytest_ftgate.ini_file import line_of, used_ini
from pytest_ftgate.result import Check, Status

_CONFIG, _REQUIRED, _FORBID = "ftgate_config", "ftgate_required", "ftgate_forbid_weakening"
_BASE_REF = "ftgate_base_ref"
_NO_PROMISE = (_CONFIG, "ftgate_recordings", "ftgate_state")
"""Ini keys that require nothing. The gate file is compared itself."""
_STATUS: Mapping[bool, Status] = {True: "fail", False: "warning"}
_CURES = {
    "weaker": "Check that this is intended: a weaker gate proves less.",
    "forbidden": "Restore it, or merge the change separately, with the approval of someone who may override this gate.",
    "untracked": "Add it to git, or track it with Git LFS or DVC.",
}
_NO_HISTORY = "this project has no git repository with a commit"
_CLONE = "Run the gate in a clone with the history (git clone, or fetch-depth: 0 for actions/checkout)."


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
        absent: why there is no history: no repository, none with a commit, or outside of CI a shallow clone.
    """

    findings: tuple[Finding, ...] = ()
    forbade: bool = False
    required: tuple[str, ...] = ()
    absent: str | None = None

    def of(self, gate: str | None) -> Iterator[Finding]:
        """Yield the findings on a gate of the file and on the whole project."""
        return (one for one in self.findings if one.gate in (None, gate))


class Past:
    """The project at the merge base.

    Args:
        home: the folder of the ini file, or pytest's rootdir without one.
        inis: where pytest looks for its ini file, in its order.
        ini: the ini file of today.
        ref: its ``ftgate_base_ref``, which counts once the base that a change cannot choose names it, too.
        in_ci: a shallow clone is to be mended, and not that of somebody who tries the project out.
    """

    def __init__(
        self, home: Path, inis: Sequence[Path], ini: Path | None, ref: str | None, *, in_ci: bool = True
    ) -> None:
        self._inis, self._ini, self._home = inis, ini, home
        self._then: Mapping[str, Any] = {}
        self._base: Base | None = None
        self._used: Path | None = None
        self._problem: FtgateError = HistoryError(_NO_HISTORY, cure=_CLONE)
        self._absent: str | None = None
        try:
            try:
                self._look(find_base(home))
            except HistoryError:
                if ref is None or requested() is not None:
                    raise
                self._look(find_base(home, ref))
            if ref is not None and self._then.get(_BASE_REF) == ref and requested() is None:
                self._look(find_base(home, ref))
            self._absent = None if self._base is not None else _NO_HISTORY
        except FtgateError as error:
            self._base, self._problem = None, error
            self._absent = error.what if isinstance(error, ShallowHistoryError) and not in_ci else None

    def _look(self, base: Base | None) -> None:
        """Find the ini file that pytest would have used at a base, and our keys in it."""
        self._base = base
        used = used_ini(base.existing(self._inis), base.content) if base is not None else None
        self._then = used.ours if used is not None else {}
        if used is not None:
            self._used, self._home = used.path, used.path.parent

    def compare(self, file: Path, used: Callable[[Path], Path]) -> Compared:
        """Compare a gate file, which may have been deleted, with those that its tests had at the merge base.

        ``used`` returns the gate file of the tests in a folder today. Tests below may have lost a nearer one.
        """
        base, hidden = self._base, isinstance(self._problem, HiddenHistoryError)
        forbade = hidden or _is_true(self._then.get(_FORBID))
        if base is None:
            return Compared((_unread(self._problem),), forbade, absent=self._absent)
        name, owed = str(self._then.get(_CONFIG, "ftgate.yaml")), _names(self._then.get(_REQUIRED))
        required, found = dict[str, None](), dict[Finding, None]()
        try:
            above = (one for one in places_of(name, file.parent, self._home) if base.content(one) is not None)
            lost = [one for one in base.named(name, file.parent) if used(one.parent) == file]
            after = load_gate_file(file) if file.exists() else None
            for was in dict.fromkeys((next(above, file), *lost)):
                content = base.content(was)
                before = load_gate_file(was, content, read=partial(_policy_then, base)) if content is not None else None
                names = before.gate_names if before else ()
                here = [one for one in names if not {"all", one}.isdisjoint(owed)]
                required |= dict.fromkeys(here)
                texts = [*self._ini_keys(after.gate_names if after else ())]
                if before is not None and after is not None and was != file:
                    texts.append(f"the gate file {shown_path(was)} is no longer used, but {shown_path(file)}")
                found |= {Finding("weaker", f"weaker than {base.name}: {text}"): None for text in texts}
                found |= dict.fromkeys(_gates(base, before, after, here))
        except FtgateError as error:
            return Compared((_unread(error, base),), forbade)
        return Compared(tuple(found), forbade, tuple(required))

    def _ini_keys(self, gates: Sequence[str]) -> Iterator[str]:
        """Yield the keys that require less than they did, and another ini file; ``gates`` are those of "all" now."""
        then, ini, used = self._then, self._ini, self._used
        today = used_ini([ini] if ini else [], Path.read_bytes)
        now = today.ours if today is not None else {}
        if then and used is not None and used != ini:
            yield f"the ini file {shown_path(used)} is no longer used, but {shown_path(ini) if ini else 'none'}"
        kept = {*_names(now.get(_REQUIRED)), *(gates if "all" in _names(now.get(_REQUIRED)) else ())}
        kept |= {f"{one}:ready" for one in kept}
        less = {key: str(then.get(key)) != str(now.get(key)) for key in (*then, _BASE_REF) if key not in _NO_PROMISE}
        less[_REQUIRED] = not {*_names(then.get(_REQUIRED))} <= kept
        less[_FORBID] = _is_true(then.get(_FORBID)) and not _is_true(now.get(_FORBID))
        for key in (one for one, is_less in less.items() if is_less):
            old, new = (" ".join(_names(one.get(key))) or "not set" for one in (then, now))
            yield f"ini {key}: {old} -> {new}{f' ({line_of(ini, key)})' if ini else ''}"


def _is_true(value: Any) -> bool:
    """Return whether a key is set to true, as pytest reads it."""
    return str(value).strip().lower() in ("1", "yes", "true", "on")


def _names(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else list(map(str, value if isinstance(value, list) else ()))


def _policy_then(base: Base, path: Path) -> bytes:
    """Return the content of a policy at the merge base, or as it is installed where git does not have it."""
    content = base.content(path)
    if content is None and base.tracks(path):
        raise HistoryError(f"the policy {shown_path(path)} is new, and {base.name} extends another one of this name")
    return path.read_bytes() if content is None else content


def _unread(error: FtgateError, base: Base | None = None, gate: str | None = None) -> Finding:
    what = f"could not compare with {base.name if base else 'the base branch'}: {error.headline}"
    return Finding("unread", what, gate, error.cure)


def _gates(base: Base, before: GateFile | None, after: GateFile | None, required: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings on the gates of two gate files."""
    was, now = (file.gate_names if file is not None else () for file in (before, after))
    gone = [name for name in was if name not in now]
    for name in gone:
        place = f" ({replace(before.where(('gates', name)), key=None)} at {base.name})" if before is not None else ""
        yield Finding("weaker", f"the gate {name} was removed{place}", name)
    if after is None:
        return
    owed = [name for name in gone if name in required]
    for name in now:
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
    for one in weakenings(then, now):
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
