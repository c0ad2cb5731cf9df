"""What is known of fine-tuning jobs without asking: from committed recordings, and from earlier runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.models import Notes

PREFIX = "tuning: "
"""How the names of notes on jobs begin."""


class JobNotes:
    """Notes of which those on jobs are also looked up in committed recordings, first of all.

    Args:
        committed: notes on jobs out of recordings.
        kept: what this machine keeps.

    Attributes:
        used: the notes on jobs that were read or written, to be recorded.
    """

    def __init__(self, committed: Mapping[str, str], kept: Notes) -> None:
        self._committed = committed
        self._kept = kept
        self.used: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        """The text under this name."""
        text = self._committed.get(name)
        text = self._kept.get(name) if text is None else text
        if text is not None:
            self._use(name, text)
        return text

    def put(self, name: str, text: str) -> None:
        """Keep a text on this machine."""
        self._use(name, text)
        self._kept.put(name, text)

    def drop(self, name: str) -> None:
        """Forget it on this machine."""
        self._kept.drop(name)

    def named(self, prefix: str) -> Mapping[str, str]:
        """All texts whose name begins so."""
        committed = {name: text for name, text in self._committed.items() if name.startswith(prefix)}
        return {**self._kept.named(prefix), **committed}

    def _use(self, name: str, text: str) -> None:
        if name.startswith(PREFIX):
            self.used[name] = text
