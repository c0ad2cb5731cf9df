"""Advice about answers that say nothing of what a model knows: of another form, cut off, refused, or missing.

Where a threshold comes from stands in ``docs/advice.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ftgate.result import Advice, Diagnosis
from pytest_ftgate.runs.mistakes import OF_FORM, RIGHT
from pytest_ftgate.text import plural

FORM_LEAST, FORM_SHARE = 5, 0.5
NO_ANSWER_LEAST, NO_ANSWER_SHARE = 3, 0.1
_NO_ANSWER = ("cut_off", "refusal", "missing")

Counts = Mapping[str, int]
"""Answers by kind, as :class:`Diagnosis` has them."""


def _form(counts: Counts) -> int:
    """The answers that are none of those that the task allows."""
    return sum(counts.get(kind, 0) for kind in OF_FORM)


def _mistakes(counts: Counts) -> int:
    return sum(counts.values()) - counts.get(RIGHT, 0)


def mostly_form(counts: Counts, also: tuple[str, ...] = _NO_ANSWER) -> bool:
    """Return whether most mistakes say nothing about what a model knows: of form, or of a further kind."""
    none = _form(counts) + sum(counts.get(kind, 0) for kind in also)
    return none >= FORM_LEAST and none >= FORM_SHARE * _mistakes(counts)


def _many(counts: Counts, kind: str) -> bool:
    """Whether so many answers are of a kind that it is no accident."""
    count = counts.get(kind, 0)
    return count >= NO_ANSWER_LEAST and count >= NO_ANSWER_SHARE * sum(counts.values())


def form_first(diagnosis: Diagnosis) -> Advice | None:
    """Return what mends most of the candidate's mistakes, where they say nothing of what it knows."""
    counts = diagnosis.candidate or {}
    if not mostly_form(counts):
        return None
    mended = {
        _ask_as_trained(counts): _form(counts),
        _raise_limit("candidate", counts): counts.get("cut_off", 0),
        _ask_again(counts): counts.get("missing", 0),
    }
    if not _many(diagnosis.baseline, "refusal"):  # else it is the base model that refuses
        mended[_candidate_refuses(counts)] = counts.get("refusal", 0)
    worst = max(mended, key=lambda advice: mended[advice])
    return worst if mended[worst] else None


def form_advice(diagnosis: Diagnosis) -> Iterator[Advice]:
    """Yield all that answers which say nothing suggest."""
    before, after = diagnosis.baseline, diagnosis.candidate or {}
    if mostly_form(before, ()):  # which an instruction may mend without any training
        what = "every possible label" if diagnosis.labels else "what it has to be"
        text = f"Tell the baseline the form of an answer: {what}, nothing else, an example or two; "
        yield Advice("better_prompt", f"{text}or constrain it with response_format.", _of_form("baseline", before))
    if mostly_form(after, ()):  # a model that misses the form it was trained on is likely asked in another way
        yield _ask_as_trained(after)
    for role, counts in (("baseline", before), ("candidate", after)):
        if _many(counts, "cut_off"):
            yield _raise_limit(role, counts)
    yield from _refusals(before, after)
    if _many(after, "missing"):
        yield _ask_again(after)


def _refusals(before: Counts, after: Counts) -> Iterator[Advice]:
    """One model refuses what the other answers, or training did not end the refusals."""
    if _many(before, "refusal") and _many(after, "refusal"):
        text = "Try a base model that takes on this task: training on it did not end the refusals."
        fact = f"the baseline refuses {before['refusal']:,} answers, the candidate {after['refusal']:,}"
        yield Advice("another_model", text, fact)
    elif _many(before, "refusal"):
        text = "Tell the baseline what the task is for, and what to answer where it hesitates."
        yield Advice("better_prompt", text, f"the baseline refuses {_share_of(before, 'refusal')}")
    elif _many(after, "refusal"):
        yield _candidate_refuses(after)


def _ask_as_trained(counts: Counts) -> Advice:
    text = "Ask the candidate as it was trained: with the system message and the template of its training rows."
    return Advice("better_prompt", text, _of_form("candidate", counts))


def _raise_limit(role: str, counts: Counts) -> Advice:
    text = f"Raise max_completion_tokens (or max_tokens) of the {role}, or ask for shorter answers."
    return Advice("better_prompt", text, f"{_share_of(counts, 'cut_off')} of the {role} are cut off")


def _candidate_refuses(counts: Counts) -> Advice:
    text = "Ask the candidate as it was trained, and look for refusals among the outputs of its training rows."
    return Advice("better_prompt", text, f"the candidate refuses {_share_of(counts, 'refusal')}")


def _ask_again(counts: Counts) -> Advice:
    text = "Ask again, and look at the endpoint of the candidate: a missing answer counts as a wrong one here."
    return Advice("measure_again", text, f"{_share_of(counts, 'missing')} of the candidate are missing")


def _share_of(counts: Counts, kind: str) -> str:
    return f"{counts.get(kind, 0):,} of {plural(sum(counts.values()), 'answer')}"


def _of_form(role: str, counts: Counts) -> str:
    mistakes, form = _mistakes(counts), _form(counts)
    many = f"all {mistakes:,}" if form == mistakes else f"{form:,} of {mistakes:,}"
    return f"{many} mistakes of the {role} are of form"
