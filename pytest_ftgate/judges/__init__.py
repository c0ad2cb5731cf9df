"""Metrics that a model or people judge: who may judge, what is asked, and what becomes of the answers.

The modules are imported by a gate that has judges, and not by others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.judges.calibration import Item
    from pytest_ftgate.judges.people import Ratings
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.metrics.judged import ModelJudged
    from pytest_ftgate.models import Model
    from pytest_ftgate.result import Check, JudgeResult
    from pytest_ftgate.runs.runner import Run

__all__ = ["Judge", "JudgeRun", "Judging"]


@dataclass(frozen=True)
class Judge:
    """A model that judges.

    Attributes:
        metric: that it scores.
        model: to be called.
        items: what it is held to first; empty: nothing.
    """

    metric: ModelJudged
    model: Model
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Judging:
    """All that a gate has judged: the models that do it by the name of the metric, and what people said."""

    judges: Mapping[str, Judge] = field(default_factory=dict)
    people: Ratings | None = None

    def __bool__(self) -> bool:
        """Return whether anybody judges."""
        return bool(self.judges) or self.people is not None

    @property
    def models(self) -> list[Model]:
        return [judge.model for judge in self.judges.values()]


@dataclass(frozen=True)
class JudgeRun:
    """What the judges said.

    Attributes:
        metrics: with their scores, by role and name.
        checks: of the judges; an ``error`` where one has not judged everything.
        runs: of the judges, by what recordings call them.
        results: the facts, by the name of the metric.
    """

    metrics: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    results: Mapping[str, JudgeResult] = field(default_factory=dict)
