"""Metrics that a model or people judge: checks of the judges, their prompts, and scores from their replies.

These modules are only imported by gates with judges.
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
        metric: the metric that it scores, with it as the only judge.
        items: the calibration items; empty without calibration.
    """

    metric: ModelJudged
    model: Model
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Judging:
    """The judges of a gate, and the ratings of people.

    Models are listed by the name of the metric; further judges of one metric have a number, as ``preference_2``.
    """

    judges: Mapping[str, Judge] = field(default_factory=dict)
    people: Ratings | None = None

    def __bool__(self) -> bool:
        return bool(self.judges) or self.people is not None

    @property
    def models(self) -> list[Model]:
        return [judge.model for judge in self.judges.values()]


@dataclass(frozen=True)
class JudgeRun:
    """The judgements.

    Attributes:
        metrics: the metrics with their scores, by role and name.
        checks: the checks of the judges; an ``error`` if one has not judged everything.
        runs: the runs of the judges, by their name in recordings.
        results: the facts about each judge by its label, and about each majority.
    """

    metrics: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    results: Mapping[str, JudgeResult] = field(default_factory=dict)
