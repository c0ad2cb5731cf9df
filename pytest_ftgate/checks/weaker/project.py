"""Compare the project with what it was at the merge base: its ini keys, its gate file, and its test sets."""

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import md5, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pytest_ftgate.checks.weaker.base import Base, HiddenHistoryError, find_base
from pytest_ftgate.checks.weaker.gates import weakenings
from pytest_ftgate.config import DataKeys, GateFile, GateKeys, as_written, file_of, load_gate_file, places_of
from pytest_ftgate.data import canonical_json, load_examples, normalized_input
from pytest_ftgate.errors import FtgateError, HistoryError, shown_path
from pytest_ftgate.ini_file import IniFile, line_of, used_ini
from pytest_ftgate.result import Check
from pytest_ftgate.text import listed, plural

_CONFIG, _REQUIRED, _FORBID = "ftgate_config", "ftgate_required", "ftgate_forbid_weakening"
_BASE_REF = "ftgate_base_ref"
_NO_PROMISE = (_CONFIG, "ftgate_recordings", "ftgate_state")  # the gate file is compared itself
_APPROVED = "Restore it, or merge the change separately, with the approval of someone who may override this gate."
_CLONE = "Run the gate in a clone with the history (git clone, or fetch-depth: 0 for actions/checkout)."
_POINTER = re.compile(rb"(?:version https://git-lfs|outs:)(?:.*\n)+?.*(?:sha256:|md5: )([0-9a-f]+)\s*$", re.MULTILINE)
"""The hash of a file in its pointer: that of Git LFS in its place, that of DVC beside it."""


@dataclass(frozen=True)
class Finding:
    """What is weaker, could not be compared, is not in git, or is only a note; on one gate, or on all (None).

    ``owed``: the gate is gone, and was required at the merge base.
    """

    gate: str | None
    text: str
    cure: str | None = _APPROVED
    name: Literal["weakened", "untracked", "note"] = "weakened"
    owed: bool = False

    def check(self, *, forbidden: bool) -> Check:
        """Return the finding as a check of a gate."""
        if self.name == "note":
            return Check("weakened", "note", self.text)
        source = f"ini {_FORBID}" if forbidden else None
        return Check(self.name, "fail" if forbidden else "warning", self.text, source=source, advice=self.cure)


@dataclass(frozen=True)
class Compared:
    """What was found of one gate file, and whether weakening was forbidden at the merge base.

    ``absent``: there is no history, which is no problem where nothing is required.
    """

    findings: tuple[Finding, ...] = ()
    forbade: bool = False
    absent: bool = False


def compare(
    file: Path, used: Callable[[Path], Path], home: Path, inis: Sequence[Path], ini: Path | None,
    ref: str | None = None, *, in_ci: bool = True,
) -> Compared:  # fmt: skip
    """Compare a gate file, which may have been deleted, with those that its tests had at the merge base.

    Args:
        file: the gate file of today.
        used: returns the gate file of the tests in a folder today; tests below may have lost a nearer one.
        home: the folder of the ini file, or pytest's rootdir without one.
        inis: where pytest looks for its ini file, in its order.
        ini: the ini file of today.
        ref: its ``ftgate_base_ref``, which counts once the base that a change cannot choose names it, too.
        in_ci: a shallow clone is to be mended, and not that of somebody who tries the project out.
    """
    base, found, forbade, absent = None, list[Finding](), False, False
    try:
        base, was = _past(home, inis, ref, in_ci=in_ci)
        if absent := base is None:
            raise HistoryError("there is no git history", cure=_CLONE)
        then, home = (was.ours, was.path.parent) if was is not None else ({}, home)
        forbade, owed = _is_true(then.get(_FORBID)), _names(then.get(_REQUIRED))
        places = places_of(str(then.get(_CONFIG, "ftgate.yaml")), file.parent, home)
        below = sorted(Path(one) for one in base.files if one.startswith(f"{file.parent}{os.sep}"))
        lost = [one for one in below if one.name == file.name and used(one.parent) == file]
        after = load_gate_file(file) if file.exists() else None
        found += _ini_keys(base, was, ini, after.gate_names if after is not None else ())
        for one in dict.fromkeys([*[one for one in places if str(one) in base.files][:1], *lost] or [file]):
            content, read = base.content(one), partial(_policy_then, base)
            before = load_gate_file(one, content, read=read) if content is not None else None
            if before is not None and after is not None and one != file:
                found += _weaker(base, f"the gate file {shown_path(one)} is no longer used, but {shown_path(file)}")
            found += _gates(base, before, after, owed)
    except FtgateError as error:
        forbade = forbade or isinstance(error, HiddenHistoryError)
        name = base.name if base is not None else "the base branch"
        found.append(Finding(None, f"could not compare with {name}: {error.headline}", error.cure))
    return Compared(tuple(dict.fromkeys(found)), forbade, absent)


