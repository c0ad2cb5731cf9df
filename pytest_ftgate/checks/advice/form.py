"""Advice on answers that say nothing: of another form, cut off, refused, missing. No training mends these best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_ftgate.checks.advice.facts import FORM_LEAST, FORM_SHARE, Facts, form_in, mistakes_in, mostly_form
from pytest_ftgate.result import Advice
from pytest_ftgate.text import plural

NO_ANSWER_LEAST = 3
NO_ANSWER_SHARE = 0.1


def form_first(facts: Facts) -> Iterator[Advice]:
    """What mends most of the candidate's mistakes, where they say nothing of what it knows."""
    counts = facts.candidate
    if not mostly_form(counts):
        return
    found = {_candidate_form(counts): form_in(counts), _cut_off("candidate", counts): counts.get("cut_off", 0)}
    found[_missing(counts)] = counts.get("missing", 0)
    if not many(facts.diagnosis.baseline, "refusal"):  # else it is the base model that refuses
        found[_candidate_refuses(counts)] = counts.get("refusal", 0)
    worst = max(found, key=lambda advice: found[advice])
    if found[worst]:
        yield worst


def candidate_form(facts: Facts) -> Iterator[Advice]:
    """A fine-tuned model that misses the form it was trained on is likely asked in another way than in training."""
    if _misses_form(facts.candidate):
        yield _candidate_form(facts.candidate)


def baseline_form(facts: Facts) -> Iterator[Advice]:
    """What the baseline gets wrong is mostly form, which an instruction may mend without any training."""
    if _misses_form(facts.diagnosis.baseline):
        yield Advice(
            "better_prompt",
            f"Tell the baseline the form of an answer: {_what(facts)}, nothing else, an example or two; "
            "or constrain it with response_format.",
            _of_form("baseline", facts.diagnosis.baseline),
        )


def cut_off(facts: Facts) -> Iterator[Advice]:
    """Answers that ran into the length limit."""
    for role, counts in (("baseline", facts.diagnosis.baseline), ("candidate", facts.candidate)):
        if many(counts, "cut_off"):
            yield _cut_off(role, counts)


def refusals(facts: Facts) -> Iterator[Advice]:
    """One model refuses what the other answers."""
    before, after = facts.diagnosis.baseline, facts.candidate
    if many(before, "refusal") and not many(after, "refusal"):
        yield Advice(
            "better_prompt",
            "Tell the baseline what the task is for, and what to answer where it hesitates.",
            f"the baseline refuses {_share_of(before, 'refusal')}",
        )
    if many(after, "refusal") and not many(before, "refusal"):
        yield _candidate_refuses(after)


def missing(facts: Facts) -> Iterator[Advice]:
    """Answers that never arrived, and were scored as wrong."""
    if many(facts.candidate, "missing"):
        yield _missing(facts.candidate)


def many(counts: Mapping[str, int], kind: str) -> bool:
    """Whether so many answers are of a kind that it is no accident."""
    count = counts.get(kind, 0)
    return count >= NO_ANSWER_LEAST and count >= NO_ANSWER_SHARE * sum(counts.values())


def _candidate_form(counts: Mapping[str, int]) -> Advice:
    return Advice(
        "better_prompt",
        "Ask the candidate as it was trained: with the system message and the template of its training rows.",
        _of_form("candidate", counts),
    )


def _cut_off(role: str, counts: Mapping[str, int]) -> Advice:
    return Advice(
        "better_prompt",
        f"Raise max_completion_tokens (or max_tokens) of the {role}, or ask for shorter answers.",
        f"{_share_of(counts, 'cut_off')} of the {role} are cut off",
    )


def _candidate_refuses(counts: Mapping[str, int]) -> Advice:
    return Advice(
        "better_prompt",
        "Ask the candidate as it was trained, and look for refusals among the outputs of its training rows.",
        f"the candidate refuses {_share_of(counts, 'refusal')}",
    )


def _missing(counts: Mapping[str, int]) -> Advice:
    return Advice(
        "measure_again",
        "Ask again, and look at the endpoint of the candidate: a missing answer counts as a wrong one here.",
        f"{_share_of(counts, 'missing')} of the candidate are missing",
    )


def _share_of(counts: Mapping[str, int], kind: str) -> str:
    return f"{counts.get(kind, 0):,} of {plural(sum(counts.values()), 'answer')}"


def _what(facts: Facts) -> str:
    return "every possible label" if facts.diagnosis.labels else "what it has to be"


def _misses_form(counts: Mapping[str, int]) -> bool:
    return form_in(counts) >= FORM_LEAST and form_in(counts) >= FORM_SHARE * mistakes_in(counts)


def _of_form(role: str, counts: Mapping[str, int]) -> str:
    mistakes, form = mistakes_in(counts), form_in(counts)
    if form == mistakes:
        return f"all {mistakes:,} mistakes of the {role} are of form"
    return f"{form:,} of {mistakes:,} mistakes of the {role} are of form"
