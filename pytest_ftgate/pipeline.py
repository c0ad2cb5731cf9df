"""The one use case: a configured gate in, a judged result out. Free checks first, then models, then judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.judgement import judge
from pytest_ftgate.preparation import Prepared, free_checks, prepare
from pytest_ftgate.result import (
    Check,
    GateResult,
    ModelResult,
    TestSetResult,
    TrainingResult,
    closed,
    failed_result,
    verdict_of,
)

if TYPE_CHECKING:
    from pytest_ftgate.budget import Budget
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.runner import Progress, Run, Stores


class Display(Protocol):
    """Shows how far the models are, until it is wiped."""

    def __call__(self, progress: Progress) -> None: ...

    def wipe(self) -> None: ...


@dataclass(frozen=True)
class Services:
    """What a session lends to its gates.

    Attributes:
        stores: where predictions are kept.
        load: a data source and its origin to a data set; the session's copy where it was read before.
        hook: pluggy's hook callers, ``None`` outside pytest.
        offline: no endpoint may be called.
        progress: told how far the models are.
        tell: says something at the session's end that is no fact of a gate.
        budget: what may be spent in this session; ``None``: no limit.
    """

    stores: Stores
    load: Callable[[Any, str], DataSet]
    hook: Any | None = None
    offline: bool = False
    progress: Display | None = None
    tell: Callable[[str], None] | None = None
    budget: Budget | None = None


@dataclass(frozen=True)
class Judged:
    """A result, and what it rests on by role (empty where no model was called).

    Attributes:
        result: the facts.
        runs: of the models over the test set.
        samples: from which latencies are taken, where a model asks for one.
    """

    result: GateResult
    runs: Mapping[str, Run] = field(default_factory=dict)
    samples: Mapping[str, Run] = field(default_factory=dict)


def run_gate(config: GateConfig, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()) -> Judged:
    """Judge one gate. Everything that goes wrong in our or the models' hands becomes the verdict ``error``.

    Args:
        config: the gate's keys, merged and checked.
        services: what the session lends.
        nodeid: the test that asks, for the report.
        reviewed: what a look at the gate's own history has found; the first of the free checks.
    """
    result = replace(_described(config, nodeid), checks=reviewed)
    try:
        prepared = prepare(
            config,
            services.load,
            services.hook,
            notes=services.stores.notes,
            offline=services.offline,
            newer_than=services.stores.newer_than,
        )
        result = _with_data(result, prepared)
        free = (*reviewed, *free_checks(prepared))
    except FtgateError as error:
        return Judged(failed_result(result, error))
    if verdict_of(free) != "pass":
        unpaid = Check("models", "note", "no model was called: the free checks come first")
        return Judged(closed(result, (*free, unpaid)))
    result = replace(result, models_called=True)
    try:
        runs, samples = _run(prepared, services)
    except FtgateError as error:
        return Judged(failed_result(replace(result, checks=free), error))
    return Judged(judge(result, prepared, free, runs, samples), runs, samples)


def _described(config: GateConfig, nodeid: str) -> GateResult:
    baselines = {role: ModelResult(spec.name, spec.spelling) for role, spec in config.baselines.items()}
    return GateResult(
        name=config.name,
        nodeid=nodeid,
        verdict="error",
        metric=config.metric.name,
        margin=config.margin,
        objective=config.objective,
        max_drop=config.max_drop,
        evidence=config.evidence,
        confidence=config.confidence,
        baseline=next(iter(baselines.values())),
        baselines=baselines,
        candidate=ModelResult(config.candidate.name, config.candidate.spelling),
        hypothesis=config.hypothesis,
        gate=config.gate,
    )


def _with_data(result: GateResult, prepared: Prepared) -> GateResult:
    audit, test, metric = prepared.audit, prepared.test, prepared.deciding
    return replace(
        result,
        training=TrainingResult(
            audit.path,
            audit.sha256,
            audit.rows,
            audit.usable,
            audit.duplicates,
            audit.conflicts,
            audit.leaked,
        ),
        test_set=TestSetResult(test.path, test.sha256, len(test)),
        metric_range=(metric.low, metric.high),
    )


def _run(prepared: Prepared, services: Services) -> tuple[dict[str, Run], dict[str, Run]]:
    """The models over the test set, and before that the samples of latencies, by role."""
    from pytest_ftgate.latency import take_samples
    from pytest_ftgate.runner import Job, TimeLimit, run_models

    config = prepared.config
    _warm_up(prepared.metrics.values())
    jobs = [Job(model, prepared.test, config.repeats) for model in prepared.models.values()]
    options: dict[str, Any] = {
        "stores": services.stores,
        "offline": services.offline,
        "progress": services.progress,
        "budget": services.budget,
    }
    if config.timeout_s is not None:
        options["limit"] = TimeLimit.from_now(config.timeout_s, str(config.sources["timeout_s"]))
    try:
        samples = take_samples(prepared.models, prepared.test, **options)
        runs = run_models(jobs, **options)
    finally:
        if services.progress is not None:
            services.progress.wipe()
        _tell_unfinished(prepared.models.values(), services)
    return dict(zip(prepared.models, runs, strict=True)), samples


def _tell_unfinished(models: Iterable[Model], services: Services) -> None:
    """Say what goes on at an endpoint although the run has ended: by Ctrl-C, a fatal error, or out of patience."""
    unfinished = [getattr(model, "unfinished", None) for model in models]
    for text in unfinished:
        if services.tell is not None and isinstance(text, str):
            services.tell(text)


def _warm_up(metrics: Iterable[Metric]) -> None:
    """Load what scoring needs, which takes a second, while the network is being waited for."""
    modules = ["scipy.special", *(["sklearn.metrics"] if any(metric.kind == "set" for metric in metrics) else [])]
    Thread(target=lambda: [import_module(module) for module in modules], daemon=True).start()
