"""The keys of ``audit`` and ``clock``: the effect of each finding on the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from pytest_ftgate.config.keys import Count, Keys, Positive, optional
from pytest_ftgate.config.source import BUILT_IN
from pytest_ftgate.config.weaker import Weaker, words

MAX_TOKENS = 65_536
"""OpenAI's limit for one training example of its gpt-4o and gpt-4.1 models."""

LEVELS = ("ignore", "warn", "limit", "fail")
"""From lenient to strict. ``limit`` is only a default: a warning up to a built-in limit, a failure above it."""

Level = Annotated[Literal["fail", "warn", "ignore"], words(*LEVELS)]


class AuditKeys(Keys):
    """The effect of the findings of the audit on the verdict."""

    usable: Level = optional("Fewer usable training examples than min_training_examples. Default: fail.", "fail")
    leaked: Level = optional("Test examples that are also in the training set. Default: fail.", "fail")
    leaked_near: Level = optional("Test examples with a near duplicate in the training set. Default: fail.", "fail")
    conflicts: Level = optional(
        "Rows that repeat an input with a different output. Default: warn, and fail above 1 % of the rows.", "limit"
    )
    near_duplicates: Level = optional(
        "Near duplicates within the training set. Default: warn, and fail if fewer than "
        "min_training_examples remain without them.",
        "limit",
    )
    test_near_duplicates: Level = optional(
        "Near duplicates within the test set. They count as one group in any case. Default: warn.", "warn"
    )
    group_overlap: Level = optional(
        "Groups of the test set (documents, customers) that are also in the training set. Default: warn.", "warn"
    )
    labels_missing: Level = optional(
        "Labels of the test set with fewer than 5 training examples. Default: warn.", "warn"
    )
    imbalance: Level = optional(
        "The most frequent label has more than 10 times as many rows as the rarest one. Default: warn.", "warn"
    )
    truncated: Level = optional("Outputs that are empty, a single character, or truncated. Default: warn.", "warn")
    chat_format: Level = optional("Conversations whose turns are out of order. Default: warn.", "warn")
    too_long: Level = optional("Rows with more tokens than max_tokens. Default: warn.", "warn")
    baseline_form: Level = optional(
        "A gain that is left only because of the form of the baseline's answers: cut off, behind reasoning, in a code "
        "fence, or naming the right label among other words. Default: fail.",
        "fail",
    )
    prompt_mismatch: Level = optional(
        "The candidate is asked with another system message, template, tools or chat template than in the training "
        "rows. Default: warn.",
        "warn",
    )
    max_tokens: Annotated[Positive, Weaker("higher")] = Field(
        MAX_TOKENS, description="The maximum number of tokens in a row, estimated as UTF-8 bytes / 4."
    )

    @property
    def levels(self) -> Mapping[str, str]:
        return {name: getattr(self, name) for name in type(self).model_fields if name != "max_tokens"}

    @property
    def loosened(self) -> dict[str, str]:
        """Return the findings whose level is more lenient than the default, with that level."""
        defaults = AuditKeys.model_validate({}).levels
        return {
            name: level for name, level in self.levels.items() if LEVELS.index(level) < LEVELS.index(defaults[name])
        }

    def __str__(self) -> str:
        defaults = AuditKeys.model_validate({}).levels
        changed = (f"{name}: {level}" for name, level in self.levels.items() if level != defaults[name])
        return ", ".join(changed) or "defaults"


class ClockKeys(Keys):
    """The effect of changes to the gate's models on the verdict."""

    alias: Level = optional(
        "A model is named by an alias, which can move to other weights, and not by a pinned snapshot. Default: warn.",
        "warn",
    )
    base_changed: Level = optional(
        "The candidate's base model, or a baseline's model or revision, has changed since the last green verdict. "
        "Default: warn.",
        "warn",
    )
    shutdown: Level = optional(
        "The endpoint lists a model, or its base model, with a shutdown date that has passed or is within "
        "shutdown_within_days. Default: warn.",
        "warn",
    )
    shutdown_within_days: Annotated[Count, Weaker("lower")] = Field(
        90, description="The number of days before a shutdown from which it is reported."
    )

    def source(self, key: str) -> str:
        """Return the source of a key, as messages quote it."""
        return str(self.sources.get(key, BUILT_IN))
