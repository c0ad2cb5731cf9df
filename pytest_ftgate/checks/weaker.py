"""Compare the project with what it was at the merge base: its ini keys, gate file, gates, prompts and test sets.

Keys with a direction (``Weaker``) are compared by it. All others that a verdict rests on must be the same.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import md5, sha256
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pytest_ftgate.checks.goal import not_served
from pytest_ftgate.config import DataKeys, GateFile, GateKeys, ModelSpec, file_of, load_gate_file, places_of
from pytest_ftgate.config.keys import Keys, Weaker, comparable, words
from pytest_ftgate.config.metrics import CalibrationKeys, MetricSpec
from pytest_ftgate.config.requirements import CHANGEABLE, LEVELS, TokenCost
from pytest_ftgate.config.resolve import LEFT_OPEN, as_written
from pytest_ftgate.data import Example, canonical_json, load_examples, normalized_input
from pytest_ftgate.errors import FtgateError, HiddenHistoryError, HistoryError, shown_path
from pytest_ftgate.git import Base, find_base
from pytest_ftgate.ini_file import IniFile, line_of, used_ini
from pytest_ftgate.result import Check
from pytest_ftgate.text import excerpt, listed, plain_number, plural

_REQUIRED, _FORBID, _BASE_REF = "ftgate_required", "ftgate_forbid_weakening", "ftgate_base_ref"
_NO_PROMISE = ("ftgate_config", "ftgate_recordings", "ftgate_state")  # the gate file is compared itself
_APPROVED = "Restore it, or merge the change separately, with the approval of someone who may override this gate."
_CLONE = "Run the gate in a clone with the history (git clone, or fetch-depth: 0 for actions/checkout)."
_NO_GATES, _TRUE = b"version: 1", ("1", "yes", "true", "on")  # as pytest reads it
_POINTER = re.compile(rb"(?:version https://git-lfs|outs:)(?:.*\n)+?.*(?:sha256:|md5: )([0-9a-f]+)\s*$", re.MULTILINE)
"""The hash of a file in its pointer: that of Git LFS in its place, that of DVC beside it."""
_OPERATION = {"name", "concurrency", "timeout_s", "retries", "api_key_env"}
"""Keys of a model that do not change its answers; its price counts where the gate limits costs."""
_TOLD = ("system_file", "rubric_file", "calibration")  # files of what baselines and judges are told
_COMPARED = ("test_set", "training_set", "thresholds", "guards", "slices", *comparable(GateKeys))


@dataclass(frozen=True)
class Finding:
    """What is weaker, could not be compared, is not in git, or is only a note; on one gate, or on all (None)."""

    gate: str | None
    text: str
    cure: str | None = _APPROVED
    name: Literal["weakened", "untracked", "note"] = "weakened"
    owed: bool = False  # the gate is gone, and was required at the merge base

    @classmethod
    def weaker(cls, than: str, text: str, place: str = "", gate: str | None = None, *, owed: bool = False) -> "Finding":
        """Return that something at a ``place`` requires less ``than`` something else."""
        return cls(gate, f"weaker than {than}: {text}{f' ({place})' if place else ''}", owed=owed)

    def check(self, *, forbidden: bool) -> Check:
        """Return the finding as a check of a gate."""
        if self.name == "note":
            return Check("weakened", "note", self.text)
        source = f"ini {_FORBID}" if forbidden else None
        return Check(self.name, "fail" if forbidden else "warning", self.text, source=source, advice=self.cure)


@dataclass(frozen=True)
class Compared:
    """What was found of one gate file, and whether weakening was forbidden at the merge base."""

    findings: tuple[Finding, ...] = ()
    forbade: bool = False
    absent: bool = False  # there is no history, which is no problem where nothing is required


def compare(
    file: Path, used: Callable[[Path], Path], home: Path, inis: Sequence[Path], ini: Path | None,
    ref: str | None = None, *, in_ci: bool = True,
) -> Compared:  # fmt: skip
    """Compare a gate file, which may have been deleted, with those that its tests had at the merge base.

    Args:
        used: returns the gate file of the tests in a folder today; tests below may have lost a nearer one.
        home: the folder of the ini file, or pytest's rootdir without one.
        inis: where pytest looks for its ini file, in its order; ``ini`` is the one of today.
        ref: its ``ftgate_base_ref``, which counts once the base that a change cannot choose names it, too.
        in_ci: a shallow clone is to be mended, and not that of somebody who tries the project out.
    """
    base, was, found, forbade, absent = None, None, list[Finding](), False, False
    try:
        with suppress(HistoryError):
            base, was = _past(home, inis, None, in_ci)
        if base is None or (was is not None and was.ours.get(_BASE_REF, "") == ref):
            base, was = _past(home, inis, ref, in_ci)
        if absent := base is None:
            raise HistoryError("there is no git history", cure=_CLONE)
        then, home = (was.ours, was.path.parent) if was is not None else ({}, home)
        forbade, owed = str(then.get(_FORBID)).strip().lower() in _TRUE, _names(then.get(_REQUIRED))
        name = str(then.get("ftgate_config", "ftgate.yaml"))
        above = (one for one in places_of(name, file.parent, home) if base.content(one) is not None)
        below = (Path(one) for one in base.files if one.endswith(name))
        lost = sorted(at for at in below if at.name == name and home in at.parents and used(at.parent) == file)
        after = load_gate_file(file, None if file.exists() else _NO_GATES)
        found += _ini_keys(base, was, ini, after.gate_names)
        for one in dict.fromkeys([*islice(above, 1), *lost] or [file]):
            content, read = base.content(one), partial(_policy_then, base)
            before = load_gate_file(one, _NO_GATES if content is None else content, read=read)
            if one != file and file.exists():
                text = f"the gate file {shown_path(one)} is no longer used, but {shown_path(file)}"
                found.append(Finding.weaker(base.name, text))
            found += _gates(base, before, after, owed)
        found += _untracked(base, file) if file.exists() else ()
    except FtgateError as error:
        forbade = forbade or isinstance(error, HiddenHistoryError)
        than = base.name if base is not None else "the base branch"
        found.append(Finding(None, f"could not compare with {than}: {error.headline}", error.cure))
    return Compared(tuple(dict.fromkeys(found)), forbade, absent)


def _past(home: Path, inis: Sequence[Path], ref: str | None, in_ci: bool) -> tuple[Base | None, IniFile | None]:
    """Return the merge base, and the ini file that pytest would have used there."""
    base = find_base(home, ref, in_ci=in_ci)
    return base, used_ini(inis, base.content) if base else None


def _ini_keys(base: Base, was: IniFile | None, ini: Path | None, gates: Sequence[str]) -> Iterator[Finding]:
    """Yield the keys that require less than they did, and another ini file; ``gates`` are those of "all" now."""
    today = used_ini([ini] if ini is not None else [], Path.read_bytes)
    then, now = (one.ours if one is not None else {} for one in (was, today))
    if then and was is not None and was.path != ini:
        instead = shown_path(ini) if ini is not None else "none"
        yield Finding.weaker(base.name, f"the ini file {shown_path(was.path)} is no longer used, but {instead}")
    kept = {*_names(now.get(_REQUIRED)), *(gates if "all" in _names(now.get(_REQUIRED)) else ())}
    less = {key: str(then.get(key)) != str(now.get(key)) for key in (*then, _BASE_REF) if key not in _NO_PROMISE}
    less[_REQUIRED] = not {*_names(then.get(_REQUIRED))} <= kept | {f"{one}:ready" for one in kept}
    less[_FORBID] = [str(one.get(_FORBID)).strip().lower() in _TRUE for one in (then, now)] == [True, False]
    for key in (one for one, is_less in less.items() if is_less):
        old, new = (" ".join(_names(one.get(key))) or "not set" for one in (then, now))
        yield Finding.weaker(base.name, f"ini {key}: {old} -> {new}", str(line_of(ini, key)) if ini is not None else "")


def _names(value: Any) -> list[str]:
    return shlex.split(value) if isinstance(value, str) else list(map(str, value if isinstance(value, list) else ()))


def _policy_then(base: Base, path: Path) -> bytes:
    """Return the content of a policy at the merge base, or as it is installed where git does not have it."""
    content = base.content(path)
    if content is None and base.tracks(path):
        raise HistoryError(f"the policy {shown_path(path)} is new, and {base.name} extends another one of this name")
    return path.read_bytes() if content is None else content


def _gates(base: Base, before: GateFile, after: GateFile, required: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings on the gates of two gate files; ``required`` were these at the merge base."""
    gone = [name for name in before.gate_names if name not in after.gate_names]
    owed = [name for name in gone if not {"all", name}.isdisjoint(required)]
    for name in gone:
        place = f"{replace(before.where(('gates', name)), key=None)} at {base.name}"
        yield Finding.weaker(base.name, f"the gate {name} was removed", place, name, owed=name in owed)
    for name in after.gate_names:
        if name not in before.gate_names:
            lost = f"; gone are the required gates {', '.join(owed)}" if owed else ""
            yield Finding(name, f"the gate {name} is new: {base.name} has nothing to compare with{lost}", name="note")
            continue
        then, now = as_written(before, name), as_written(after, name)
        for key, text in weakenings(then, now).items():
            old = then.place_of(key)
            yield Finding.weaker(base.name, text, now.place_of(key) or (old and f"{old} at {base.name}"), name)
        was, sets = (
            {"test_set": gate.test_set} | {f"guards.{role}.test_set": one.test_set for role, one in gate.guards.items()}
            for gate in (then, now)
        )
        files = [(key, file) for key, data in sets.items() if (file := file_of(data)) and file.path.is_file()]
        for key, file in files:  # what is not there is reported where it is read
            if (earlier := file_of(was.get(key))) and earlier.path == file.path:
                for is_more, text in _examples(base, file, then.slices.fields if then.slices else ()):
                    weaker = Finding.weaker(base.name, f"{key}: {text}", now.place_of(key), name)
                    yield Finding(name, text, name="note") if is_more else weaker
            yield from _untracked(base, file.path, name)
        specs: list[Any] = [*now.baselines.values(), *now.judges, *now.judged_metrics.values()]
        told = [one for spec in specs for key, one in spec.options.items() if key in _TOLD]
        for path in (path for path in (Path(getattr(one, "path", one)) for one in told) if path.is_file()):
            if base.content(path) not in (None, path.read_bytes()):
                yield Finding.weaker(base.name, f"{shown_path(path)} was changed", gate=name)


