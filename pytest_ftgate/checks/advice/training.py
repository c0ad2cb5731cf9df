"""Advice on what was taught: mend the data, or write more of it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from pytest_ftgate.checks.advice.facts import Facts
from pytest_ftgate.result import Advice, Confusion, Diagnosis, LabelScore
from pytest_ftgate.runs.mistakes import NO_LABEL
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_difference

CONFLICTS_SHARE = 0.01
NEW_CONFUSIONS = 3
BROKEN_LEAST = 5
BROKEN_SHARE = 0.5
THIN_LABEL = 10
THIN_LABEL_MISTAKES = 3
MOST_TRAINING = 2000
_LABEL_CHARACTERS = 40

_DATA_CHECKS = (
    "leaked",
    "leaked_near",
    "conflicts",
    "near_duplicates",
    "truncated",
    "chat_format",
    "too_long",
    "usable",
)
_TEST_CHECKS = ("min_test_examples", "groups", "reach", "power")


# --- fix the data --------------------------------------------------------------------------------------------


def unfit_data(facts: Facts) -> Iterator[Advice]:
    """What the audit fails, and guards that were trained on."""
    leaked = [f"guards.{guard.name}.leaked" for guard in facts.result.guards]
    for check in facts.red(*_DATA_CHECKS, *leaked):
        yield Advice("fix_data", check.advice or "Mend the training set.", check.message)


def contradictions(facts: Facts) -> Iterator[Advice]:
    """Training rows that contradict each other, often enough to be learned."""
    training = facts.result.training
    usable, conflicts = training.usable or 0, training.conflicts or 0
    if conflicts and conflicts >= CONFLICTS_SHARE * usable and not any(facts.red("conflicts")):
        yield Advice(
            "fix_data",
            "Decide which output is right where one input has two.",
            f"{plural(conflicts, 'training row')} of {usable + conflicts:,} contradict another one",
        )


def collapsed(facts: Facts) -> Iterator[Advice]:
    """A candidate that answers one thing to everything."""
    for check in facts.red("degenerate_candidate"):
        yield Advice("fix_data", check.advice or "Look at what it was trained on.", check.message)


def learned_confusion(facts: Facts) -> Iterator[Advice]:
    """A pair of labels that the candidate mixes up more than the baseline: it was taught to."""
    worst = learned_pair(facts.diagnosis)
    if worst is not None:
        yield Advice("fix_data", f"Look at the training rows of {_pair(worst)}: do they agree?", _confused(worst))


def learned_pair(diagnosis: Diagnosis) -> Confusion | None:
    """The two labels that the candidate mixes up most beyond the baseline, where it also loses the expected one.

    What is no label was taught by no row; and a label that is right as often as before was not mixed up by training.
    """
    if diagnosis.candidate is None:
        return None
    lost = {one.label: one.baseline - (one.candidate or 0) for one in diagnosis.labels}
    grown = {
        pair: min(pair.candidate - pair.baseline, lost.get(pair.expected, 0))
        for pair in diagnosis.confusions
        if pair.answered != NO_LABEL
    }
    worst = max(grown, key=lambda pair: grown[pair], default=None)
    return None if worst is None or grown[worst] < NEW_CONFUSIONS else worst


def _name(label: str) -> str:
    return repr(printable(label, _LABEL_CHARACTERS))


def _pair(pair: Confusion) -> str:
    return f"{_name(pair.expected)} and {_name(pair.answered)}"


def _confused(pair: Confusion) -> str:
    return (
        f"the candidate answers {_name(pair.answered)} for {_name(pair.expected)} {plural(pair.candidate, 'time')}, "
        f"the baseline {pair.baseline:,}"
    )


def broken_examples(facts: Facts) -> Iterator[Advice]:
    """A candidate that breaks nearly as much as it fixes has been taught something else, too."""
    broken, fixed = len(facts.diagnosis.broken), len(facts.diagnosis.fixed)
    if broken >= BROKEN_LEAST and broken >= BROKEN_SHARE * fixed:
        yield Advice(
            "fix_data",
            "Look at the broken examples, and at training rows like them: what was taught that is wrong here?",
            f"the candidate fixes {plural(fixed, 'example')} and breaks {broken:,}",
        )


def below_a_bound(facts: Facts) -> Iterator[Advice]:
    """A bound on how good the candidate's answers are, whatever the baseline's are like."""
    for check in facts.bounds(quality=True):
        yield Advice(
            "fix_data", "Look at what the candidate still gets wrong, and at training rows like it.", check.message
        )


# --- add examples --------------------------------------------------------------------------------------------


def too_few_training_examples(facts: Facts) -> Iterator[Advice]:
    """Fewer than the gate asks for."""
    for check in facts.red("min_training_examples"):
        yield Advice("add_examples", check.advice or "Write more distinct training examples.", check.message)


def thin_labels(facts: Facts) -> Iterator[Advice]:
    """Labels that the candidate gets wrong and has hardly seen."""
    counts = [facts.training_labels.get(score.label, 0) for score in facts.diagnosis.labels]
    usual = int(median(counts)) if counts else 0
    for score, count in zip(facts.diagnosis.labels, counts, strict=True):
        if count < THIN_LABEL < usual and _mostly_wrong(score):
            yield Advice(
                "add_examples",
                f"Write {plural(usual - count, 'training example')} of {_name(score.label)}.",
                f"the training set has {count:,} of {_name(score.label)}, {usual:,} of a usual label, "
                f"and the candidate gets {score.candidate} of {score.answers} right",
            )


def _mostly_wrong(score: LabelScore) -> bool:
    if score.candidate is None:
        return False
    mistakes = score.answers - score.candidate
    return mistakes >= THIN_LABEL_MISTAKES and mistakes > score.answers / 2


def half_way(facts: Facts) -> Iterator[Advice]:
    """At least half of the margin was gained, and the rest may be there, from a training set that can still grow."""
    result, usable = facts.result, facts.result.training.usable or 0
    gain, margin = result.gain or 0.0, result.margin or 0.0
    if (
        any(facts.red("margin"))
        and 0 < margin / 2 <= gain < margin
        and 0 < usable < MOST_TRAINING
        and not facts.surely_below(margin)
    ):
        share = is_share(result.metric_range)
        yield Advice(
            "add_examples",
            f"Write {plural(min(usable, MOST_TRAINING - usable), 'more training example')}.",
            f"{show_difference(gain, share=share)} of {show_amount(margin, share=share)} were gained with {usable:,} "
            "usable ones",
        )


def too_few_test_examples(facts: Facts) -> Iterator[Advice]:
    """What was measured may be real, and this test set does not show it."""
    needed, n = facts.result.examples_needed, facts.result.n
    for check in facts.red("evidence", "max_drop"):
        if check.status == "inconclusive" and needed is not None and n is not None:
            more = plural(max(needed - n, 1), "more test example")
            yield Advice("add_examples", f"Label {more}, about {needed:,} in all.", check.message)


def small_test_set(facts: Facts) -> Iterator[Advice]:
    """So few test examples that nothing could be shown."""
    for check in facts.red(*_TEST_CHECKS):
        yield Advice("add_examples", check.advice or "Label more test examples.", check.message)


def lost_elsewhere(facts: Facts) -> Iterator[Advice]:
    """What a guard or a slice lost, or could not show to be kept."""
    names = [f"guards.{guard.name}" for guard in facts.result.guards]
    for check in facts.red(*names, "slices", "slices_size"):
        yield Advice("add_examples", check.advice or "Add examples of it to the training set.", check.message)
