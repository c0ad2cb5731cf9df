"""Pairwise comparison in both orders: the pairs to judge, the scores of preferences, and position bias."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.judges.questions import questions_about
from pytest_ftgate.metrics.judged import ModelJudged, Preferred
from pytest_ftgate.result import Check, JudgeResult, PairResult, called
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    import numpy as np

    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.metrics import Metric

MOST_DISAGREEMENT = 0.3
"""Maximum share of judged pairs in which the preference may depend on the order, without a warning."""
_LEAST_PAIRS = 10
_PREFERRED = {"A": 1.0, "tie": 0.5, "B": 0.0}
_TURNED = {"A": "B", "tie": "tie", "B": "A"}

Answers = Mapping[str, Sequence[Sequence[str | None]]]
"""The models' answers by role (the baselines' names, and "candidate"); see ``measure.answers_of``."""


def pair_questions(metric: ModelJudged, example: Example, index: int, answers: Answers) -> list[Example]:
    """Return questions about the distinct pairs of answers to one example that need a judge, in both orders."""
    pairs = {pair for role in answers if role != "candidate" for pair in _pairs(answers, role, index)}
    pairs = {pair for pair in pairs if value_unasked(*pair) is None}
    return [one for pair in sorted(pairs, key=str) for one in questions_about(metric, example, pair)]


def agreed_side(straight: str, turned: str) -> str:
    """Return ``a`` or ``b`` if it is preferred in both orders, else ``tie``."""
    return straight.lower() if straight == _TURNED[turned] else "tie"


def _pairs(answers: Answers, role: str, index: int) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of the candidate's and a baseline's answers to one example, by repeat."""
    for candidate, baseline in zip(answers["candidate"], answers[role], strict=True):
        yield candidate[index], baseline[index]


def value_unasked(candidate: str | None, baseline: str | None) -> float | None:
    """Return the candidate's score of a pair: equal answers tie, a missing one loses; None if a judge must decide."""
    if candidate is None or baseline is None:
        return 0.5 + ((candidate is not None) - (baseline is not None)) / 2
    return 0.5 if candidate.strip() == baseline.strip() else None


def majority(votes: Sequence[float]) -> float:
    """Return 1 (won) or 0 (lost) if more than half of the votes are that, else a tie."""
    return next((side for side in (1.0, 0.0) if 2 * votes.count(side) > len(votes)), 0.5)


def longer_preferred(value: float, candidate: str | None, baseline: str | None) -> bool | None:
    """Return whether the longer answer won; None for a tie, and if both are equally long or one is missing."""
    if value == 0.5 or candidate is None or baseline is None:
        return None
    difference = len(candidate.strip()) - len(baseline.strip())
    return None if difference == 0 else (value > 0.5) == (difference > 0)


def compared(
    metric: ModelJudged, role: str, test: DataSet, answers: Answers, said: Sequence[Mapping[str, Any]]
) -> tuple[list[float], PairResult]:
    """Return the candidate's score on each example by the judges' replies, and the counts over all pairs."""
    means, values, n_asked, disagreements, first_preferred, longer = [], [], 0, 0, 0, []
    for index, example in enumerate(test.examples):
        of_example = []
        for both in _pairs(answers, role, index):
            unasked = value_unasked(*both)
            if unasked is not None:
                of_example.append(unasked)
                continue
            n_asked += 1
            votes = []
            for replies in said:
                straight, turned = (replies[one.id] for one in questions_about(metric, example, both))
                agreed = straight == _TURNED[turned]
                votes.append(_PREFERRED[straight] if agreed else 0.5)
                disagreements += not agreed
                first_preferred += not agreed and (straight, turned) == ("A", "A")
            of_example.append(majority(votes))
            longer.append(longer_preferred(of_example[-1], *both))
        means.append(sum(of_example) / len(of_example))
        values += of_example
    pair = replace(pair_result(role, values, longer), n_asked=n_asked)
    if len(said) == 1:  # the order matters to a single judge
        pair = replace(pair, disagreements=disagreements, first_preferred=first_preferred)
    return means, pair


def pair_result(role: str, values: Sequence[float], longer: Sequence[bool | None]) -> PairResult:
    """Return the counts of the candidate's scores against one baseline; for ``longer`` see :func:`longer_preferred`."""
    wins, losses = sum(value > 0.5 for value in values), sum(value < 0.5 for value in values)
    counts = (len(values), wins, len(values) - wins - losses, losses)
    lengths = {"n_lengths": len(longer) - longer.count(None), "longer_preferred": longer.count(True)}
    return PairResult(role, *counts, **lengths)


def paired_metrics(name: str, preferred: Mapping[str, Sequence[float]], *, means: bool) -> dict[str, Metric]:
    """Return the scores of all models by role, from those of the candidate against each baseline on each example."""
    import numpy as np

    scores: dict[str, np.ndarray[Any, Any]] = {role: np.array(values) for role, values in preferred.items()}
    hardest = scores[min(scores, key=lambda role: round(float(scores[role].mean()), 12))]
    made: dict[str, Metric] = {role: Preferred(name, 0.5 + (hardest - one), means) for role, one in scores.items()}
    return {**made, "candidate": Preferred(name, hardest, means)}


def bias_checks(facts: JudgeResult, source: str) -> list[Check]:
    """Warn about a judge whose preference often depends on the order, because its ties may hide differences."""
    found = []
    for pair in facts.pairs:
        asked, disagreed, first = pair.n_asked or 0, pair.disagreements or 0, pair.first_preferred or 0
        if asked < _LEAST_PAIRS or disagreed <= MOST_DISAGREEMENT * asked:
            continue
        message = (
            f"judge {facts.judge}: swapping the order changed its preference in {disagreed:,} of "
            f"{plural(asked, 'pair')} with {called(pair.baseline)}, which count as ties; in {first:,} of them it "
            "preferred the first answer in both orders"
        )
        advice = "Use another judge, or state in the rubric what makes an answer better: LLM judges are biased."
        name, share = f"position_bias.{facts.metric}", round(disagreed / asked, 12)
        found.append(Check(name, "warning", message, share, MOST_DISAGREEMENT, source, advice, "measure_again"))
    return found
