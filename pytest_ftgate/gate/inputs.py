"""Read the inputs of a gate without calling a model: data, metrics, models, and the records of fine-tuning jobs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_ftgate import clock
from pytest_ftgate.checks.attempts import find_attempt
from pytest_ftgate.checks.checkpoint import Shared
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.freshness import last_green
from pytest_ftgate.checks.guards import described as described_guard
from pytest_ftgate.checks.guards import prepare_guards
from pytest_ftgate.checks.slices import prepare_slices
from pytest_ftgate.checks.training_file import is_the_file
from pytest_ftgate.checks.training_set import (
    TrainingAudit,
    audit_training_set,
    check_test_set,
    grouped,
    leaked_rows,
    row_pairs,
)
from pytest_ftgate.errors import ModelError
from pytest_ftgate.gate.metrics import build_metrics, check_possible, custom_metrics, needs_expected
from pytest_ftgate.gate.state import Services
from pytest_ftgate.judges import Judging
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.models.openai_api.tuning import JobRecords, Tuned, contenders, has_job, settle
from pytest_ftgate.result import GateResult, ModelResult, TestSetResult, TrainingResult
from pytest_ftgate.runs.checkpoints import CheckpointSelection

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.models import Model

_ROWS_SHOWN = 5


def read_inputs(config: GateKeys, services: Services, nodeid: str) -> Context:
    """Read the data, and build metrics and models; with ``max_attempts`` for this attempt, on the examples that count.

    Raises:
        FtgateError: an input cannot be read or used.
    """
    gate = _read_inputs(config, services, nodeid)
    attempt = find_attempt(gate, services.jobs)
    if attempt is not None and attempt.most is not None:
        counted = services.reading(config.test_set, attempt.counted)
        gate = _read_inputs(attempt.config, counted, nodeid).with_facts(attempt=attempt.facts)
    return replace(gate, attempt=attempt)


def _read_inputs(config: GateKeys, services: Services, nodeid: str) -> Context:
    test = services.load(config.test_set, config.sources["test_set"].at, labeled=needs_expected(config))
    training = services.load(config.training_set, config.sources["training_set"].at)
    check_test_set(test)
    metrics = build_metrics(config, test, training, services.hook)
    check_possible(config, metrics)
    audit = (services.audit or audit_training_set)(training, test, max_tokens=config.audit.max_tokens)
    if audit.test_near_rows:
        test = grouped(test, audit.test_near_rows)
    notes, stores = services.notes(), services.stores
    surroundings = Surroundings(training, notes, services.offline, stores.newer_than, test)
    custom = partial(custom_metrics, services.hook)
    guards = prepare_guards(config, services.load, training, custom)
    slices = prepare_slices(config, test, training, metrics[config.decided_by.name], custom)
    checkpoints = _checkpoints(config, services, training, surroundings)
    built = build_models(config, checkpoints, surroundings, services.hook)
    judging = Judging()
    if any(metric.judged for metric in metrics.values()):
        from pytest_ftgate.judges.prepare import prepare_judging

        asked = _judged_models(config, built, checkpoints)
        judging = prepare_judging(config, test, metrics, asked, surroundings, services.hook)
    gate = Context(
        config,
        described(config, nodeid),
        test,
        training,
        audit,
        metrics,
        built.models,
        surroundings,
        notes,
        clock.wall(),
        tuned=built.tuned,
        checkpoints=checkpoints,
        guards=guards,
        slices=slices,
        judging=judging,
        last_green=last_green(config, nodeid, services.jobs, stores),
    )
    _check_templates(gate)
    if "candidate" in gate.tuned:
        gate = replace(_with_training_file(gate), shared=_shared_examples(gate))
    return with_input_facts(gate)


# --- facts of the result -----------------------------------------------------------------------------------------


def described(config: GateKeys, nodeid: str) -> GateResult:
    """Return the result of a gate before it is judged, with the verdict ``error``."""
    baselines = {role: ModelResult(spec.name, spec.spelling) for role, spec in config.baselines.items()}
    return GateResult(
        name=config.name,
        nodeid=nodeid,
        verdict="error",
        metric=config.decided_by.name,
        margin=config.margin,
        objective=config.objective,
        max_drop=config.max_drop,
        evidence=config.evidence,
        confidence=config.confidence,
        baseline=next(iter(baselines.values())),
        baselines=baselines,
        candidate=ModelResult(config.candidate.name, config.candidate.spelling if config.has_candidate else None),
        hypothesis=None if config.hypothesis is None else str(config.hypothesis),
        gate=config.gate,
        stage=config.stage,
    )


def with_input_facts(gate: Context) -> Context:
    """Add the facts of data and models that are known before any call."""
    test, metric, result = gate.test, gate.deciding, gate.result
    baselines = {role: gate.described(role, facts) for role, facts in result.baselines.items()}
    return gate.with_facts(
        training=_training_result(gate.audit, gate.test, gate.training),
        test_set=TestSetResult(test.path, test.sha256, len(test), row_pairs(test, test, gate.audit.test_near_rows)),
        metric_range=(metric.low, metric.high),
        guards=tuple(map(described_guard, gate.guards.values())),
        baselines=baselines,
        baseline=next(iter(baselines.values())),
        candidate=gate.described("candidate", result.candidate),
    )


def _training_result(audit: TrainingAudit, test: DataSet, training: DataSet) -> TrainingResult:
    return TrainingResult(
        audit.path,
        audit.sha256,
        audit.rows,
        audit.usable,
        audit.duplicates,
        audit.conflicts,
        audit.leaked,
        near_duplicates=len(audit.near_rows),
        leaked_near=audit.leaked_near,
        truncated=len(audit.unfinished),
        chat_errors=len(audit.chat_errors),
        too_long=len(audit.long_rows),
        imbalance=audit.labels.imbalance,
        suspicious=len(audit.doubts.rows),
        leaked_pairs=row_pairs(test, training, audit.leaked_rows),
        near_pairs=row_pairs(test, training, audit.leaked_near_rows),
    )


# --- models --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """Hold the models by role, their keys as they are called, and those that are named by a job."""

    models: Mapping[str, Model]
    specs: Mapping[str, ModelSpec]
    tuned: Mapping[str, Tuned]


def build_models(
    config: GateKeys, checkpoints: CheckpointSelection | None, surroundings: Surroundings, hook: Any | None
) -> Built:
    """Build each model; before the best checkpoint is chosen, the last one stands for the candidate."""
    settled = config.baselines if checkpoints else config.asked
    tuned = {role: settle(spec, surroundings) for role, spec in settled.items() if has_job(spec)}
    specs = {**settled, **{role: one.spec for role, one in tuned.items()}}
    models = {role: build_model(spec, surroundings, hook) for role, spec in specs.items()}
    if checkpoints:
        models["candidate"] = checkpoints.models[-1]
        tuned["candidate"] = Tuned(config.candidate, checkpoints.tuned[-1].job)
    return Built(models, specs, tuned)


def _check_templates(gate: Context) -> None:
    """Render each template for each row that it is used for.

    Raises:
        ConfigError: a placeholder names no field of a row, which would be sent with the placeholder in it.
    """
    asked = [gate.test, *(guard.test for guard in gate.guards.values())]
    asked += [gate.checkpoints.validation] if gate.checkpoints is not None else []
    for model in gate.models.values():
        if model.prompt is not None and model.prompt.template is not None:
            for example in (example for data in asked for example in data):
                model.prompt.messages(example)


def _judged_models(
    config: GateKeys, built: Built, checkpoints: CheckpointSelection | None
) -> dict[str, list[tuple[ModelSpec, Model | None]]]:
    """Return by role all models that may be judged, and so must not be a judge, including all checkpoints."""
    found: dict[str, list[tuple[ModelSpec, Model | None]]] = {
        role: [(built.specs.get(role, config.candidate), model)] for role, model in built.models.items()
    }
    steps = zip(checkpoints.tuned, checkpoints.models, strict=True) if checkpoints else ()
    others = [(config.candidate, None)] if config.has_candidate else []
    found["candidate"] = [*found.get("candidate", ()), *others, *((one.spec, model) for one, model in steps)]
    return found


def _checkpoints(
    config: GateKeys, services: Services, training: DataSet, surroundings: Surroundings
) -> CheckpointSelection | None:
    """Return the candidate's checkpoints if the best is to be chosen on the gate's validation set; else None."""
    spec = config.candidate
    best = has_job(spec) and spec.options.get("checkpoint") == "best"
    if config.validation_set is None or not best:
        return None
    from pytest_ftgate.metrics.judged import refuse_judged

    validation = services.load(config.validation_set, config.sources["validation_set"].at)
    check_test_set(validation)
    metric = build_metrics(config, validation, training, services.hook)[config.decided_by.name]
    refuse_judged(metric, "the metric for checkpoint: best", source=str(config.sources["metric"]))
    tuned = contenders(spec, surroundings)
    models = tuple(build_model(one.spec, surroundings, services.hook) for one in tuned)
    return CheckpointSelection(validation, metric, tuned, models)


# --- files of a fine-tuning job ------------------------------------------------------------------------------


def _with_training_file(gate: Context) -> Context:
    """Add the file that the candidate's job was trained on; its content is fetched only to explain a difference."""
    job = gate.tuned["candidate"].job
    if job.training_file is None:
        raise ModelError(
            f"the endpoint does not say on which file the fine-tuning job {job.id} was trained, so the training "
            "set cannot be verified",
            where=gate.config.candidate.source.where("job"),
            cure="Name the fine-tuned model itself: use model instead of job.",
        )
    records = JobRecords(gate.config.candidate, gate.surroundings)
    file = records.file(job.training_file, "training file")
    content = None
    if not is_the_file(gate.training, file):
        with suppress(ModelError):
            content = records.content(file.id, "training file")
    return replace(gate, trained_on=file, trained_on_content=content)


def _shared_examples(gate: Context) -> Shared | None:
    """Return the overlap of the test set with the examples on which the checkpoint is chosen, if any."""
    config, test = gate.config, gate.test
    if gate.checkpoints is not None:
        validation = gate.checkpoints.validation
        rows = leaked_rows(validation, test)
        places = ", ".join(f"{test.where(t)} = {validation.where(v)}" for t, v in rows[:_ROWS_SHOWN])
        places += ", ..." if len(rows) > _ROWS_SHOWN else ""
        return Shared("the validation set", len(rows), places, str(config.sources["validation_set"]))
    file = gate.tuned["candidate"].job.validation_file
    if config.candidate.options.get("checkpoint") != "best" or file is None:
        return None
    records = JobRecords(config.candidate, gate.surroundings)
    name = f"the job's validation file {records.endpoint.quoted(file, 80)}"
    count = records.shared_inputs(file, test, lambda examples, tested: len(leaked_rows(examples, tested)))
    return Shared(name, count, "", str(config.candidate.source))
