"""The one use case: a configured gate in, a judged result out. Free checks first, then models, then judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from pytest_ftgate import gate, straw_man
from pytest_ftgate.errors import ConfigError, FtgateError, Where
from pytest_ftgate.foreign import guarded
from pytest_ftgate.result import (
    Check,
    GateResult,
    ModelResult,
    TestSetResult,
    TrainingResult,
    verdict_of,
)

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig, MetricSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.inference import Comparison
    from pytest_ftgate.measure import Measured
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.runner import Progress, Run, Stores
    from pytest_ftgate.training import TrainingAudit

_BROKEN_KEPT = 10


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
    """

    stores: Stores
    load: Callable[[Any, str], DataSet]
    hook: Any | None = None
    offline: bool = False
    progress: Display | None = None


@dataclass(frozen=True)
class Judged:
    """A result, and the runs that it rests on by role (empty where no model was called)."""

    result: GateResult
    runs: Mapping[str, Run] = field(default_factory=dict)


@dataclass(frozen=True)
class _Prepared:
    """All that can be known before a model is called."""

    config: GateConfig
    test: DataSet
    training: DataSet
    audit: TrainingAudit
    metrics: Mapping[str, Metric]
    models: Mapping[str, Model]  # by role: the baselines' names, then "candidate"

    @property
    def deciding(self) -> Metric:
        return self.metrics[self.config.metric.name]

    @property
    def groups(self) -> list[str | None]:
        return [example.group for example in self.test.examples]

    @property
    def expected(self) -> list[Any]:
        return [example.expected for example in self.test.examples]


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
        prepared = _prepare(config, services)
        result = _with_data(result, prepared)
        free = (*reviewed, *_free_checks(prepared))
    except FtgateError as error:
        return Judged(failed_result(result, error))
    if verdict_of(free) != "pass":
        unpaid = Check("models", "note", "no model was called: the free checks come first")
        return Judged(_closed(result, (*free, unpaid)))
    result = replace(result, models_called=True)
    try:
        runs = _run(prepared, services)
    except FtgateError as error:
        return Judged(failed_result(replace(result, checks=free), error))
    return Judged(_judge(result, prepared, free, runs), runs)


def failed_result(result: GateResult, error: FtgateError) -> GateResult:
    """The verdict ``error`` with what is wrong, where, and the cure."""
    head, *rest = str(error).splitlines()
    check = Check("configuration", "error", head, advice=" ".join(line.strip() for line in rest) or None)
    return _closed(result, (*result.checks, check))


def _closed(result: GateResult, checks: tuple[Check, ...]) -> GateResult:
    return replace(result, checks=checks, verdict=verdict_of(checks))


# --- before any call -----------------------------------------------------------------------------------------


def _described(config: GateConfig, nodeid: str) -> GateResult:
    baselines = {role: ModelResult(spec.name, spec.spelling) for role, spec in config.baselines.items()}
    return GateResult(
        name=config.name,
        nodeid=nodeid,
        verdict="error",
        metric=config.metric.name,
        margin=config.margin,
        evidence=config.evidence,
        confidence=config.confidence,
        baseline=next(iter(baselines.values())),
        baselines=baselines,
        candidate=ModelResult(config.candidate.name, config.candidate.spelling),
        hypothesis=config.hypothesis,
        gate=config.gate,
    )


def _prepare(config: GateConfig, services: Services) -> _Prepared:
    from pytest_ftgate.models import build_model
    from pytest_ftgate.training import audit_training_set, check_test_set

    test = services.load(config.test_set, str(config.sources["test_set"]))
    training = services.load(config.training_set, str(config.sources["training_set"]))
    check_test_set(test)
    metrics = build_metrics(config, test, training, services.hook)
    _check_margin(config, metrics[config.metric.name])
    audit = audit_training_set(training, test)
    specs = {**config.baselines, "candidate": config.candidate}
    models = {role: build_model(spec, training=training, hook=services.hook) for role, spec in specs.items()}
    return _Prepared(config, test, training, audit, metrics, models)


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
        *(b.metric for b in config.require if b.metric.name not in gate.RUN_METRICS),
        *config.show,
    ]
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
    specs: dict[str, MetricSpec] = {}
    for spec in asked:
        first = specs.setdefault(spec.name, spec)
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
    if config.margin < widest:
        return
    percent = config.margin / 100
    raise ConfigError(
        f"margin {config.margin:g} ({config.sources['margin']}) is impossible: "
        f"{metric.name} lies between {metric.low:g} and {metric.high:g}",
        cure=f"Did you mean {percent:g}?" if percent < widest else "Give the margin in the metric's unit.",
    )


