"""All that can be known about a gate before a model is called, and what has to hold by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import audit, goal, hypothesis, prompt_leak, readiness, straw_man, test_set
from pytest_ftgate.checks.bounds import RUN_METRICS
from pytest_ftgate.checks.form import asked_of_candidate, form_alone_checks, format_checks
from pytest_ftgate.errors import ConfigError, ModelError, Where
from pytest_ftgate.foreign import guarded
from pytest_ftgate.judging import Judging, free_judging_checks
from pytest_ftgate.noninferiority import match
from pytest_ftgate.result import Check, ModelResult

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, MetricSpec, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.jobs.checkpoints import Contest, Shared
    from pytest_ftgate.jobs.training_file import JobFile
    from pytest_ftgate.jobs.tuning import Tuned
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model, Notes, Surroundings
    from pytest_ftgate.noninferiority.guards import Guard
    from pytest_ftgate.noninferiority.slices import Slices
    from pytest_ftgate.training import TrainingAudit

_ROWS_SHOWN = 5


@dataclass(frozen=True)
class Prepared:
    """All that can be known before a model is called.

    Attributes:
        tuned: the models that are named by their job, by role.
        trained_on: the file that the candidate's job was trained on.
        trained_on_content: its bytes, where the training set is not that file.
        shared: what the test set shares with the examples on which a checkpoint is chosen.
        contest: the checkpoints of which the best is yet to be found; the last of them stands for the candidate.
        judging: the judges, and what people have said.
        judged: metrics that were judged, by role and name; in the place of those in ``metrics``.
    """

    config: GateConfig
    test: DataSet
    training: DataSet
    audit: TrainingAudit
    metrics: Mapping[str, Metric]
    models: Mapping[str, Model]  # by role: the baselines' names, then "candidate", which the stage ready leaves out
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    trained_on: JobFile | None = None
    trained_on_content: bytes | None = None
    shared: Shared | None = None
    contest: Contest | None = None
    guards: Mapping[str, Guard] = field(default_factory=dict)
    slices: Slices | None = None
    judging: Judging = field(default_factory=Judging)
    judged: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)

    def metrics_of(self, role: str) -> Mapping[str, Metric]:
        """The metrics by which a model is scored."""
        return {**self.metrics, **self.judged.get(role, {})}

    def asked(self, role: str) -> ModelSpec:
        """The model that is asked: as written, with its name at the endpoint in place of a job."""
        written = {**self.config.baselines, "candidate": self.config.candidate}[role]
        return self.tuned[role].spec if role in self.tuned else written

    def described(self, role: str, facts: ModelResult) -> ModelResult:
        """The facts of a model with those of the job that made it."""
        return replace(facts, **self.tuned[role].facts()) if role in self.tuned else facts

    @property
    def deciding(self) -> Metric:
        return self.metrics[self.config.metric.name]

    @property
    def groups(self) -> list[str | None]:
        return [example.group for example in self.test.examples]

    @property
    def grouped(self) -> bool:
        """Some examples belong together."""
        from pytest_ftgate.inference import group_codes

        return group_codes(self.groups, len(self.test)) is not None

    @property
    def expected(self) -> list[Any]:
        return [example.expected for example in self.test.examples]


def prepare(
    config: GateConfig,
    load: Callable[[Any, str], DataSet],
    hook: Any | None,
    *,
    notes: Notes | None = None,
    offline: bool = False,
    newer_than: float | None = None,
    audit: Callable[..., TrainingAudit] | None = None,
) -> Prepared:
    """Read the data, build metrics and models. Raises :class:`FtgateError` where something cannot be used."""
    from pytest_ftgate.jobs.tuning import Tuned, has_job, settle
    from pytest_ftgate.judging import prepare_judging
    from pytest_ftgate.models import Surroundings, build_model
    from pytest_ftgate.noninferiority.guards import prepare_guards
    from pytest_ftgate.training import audit_training_set, check_test_set

    test = load(config.test_set, str(config.sources["test_set"]))
    training = load(config.training_set, str(config.sources["training_set"]))
    check_test_set(test)
    metrics = build_metrics(config, test, training, hook)
    _check_margin(config, metrics[config.metric.name])
    _check_bounds(config, metrics)
    hypothesis.check_prediction(config.prediction, metrics)
    _check_errors(config)
    audited = (audit or audit_training_set)(training, test, max_tokens=config.audit.max_tokens)
    specs = config.asked
    guards = prepare_guards(config, load, training, lambda: _custom_metrics(hook))
    slices = _prepare_slices(config, test, training, metrics[config.metric.name], hook)
    surroundings = Surroundings(training, notes, offline, newer_than, test)
    contest = _contest(config, load, training, surroundings, hook)
    settled = config.baselines if contest else specs
    tuned = {role: settle(spec, surroundings) for role, spec in settled.items() if has_job(spec)}
    named = {**settled, **{role: one.spec for role, one in tuned.items()}}
    models = {role: build_model(spec, surroundings, hook) for role, spec in named.items()}
    if contest:
        models["candidate"] = contest.models[-1]
        tuned["candidate"] = Tuned(config.candidate, contest.tuned[-1].job)
    judging = prepare_judging(config, test, metrics, _judged_models(config, models, named, contest), surroundings, hook)
    prepared = Prepared(
        config,
        test,
        training,
        audited,
        metrics,
        models,
        tuned,
        contest=contest,
        guards=guards,
        slices=slices,
        judging=judging,
    )
    if "candidate" not in tuned:
        return prepared
    return replace(_with_training_file(prepared, surroundings), shared=_shared(prepared, surroundings))


def _judged_models(
    config: GateConfig, models: Mapping[str, Model], named: Mapping[str, ModelSpec], contest: Contest | None
) -> dict[str, list[tuple[ModelSpec, Model | None]]]:
    """By role the models that may be judged, of which none may judge: also what else may become the candidate."""
    found: dict[str, list[tuple[ModelSpec, Model | None]]] = {
        role: [(named.get(role, config.candidate), model)] for role, model in models.items()
    }
    checkpoints = zip(contest.tuned, contest.models, strict=True) if contest else ()
    others = [*((spec, None) for spec in (config.candidate, *config.candidates.values()) if spec.provider)]
    found["candidate"] = [*found.get("candidate", ()), *others, *((one.spec, model) for one, model in checkpoints)]
    return found


def _contest(
    config: GateConfig,
    load: Callable[[Any, str], DataSet],
    training: DataSet,
    surroundings: Surroundings,
    hook: Any | None,
) -> Contest | None:
    """The candidate's checkpoints, where the gate's own validation set has to find the best."""
    from pytest_ftgate.jobs.checkpoints import Contest
    from pytest_ftgate.jobs.tuning import contenders, has_job
    from pytest_ftgate.metrics.judged import refuse_judged
    from pytest_ftgate.models import build_model
    from pytest_ftgate.training import check_test_set

    spec = config.candidate
    if (
        config.stage == "ready"
        or config.validation_set is None
        or not has_job(spec)
        or spec.options.get("checkpoint") != "best"
    ):
        return None
    validation = load(config.validation_set, str(config.sources["validation_set"]))
    check_test_set(validation)
    metric = build_metrics(config, validation, training, hook)[config.metric.name]
    refuse_judged(metric, "what checkpoint: best is chosen by", source=str(config.sources["metric"]))
    tuned = contenders(spec, surroundings)
    models = tuple(build_model(one.spec, surroundings, hook) for one in tuned)
    return Contest(validation, metric, tuned, models)


def _shared(prepared: Prepared, surroundings: Surroundings) -> Shared | None:
    """What the test set has in common with the examples on which the candidate's checkpoint is chosen."""
    from pytest_ftgate.jobs.checkpoints import Shared
    from pytest_ftgate.jobs.tuning import JobRecords
    from pytest_ftgate.training import leaked_rows

    config, test = prepared.config, prepared.test
    if prepared.contest is not None:
        validation = prepared.contest.validation
        rows = leaked_rows(validation, test)
        places = ", ".join(f"{test.where(t)} = {validation.where(v)}" for t, v in rows[:_ROWS_SHOWN])
        places += ", ..." if len(rows) > _ROWS_SHOWN else ""
        return Shared("the validation set", len(rows), places, str(config.sources["validation_set"]))
    file = prepared.tuned["candidate"].job.validation_file
    if config.candidate.options.get("checkpoint") != "best" or file is None:
        return None
    records = JobRecords(config.candidate, surroundings)
    name = f"the job's validation file {records.endpoint.quoted(file, 80)}"
    return Shared(name, records.shared_inputs(file, test), "", str(config.candidate.source))


