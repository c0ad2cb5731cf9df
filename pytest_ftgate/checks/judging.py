"""The free checks of judges: whether they are calibrated with human labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.result import Check


def check(gate: Context) -> list[Check]:
    """Note which judges are not calibrated with human labels, and how far people agree."""
    if not gate.judging:
        return []
    from pytest_ftgate.judges.prepare import free_judging_checks

    return free_judging_checks(gate.judging)
