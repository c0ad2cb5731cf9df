"""All that can be known about a gate before a model is called, and what has to hold by then."""

from __future__ import annotations

from pytest_ftgate.preparation.assembly import prepare
from pytest_ftgate.preparation.contest import with_winner
from pytest_ftgate.preparation.free import free_checks
from pytest_ftgate.preparation.metrics import build_metrics, needs_expected
from pytest_ftgate.preparation.prepared import Prepared

__all__ = ["Prepared", "build_metrics", "free_checks", "needs_expected", "prepare", "with_winner"]
