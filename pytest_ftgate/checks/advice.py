"""What to do about a gate that is not green: each advice from a fact, in the order in which things are worth trying.

A check that does not hold brings its own advice (``Check.action``); here is what only the answers as a whole can tell.
Where a threshold comes from stands in ``docs/advice.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, get_args

from pytest_ftgate.checks.advice_form import form_advice, form_first, mostly_form
from pytest_ftgate.result import Action, Advice, Check, Confusion, Diagnosis, GateResult, LabelScore
from pytest_ftgate.runs.mistakes import NO_LABEL
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_difference, show_distance

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

CONFLICTS_SHARE = 0.01
NEW_CONFUSIONS = 3
BROKEN_LEAST, BROKEN_SHARE = 5, 0.5
BOTH_WRONG_LEAST, BOTH_WRONG_SHARE = 10, 0.8
THIN_LABEL, THIN_LABEL_MISTAKES = 10, 3
MOST_TRAINING = 2000

_RED = ("fail", "inconclusive")
_LABEL_CHARACTERS = 40
_BY_ANSWERS = {
    "degenerate_candidate",
    "evidence",
    "hypothesis_from",
    "hypothesis_gain",
    "margin",
    "max_drop",
    "power",
    "room",
    "slices",
    "slices_size",
    "weak_baseline",
}
"""The checks by which a gate fails for what its models answered, and not for a guard, a cost or a date."""


def advise(gate: Context) -> tuple[Advice, ...]:
    """Return the advice for a gate, the first thing to try first; none where it is green or could not be judged."""
    if gate.result.verdict in ("pass", "error"):
        return ()
    facts = Facts(gate)
    order = list(get_args(Action))
    further = [*_of_checks(facts), *_of_answers(facts)]
    further.sort(key=lambda advice: order.index(advice.action))
    return tuple(dict.fromkeys([*_first(facts), *further]))


def before_dropping(gate: Context) -> str | None:
    """Return what is to be done before a gain that is too small says anything against the candidate; else None."""
    return next((advice.text for advice in _first(Facts(gate, lost=True))), None)


def most_to_try(result: GateResult, most: int = 3) -> list[Advice]:
    """Return the first advice of each action, at most ``most``, without advice that checks show themselves."""
    shown = {text for check in result.checks if check.advice for text in (check.advice, check.message)}
    first: dict[str, Advice] = {}
    for one in result.advice:
        if shown.isdisjoint((one.text, one.fact)):
            first.setdefault(one.action, one)
    return list(first.values())[:most]


class Facts:
    """What advice looks at: a judged gate, what it failed for, and whether its answers tell anything.

    Attributes:
        result: the facts of the gate.
        diagnosis: of the answers; nothing in it where there are none.
        candidate: the candidate's answers by kind; empty before training.
        lost: the answers on the test set are what the gate failed for.
    """

    def __init__(self, gate: Context, *, lost: bool | None = None) -> None:
        self.gate = gate
        self.result = gate.result
        self.diagnosis = gate.result.diagnosis or Diagnosis({})
        self.candidate: Mapping[str, int] = self.diagnosis.candidate or {}
        self.red = {check.name: check for check in self.result.checks if check.status in _RED}
        self.lost = bool(_BY_ANSWERS & self.red.keys()) or any(map(_bounds_quality, self.red.values()))
        self.lost = self.lost if lost is None else lost

    @cached_property
    def unmeasured(self) -> list[Check]:
        """Return what says that the scores tell nothing of the candidate: a biased judge, one model under two names."""
        biased = f"position_bias.{self.result.metric}"
        found = [check for check in self.gate.judge_run.checks if check.name == biased and check.status == "warning"]
        return [*found, *(check for name, check in self.red.items() if name == "identical_outputs")]

    @property
    def taught(self) -> bool:
        """Return whether the answers show what training taught: they are the candidate's own, and have a form."""
        return self.lost and not self.unmeasured and not mostly_form(self.candidate)

    @cached_property
    def training_labels(self) -> Mapping[str, int]:
        """Return how often each output stands in the training set."""
        from pytest_ftgate.data import expected_text

        return Counter(expected_text(example.expected).strip() for example in self.gate.training)

    def surely_below(self, target: float) -> bool:
        """Return whether the real gain is surely below it."""
        upper = self.result.upper_bound
        return upper is not None and upper < target