def _with_data(result: GateResult, prepared: _Prepared) -> GateResult:
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


def _free_checks(prepared: _Prepared) -> list[Check]:
    from pytest_ftgate.inference import MIN_GROUPS, fewest_wins, group_codes

    config, metric, n = prepared.config, prepared.deciding, len(prepared.test)
    checks = gate.training_checks(config, prepared.audit, prepared.training, prepared.test)
    checks.append(gate.test_size_check(config, n))
    groups = group_codes(prepared.groups, n)
    if groups is not None and config.evidence != "observed":
        few = gate.groups_check(config, int(groups.max()) + 1, MIN_GROUPS)
        checks += [few] if few else []
    elif metric.kind == "right_wrong" and config.repeats == 1 and n:
        wins = fewest_wins(n, margin=config.margin, confidence=config.confidence, evidence=config.evidence)
        checks.append(gate.reach_check(config, n, wins))
    checks += straw_man.same_model_checks(config, prepared.models, prepared.test)
    checks += straw_man.prompt_checks(config, prepared.test)
    checks += straw_man.params_checks(config)
    checks += straw_man.swapped_checks(config)
    return checks


# --- the two runs --------------------------------------------------------------------------------------------


def _run(prepared: _Prepared, services: Services) -> dict[str, Run]:
    from pytest_ftgate.runner import Job, run_models

    _warm_up(prepared.metrics.values())
    jobs = [Job(model, prepared.test, prepared.config.repeats) for model in prepared.models.values()]
    try:
        runs = run_models(jobs, stores=services.stores, progress=services.progress, offline=services.offline)
    finally:
        if services.progress is not None:
            services.progress.wipe()
    return dict(zip(prepared.models, runs, strict=True))


def _warm_up(metrics: Iterable[Metric]) -> None:
    """Load what scoring needs, which takes a second, while the network is being waited for."""
    modules = ["scipy.special", *(["sklearn.metrics"] if any(metric.kind == "set" for metric in metrics) else [])]
    Thread(target=lambda: [import_module(module) for module in modules], daemon=True).start()


def _judge(result: GateResult, prepared: _Prepared, free: tuple[Check, ...], runs: Mapping[str, Run]) -> GateResult:
    from pytest_ftgate.measure import measure_run

    specs = {**prepared.config.baselines, "candidate": prepared.config.candidate}
    measured = {role: measure_run(specs[role].name, run) for role, run in runs.items()}
    result = _with_models(result, {role: one.facts for role, one in measured.items()})
    checks = (*free, *_completeness(prepared, measured))
    if verdict_of(checks) == "error":
        return _closed(result, checks)
    try:
        return _judge_scores(result, prepared, checks, measured)
    except FtgateError as error:
        return failed_result(replace(result, checks=checks), error)


def _with_models(result: GateResult, facts: Mapping[str, ModelResult]) -> GateResult:
    baselines = {role: facts[role] for role in result.baselines}
    return replace(
        result,
        baselines=baselines,
        baseline=baselines[_best(baselines)],
        candidate=facts["candidate"],
    )


def _best(baselines: Mapping[str, ModelResult], *, greater_is_better: bool = True) -> str:
    sign = 1 if greater_is_better else -1
    return max(baselines, key=lambda role: sign * (baselines[role].value or 0.0))


