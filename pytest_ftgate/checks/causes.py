"""The causes of a gain that is too small, in one order, each with its cure.

A cure names only a cause that the gate has seen; where it has seen none, it says how to find out.
Every other check has a cure of its own.
"""

from collections.abc import Iterator
from statistics import median

from pytest_ftgate.checks import constant_baseline, form, more_data, ready
from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import RED, LabelScore
from pytest_ftgate.text import plural, printable

_FEW = 4
"""A label has few training rows if the median label has more than so many times as many."""
_LEAST = 5
"""Nothing is concluded from fewer wrong answers to a label than this."""


def cure_of_a_loss(gate: Context, role: str) -> str | None:
    """Return the cure of a gain over a baseline below what is required: that of the first cause.

    None where another red check explains the scores.
    """
    if _is_explained(gate):
        return None

    in_answers = next(filter(None, _causes_in_answers(gate, role)), None)
    # A candidate that is trained again is another attempt.
    in_training = _last_attempt(gate) or next(filter(None, _causes_in_training(gate, role)))
    return in_answers or in_training


def cure_of_a_threshold(gate: Context) -> str | None:
    """Return the cure of a quality that misses its threshold: that of the first cause.

    None where another red check explains the scores, or the gain has a cure already.
    """
    has_cure = not all(gain.reached for gain in gate.comparisons.values())
    if _is_explained(gate) or has_cure:
        return None

    causes = (
        _asked_otherwise(gate),
        form.cure_of_candidate(gate),
        constant_baseline.cure_of_candidate(gate),
        _last_attempt(gate),
        _scarce_label(gate),
        _find_out(gate),
    )
    return next(filter(None, causes))


def _is_explained(gate: Context) -> bool:
    """Return whether a red check of form or models explains the scores."""
    return any(check.kind in ("form", "models") and check.status in RED for check in gate.checks)


def _causes_in_answers(gate: Context, role: str) -> Iterator[str | None]:
    """Yield the cure of each cause that no training removes; None where it is not seen."""
    yield _asked_otherwise(gate)
    yield form.cure_of_candidate(gate)
    yield constant_baseline.cure_of_candidate(gate)
    if not gate.config.standard_of(role).drops and gate.unlabeled is None:
        yield ready.headroom(gate, role).cure


def _causes_in_training(gate: Context, role: str) -> Iterator[str | None]:
    """Yield the cure of each cause that another training removes; None where it is not seen."""
    yield _scarce_label(gate)
    yield more_data.cure(gate, role)
    yield _find_out(gate)


def _last_attempt(gate: Context) -> str | None:
    """Return what is left where no other candidate may be judged on this test set."""
    attempt = gate.attempt and gate.attempt.facts
    if attempt and attempt.number >= attempt.most:
        return "Keep the baseline, or label a fresh test set: this was the last attempt."
    return None


def _asked_otherwise(gate: Context) -> str | None:
    """Return the cure of a candidate that is not asked as in training."""
    for check in gate.checks:
        if check.explains_loss and check.status == "warning":
            return check.cure
    return None


def _scarce_label(gate: Context) -> str | None:
    """Return the cure of the label with few training rows that costs the most answers."""
    rows = gate.audit.labels.counts
    scores = gate.diagnosis.labels
    if not rows or not scores:
        return None

    usual = median(rows.get(score.label, 0) for score in scores)
    scarce = []
    for score in scores:
        wrong = _wrong(score)
        is_scarce = _FEW * rows.get(score.label, 0) < usual
        # Only a label that is mostly wrong points to missing rows.
        if is_scarce and wrong >= _LEAST and 2 * wrong > score.answers:
            scarce.append(score)
    if not scarce:
        return None

    worst = max(scarce, key=_wrong)
    count = rows.get(worst.label, 0)
    cure = (
        f"{printable(worst.label, 40)!r} has {plural(count, 'training row')} (the median label "
        f"{usual:,.0f}), and the candidate gets {worst.candidate:,} of {worst.answers:,} right. "
        f"Write about {usual - count:,.0f} more, train again, keep the gate as it is."
    )
    if not count:
        cure += " If the label is misspelt in the test set, correct it."
    return cure


def _wrong(score: LabelScore) -> int:
    """Return how many answers to examples of a label the candidate gets wrong."""
    return score.answers - (score.candidate or 0)


def _find_out(gate: Context) -> str:
    """Return how to find out whether more rows help, where no cause was seen."""
    cure = "Nothing in the data or the answers explains it. Read the wrong answers "
    cure += "(--ftgate-report=predictions:answers.csv)."
    if gate.half is not None:
        return " ".join(filter(None, (cure, more_data.sentence(gate))))

    half = "a random half of the rows"
    if gate.training.path is not None:
        half = f"half of the rows (python -m pytest_ftgate split --half {gate.training.path})"
    comparison = "candidate_half: if it is clearly worse"
    # Judges are not asked about a half.
    if gate.deciding.judged or gate.deciding.pairwise:
        comparison = "baseline: if the candidate is clearly better"
    return f"{cure} Train once on {half} and give that model as {comparison}, more rows help."