def _past(home: Path, inis: Sequence[Path], ref: str | None, *, in_ci: bool) -> tuple[Base | None, IniFile | None]:
    """Return the merge base, and the ini file that pytest would have used there."""

    def past(ref: str | None) -> tuple[Base | None, IniFile | None]:
        base = find_base(home, ref, in_ci=in_ci)
        return base, used_ini((one for one in inis if str(one) in base.files), base.content) if base else None

    try:
        base, ini = past(None)
    except HistoryError:
        base, ini = past(ref)
    return past(ref) if ref is not None and ini is not None and ini.ours.get(_BASE_REF) == ref else (base, ini)


def _ini_keys(base: Base, was: IniFile | None, ini: Path | None, gates: Sequence[str]) -> Iterator[Finding]:
    """Yield the keys that require less than they did, and another ini file; ``gates`` are those of "all" now."""
    today = used_ini([ini] if ini is not None else [], Path.read_bytes)
    then, now = (one.ours if one is not None else {} for one in (was, today))
    if then and was is not None and was.path != ini:
        instead = shown_path(ini) if ini is not None else "none"
        yield from _weaker(base, f"the ini file {shown_path(was.path)} is no longer used, but {instead}")
    kept = {*_names(now.get(_REQUIRED)), *(gates if "all" in _names(now.get(_REQUIRED)) else ())}
    less = {key: str(then.get(key)) != str(now.get(key)) for key in (*then, _BASE_REF) if key not in _NO_PROMISE}
    less[_REQUIRED] = not {*_names(then.get(_REQUIRED))} <= kept | {f"{one}:ready" for one in kept}
    less[_FORBID] = _is_true(then.get(_FORBID)) and not _is_true(now.get(_FORBID))
    for key in (one for one, is_less in less.items() if is_less):
        old, new = (" ".join(_names(one.get(key))) or "not set" for one in (then, now))
        yield from _weaker(base, f"ini {key}: {old} -> {new}", str(line_of(ini, key)) if ini is not None else "")


def _is_true(value: Any) -> bool:
    return str(value).strip().lower() in ("1", "yes", "true", "on")  # as pytest reads it


