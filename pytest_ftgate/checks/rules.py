"""The table of all rules: when each is checked, and of which gates, in the order in which reports show the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from pytest_ftgate.checks import (
    alternatives,
    answers,
    attempts,
    baseline_quality,
    constant_baseline,
    economics,
    form,
    freshness,
    gain,
    goal,
    identical_outputs,
    judging,
    knowledge,
    losses,
    match,
    prompt_leak,
    prompt_mismatch,
    ready,
    test_set,
    thresholds,
)
from pytest_ftgate.checks.audit import findings
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.result import Check, error_check

Stage = Literal["free", "answered", "scored"]
"""When a rule is checked: before any model is called, after all models answered, or after all answers are scored."""

Need = Literal["accept", "ready", "margin", "max_drop"]
"""What a rule needs of a gate: that its candidate is judged or not yet trained, or the key that asks for the gain."""


class Rule(NamedTuple):
    """Hold one rule: when it is checked, and what it needs of a gate; it is left out for all others.

    It sees the facts and checks of the rules before it.
    """

    stage: Stage
    check: Callable[[Context], Found | Iterable[Check]]
    needs: frozenset[Need] = frozenset()


def _rule(stage: Stage, check: Callable[[Context], Found | Iterable[Check]], *needs: Need) -> Rule:
    return Rule(stage, check, frozenset(needs))


RULES: tuple[Rule, ...] = (
    _rule("free", test_set.check_format),
    _rule("free", findings.check),
    _rule("free", attempts.check, "accept"),
    _rule("free", goal.check),
    _rule("free", prompt_leak.check, "accept"),
    _rule("free", prompt_mismatch.check, "accept"),
    _rule("free", test_set.check_size),
    _rule("free", form.check_free),
    _rule("free", test_set.check_reach),
    _rule("free", match.check_absent),
    _rule("free", match.check_reach),
    _rule("free", match.check_free, "max_drop"),
    _rule("free", economics.check_free),
    _rule("free", thresholds.check_free, "accept"),
    _rule("free", baseline_quality.check_prompts),
    _rule("free", baseline_quality.check_pairs, "accept"),
    _rule("free", thresholds.check_sampled, "accept"),
    _rule("free", judging.check),
    _rule("free", losses.check_free),
    _rule("free", freshness.base_changed),
    _rule("answered", answers.check_complete),
    _rule("answered", answers.check_retries),
    _rule("answered", attempts.check_again, "accept"),
    _rule("answered", thresholds.check_samples),
    _rule("scored", knowledge.diagnosis),  # the advice of others rests on it
    _rule("scored", form.check, "accept"),  # where form decides, all that follows only measures form
    _rule("scored", constant_baseline.check),
    _rule("scored", ready.check_hypothesis),
    _rule("scored", identical_outputs.check, "accept"),
    _rule("scored", gain.check, "accept"),
    _rule("scored", ready.check, "ready", "margin"),
    _rule("scored", match.check, "accept", "max_drop"),
    _rule("scored", match.check_headroom, "ready", "max_drop"),
    _rule("scored", thresholds.check, "accept"),
    _rule("scored", economics.check),
    _rule("scored", answers.check),
    _rule("scored", knowledge.check, "accept"),
    _rule("scored", alternatives.check, "accept", "margin"),
    _rule("scored", losses.check_fields, "accept"),
    _rule("answered", losses.check_others),
    _rule("answered", freshness.max_age),
)


def check(gate: Context, *stages: Stage) -> Context:
    """Return the gate with what all rules of these stages find. A rule that raises becomes an error."""
    given = {gate.config.stage, gate.config.asked_by}
    for rule in RULES:
        if rule.stage in stages and rule.needs <= given:
            try:
                found = rule.check(gate)
                gate = gate.with_found(found if isinstance(found, Found) else Found({}, found))
            except FtgateError as error:
                gate = gate.with_checks([error_check(error)])
    return gate
