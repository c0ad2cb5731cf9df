"""What to do about a gate that is not green: each advice rests on a fact, and the first is the first to try.

A failed check brings its own advice (``Check.action``); this module adds what only all answers together can tell.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import get_args

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import Action, Advice, Check, Diagnosis, GateResult
from pytest_ftgate.runs.mistakes import RIGHT
from pytest_ftgate.statistics.evidence import Comparison, reaches
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_difference, show_percent

_BROKEN_LEAST, _BROKEN_SHARE = 5, 0.5
_BOTH_WRONG_LEAST, _BOTH_WRONG_SHARE = 10, 0.8
_THIN_LABEL, _THIN_LABEL_MISTAKES = 10, 3
_UNUSABLE_LEAST, _UNUSABLE_SHARE = 5, 0.5
_KIND_LEAST, _KIND_SHARE = 3, 0.1

Counts = Mapping[str, int]
"""Numbers of answers by kind, as in :class:`Diagnosis`."""


@dataclass(frozen=True)
class _Case:
    """Hold what advice rests on: the gate, its result, and the mistakes of both models.

    Attributes:
        unmeasured: the checks which say that the scores do not measure the candidate, those of the form of answers
            last; the others find one that is not asked as in training, or one model under two names.
        lost: whether the gate failed because of the answers on the test set.
    """

    gate: Context
    result: GateResult
    found: Diagnosis
    unmeasured: list[Check]
    lost: bool

    @property
    def taught(self) -> bool:
        """Return whether the answers show what training taught: they are the candidate's own, and mostly usable."""
        return self.lost and not self.unmeasured and not _mostly_unusable(self.found.candidate or {})


def _case(gate: Context, *, lost: bool | None = None) -> _Case:
    result, checks = gate.result, gate.checks
    models = [check for check in checks if check.kind == "models" and check.action == "measure_again"]
    unmeasured = [*models, *(check for check in checks if check.kind == "form" and check.action)]
    lost = result.models_called and any(map(_on_answers, checks)) if lost is None else lost
    return _Case(gate, result, result.diagnosis or Diagnosis({}), unmeasured, lost)


def advise(gate: Context) -> tuple[Advice, ...]:
    """Return the advice for a gate, the first to try first; none for the verdicts ``pass`` and ``error``.

    Nothing is concluded about training from answers that are not the candidate's own, or mostly unusable, nor where the
    data fail.
    """
    if gate.verdict in ("pass", "error"):
        return ()
    case = _case(gate)
    first, further = [*_first(case)], [*_of_checks(case)]
    if case.taught:
        further += [*_of_training(case), *_thin_labels(case)]
    if case.lost and not any(check.kind == "form" for check in case.unmeasured):
        further += _of_kinds(case)
    further.sort(key=lambda advice: get_args(Action).index(advice.action))
    return tuple(dict.fromkeys([*first, *further]))


def loss_advice(gate: Context, comparison: Comparison, otherwise: str) -> str | None:
    """Return the advice for a gain below what is required: another attempt only where the real gain may reach it.

    None where another check says why the answers do not show what the candidate can do, and what to do about that.
    """
    case = _case(gate, lost=True)
    if any(check.kind == "form" or check.status == "fail" for check in case.unmeasured):
        return None
    decided = (*_first(case, stop=False), *_stop(comparison, gate.config.confidence, share=gate.share))
    thin = (f"{one.fact}. {one.text}" for one in _thin_labels(case) if case.taught)
    return next(iter((*(one.text for one in decided), *thin)), otherwise)


def most_to_try(result: GateResult) -> list[Advice]:
    """Return the first advice of each action, at most three, without advice that checks show themselves."""
    shown = [text for check in result.checks if check.advice for text in (check.advice, _fact(check))]
    first: dict[str, Advice] = {}
    for one in result.advice:
        if not any(one.text in text or one.fact == text for text in shown):
            first.setdefault(one.action, one)
    return list(first.values())[:3]


def _fact(check: Check) -> str:
    """Return what a check found, as the fact that advice rests on."""
    return f"{check.name}: {check.message}"


