"""The training audit: usable examples, duplicates, leaks, labels and malformed rows."""

from __future__ import annotations

from pytest_ftgate.checks.training_set.audit import TrainingAudit, audit_training_set, row_pairs
from pytest_ftgate.checks.training_set.exact import check_test_set, leaked_rows
from pytest_ftgate.checks.training_set.near import grouped, grouped_by_content
from pytest_ftgate.checks.training_set.rules import check

__all__ = [
    "TrainingAudit",
    "audit_training_set",
    "check",
    "check_test_set",
    "grouped",
    "grouped_by_content",
    "leaked_rows",
    "row_pairs",
]
