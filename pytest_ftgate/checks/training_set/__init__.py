"""The training set against itself and the test set, before any model is called."""

from __future__ import annotations

from pytest_ftgate.checks.training_set.audit import TrainingAudit, audit_training_set
from pytest_ftgate.checks.training_set.exact import check_test_set, leaked_rows

__all__ = ["TrainingAudit", "audit_training_set", "check_test_set", "leaked_rows"]
