"""Metrics that a model or people judge: their definitions, and the scores of judgements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate.config import ModelSpec, metrics
from pytest_ftgate.data import DataSet
from pytest_ftgate.data.load import Row, read_table
from pytest_ftgate.errors import ConfigError, DataError, MetricError, Where, shown_path
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, by_example, check_shape
from pytest_ftgate.models.prompt import read_named
from pytest_ftgate.result import Check
from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.groups import sign_flip_p_value
from pytest_ftgate.text import excerpt, plural

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
        """Return the error that there are no judgements."""
        return MetricError(
            f"{self.name} has no value, because the answers were not judged",
            cure="Use it as the metric of a gate, or list it under metric.",
        )


@dataclass(frozen=True)
class _ByModel(_Judged):
    """A metric that a model judges by a rubric; ``calibration``: items that people have judged."""

    judge: ModelSpec
    rubric: str
    source: str
    calibration: metrics.CalibrationKeys | None = field(default=None, kw_only=True)


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
    """The share of pairs in which people prefer the candidate's answer; a tie counts half."""

    path: Path
    source: str
    name = HUMAN_PREFERENCE
    pairwise = True


@dataclass(frozen=True)
class Graded(_Judged):
    """A rubric with the judge's grades, by row and answer; a missing answer gets the worst."""

    low: float = field()
    high: float = field()
    grades: Mapping[tuple[int, str], float]
    name = RUBRIC

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        return by_example(self, list(range(len(expected))), answers, self._grade)

    def _grade(self, row: int, answer: str | None) -> float:
        if answer is None:
            return self.low
        if (row, answer) not in self.grades:
            raise self.unasked()
        return self.grades[row, answer]


@dataclass(frozen=True, eq=False)
class Preferred(_Judged):
    """The scores of one model from pairwise judgements.

    The candidate's value is its win rate against the hardest baseline. That baseline's value is 0.5
    by definition, and another baseline's is lower by as much as the candidate's win rate against it
    is higher. So the candidate's score minus a baseline's, plus 0.5, is the candidate's win rate
    against that baseline.

    ``scores`` has the shape ``(examples,)``; ``means``: they are means over repeats or people
    instead of plain wins, ties and losses. ``ratings`` are those of people that the candidate's
    scores are made of.
    """

    name: str
    scores: Floats
    means: bool = field()
    ratings: "Ratings | None" = None
    pairwise = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        return Scored(self, _win_rate(self.scores), per_example=self.scores)


def paired_metrics(
    name: str, preferred: Mapping[str, Sequence[float]], *, means: bool
) -> dict[str, Metric]:
    """Return the scores of all models by role.

    ``preferred`` are the candidate's scores against each baseline, on each example.
    """
    scores = {role: np.array(values, dtype=float) for role, values in preferred.items()}
    hardest = min(scores.values(), key=_win_rate)
    # the difference of two roles, plus 0.5, must be the win rate of one over the other
    made: dict[str, Metric] = {"candidate": Preferred(name, hardest, means)}
    for role, against_role in scores.items():
        made[role] = Preferred(name, 0.5 + (hardest - against_role), means)
    return made


def _win_rate(scores: Floats) -> float:
    return round(float(scores.mean()), 12)


def value_unasked(candidate: str | None, baseline: str | None) -> float | None:
    """Return the candidate's score of a pair; None if a judge must decide.

    Equal answers tie, and so do missing ones; one that is missing loses.
    """
    if candidate == baseline:
        return 0.5
    if candidate is None:
        return 0.0
    if baseline is None:
        return 1.0
    return 0.5 if candidate.strip() == baseline.strip() else None


def refuse_judged(metric: Metric, use: str, *, source: str) -> None:
    """Raise :class:`ConfigError` if a judged metric is used where no judge is asked."""
    if metric.judged:
        raise ConfigError(
            f"{metric.name} cannot be {use}: it is only judged on the test set of a gate",
            where=Where(source, key="metric"),
            cure="Use a metric without a judge.",
        )


def build(options: Options) -> ModelJudged | HumanPreference:
    """Build a judged metric."""
    name = options.metric
    values = options.spec.options
    source = str(options.spec.source)
    required = "path" if name == HUMAN_PREFERENCE else "judge"
    if required not in values:
        raise options.error(
            f"{name} needs the option {required}",
            key=required,
            cure=f"Write metric: {{name: {name}, {required}: ...}}; see docs/judges.md.",
        )
    if name == HUMAN_PREFERENCE:
        return HumanPreference(values["path"], source)

    rubric = values.get("rubric")
    if rubric is None:
        rubric = read_named(values["rubric_file"], options.spec.source.where("rubric_file"))
    judge = values["judge"]
    calibration = values.get("calibration")
    if name == PREFERENCE:
        return Preference(judge, rubric, source, calibration=calibration)

    low, high = values.get("scale", _SCALE)
    return Rubric(
        judge,
        rubric=rubric,
        source=source,
        low=float(low),
        high=float(high),
        calibration=calibration,
    )


# --- preferences of people ------------------------------------------------------------------------