def _untracked(base: Base, path: Path, gate: str | None = None) -> Iterator[Finding]:
    if not base.tracks(path) and not base.tracks(path.with_name(f"{path.name}.dvc")):
        cure = "Add it to git, or track it with Git LFS or DVC."
        yield Finding(gate, f"{shown_path(path)} is not in git, so changes cannot be detected", cure, "untracked")


def _examples(base: Base, data: DataKeys, sliced: Sequence[str]) -> Iterator[tuple[bool, str]]:
    """Yield whether the examples of a test set are only more, and what became of them; may raise a FtgateError."""
    path, shown = data.path, shown_path(data.path)
    then, now = base.content(path), path.read_bytes()
    pointer = _POINTER.match((base.content(path.with_name(f"{path.name}.dvc")) if then is None else then) or b"")
    if pointer and pointer[1].decode() not in (sha256(now).hexdigest(), md5(now, usedforsecurity=False).hexdigest()):
        raise HistoryError(f"{shown} has changed, and its examples at {base.name} are not in git")
    if then is None and base.tracks(path):
        yield True, f"{shown} is new"
    if pointer or then is None or then == now:
        return
    read = partial(load_examples, format=data.format, fields=data.fields, limit=data.limit, labeled=False, repeats=True)
    with TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(then)
        old, new = read(copy), read(path)

    grouped, named = any(one.group is not None for one in old), any(one.has_own_id for one in old)

    def state(one: Example, like: Example) -> str:  # what is judged; it may get fields
        fields = [one.fields.get(key) for key in (*like.fields, *sliced)]
        return canonical_json([normalized_input(one.input), one.expected, one.group if grouped else None, fields])

    later = {one.id if named else normalized_input(one.input): one for one in new}
    counts: dict[str, list[str]] = {}
    for one in old:
        other = later.get(one.id if named else normalized_input(one.input))
        if other is None or state(one, one) != state(other, one):
            counts.setdefault("removed" if other is None else "changed", []).append(one.id)
    if counts:
        told = ", ".join(f"{len(those):,} {what} ({listed(those, 3)})" for what, those in counts.items())
        yield False, f"{plural(len(old), 'example')} of {shown} -> {told}"
    elif len(new) > len(old):
        yield True, f"{shown}: {plural(len(new) - len(old), 'example')} added"


