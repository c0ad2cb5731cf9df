"""What to do about a gate that is not green: each advice from a fact, in the order in which things are worth trying.

Where a threshold comes from stands in ``docs/advice.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pytest_ftgate.checks.advice import alternatives, form, terms, training
from pytest_ftgate.checks.advice.facts import Facts
from pytest_ftgate.result import Advice, Check, Diagnosis, GateResult


@dataclass(frozen=True)
class Rule:
    """One advice, and when its fact concerns what the gate failed for."""

    find: Callable[[Facts], Iterator[Advice]]
    concerns: Callable[[Facts], bool]


def _always(_: Facts) -> bool:
    return True


def _lost(facts: Facts) -> bool:
    return facts.lost


def _measured(facts: Facts) -> bool:
    return facts.lost and not facts.unmeasured


def _taught(facts: Facts) -> bool:
    return facts.taught


def _lost_or_unpaid(facts: Facts) -> bool:
    return facts.lost or facts.unpaid


RULES = (
    Rule(terms.nothing_measured, _lost),
    Rule(form.form_first, _measured),
    Rule(terms.unfit_judge, _always),
    Rule(terms.out_of_date, _always),
    Rule(terms.failing_endpoint, _always),
    Rule(form.missing, _lost),
    Rule(alternatives.enough_without, _lost),
    Rule(training.unfit_data, _always),
    Rule(training.contradictions, _lost_or_unpaid),
    Rule(training.collapsed, _taught),
    Rule(training.learned_confusion, _taught),
    Rule(training.broken_examples, _taught),
    Rule(training.below_a_bound, _taught),
    Rule(training.too_few_training_examples, _always),
    Rule(training.thin_labels, _taught),
    Rule(training.half_way, _taught),
    Rule(training.too_few_test_examples, _measured),
    Rule(training.small_test_set, _always),
    Rule(training.lost_elsewhere, _always),
    Rule(terms.form_bound, _always),
    Rule(alternatives.weak_prompt, _always),
    Rule(alternatives.baseline_bounds, _always),
    Rule(alternatives.no_prompt, _lost_or_unpaid),
    Rule(form.baseline_form, _lost),
    Rule(form.candidate_form, _lost),
    Rule(form.cut_off, _lost),
    Rule(form.refusals, _lost),
    Rule(alternatives.retrieval, _always),
    Rule(alternatives.other_goal, _always),
    Rule(alternatives.both_wrong, _taught),
    Rule(alternatives.both_refuse, _lost),
    Rule(terms.shutdowns, _always),
    Rule(terms.costs, _always),
    Rule(alternatives.no_reason_to_train, _always),
    Rule(alternatives.out_of_reach, _taught),
    Rule(alternatives.lost_too_much, _taught),
)
"""In the order of the actions: measure again, fix the data, add examples, better prompt, retrieval, another model, cut
costs, stop. Before all that comes what makes the answers tell anything: a fair measure, and their form."""


def advise(facts: Facts) -> tuple[Advice, ...]:
    """The advice for a gate, the first thing to try first; none for one that is green, or could not be judged."""
    if facts.result.verdict in ("pass", "error"):
        return ()
    found = [advice for rule in RULES if rule.concerns(facts) for advice in rule.find(facts)]
    return tuple(dict.fromkeys(found))


def before_dropping(result: GateResult, checks: tuple[Check, ...], diagnosis: Diagnosis | None) -> str | None:
    """What is to be done before a gain that is too small says anything against the candidate; else None.

    Args:
        result: not judged yet.
        checks: found so far.
        diagnosis: of the answers.
    """
    facts = Facts(replace(result, checks=checks, diagnosis=diagnosis), {})
    found = [*terms.nothing_measured(facts), *form.form_first(facts)]
    return found[0].text if found else None


def most_to_try(result: GateResult, most: int = 3) -> list[Advice]:
    """The first advice of each action, at most so many: for people, who do one thing after the other.

    None where it is one, and a check says the same word for word.
    """
    first: dict[str, Advice] = {}
    for one in result.advice:
        first.setdefault(one.action, one)
    shown = list(first.values())[:most]
    said = {(check.advice, check.message) for check in result.checks}
    return [] if len(shown) == 1 and (shown[0].text, shown[0].fact) in said else shown
