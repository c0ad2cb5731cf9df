"""The data of one session: each source is read once, and each training set audited once for a test set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import shown_path
from pytest_ftgate.foreign import guarded

__tracebackhide__ = True  # what a user's iterable raises is shown without our lines

if TYPE_CHECKING:
    from pytest_ftgate.config import DataSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.training import TrainingAudit


class DataSets:
    """What was read and audited so far."""

    def __init__(self) -> None:
        self._read: dict[Any, tuple[Any, DataSet]] = {}
        self._audits: dict[tuple[int, int, int | None], TrainingAudit] = {}

    def load(self, source: DataSpec | Iterable[Any], origin: str, hook: Any | None = None) -> DataSet:
        """Read a data source once in a session; an iterator can be consumed only once anyway."""
        from pytest_ftgate.config import DataSpec
        from pytest_ftgate.data import examples_from
        from pytest_ftgate.data.lines import written_at

        if not isinstance(source, DataSpec):
            kept = self._read.get(id(source))
            if kept is None:
                kept = self._read[id(source)] = (source, examples_from(source, origin=origin))
            return kept[1]
        key = (source.path, source.format, tuple(source.fields.items()), source.limit)
        if key not in self._read:
            with written_at(source.source.where()):
                self._read[key] = (source, _load_file(source, hook))
        return self._read[key][1]

    def audit(self, training: DataSet, test: DataSet, *, max_tokens: int | None = None) -> TrainingAudit:
        """Audit a training set for a test set, once in a session: many gates and candidates share both."""
        from pytest_ftgate.training import audit_training_set

        key = (id(training), id(test), max_tokens)  # of sets that ``load`` has given, and keeps
        if key not in self._audits:
            self._audits[key] = audit_training_set(training, test, max_tokens=max_tokens)
        return self._audits[key]


def _load_file(source: DataSpec, hook: Any | None) -> DataSet:
    """A file's examples: by a hook that knows its format, else by our own readers."""
    from hashlib import sha256

    from pytest_ftgate.data import examples_from, load_examples

    options = {"format": source.format, "fields": dict(source.fields), "limit": source.limit}
    rows = None
    if hook is not None:
        called = "the hook pytest_ftgate_load_examples"
        rows = guarded(called, hook.pytest_ftgate_load_examples, path=source.path, options=options)
    if rows is None:
        return load_examples(source.path, format=source.format, fields=source.fields, limit=source.limit)
    shown = shown_path(source.path)
    data = examples_from(rows, origin=shown, fields=source.fields, limit=source.limit)
    if not source.path.is_file():  # a folder of shards, or a name that the hook alone understands
        return replace(data, path=shown)
    return replace(data, path=shown, sha256=sha256(source.path.read_bytes()).hexdigest())
