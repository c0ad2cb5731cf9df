"""The checkpoints of the candidate's job, where the gate's own validation set has to find the best of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import baseline_quality as straw_man
from pytest_ftgate.checks.context import Prepared
from pytest_ftgate.gate.metrics import build_metrics
from pytest_ftgate.result import Check

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.gate.checkpoints import Contest
    from pytest_ftgate.models import Surroundings


def find_contest(
    config: GateConfig,
    load: Callable[[Any, str], DataSet],
    training: DataSet,
    surroundings: Surroundings,
    hook: Any | None,
) -> Contest | None:
    """The candidate's checkpoints, where the gate's own validation set has to find the best."""
    from pytest_ftgate.checks.training_set import check_test_set
    from pytest_ftgate.gate.checkpoints import Contest
    from pytest_ftgate.metrics.judged import refuse_judged
    from pytest_ftgate.models import build_model
    from pytest_ftgate.models.openai_api.tuning import contenders, has_job

    spec = config.candidate
    best = has_job(spec) and spec.options.get("checkpoint") == "best"
    if config.stage == "ready" or config.validation_set is None or not best:
        return None
    validation = load(config.validation_set, config.sources["validation_set"].at)
    check_test_set(validation)
    metric = build_metrics(config, validation, training, hook)[config.metric.name]
    refuse_judged(metric, "what checkpoint: best is chosen by", source=str(config.sources["metric"]))
    tuned = contenders(spec, surroundings)
    models = tuple(build_model(one.spec, surroundings, hook) for one in tuned)
    return Contest(validation, metric, tuned, models)


def with_winner(prepared: Prepared, best: int, chosen_by: str) -> tuple[Prepared, list[Check]]:
    """The checkpoint that is the candidate from here on, and what could not be looked at before.

    Args:
        prepared: with a contest.
        best: the index of its winner.
        chosen_by: by what it won, in words.
    """
    from pytest_ftgate.checks.checkpoint import chosen_check

    contest = prepared.contest
    assert contest is not None
    winner = replace(contest.tuned[best], chosen_by=chosen_by)
    prepared = replace(
        prepared,
        models={**prepared.models, "candidate": contest.models[best]},
        tuned={**prepared.tuned, "candidate": winner},
        contest=None,
    )
    chosen = chosen_check(winner, prepared.config)
    same = straw_man.same_model_checks(prepared.config, prepared.models, prepared.test)
    return prepared, [*([chosen] if chosen else []), *same]
