"""Preferences of people between two answers, from a file, and the agreement between people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.data.table import Row
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.judges import sheets
from pytest_ftgate.judges.agreement import cohen_kappa, fleiss_kappa, observed_agreement
from pytest_ftgate.judges.pairs import longer_preferred, pair_result, paired_metrics, value_unasked
from pytest_ftgate.metrics.judged import HUMAN_PREFERENCE
from pytest_ftgate.result import Check, JudgeResult
from pytest_ftgate.text import excerpt, nearest, plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.runs.runner import Run

_WORDS = {"candidate": 1.0, "tie": 0.5, "baseline": 0.0}
_HASHES = {"baseline_sha256": "baseline", "candidate_sha256": "candidate"}
_ROLES = ("candidate", "baseline")
Outputs = Sequence[tuple[str | None, str | None]]
_SLIGHT_ADVICE = (
    "This is little more than chance. Write down what makes an answer better, and let people judge again. If one model "
    "is nearly always preferred, kappa is low even where people agree."
)
SLIGHT = 0.2  # maximum kappa of slight agreement (Landis & Koch 1977)


@dataclass(frozen=True, slots=True)
class Rating:
    """One person's preference on one example."""

    where: Where
    rater: str  # empty if it is not stated
    value: float  # 1 for the candidate, 0 for the baseline, 0.5 for a tie
    sha256: Mapping[str, str]  # the stated hashes of the judged outputs, by role


@dataclass(frozen=True)
class Ratings:
    """The ratings of a test set, in its order; every example has at least one."""

    path: str
    source: str
    by_example: tuple[tuple[Rating, ...], ...]

    @property
    def raters(self) -> list[str]:
        return sorted({rating.rater for ratings in self.by_example for rating in ratings})

    @property
    def verified(self) -> bool:
        """Return whether every rating states the hashes of both outputs."""
        return all(len(one.sha256) == len(_HASHES) for ratings in self.by_example for one in ratings)

    def values(self) -> list[float]:
        """Return the candidate's score on each example: the mean over its raters."""
        return [sum(one.value for one in ratings) / len(ratings) for ratings in self.by_example]


def read_ratings(path: Path, source: str, test: DataSet, *, key: Path | None = None) -> Ratings:
    """Return the ratings of a test set; every example needs at least one, and each rater rates it once.

    ``path`` is a file, or a folder of files, each named after its rater if it does not name one; ``source`` is where
    the metric is written; ``key`` is the key of blind sheets, None for ``key.csv`` in the folder of the ratings.
    """
    shown = shown_path(path)
    places = {example.id: index for index, example in enumerate(test.examples)}
    found: list[dict[str, Rating]] = [{} for _ in test.examples]
    for row in sheets.revealed(path, key):
        index = _place(row, places)
        rating = _rating(row)
        first = found[index].setdefault(rating.rater, rating)
        if first is not rating:
            who = f" by {printable(rating.rater, 40)}" if rating.rater else " without a rater"
            raise DataError(
                f'the id "{excerpt(str(row.values["id"]))}" is rated twice{who}, first in {first.where}',
                where=row.where,
                cure="Keep one of the two, or name the raters in the column rater.",
            )
    missing = [row for row, ratings in enumerate(found) if not ratings]
    if missing:
        counted = f"{len(missing):,} of {plural(len(test), 'test example')} have no preference"
        raise DataError(
            f'{counted}, the first is "{excerpt(test.examples[missing[0]].id)}" ({test.where(missing[0])})',
            where=Where(path=shown),
            cure="Let people judge them too: a missing row is not a tie.",
        )
    return Ratings(shown, source, tuple(tuple(ratings.values()) for ratings in found))


def _place(row: Row, places: Mapping[str, int]) -> int:
    given = row.values["id"]
    id_ = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(id_, str):
        raise row.wrong("id", "text or an integer")
    if id_ not in places:
        near = nearest(id_, places)
        cure = f'Did you mean "{near}"?' if near else "Use the ids of the test set."
        raise DataError(f'no test example has the id "{excerpt(id_)}"', where=row.at("id"), cure=cure)
    return places[id_]


def _rating(row: Row) -> Rating:
    rater = row.values.get("rater")
    if rater is not None and not isinstance(rater, str | int):
        raise row.wrong("rater", "text")
    hashes = {role: text for column, role in _HASHES.items() if (text := _hash(row, column))}
    name = "" if rater is None else str(rater).strip().casefold()  # "Anna" and "anna" are one person
    return Rating(row.where, name, _WORDS[_preferred(row)], hashes)


def _preferred(row: Row) -> str:
    """Return ``candidate``, ``baseline`` or ``tie``; the columns a and b say which model is which."""
    word = row.values["preferred"]
    word = word.strip().lower() if isinstance(word, str) else word
    sides = [row.values.get("a"), row.values.get("b")]
    named = sorted(map(str, sides)) == ["baseline", "candidate"]
    if word in ("a", "b"):
        if not named:
            raise DataError(
                f'prefers "{word}", and the columns a and b do not name the two models',
                where=row.at("preferred"),
                cure="Write candidate into one of the columns a and b, and baseline into the other.",
            )
        word = sides["ab".index(word)]
    if not isinstance(word, str) or word not in _WORDS:
        if named:
            raise row.wrong("preferred", "a, b or tie", value=word)
        cure = "Or a or b, if the columns a and b name the two models."
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