_WORDS = {"candidate": 1.0, "tie": 0.5, "baseline": 0.0}


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's preference on one example."""

    where: Where
    rater: str  # empty if it is not stated
    value: float  # 1 for the candidate, 0 for the baseline, 0.5 for a tie


@dataclass(frozen=True)
class Ratings:
    """The ratings of a test set, in its order; every example has at least one."""

    path: str
    source: str
    by_example: tuple[tuple[Rating, ...], ...]

    @property
    def raters(self) -> int:
        """Return the number of different raters."""
        return len(self.weights)

    @cached_property
    def weights(self) -> dict[str, float]:
        """Return how many pairs each rater decides; the raters of a pair share it."""
        weights: dict[str, float] = {}
        for ratings in self.by_example:
            for rating in ratings:
                weights[rating.rater] = weights.get(rating.rater, 0.0) + 1 / len(ratings)
        return weights

    @property
    def least_p_value(self) -> float:
        """Return the p-value if all raters prefer the candidate, which no other can be below."""
        least: float = 2.0**-self.raters
        return least

    def rater_p_value(self, gain: float) -> float:
        """Return the one-sided p-value of "the true gain is at most this".

        The raters are the observations. Each rater's total is as likely to have the opposite sign:
        see :func:`~pytest_ftgate.statistics.groups.sign_flip_p_value`.
        """
        totals = dict.fromkeys(self.weights, 0.0)
        for ratings in self.by_example:
            for rating in ratings:
                totals[rating.rater] += (rating.value - 0.5 - gain) / len(ratings)
        return sign_flip_p_value(np.array(list(totals.values())))

    def values(self) -> list[float]:
        """Return the candidate's score on each example: the mean over its raters."""
        return list(map(_mean, self.by_example))


def _mean(ratings: Sequence[Rating]) -> float:
    return sum(rating.value for rating in ratings) / len(ratings)


def read_ratings(metric: HumanPreference, test: DataSet) -> Ratings:
    """Return the ratings of a test set.

    Every example needs at least one, and each rater rates it once.
    """
    rows = {example.id: row for row, example in enumerate(test.examples)}
    by_example: list[dict[str, Rating]] = [{} for _ in test.examples]
    for table_row in read_table(metric.path, ("id", "preferred")):
        rating = _rating(table_row)
        ratings = by_example[_example_row(table_row, rows)]
        first = ratings.setdefault(rating.rater, rating)
        if first is not rating:
            raise DataError(
                f"this example was rated by the same rater before, in {first.where}",
                where=table_row.where,
                cure="Keep one of the two, or name the raters in the column rater.",
            )

    path = shown_path(metric.path)
    missing = [row for row, ratings in enumerate(by_example) if not ratings]
    if missing:
        first_id = excerpt(test.examples[missing[0]].id)
        problem = (
            f"{len(missing):,} of {plural(len(test), 'test example')} have no preference, "
            f'the first is "{first_id}" ({test.where(missing[0])})'
        )
        raise DataError(
            problem,
            where=Where(path=path),
            cure="Let people judge them too: a missing row is not a tie.",
        )

    return Ratings(path, metric.source, tuple(tuple(ratings.values()) for ratings in by_example))


def _example_row(row: Row, rows: Mapping[str, int]) -> int:
    """Return the row of the test example that a rating is about."""
    id_ = str(row.values["id"])
    if id_ not in rows:
        raise DataError(
            f'no test example has the id "{excerpt(id_)}"',
            where=row.at("id"),
            cure="Use the ids of the test set.",
        )

    return rows[id_]


def _rating(row: Row) -> Rating:
    value = _WORDS.get(str(row.values["preferred"]).strip().lower())
    if value is None:
        raise row.wrong("preferred", "candidate, baseline or tie")

    # "Anna" and "anna" are one person
    rater = str(row.values.get("rater") or "").strip().casefold()
    return Rating(row.where, rater, value)


def judged_by_people(
    ratings: Ratings, baseline: str, outputs: Sequence[tuple[str | None, str | None]]
) -> tuple[dict[str, Metric], list[Check]]:
    """Return the scores by role, and the checks.

    ``outputs`` are those of the candidate and the ``baseline`` to each example. Equal outputs are a
    tie, and a missing output loses, whatever people say.
    """
    message = f"the preferences in {ratings.path} are not verified: they do not name the answers"
    checks = [Check("evidence", "note", message, source=ratings.source)]

    # a pair that needs no judgement is decided without people
    decided = []
    for pair, pair_ratings in zip(outputs, ratings.by_example, strict=True):
        value = value_unasked(*pair)
        if value is not None:
            pair_ratings = tuple(replace(rating, value=value) for rating in pair_ratings)
        decided.append(pair_ratings)

    ratings = replace(ratings, by_example=tuple(decided))
    values = ratings.values()
    name = HUMAN_PREFERENCE
    scores = paired_metrics(name, {baseline: values}, means=ratings.raters > 1)
    scores["candidate"] = Preferred(
        name, scores=np.array(values), means=ratings.raters > 1, ratings=ratings
    )
    return scores, checks