def _with_training_file(prepared: Prepared, surroundings: Surroundings) -> Prepared:
    """What the candidate's job was trained on; the bytes are fetched once more only to explain a difference."""
    from pytest_ftgate.jobs.training_file import is_the_file
    from pytest_ftgate.jobs.tuning import JobRecords

    job = prepared.tuned["candidate"].job
    if job.training_file is None:
        raise ModelError(
            f"the endpoint does not say on which file the fine-tuning job {job.id} was trained, so that the training "
            "set cannot be verified",
            where=Where(path=str(prepared.config.candidate.source), key="job"),
            cure="name the fine-tuned model itself: model in place of job",
        )
    records = JobRecords(prepared.config.candidate, surroundings)
    file = records.file(job.training_file, "training file")
    content = None
    if not is_the_file(prepared.training, file):
        with suppress(ModelError):
            content = records.content(file.id, "training file")
    return replace(prepared, trained_on=file, trained_on_content=content)


def _prepare_slices(
    config: GateConfig, test: DataSet, training: DataSet, metric: Metric, hook: Any | None
) -> Slices | None:
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.metrics import build_metric
    from pytest_ftgate.noninferiority.slices import prepare_slices

    if config.slices is None:
        return None
    known = sorted({expected_text(example.expected) for data in (test, training) for example in data.examples})
    custom = _custom_metrics(hook)

    def build(spec: MetricSpec, labels: Sequence[str]) -> Metric:
        return build_metric(spec, labels=labels, custom=custom, known=known)

    return prepare_slices(config, test, metric, build)


