"""From a configuration to all that its models are called with: data read and audited, metrics and models built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.preparation.contest import find_contest
from pytest_ftgate.preparation.job_files import with_job_files
from pytest_ftgate.preparation.metrics import build_metrics, custom_metrics, labels_of, needs_expected
from pytest_ftgate.preparation.models import build_models, judged_models
from pytest_ftgate.preparation.possible import check_possible
from pytest_ftgate.preparation.prepared import Prepared

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, MetricSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Notes
    from pytest_ftgate.noninferiority.slices import Slices
    from pytest_ftgate.training import TrainingAudit


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
    from pytest_ftgate.judging import prepare_judging
    from pytest_ftgate.models import Surroundings
    from pytest_ftgate.noninferiority.guards import prepare_guards
    from pytest_ftgate.training import audit_training_set, check_test_set

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
    from pytest_ftgate.metrics import build_metric
    from pytest_ftgate.noninferiority.slices import prepare_slices

    if config.slices is None:
        return None
    known = labels_of(test, training)
    custom = custom_metrics(hook)

    def build(spec: MetricSpec, labels: Sequence[str]) -> Metric:
        return build_metric(spec, labels=labels, custom=custom, known=known)

    return prepare_slices(config, test, metric, build)
