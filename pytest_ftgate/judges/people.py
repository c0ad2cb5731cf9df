"""Which of two answers people preferred, from a file, and how far they agree."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.data.table import Row, read_table
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.judges.agreement import cohen_kappa, fleiss_kappa, observed_agreement
from pytest_ftgate.judges.pairs import value_unasked
from pytest_ftgate.result import Check, JudgeResult, PairResult
from pytest_ftgate.text import excerpt, nearest, plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.runs.runner import Run

_WORDS = {"candidate": 1.0, "tie": 0.5, "baseline": 0.0}
_HASHES = {"baseline_sha256": "baseline", "candidate_sha256": "candidate"}
_ROLES = ("candidate", "baseline")
_SLIGHT_ADVICE = (
    "That is hardly more than by chance: say in words what makes an answer better, and ask again. Where one model is "
    "preferred nearly always, chance agrees, too, and kappa is low however often people agree."
)
SLIGHT = 0.2
"""Up to here agreement is called slight (Landis & Koch 1977)."""


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's word on one example: 1 where the candidate is preferred, 0 where the baseline is, 0.5 for a tie.

    ``rater`` is "" where that is not said; ``sha256`` are of the outputs that were judged, by role, as far as stated.
    """

    line: int
    rater: str
    value: float
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class Ratings:
    """All ratings of a test set, at least one for each example, in the order of the test set."""

    path: str
    source: str
    by_example: tuple[tuple[Rating, ...], ...]

    @property
    def raters(self) -> list[str]:
        return sorted({rating.rater for ratings in self.by_example for rating in ratings})

    @property
    def verified(self) -> bool:
        """Every rating states both outputs that it is about."""
        return all(len(one.sha256) == len(_HASHES) for ratings in self.by_example for one in ratings)

    def values(self) -> list[float]:
        """Return how far the candidate is preferred on each example: the mean of the people who rated it."""
        return [sum(one.value for one in ratings) / len(ratings) for ratings in self.by_example]


def read_ratings(path: Path, source: str, test: DataSet) -> Ratings:
    """Return the preferences of people for a test set: one or more for each example, one of each person."""
    shown = shown_path(path)
    places = {example.id: index for index, example in enumerate(test.examples)}
    found: list[dict[str, Rating]] = [{} for _ in test.examples]
    for row in read_table(path, ("id", "preferred")):
        index = _place(row, places)
        rating = _rating(row)
        first = found[index].setdefault(rating.rater, rating)
        if first is not rating:
            who = f" by {printable(rating.rater, 40)}" if rating.rater else " without a rater"
            raise DataError(
                f'the id "{excerpt(str(row.values["id"]))}" is rated twice{who}: line {first.line} does it too',
                where=row.where,
                cure="keep one of the two, or name the raters in the column rater",
            )
    missing = [row for row, ratings in enumerate(found) if not ratings]
    if missing:
        counted = f"{len(missing):,} of {plural(len(test), 'test example')} have no preference"
        raise DataError(
            f'{counted}, the first is "{excerpt(test.examples[missing[0]].id)}" ({test.where(missing[0])})',
            where=Where(path=shown),
            cure="let somebody judge them too: a row that is left out is no tie",
        )
    return Ratings(shown, source, tuple(tuple(ratings.values()) for ratings in found))


def _place(row: Row, places: Mapping[str, int]) -> int:
    given = row.values["id"]
    id_ = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(id_, str):
        raise row.wrong("id", "text or an integer")
    if id_ not in places:
        near = nearest(id_, places)
        cure = f'did you mean "{near}"?' if near else "the ids are those of the test set"
        raise DataError(f'no test example has the id "{excerpt(id_)}"', where=row.at("id"), cure=cure)
    return places[id_]


def _rating(row: Row) -> Rating:
    rater = row.values.get("rater")
    if rater is not None and not isinstance(rater, str | int):
        raise row.wrong("rater", "text")
    hashes = {role: text for column, role in _HASHES.items() if (text := _hash(row, column))}
    name = "" if rater is None else str(rater).strip().casefold()  # Anna and anna are one person
    return Rating(row.where.line or 0, name, _WORDS[_preferred(row)], hashes)


def _preferred(row: Row) -> str:
    """Return ``candidate``, ``baseline`` or ``tie``; a and b are what the columns of that name say."""
    word = row.values["preferred"]
    word = word.strip().lower() if isinstance(word, str) else word
    if word in ("a", "b"):
        sides = [row.values.get("a"), row.values.get("b")]
        if sorted(map(str, sides)) != ["baseline", "candidate"]:
            raise DataError(
                f'prefers "{word}", and the columns a and b do not say which of the two models that is',
                where=row.at("preferred"),
                cure="write candidate in one of the columns a and b, and baseline in the other",
            )
        word = sides["ab".index(word)]
    if not isinstance(word, str) or word not in _WORDS:
        cure = "or a or b, where the columns a and b name the two models"
        raise row.wrong("preferred", "candidate, baseline or tie", value=word, cure=cure)
    return word


def _hash(row: Row, column: str) -> str | None:
    given = row.values.get(column)
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) != 64:
        raise DataError("must be the SHA-256 of the output, 64 hex digits", where=row.at(column))
    return given.lower()


# --- against the outputs, and among themselves ---------------------------------------------------------------


