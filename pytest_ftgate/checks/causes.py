"""The causes of a gain that is too small, in one order, each with its cure.

A cure names only a cause that the gate has seen; where it has seen none, it says how to find out.
Every other check has a cure of its own.
"""

from collections.abc import Iterator
from statistics import median

from pytest_ftgate.checks import constant_baseline, more_data, ready
from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import RED, Diagnosis, LabelScore
from pytest_ftgate.runs.mistakes import RIGHT, WRONG
from pytest_ftgate.text import plural, printable

_FEW = 4
"""A label has few training rows if the median label has more than so many times as many."""
_LEAST = 5
"""Nothing is concluded from fewer wrong answers to a label than this."""


def cure_of_a_loss(gate: Context, role: str) -> str | None:
    """Return the cure of a gain over a baseline below what is required: that of the first cause.

    None where another red check explains the scores.
    """
    if any(check.kind in ("form", "models") and check.status in RED for check in gate.checks):
        return None

    cure = next(filter(None, _cures(gate, role)))
    attempt = gate.attempt and gate.attempt.facts
    if attempt and attempt.number >= attempt.most:
        cure += " Keep the baseline, or label a fresh test set: this was the last attempt."
    return cure


def _cures(gate: Context, role: str) -> Iterator[str | None]:
    """Yield the cure of each cause in their order; None where the gate has not seen it."""
    yield _asked_otherwise(gate)
    yield _malformed(gate)
    yield constant_baseline.cure_of_candidate(gate)
    if not gate.config.standard_of(role).drops and gate.unlabeled is None:
        yield ready.headroom(gate, role).cure
    yield _scarce_label(gate)
    yield more_data.cure(gate, role)
    yield _find_out(gate)


def _asked_otherwise(gate: Context) -> str | None:
    """Return the cure of a candidate that is not asked as in training."""
    for check in gate.checks:
        if check.explains_loss and check.status == "warning":
            return check.cure
    return None


def _malformed(gate: Context) -> str | None:
    """Return the cure where most wrong answers of the candidate are malformed, of any kind."""
    counts = dict(_diagnosis(gate).candidate or {})
    counts.pop(RIGHT, None)
    wrong = sum(counts.values())
    malformed = wrong - counts.pop(WRONG, 0)
    if 2 * malformed <= wrong:
        return None

    metric = gate.deciding
    cure = f"train the form, {metric.form}"
    if metric.uses_labels or metric.of_numbers:
        cure = f"let the metric read them (pattern, json_field), or {cure}"
    cures = {
        "cut_off": "they are cut off, so raise its limit of tokens (max_tokens)",
        "empty": "they are empty, so send it one of these inputs by hand",
        "missing": "make the failed calls succeed (candidate_answers)",
        "refusal": "find out what refuses or filters these",
    }
    most_frequent = max(counts, key=counts.__getitem__)
    return (
        f"{malformed:,} of {plural(wrong, 'wrong answer')} of the candidate are malformed: "
        f"{cures.get(most_frequent, cure)}."
    )


def _scarce_label(gate: Context) -> str | None:
    """Return the cure of the label with few training rows that costs the most answers."""
    rows = gate.audit.labels.counts
    scores = _diagnosis(gate).labels
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
        f"Write about {usual - count:,.0f} more, train again, keep the margin."
    )
    if not count:
        cure += " If the label is misspelt in the test set, correct it."
    return cure


def _wrong(score: LabelScore) -> int:
    """Return how many answers to examples of a label the candidate gets wrong."""
    return score.answers - (score.candidate or 0)


def _find_out(gate: Context) -> str:
    """Return how to find out whether more rows help, where no cause was seen."""
    half = "a random half of the rows"
    if gate.training.path is not None:
        half = f"half of the rows (python -m pytest_ftgate split --half {gate.training.path})"
    return (
        "Nothing in the data or the answers explains it. Read the wrong answers (-v shows more). "
        f"Train once on {half} and give that model as baseline: if the candidate is clearly "
        "better, more rows help."
    )


def _diagnosis(gate: Context) -> Diagnosis:
    """Return the kinds of mistakes; none for a pairwise metric."""
    return gate.facts.get("diagnosis") or Diagnosis({})
