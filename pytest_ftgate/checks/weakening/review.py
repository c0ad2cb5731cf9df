"""Check a gate, and everything that it reads, against its version at the merge base."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import md5, sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_ftgate.checks.weakening.code import baseline_key, code_files, deciding, same_code, with_imports
from pytest_ftgate.checks.weakening.comparison import (
    Weakening,
    other_prices,
    same_baselines,
    shared_confidence,
    weakenings,
)
from pytest_ftgate.checks.weakening.history import FETCH, Base, find_base
from pytest_ftgate.checks.weakening.ini import NOT_SET, ini_files, ini_keys, ini_weakenings, is_true, keys_then
from pytest_ftgate.errors import FtgateError, HistoryError, shown_path
from pytest_ftgate.ini_file import line_of
from pytest_ftgate.result import Check, Status
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile, GateKeys, MetricSpec, ModelSpec

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_DVC = re.compile(rb"^(?:- | +)md5: ([0-9a-f]{32})\s*$", re.MULTILINE)
"""The hash in a file that DVC writes beside the data it keeps."""

_HASH_SHOWN = 8
_FILES_SHOWN = 5

_PROMPT = ".system_file"
"""Files in which an added line counts as a change, unlike in recordings: it may override all others."""

_FORBIDS = "ini ftgate_forbid_weakening"
_MAY_CHANGE = ("candidate", "candidates", "training_set", "fixture ftgate_candidate", "fixture ftgate_training_set")
"""Keys whose code is named where it changed, and may change: it belongs to what is judged."""


@dataclass(frozen=True)
class Past:
    """The project at the merge base.

    Attributes:
        ref: the name of the target branch.
        file: the gate file; None if it did not exist or could not be read.
        problem: why it could not be read, or why there is nothing to compare with.
        absent: there is no history: no repository, or none with a commit.
        unseen: why only a part of the change could be seen.
        content: returns the bytes of any file at the merge base, None if it did not exist; raises
            :class:`HistoryError`.
        base: the merge base.
        weaker: the ini keys that require less than they did.
        forbade: the ini forbade weakening then; a change cannot permit itself to be weaker.
        recordings: the folders of recorded answers, then and now.
        untracked: the gate file, if git has it neither then nor now.
    """

    ref: str = ""
    file: GateFile | None = None
    problem: FtgateError | None = None
    absent: bool = False
    unseen: str | None = None
    content: Callable[[Path], bytes | None] = lambda path: None  # noqa: ARG005
    base: Base | None = None
    weaker: tuple[Weakening, ...] = ()
    forbade: bool = False
    recordings: tuple[Path, Path] | None = None
    untracked: Path | None = None


@dataclass(frozen=True)
class Ini:
    """Where the ini keys of today are written.

    Attributes:
        folder: pytest's rootdir.
        file: the ini file, None without one.
        ref: ``ftgate_base_ref``.
        recordings: the folder of ``ftgate_recordings``.
    """

    folder: Path
    file: Path | None = None
    ref: str | None = None
    recordings: Path | None = None


_LITERAL = "Write the values in the marker or the gate file, so that they can be compared."
_NO_REPOSITORY = HistoryError(
    "this project is not in a git repository with a commit",
    cure="Run the gate in a clone with the history (git clone, or fetch-depth: 0 for actions/checkout).",
)


def look_back(path: Path, ini: Ini) -> Past:
    """Return the project at the merge base.

    Args:
        path: the gate file, which may have been deleted.
        ini: the ini keys of today.
    """
    from pytest_ftgate.config import load_gate_file

    try:
        home = path.parent if path.exists() else ini.folder
        base = find_base(home, ini.ref)
        if base is None:
            return Past(absent=True)
        inis = ini_files(ini.folder, ini.file)
        base.read([*inis, path])
        then = keys_then(base.content, inis)
        weaker, forbade = _ini_changes(base, ini, inis, then, path), is_true(then.get("ftgate_forbid_weakening"))
        now = ini.recordings or ini.folder
        folder = then.get("ftgate_recordings")
        recordings = (ini.folder / str(folder), now) if folder else None
        past = Past(base.ref, None, None, False, base.unseen, base.content, base, weaker, forbade, recordings)
        was = path
        if base.content(path) is None and (named := ini.folder / str(then.get("ftgate_config", "ftgate.yaml"))) != path:
            was = named  # the file was renamed together with its ini key
        content = base.content(was)
        if content is None and path.exists() and not base.tracks(path):
            return replace(past, untracked=path)
    except HistoryError as error:
        return Past(problem=error)
    try:
        return replace(past, file=load_gate_file(was, content) if content is not None else None)
    except FtgateError as error:
        return replace(past, problem=error)


def _ini_changes(base: Base, ini: Ini, inis: list[Path], then: Mapping[str, Any], path: Path) -> tuple[Weakening, ...]:
    """Return the ini keys that require less than at the merge base."""
    from pytest_ftgate.config import load_gate_file

    written = ini.file.read_bytes() if ini.file is not None and ini.file.exists() else b""
    now = (ini_keys(ini.file, written) if ini.file is not None else None) or {}
    try:
        gates = load_gate_file(path).gate_names if path.exists() else ()
    except FtgateError:
        gates = ()  # reported by the gates that need the file
    found = [*ini_weakenings(then, now, gates)]
    if ini.ref is not None and (base.is_head or then.get("ftgate_base_ref") != ini.ref):
        try:
            usual = find_base(base.root, None)
        except HistoryError:
            usual = None
        other = usual is not None and usual.commit != base.commit
        chosen = keys_then(usual.content, inis).get("ftgate_base_ref") if usual is not None else None
        if other and chosen != ini.ref:  # a change cannot choose what it is compared with
            found.append(Weakening("ini ftgate_base_ref", str(chosen or NOT_SET), ini.ref))
    if ini.file is None:
        return tuple(found)
    return tuple(replace(one, where=str(line_of(ini.file, one.key.removeprefix("ini ")))) for one in found)


@dataclass(frozen=True)
class Earlier:
    """What a test's gate was at the merge base.

    Attributes:
        gates: the gate as it was judged then; several where it is not known which test became this one; none for a
            new gate.
        unread: the parts that could not be read, such as markers without literal values.
    """

    gates: tuple[GateKeys, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remark:
    """A finding besides keys with a weaker value."""

    kind: Literal["unread", "changed", "suspect", "untracked", "note"]
    text: str


def review_checks(
    past: Past,
    gate: str,
    *,
    earlier: Callable[[Past], Earlier],
    after: GateKeys,
    loosened: Sequence[Weakening] = (),
    code: Sequence[tuple[str, Path]] = (),
    forbidden: bool = False,
    owed: bool = False,
) -> tuple[Check, ...]:
    """Return the checks that the gate is not weaker than at the merge base, nor than the gate file; none if all is
    as it was.

    Args:
        past: the project at the merge base.
        gate: the gate's name.
        earlier: returns what the gate was then.
        after: the gate that is judged.
        loosened: the keys in which a marker or fixture is weaker than the gate file of today.
        code: the files of fixtures and hooks, by their names.
        forbidden: whether a weaker gate fails.
        owed: whether the project requires gates.
    """
    forbidden = forbidden or past.forbade
    remarks: list[Remark] = []
    problem = _NO_REPOSITORY if past.absent else past.problem
    if problem is not None:
        if forbidden or owed or not past.absent:
            remarks.append(Remark("unread", _unread(problem)))
        return _checks([], _below(loosened), remarks, past, forbidden=forbidden, cure=problem.cure)
    then, changes, cure = Earlier(), list[Weakening | Remark](), None
    try:
        then = earlier(past)
        remarks += [Remark("unread", f"could not be compared with {past.ref}: {text}") for text in then.unread]
        cure = _LITERAL if then.unread else None
        for old in then.gates:
            changes += _placed(old, after, past.ref)
            changes += (Remark("note", text) for text in shared_confidence(old, after))
            changes += (Remark("changed", text) for text in other_prices(old, after))
            changes += _contents(old, after, past)
        if then.gates:
            changes += [*past.weaker, *_code(after, code, past), *_recordings(past)]
    except FtgateError as error:
        remarks.append(Remark("unread", _unread(error)))
        cure = error.cure
    if not then.gates and not remarks:
        new = Remark("note", f"the gate {gate} does not exist at {past.ref}: nothing to compare")
        apart = past.untracked if after.gate is not None else None
        remarks.append(new if apart is None else Remark("untracked", shown_path(apart)))
    remarks += [one for one in dict.fromkeys(changes) if isinstance(one, Remark)]
    if past.unseen:
        remarks.append(Remark("unread", past.unseen))
        cure = cure or FETCH
    weaker = [told(one) for one in dict.fromkeys(changes) if isinstance(one, Weakening)]
    below = _below([one for one in loosened if one not in changes])
    return _checks(weaker, below, remarks, past, forbidden=forbidden, cure=None if weaker or below else cure)


def _below(loosened: Sequence[Weakening]) -> list[str]:
    listed = "; ".join(map(told, loosened))
    return [f"the marker or fixture requires less than the gate file: {listed}"] if listed else []


def told(one: Weakening) -> str:
    return f"{one} ({one.where})" if one.where else str(one)


def _unread(error: FtgateError) -> str:
    return f"the gate could not be compared with its earlier version: {error.headline}"


def _checks(
    weaker: Sequence[str],
    below: Sequence[str],
    remarks: Sequence[Remark],
    past: Past,
    *,
    forbidden: bool,
    cure: str | None = None,
) -> tuple[Check, ...]:
    texts: dict[str, list[str]] = {}
    for one in remarks:
        texts.setdefault(one.kind, []).append(one.text)
    unread, notes = texts.get("unread", []), texts.get("note", [])
    worse: Status = "fail" if forbidden else "warning"
    source = _FORBIDS if forbidden else None
    found = [f"this change weakens the gate compared with {past.ref}: {'; '.join(weaker)}"] if weaker else []
    found += [*below, *unread]
    checks = []
    if found:
        advice = cure or "Check that this is intended: a weaker gate proves less."
        if forbidden and not cure:
            advice = (
                "Restore it, or merge the change separately, with the approval of someone who may override this gate."
            )
        count = len(weaker) + len(below)
        message = "; ".join([*found, *notes])
        checks.append(Check("weakened", worse, message, count or None, 0 if count else None, source, advice))
    elif notes:
        checks.append(Check("weakened", "note", "; ".join(notes)))
    suspect, changed = texts.get("suspect", []), texts.get("changed", [])
    if suspect or changed:
        message = f"this gate depends on what has changed since {past.ref}: {_listed([*suspect, *changed])}"
        advice = "Review these changes: their effect on the gate cannot be compared."
        failing = forbidden and bool(suspect)
        status: Status = "fail" if failing else "warning"
        cause = source if failing else None
        checks.append(Check("changed", status, message, len(suspect) + len(changed), None, cause, advice))
    untracked = texts.get("untracked", [])
    if untracked:
        verb = "is" if len(untracked) == 1 else "are"
        message = f"{', '.join(untracked)} {verb} not in git at {past.ref}, so changes cannot be detected"
        advice = "Add it to git, or track it with Git LFS or DVC."
        checks.append(Check("untracked", worse, message, len(untracked), None, source, advice))
    return tuple(checks)


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _FILES_SHOWN
    return "; ".join([*texts[:_FILES_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def _placed(before: GateKeys, after: GateKeys, ref: str) -> Iterator[Weakening]:
    """Yield the weaker keys with the places of their values; that of the value before if there is none any more."""
    for one in weakenings(before, after):
        then = before.place_of(one.key)
        yield replace(one, where=after.place_of(one.key) or (f"{then} at {ref}" if then else ""))


def removed_gates(past: Past, now: Sequence[str]) -> list[str]:
    """Return the gates of the file at the merge base that are not in ``now``."""
    then = past.file.gate_names if past.file else ()
    return [name for name in then if name not in now]


# --- files ---------------------------------------------------------------------------------------------------


def metric_files(before: GateKeys, after: GateKeys) -> Iterator[tuple[str, Path, bool]]:
    """Yield the keys and paths of the files that deciding metrics read in both versions, and whether rows may be added
    to one: to the recorded answers of a judge."""
    kept = {path for _, metric in deciding(before) for _, path, _ in _files(metric)}
    for key, metric in deciding(after):
        for option, path, grows in _files(metric):
            if path in kept:
                yield f"{key}.{option}", path, grows
                kept.discard(path)


def _files(metric: MetricSpec) -> Iterator[tuple[str, Path, bool]]:
    """Yield the options and paths of the files of a metric; relative arguments of a command may be files, too."""
    for option, value in metric.options.items():
        if isinstance(value, Path):
            yield option, value, False
        elif option == "calibration" and hasattr(value, "path"):
            yield f"{option}.path", value.path, False
        elif option == "judge":
            for spec in value:
                yield from ((f"{option}.{key}", path, not key.endswith("system_file")) for key, path in _paths(spec))
    argv = metric.options.get("argv")
    for place, part in enumerate(argv if isinstance(argv, list | tuple) else ()):
        bare_program = place == 0 and not os.path.dirname(str(part))  # found in PATH
        if isinstance(part, str) and part and "\0" not in part and not os.path.isabs(part) and not bare_program:
            yield "argv", Path(os.path.abspath(metric.source.base_dir / part)), False


def _paths(spec: ModelSpec) -> Iterator[tuple[str, Path]]:
    return ((key, value) for key, value in spec.options.items() if isinstance(value, Path))


def _contents(before: GateKeys, after: GateKeys, past: Past) -> Iterator[Weakening | Remark]:
    """Compare the test sets, the files of metrics, and the prompts and recordings of models."""
    from pytest_ftgate.config import file_of

    tests = {"test_set": (before.test_set, after.test_set)}
    kept = (name for name in after.guards if name in before.guards)
    tests |= {f"guards.{name}.test_set": (before.guards[name].test_set, after.guards[name].test_set) for name in kept}
    if past.base is not None:  # all of them at once
        models = (*after.baselines.values(), *(after.candidates.values() or (after.candidate,)))
        data = [file.path for _, new in tests.values() if (file := file_of(new)) is not None]
        read = [path for _, path, _ in metric_files(before, after)]
        past.base.read([*data, *read, *(path for spec in models for _, path in _paths(spec))])
    for key, sets in tests.items():
        old, new = map(file_of, sets)
        if old is not None and new is not None and old.path == new.path:
            yield from _content(key, new.path, past, in_order=new.limit is not None)
    for key, path, grows in metric_files(before, after):
        yield from _content(key, path, past, whole=not grows)
    for name, spec in same_baselines(before, after).items():
        for key, path in _paths(spec):
            yield from _content(f"{baseline_key(name)}.{key}", path, past, whole=f".{key}".endswith(_PROMPT))
    for spec in after.candidates.values() or (after.candidate,):
        if spec.provider == "recorded":
            yield from _rewritten(spec.options["path"], past)
    if any(spec.options.keys() & {"few_shot", "retrieval"} for spec in after.baselines.values()):
        old, new = map(file_of, (before.training_set, after.training_set))
        if old is not None and new is not None and old.path == new.path:
            path, found = new.path, [*_content("training_set", new.path, past)]
            if any(isinstance(one, Weakening) for one in found):
                yield Remark("changed", f"{shown_path(path)}, whose rows are in the prompt of a baseline")


def _content(
    key: str, path: Path, past: Past, *, in_order: bool = False, whole: bool = False
) -> Iterator[Weakening | Remark]:
    """Compare one file. ``in_order``: lines may only be added at its end; ``whole``: not at all."""
    if path.is_dir():
        yield Remark("unread", f"{shown_path(path)} is a folder, which cannot be compared with {past.ref}")
        return
    if not path.is_file():
        return  # reported where the file is read
    try:
        then, now = past.content(path), path.read_bytes()
        if then is None:
            then = past.content(path.with_name(f"{path.name}.dvc"))
    except HistoryError as error:
        yield Remark("unread", error.what)
        return
    if then is None:
        new = past.base is not None and past.base.tracks(path)
        yield Remark("note", f"{shown_path(path)} is new") if new else Remark("untracked", shown_path(path))
        return
    found = compare_contents(then, now, in_order=in_order or whole)
    if isinstance(found, str) and whole:
        found = _described(then), _described(now)
    if isinstance(found, str):
        yield Remark("note", f"{shown_path(path)}: {found}")
    elif found is not None:
        yield Weakening(key, f"{shown_path(path)} with {found[0]}", found[1])


def compare_contents(then: bytes, now: bytes, *, in_order: bool = False) -> tuple[str, str] | str | None:
    """Compare two versions of a file of rows or a prompt.

    Blank lines and line endings are ignored, and so is the order of lines unless ``in_order``.

    Args:
        then: the earlier bytes, or the pointer of Git LFS or DVC to them.
        now: the bytes.
        in_order: whether lines may only be added at the end.

    Returns:
        None if nothing has changed; a text if lines were only added; else descriptions of the version before and after.
    """
    pointer = _POINTER.match(then)
    if pointer:
        oid = pointer[1].decode("ascii")
        return None if oid == sha256(now).hexdigest() else (f"sha256 {oid[:_HASH_SHOWN]}", _described(now))
    kept_by_dvc = _DVC.search(then) if then.startswith(b"outs:") else None
    if kept_by_dvc:
        sums = [md5(part, usedforsecurity=False).hexdigest() for part in (now, now.replace(b"\r\n", b"\n"))]
        known = kept_by_dvc[1].decode("ascii")
        return None if known in sums else (f"md5 {known[:_HASH_SHOWN]}", _described(now))
    old, new = _lines(then), _lines(now)
    kept = new[: len(old)] == old if in_order else not Counter(old) - Counter(new)
    if not kept:
        return _described(then), _described(now)
    added = len(new) - len(old)
    return f"{plural(added, 'line')} added, none changed" if added else None


def _lines(content: bytes) -> list[bytes]:
    return [line.rstrip() for line in content.split(b"\n") if line.strip()]


def _described(content: bytes) -> str:
    return f"{plural(len(_lines(content)), 'line')} (sha256 {sha256(content).hexdigest()[:_HASH_SHOWN]})"


def _rewritten(path: Path, past: Past) -> Iterator[Remark]:
    """Name a file of recorded answers in which some changed under their old keys or ids."""
    try:
        then, now = past.content(path) or b"", path.read_bytes()
    except (HistoryError, OSError):
        return  # reported where the answers are read
    yield from _other_answers(path, then, _rows(then), _rows(now))


def _recordings(past: Past) -> Iterator[Remark]:
    """Name the recordings of the folder whose answers changed under their old keys."""
    if past.recordings is None or past.base is None:
        return
    folder, current = past.recordings
    then = {path: content for path, content in past.base.files(folder, current) if path.suffix == ".jsonl"}
    if not then:
        return
    now = dict(chain.from_iterable(_rows(path.read_bytes()).items() for path in sorted(current.rglob("*.jsonl"))))
    for path, content in sorted(then.items()):
        keyed = {key: row for key, row in _rows(content).items() if key[0] == "key"}
        yield from _other_answers(current / path, content, keyed, now)


def _other_answers(path: Path, then: bytes, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Remark]:
    """Compare the rows of a file that was ``then``; if that was a pointer to its content, compare the content."""
    changed = sum(key in new and new[key] != row for key, row in old.items())
    if changed:
        yield Remark("changed", f"{changed} of {plural(len(old), 'answer')} in {shown_path(path)}")
    elif _POINTER.match(then) and path.is_file() and compare_contents(then, path.read_bytes()) is not None:
        yield Remark("changed", shown_path(path))


def _rows(content: bytes) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows of recorded answers by key, or by id and repeat; what is no such row is left out."""
    from pytest_ftgate.data.strict_json import parse_json

    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in _lines(content):
        try:
            row = parse_json(line.decode())
        except ValueError:
            continue
        if isinstance(row, dict):
            key = ("key", row["key"]) if row.get("key") else ("id", str(row.get("id")), row.get("repeat"))
            found[key] = {name: value for name, value in row.items() if name not in ("created_at", "id")}
    return found


def _code(after: GateKeys, given: Iterable[tuple[str, Path]], past: Past) -> Iterator[Remark]:
    """Name the Python files of models, fixtures and metrics that changed, and those that they import."""
    if past.base is None:
        return
    root = past.base.root
    direct = [*given, *code_files(after, root)]
    files = with_imports(direct, root)
    past.base.read(files)
    for path, key in files.items():
        then, now = past.content(path), path.read_bytes()
        if then is not None and same_code(then, now):
            continue
        what = key if (key, path) in direct else f"imported for {key}"
        names = [name for name, one in direct if one == path]
        suspect = any(not name.startswith(_MAY_CHANGE) for name in names)
        shown = f"{shown_path(path)} ({', '.join(dict.fromkeys(names)) or what}{'' if then is not None else ', new'})"
        yield Remark("suspect" if suspect else "changed", shown)