# --- what checks say ---------------------------------------------------------------------------------------------


def _on_answers(check: Check) -> bool:
    """Return whether a check fails because of the answers on the test set, and not of a guard, a cost or a date."""
    if check.status not in ("fail", "inconclusive") or check.kind not in ("gain", "form"):
        return False
    key = "" if check.threshold is None else check.threshold.key.partition(".")[0]
    return key != "guards" and (key != "thresholds" or check.action == "fix_data")


def _first(case: _Case, *, stop: bool = True) -> Iterator[Advice]:
    """Yield what comes before all else: the right prompt, a fair measurement, usable answers, and a gain in reach."""
    for check in case.unmeasured:
        if case.lost or check.kind == "models":
            yield Advice("measure_again", check.advice or "", _fact(check))
    if case.taught:
        share = is_share(case.result.metric_range)
        yield from _stop(case.result, case.result.confidence or 0, share=share) if stop else ()
    elif case.lost and not case.unmeasured:
        kinds = _kinds(case.found.candidate or {})
        best = max(kinds, key=lambda kind: kinds[kind])
        yield from [_cure(best, "candidate", case)] if kinds[best] else []


def _of_checks(case: _Case) -> Iterator[Advice]:
    """Yield the advice of failed checks, and of warnings where the answers failed or no model was called."""
    called = case.result.models_called
    statuses = ["fail", "inconclusive", *(["warning"] if case.lost or not called else [])]
    for check in case.result.checks:
        if check.status not in statuses or check.action is None or check.advice is None or check in case.unmeasured:
            continue
        rests_on_form = case.unmeasured if check.action == "better_prompt" else not case.taught
        if not (called and check.kind == "gain" and check.action in ("better_prompt", "fix_data") and rests_on_form):
            yield Advice(check.action, check.advice, _fact(check))


# --- what was taught ---------------------------------------------------------------------------------------------


def _of_training(case: _Case) -> Iterator[Advice]:
    """Yield the advice that follows from all answers of a candidate that show what training taught."""
    result, both = case.result, case.found.wrong_in_both or 0
    broken, fixed = result.losses or 0, result.wins or 0
    if broken >= _BROKEN_LEAST and broken >= _BROKEN_SHARE * fixed:  # it was taught something wrong, too
        text = "Compare the broken examples with similar training rows: some of those rows teach the wrong answer."
        yield Advice("fix_data", text, f"the candidate fixes {plural(fixed, 'example')} and breaks {broken:,}")
    often = both >= _BOTH_WRONG_LEAST and both >= _BOTH_WRONG_SHARE * (both + broken)
    missed = result.margin is not None and not reaches(result.gain or 0.0, result.margin)
    # A baseline whose answers are mostly unusable has not shown that prompting does not help.
    if often and missed and not _mostly_unusable(case.found.baseline):
        fact = f"the baseline is wrong, too, on {both:,} of {both + broken:,} examples that the candidate gets wrong"
        yield Advice("another_model", "Try a more capable base model, first without training.", fact)


def _thin_labels(case: _Case) -> Iterator[Advice]:
    """Advise on labels that the candidate gets wrong and that have few training rows."""
    training = case.gate.training if case.found.labels else ()
    rows = Counter(expected_text(example.expected).strip() for example in training)
    usual = int(median(rows[score.label] for score in case.found.labels)) if rows else 0
    for score in case.found.labels:
        count, right = rows[score.label], score.answers if score.candidate is None else score.candidate
        mistakes = score.answers - right
        if count < _THIN_LABEL < usual and mistakes >= _THIN_LABEL_MISTAKES and mistakes > score.answers / 2:
            name = repr(printable(score.label, 40))
            text = f"Write {plural(usual - count, 'more training example')} of {name}."
            fact = f"{name} has {plural(count, 'training example')}, the median label {usual:,}, "
            yield Advice("add_examples", text, f"{fact}and the candidate gets {right} of {score.answers} right")


