"""The training audit: usable examples, duplicates, leaks, labels and malformed rows."""

from pytest_ftgate.checks.audit.audit import (
    TrainingAudit,
    audit_training_set,
    check_test_set,
    leaked_rows,
    row_pairs,
)
from pytest_ftgate.checks.audit.near import grouped, grouped_by_content

__all__ = [
    "TrainingAudit",
    "audit_training_set",
    "check_test_set",
    "grouped",
    "grouped_by_content",
    "leaked_rows",
    "row_pairs",
]
