"""Compare a test set with its version at the merge base, example by example."""

import re
from collections.abc import Iterator
from hashlib import md5, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pytest_ftgate.checks.weaker.base import Base
from pytest_ftgate.config import DataKeys, GateKeys, file_of
from pytest_ftgate.data import DataSet, Example, canonical_json, load_examples, normalized_input
from pytest_ftgate.errors import DataError, HistoryError, shown_path
from pytest_ftgate.text import plural

Kind = Literal["weaker", "unread", "untracked", "note"]
"""What is weaker, could not be compared, is not in git, or is only to be noted."""

_LFS = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n")
_DVC = re.compile(rb"outs:\n(?:.*\n)*?(?:- | +)md5: ([0-9a-f]{32})\s*$", re.MULTILINE)
_IDS_SHOWN = 3


def test_sets(gate: GateKeys) -> dict[str, object]:
    """Return the test sets of a gate by their keys, those of guards included."""
    return {"test_set": gate.test_set, **{f"guards.{name}.test_set": one.test_set for name, one in gate.guards.items()}}


def compared_examples(before: GateKeys, after: GateKeys, base: Base) -> Iterator[tuple[Kind, str, str]]:
    """Yield what became of the test sets that both gates have, as the kind of finding, the key and a text."""
    now, sliced = test_sets(after), before.slices.fields if before.slices else ()
    for key, old in test_sets(before).items():
        then, data = file_of(old), file_of(now.get(key))
        if (
            then and data and then.path == data.path and data.path.is_file()
        ):  # what is missing is reported where it is read
            try:
                yield from ((kind, key, text) for kind, text in _compared(data, base, sliced))
            except HistoryError as error:
                yield "unread", key, error.what


def _compared(data: DataKeys, base: Base, sliced: tuple[str, ...]) -> Iterator[tuple[Kind, str]]:
    path, shown = data.path, shown_path(data.path)
    then, now = base.content(path), path.read_bytes()
    beside = path.with_name(f"{path.name}.dvc")
    pointer = _DVC.match(base.content(beside) or b"") if then is None else _LFS.match(then)
    if pointer is not None:
        if pointer[1].decode() not in (sha256(now).hexdigest(), md5(now, usedforsecurity=False).hexdigest()):
            yield "unread", f"{shown} has changed, and its examples at {base.name} are not in git"
        return
    if then is None:
        if base.tracks(path):
            yield "note", f"{shown} is new"
        return
    if then == now:
        return
    try:
        with TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_bytes(then)
            old = _read(data, copy)
    except DataError as error:
        yield "unread", f"{shown} at {base.name} cannot be read: {error.what}"
        return
    try:
        new = _read(data, path)
    except DataError:
        return  # reported where it is read
    grouped = any(one.group is not None for one in old)

    def judged(example: Example) -> str:
        """Return what a gate judges an answer to an example by: label, group, and the fields that make slices."""
        fields = [example.fields.get(name) for name in sliced]
        return canonical_json([example.expected, example.group if grouped else None, fields])

    ids, answers = {one.id for one in new}, {normalized_input(one.input): judged(one) for one in new}
    counts: dict[str, list[str]] = {}
    for one in old:
        answer = answers.get(normalized_input(one.input))
        if answer is None:
            counts.setdefault("with another input" if one.id in ids else "removed", []).append(one.id)
        elif answer != judged(one):
            counts.setdefault("relabelled", []).append(one.id)
    if counts:
        told = ", ".join(f"{len(those):,} {what} ({_listed(those)})" for what, those in counts.items())
        yield "weaker", f"{plural(len(old), 'example')} of {shown} -> {told}"
    elif added := len(new) - len(old):
        yield "note", f"{shown}: {plural(added, 'example')} added"


def _read(data: DataKeys, path: Path) -> DataSet:
    return load_examples(path, format=data.format, fields=data.fields, limit=data.limit, labeled=False, repeats=True)


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:_IDS_SHOWN]) + (", ..." if len(ids) > _IDS_SHOWN else "")
