"""The facts of one gate, under the names that the fixture, the reports and JUnit share."""

from __future__ import annotations

from pytest_ftgate.result.check import STATUS_AT, Check, Status, Verdict, verdict_of
from pytest_ftgate.result.clock import Clock, Drift
from pytest_ftgate.result.data import TestSetResult, TrainingResult
from pytest_ftgate.result.diagnosis import Advice, BreakdownResult, Confusion, Diagnosis, Flip, LabelScore
from pytest_ftgate.result.gate_result import Gain, GateResult, closed, failed_result
from pytest_ftgate.result.judging import JudgeResult, PairResult
from pytest_ftgate.result.model import CandidateResult, ModelResult, called
from pytest_ftgate.result.noninferiority import GuardResult, LabelResult, SliceResult

__all__ = [
    "STATUS_AT",
    "Advice",
    "BreakdownResult",
    "CandidateResult",
    "Check",
    "Clock",
    "Confusion",
    "Diagnosis",
    "Drift",
    "Flip",
    "Gain",
    "GateResult",
    "GuardResult",
    "JudgeResult",
    "LabelResult",
    "LabelScore",
    "ModelResult",
    "PairResult",
    "SliceResult",
    "Status",
    "TestSetResult",
    "TrainingResult",
    "Verdict",
    "called",
    "closed",
    "failed_result",
    "verdict_of",
]
