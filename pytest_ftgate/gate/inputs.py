"""From a configuration to all that its models are called with: data read and audited, metrics and models built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import bounds, hypothesis
from pytest_ftgate.checks.context import Prepared
from pytest_ftgate.errors import ConfigError, Where
from pytest_ftgate.gate.contest import find_contest
from pytest_ftgate.gate.job_files import with_job_files
from pytest_ftgate.gate.metrics import build_metrics, custom_metrics, labels_of, needs_expected

if TYPE_CHECKING:
    from pytest_ftgate.checks.slices import Slices
    from pytest_ftgate.checks.training_set import TrainingAudit
    from pytest_ftgate.config import GateConfig, MetricSpec, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.gate.checkpoints import Contest
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model, Notes, Surroundings
    from pytest_ftgate.models.openai_api.tuning import Tuned


@dataclass(frozen=True)
class BuiltModels:
    """By role: the baselines' names, then "candidate", which the stage ready leaves out.

    Attributes:
        models: to be called.
        specs: as they are asked; none of a candidate that is yet to be found.
        tuned: those that are named by their job.
    """

    models: Mapping[str, Model]
    specs: Mapping[str, ModelSpec]
    tuned: Mapping[str, Tuned]


def build_models(
    config: GateConfig, contest: Contest | None, surroundings: Surroundings, hook: Any | None
) -> BuiltModels:
    """Build each; in a contest of checkpoints, its last stands for the candidate."""
    from pytest_ftgate.models import build_model
    from pytest_ftgate.models.openai_api.tuning import Tuned, has_job, settle

    settled = config.baselines if contest else config.asked
    tuned = {role: settle(spec, surroundings) for role, spec in settled.items() if has_job(spec)}
    specs = {**settled, **{role: one.spec for role, one in tuned.items()}}
    models = {role: build_model(spec, surroundings, hook) for role, spec in specs.items()}
    if contest:
        models["candidate"] = contest.models[-1]
        tuned["candidate"] = Tuned(config.candidate, contest.tuned[-1].job)
    return BuiltModels(models, specs, tuned)


def judged_models(
    config: GateConfig, built: BuiltModels, contest: Contest | None
) -> dict[str, list[tuple[ModelSpec, Model | None]]]:
    """By role the models that may be judged, of which none may judge: also what else may become the candidate."""
    found: dict[str, list[tuple[ModelSpec, Model | None]]] = {
        role: [(built.specs.get(role, config.candidate), model)] for role, model in built.models.items()
    }
    checkpoints = zip(contest.tuned, contest.models, strict=True) if contest else ()
    others = [*((spec, None) for spec in (config.candidate, *config.candidates.values()) if spec.provider)]
    found["candidate"] = [*found.get("candidate", ()), *others, *((one.spec, model) for one, model in checkpoints)]
    return found


def check_possible(config: GateConfig, metrics: Mapping[str, Metric]) -> None:
    """Raises :class:`ConfigError` where the margin, a bound, the hypothesis or ``errors`` cannot be meant."""
    _check_margin(config, metrics[config.metric.name])
    _check_bounds(config, metrics)
    hypothesis.check_prediction(config, metrics)
    _check_errors(config)


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
        where=Where(config.sources[key].place or None),
        cure=f"Did you mean {percent:g}?" if percent < widest else f"Give the {key} in the metric's unit.",
    )


def _check_bounds(config: GateConfig, metrics: Mapping[str, Metric]) -> None:
    """A bound outside of a metric's range holds always or never: 5 for an error rate of five percent."""
    for bound in config.require:
        name = bound.metric.name
        low, high = bounds.RUN_METRICS.get(name) or (metrics[name].low, metrics[name].high)
        lies = f"lies between {low:g} and {high:g}" if high < inf else f"is never below {low:g}"
        for key, value in (("min", bound.min), ("max", bound.max)):
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{key} {value:g} ({bound.source}) is impossible: {name} {lies}",
                    where=Where(bound.source.place or None),
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
                where=config.sources["errors"].where("errors"),
                cure="Use f1 or recall, or errors: error.",
            )


def prepare(
    config: GateConfig,
    load: Callable[..., DataSet],
    hook: Any | None,
    *,
    notes: Notes | None = None,
    offline: bool = False,
    newer_than: float | None = None,
    audit: Callable[..., TrainingAudit] | None = None,
) -> Prepared:
    """Read the data, build metrics and models. Raises :class:`FtgateError` where something cannot be used."""
    from pytest_ftgate.checks.guards import prepare_guards
    from pytest_ftgate.checks.training_set import audit_training_set, check_test_set
    from pytest_ftgate.judges import prepare_judging
    from pytest_ftgate.models import Surroundings

    test = load(config.test_set, config.sources["test_set"].at, labeled=needs_expected(config))
    training = load(config.training_set, config.sources["training_set"].at)
    check_test_set(test)
    metrics = build_metrics(config, test, training, hook)
    check_possible(config, metrics)
    audited = (audit or audit_training_set)(training, test, max_tokens=config.audit.max_tokens)
    guards = prepare_guards(config, load, training, lambda: custom_metrics(hook))
    slices = _slices(config, test, training, metrics[config.metric.name], hook)
    surroundings = Surroundings(training, notes, offline, newer_than, test)
    contest = find_contest(config, load, training, surroundings, hook)
    built = build_models(config, contest, surroundings, hook)
    judged = judged_models(config, built, contest)
    prepared = Prepared(
        config,
        test,
        training,
        audited,
        metrics,
        built.models,
        built.tuned,
        contest=contest,
        guards=guards,
        slices=slices,
        judging=prepare_judging(config, test, metrics, judged, surroundings, hook),
    )
    return with_job_files(prepared, surroundings)


def _slices(config: GateConfig, test: DataSet, training: DataSet, metric: Metric, hook: Any | None) -> Slices | None:
    """The slices of the test set, each with a metric of its own labels."""
    from pytest_ftgate.checks.slices import prepare_slices
    from pytest_ftgate.metrics import build_metric

    if config.slices is None:
        return None
    known = labels_of(test, training)
    custom = custom_metrics(hook)

    def build(spec: MetricSpec, labels: Sequence[str]) -> Metric:
        return build_metric(spec, labels=labels, custom=custom, known=known)

    return prepare_slices(config, test, metric, build)
