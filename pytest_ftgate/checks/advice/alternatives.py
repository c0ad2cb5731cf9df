"""Advice on what there is beside this fine-tune: a better prompt, another model, none at all."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_ftgate.checks.advice.facts import Facts, mostly_form
from pytest_ftgate.checks.advice.form import many
from pytest_ftgate.checks.knowledge import RAG, recalled_fact, smells_of_knowledge
from pytest_ftgate.result import Advice
from pytest_ftgate.text import is_share, plural, show_amount, show_difference

BOTH_WRONG_LEAST = 10
BOTH_WRONG_SHARE = 0.8


def enough_without(facts: Facts) -> Iterator[Advice]:
    """Examples in the prompt bring most of what training brings."""
    for check in facts.said("alternative_closes_gap"):
        yield Advice("better_prompt", check.advice or "", check.message)


def weak_prompt(facts: Facts) -> Iterator[Advice]:
    """A baseline that is no standard."""
    for check in facts.red("weak_baseline"):
        yield Advice("better_prompt", check.advice or "Write a better prompt.", check.message)


def no_prompt(facts: Facts) -> Iterator[Advice]:
    """A baseline that nobody tried to make good."""
    for check in facts.said("baseline_prompt"):
        yield Advice("better_prompt", check.advice or "", check.message)


def baseline_bounds(facts: Facts) -> Iterator[Advice]:
    """What the gate requires of the baseline itself."""
    for check in facts.red("require.baseline."):
        yield Advice("better_prompt", "Give the baseline another prompt, or take another one.", check.message)


def retrieval(facts: Facts) -> Iterator[Advice]:
    """The goal is knowledge, or the gain is."""
    for check in facts.goal("knowledge"):
        yield Advice("retrieval", check.advice or "", check.message)
    if smells_of_knowledge(facts.diagnosis):
        yield Advice("retrieval", RAG, recalled_fact(facts.diagnosis))


def other_goal(facts: Facts) -> Iterator[Advice]:
    """What no training brings."""
    for check in facts.goal("reasoning", "new_modality"):
        yield Advice("another_model", check.advice or "", check.message)


def both_wrong(facts: Facts) -> Iterator[Advice]:
    """What this base model cannot do, prompted or trained; a prompted one that misses the form has not shown that."""
    both, broken = facts.diagnosis.wrong_in_both or 0, len(facts.diagnosis.broken)
    wrong = both + broken
    if not any(facts.red("margin")) or mostly_form(facts.diagnosis.baseline):
        return
    if both >= BOTH_WRONG_LEAST and both >= BOTH_WRONG_SHARE * wrong:
        yield Advice(
            "another_model",
            "Try a more capable base model, prompted first.",
            f"{'all' if not broken else f'{both:,} of'} {plural(wrong, 'example')} that the candidate gets wrong are "
            "the prompt's mistakes, too",
        )


def both_refuse(facts: Facts) -> Iterator[Advice]:
    """Training did not end the refusals."""
    before, after = facts.diagnosis.baseline, facts.candidate
    if many(before, "refusal") and many(after, "refusal"):
        yield Advice(
            "another_model",
            "Try a base model that takes on this task: training on it did not end the refusals.",
            f"the baseline refuses {before['refusal']:,} answers, the candidate {after['refusal']:,}",
        )


# --- stop ----------------------------------------------------------------------------------------------------


def no_reason_to_train(facts: Facts) -> Iterator[Advice]:
    """The goal is none for training, or there is nothing to gain."""
    for check in (*facts.goal("one_off", "safety"), *facts.red("room")):
        yield Advice("stop", check.advice or "", check.message)


def out_of_reach(facts: Facts) -> Iterator[Advice]:
    """The real gain is surely below the margin, so that more of the same cannot be expected to pass."""
    result, margin = facts.result, facts.result.margin
    if not any(facts.red("margin")) or margin is None or not facts.surely_below(margin):
        return
    share, lower = is_share(result.metric_range), result.lower_bound
    asked = show_amount(margin, share=share)
    sure = f"{100 * (result.confidence or 0):g} % sure that the real gain is at most "
    fact = f"{sure}{show_difference(result.upper_bound, share=share)}, below the margin of {asked}"
    if lower is None or lower <= 0:
        yield Advice("stop", "Drop this fine-tune, and keep the prompt.", fact)
        return
    text = (
        f"It is surely better, by at least {show_difference(lower, share=share).removeprefix('+')}, and cannot be "
        f"expected to reach {asked}: ask whether it must, or drop it."
    )
    yield Advice("stop", text, fact)


def lost_too_much(facts: Facts) -> Iterator[Advice]:
    """Equal but cheaper: it is surely worse than it may be."""
    result, most = facts.result, facts.result.max_drop
    if not any(facts.red("max_drop")) or most is None or result.upper_bound is None or not facts.surely_below(-most):
        return
    share = is_share(result.metric_range)
    worse = show_difference(-result.upper_bound, share=share).removeprefix("+")
    yield Advice(
        "stop",
        "Keep the larger model: this one gives up more than the gate allows.",
        f"{100 * (result.confidence or 0):g} % sure that it is worse by at least {worse}, and "
        f"{show_amount(most, share=share)} are allowed",
    )
