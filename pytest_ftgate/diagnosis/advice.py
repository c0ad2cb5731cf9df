"""What to do about a gate that is not green: each advice from a fact, in the order in which things are worth trying.

Where a threshold comes from stands in ``docs/advice.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from pytest_ftgate.diagnosis.knowledge import RAG, recalled_fact, smells_of_knowledge
from pytest_ftgate.diagnosis.mistakes import OF_FORM, RIGHT
from pytest_ftgate.numbers import is_share, plural, show_amount, show_difference
from pytest_ftgate.result import Advice, Check, Confusion, Diagnosis, GateResult, LabelScore
from pytest_ftgate.safe import printable

CONFLICTS_SHARE = 0.01
NEW_CONFUSIONS = 3
BROKEN_LEAST = 5
BROKEN_SHARE = 0.5
THIN_LABEL = 10
THIN_LABEL_MISTAKES = 3
MOST_TRAINING = 2000
FORM_LEAST = 5
FORM_SHARE = 0.5
NO_ANSWER_LEAST = 3
NO_ANSWER_SHARE = 0.1
BOTH_WRONG_LEAST = 10
BOTH_WRONG_SHARE = 0.8
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


@dataclass(frozen=True)
class Facts:
    """What rules look at.

    Attributes:
        result: the gate with all its checks.
        training_labels: how often each output stands in the training set.
    """

    result: GateResult
    training_labels: Mapping[str, int]

    @property
    def diagnosis(self) -> Diagnosis:
        """Without answers there is nothing in it."""
        return self.result.diagnosis or Diagnosis({})

    def red(self, *names: str) -> Iterator[Check]:
        """The checks of these names that do not hold."""
        return (
            check for check in self.result.checks if check.name in names and check.status in ("fail", "inconclusive")
        )

    def said(self, name: str) -> Check | None:
        """The check of this name that does not hold, or warns."""
        bad = ("fail", "inconclusive", "warning")
        return next((check for check in self.result.checks if check.name == name and check.status in bad), None)


def advise(facts: Facts) -> tuple[Advice, ...]:
    """The advice for a gate, the first thing to try first; none for one that is green, or could not be judged."""
    if facts.result.verdict in ("pass", "error"):
        return ()
    found = [advice for rule in RULES for advice in rule(facts)]
    return tuple(dict.fromkeys(found))


def most_to_try(advice: tuple[Advice, ...], most: int = 3) -> list[Advice]:
    """The first advice of each action, at most so many: for people, who do one thing after the other."""
    first: dict[str, Advice] = {}
    for one in advice:
        first.setdefault(one.action, one)
    return list(first.values())[:most]


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


def learned_confusion(facts: Facts) -> Iterator[Advice]:
    """A pair of labels that the candidate mixes up more than the baseline: it was taught to."""
    pairs = [pair for pair in facts.diagnosis.confusions if pair.candidate - pair.baseline >= NEW_CONFUSIONS]
    if facts.diagnosis.candidate is None or not pairs:
        return
    worst = max(pairs, key=lambda pair: pair.candidate - pair.baseline)
    yield Advice("fix_data", f"Look at the training rows of {_pair(worst)}: do they agree?", _confused(worst))


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


# --- add examples --------------------------------------------------------------------------------------------


def too_few_training_examples(facts: Facts) -> Iterator[Advice]:
    """Fewer than the gate asks for."""
    for check in facts.red("min_training_examples"):
        missing = (check.required or 0) - (check.observed or 0)
        yield Advice("add_examples", f"Write {plural(missing, 'more distinct training example')}.", check.message)


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
        and not _below(facts)
    ):
        share = is_share(result.metric_range)
        yield Advice(
            "add_examples",
            f"Write {min(usable, MOST_TRAINING - usable):,} more training examples.",
            f"{show_difference(gain, share=share)} of {show_amount(margin, share=share)} were gained with {usable:,} "
            "usable ones",
        )


def too_few_test_examples(facts: Facts) -> Iterator[Advice]:
    """The gain may be real, and this test set does not show it."""
    result = facts.result
    needed, n = result.examples_needed, result.n
    for check in facts.red("evidence"):
        if needed is not None and n is not None:
            more = plural(max(needed - n, 1), "more test example")
            yield Advice("add_examples", f"Label {more}, about {needed:,} in all.", check.message)
    for check in facts.red(*_TEST_CHECKS):
        yield Advice("add_examples", check.advice or "Label more test examples.", check.message)


def lost_elsewhere(facts: Facts) -> Iterator[Advice]:
    """What a guard or a slice lost, or could not show to be kept."""
    names = [f"guards.{guard.name}" for guard in facts.result.guards]
    for check in facts.red(*names, "slices", "slices_size"):
        yield Advice("add_examples", check.advice or "Add examples of it to the training set.", check.message)


# --- a better prompt -----------------------------------------------------------------------------------------


def weak_prompt(facts: Facts) -> Iterator[Advice]:
    """A baseline that nobody tried to make good."""
    for name in ("weak_baseline", "baseline_prompt"):
        check = facts.said(name)
        if check is not None and check.advice:
            yield Advice("better_prompt", check.advice, check.message)


def baseline_form(facts: Facts) -> Iterator[Advice]:
    """What the baseline gets wrong is mostly form, which an instruction may mend without any training."""
    found = _form(facts.diagnosis.baseline)
    if found:
        yield Advice(
            "better_prompt",
            "Tell the baseline the form of an answer: every possible label, nothing else, an example or two; "
            "or constrain it with response_format.",
            f"of the baseline's {found[1]}",
        )


def candidate_form(facts: Facts) -> Iterator[Advice]:
    """A fine-tuned model that misses the form it was trained on is likely asked in another way than in training."""
    found = _form(facts.diagnosis.candidate or {})
    if found:
        yield Advice(
            "better_prompt",
            "Ask the candidate as it was trained: with the system message and the template of its training rows.",
            f"of the candidate's {found[1]}",
        )


def _form(counts: Mapping[str, int]) -> tuple[int, str] | None:
    """Mistakes of form, where they are most of the mistakes."""
    mistakes = sum(counts.values()) - counts.get(RIGHT, 0)
    form = sum(counts.get(kind, 0) for kind in OF_FORM)
    if form < FORM_LEAST or form < FORM_SHARE * mistakes:
        return None
    return form, f"{plural(mistakes, 'mistake')} {form:,} {'is' if form == 1 else 'are'} of form: no allowed answer"


def cut_off(facts: Facts) -> Iterator[Advice]:
    """Answers that ran into the length limit."""
    for role, counts in _models(facts):
        if _many(counts, "cut_off"):
            yield Advice(
                "better_prompt",
                f"Raise max_completion_tokens of the {role}, or ask for shorter answers.",
                f"{counts['cut_off']:,} of {plural(sum(counts.values()), 'answer')} of the {role} are cut off",
            )


def baseline_refusals(facts: Facts) -> Iterator[Advice]:
    """The baseline refuses what the candidate answers."""
    before, after = facts.diagnosis.baseline, facts.diagnosis.candidate or {}
    if _many(before, "refusal") and not _many(after, "refusal"):
        yield Advice(
            "better_prompt",
            "Tell the baseline what the task is for, and what to answer where it hesitates.",
            f"the baseline refuses {before['refusal']:,} of {plural(sum(before.values()), 'answer')}",
        )


def _models(facts: Facts) -> list[tuple[str, Mapping[str, int]]]:
    candidate = facts.diagnosis.candidate
    return [("baseline", facts.diagnosis.baseline), *([("candidate", candidate)] if candidate else [])]


def _many(counts: Mapping[str, int], kind: str) -> bool:
    count = counts.get(kind, 0)
    return count >= NO_ANSWER_LEAST and count >= NO_ANSWER_SHARE * sum(counts.values())


# --- something else than training ----------------------------------------------------------------------------


def retrieval(facts: Facts) -> Iterator[Advice]:
    """The goal is knowledge, or the gain is."""
    for check in _goal(facts, "knowledge"):
        yield Advice("retrieval", check.advice or "", check.message)
    diagnosis = facts.diagnosis
    if smells_of_knowledge(diagnosis):
        yield Advice("retrieval", RAG, recalled_fact(diagnosis))


def another_model(facts: Facts) -> Iterator[Advice]:
    """What this base model cannot do, prompted or trained."""
    for check in _goal(facts, "reasoning", "new_modality"):
        yield Advice("another_model", check.advice or "", check.message)
    yield from _both_wrong(facts)
    yield from _both_refuse(facts)


def _both_wrong(facts: Facts) -> Iterator[Advice]:
    both = facts.diagnosis.wrong_in_both or 0
    wrong = both + len(facts.diagnosis.broken)
    if any(facts.red("margin")) and both >= BOTH_WRONG_LEAST and both >= BOTH_WRONG_SHARE * wrong:
        yield Advice(
            "another_model",
            "Try a more capable base model, prompted first.",
            f"{plural(both, 'example')} are wrong with the prompt and after training, {len(facts.diagnosis.broken):,} "
            "after training alone",
        )


def _both_refuse(facts: Facts) -> Iterator[Advice]:
    before, after = facts.diagnosis.baseline, facts.diagnosis.candidate or {}
    if _many(before, "refusal") and _many(after, "refusal"):
        yield Advice(
            "another_model",
            "Try a base model that takes on this task: training on it did not end the refusals.",
            f"the baseline refuses {before['refusal']:,} answers, the candidate {after['refusal']:,}",
        )


def stop(facts: Facts) -> Iterator[Advice]:
    """No further attempt on these terms can be expected to pass."""
    result = facts.result
    for check in _goal(facts, "one_off", "safety"):
        yield Advice("stop", check.advice or "", check.message)
    for check in facts.red("room"):
        yield Advice("stop", check.advice or "", check.message)
    if any(facts.red("margin")) and _below(facts):
        share = is_share(result.metric_range)
        yield Advice(
            "stop",
            "Drop this fine-tune, and keep the prompt.",
            f"{100 * (result.confidence or 0):g} % sure that the real gain is at most "
            f"{show_difference(result.upper_bound, share=share)}, below the margin of "
            f"{show_amount(result.margin or 0.0, share=share)}",
        )


def _below(facts: Facts) -> bool:
    """Whether the real gain is surely below the margin."""
    upper, margin = facts.result.upper_bound, facts.result.margin
    return upper is not None and margin is not None and upper < margin


def _goal(facts: Facts, *goals: str) -> Iterator[Check]:
    return (check for check in facts.red("goal") if check.observed in goals)


RULES: tuple[Callable[[Facts], Iterator[Advice]], ...] = (
    unfit_data,
    contradictions,
    learned_confusion,
    broken_examples,
    too_few_training_examples,
    thin_labels,
    half_way,
    too_few_test_examples,
    lost_elsewhere,
    weak_prompt,
    baseline_form,
    candidate_form,
    cut_off,
    baseline_refusals,
    retrieval,
    another_model,
    stop,
)
"""In the order of the actions: fix the data, add examples, better prompt, retrieval, another model, stop."""
