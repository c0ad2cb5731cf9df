"""Advice on answers that do not show what a model knows: of the wrong form, cut off, refused, or missing.

``docs/advice.md`` explains the thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.diagnosis import Diagnosis
from pytest_ftgate.result import Action, Advice
from pytest_ftgate.runs.mistakes import OF_FORM, RIGHT
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec

FORM_LEAST, FORM_SHARE = 5, 0.5
NO_ANSWER_LEAST, NO_ANSWER_SHARE = 3, 0.1
_NO_ANSWER = ("cut_off", "refusal", "missing", "no_call")

Counts = Mapping[str, int]
"""Numbers of answers by kind, as in :class:`Diagnosis`."""


def _form(counts: Counts) -> int:
    """Return the number of answers that are none of those that the task allows."""
    return sum(counts.get(kind, 0) for kind in OF_FORM)


def _mistakes(counts: Counts) -> int:
    return sum(counts.values()) - counts.get(RIGHT, 0)


def mostly_form(counts: Counts, also: tuple[str, ...] = _NO_ANSWER) -> bool:
    """Return whether most mistakes are of form, or of the kinds ``also``, and so do not show what a model knows."""
    count = _form(counts) + sum(counts.get(kind, 0) for kind in also)
    return count >= FORM_LEAST and count >= FORM_SHARE * _mistakes(counts)


def _many(counts: Counts, kind: str) -> bool:
    """Return whether enough answers are of a kind to rule out an accident."""
    count = counts.get(kind, 0)
    return count >= NO_ANSWER_LEAST and count >= NO_ANSWER_SHARE * sum(counts.values())


def has_format(model: ModelSpec | None) -> bool:
    """Return whether a model's answers are constrained already."""
    return model is not None and "response_format" in (model.options.get("params") or {})


_TOOLS = (
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
    "no_call": ("better_prompt", _TOOLS, "{share} of the {role} call no tool where one is due"),
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


def tools_advice(role: str) -> str:
    """Return what to check of a model that calls no tool where one is due."""
    return _TOOLS.format(role=role)


def form_first(diagnosis: Diagnosis) -> Advice | None:
    """Return the advice that would fix most of the candidate's mistakes; None unless most are of form, or no answer."""
    counts = diagnosis.candidate or {}
    if not mostly_form(counts):
        return None
    fixed = {kind: counts.get(kind, 0) for kind in _ADVICE}
    fixed["form"] = _form(counts) - fixed["empty"]
    if _many(diagnosis.baseline, "refusal"):  # it is the base model that refuses
        del fixed["refusal"]
    best = max(fixed, key=lambda kind: fixed[kind])
    return _advice(best, counts) if fixed[best] else None


def form_advice(models: Mapping[str, ModelSpec], diagnosis: Diagnosis) -> Iterator[Advice]:
    """Yield the advice on all answers that do not show what a model knows.

    Keys that ``models`` have already are not advised.
    """
    before, after = diagnosis.baseline, diagnosis.candidate or {}
    if mostly_form(before, ()):  # which an instruction may mend without any training
        what = "list every label" if diagnosis.labels else "describe the format"
        text = f"Tell the baseline in its prompt how to answer: {what}, and ask for nothing else"
        text += "" if has_format(models.get("baseline")) else "; or constrain it with response_format"
        yield Advice("better_prompt", f"{text}.", _of_form("baseline", before))
    if _many(after, "empty"):
        yield _advice("empty", after)
    if mostly_form(after, ()) and _form(after) > after.get("empty", 0):
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
    mistakes, form = _mistakes(counts), _form(counts)
    many = f"all {mistakes:,} wrong answers" if form == mistakes else f"{form:,} of {plural(mistakes, 'wrong answer')}"
    return f"{many} of the {role} are in the wrong format"
