"""From the runs of all models to the verdict: completeness, scores, gains, bounds, remarks."""

from __future__ import annotations

from pytest_ftgate.judgement.verdict import judge

__all__ = ["judge"]
