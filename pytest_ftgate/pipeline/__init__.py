"""The one use case: a configured gate in, a judged result out. Free checks first, then models, then judgement."""

from __future__ import annotations

from pytest_ftgate.pipeline.gate import judge_ready, ready_gate, run_gate, show_bare
from pytest_ftgate.pipeline.judged import Judged, Ready
from pytest_ftgate.pipeline.services import Display, Services

__all__ = ["Display", "Judged", "Ready", "Services", "judge_ready", "ready_gate", "run_gate", "show_bare"]
