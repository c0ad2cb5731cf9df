"""The cure of a gain that is too small, from what only all answers together can tell.

Every other check has a cure of its own. Three sentences, each with its condition in it, say whether
to stop, to add examples of a label, or to try another base model.
"""

from collections import Counter
from collections.abc import Mapping
from statistics import median

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import RED, Diagnosis
from pytest_ftgate.runs.mistakes import RIGHT, WRONG
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural, printable

_LEAST = 5
"""Nothing is concluded of the form or of a label from fewer answers than this."""
_MANY = 10
"""Examples that both models get wrong, from which on another base model is advised."""
_FEW_ROWS = 10
"""A label with fewer training rows has few."""
_MOST = 0.8


def cure_of_a_loss(gate: Context, comparison: Comparison, otherwise: str) -> str | None:
    """Return the cure of a gain below what is required; None where another red check explains it.

    What the answers say of the training counts only if the candidate is asked as in training and
    most of its mistakes are in the form of the task.
    """
    if any(check.kind in ("form", "models") and check.status in RED for check in gate.checks):
        return None

    for check in gate.checks:
        if check.explains_loss and check.status == "warning":
            return check.advice

    diagnosis = gate.facts.get("diagnosis") or Diagnosis({})
    if not _is_in_form(diagnosis.candidate or {}):
        return otherwise

    cures = (
        _stop(comparison),
        _label(gate, diagnosis),
        _another_model(diagnosis, comparison),
    )
    return next(filter(None, cures), otherwise)


def _is_in_form(counts: Mapping[str, int]) -> bool:
    """Return whether most mistakes are wrong contents, and not malformed, cut off, or no answer."""
    mistakes = sum(counts.values()) - counts.get(RIGHT, 0)
    flaws = mistakes - counts.get(WRONG, 0)
    return flaws < _LEAST or 2 * flaws < mistakes


def _stop(comparison: Comparison) -> str | None:
    """Return the sentence for a gain whose upper bound is below what is required."""
    upper = comparison.upper_bound
    if comparison.required is None or upper is None or upper >= comparison.required:
        return None

    return (
        "Keep the baseline, or train a different candidate: even the upper bound of the gain is "
        "not enough."
    )


def _label(gate: Context, diagnosis: Diagnosis) -> str | None:
    """Return the sentence for a label with few training rows that is mostly answered wrong."""
    if not diagnosis.labels:
        return None

    labels = gate.deciding.label_set
    rows: Counter[str] = Counter()
    for example in gate.training:
        label = expected_text(example.expected).strip()
        rows[label if labels is None else labels.spelled(label)] += 1
    usual = int(median(rows[score.label] for score in diagnosis.labels))
    for score in diagnosis.labels:
        count = rows[score.label]
        right = score.candidate or 0
        mistakes = score.answers - right
        # Only a label that has few rows and is mostly wrong points to missing data.
        if count < _FEW_ROWS < usual and mistakes >= _LEAST and mistakes > right:
            name = repr(printable(score.label, 40))
            return (
                f"{name} has {plural(count, 'training row')} (the median label {usual:,}), and the "
                f"candidate gets {right:,} of {score.answers:,} right. Write about "
                f"{usual - count:,} more, train again, and judge by the same threshold."
            )
    return None


def _another_model(diagnosis: Diagnosis, comparison: Comparison) -> str | None:
    """Return the sentence for mistakes that the baseline makes, too."""
    common = diagnosis.wrong_in_both or 0
    mistakes = common + (comparison.losses or 0)
    if common < max(_MANY, _MOST * mistakes) or not _is_in_form(diagnosis.baseline):
        return None

    return (
        f"The baseline is wrong, too, on {common:,} of {plural(mistakes, 'example')} that the "
        "candidate gets wrong: try a more capable base model, first without training."
    )
