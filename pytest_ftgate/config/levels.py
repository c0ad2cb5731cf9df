"""The keys of ``audit`` and ``clock``: what each finding means for the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from pytest_ftgate.config.keys import Count, Keys, Positive, optional
from pytest_ftgate.config.source import BUILT_IN
from pytest_ftgate.config.weaker import Weaker, words

MAX_TOKENS = 65_536
"""What OpenAI takes for one training example of its gpt-4o and gpt-4.1 models."""

LEVELS = ("ignore", "warn", "limit", "fail")
"""From lenient to strict. ``limit``, which cannot be written: a warning up to a limit of its own, then a failure."""

Level = Annotated[Literal["fail", "warn", "ignore"], words(*LEVELS)]


class AuditKeys(Keys):
    """What findings of the training audit mean for the verdict."""

    usable: Level = optional("Fewer than min_training_examples. Default: fail.", "fail")
    leaked: Level = optional("Test examples in the training set. Default: fail.", "fail")
    leaked_near: Level = optional("Test examples with a near copy in the training set. Default: fail.", "fail")
    conflicts: Level = optional(
        "Rows that repeat an input with another output. Default: a warning, above 1 % of rows fail.", "limit"
    )
    near_duplicates: Level = optional(
        "Near copies within the training set. Default: a warning, and fail where fewer than "
        "min_training_examples are left without them.",
        "limit",
    )
    labels_missing: Level = optional(
        "Labels of the test set with no or fewer than 5 training examples. Default: warn.", "warn"
    )
    imbalance: Level = optional(
        "The most frequent label has more than 10 times as many rows as the rarest. Default: warn.", "warn"
    )
    truncated: Level = optional("Outputs that are empty, of one character, or cut off. Default: warn.", "warn")
    chat_format: Level = optional("Conversations whose turns are not in order. Default: warn.", "warn")
    too_long: Level = optional("Rows with more than max_tokens. Default: warn.", "warn")
    max_tokens: Annotated[Positive, Weaker("higher")] = Field(
        MAX_TOKENS, description="The most tokens of a row, estimated as UTF-8 bytes / 4."
    )

    @property
    def levels(self) -> Mapping[str, str]:
        """What each finding means."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "max_tokens"}

    @property
    def loosened(self) -> dict[str, str]:
        """The findings that mean less than they do by default, and what they mean."""
        usual = AuditKeys.model_validate({}).levels
        return {name: level for name, level in self.levels.items() if LEVELS.index(level) < LEVELS.index(usual[name])}

    def __str__(self) -> str:
        usual = AuditKeys.model_validate({}).levels
        changed = (f"{name}: {level}" for name, level in self.levels.items() if level != usual[name])
        return ", ".join(changed) or "as by default"


class ClockKeys(Keys):
    """What changes of the models beneath a gate mean for its verdict."""

    alias: Level = optional(
        "A model is named by an alias, which may be moved to other weights, not by a pinned snapshot. Default: warn.",
        "warn",
    )
    base_changed: Level = optional(
        "The candidate's base model, or a baseline's model or revision, is another one than at the last "
        "green verdict. Default: warn.",
        "warn",
    )
    shutdown: Level = optional(
        "The endpoint lists a model, or what it was fine-tuned from, with a shutdown date that has passed "
        "or is within shutdown_within_days. Default: warn.",
        "warn",
    )
    shutdown_within_days: Annotated[Count, Weaker("lower")] = Field(
        90, description="How many days before its shutdown a model counts."
    )

    def source(self, key: str) -> str:
        """Return where a key was written, as messages quote it."""
        return str(self.sources.get(key, BUILT_IN))
