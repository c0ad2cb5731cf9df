"""Metrics that a model or people judge. The modules beside this one are only imported by gates with judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.judges.agreement import Item
    from pytest_ftgate.judges.people import Ratings
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.metrics.judged import ModelJudged
    from pytest_ftgate.models import Model
    from pytest_ftgate.result import Check, JudgeResult
    from pytest_ftgate.runs.runner import Run


@dataclass(frozen=True)
class Judge:
    """A model that judges."""

    metric: ModelJudged  # the metric that it scores, with it as the only judge
    model: Model
    items: tuple[Item, ...] = ()  # the calibration items


@dataclass(frozen=True)
class Judging:
    """The judges of a gate, and the ratings of people."""

    judges: Mapping[str, Judge] = field(default_factory=dict)  # by metric; further ones have a number: preference_2
    people: Ratings | None = None

    def __bool__(self) -> bool:
        return bool(self.judges) or self.people is not None

    @property
    def models(self) -> list[Model]:
        return [judge.model for judge in self.judges.values()]


@dataclass(frozen=True)
class JudgeRun:
    """The judgements."""

    metrics: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)  # with their scores, by role and name
    checks: tuple[Check, ...] = ()  # of the judges; an error if one has not judged everything
    runs: Mapping[str, Run] = field(default_factory=dict)  # of the judges, by their name in recordings
    results: Mapping[str, JudgeResult] = field(default_factory=dict)  # of each judge by its label, and each majority