def _bounds_quality(check: Check) -> bool:
    """Return whether it bounds how good the candidate's answers are."""
    return check.name.startswith("require.candidate.") and check.action == "fix_data"


def _first(facts: Facts) -> Iterator[Advice]:
    """Yield what comes before all else: a fair measure, and answers that are any."""
    if not facts.lost:
        return
    for check in facts.unmeasured:
        yield Advice("measure_again", check.advice or "", check.message)
    form = form_first(facts.diagnosis)
    if form is not None and not facts.unmeasured:
        yield form


def _of_checks(facts: Facts) -> Iterator[Advice]:
    """Yield the advice of checks that do not hold; of warnings where answers are to blame, or none was asked for."""
    to_blame = facts.lost or not facts.result.models_called
    for check in facts.result.checks:
        counts = check.status in _RED or (check.status == "warning" and to_blame)
        if not counts or check.action is None or check.advice is None or check in facts.unmeasured:
            continue
        if (check.name == "degenerate_candidate" or _bounds_quality(check)) and not facts.taught:
            continue
        yield Advice(check.action, check.advice, check.message)


def _of_answers(facts: Facts) -> Iterator[Advice]:
    """Yield what the answers and the training set as a whole tell."""
    if facts.lost or not facts.result.models_called:
        yield from _contradictions(facts)
    if facts.taught:
        yield from _learned_confusion(facts)
        yield from _broken_examples(facts)
        yield from _thin_labels(facts)
        yield from _half_way(facts)
        yield from _both_wrong(facts)
        yield from _out_of_reach(facts)
        yield from _lost_too_much(facts)
    if facts.lost:
        yield from _too_few_test_examples(facts)
        yield from form_advice(facts.diagnosis)


# --- what was taught ---------------------------------------------------------------------------------------------


def _contradictions(facts: Facts) -> Iterator[Advice]:
    """Advise on training rows that contradict each other, often enough to be learned."""
    usable, conflicts = facts.result.training.usable or 0, facts.result.training.conflicts or 0
    if conflicts and conflicts >= CONFLICTS_SHARE * usable and "conflicts" not in facts.red:
        fact = f"{plural(conflicts, 'training row')} of {usable + conflicts:,} contradict another one"
        yield Advice("fix_data", "Decide which output is right where one input has two.", fact)


def _learned_confusion(facts: Facts) -> Iterator[Advice]:
    """Advise on a pair of labels that the candidate mixes up more than the baseline: it was taught to."""
    worst = learned_pair(facts.diagnosis)
    if worst is None:
        return
    expected, answered = _name(worst.expected), _name(worst.answered)
    yield Advice(
        "fix_data",
        f"Look at the training rows of {expected} and {answered}: do they agree?",
        f"the candidate answers {answered} for {expected} {plural(worst.candidate, 'time')}, "
        f"the baseline {worst.baseline:,}",
    )


