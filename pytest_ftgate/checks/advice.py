"""What to do about a gate that is not green: each advice rests on a fact, and the first is the first to try.

A failed check brings its own advice (``Check.action``); this module adds what only all answers together can tell.
``docs/verdict.md`` explains the thresholds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import get_args

from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.diagnosis import Confusion, Diagnosis
from pytest_ftgate.result import Action, Advice, Check, GateResult
from pytest_ftgate.runs.mistakes import NO_LABEL, OF_FORM, RIGHT
from pytest_ftgate.statistics.evidence import Comparison, reaches
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_difference, show_percent

_CONFUSED_LEAST = 3
_BROKEN_LEAST, _BROKEN_SHARE = 5, 0.5
_BOTH_WRONG_LEAST, _BOTH_WRONG_SHARE = 10, 0.8
_THIN_LABEL, _THIN_LABEL_MISTAKES = 10, 3
_MOST_TRAINING = 2000
_FORM_LEAST, _FORM_SHARE = 5, 0.5
_NO_ANSWER_LEAST, _NO_ANSWER_SHARE = 3, 0.1
_NO_ANSWER = ("cut_off", "refusal", "missing", "no_call")

Counts = Mapping[str, int]
"""Numbers of answers by kind, as in :class:`Diagnosis`."""


def advise(gate: Context) -> tuple[Advice, ...]:
    """Return the advice for a gate, the first to try first; none for the verdicts ``pass`` and ``error``.

    Nothing is concluded about training from answers that are not the candidate's own, or mostly of the wrong form, nor
    where the data fail.
    """
    if gate.verdict in ("pass", "error"):
        return ()
    result, found = gate.result, gate.result.diagnosis or Diagnosis({})
    unmeasured, lost = _unmeasured(result.checks), result.models_called and any(map(_on_answers, result.checks))
    taught = lost and not unmeasured and not _mostly_form(found.candidate or {})
    models = _models(gate)
    first, further = [*_first(unmeasured, found, models, lost=lost)], [*_of_checks(result, unmeasured, lost, taught)]
    if taught:
        first += _stop(result, result.confidence or 0, share=is_share(result.metric_range))
        further += [*_of_training(result, found), *_thin_labels(found, gate.training)]
    if lost and not any(check.kind == "form" for check in unmeasured):
        further += _of_form(models, found)
    further.sort(key=lambda advice: get_args(Action).index(advice.action))
    return tuple(dict.fromkeys([*first, *further]))


def loss_advice(gate: Context, comparison: Comparison, otherwise: str) -> str | None:
    """Return the advice for a gain below what is required: another attempt only where the real gain may reach it.

    None where another check says why the answers do not show what the candidate can do, and what to do about that.
    """
    unmeasured, found = _unmeasured(gate.checks), gate.result.diagnosis or Diagnosis({})
    if any(check.kind == "form" or check.status == "fail" for check in unmeasured):
        return None
    stop = _stop(comparison, gate.config.confidence, share=gate.share)
    decided = next((one.text for one in (*_first(unmeasured, found, _models(gate), lost=True), *stop)), None)
    taught = not unmeasured and not _mostly_form(found.candidate or {})
    thin = _thin_labels(found, gate.training) if taught else ()
    return decided or next((f"{one.fact}. {one.text}" for one in thin), otherwise)


def most_to_try(result: GateResult) -> list[Advice]:
    """Return the first advice of each action, at most three, without advice that checks show themselves."""
    shown = [text for check in result.checks if check.advice for text in (check.advice, _fact(check))]
    first: dict[str, Advice] = {}
    for one in result.advice:
        if not any(one.text in text or one.fact == text for text in shown):
            first.setdefault(one.action, one)
    return list(first.values())[:3]


def _models(gate: Context) -> Mapping[str, ModelSpec]:
    """Return the models that a diagnosis is about: the best baseline, and the candidate if there is one."""
    return {**gate.config.asked, "baseline": gate.asked(gate.best)}


def _fact(check: Check) -> str:
    """Return what a check found, as the fact that advice rests on."""
    return f"{check.name}: {check.message}"


# --- what checks say ---------------------------------------------------------------------------------------------


def _unmeasured(checks: Iterable[Check]) -> list[Check]:
    """Return the checks which say that the scores do not measure the candidate; those of the form of answers last.

    The others find a candidate that is not asked as in training, or one model under two names.
    """
    models = [check for check in checks if check.kind == "models" and check.action == "measure_again"]
    return [*models, *(check for check in checks if check.kind == "form" and check.action)]


def _on_answers(check: Check) -> bool:
    """Return whether a check fails because of the answers on the test set, and not of a guard, a cost or a date."""
    if check.status not in ("fail", "inconclusive") or check.kind not in ("gain", "form"):
        return False
    key = "" if check.threshold is None else check.threshold.key.partition(".")[0]
    return key != "guards" and (key != "thresholds" or check.action == "fix_data")


def _first(
    unmeasured: list[Check], found: Diagnosis, models: Mapping[str, ModelSpec], *, lost: bool
) -> Iterator[Advice]:
    """Yield what comes before all else: the right prompt, a fair measurement, and answers in a usable form."""
    for check in unmeasured:
        if lost or check.kind == "models":
            yield Advice("measure_again", check.advice or "", _fact(check))
    counts = found.candidate or {}
    if lost and not unmeasured and _mostly_form(counts):
        fixed = {kind: counts.get(kind, 0) for kind in _CURES}
        fixed["form"] = _form(counts) - fixed["empty"]
        if _many(found.baseline, "refusal"):  # it is the base model that refuses
            del fixed["refusal"]
        best = max(fixed, key=lambda kind: fixed[kind])
        yield from [_cure(best, "candidate", counts, models)] if fixed[best] else []


def _of_checks(result: GateResult, unmeasured: list[Check], lost: bool, taught: bool) -> Iterator[Advice]:
    """Yield the advice of failed checks, and of warnings where the answers failed or no model was called."""
    statuses = ["fail", "inconclusive", *(["warning"] if lost or not result.models_called else [])]
    for check in result.checks:
        if check.status not in statuses or check.action is None or check.advice is None or check in unmeasured:
            continue
        answered = result.models_called and check.kind == "gain"
        rests_on_form = unmeasured if check.action == "better_prompt" else check.action == "fix_data" and not taught
        if not (answered and rests_on_form):
            yield Advice(check.action, check.advice, _fact(check))


# --- what was taught ---------------------------------------------------------------------------------------------


def _of_training(result: GateResult, found: Diagnosis) -> Iterator[Advice]:
    """Yield the advice that follows from all answers of a candidate that show what training taught."""
    worst, share = learned_pair(found), is_share(result.metric_range)
    if worst is not None:
        expected, answered = _name(worst.expected), _name(worst.answered)
        text = f"Check whether the training rows of {expected} and {answered} are labelled consistently."
        fact = f"the candidate answers {answered} instead of {expected} {plural(worst.candidate, 'time')}, "
        yield Advice("fix_data", text, f"{fact}the baseline {plural(worst.baseline, 'time')}")
    broken, fixed = result.losses or 0, result.wins or 0
    if broken >= _BROKEN_LEAST and broken >= _BROKEN_SHARE * fixed:  # it was taught something wrong, too
        text = "Compare the broken examples with similar training rows: some of those rows teach the wrong answer."
        yield Advice("fix_data", text, f"the candidate fixes {plural(fixed, 'example')} and breaks {broken:,}")
    usable, gain, margin = result.training.usable or 0, result.gain or 0.0, result.margin
    if margin is None:
        return
    may_reach = result.upper_bound is None or result.upper_bound >= margin
    if 0 < margin / 2 <= gain < margin and 0 < usable < _MOST_TRAINING and may_reach:
        gained = f"gained {show_difference(gain, share=share)} of the margin of {show_amount(margin, share=share)}"
        fact = f"{plural(usable, 'usable training example')} {gained}"
        yield Advice("add_examples", "More training examples may help.", fact)
    both = found.wrong_in_both or 0
    often = both >= _BOTH_WRONG_LEAST and both >= _BOTH_WRONG_SHARE * (both + broken)
    # A baseline whose mistakes are mostly of form has not shown that prompting does not help.
    if often and not reaches(gain, margin) and not _mostly_form(found.baseline):
        of = f"all {both:,}" if not broken else f"{both:,} of {both + broken:,}"
        fact = f"the baseline is wrong, too, on {of} examples that the candidate gets wrong"
        yield Advice("another_model", "Try a more capable base model, first without training.", fact)


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
    return None if worst is None or grown[worst] < _CONFUSED_LEAST else worst


def _name(label: str) -> str:
    return repr(printable(label, 40))


def _thin_labels(found: Diagnosis, training: DataSet) -> Iterator[Advice]:
    """Advise on labels that the candidate gets wrong and that have few training rows."""
    if not found.labels:
        return
    rows = Counter(expected_text(example.expected).strip() for example in training)
    usual = int(median(rows[score.label] for score in found.labels))
    for score in found.labels:
        count, right = rows[score.label], score.answers if score.candidate is None else score.candidate
        mistakes = score.answers - right
        if count < _THIN_LABEL < usual and mistakes >= _THIN_LABEL_MISTAKES and mistakes > score.answers / 2:
            text = f"Write {plural(usual - count, 'more training example')} of {_name(score.label)}."
            fact = f"{_name(score.label)} has {plural(count, 'training example')}, the median label {usual:,}, "
            yield Advice("add_examples", text, f"{fact}and the candidate gets {right} of {score.answers} right")


# --- a gain that is surely too small --------------------------------------------------------------------------------


def _stop(compared: Comparison, confidence: float, *, share: bool) -> list[Advice]:
    """Advise to stop where the real gain is surely below the margin, or the drop surely beyond its limit."""
    target, lower, upper = compared.required, compared.lower_bound, compared.upper_bound
    if target is None or upper is None or upper >= target:
        return []
    asked = show_amount(abs(target), share=share)
    bound = f"{show_percent(confidence)} upper bound of the gain ({show_difference(upper, share=share)})"
    if target < 0:
        text = "Keep the baseline: the candidate is worse by more than the gate allows."
        return [Advice("stop", text, f"{bound} is below the limit of -{asked}")]
    text = f"Drop this fine-tune, and keep the baseline: even the {bound} is below the margin."
    if lower is not None and lower > 0:
        better = f"This fine-tune is better (lower bound {show_difference(lower, share=share)}), but cannot be expected"
        text = f"{better} to reach the margin of {asked}: keep the baseline, or train a different one."
    return [Advice("stop", text, f"{bound} is below the margin of {asked}")]


# --- answers that do not show what a model knows: of the wrong form, cut off, refused, or missing -----------------


def _form(counts: Counts) -> int:
    """Return the number of answers that are none of those that the task allows."""
    return sum(counts.get(kind, 0) for kind in OF_FORM)


def _mostly_form(counts: Counts, also: tuple[str, ...] = _NO_ANSWER) -> bool:
    """Return whether most mistakes are of form, or of the kinds ``also``, and so do not show what a model knows."""
    count = _form(counts) + sum(counts.get(kind, 0) for kind in also)
    return count >= _FORM_LEAST and count >= _FORM_SHARE * (sum(counts.values()) - counts.get(RIGHT, 0))


def _many(counts: Counts, kind: str) -> bool:
    """Return whether enough answers are of a kind to rule out an accident."""
    count = counts.get(kind, 0)
    return count >= _NO_ANSWER_LEAST and count >= _NO_ANSWER_SHARE * sum(counts.values())


def has_format(model: ModelSpec | None) -> bool:
    """Return whether a model's answers are constrained already."""
    return model is not None and "response_format" in (model.options.get("params") or {})