def stale_check(name: str, ratings: Ratings, test: DataSet, runs: Mapping[str, Run]) -> Check:
    """Check that people judged these very outputs; where the file does not say so, that is taken on trust."""
    name, path, source = f"{name}.outputs", ratings.path, ratings.source
    stale = list(_stale(ratings, test, runs))
    if stale:
        line, id_, role = stale[0]
        message = (
            f"{_preferences(len(stale), path)} about other outputs, the first in line {line}: the {role}'s output for "
            f"{printable(id_, 40)} is another one now"
        )
        advice = "Let people judge the outputs that the models give now."
        return Check(name, "error", message, len(stale), 0, source, advice)
    if ratings.verified:
        message = f"all preferences in {path} are about the outputs that the models gave"
        return Check(name, "pass", message, source=source)
    message = f"the preferences in {path} are attested, not verified (no baseline_sha256 and candidate_sha256)"
    return Check(name, "note", message, source=source)


def _preferences(n: int, path: str) -> str:
    return f"{plural(n, 'preference')} in {path} {'is' if n == 1 else 'are'}"


def settled(name: str, ratings: Ratings, runs: Mapping[str, Run]) -> tuple[Ratings, list[Check]]:
    """Return ratings to judge by: equal outputs are a tie, a missing one loses, whatever the file says."""
    both = ([one.completion and one.completion.text for one in runs[role].predictions[0]] for role in _ROLES)
    told, moved = [], []
    for outputs, given in zip(zip(*both, strict=True), ratings.by_example, strict=True):
        win = value_unasked(*outputs)
        told.append(tuple(rating if win is None else replace(rating, value=win) for rating in given))
        moved += [rating.line for rating in given if win not in (None, rating.value)]
    if not moved:
        return ratings, []
    message = (
        f"{_preferences(len(moved), ratings.path)} between equal outputs, or for one that is missing, the first in "
        f"line {moved[0]}: equal ones are a tie, a missing one loses"
    )
    found = Check(f"{name}.equal", "warning", message, len(moved), 0, ratings.source)
    return replace(ratings, by_example=tuple(told)), [found]


def _stale(ratings: Ratings, test: DataSet, runs: Mapping[str, Run]) -> Iterator[tuple[int, str, str]]:
    now: dict[str, list[str | None]] = {
        role: [None if one.completion is None else sha256_of(one.completion.text) for one in run.predictions[0]]
        for role, run in runs.items()
    }
    for index, example in enumerate(test.examples):
        for rating in ratings.by_example[index]:
            for role, stated in rating.sha256.items():
                if now[role][index] != stated:
                    yield rating.line, example.id, role


def sha256_of(output: str) -> str:
    """Return what ``baseline_sha256`` and ``candidate_sha256`` hold: of the output's text in UTF-8, in hex."""
    return hashlib.sha256(output.encode("utf-8", "surrogatepass")).hexdigest()


def people_result(name: str, ratings: Ratings, baseline: str) -> JudgeResult:
    """Return the facts: how often each model was preferred by most people, and how far people agree."""
    values = ratings.values()
    wins, losses = (sum(sign * (value - 0.5) > 0 for value in values) for sign in (1, -1))
    pair = PairResult(baseline, len(values), wins, len(values) - wins - losses, losses)
    kappa, kind, n = agreement(ratings)
    return JudgeResult(
        name, "people", kappa=kappa, kappa_kind=kind, n_kappa=n, raters=len(ratings.raters), pairs=(pair,)
    )


def agreement(ratings: Ratings) -> tuple[float | None, str | None, int]:
    """Return Cohen's kappa of two raters on what both rated, Fleiss' of more; and on how many examples."""
    raters = ratings.raters
    rated = [ratings_ for ratings_ in ratings.by_example if len(ratings_) >= 2]
    if len(raters) < 2 or not rated:
        return None, None, 0
    if len(raters) == 2:
        pairs = [sorted(both, key=lambda one: one.rater) for both in rated]
        return cohen_kappa(*zip(*[(one.value, other.value) for one, other in pairs], strict=True)), "Cohen", len(rated)
    return fleiss_kappa(_counts(rated)), "Fleiss", len(rated)


def _counts(rated: Iterable[Sequence[Rating]]) -> list[list[int]]:
    """Return how many raters of each example said each word."""
    return [[Counter(one.value for one in ratings)[value] for value in _WORDS.values()] for ratings in rated]


def agreement_check(name: str, ratings: Ratings) -> Check:
    """Say how far people agree beyond chance: a preference that may be one person's own is weak."""
    name, source, n_raters = f"{name}.agreement", ratings.source, len(ratings.raters)
    kappa, kind, n = agreement(ratings)
    if kind is None:
        who = "one rater" if n_raters == 1 else f"{plural(n_raters, 'rater')}, none of one example"
        advice = "Have a part of the examples judged by a second person."
        return Check(name, "note", f"{who}: how far people agree is not known", 0, None, source, advice)
    people = f"{plural(n_raters, 'rater')} on {plural(n, 'example')}"
    if kappa is None:
        message = f"{people}: all of them say the same throughout, so that kappa is not defined"
        return Check(name, "note", message, source=source)
    share = observed_agreement(_counts(one for one in ratings.by_example if len(one) >= 2))
    message = f"{people}: any two agree {100 * share:.0f} % of the time, {kind}'s kappa {kappa:.2f}"
    rounded = round(kappa, 12)
    return (
        Check(name, "warning", message, rounded, SLIGHT, source, _SLIGHT_ADVICE)
        if kappa <= SLIGHT
        else Check(name, "note", message, rounded, source=source)
    )