def learned_pair(diagnosis: Diagnosis) -> Confusion | None:
    """Return the two labels that the candidate mixes up most beyond the baseline, where it also loses the expected one.

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


def _broken_examples(facts: Facts) -> Iterator[Advice]:
    """Advise on a candidate that breaks nearly as much as it fixes: it has been taught something else, too."""
    broken, fixed = len(facts.diagnosis.broken), len(facts.diagnosis.fixed)
    if broken >= BROKEN_LEAST and broken >= BROKEN_SHARE * fixed:
        text = "Look at the broken examples, and at training rows like them: what was taught that is wrong here?"
        yield Advice("fix_data", text, f"the candidate fixes {plural(fixed, 'example')} and breaks {broken:,}")


def _thin_labels(facts: Facts) -> Iterator[Advice]:
    """Advise on labels that the candidate gets wrong and has hardly seen."""
    scores = facts.diagnosis.labels
    counts = [facts.training_labels.get(score.label, 0) for score in scores] if scores else []
    usual = int(median(counts)) if counts else 0
    for score, count in zip(scores, counts, strict=True):
        if count < THIN_LABEL < usual and _mostly_wrong(score):
            yield Advice(
                "add_examples",
                f"Write {plural(usual - count, 'training example')} of {_name(score.label)}.",
                f"the training set has {count:,} of {_name(score.label)}, {usual:,} of a usual label, "
                f"and the candidate gets {score.candidate} of {score.answers} right",
            )


def _mostly_wrong(score: LabelScore) -> bool:
    mistakes = score.answers - (score.answers if score.candidate is None else score.candidate)
    return mistakes >= THIN_LABEL_MISTAKES and mistakes > score.answers / 2


def _half_way(facts: Facts) -> Iterator[Advice]:
    """Advise to go on where half of the margin was gained, from a training set that can still grow."""
    result, usable = facts.result, facts.result.training.usable or 0
    gain, margin = result.gain or 0.0, result.margin or 0.0
    within = 0 < margin / 2 <= gain < margin and 0 < usable < MOST_TRAINING
    if "margin" in facts.red and within and not facts.surely_below(margin):
        share = is_share(result.metric_range)
        yield Advice(
            "add_examples",
            f"Write {plural(min(usable, MOST_TRAINING - usable), 'more training example')}.",
            f"{show_difference(gain, share=share)} of {show_amount(margin, share=share)} were gained with {usable:,} "
            "usable ones",
        )


def _too_few_test_examples(facts: Facts) -> Iterator[Advice]:
    """Advise on what may be real, and this test set does not show it."""
    needed, n = facts.result.examples_needed, facts.result.n
    for name in ("evidence", "max_drop"):
        check = facts.red.get(name)
        thin = check is not None and check.status == "inconclusive" and not facts.unmeasured
        if check is not None and thin and needed is not None and n is not None:
            more = plural(max(needed - n, 1), "more test example")
            yield Advice("add_examples", f"Label {more}, about {needed:,} in all.", check.message)


# --- another model, or none --------------------------------------------------------------------------------------


def _both_wrong(facts: Facts) -> Iterator[Advice]:
    """Advise on what this base model cannot do, prompted or trained; one that misses the form has not shown that."""
    both, broken = facts.diagnosis.wrong_in_both or 0, len(facts.diagnosis.broken)
    if "margin" not in facts.red or mostly_form(facts.diagnosis.baseline):
        return
    if both >= BOTH_WRONG_LEAST and both >= BOTH_WRONG_SHARE * (both + broken):
        of = "all" if not broken else f"{both:,} of"
        fact = f"{of} {plural(both + broken, 'example')} that the candidate gets wrong are the prompt's mistakes, too"
        yield Advice("another_model", "Try a more capable base model, prompted first.", fact)


def _out_of_reach(facts: Facts) -> Iterator[Advice]:
    """Advise to stop where the real gain is surely below the margin: more of the same cannot be expected to pass."""
    result, margin = facts.result, facts.result.margin
    if "margin" not in facts.red or margin is None or not facts.surely_below(margin):
        return
    share, lower = is_share(result.metric_range), result.lower_bound
    asked = show_amount(margin, share=share)
    sure = f"{100 * (result.confidence or 0):g} % sure that the real gain is at most "
    fact = f"{sure}{show_difference(result.upper_bound, share=share)}, below the margin of {asked}"
    if lower is None or lower <= 0:
        yield Advice("stop", "Drop this fine-tune, and keep the prompt.", fact)
        return
    least = show_distance(lower, share=share)
    text = f"It is surely better, by at least {least}, and cannot be expected to reach {asked}: "
    yield Advice("stop", f"{text}ask whether it must, or drop it.", fact)


def _lost_too_much(facts: Facts) -> Iterator[Advice]:
    """Advise to stop where an equal but cheaper candidate is surely worse than it may be."""
    result, most = facts.result, facts.result.max_drop
    if "max_drop" not in facts.red or most is None or result.upper_bound is None or not facts.surely_below(-most):
        return
    share = is_share(result.metric_range)
    worse = show_distance(result.upper_bound, share=share)
    yield Advice(
        "stop",
        "Keep the larger model: this one gives up more than the gate allows.",
        f"{100 * (result.confidence or 0):g} % sure that it is worse by at least {worse}, and "
        f"{show_amount(most, share=share)} are allowed",
    )
