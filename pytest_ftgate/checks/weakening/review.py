"""Check a gate, and the files that it reads, against their versions at the merge base."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.checks.weakening.comparison import Weakening, same_baselines, shared_confidence, weakenings
from pytest_ftgate.errors import FtgateError, HistoryError, shown_path
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateFile, GateKeys, MetricSpec


def metric_files(before: GateKeys, after: GateKeys) -> Iterator[tuple[str, Path]]:
    """Yield the keys and paths of the files that deciding metrics read in both versions."""
    kept = {path for _, metric in _deciding(before) for _, path in _files(metric)}
    for key, metric in _deciding(after):
        for option, path in _files(metric):
            if path in kept:
                yield f"{key}.{option}", path
                kept.discard(path)


def _files(metric: MetricSpec) -> Iterator[tuple[str, Path]]:
    """Yield the options and paths of the files of a metric; relative arguments of a command may be files, too."""
    for option, value in metric.options.items():
        if isinstance(value, Path):
            yield option, value
        elif option == "calibration" and hasattr(value, "path"):
            yield f"{option}.path", value.path
    argv = metric.options.get("argv")
    for place, part in enumerate(argv if isinstance(argv, list | tuple) else ()):
        bare_program = place == 0 and not os.path.dirname(str(part))  # found in PATH
        if isinstance(part, str) and part and "\0" not in part and not os.path.isabs(part) and not bare_program:
            yield "argv", Path(os.path.abspath(metric.source.base_dir / part))


def _deciding(config: GateKeys) -> Iterator[tuple[str, MetricSpec]]:
    yield "metric", config.metric
    for bound in config.require:
        yield f"require.{bound.of}.{bound.metric.name}", bound.metric
    for name, guard in config.guards.items():
        yield f"guards.{name}.metric", guard.metric


_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")

_HASH_SHOWN = 8

_PROMPT = ".system_file"
"""Files in which an added line counts as a change, unlike in recordings: it may override all others."""


@dataclass(frozen=True)
class Past:
    """The gate file at the merge base.

    Attributes:
        ref: the name of the target branch.
        file: the gate file; None if it is new or could not be read.
        problem: why it could not be read.
        unseen: why only a part of the change could be seen.
        content: returns the bytes of any file at the merge base, None if it did not exist; raises
            :class:`HistoryError`.
    """

    ref: str = ""
    file: GateFile | None = None
    problem: FtgateError | None = None
    unseen: str | None = None
    content: Callable[[Path], bytes | None] = lambda path: None  # noqa: ARG005


def look_back(path: Path, ref: str | None) -> Past | None:
    """Return the gate file at the merge base; None without git or a repository, or for a file that git does not track.

    Args:
        path: the gate file, which may have been deleted.
        ref: the target branch; None: the usual ones.
    """
    from pytest_ftgate.checks.weakening.history import find_base, is_tracked
    from pytest_ftgate.config import load_gate_file

    try:
        base = find_base(path.parent, ref)
        content = base.content(path) if base else None
        if base is None or (content is None and not is_tracked(path)):
            return None
        file = load_gate_file(path, content) if content is not None else None
    except HistoryError as error:
        return Past(problem=error) if is_tracked(path) else None
    except FtgateError as error:
        return Past(problem=error)
    return Past(base.ref, file, None, base.unseen, base.content)


def review_checks(
    past: Past,
    gate: str,
    *,
    before: Callable[[GateFile], GateKeys],
    after: GateKeys,
    loosened: Collection[Weakening] = (),
    forbidden: bool = False,
) -> tuple[Check, ...]:
    """Return the checks that the gate is not weaker than at the merge base; none if nothing has changed.

    Args:
        past: the gate file at the merge base.
        gate: the gate's name in the file.
        before: returns the gate of that file.
        after: the gate that is judged.
        loosened: keys in which a mark is weaker than the file, which another check reports.
        forbidden: whether a weaker gate fails.
    """
    if past.problem is not None:
        return (_unknown(past.problem),)
    if past.file is None or gate not in past.file.gate_names:
        new = f"the gate {gate}" if past.file else "the gate file"
        return (_note(f"{new} does not exist at {past.ref}: nothing to compare"),)
    try:
        old = before(past.file)
    except FtgateError as error:
        return (_unknown(error),)
    changes = [*weakenings(old, after), *_contents(old, after, past), *shared_confidence(old, after)]
    unseen = _untracked([one for one in changes if isinstance(one, _Untracked)], past.ref, forbidden=forbidden)
    weaker = [str(one) for one in changes if isinstance(one, Weakening) and one not in loosened]
    remarks = [one for one in changes if isinstance(one, str)] + ([past.unseen] if past.unseen else [])
    if weaker:
        return (_weakened([*weaker, *remarks], len(weaker), past.ref, forbidden=forbidden), *unseen)
    return (*((_note("; ".join(remarks)),) if remarks else ()), *unseen)


def removed_gates(past: Past, now: Sequence[str]) -> list[str]:
    """Return the gates of the file at the merge base that are not in ``now``."""
    then = past.file.gate_names if past.file else ()
    return [name for name in then if name not in now]


def _unknown(error: FtgateError) -> Check:
    head, *rest = str(error).splitlines()
    message = f"the gate could not be compared with its earlier version: {head}"
    return _note(message, advice=" ".join(rest).strip() or None)


def _note(message: str, advice: str | None = None) -> Check:
    return Check("weakened", "note", message, advice=advice)


def _untracked(files: Sequence[_Untracked], ref: str, *, forbidden: bool) -> tuple[Check, ...]:
    """Report files that git does not track: a warning if weakening is forbidden, else a note."""
    if not files:
        return ()
    names, verb = ", ".join(shown_path(one.path) for one in files), "is" if len(files) == 1 else "are"
    message = f"{names} {verb} not in git at {ref}, so changes cannot be detected"
    source = "ini ftgate_forbid_weakening" if forbidden else None
    return (Check("untracked", "warning" if forbidden else "note", message, observed=len(files), source=source),)


def _weakened(findings: Sequence[str], count: int, ref: str, *, forbidden: bool) -> Check:
    advice = "Restore it, or merge the change separately, with the approval of someone who may override this gate."
    return Check(
        "weakened",
        "fail" if forbidden else "warning",
        f"this change weakens the gate compared with {ref}: {'; '.join(findings)}",
        observed=count,
        required=0,
        source="ini ftgate_forbid_weakening" if forbidden else None,
        advice=advice if forbidden else "Check that this is intended: a weaker gate proves less.",
    )


@dataclass(frozen=True, slots=True)
class _Untracked:
    """A file that git did not have at the merge base."""

    path: Path


def _contents(before: GateKeys, after: GateKeys, past: Past) -> Iterator[Weakening | _Untracked | str]:
    """Compare the test sets, the files of metrics, and the prompts and recordings of baselines."""
    from pytest_ftgate.config import file_of

    tests = {"test_set": (before.test_set, after.test_set)}
    kept = (name for name in after.guards if name in before.guards)
    tests |= {f"guards.{name}.test_set": (before.guards[name].test_set, after.guards[name].test_set) for name in kept}
    for key, sets in tests.items():
        old, new = map(file_of, sets)
        if old is not None and new is not None and old.path == new.path:
            yield from _content(key, new.path, past, in_order=new.limit is not None)
    for key, path in metric_files(before, after):
        yield from _content(key, path, past, whole=True)
    for name, spec in same_baselines(before, after).items():
        for key, value in spec.options.items():
            if isinstance(value, Path):
                key = f"{name if name == 'baseline' else f'baselines.{name}'}.{key}"
                yield from _content(key, value, past, whole=key.endswith(_PROMPT))


def _content(
    key: str, path: Path, past: Past, *, in_order: bool = False, whole: bool = False
) -> Iterator[Weakening | _Untracked | str]:
    """Compare one file. ``in_order``: lines may only be added at its end; ``whole``: not at all."""
    if path.is_dir():
        yield f"{shown_path(path)} is a folder, which cannot be compared with {past.ref}"
        return
    if not path.is_file():
        return  # reported where the file is read
    try:
        then, now = past.content(path), path.read_bytes()
    except HistoryError as error:
        yield error.what
        return
    if then is None:
        yield _Untracked(path)
        return
    found = compare_contents(then, now, in_order=in_order or whole)
    if isinstance(found, str) and whole:
        found = _described(then), _described(now)
    if isinstance(found, str):
        yield f"{shown_path(path)}: {found}"
    elif found is not None:
        yield Weakening(key, f"{shown_path(path)} with {found[0]}", found[1])


def compare_contents(then: bytes, now: bytes, *, in_order: bool = False) -> tuple[str, str] | str | None:
    """Compare two versions of a file of rows or a prompt.

    Blank lines and line endings are ignored, and so is the order of lines unless ``in_order``.

    Args:
        then: the earlier bytes, or their Git LFS pointer.
        now: the bytes.
        in_order: whether lines may only be added at the end.

    Returns:
        None if nothing has changed; a text if lines were only added; else descriptions of the version before and after.
    """
    pointer = _POINTER.match(then)
    if pointer:
        oid = pointer[1].decode("ascii")
        return None if oid == sha256(now).hexdigest() else (f"sha256 {oid[:_HASH_SHOWN]}", _described(now))
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
