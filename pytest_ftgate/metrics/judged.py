"""Metrics that a model or people judge: their definitions, and the scores once there are judgements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate import errors, result, text
from pytest_ftgate.config import ModelSpec, metrics
from pytest_ftgate.data import DataSet, load
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, by_example, check_shape
from pytest_ftgate.models.prompt import read_named
from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.statistics.groups import effective_groups, group_counts, sign_flip_p_value

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

    def unasked(self) -> errors.MetricError:
        what = f"{self.name} has no value, because the answers were not judged"
        return errors.MetricError(
            what, cure="Use it as the metric of a gate, or list it under metric."
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
        return Scored(self, round(float(self.scores.mean()), 12), per_example=self.scores)


def paired_metrics(
    name: str, preferred: Mapping[str, Sequence[float]], *, means: bool
) -> dict[str, Metric]:
    """Return the scores of all models by role, from those of the candidate against each baseline on each example."""
    scores = {role: np.array(values, dtype=float) for role, values in preferred.items()}
    hardest = scores[min(scores, key=lambda role: round(float(scores[role].mean()), 12))]
    made: dict[str, Metric] = {
        role: Preferred(name, 0.5 + (hardest - one), means) for role, one in scores.items()
    }
    return {**made, "candidate": Preferred(name, hardest, means)}


def value_unasked(candidate: str | None, baseline: str | None) -> float | None:
    """Return the candidate's score of a pair: equal answers tie, a missing one loses; None if a judge must decide."""
    if candidate is None or baseline is None:
        return 0.5 + ((candidate is not None) - (baseline is not None)) / 2
    return 0.5 if candidate.strip() == baseline.strip() else None


