"""The free checks: training set, test set, and what the models are, judged before anything is paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks import (
    baseline_quality as straw_man,
)
from pytest_ftgate.checks import (
    bounds,
    goal,
    hypothesis,
    match,
    prompt_leak,
    readiness,
    test_set,
)
from pytest_ftgate.checks.form import asked_of_candidate, form_alone_checks, format_checks
from pytest_ftgate.checks.training_set import rules as audit
from pytest_ftgate.judges import free_judging_checks
from pytest_ftgate.result import Check

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared


def free_checks(prepared: Prepared) -> list[Check]:
    """In the order in which a report shows them."""
    from pytest_ftgate.checks.guards import guard_checks
    from pytest_ftgate.checks.slices import slice_size_checks
    from pytest_ftgate.runs.latency import unsampled_checks

    config = prepared.config
    accepts = config.stage == "accept"  # else there is no candidate yet
    latencies = [*config.bounds, *(match.latency_bounds(config) if accepts else ())]
    return [
        *_training_checks(prepared),
        *(_tuning_checks(prepared) if accepts else ()),
        *_test_set_checks(prepared),
        *_match_checks(prepared),
        *_economics_checks(prepared),
        *bounds.unpriced_bound_checks(config.bounds, prepared.models),
        *_straw_man_checks(prepared),
        *unsampled_checks(latencies, prepared.models),
        *slice_size_checks(prepared.slices),
        *free_judging_checks(prepared.judging, prepared.metrics),
        *guard_checks(prepared.guards, prepared.models, prepared.test, errors=config.errors),
    ]


def _training_checks(prepared: Prepared) -> list[Check]:
    """The training set, and what was planned with it."""
    config, training = prepared.config, prepared.training
    return [
        *audit.training_checks(config, prepared.audit, training, prepared.test),
        *goal.goal_checks(config),
        *hypothesis.required_checks(config),
        *readiness.free_readiness_checks(config, prepared.deciding, prepared.models, training),
    ]


def _tuning_checks(prepared: Prepared) -> list[Check]:
    """Whether the candidate was made of that training set, and its prompt of nothing else."""
    leaks = prompt_leak.prompt_leak_checks(prepared.config, prepared.models["candidate"], prepared.test)
    return [*leaks, *_job_checks(prepared)]


def _job_checks(prepared: Prepared) -> list[Check]:
    """What is looked at where the candidate is named by the job that made it."""
    from pytest_ftgate.checks.checkpoint import chosen_check, shared_check, unused_check
    from pytest_ftgate.checks.training_file import training_file_check

    config, checks = prepared.config, []
    if prepared.trained_on is not None:
        checks.append(training_file_check(config, prepared.training, prepared.trained_on, prepared.trained_on_content))
    if prepared.shared is not None:
        checks.append(shared_check(prepared.shared, len(prepared.test)))
    if config.validation_set is not None and prepared.contest is None:
        checks.append(unused_check(config))
    chosen = chosen_check(prepared.tuned["candidate"], config) if "candidate" in prepared.tuned else None
    return [*checks, chosen] if chosen else checks


def _test_set_checks(prepared: Prepared) -> list[Check]:
    """Whether the test set and the metrics can tell what is asked for."""
    config, test, metrics = prepared.config, prepared.test, prepared.metrics
    return [
        test_set.size_check(config, len(test)),
        *test_set.limit_checks(config),
        *format_checks(metrics, test),
        *form_alone_checks(prepared.deciding, asked_of_candidate(config.require, metrics)),
        *_reach_checks(prepared),
    ]


def _reach_checks(prepared: Prepared) -> list[Check]:
    """Whether so many examples, or groups of them, can be evidence at all."""
    from pytest_ftgate.statistics import MIN_GROUPS, effective_groups, fewest_wins, group_codes, group_sizes

    config, n = prepared.config, len(prepared.test)
    groups = group_codes(prepared.groups, n)
    if groups is not None and config.evidence != "observed":
        sizes = group_sizes(groups)
        few = test_set.groups_check(config, len(sizes), effective_groups(sizes), MIN_GROUPS)
        return [few] if few else []
    if config.objective == "beat" and prepared.deciding.kind == "right_wrong" and config.repeats == 1 and n:
        wins = fewest_wins(n, margin=config.asked_gain, confidence=config.confidence, evidence=config.evidence)
        return [test_set.reach_check(config, n, wins)]
    return []


def _match_checks(prepared: Prepared) -> list[Check]:
    config, n = prepared.config, len(prepared.test)
    if config.objective != "match":
        return []
    return match.free_match_checks(config, prepared.deciding, n, prepared.models, grouped=prepared.grouped)


def _economics_checks(prepared: Prepared) -> list[Check]:
    from pytest_ftgate.checks.economics import free_economics_checks

    return free_economics_checks(prepared.config.economics, prepared.models)


def _straw_man_checks(prepared: Prepared) -> list[Check]:
    """Whether the baseline is what would be used without the fine-tune, and as well prompted."""
    config, models, test = prepared.config, prepared.models, prepared.test
    accepts = config.stage == "accept"
    same = straw_man.same_model_checks(config, models, test) if accepts and prepared.contest is None else ()
    checks = [*same, *straw_man.prompt_checks(config, test)]
    if accepts:
        checks += straw_man.params_checks(config)
        checks += straw_man.swapped_checks(config)
        checks += straw_man.base_model_checks(config, prepared.tuned)
    return checks