def weakenings(before: GateKeys, after: GateKeys, *, of_marker: bool = False) -> dict[str, str]:
    """Return the keys in which ``after`` is weaker, and both values: ``{"margin": "margin: 0.1 -> 0.02"}``.

    Effective values count, defaults included. What ``before`` leaves to markers is not compared. Another candidate or
    training set is not weaker, because these are judged; ``of_marker``: the gate after is that of a marker, for which
    another training set counts, too.
    """
    found: dict[str, str] = {}
    spent = before.economics if before.economics and before.economics.max_break_even_days is not None else None
    priced = before.cheaper_by is not None or "cost_usd" in before.thresholds or spent is not None
    unlike = _OPERATION if priced else {*_OPERATION, "price"}
    left, leaves = ({key for key, one in gate.sources.items() if one == LEFT_OPEN} for gate in (before, after))

    def walk(key: str, old: Any, new: Any, direction: Weaker | None = None) -> None:
        (one, inside), (other, within) = _parts(old, unlike), _parts(new, unlike)
        if one == other:
            directions = comparable(type(old)) if isinstance(old, Keys) else {}
            for name in {**(inside or {}), **(within or {})}:
                walk(f"{key}.{name}", (inside or {}).get(name), (within or {}).get(name), directions.get(name))
        elif direction.asks_less(one, other) if direction else one is not None or within is None:
            texts = [_shown(one) or (direction and direction.unwritten) or "not given", _shown(other) or "removed"]
            # of long texts what is near the first difference
            at = next((at for at, pair in enumerate(zip(*texts, strict=False)) if len({*pair}) > 1), 0)
            found[key] = f"{key}: {' -> '.join(excerpt(text, at) for text in texts)}"

    for name, model in before.baselines.items():
        like = [role for role, one in after.baselines.items() if _parts(one, unlike) == _parts(model, unlike)]
        role = max(like, key=lambda one: after.standard_of(one).gain, default=name)
        if "baselines" not in left:
            later = None if "baselines" in leaves else after.baselines.get(role)
            walk("baseline" if name == "baseline" else f"baselines.{name}", model, later)
        was, now = before.standard_of(name), after.standard_of(role)
        if was.path not in left and (now.path in leaves or now.gain < was.gain):
            named = "{1}" if was.key == now.key else "{0} {1}"
            old, new = (named.format(one.key, plain_number(abs(one.gain))) for one in (was, now))
            found[now.path] = f"{now.path}: {old} -> {'removed' if now.path in leaves else new}"
    apart = {"margin", "max_drop", *([] if before.matches == after.matches else ["evidence"])}
    for key in (one for one in _COMPARED if one not in apart | left):
        walk(key, getattr(before, key), None if key in leaves else getattr(after, key), comparable(GateKeys).get(key))
    if not of_marker:
        found.pop("training_set", None)
    walk("economics", spent, after.economics)
    for name in CHANGEABLE:
        walk(f"checks.{name}", before.level(name), after.level(name), words(*LEVELS))
    if after.goal == "format" or not_served(before.goal) > not_served(after.goal):  # for a format, form is no flaw
        walk("goal", before.goal, after.goal)
    walk("metric", before.decided_by, after.decided_by)
    for name in {**before.thresholds, **before.judged_metrics}:
        if name != before.decided_by.name and name in {**after.thresholds, **after.judged_metrics}:
            walk(name, before.metric_named(name), after.metric_named(name))
    if priced and before.candidate.spelling == after.candidate.spelling:
        walk("candidate.price", *(one.candidate.options.get("price") for one in (before, after)))
    return found


def _parts(value: Any, unlike: set[str]) -> tuple[Any, dict[str, Any] | None]:
    """Return what a value is, and the values within it by key; None within what has no keys, and for nothing."""
    if isinstance(value, ModelSpec):
        options = {"provider": value.provider, **value.options}
        return value.spelling, {key: one for key, one in options.items() if key not in unlike and one != {}}
    if isinstance(value, MetricSpec):
        return value.name, dict(value.options)
    if isinstance(value, Keys):
        inner = {name: getattr(value, name) for name in type(value).model_fields if name != "file"}
        return (value.path if isinstance(value, DataKeys | CalibrationKeys) else "given"), inner
    if isinstance(value, Mapping) and all(isinstance(one, Keys) for one in value.values()):
        return "", dict(value)
    is_written = value is None or isinstance(value, str | int | float | list | tuple | Mapping | Path | TokenCost)
    return (value if is_written else "a Python object"), None


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if value is None or isinstance(value, float):
        return "" if value is None else plain_number(value)
    return "fail above a limit" if value == "limit" else shown_path(value) if isinstance(value, Path) else str(value)
