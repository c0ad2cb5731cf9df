"""What the name of a model says of its weights: a snapshot, an alias that may move, or a fine-tune of a base model."""

from __future__ import annotations

import re

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})(?=-|$)")
# Families of which OpenAI publishes dated snapshots, and their undated names move from one to the next. A name that
# is none of these is not called an alias: some models have one name and no snapshots.
_FAMILY = re.compile(
    r"(gpt-\d+(\.\d+)?o?|o\d+)(-(mini|nano|pro|turbo|preview|instruct|codex|16k|32k|audio|realtime|search))*"
)


def base_in_name(model: str) -> str | None:
    """``gpt-4.1-mini-2025-04-14`` of ``ft:gpt-4.1-mini-2025-04-14:acme::abc123``; None where the name holds no base."""
    parts = model.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "ft" and parts[1].strip() else None


def is_alias(model: str, *, revision: str | None, public: bool) -> bool:
    """Whether the name is known to stand for whatever weights are the newest.

    Args:
        model: its name at the endpoint.
        revision: what the gate says of the state of the weights, which pins those of an endpoint of one's own.
        public: the endpoint is OpenAI's own, which moves its aliases whatever the gate says.
    """
    if base_in_name(model) is not None or (revision is not None and not public):
        return False
    if re.search(r"[-:]latest$", model):
        return True
    return public and _FAMILY.fullmatch(model) is not None and _SNAPSHOT.search(model) is None
