"""What a report says beside the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """What is said of the session as a whole.

    Attributes:
        unjudged: the obligations that were not met, each a name and a reason.
        removed: sentences on gates that are gone.
        remarks: what else is to be said at the end.
        partial: whether obligations were printed instead of enforced.
        config: the gate file, where the command line named it.
    """

    unjudged: Sequence[tuple[str, str]] = ()
    removed: Sequence[str] = ()
    remarks: Sequence[str] = ()
    partial: bool = False
    config: str | None = None
