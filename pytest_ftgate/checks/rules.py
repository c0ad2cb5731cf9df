"""The table of all rules: when each is checked, and of which gates, in the order of reports."""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from pytest_ftgate import errors, result
from pytest_ftgate.check_names import Stage
from pytest_ftgate.checks import (
    agreement,
    alternatives,
    answers,
    baseline_quality,
    constant_baseline,
    context,
    economics,
    findings,
    form,
    freshness,
    gain,
    goal,
    identical_outputs,
    judging,
    losses,
    match,
    more_data,
    prompt_leak,
    prompt_mismatch,
    ready,
    test_set,
    thresholds,
    unlabeled,
)


class Rule(NamedTuple):
    """Hold one rule, which sees what was measured, and nothing that other rules found.

    Attributes:
        stage: when it is checked.
        of_stage: the only stage of gates that it is for.
        asked_by: the only key that asks for the gain of gates that it is for.
    """

    stage: Stage
    check: Callable[[context.Context], context.Found | Iterable[context.Finding]]
    of_stage: Literal["accept", "ready", None] = None
    asked_by: Literal["margin", "max_drop", None] = None


RULES: tuple[Rule, ...] = (
    Rule("free", test_set.check_format),
    Rule("free", findings.check),
    Rule("free", lambda gate: gate.attempt.check_number() if gate.attempt else (), "accept"),
    Rule("free", goal.check),
    Rule("free", prompt_leak.check, "accept"),
    Rule("free", prompt_mismatch.check, "accept"),
    Rule("free", test_set.check_size),
    Rule("free", judging.check_free, "accept"),
    Rule("free", form.check_free),
    Rule("free", test_set.check_reach),
    Rule("free", match.check_absent),
    Rule("free", match.check_reach),
    Rule("free", match.check_free, asked_by="max_drop"),
    Rule("free", agreement.check_free, "accept"),
    Rule("free", economics.check_free),
    Rule("free", thresholds.check_free, "accept"),
    Rule("free", baseline_quality.check),
    Rule("free", thresholds.check_sampled, "accept"),
    Rule("free", losses.check_free),
    Rule("answered", answers.check_complete),
    Rule("answered", answers.check_retries),
    Rule("answered", thresholds.check_samples),
    Rule("scored", answers.check_order),
    Rule("scored", unlabeled.check, "accept"),
    Rule("scored", form.check, "accept"),
    Rule("scored", constant_baseline.check),
    Rule("scored", ready.check_hypothesis),
    Rule("scored", baseline_quality.check_best, "accept"),
    Rule("scored", identical_outputs.check, "accept"),
    Rule("scored", ready.check_room, "accept"),
    Rule("scored", more_data.check, "accept"),
    Rule("scored", gain.check, "accept"),
    Rule("scored", agreement.check, "accept"),
    Rule("scored", check=judging.check, of_stage="accept", asked_by="margin"),
    Rule("scored", judging.check_length, "accept"),
    Rule("scored", check=ready.check, of_stage="ready", asked_by="margin"),
    Rule("scored", check=match.check, of_stage="accept", asked_by="max_drop"),
    Rule("scored", check=match.check_headroom, of_stage="ready", asked_by="max_drop"),
    Rule("scored", thresholds.check, "accept"),
    Rule("scored", economics.check),
    Rule("scored", alternatives.check_knowledge, "accept"),
    Rule("scored", check=alternatives.check_examples, of_stage="accept", asked_by="margin"),
    Rule("scored", losses.check_fields, "accept"),
    Rule("answered", losses.check_others),
    Rule("answered", freshness.max_age),
)


def check(gate: context.Context, *stages: Stage) -> context.Context:
    """Return the gate with what all rules of these stages find.

    A rule that raises becomes an error.
    """
    config = gate.config
    for rule in RULES:
        if rule.stage not in stages or rule.of_stage not in (None, config.stage):
            continue
        if rule.asked_by not in (None, config.asked_by):
            continue
        try:
            findings = rule.check(gate)
            if not isinstance(findings, context.Found):
                findings = context.Found({}, findings)
            # Findings are often generators, so that a rule may still fail here.
            gate = gate.with_found(findings)
        except errors.FtgateError as error:
            gate = gate.with_checks([result.error_check(error)])
    return gate
