"""Metrics that a model or people judge: first what is asked of a judge, then what the judge said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from pytest_ftgate.errors import ConfigError, MetricError, Where
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, check_shape, graded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.config import ModelSpec

RUBRIC, PREFERENCE, HUMAN_PREFERENCE = NAMES = ("rubric", "preference", "human_preference")
_SCALE = (1.0, 5.0)


@dataclass(frozen=True)
class Calibration:
    """Items that people have judged, and the kappa that the judge must reach on them.

    Attributes:
        path: of the items.
        min_kappa: in (0, 1].
        source: where that is written.
    """

    path: Path
    min_kappa: float
    source: str


def unasked(name: str) -> MetricError:
    """Return the error of answers that nobody has judged."""
    return MetricError(
        f"{name} has no value where nobody was asked to judge the answers",
        cure="Use it as the metric of a gate, or under require or show.",
    )


@dataclass(frozen=True)
class _Judged(Metric):
    """A metric that has no score before somebody was asked."""

    kind = "graded"
    judged = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:  # noqa: ARG002
        raise unasked(self.name)


@dataclass(frozen=True)
class Rubric(_Judged):
    """A grade between ``low`` and ``high`` that a model gives each answer.

    Attributes:
        judge: the model.
        rubric: what makes an answer good.
        source: where the metric is written.
        calibration: what the judge is held to first; None: nothing.
    """

    judge: ModelSpec
    rubric: str
    low: float = field()
    high: float = field()
    source: str
    calibration: Calibration | None = None
    name = RUBRIC


@dataclass(frozen=True)
class Preference(_Judged):
    """The share of pairs in which a model prefers the candidate's answer; a tie counts half."""

    judge: ModelSpec
    rubric: str
    source: str
    calibration: Calibration | None = None
    name = PREFERENCE
    pairwise = True


@dataclass(frozen=True)
class HumanPreference(_Judged):
    """The share of pairs in which people prefer the candidate's answer, as a file says; a tie counts half."""

    path: Path
    source: str
    name = HUMAN_PREFERENCE
    pairwise = True


@dataclass(frozen=True)
class Graded(_Judged):
    """A rubric, with what the judge said of every answer; an answer that is missing has the worst grade.

    Attributes:
        low, high: of the rubric's scale.
        grades: by the number of the example and the answer.
    """

    low: float = field()
    high: float = field()
    grades: Mapping[tuple[int, str], float]
    name = RUBRIC

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        import numpy as np

        check_shape(self.name, expected, answers)
        grades = [[self._grade(index, answer) for index, answer in enumerate(repeat)] for repeat in answers]
        return graded(self, np.array(grades, dtype=float))

    def _grade(self, index: int, answer: str | None) -> float:
        if answer is None:
            return self.low
        grade = self.grades.get((index, answer))
        if grade is None:
            raise unasked(self.name)
        return grade


@dataclass(frozen=True, eq=False)
class Preferred(_Judged):
    """How one model stands in its pairs, by what the judges said.

    The candidate's value is its win rate against the baseline that wins most; that baseline's value is a half by
    definition, and another baseline's is lower by as much as the candidate is preferred to it more often. So the
    candidate's score less a baseline's, plus a half, is the candidate's win rate against that baseline.

    Attributes:
        name: of the metric.
        scores: shape ``(examples,)``.
        means: whether they are means, of repeats or of several people, and not wins, ties and losses alone.
    """

    name: str
    scores: NDArray[np.float64]
    means: bool = field()
    pairwise = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        return Scored(self, round(float(self.scores.mean()), 12), per_example=self.scores)


ModelJudged: TypeAlias = Rubric | Preference


def by_model(metric: Metric) -> TypeGuard[ModelJudged]:
    """Return whether a model has to be asked for the scores."""
    return isinstance(metric, Rubric | Preference)


def by_people(metric: Metric) -> TypeGuard[HumanPreference]:
    """Return whether people have to be asked for the scores."""
    return isinstance(metric, HumanPreference)


def refuse_judged(metric: Metric, what: str, *, source: str) -> None:
    """Raise :class:`ConfigError` where a judged metric stands in a place that asks no judge."""
    if metric.judged:
        raise ConfigError(
            f"{metric.name} cannot be {what}: it is judged on the test set of a gate alone",
            where=Where(source, key="metric"),
            cure="Use another metric there.",
        )


def build(options: Options) -> Rubric | Preference | HumanPreference:
    """Build the metric that a gate asks a judge for."""
    given, source = options.spec.options, str(options.spec.source)
    missing = next((key for key in _required(options.metric) if key not in given), None)
    if missing is not None:
        cure = f"Write metric: {{name: {options.metric}, {missing}: ...}}; see docs/judges.md."
        raise options.error(f"{options.metric} needs the option {missing}", key=missing, cure=cure)
    if options.metric == HUMAN_PREFERENCE:
        return HumanPreference(given["path"], source)
    rubric = given.get("rubric")
    if rubric is None:
        from pytest_ftgate.models.prompt import read_text

        rubric = read_text(given["rubric_file"], options.spec.source.where("rubric_file"))
    written = given.get("calibration")
    calibration = None if written is None else Calibration(written.path, written.min_kappa, source)
    if options.metric == PREFERENCE:
        return Preference(given["judge"], rubric, source, calibration)
    low, high = given.get("scale", _SCALE)
    return Rubric(given["judge"], rubric, float(low), float(high), source, calibration)


def _required(name: str) -> tuple[str, ...]:
    return ("path",) if name == HUMAN_PREFERENCE else ("judge",)
