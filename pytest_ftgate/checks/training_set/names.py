"""The names of the checks of the training audit that can be a warning."""

from __future__ import annotations

AUDIT_CHECKS = frozenset(
    {
        "min_training_examples",
        "leaked",
        "leaked_near",
        "conflicts",
        "near_duplicates",
        "test_near_duplicates",
        "group_overlap",
        "labels_missing",
        "imbalance",
        "truncated",
        "chat_format",
        "too_long",
        "audit",
    }
)
