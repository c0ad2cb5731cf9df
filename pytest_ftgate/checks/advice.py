"""What to do about a gate that is not green: each advice rests on a fact, and the first is the first to try.

A failed check brings its own advice (``Check.action``); this module adds what only all answers together can tell.
``docs/advice.md`` explains the thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import get_args

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.drop import gain_reaches
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import expected_text
from pytest_ftgate.diagnosis import Confusion, Diagnosis
from pytest_ftgate.result import Action, Advice, Check, GateResult
from pytest_ftgate.runs.mistakes import NO_LABEL, OF_FORM, RIGHT
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_difference, show_percent

NEW_CONFUSIONS = 3
BROKEN_LEAST, BROKEN_SHARE = 5, 0.5
BOTH_WRONG_LEAST, BOTH_WRONG_SHARE = 10, 0.8
THIN_LABEL, THIN_LABEL_MISTAKES = 10, 3
MOST_TRAINING = 2000
FORM_LEAST, FORM_SHARE = 5, 0.5
NO_ANSWER_LEAST, NO_ANSWER_SHARE = 3, 0.1
_NO_ANSWER = ("cut_off", "refusal", "missing", "no_call")

_RED = ("fail", "inconclusive")
_LABEL_CHARACTERS = 40

Counts = Mapping[str, int]
"""Numbers of answers by kind, as in :class:`Diagnosis`."""


def advise(gate: Context) -> tuple[Advice, ...]:
    """Return the advice for a gate, the first to try first; none for the verdicts ``pass`` and ``error``."""
    if gate.verdict in ("pass", "error"):
        return ()
    facts = Facts(gate)
    further = [*_of_checks(facts), *_of_answers(facts)]
    further.sort(key=lambda advice: get_args(Action).index(advice.action))
    return tuple(dict.fromkeys([*_first(facts), *_out_of_reach(facts), *further]))


def loss_advice(gate: Context, comparison: Comparison, target: float, otherwise: str) -> str | None:
    """Return the advice for a gain below ``target``: another attempt only where the real gain may reach it.

    None where another check says why the answers do not show what the candidate can do, and what to do about that.
    """
    bounds = comparison.lower, comparison.upper
    stop = _stop(bounds, target, gate.config.confidence, share=gate.share)
    if any(check.kind == "form" or check.status == "fail" for check in _unmeasured(gate.checks)):
        return None
    return next((one.text for one in (*_first(Facts(gate, lost=True)), stop) if one is not None), otherwise)


def most_to_try(result: GateResult) -> list[Advice]:
    """Return the first advice of each action, at most three, without advice that checks show themselves."""
    shown = {text for check in result.checks if check.advice for text in (check.advice, _fact(check))}
    first: dict[str, Advice] = {}
    for one in result.advice:
        if shown.isdisjoint((one.text, one.fact)):
            first.setdefault(one.action, one)
    return list(first.values())[:3]


def _fact(check: Check) -> str:
    """Return what a check found, as the fact that advice rests on."""
    return f"{check.name}: {check.message}"


class Facts:
    """Hold what advice rests on: a judged gate, why it failed, and whether its answers are informative.

    Attributes:
        candidate: counts of the candidate's answers by kind; empty before training.
        unmeasured: the checks which say that the scores do not measure the candidate.
        lost: whether the gate failed because of the answers on the test set.
    """

    def __init__(self, gate: Context, *, lost: bool | None = None) -> None:
        self.gate = gate
        self.result = gate.result
        self.diagnosis = gate.result.diagnosis or Diagnosis({})
        self.candidate: Mapping[str, int] = self.diagnosis.candidate or {}
        self.unmeasured = _unmeasured(self.result.checks)
        self.lost = any(map(_on_answers, self.result.checks)) if lost is None else lost

    @property
    def taught(self) -> bool:
        """Return whether the answers show what training taught: they are the candidate's own, in the right form."""
        return self.lost and not self.unmeasured and not _mostly_form(self.candidate)


def _unmeasured(checks: Iterable[Check]) -> list[Check]:
    """Return the checks which say that the scores do not measure the candidate.

    They find a candidate that is not asked as in training, one model under two names, or scores that rest on the form
    of answers; the latter come last.
    """
    models = [check for check in checks if check.kind == "models" and check.action == "measure_again"]
    return [*models, *(check for check in checks if check.kind == "form" and check.action)]