def refuse_judged(metric: Metric, what: str, *, source: str) -> None:
    """Raise :class:`ConfigError` if a judged metric is used where no judge is asked."""
    if metric.judged:
        what = f"{metric.name} cannot be {what}: it is only judged on the test set of a gate"
        raise errors.ConfigError(
            what, where=errors.Where(source, key="metric"), cure="Use a metric without a judge."
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
        rubric = read_named(given["rubric_file"], options.spec.source.where("rubric_file"))
    judge, calibration = given["judge"], given.get("calibration")
    if options.metric == PREFERENCE:
        return Preference(judge, rubric, source, calibration=calibration)
    low, high = given.get("scale", _SCALE)
    return Rubric(judge, rubric, source, float(low), float(high), calibration=calibration)


# --- preferences of people
# -----------------------------------------------------------------------------------------

FEWEST_RATERS = 10
_WORDS = {"candidate": 1.0, "tie": 0.5, "baseline": 0.0}


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's preference on one example."""

    where: errors.Where
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
        """Return how many pairs each rater decides; a rating is the share of its pair that its raters leave it."""
        weights: dict[str, float] = {}
        for ratings in self.by_example:
            for rating in ratings:
                weights[rating.rater] = weights.get(rating.rater, 0.0) + 1 / len(ratings)
        return weights

    @property
    def effective_raters(self) -> int:
        """Return the number of raters of equal weight that hold as much information."""
        return effective_groups(np.array(list(self.weights.values())))

    @property
    def few_raters(self) -> bool:
        """Return whether the raters are too few to show that the gain is not their common taste."""
        return self.effective_raters < FEWEST_RATERS

    @property
    def mostly_single(self) -> bool:
        """Return whether most pairs have the rating of one person."""
        return 2 * sum(len(ratings) == 1 for ratings in self.by_example) > len(self.by_example)

    def groups(self, of_test: Sequence[str | None]) -> Sequence[str | None]:
        """Return what a preference belongs to: its rater where most pairs have one rating, by enough raters.

        A rater who likes the style of one model votes for it again and again. ``of_test`` are the
        groups of the test set, which stay where it has some.
        """
        if self.few_raters or not self.mostly_single or group_counts(of_test, len(of_test)):
            return of_test
        return [ratings[0].rater for ratings in self.by_example]

    def rater_p_value(self, gain: float) -> float:
        """Return the one-sided p-value of "the real gain is at most this", with the raters as the observations.

        Each rater's total is as likely to have the opposite sign: see
        :func:`~pytest_ftgate.statistics.groups.sign_flip_p_value`.
        """
        totals = dict.fromkeys(self.weights, 0.0)
        for ratings in self.by_example:
            for rating in ratings:
                totals[rating.rater] += (rating.value - 0.5 - gain) / len(ratings)
        return sign_flip_p_value(np.array(list(totals.values())))

    def values(self) -> list[float]:
        """Return the candidate's score on each example: the mean over its raters."""
        return [
            sum(rating.value for rating in ratings) / len(ratings) for ratings in self.by_example
        ]


def read_ratings(metric: HumanPreference, test: DataSet) -> Ratings:
    """Return the ratings of a test set; every example needs at least one, and each rater rates it once."""
    places = {example.id: index for index, example in enumerate(test.examples)}
    found: list[dict[str, Rating]] = [{} for _ in test.examples]
    for row in load.read_table(metric.path, ("id", "preferred")):
        index, rating = _place(row, places), _rating(row)
        first = found[index].setdefault(rating.rater, rating)
        if first is not rating:
            who = f" by {text.printable(rating.rater, 40)}" if rating.rater else " without a rater"
            what = f'the id "{text.excerpt(str(row.values["id"]))}" is rated twice{who}, first in {first.where}'
            cure = "Keep one of the two, or name the raters in the column rater."
            raise errors.DataError(what, where=row.where, cure=cure)
    missing = [row for row, ratings in enumerate(found) if not ratings]
    if missing:
        counted = f"{len(missing):,} of {text.plural(len(test), 'test example')} have no preference"
        what = f'{counted}, the first is "{text.excerpt(test.examples[missing[0]].id)}" ({test.where(missing[0])})'
        cure = "Let people judge them too: a missing row is not a tie."
        raise errors.DataError(
            what, where=errors.Where(path=errors.shown_path(metric.path)), cure=cure
        )
    return Ratings(
        errors.shown_path(metric.path),
        metric.source,
        tuple(tuple(ratings.values()) for ratings in found),
    )


def _place(row: load.Row, places: Mapping[str, int]) -> int:
    given = row.values["id"]
    id_ = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(id_, str):
        raise row.wrong("id", "text or an integer")
    if id_ not in places:
        near = text.nearest(id_, places)
        cure = f'Did you mean "{near}"?' if near else "Use the ids of the test set."
        raise errors.DataError(
            f'no test example has the id "{text.excerpt(id_)}"', where=row.at("id"), cure=cure
        )
    return places[id_]


def _rating(row: load.Row) -> Rating:
    rater, word = row.values.get("rater"), row.values["preferred"]
    if rater is not None and not isinstance(rater, str | int):
        raise row.wrong("rater", "text")
    word = word.strip().lower() if isinstance(word, str) else word
    if not isinstance(word, str) or word not in _WORDS:
        raise row.wrong("preferred", "candidate, baseline or tie")
    # "Anna" and "anna" are one person
    name = "" if rater is None else str(rater).strip().casefold()
    return Rating(row.where, name, _WORDS[word])


def judged_by_people(
    ratings: Ratings, baseline: str, outputs: Sequence[tuple[str | None, ...]]
) -> tuple[dict[str, Metric], list[result.Check], result.JudgeResult]:
    """Return the scores by role, the checks, and the facts; equal outputs are a tie, and a missing output loses.

    ``outputs`` are those of the candidate and the ``baseline`` to each example.
    """
    corrected, moved = [], []
    for both, given in zip(outputs, ratings.by_example, strict=True):
        value = value_unasked(*both)
        corrected.append(
            tuple(one if value is None else replace(one, value=value) for one in given)
        )
        moved += [one.where for one in given if value not in (None, one.value)]
    name, path, source = HUMAN_PREFERENCE, ratings.path, ratings.source
    checks = [
        result.Check(
            "evidence",
            "note",
            f"the preferences in {path} are attested, not verified",
            source=source,
        )
    ]
    # First what limits the claim: a short report shows the beginning.
    if ratings.few_raters:
        message = f"{text.plural(ratings.raters, 'rater')} in {path}"
        if ratings.effective_raters < ratings.raters:
            message += (
                f" who count as {ratings.effective_raters}, because some rate more than others"
            )
        message += ": the bound assumes that no rater prefers one model's style, because so few cannot show otherwise"
        advice = f"Let at least {FEWEST_RATERS} people rate about as many pairs each, and name them in the column "
        advice += "rater."
        numbers = ratings.effective_raters, FEWEST_RATERS, source
        checks.append(result.Check("evidence", "warning", message, *numbers, advice))
    if moved:
        message = f"{text.plural(len(moved), 'preference')} in {path} {'is' if len(moved) == 1 else 'are'} corrected, "
        message += f"the first in {moved[0]}: equal outputs are a tie, and a missing output loses"
        checks.append(result.Check("evidence", "warning", message, len(moved), 0, source))
    ratings = replace(ratings, by_example=tuple(corrected))
    facts = result.JudgeResult(name, raters=ratings.raters)
    scores = paired_metrics(name, {baseline: ratings.values()}, means=ratings.raters > 1)
    scores["candidate"] = Preferred(name, np.array(ratings.values()), ratings.raters > 1, ratings)
    return scores, checks, facts