TOOLS_ADVICE = (
    "Check that the endpoint of the {role} returns tool calls (vLLM: --enable-auto-tool-choice and "
    "--tool-call-parser), and that the rows of the test set hold tools."
)
_LENGTH = "max_completion_tokens (or max_tokens)"
_TRAINED = "Prompt the {role} as in its training rows"
_CURES: Mapping[str, tuple[Action, str, str]] = {
    "form": ("better_prompt", f"{_TRAINED}: with the same system message and template.", "are in the wrong format"),
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
    "no_call": ("better_prompt", TOOLS_ADVICE, "call no tool where one is due"),
    "refusal": ("better_prompt", f"{_TRAINED}, and remove refusals from the outputs of these rows.", "are refusals"),
}
"""The advice on each kind of answer: what to do, and what such answers are."""
_WITHOUT_PROMPT = {
    "form": "Check what the {role} returns: the metric must find an expected output in it (pattern, json_field, "
    "normalize).",
    "cut_off": "Raise the length limit that the {role} answers with.",
    "no_call": "Check that the {role} returns its tool calls, and that the rows of the test set hold tools.",
    "refusal": "Check what the {role} is asked, and why it refuses.",
}


def _cure(kind: str, role: str, counts: Counts, models: Mapping[str, ModelSpec], instead: str | None = None) -> Advice:
    """Return the advice on one kind of answers of a model; ``instead`` replaces what to do.

    A recording or a function has no prompt to change.
    """
    (action, text, what), count, all_of = _CURES[kind], counts.get(kind, 0), plural(sum(counts.values()), "answer")
    if kind == "form":
        count, all_of = _form(counts), plural(sum(counts.values()) - counts.get(RIGHT, 0), "wrong answer")
        what = "are no expected label" if 2 * counts.get("unknown_label", 0) >= count else what
    if kind in _WITHOUT_PROMPT and not models[role].has_prompt:
        action, instead = "measure_again", _WITHOUT_PROMPT[kind].format(role=role)
    return Advice(action, instead or text.format(role=role), f"{count:,} of {all_of} of the {role} {what}")