def _on_answers(check: Check) -> bool:
    """Return whether a check fails because of the answers on the test set, and not of a guard, a cost or a date."""
    if check.status not in _RED or check.kind not in ("gain", "form"):
        return False
    key = "" if check.threshold is None else check.threshold.key.partition(".")[0]
    return key != "guards" and (key != "thresholds" or check.action == "fix_data")


def _first(facts: Facts) -> Iterator[Advice]:
    """Yield what comes before all else: the right prompt, a fair measurement, and answers in a usable form."""
    for check in facts.unmeasured:
        if facts.lost or check.kind == "models":
            yield Advice("measure_again", check.advice or "", _fact(check))
    if facts.lost and not facts.unmeasured:
        yield from _form_first(facts.diagnosis)


def _of_checks(facts: Facts) -> Iterator[Advice]:
    """Yield the advice of failed checks, and of warnings where the answers failed or no model was called."""
    to_blame = facts.lost or not facts.result.models_called
    for check in facts.result.checks:
        counts = check.status in _RED or (check.status == "warning" and to_blame)
        if not counts or check.action is None or check.advice is None or check in facts.unmeasured:
            continue
        answered = facts.result.models_called and check.kind == "gain"
        if answered and check.action == "better_prompt" and facts.unmeasured:
            continue
        if answered and check.action == "fix_data" and not facts.taught:
            continue
        yield Advice(check.action, check.advice, _fact(check))


def _of_answers(facts: Facts) -> Iterator[Advice]:
    """Yield the advice that follows from all answers and the training set together."""
    if facts.taught:
        yield from _learned_confusion(facts)
        broken, fixed = facts.result.losses or 0, facts.result.wins or 0
        if broken >= BROKEN_LEAST and broken >= BROKEN_SHARE * fixed:  # it was taught something wrong, too
            text = "Compare the broken examples with similar training rows: some of those rows teach the wrong answer."
            yield Advice("fix_data", text, f"the candidate fixes {plural(fixed, 'example')} and breaks {broken:,}")
        yield from _thin_labels(facts)
        yield from _half_way(facts)
        yield from _both_wrong(facts)
    if facts.lost and not any(check.kind == "form" for check in facts.unmeasured):
        yield from _form_advice(facts.gate.config.asked, facts.diagnosis)


# --- what was taught ---------------------------------------------------------------------------------------------


def _learned_confusion(facts: Facts) -> Iterator[Advice]:
    """Advise on a pair of labels that the candidate confuses more often than the baseline: training taught that."""
    worst = learned_pair(facts.diagnosis)
    if worst is None:
        return
    expected, answered = _name(worst.expected), _name(worst.answered)
    yield Advice(
        "fix_data",
        f"Check whether the training rows of {expected} and {answered} are labelled consistently.",
        f"the candidate answers {answered} instead of {expected} {plural(worst.candidate, 'time')}, "
        f"the baseline {plural(worst.baseline, 'time')}",
    )