def _completeness(prepared: _Prepared, measured: Mapping[str, Measured]) -> list[Check]:
    checks = []
    for role, one in sorted(measured.items(), key=lambda item: item[1].run.fatal is None):  # the cause comes first
        missing = [p for repeat in one.run.predictions for p in repeat if p.completion is None]
        error = str(one.run.fatal) if one.run.fatal else missing[0].error if missing else None
        checks.append(
            gate.complete_check(
                role,
                one.facts,
                missing_ids=[p.id for p in missing],
                error=error,
                policy=prepared.config.errors,
            )
        )
    return checks


def _judge_scores(
    result: GateResult, prepared: _Prepared, checks: tuple[Check, ...], measured: Mapping[str, Measured]
) -> GateResult:
    from pytest_ftgate.measure import flips, same_outputs, score_run

    config, metric = prepared.config, prepared.deciding
    expected = prepared.expected
    scored = {role: score_run(one, prepared.metrics, metric.name, expected) for role, one in measured.items()}
    facts = {role: one.facts for role, one in scored.items()}
    result = _with_models(result, facts)
    best = _best({role: facts[role] for role in config.baselines}, greater_is_better=metric.greater_is_better)
    candidate = scored["candidate"]
    comparisons = {role: _compare(prepared, scored[role], candidate) for role in config.baselines}
    found = [*checks, *_against_constant(prepared, scored)]
    for role, comparison in comparisons.items():
        same = gate.identical_check(
            _called(role), identical=same_outputs(scored[role].run, candidate.run), n=len(expected)
        )
        found += [same] if same else []
        found += gate.gain_checks(_judgement(prepared), comparison, _called(role))
        found += _repeats(prepared, scored[role], candidate, comparison)
        found += _second_opinion(prepared, scored[role], candidate, _called(role))
    found += [_require(prepared, bound, result) for bound in config.require]
    found += _remarks(prepared, scored, comparisons)
    wins, losses, broken = flips(scored[best], candidate, metric.name, _BROKEN_KEPT)
    decided = comparisons[best]
    result = replace(
        result,
        baseline=facts[best],
        gain=decided.gain,
        lower_bound=decided.lower,
        upper_bound=decided.upper,
        margin_proven=decided.reaches_margin,
        method=decided.method,
        p_value=decided.p_margin if config.evidence == "proven" else decided.p_zero,
        n=decided.n,
        wins=wins,
        losses=losses,
        examples_needed=decided.examples_needed,
        note=decided.note,
        broken=broken,
    )
    return _closed(result, tuple(found))


def _against_constant(prepared: _Prepared, scored: Mapping[str, Measured]) -> Sequence[Check]:
    """What one constant answer to everything would score: no model is called for that."""
    from pytest_ftgate.constant import Answered, Standard, constant_checks
    from pytest_ftgate.measure import answers_of
    from pytest_ftgate.trivial import constant_answer, trivial_baseline

    config, metric = prepared.config, prepared.deciding
    standard = Standard(
        metric,
        trivial_baseline(metric, prepared.expected),
        config.allow_weak_baseline,
        str(config.sources["allow_weak_baseline"]),
    )
    answered = {role: Answered(one.facts, constant_answer(metric, answers_of(one.run))) for role, one in scored.items()}
    return constant_checks(standard, answered)


def _called(role: str) -> str:
    return "the baseline" if role == "baseline" else f"baseline {role}"


def _judgement(prepared: _Prepared) -> gate.Judgement:
    config = prepared.config
    return gate.Judgement(
        prepared.deciding,
        config.margin,
        config.evidence,
        config.confidence,
        str(config.sources["margin"]),
        str(config.sources["evidence"]),
    )


def _compare(prepared: _Prepared, baseline: Measured, candidate: Measured) -> Comparison:
    """The method follows from the metric: right or wrong, graded, or of the whole set."""
    name = prepared.config.metric.name
    return compare_scores(prepared.config, baseline.scores[name], candidate.scores[name], prepared.groups)