def _names(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else list(map(str, value if isinstance(value, list) else ()))


def _policy_then(base: Base, path: Path) -> bytes:
    """Return the content of a policy at the merge base, or as it is installed where git does not have it."""
    content = base.content(path)
    if content is None and base.tracks(path):
        raise HistoryError(f"the policy {shown_path(path)} is new, and {base.name} extends another one of this name")
    return path.read_bytes() if content is None else content


def _weaker(
    base: Base, text: str, place: str = "", gate: str | None = None, *, owed: bool = False
) -> Iterator[Finding]:
    yield Finding(gate, f"weaker than {base.name}: {text}{f' ({place})' if place else ''}", owed=owed)


def _gates(base: Base, before: GateFile | None, after: GateFile | None, required: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings on the gates of two gate files; ``required`` were these at the merge base."""
    now = after.gate_names if after is not None else ()
    was = {} if before is None else {name: not {"all", name}.isdisjoint(required) for name in before.gate_names}
    for name in (one for one in was if one not in now):
        place = str(replace(before.where(("gates", name)), key=None)) if before is not None else ""
        yield from _weaker(base, f"the gate {name} was removed", place, name, owed=was[name])
    gone = ", ".join(name for name, owed in was.items() if owed and name not in now)
    for name in now:
        if before is not None and after is not None and name in was:
            yield from _gate(base, name, as_written(before, name), as_written(after, name))
        else:
            text = f"the gate {name} is new: {base.name} has nothing to compare with"
            yield Finding(name, f"{text}; gone are the required gates {gone}" if gone else text, name="note")
    if after is not None:
        yield from _untracked(base, after.path)


def _untracked(base: Base, path: Path, gate: str | None = None) -> Iterator[Finding]:
    if not base.tracks(path) and not base.tracks(path.with_name(f"{path.name}.dvc")):
        cure = "Add it to git, or track it with Git LFS or DVC."
        yield Finding(gate, f"{shown_path(path)} is not in git, so changes cannot be detected", cure, "untracked")


def _gate(base: Base, name: str, then: GateKeys, now: GateKeys) -> Iterator[Finding]:
    """Yield the findings on two versions of a gate, and on their test sets."""
    for key, text in weakenings(then, now).items():
        yield from _weaker(base, text, now.place_of(key) or then.place_of(key), name)
    was, sets = (
        {"test_set": gate.test_set, **{f"guards.{role}.test_set": one.test_set for role, one in gate.guards.items()}}
        for gate in (then, now)
    )
    for key, data in sets.items():
        if (file := file_of(data)) is None or not file.path.is_file():
            continue  # reported where it is read
        if (earlier := file_of(was.get(key))) is not None and earlier.path == file.path:
            for added, text in _examples(base, file, then.slices.fields if then.slices else ()):
                weaker = _weaker(base, f"{key}: {text}", now.place_of(key), name)
                yield from [Finding(name, text, name="note")] if added else weaker
        yield from _untracked(base, file.path, name)


def _examples(base: Base, data: DataKeys, sliced: Collection[str]) -> Iterator[tuple[bool, str]]:
    """Yield what became of the examples of a test set, and whether they are only more.

    Raises:
        FtgateError: they cannot be compared.
    """
    path, shown = data.path, shown_path(data.path)
    then, now = base.content(path), path.read_bytes()
    pointer = _POINTER.match((base.content(path.with_name(f"{path.name}.dvc")) if then is None else then) or b"")
    if pointer and pointer[1].decode() not in (sha256(now).hexdigest(), md5(now, usedforsecurity=False).hexdigest()):
        raise HistoryError(f"{shown} has changed, and its examples at {base.name} are not in git")
    if pointer or then is None or then == now:
        return
    read = partial(load_examples, format=data.format, fields=data.fields, limit=data.limit, labeled=False, repeats=True)
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(then)
        old, new = read(copy), read(path)
    grouped = any(one.group is not None for one in old)
    judged = {  # what a gate judges an answer by: label, group, and the fields that make slices
        id(one): canonical_json([one.expected, one.group if grouped else None, *map(one.fields.get, sliced)])
        for one in (*old, *new)
    }
    ids, answers = {one.id for one in new}, {normalized_input(one.input): judged[id(one)] for one in new}
    counts: dict[str, list[str]] = {}
    for one in old:
        answer = answers.get(normalized_input(one.input))
        if answer is None:
            counts.setdefault("with another input" if one.id in ids else "removed", []).append(one.id)
        elif answer != judged[id(one)]:
            counts.setdefault("relabelled", []).append(one.id)
    if counts:
        told = ", ".join(f"{len(those):,} {what} ({listed(those, 3)})" for what, those in counts.items())
        yield False, f"{plural(len(old), 'example')} of {shown} -> {told}"
    elif len(new) > len(old):
        yield True, f"{shown}: {plural(len(new) - len(old), 'example')} added"
