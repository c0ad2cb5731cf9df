"""Remember the batches that were sent and whose answers may not be on disk yet, across sessions."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from pytest_ftgate import clock
from pytest_ftgate.models.openai_api.endpoint import fields
from pytest_ftgate.models.protocol import Notes

_PREFIX = "batch "
_KEPT_S = 30 * 24 * 3600.0  # how long endpoints keep the files at most


@dataclass(frozen=True, slots=True)
class Sent:
    """Describe a batch that was sent, with the keys of its questions that can still be answered.

    ``created_at`` is in seconds since the epoch, by this computer's clock.
    """

    id: str
    created_at: float
    keys: tuple[str, ...]


class BatchNotes:
    """Keep the notes on one endpoint's batches. Every method raises :class:`StoreError` if they cannot be kept or read.

    A note is written as soon as the endpoint has created the batch. It is deleted only when all of its answers are
    stored, or the endpoint has certainly deleted the batch. After a crash between download and storing, the same
    batch is read again.
    """

    def __init__(self, notes: Notes | None, base_url: str) -> None:
        self._notes = notes
        self._base_url = base_url

    def holding(self, keys: Collection[str]) -> list[Sent]:
        """Return the batches that hold any of these questions, newest first."""
        if self._notes is None:
            return []
        wanted, found = set(keys), []
        for name, text in self._notes.named(_PREFIX).items():
            sent = self._read(name, text)
            if sent is None:
                continue
            if sent.created_at < clock.wall() - _KEPT_S:
                self.forget(sent.id)
            elif not wanted.isdisjoint(sent.keys):
                found.append(sent)
        return sorted(found, key=lambda sent: sent.created_at, reverse=True)

    def remember(self, sent: Sent) -> None:
        """Write the note on a batch, replacing an older one."""
        if self._notes is not None:
            facts = {"endpoint": self._base_url} | asdict(sent)
            self._notes.put(_PREFIX + facts.pop("id"), json.dumps(facts))

    def keep_only(self, sent: Sent, keys: Collection[str]) -> None:
        """Reduce the note on a batch to these answered questions: the others are sent again."""
        left = tuple(key for key in sent.keys if key in keys)
        if not left:
            self.forget(sent.id)
        elif left != sent.keys:
            self.remember(replace(sent, keys=left))

    def forget(self, batch_id: str) -> None:
        if self._notes is not None:
            self._notes.drop(_PREFIX + batch_id)

    def _read(self, name: str, text: str) -> Sent | None:
        """Read a note; ``None`` if it is about another endpoint, or has another form."""
        try:
            facts = fields(json.loads(text))
        except ValueError:
            return None
        created_at, keys = facts.get("created_at"), facts.get("keys")
        if facts.get("endpoint") != self._base_url:
            return None
        if not isinstance(created_at, int | float) or not isinstance(keys, list):
            return None
        return Sent(name.removeprefix(_PREFIX), float(created_at), tuple(map(str, keys)))
