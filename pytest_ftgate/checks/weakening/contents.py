"""Compare the files that a gate reads with those at the merge base: data, prompts, recorded answers and code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_ftgate.checks.weakening.code import baseline_key, code_files, deciding, same_code, with_imports
from pytest_ftgate.checks.weakening.comparison import Weakening, same_baselines, same_file
from pytest_ftgate.checks.weakening.history import Base
from pytest_ftgate.errors import HistoryError, shown_path
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, MetricSpec, ModelSpec

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_DVC = re.compile(rb"^(?:- | +)md5: ([0-9a-f]{32})\s*$", re.MULTILINE)
"""The hash in a file that DVC writes beside the data it keeps."""

_HASH_SHOWN = 8

_MAY_CHANGE = ("candidate", "training_set", "fixture ftgate_candidate", "fixture ftgate_training_set")
"""Keys whose code is named where it changed, and may change: it belongs to what is judged."""


@dataclass(frozen=True)
class Remark:
    """A finding besides keys with a weaker value."""

    kind: Literal["unread", "changed", "suspect", "untracked", "note"]
    text: str


def changed_files(before: GateKeys, after: GateKeys, base: Base) -> Iterator[Weakening | Remark]:
    """Compare the test sets, the files of metrics, and the prompts and recordings of models."""
    tests = {"test_set": same_file(before.test_set, after.test_set)}
    for name in after.guards:
        if name in before.guards:
            key = f"guards.{name}.test_set"
            tests[key] = same_file(before.guards[name].test_set, after.guards[name].test_set)
    metrics = list(_metric_files(before, after))
    models = [path for spec in (*after.baselines.values(), after.candidate) for _, path in _paths(spec)]
    base.read([*(one.path for one in tests.values() if one), *(path for _, path, _ in metrics), *models])  # all at once
    for key, data in tests.items():
        if data is not None:
            yield from _content(key, data.path, base, in_order=data.limit is not None)
    for key, path, grows in metrics:
        yield from _content(key, path, base, whole=not grows)
    for name, spec in same_baselines(before, after).items():
        for key, path in _paths(spec):  # a line added to a prompt may override all others
            yield from _content(f"{baseline_key(name)}.{key}", path, base, whole=key.endswith("system_file"))
    if after.candidate.provider == "recorded":
        yield from _rewritten(after.candidate.options["path"], base)
    if any(spec.options.keys() & {"few_shot", "retrieval"} for spec in after.baselines.values()):
        shots = same_file(before.training_set, after.training_set)
        found = _content("training_set", shots.path, base) if shots is not None else ()
        if shots is not None and any(isinstance(one, Weakening) for one in found):
            yield Remark("changed", f"{shown_path(shots.path)}, whose rows are in the prompt of a baseline")


def _metric_files(before: GateKeys, after: GateKeys) -> Iterator[tuple[str, Path, bool]]:
    """Yield the keys and paths of the files that deciding metrics read in both versions, and whether rows may be added
    to one: to the recorded answers of a judge."""
    kept = {path for _, metric in deciding(before) for _, path, _ in _files(metric)}
    for key, metric in deciding(after):
        for option, path, grows in _files(metric):
            if path in kept:
                yield f"{key}.{option}", path, grows
                kept.discard(path)


def _files(metric: MetricSpec) -> Iterator[tuple[str, Path, bool]]:
    """Yield the options and paths of the files of a metric."""
    for option, value in metric.options.items():
        if isinstance(value, Path):
            yield option, value, False
        elif option == "calibration" and hasattr(value, "path"):
            yield f"{option}.path", value.path, False
        elif option == "judge":
            yield from ((f"{option}.{key}", path, not key.endswith("system_file")) for key, path in _paths(value))


def _paths(spec: ModelSpec) -> Iterator[tuple[str, Path]]:
    return ((key, value) for key, value in spec.options.items() if isinstance(value, Path))


def _content(
    key: str, path: Path, base: Base, *, in_order: bool = False, whole: bool = False
) -> Iterator[Weakening | Remark]:
    """Compare one file. ``in_order``: lines may only be added at its end; ``whole``: not at all."""
    if path.is_dir():
        yield Remark("unread", f"{shown_path(path)} is a folder, which cannot be compared with {base.ref}")
        return
    if not path.is_file():
        return  # reported where the file is read
    try:
        then, now = base.content(path), path.read_bytes()
        if then is None:
            then = base.content(path.with_name(f"{path.name}.dvc"))
    except HistoryError as error:
        yield Remark("unread", error.what)
        return
    if then is None:
        new = base.tracks(path)
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


def _rewritten(path: Path, base: Base) -> Iterator[Remark]:
    """Name a file of recorded answers in which some changed under their old keys or ids."""
    try:
        then, now = base.content(path) or b"", path.read_bytes()
    except (HistoryError, OSError):
        return  # reported where the answers are read
    yield from _other_answers(path, then, _rows(then), _rows(now))


def changed_recordings(folder: Path, current: Path, base: Base) -> Iterator[Remark]:
    """Name the recordings of a folder at the merge base whose answers changed under their keys in the current one."""
    then = {path: content for path, content in base.files(folder, current) if path.suffix == ".jsonl"}
    now: dict[Any, Any] = {}
    for path in sorted(current.rglob("*.jsonl")) if then else ():
        now |= _rows(path.read_bytes())
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


def changed_code(after: GateKeys, given: Iterable[tuple[str, Path]], base: Base) -> Iterator[Remark]:
    """Name the Python files of models, fixtures and metrics that changed, and those that they import."""
    direct = [*given, *code_files(after, base.root)]
    files = with_imports(direct, base.root)
    base.read(files)
    for path, key in files.items():
        then = base.content(path)
        if then is not None and same_code(then, path.read_bytes()):
            continue
        names = list(dict.fromkeys(name for name, one in direct if one == path))
        suspect = any(not name.startswith(_MAY_CHANGE) for name in names)
        called = ", ".join(names) or f"imported for {key}"
        shown = f"{shown_path(path)} ({called}{'' if then is not None else ', new'})"
        yield Remark("suspect" if suspect else "changed", shown)
