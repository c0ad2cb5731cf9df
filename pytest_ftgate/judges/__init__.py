"""Metrics that a model or people judge: who may judge, what is asked, and what becomes of the answers."""

from __future__ import annotations

from pytest_ftgate.judges.ask import Opinion, calibrate, judge_answers
from pytest_ftgate.judges.prepare import Judge, Judging, free_judging_checks, prepare_judging

__all__ = [
    "Judge",
    "Judging",
    "Opinion",
    "calibrate",
    "free_judging_checks",
    "judge_answers",
    "prepare_judging",
]