def judged_by_people(
    ratings: Ratings, test: DataSet, runs: Mapping[str, Run]
) -> tuple[dict[str, Metric], list[Check], JudgeResult]:
    """Return the scores by role, the checks, and the facts: wins, ties and losses, and the agreement between people."""
    (role,) = [role for role in runs if role != "candidate"]
    texts = ([one.completion and one.completion.text for one in runs[r].predictions[0]] for r in ("candidate", role))
    outputs = list(zip(*texts, strict=True))
    corrected, moved = _corrected(ratings, outputs)
    values = corrected.values()
    longer = [longer_preferred(value, *both) for value, both in zip(values, outputs, strict=True)]
    kappa, kind, n = agreement(ratings)
    facts = JudgeResult(HUMAN_PREFERENCE, "people", kappa=kappa, kappa_kind=kind, n_kappa=n, raters=len(ratings.raters))
    scored = paired_metrics(HUMAN_PREFERENCE, {role: values}, means=len(ratings.raters) > 1)
    stale = _stale_check(ratings, test, outputs)
    return scored, [stale, *moved], replace(facts, pairs=(pair_result(role, values, longer),))


def _stale_check(ratings: Ratings, test: DataSet, outputs: Outputs) -> Check:
    """Check that people judged the current outputs; without hashes in the file this cannot be verified."""
    name, path, source = f"{HUMAN_PREFERENCE}.outputs", ratings.path, ratings.source
    stale = [
        (rating.where, example.id, role)
        for example, both, given in zip(test.examples, outputs, ratings.by_example, strict=True)
        for rating in given
        for role, stated in rating.sha256.items()
        if (output := both[_ROLES.index(role)]) is None or sheets.sha256_of(output) != stated
    ]
    if stale:
        where, id_, role = stale[0]
        message = (
            f"{_preferences(len(stale), path)} about other outputs; the first is in {where}: the {role}'s output "
            f"for {printable(id_, 40)} has changed"
        )
        return Check(name, "error", message, len(stale), 0, source, "Let people judge the current outputs.")
    if ratings.verified:
        message = f"all preferences in {path} are about the current outputs"
        return Check(name, "pass", message, source=source)
    message = f"the preferences in {path} are attested, not verified (no baseline_sha256 and candidate_sha256)"
    return Check(name, "note", message, source=source)


def _preferences(n: int, path: str) -> str:
    return f"{plural(n, 'preference')} in {path} {'is' if n == 1 else 'are'}"


def _corrected(ratings: Ratings, outputs: Outputs) -> tuple[Ratings, list[Check]]:
    """Return the ratings in which equal outputs are a tie and a missing output loses, and a warning if any differ."""
    corrected, moved = [], []
    for both, given in zip(outputs, ratings.by_example, strict=True):
        win = value_unasked(*both)
        corrected.append(tuple(rating if win is None else replace(rating, value=win) for rating in given))
        moved += [rating.where for rating in given if win not in (None, rating.value)]
    if not moved:
        return ratings, []
    message = (
        f"{_preferences(len(moved), ratings.path)} corrected, the first in {moved[0]}: equal outputs are a tie, "
        "and a missing output loses"
    )
    found = Check(f"{HUMAN_PREFERENCE}.equal", "warning", message, len(moved), 0, ratings.source)
    return replace(ratings, by_example=tuple(corrected)), [found]


def agreement(ratings: Ratings) -> tuple[float | None, str | None, int]:
    """Return kappa, its name (Cohen for two raters, Fleiss for more) and the number of examples rated twice."""
    raters = ratings.raters
    rated = [ratings_ for ratings_ in ratings.by_example if len(ratings_) >= 2]
    if len(raters) < 2 or not rated:
        return None, None, 0
    if len(raters) == 2:
        pairs = [sorted(both, key=lambda one: one.rater) for both in rated]
        return cohen_kappa(*zip(*[(one.value, other.value) for one, other in pairs], strict=True)), "Cohen", len(rated)
    return fleiss_kappa(_counts(rated)), "Fleiss", len(rated)


def _counts(rated: Iterable[Sequence[Rating]]) -> list[list[int]]:
    """Return, for each example, the number of ratings of each kind."""
    return [[Counter(one.value for one in ratings)[value] for value in _WORDS.values()] for ratings in rated]


def agreement_check(ratings: Ratings) -> Check:
    """Report the agreement between people beyond chance; warn if it is slight."""
    name, source, n_raters = f"{HUMAN_PREFERENCE}.agreement", ratings.source, len(ratings.raters)
    kappa, kind, n = agreement(ratings)
    if kind is None:
        who = "one rater" if n_raters == 1 else f"{plural(n_raters, 'rater')}, and no example rated twice"
        advice = "Have some of the examples judged by a second person."
        return Check(name, "note", f"{who}: the agreement between people is unknown", 0, None, source, advice)
    people = f"{plural(n_raters, 'rater')} on {plural(n, 'example')}"
    if kappa is None:
        message = f"{people}: all ratings are the same, so kappa is undefined"
        return Check(name, "note", message, source=source)
    share = observed_agreement(_counts(one for one in ratings.by_example if len(one) >= 2))
    message = f"{people}: pairwise agreement {100 * share:.0f} %, {kind}'s kappa {kappa:.2f}"
    if kappa <= SLIGHT:
        return Check(name, "warning", message, round(kappa, 12), SLIGHT, source, _SLIGHT_ADVICE)
    return Check(name, "note", message, round(kappa, 12), source=source)