def build_metrics(config: GateConfig, test: DataSet, training: DataSet | None, hook: Any | None) -> dict[str, Metric]:
    """The deciding metric first, then those of ``require`` and ``show``, and accuracy where answers are labels."""
    from pytest_ftgate.config import MetricSpec
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.metrics import build_metric, check_labels

    labels = sorted({expected_text(example.expected) for example in test.examples})
    known = sorted({expected_text(example.expected) for example in training.examples}) if training else []
    custom = _custom_metrics(hook)

    def build(spec: MetricSpec) -> Metric:
        return build_metric(spec, labels=labels, custom=custom, known=known)

    asked = [
        config.metric,
        *(b.metric for b in config.require if b.metric.name not in RUN_METRICS),
        *config.show,
    ]
    if config.prediction is not None:
        hypothesis.refuse_run_metric(config.prediction)
        asked.append(config.prediction.metric)
    specs = _by_name(asked)
    metrics = {name: build(spec) for name, spec in specs.items()}
    deciding = metrics[config.metric.name]
    if deciding.uses_labels and "accuracy" not in metrics:
        options = {k: v for k, v in config.metric.options.items() if k in ("normalize", "pattern", "json_field")}
        metrics["accuracy"] = build(MetricSpec("accuracy", options, config.metric.source))
    expected = [example.expected for example in test.examples]
    for name, metric in metrics.items():
        if metric.uses_labels:
            check_labels(name, expected)
    return metrics


def _by_name(asked: Sequence[MetricSpec]) -> dict[str, MetricSpec]:
    from pytest_ftgate.metrics.judged import NAMES

    specs: dict[str, MetricSpec] = {}
    for spec in asked:
        first = specs.setdefault(spec.name, spec)
        if spec.name in NAMES and not first.options:  # a judge is named once, wherever that is
            specs[spec.name] = first = spec
        if spec.options and spec.options != first.options:
            raise ConfigError(
                f"the metric {spec.name} is asked for twice with different options",
                where=Where(key="metric"),
                evidence=f"{first.options} ({first.source}) and {spec.options} ({spec.source})",
                cure="Give it the same options everywhere in one gate.",
            )
    return specs


def _custom_metrics(hook: Any | None) -> dict[str, Any]:
    custom: dict[str, Any] = {}
    given = guarded("the hook pytest_ftgate_metrics", hook.pytest_ftgate_metrics) if hook is not None else ()
    for mapping in given:
        if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
            raise ConfigError(
                "the hook pytest_ftgate_metrics must return a mapping of names to metrics",
                evidence=f"it returned a value of type {type(mapping).__name__}",
            )
        for name, metric in mapping.items():
            if name in custom:
                raise ConfigError(
                    f"two hooks pytest_ftgate_metrics give a metric named {name!r}",
                    cure="Rename one of them.",
                )
            custom[name] = metric
    return custom


def _check_margin(config: GateConfig, metric: Metric) -> None:
    """A margin that no model could reach is a slip of the pen: 3 for three points."""
    widest = metric.high - metric.low
    key, asked = config.asked_by, abs(config.asked_gain)
    if asked < widest:
        return
    percent = asked / 100
    raise ConfigError(
        f"{key} {asked:g} ({config.sources[key]}) is impossible: "
        f"{metric.name} lies between {metric.low:g} and {metric.high:g}",
        cure=f"Did you mean {percent:g}?" if percent < widest else f"Give the {key} in the metric's unit.",
    )


def _check_bounds(config: GateConfig, metrics: Mapping[str, Metric]) -> None:
    """A bound outside of a metric's range holds always or never: 5 for an error rate of five percent."""
    for bound in config.require:
        name = bound.metric.name
        low, high = RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        lies = f"lies between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
        for key, value in (("min", bound.min), ("max", bound.max)):
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{key} {value:g} ({bound.source}) is impossible: {name} {lies}",
                    cure=f"Did you mean {value / 100:g}?" if high == 1 < value <= 100 else None,
                )


