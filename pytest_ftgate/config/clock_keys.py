"""The keys of ``clock``: what says that it is time to train or to judge again, and what that means for the verdict."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pytest_ftgate.config.keys import Count, Keys, absent

Level = Literal["fail", "warn", "ignore"]


class ClockKeys(Keys):
    """What changes of the models beneath a gate mean for its verdict."""

    alias: Level = Field(
        default_factory=absent,
        description="A model is named by an alias, which may be moved to other weights, not by a pinned snapshot. "
        "Default: warn.",
    )
    base_changed: Level = Field(
        default_factory=absent,
        description="The candidate's base model, or a baseline's model or revision, is another one than at the last "
        "green verdict. Default: warn.",
    )
    shutdown: Level = Field(
        default_factory=absent,
        description="The endpoint lists a model, or what it was fine-tuned from, with a shutdown date that has passed "
        "or is within shutdown_within_days. Default: warn.",
    )
    shutdown_within_days: Count = Field(90, description="How many days before its shutdown a model counts.")
