"""The list of all rules, in the order in which a report shows their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pytest_ftgate.checks import (
    advantage,
    alternatives,
    answers,
    attempts,
    baseline_form,
    baseline_quality,
    constant_baseline,
    economics,
    form,
    freshness,
    gain,
    goal,
    guards,
    hypothesis,
    identical_outputs,
    judging,
    knowledge,
    match,
    normalization,
    prompt_leak,
    prompt_mismatch,
    ready,
    slices,
    test_set,
    thresholds,
    training_set,
)
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.result import Check, error_check

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

Stage = Literal["free", "answered", "scored"]
"""When a rule is checked: before any model is called, after all models answered, or after all answers are scored."""


class Rule(NamedTuple):
    """Hold one rule: its stage, its checks, and the facts that it adds to the result before its stage is checked."""

    stage: Stage
    check: Callable[[Context], Iterable[Check]]
    facts: Callable[[Context], Mapping[str, Any]] | None = None


RULES: tuple[Rule, ...] = (
    Rule("free", test_set.check_format),
    Rule("free", training_set.check),
    Rule("free", attempts.check),
    Rule("free", goal.check),
    Rule("free", prompt_leak.check),
    Rule("free", prompt_mismatch.check),
    Rule("free", test_set.check_size),
    Rule("free", form.check),
    Rule("free", test_set.check_reach),
    Rule("free", match.check_reach),
    Rule("free", advantage.check_free),
    Rule("free", economics.check_free),
    Rule("free", thresholds.check_free),
    Rule("free", baseline_quality.check),
    Rule("free", thresholds.check_sampled),
    Rule("free", slices.check_sizes),
    Rule("free", judging.check),
    Rule("free", guards.check_free),
    Rule("free", freshness.base_changed),
    Rule("answered", answers.check_complete),
    Rule("answered", answers.check_retries),
    Rule("answered", thresholds.check_samples),
    Rule("scored", normalization.check),  # first: where form decides, all that follows only measures form
    Rule("scored", baseline_form.check),
    Rule("scored", constant_baseline.check),
    Rule("scored", hypothesis.check),
    Rule("scored", identical_outputs.check),
    Rule("scored", gain.check, gain.facts),
    Rule("scored", ready.check),
    Rule("scored", advantage.check),
    Rule("scored", thresholds.check),
    Rule("scored", economics.check, economics.facts),
    Rule("scored", answers.check, answers.facts),
    Rule("scored", knowledge.check, knowledge.facts),
    Rule("scored", alternatives.check),
    Rule("scored", slices.check, slices.facts),
    Rule("answered", guards.check, guards.facts),
    Rule("answered", freshness.max_age),
)


def check(gate: Context, *stages: Stage) -> list[Check]:
    """Return the checks of all rules of these stages. A rule that raises becomes an error."""
    checks: list[Check] = []
    for rule in RULES:
        if rule.stage in stages:
            try:
                checks += list(rule.check(gate))
            except FtgateError as error:
                checks.append(error_check(error))
    return checks


def with_facts(gate: Context, *stages: Stage) -> Context:
    """Add the facts of all rules of these stages to the result. A rule that raises becomes an error."""
    for rule in RULES:
        if rule.stage in stages and rule.facts is not None:
            try:
                gate = gate.with_facts(**rule.facts(gate))
            except FtgateError as error:
                gate = gate.with_checks([error_check(error)])
    return gate