def learned_pair(diagnosis: Diagnosis) -> Confusion | None:
    """Return the two labels that the candidate confuses most beyond the baseline; None where training is not to blame.

    Training is not to blame for answers that are no label, nor where the expected label is right as often as before.
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


def _thin_labels(facts: Facts) -> Iterator[Advice]:
    """Advise on labels that the candidate gets wrong and that have few training rows."""
    scores = facts.diagnosis.labels
    trained = facts.gate.training if scores else ()
    rows = Counter(expected_text(example.expected).strip() for example in trained)
    usual = int(median(rows.get(score.label, 0) for score in scores)) if scores else 0
    for score in scores:
        count = rows.get(score.label, 0)
        mistakes = 0 if score.candidate is None else score.answers - score.candidate
        mostly_wrong = mistakes >= THIN_LABEL_MISTAKES and mistakes > score.answers / 2
        if count < THIN_LABEL < usual and mostly_wrong:
            yield Advice(
                "add_examples",
                f"Write {plural(usual - count, 'more training example')} of {_name(score.label)}.",
                f"{_name(score.label)} has {plural(count, 'training example')}, the median label {usual:,}, "
                f"and the candidate gets {score.candidate} of {score.answers} right",
            )


def _half_way(facts: Facts) -> Iterator[Advice]:
    """Advise to add training data where at least half of the margin was gained and the training set is small."""
    result, usable = facts.result, facts.result.training.usable or 0
    gain, margin = result.gain or 0.0, result.margin or 0.0
    within = 0 < margin / 2 <= gain < margin and 0 < usable < MOST_TRAINING
    may_reach = result.upper_bound is None or result.upper_bound >= margin
    if within and may_reach:
        share = is_share(result.metric_range)
        yield Advice(
            "add_examples",
            "More training examples may help.",
            f"{plural(usable, 'usable training example')} gained {show_difference(gain, share=share)} of the margin of "
            f"{show_amount(margin, share=share)}",
        )


# --- another model, or none --------------------------------------------------------------------------------------


def _both_wrong(facts: Facts) -> Iterator[Advice]:
    """Advise another base model where neither prompting nor training helps.

    A baseline whose mistakes are mostly of form has not shown that prompting does not help.
    """
    both, broken, margin = facts.diagnosis.wrong_in_both or 0, facts.result.losses or 0, facts.result.margin
    if margin is None or gain_reaches(facts.result.gain or 0.0, margin) or _mostly_form(facts.diagnosis.baseline):
        return
    if both >= BOTH_WRONG_LEAST and both >= BOTH_WRONG_SHARE * (both + broken):
        of = f"all {both:,}" if not broken else f"{both:,} of {both + broken:,}"
        fact = f"the baseline is wrong, too, on {of} examples that the candidate gets wrong"
        yield Advice("another_model", "Try a more capable base model, first with a prompt alone.", fact)


def _out_of_reach(facts: Facts) -> Iterator[Advice]:
    """Advise to stop where the real gain is surely too small: another run cannot be expected to pass."""
    result = facts.result
    bounds, share = (result.lower_bound, result.upper_bound), is_share(result.metric_range)
    target = result.margin if result.max_drop is None else -result.max_drop
    if facts.taught and target is not None:
        stop = _stop(bounds, target, result.confidence or 0, share=share)
        yield from () if stop is None else (stop,)


def _stop(bounds: tuple[float | None, float | None], target: float, confidence: float, *, share: bool) -> Advice | None:
    """Return the advice to stop where the real gain is surely below ``target``: a margin, or a drop that is allowed."""
    lower, upper = bounds
    if upper is None or upper >= target:
        return None
    asked = show_amount(abs(target), share=share)
    bound = f"{show_percent(confidence)} upper bound of the gain ({show_difference(upper, share=share)})"
    if target < 0:
        text = "Keep the baseline: the candidate is worse by more than the gate allows."
        return Advice("stop", text, f"{bound} is below the limit of -{asked}")
    text = f"Drop this fine-tune, and keep the prompt: even the {bound} is below the margin."
    if lower is not None and lower > 0:
        text = (
            f"This fine-tune is better (lower bound {show_difference(lower, share=share)}), but cannot be expected to "
            f"reach the margin of {asked}: keep the prompt, or train a different one."
        )
    return Advice("stop", text, f"{bound} is below the margin of {asked}")


# --- answers that do not show what a model knows: of the wrong form, cut off, refused, or missing -----------------


def _form(counts: Counts) -> int:
    """Return the number of answers that are none of those that the task allows."""
    return sum(counts.get(kind, 0) for kind in OF_FORM)


def _mostly_form(counts: Counts, also: tuple[str, ...] = _NO_ANSWER) -> bool:
    """Return whether most mistakes are of form, or of the kinds ``also``, and so do not show what a model knows."""
    count = _form(counts) + sum(counts.get(kind, 0) for kind in also)
    return count >= FORM_LEAST and count >= FORM_SHARE * (sum(counts.values()) - counts.get(RIGHT, 0))


def _many(counts: Counts, kind: str) -> bool:
    """Return whether enough answers are of a kind to rule out an accident."""
    count = counts.get(kind, 0)
    return count >= NO_ANSWER_LEAST and count >= NO_ANSWER_SHARE * sum(counts.values())


def has_format(model: ModelSpec | None) -> bool:
    """Return whether a model's answers are constrained already."""
    return model is not None and "response_format" in (model.options.get("params") or {})