def _stop(compared: Comparison, confidence: float, *, share: bool) -> Iterator[Advice]:
    """Advise to stop where the real gain is surely below the margin, or the drop surely beyond its limit."""
    target, upper = compared.required, compared.upper_bound
    if target is not None and upper is not None and upper < target:
        bound = f"{show_percent(confidence)} upper bound of the gain ({show_difference(upper, share=share)})"
        asked = "the margin of " if target >= 0 else "the limit of -"
        asked += show_amount(abs(target), share=share)
        text = f"Keep the baseline, or train a different candidate: even the {bound} is not enough."
        yield Advice("stop", text, f"{bound} is below {asked}")


# --- answers that do not show what a model knows: of the wrong form, cut off, refused, or missing -----------------

TOOLS_ADVICE = (
    "Check that the endpoint of the {role} returns tool calls (vLLM: --enable-auto-tool-choice and "
    "--tool-call-parser), and that the rows of the test set hold tools."
)
_LENGTH = "max_completion_tokens (or max_tokens)"
_TRAINED = "Prompt the {role} as in its training rows"
_CURES: Mapping[str, tuple[Action, str, str]] = {
    "malformed": ("better_prompt", f"{_TRAINED}: with the same system message and template.", "are malformed"),
    "empty": (
        "measure_again",
        "Find out why the {role} answers nothing: look at a raw answer of its endpoint (curl), raise "
        f"{_LENGTH}, which reasoning may use up, and check that strip_reasoning keeps the answer.",
        "are empty",
    ),
    "cut_off": ("better_prompt", f"Raise {_LENGTH} of the {{role}}, or ask for shorter answers.", "are cut off"),
    "missing": (
        "measure_again",
        "Find out why the {role}'s endpoint does not answer: with missing_answers: wrong a missing answer is wrong.",
        "are missing",
    ),
    "refusal": ("better_prompt", f"{_TRAINED}, and remove refusals from the outputs of these rows.", "are refusals"),
}
"""The advice on each kind of answer: what to do, and what such answers are."""
_OF_BASELINE = {
    "malformed": "Tell the baseline in its prompt how to answer: name the labels or the format, and nothing else.",
    "refusal": "Tell the baseline in its prompt what the task is for, and what to answer in doubtful cases.",
}
"""What to do about a baseline, which was not trained."""
_WITHOUT_PROMPT = "Check how the {role} is asked, and what it returns: the metric must find the answer in it."
"""What to do about a recording or a function, which has no prompt to change."""


def _kinds(counts: Counts) -> dict[str, int]:
    """Return the numbers of answers that do not show what a model knows, by kind."""
    return {kind: counts.get(kind, 0) for kind in _CURES}


def _mostly_unusable(counts: Counts) -> bool:
    """Return whether most mistakes are answers that do not show what a model knows."""
    count = sum(_kinds(counts).values())
    return count >= _UNUSABLE_LEAST and count >= _UNUSABLE_SHARE * (sum(counts.values()) - counts.get(RIGHT, 0))


def _of_kinds(case: _Case) -> Iterator[Advice]:
    """Yield the advice on all kinds of answers of which there are enough to rule out an accident."""
    for role, counts in (("baseline", case.found.baseline), ("candidate", case.found.candidate or {})):
        for kind, count in _kinds(counts).items():
            if count >= _KIND_LEAST and count >= _KIND_SHARE * sum(counts.values()):
                yield _cure(kind, role, case)


def _cure(kind: str, role: str, case: _Case) -> Advice:
    """Return the advice on one kind of answers of a model."""
    counts = case.found.baseline if role == "baseline" else case.found.candidate or {}
    (action, text, what), count = _CURES[kind], _kinds(counts)[kind]
    if action == "better_prompt" and not case.gate.asked(case.gate.best if role == "baseline" else role).has_prompt:
        action, text = "measure_again", _WITHOUT_PROMPT
    elif role == "baseline":
        text = _OF_BASELINE.get(kind, text)
    if kind == "malformed" and case.gate.deciding.calls_tools:
        text = TOOLS_ADVICE
    fact = f"{count:,} of {plural(sum(counts.values()), 'answer')} of the {role} {what}"
    return Advice(action, text.format(role=role), fact)