def _check_errors(config: GateConfig) -> None:
    """A missing answer counts as wrong. For precision none is no fault: the more are missing, the higher it is."""
    if config.errors != "score_zero":
        return
    asked = [config.metric, *(bound.metric for bound in config.require if bound.of == "candidate")]
    asked += [guard.metric for guard in config.guards.values()]
    for spec in asked:
        if spec.name.partition("_")[0] == "precision":
            raise ConfigError(
                f"errors: score_zero has no meaning for {spec.name}, which looks only at what was answered",
                where=Where(str(config.sources["errors"]), key="errors"),
                cure="Use f1 or recall, or errors: error.",
            )


def free_checks(prepared: Prepared) -> list[Check]:
    """Training set, test set, and what the baseline is: judged before anything is paid for."""
    from pytest_ftgate.checks.economics import free_economics_checks
    from pytest_ftgate.inference import MIN_GROUPS, fewest_wins, group_codes
    from pytest_ftgate.noninferiority.guards import guard_checks
    from pytest_ftgate.noninferiority.slices import slice_size_checks
    from pytest_ftgate.running.latency import unsampled_checks

    config, metric, n = prepared.config, prepared.deciding, len(prepared.test)
    checks = audit.training_checks(config, prepared.audit, prepared.training, prepared.test)
    checks += goal.goal_checks(config)
    checks += hypothesis.required_checks(config)
    checks += readiness.free_readiness_checks(config, metric, prepared.models, prepared.training)
    if config.stage == "accept":
        checks += prompt_leak.prompt_leak_checks(config, prepared.models["candidate"], prepared.test)
        checks += _job_checks(prepared)
    checks.append(test_set.size_check(config, n))
    checks += test_set.limit_checks(config)
    checks += format_checks(prepared.metrics, prepared.test)
    checks += form_alone_checks(metric, asked_of_candidate(config.require, prepared.metrics))
    groups = group_codes(prepared.groups, n)
    if groups is not None and config.evidence != "observed":
        few = test_set.groups_check(config, int(groups.max()) + 1, MIN_GROUPS)
        checks += [few] if few else []
    elif config.objective == "beat" and metric.kind == "right_wrong" and config.repeats == 1 and n:
        wins = fewest_wins(n, margin=config.asked_gain, confidence=config.confidence, evidence=config.evidence)
        checks.append(test_set.reach_check(config, n, wins))
    if config.objective == "match":
        checks += match.free_match_checks(config, metric, n, prepared.models, grouped=groups is not None)
    if config.stage == "accept":
        checks += free_economics_checks(config.economics, prepared.models)
    if config.stage == "accept" and prepared.contest is None:
        checks += straw_man.same_model_checks(config, prepared.models, prepared.test)
    checks += straw_man.prompt_checks(config, prepared.test)
    if config.stage == "accept":
        checks += straw_man.params_checks(config)
        checks += straw_man.swapped_checks(config)
        checks += straw_man.base_model_checks(config, prepared.tuned)
    latencies = match.latency_bounds(config) if config.stage == "accept" else []
    checks += unsampled_checks([*config.bounds, *latencies], prepared.models)
    checks += slice_size_checks(prepared.slices)
    checks += free_judging_checks(prepared.judging, prepared.metrics)
    checks += guard_checks(prepared.guards, prepared.models, prepared.test, errors=config.errors)
    return checks


def _job_checks(prepared: Prepared) -> list[Check]:
    """What is looked at where the candidate is named by the job that made it."""
    from pytest_ftgate.jobs.checkpoints import chosen_check, shared_check, unused_check
    from pytest_ftgate.jobs.training_file import training_file_check

    config, checks = prepared.config, []
    if prepared.trained_on is not None:
        checks.append(training_file_check(config, prepared.training, prepared.trained_on, prepared.trained_on_content))
    if prepared.shared is not None:
        checks.append(shared_check(prepared.shared, len(prepared.test)))
    if config.validation_set is not None and prepared.contest is None:
        checks.append(unused_check(config))
    chosen = chosen_check(prepared.tuned["candidate"], config) if "candidate" in prepared.tuned else None
    return [*checks, chosen] if chosen else checks


def decided(prepared: Prepared, best: int, chosen_by: str) -> tuple[Prepared, list[Check]]:
    """The checkpoint that is the candidate from here on, and what could not be looked at before.

    Args:
        prepared: with a contest.
        best: the index of its winner.
        chosen_by: by what it won, in words.
    """
    from pytest_ftgate.jobs.checkpoints import chosen_check

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
