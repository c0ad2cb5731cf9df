"""The batches that were sent and whose answers may not be on disk yet, remembered beyond the session."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace

from pytest_ftgate.models.openai_api.endpoint import fields
from pytest_ftgate.models.protocol import Notes

_PREFIX = "batch "
_KEPT_S = 30 * 24 * 3600.0  # so long do endpoints keep the files at most


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch that was sent, with the keys of those questions of which an answer can still be expected.

    ``created_at`` is in seconds since the epoch, by this computer's clock. ``input_file`` is the id of the file with
    its questions, empty where the batch was found at the endpoint.
    """

    id: str
    created_at: float
    input_file: str
    keys: tuple[str, ...]


class BatchNotes:
    """The notes of one endpoint. Every method raises :class:`StoreError` where they cannot be kept or read.

    A note is written as soon as the endpoint has named the batch, and dropped only when all of its answers are
    known to be stored, or when the endpoint has surely forgotten it. Between the download of the answers and their
    storing it stays: who crashes there reads the same batch again.
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
            if sent.created_at < time.time() - _KEPT_S:
                self.forget(sent.id)
            elif not wanted.isdisjoint(sent.keys):
                found.append(sent)
        return sorted(found, key=lambda sent: sent.created_at, reverse=True)

    def remember(self, sent: Sent) -> None:
        """Note a batch, in place of what was noted of it before."""
        if self._notes is not None:
            facts = {"endpoint": self._base_url} | asdict(sent)
            self._notes.put(_PREFIX + facts.pop("id"), json.dumps(facts))

    def keep_only(self, sent: Sent, keys: Collection[str]) -> None:
        """Of this batch these answers alone are still wanted: the other questions have to be sent again."""
        left = tuple(key for key in sent.keys if key in keys)
        if not left:
            self.forget(sent.id)
        elif left != sent.keys:
            self.remember(replace(sent, keys=left))

    def forget(self, batch_id: str) -> None:
        """Drop the note."""
        if self._notes is not None:
            self._notes.drop(_PREFIX + batch_id)

    def _read(self, name: str, text: str) -> Sent | None:
        """``None`` where the note is about another endpoint, or not in our form."""
        try:
            facts = fields(json.loads(text))
        except ValueError:
            return None
        created_at, keys = facts.get("created_at"), facts.get("keys")
        if facts.get("endpoint") != self._base_url:
            return None
        if not isinstance(created_at, int | float) or not isinstance(keys, list):
            return None
        return Sent(name.removeprefix(_PREFIX), float(created_at), str(facts.get("input_file")), tuple(map(str, keys)))
