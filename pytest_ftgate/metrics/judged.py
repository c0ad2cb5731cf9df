"""Metrics that a model or people judge: their definitions, and the scores once there are judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_ftgate.errors import ConfigError, MetricError, Where
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Floats, Metric, Scored, by_example, check_shape
from pytest_ftgate.models.prompt import read_text

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.config.metrics import CalibrationKeys

RUBRIC, PREFERENCE, HUMAN_PREFERENCE = NAMES = ("rubric", "preference", "human_preference")
READS_EXPECTED = False
_SCALE = (1.0, 5.0)


@dataclass(frozen=True)
class _Judged(Metric):
    """A metric without scores until a judge has been asked."""

    kind = "graded"
    judged = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:  # noqa: ARG002
        raise self.unasked()

    def unasked(self) -> MetricError:
        what = f"{self.name} has no value, because the answers were not judged"
        return MetricError(what, cure="Use it as the metric of a gate, or list it under metric.")


@dataclass(frozen=True)
class _ByModel(_Judged):
    """A metric that a model judges by a rubric; ``calibration``: items that people have judged."""

    judge: ModelSpec
    rubric: str
    source: str
    calibration: CalibrationKeys | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Rubric(_ByModel):
    """The mean grade, between ``low`` and ``high``, that a model gives each answer."""

    low: float = field()
    high: float = field()
    name = RUBRIC


@dataclass(frozen=True)
class Preference(_ByModel):
    """The share of pairs in which the judge prefers the candidate's answer; a tie counts half."""

    name = PREFERENCE
    pairwise = True


ModelJudged: TypeAlias = Rubric | Preference


@dataclass(frozen=True)
class HumanPreference(_Judged):
    """The share of pairs in which people prefer the candidate's answer, from a file; a tie counts half."""

    path: Path
    source: str
    name = HUMAN_PREFERENCE
    pairwise = True


@dataclass(frozen=True)
class Graded(_Judged):
    """A rubric with the judge's grades, by index of the example and answer; a missing answer gets the worst."""

    low: float = field()
    high: float = field()
    grades: Mapping[tuple[int, str], float]
    name = RUBRIC

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        return by_example(self, list(range(len(expected))), answers, self._grade)

    def _grade(self, index: int, answer: str | None) -> float:
        if answer is not None and (index, answer) not in self.grades:
            raise self.unasked()
        return self.low if answer is None else self.grades[index, answer]


@dataclass(frozen=True, eq=False)
class Preferred(_Judged):
    """The scores of one model from pairwise judgements.

    The candidate's value is its win rate against the hardest baseline. That baseline's value is 0.5 by definition, and
    another baseline's is lower by as much as the candidate's win rate against it is higher. So the candidate's score
    minus a baseline's, plus 0.5, is the candidate's win rate against that baseline.

    ``scores`` has the shape ``(examples,)``; ``means``: they are means over repeats or people instead of plain wins,
    ties and losses.
    """

    name: str
    scores: Floats
    means: bool = field()
    pairwise = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        return Scored(self, round(float(self.scores.mean()), 12), per_example=self.scores)


def paired_metrics(name: str, preferred: Mapping[str, Sequence[float]], *, means: bool) -> dict[str, Metric]:
    """Return the scores of all models by role, from those of the candidate against each baseline on each example."""
    import numpy as np

    scores = {role: np.array(values, dtype=float) for role, values in preferred.items()}
    hardest = scores[min(scores, key=lambda role: round(float(scores[role].mean()), 12))]
    made: dict[str, Metric] = {role: Preferred(name, 0.5 + (hardest - one), means) for role, one in scores.items()}
    return {**made, "candidate": Preferred(name, hardest, means)}


def value_unasked(candidate: str | None, baseline: str | None) -> float | None:
    """Return the candidate's score of a pair: equal answers tie, a missing one loses; None if a judge must decide."""
    if candidate is None or baseline is None:
        return 0.5 + ((candidate is not None) - (baseline is not None)) / 2
    return 0.5 if candidate.strip() == baseline.strip() else None


def refuse_judged(metric: Metric, what: str, *, source: str) -> None:
    """Raise :class:`ConfigError` if a judged metric is used where no judge is asked."""
    if metric.judged:
        raise ConfigError(
            f"{metric.name} cannot be {what}: it is only judged on the test set of a gate",
            where=Where(source, key="metric"),
            cure="Use a metric without a judge.",
        )


def build(options: Options) -> ModelJudged | HumanPreference:
    """Build a judged metric."""
    given, source = options.spec.options, str(options.spec.source)
    needs = "path" if options.metric == HUMAN_PREFERENCE else "judge"
    if needs not in given:
        cure = f"Write metric: {{name: {options.metric}, {needs}: ...}}; see docs/judges.md."
        raise options.error(f"{options.metric} needs the option {needs}", key=needs, cure=cure)
    if options.metric == HUMAN_PREFERENCE:
        return HumanPreference(given["path"], source)
    rubric = given.get("rubric")
    if rubric is None:
        rubric = read_text(given["rubric_file"], options.spec.source.where("rubric_file"))
    judge, calibration = given["judge"], given.get("calibration")
    if options.metric == PREFERENCE:
        return Preference(judge, rubric, source, calibration=calibration)
    low, high = given.get("scale", _SCALE)
    return Rubric(judge, rubric, source, float(low), float(high), calibration=calibration)