def _of_form(models: Mapping[str, ModelSpec], found: Diagnosis) -> Iterator[Advice]:
    """Yield the advice on all answers that do not show what a model knows.

    Keys that ``models`` have already are not advised.
    """
    before, after = found.baseline, found.candidate or {}
    if _mostly_form(before, ()):  # which an instruction may mend without any training
        what = "list every label" if found.labels else "describe the format"
        text = f"Tell the baseline in its prompt how to answer: {what}, and ask for nothing else"
        text += "." if has_format(models.get("baseline")) else "; or constrain it with response_format."
        yield _cure("form", "baseline", before, models, text)
    if _mostly_form(after, ()) and _form(after) > after.get("empty", 0):
        # a model that misses the form it was trained on likely gets another prompt
        yield _cure("form", "candidate", after, models)
    both = {
        "baseline": (before, ("cut_off", "no_call")),
        "candidate": (after, ("empty", "cut_off", "no_call", "missing")),
    }
    for role, (counts, kinds) in both.items():
        yield from (_cure(kind, role, counts, models) for kind in kinds if _many(counts, kind))
    if _many(before, "refusal") and _many(after, "refusal"):
        fact = f"the baseline refuses {plural(before['refusal'], 'answer')}, the candidate {after['refusal']:,}"
        yield Advice("another_model", "Try another base model: training did not end the refusals.", fact)
    elif _many(before, "refusal"):
        text = "Tell the baseline in its prompt what the task is for, and what to answer in doubtful cases."
        yield _cure("refusal", "baseline", before, models, text)
    elif _many(after, "refusal"):
        yield _cure("refusal", "candidate", after, models)
