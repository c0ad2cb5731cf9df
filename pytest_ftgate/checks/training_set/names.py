"""The names of the checks of the training audit."""

from __future__ import annotations

AUDIT_CHECKS = frozenset(
    {
        "min_training_examples",
        "leaked",
        "leaked_near",
        "conflicts",
        "near_duplicates",
        "labels_missing",
        "labels_untested",
        "imbalance",
        "truncated",
        "chat_format",
        "too_long",
        "label_quality",
        "training_size",
        "audit",
    }
)
