"""What a model is built with, besides its own keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet


class Notes(Protocol):
    """Small texts by name that outlive a session: what has to be remembered besides predictions.

    Every method raises :class:`~pytest_ftgate.errors.StoreError` where they cannot be kept or read.
    """

    def get(self, name: str) -> str | None:
        """The text kept under this name."""
        ...

    def put(self, name: str, text: str) -> None:
        """Keep a text, in place of an older one; it is on disk when this returns."""
        ...

    def drop(self, name: str) -> None:
        """Forget it."""
        ...

    def named(self, prefix: str) -> Mapping[str, str]:
        """All texts whose name begins so, by name."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What a model is built with, besides its own keys.

    Attributes:
        training: the training set, from which examples are shown; ``None`` where there is none.
        notes: what earlier sessions noted; ``None`` where nothing is kept.
        offline: no endpoint may be called.
        newer_than: answers from before this time (seconds since the epoch) are not wanted; ``None``: all are.
        asked: the examples that the model will be asked about, as far as that is known.
    """

    training: DataSet | None = None
    notes: Notes | None = None
    offline: bool = False
    newer_than: float | None = None
    asked: DataSet | None = None