def compare_scores(config: GateConfig, baseline: Any, candidate: Any, groups: Any) -> Comparison:
    """Candidate minus baseline of one metric, the sign turned where lower is better."""
    from pytest_ftgate import inference

    metric = candidate.metric
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    asked = {
        "margin": config.margin,
        "confidence": config.confidence,
        "evidence": config.evidence,
        "groups": groups,
    }
    if metric.kind == "set":
        return inference.compare_set(worse.statistic, better.statistic, **asked)
    if metric.kind == "right_wrong" and config.repeats == 1:
        return inference.compare_right_wrong(worse.per_example > 0.5, better.per_example > 0.5, **asked)
    return inference.compare_graded(worse.per_example, better.per_example, low=metric.low, high=metric.high, **asked)


def _repeats(prepared: _Prepared, baseline: Measured, candidate: Measured, comparison: Comparison) -> list[Check]:
    """Where the noise comes from, and what would lessen it: more answers per example, or more examples."""
    from pytest_ftgate.inference import remedy, spread_of
    from pytest_ftgate.measure import rightness_by_repeat

    config, metric = prepared.config, prepared.deciding
    if config.repeats == 1 or len(prepared.test) == 1:
        return []
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    scores = [rightness_by_repeat(one.run, metric, prepared.expected) for one in (worse, better)]
    spread = spread_of(*scores)
    target = config.margin if config.evidence == "proven" else 0.0
    cure = remedy(spread, gain=comparison.gain, target=target, confidence=config.confidence)
    return [gate.repeats_check(spread, cure, settled=comparison.reaches_margin or comparison.above_zero)]


def _second_opinion(prepared: _Prepared, baseline: Measured, candidate: Measured, against: str) -> list[Check]:
    """The bootstrap's bound, where the metric asks for it: shown, never decisive."""
    from pytest_ftgate.inference import bca_set, group_codes

    config, metric = prepared.config, prepared.deciding
    if not getattr(metric, "bca", False):
        return []
    before, after = (one.scores[metric.name].statistic for one in (baseline, candidate))
    assert before is not None  # metrics with this option are of the whole set
    assert after is not None
    grouped = group_codes(prepared.groups, len(prepared.test)) is not None
    bounds = None if grouped else bca_set(before, after, confidence=config.confidence)
    return [gate.bca_check(bounds, _judgement(prepared), against, grouped=grouped)]


def _require(prepared: _Prepared, bound: Any, result: GateResult) -> Check:
    model = result.candidate if bound.of == "candidate" else result.baseline
    metric = prepared.metrics.get(bound.metric.name)
    share = metric is not None and (metric.low, metric.high) == (0.0, 1.0)
    return gate.bound_check(bound, model, share=share)


def _remarks(
    prepared: _Prepared,
    scored: Mapping[str, Measured],
    comparisons: Mapping[str, Comparison],
) -> list[Check]:
    remarks: list[Check | None] = []
    for role, one in scored.items():
        called = role if role in ("baseline", "candidate") else f"baseline {role}"
        remarks += gate.answer_checks(called, one.facts)
        remarks.append(gate.attested_check(called, one.facts))
    remarks += [_normalization(prepared, scored, role, comparison) for role, comparison in comparisons.items()]
    return [remark for remark in remarks if remark is not None]


def _normalization(prepared: _Prepared, scored: Mapping[str, Measured], role: str, strict: Comparison) -> Check | None:
    """Judge once more with case and punctuation ignored, and say where that changes the verdict on the gain."""
    from pytest_ftgate.measure import answers_of

    lenient = prepared.deciding.lenient()
    if lenient is None:
        return None
    expected = prepared.expected
    baseline, candidate = (lenient.score(expected, answers_of(scored[r].run)) for r in (role, "candidate"))
    comparison = compare_scores(prepared.config, baseline, candidate, prepared.groups)
    judgement = _judgement(prepared)
    verdicts = [verdict_of(tuple(gate.gain_checks(judgement, one, _called(role)))) for one in (strict, comparison)]
    return gate.normalization_check(
        verdict=verdicts[0],
        lenient_verdict=verdicts[1],
        gain=strict.gain,
        lenient_gain=comparison.gain,
        share=judgement.share,
    )
