"""Metrics that a model or people judge: who may judge, what is asked, and what becomes of the answers."""

from __future__ import annotations

from pytest_ftgate.judges.ask import JudgeRun, calibrate, run_judges
from pytest_ftgate.judges.prepare import Judge, Judging, free_judging_checks, prepare_judging

__all__ = ["Judge", "JudgeRun", "Judging", "calibrate", "free_judging_checks", "prepare_judging", "run_judges"]
