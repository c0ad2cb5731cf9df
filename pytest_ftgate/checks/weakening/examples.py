"""Compare a test set with its version at the merge base, example by example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from pytest_ftgate.checks.weakening.comparison import Weakening, same_file
from pytest_ftgate.checks.weakening.history import Base
from pytest_ftgate.data import canonical_json, load_examples, normalized_input
from pytest_ftgate.errors import DataError, HistoryError, shown_path
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import DataKeys, GateKeys
    from pytest_ftgate.data import DataSet

_LFS = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_DVC = re.compile(rb"outs:\n(?:.*\n)*?(?:- | +)md5: ([0-9a-f]{32})\s*$", re.MULTILINE)
_IDS_SHOWN = 3


@dataclass(frozen=True)
class Remark:
    """A finding besides keys with a weaker value."""

    kind: Literal["unread", "untracked", "note"]
    text: str


def changed_examples(before: GateKeys, after: GateKeys, base: Base) -> Iterator[Weakening | Remark]:
    """Yield what became of the test sets that both gates have, those of guards included."""
    pairs = {"test_set": (before.test_set, after.test_set)}
    for name, guard in after.guards.items():
        if name in before.guards:
            pairs[f"guards.{name}.test_set"] = (before.guards[name].test_set, guard.test_set)
    for key, (old, new) in pairs.items():
        data = same_file(old, new)
        if data is not None and data.path.is_file():  # what is missing is reported where it is read
            try:
                yield from _compared(key, data, base)
            except HistoryError as error:
                yield Remark("unread", error.what)


def _compared(key: str, data: DataKeys, base: Base) -> Iterator[Weakening | Remark]:
    path, shown = data.path, shown_path(data.path)
    then, now = base.content(path), path.read_bytes()
    beside = path.with_name(f"{path.name}.dvc")
    pointer = _DVC.match(base.content(beside) or b"") if then is None else _LFS.match(then)
    if pointer is not None:
        known = pointer[1].decode()
        if known not in (sha256(now).hexdigest(), md5(now, usedforsecurity=False).hexdigest()):
            yield Remark("unread", f"{shown} has changed, and its examples at {base.ref} are not in git")
        return
    if then is None:
        new = base.tracks(path)
        yield Remark("note", f"{shown} is new") if new else Remark("untracked", shown)
        return
    if then == now:
        return
    try:
        with TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_bytes(then)
            old = _read(data, copy)
    except DataError as error:
        yield Remark("unread", f"{shown} at {base.ref} cannot be read: {error.what}")
        return
    try:
        new_examples = {normalized_input(one.input): canonical_json(one.expected) for one in _read(data, path)}
    except DataError:
        return  # reported where it is read
    removed = [one.id for one in old if normalized_input(one.input) not in new_examples]
    same = [one for one in old if normalized_input(one.input) in new_examples]
    relabelled = [one.id for one in same if new_examples[normalized_input(one.input)] != canonical_json(one.expected)]
    counts = ((removed, "removed"), (relabelled, "relabelled"))
    told = [f"{len(ids):,} {what} ({_listed(ids)})" for ids, what in counts if ids]
    if told:
        yield Weakening(key, f"{plural(len(old), 'example')} of {shown}", ", ".join(told))
    elif added := len(new_examples) - len(old):
        yield Remark("note", f"{shown}: {plural(added, 'example')} added")


def _read(data: DataKeys, path: Path) -> DataSet:
    return load_examples(path, format=data.format, fields=data.fields, limit=data.limit, labeled=False, repeats=True)


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:_IDS_SHOWN]) + (", ..." if len(ids) > _IDS_SHOWN else "")