TOOLS_ADVICE = (
    "Check that the endpoint of the {role} returns tool calls (vLLM: --enable-auto-tool-choice and "
    "--tool-call-parser), and that the rows of the test set hold tools."
)
_ADVICE: Mapping[str, tuple[Action, str, str]] = {
    "form": (
        "better_prompt",
        "Prompt the {role} as in its training rows: with the same system message and template.",
        "{of_form}",
    ),
    "empty": (
        "measure_again",
        "Find out why the {role} answers nothing: look at a raw answer of its endpoint (curl), raise "
        "max_completion_tokens (or max_tokens), which reasoning may use up, and check that strip_reasoning keeps the "
        "answer.",
        "{share} of the {role} are empty",
    ),
    "cut_off": (
        "better_prompt",
        "Raise max_completion_tokens (or max_tokens) of the {role}, or ask for shorter answers.",
        "{share} of the {role} are cut off",
    ),
    "missing": (
        "measure_again",
        "Find out why the {role}'s endpoint does not answer: with missing_answers: wrong a missing answer is wrong.",
        "{share} of the {role} are missing",
    ),
    "no_call": ("better_prompt", TOOLS_ADVICE, "{share} of the {role} call no tool where one is due"),
    "refusal": (
        "better_prompt",
        "Prompt the {role} as in its training rows, and remove refusals from the outputs of these rows.",
        "the {role} refuses {share}",
    ),
}
"""The advice on each kind of answer: what to do, and the fact that it rests on."""


def _advice(kind: str, counts: Counts, role: str = "candidate") -> Advice:
    action, text, fact = _ADVICE[kind]
    shares = {"share": _share_of(counts, kind), "of_form": _of_form(role, counts)}
    return Advice(action, text.format(role=role), fact.format(role=role, **shares))


def _form_first(diagnosis: Diagnosis) -> Iterator[Advice]:
    """Yield the advice that would fix most of the candidate's mistakes, where most are of form, or no answer."""
    counts = diagnosis.candidate or {}
    if not _mostly_form(counts):
        return
    fixed = {kind: counts.get(kind, 0) for kind in _ADVICE}
    fixed["form"] = _form(counts) - fixed["empty"]
    if _many(diagnosis.baseline, "refusal"):  # it is the base model that refuses
        del fixed["refusal"]
    best = max(fixed, key=lambda kind: fixed[kind])
    if fixed[best]:
        yield _advice(best, counts)


def _form_advice(models: Mapping[str, ModelSpec], diagnosis: Diagnosis) -> Iterator[Advice]:
    """Yield the advice on all answers that do not show what a model knows.

    Keys that ``models`` have already are not advised.
    """
    before, after = diagnosis.baseline, diagnosis.candidate or {}
    if _mostly_form(before, ()):  # which an instruction may mend without any training
        what = "list every label" if diagnosis.labels else "describe the format"
        text = f"Tell the baseline in its prompt how to answer: {what}, and ask for nothing else"
        text += "" if has_format(models.get("baseline")) else "; or constrain it with response_format"
        yield Advice("better_prompt", f"{text}.", _of_form("baseline", before))
    if _many(after, "empty"):
        yield _advice("empty", after)
    if _mostly_form(after, ()) and _form(after) > after.get("empty", 0):
        # a model that misses the form it was trained on likely gets another prompt
        yield _advice("form", after)
    for role, counts in (("baseline", before), ("candidate", after)):
        yield from (_advice(kind, counts, role) for kind in ("cut_off", "no_call") if _many(counts, kind))
    yield from _refusals(before, after)
    if _many(after, "missing"):
        yield _advice("missing", after)


def _refusals(before: Counts, after: Counts) -> Iterator[Advice]:
    """Advise where one model refuses what the other answers, or training did not end the refusals."""
    if _many(before, "refusal") and _many(after, "refusal"):
        text = "Try another base model: training did not end the refusals."
        fact = f"the baseline refuses {plural(before['refusal'], 'answer')}, the candidate {after['refusal']:,}"
        yield Advice("another_model", text, fact)
    elif _many(before, "refusal"):
        text = "Tell the baseline in its prompt what the task is for, and what to answer in doubtful cases."
        yield Advice("better_prompt", text, f"the baseline refuses {_share_of(before, 'refusal')}")
    elif _many(after, "refusal"):
        yield _advice("refusal", after)


def _share_of(counts: Counts, kind: str) -> str:
    return f"{counts.get(kind, 0):,} of {plural(sum(counts.values()), 'answer')}"


def _of_form(role: str, counts: Counts) -> str:
    mistakes, form = sum(counts.values()) - counts.get(RIGHT, 0), _form(counts)
    many = f"all {mistakes:,} wrong answers" if form == mistakes else f"{form:,} of {plural(mistakes, 'wrong answer')}"
    return f"{many} of the {role} are in the wrong format"
