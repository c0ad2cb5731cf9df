"""The rules for guards: other test sets, on which the candidate must not be much worse than the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_ftgate.checks import drop
from pytest_ftgate.checks.answers import complete_checks
from pytest_ftgate.checks.audit import check_test_set, grouped_by_content, leaked_rows
from pytest_ftgate.checks.constant_baseline import best_constant, chance
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.drop import Tolerance
from pytest_ftgate.config import GateKeys, GuardKeys
from pytest_ftgate.data import DataSet
from pytest_ftgate.errors import ConfigError, FtgateError
from pytest_ftgate.metrics import Metric, build_metric
from pytest_ftgate.metrics.judged import refuse_judged
from pytest_ftgate.metrics.labels import READING_OPTIONS, distinct_outputs
from pytest_ftgate.result import Check, GuardResult, Status, TestSetResult, called, error_check
from pytest_ftgate.runs.measure import Measured, forgiven_roles, measure_run, score_run
from pytest_ftgate.text import plural, printable, show_amount, show_difference, show_percent, show_value

_SHOWN = 40


@dataclass(frozen=True)
class Guard:
    """Hold a guard before any model is called.

    Attributes:
        metric: its metric, built for its labels.
        leaked_rows: examples that are in the training set: row of the guard, row of the training set.
    """

    name: str
    spec: GuardKeys
    test: DataSet
    metric: Metric
    tolerance: Tolerance
    leaked_rows: tuple[tuple[int, int], ...]

    @property
    def path(self) -> str:
        """Return the path of its keys in the gate, which is also the name of its check."""
        return f"guards.{self.name}"

    def check(self, status: Status, message: str, **fields: Any) -> Check:
        """Return a check of the guard; its name says which guard."""
        return Check(self.path, status, message, **fields)


def prepare_guards(
    config: GateKeys,
    load: Callable[[Any, str], DataSet],
    training: DataSet,
    custom: Callable[[], Mapping[str, Any]],
) -> dict[str, Guard]:
    """Read and check the test set of each guard, and build its metric.

    ``load`` reads a data source, given with its origin; ``custom`` returns the metrics of hooks by name.

    Raise :class:`FtgateError` if a test set or a metric cannot be used.
    """
    guards, known = {}, custom() if config.guards else {}
    for name, spec in config.guards.items():
        test = load(spec.test_set, f"guard {name}, {spec.sources['test_set'].at}")
        check_test_set(test)
        try:
            metric = _metric(spec, test, training, known)
            drop.check_max_drop(metric, spec.max_drop, str(spec.sources["max_drop"]))
        except ConfigError as error:
            what = f"guard {printable(name, _SHOWN)}: {error.what}"
            raise ConfigError(what, where=error.where, evidence=error.evidence, cure=error.cure) from error
        tolerance = Tolerance(spec.max_drop, config.confidence, proven=True)
        leaked = leaked_rows(training, test)
        guards[name] = Guard(name, spec, grouped_by_content(test), metric, tolerance, leaked)
    return guards


def _metric(spec: GuardKeys, test: DataSet, training: DataSet, custom: Mapping[str, Any]) -> Metric:
    labels, known = map(distinct_outputs, (test, training))
    metric = build_metric(
        spec.metric, labels=labels, custom=custom, known=known, blank=test.without_output(), examples=test.examples
    )
    refuse_judged(metric, "the metric of a guard", source=str(spec.sources["metric"]))
    if metric.label_set is not None:
        metric.label_set.check(metric.name, test.expected, test.where)
    return metric


# --- before any call -----------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the guards can show what they are for."""
    if not gate.guards:
        yield Check("guards", "note", "no guards configured: other tasks were not tested for regressions")
    for guard in gate.guards.values():
        yield from (*_leaked(gate, guard), *_too_small(gate, guard), *_not_recorded(gate, guard))
    yield from _ids_in_two(gate)


def _leaked(gate: Context, guard: Guard) -> Iterator[Check]:
    rows = guard.leaked_rows
    if rows:
        verb = "is" if len(rows) == 1 else "are"
        yield guard.check(
            "fail",
            f"{len(rows):,} of {plural(len(guard.test), 'example')} {verb} in the training set, "
            f"first {guard.test.where(rows[0][0])}",
            observed=len(rows),
            required=0,
            source=gate.source(f"{guard.path}.test_set"),
            advice="Remove them from the guard: examples that were trained on do not show what was forgotten.",
            action="fix_data",
        )


def _too_small(gate: Context, guard: Guard) -> Iterator[Check]:
    size = drop.size_of(guard.metric, guard.test.groups, guard.tolerance)
    if size.enough:
        return
    yield guard.check(
        "inconclusive",
        f"{size} cannot rule out a drop of {show_amount(guard.spec.max_drop, share=guard.metric.share)} of an equal "
        f"candidate (at least {size.needed:,} required)",
        observed=size.have,
        required=size.needed,
        source=gate.source(f"{guard.path}.test_set"),
        advice=f"Add {plural(size.needed - size.have, f'more {size.unit}')} to the guard.",
        action="add_examples",
    )


def _not_recorded(gate: Context, guard: Guard) -> Iterator[Check]:
    """Check that recorded models have a prediction for every example of the guard."""
    for role, model in gate.models.items():
        ids = model.ids
        if ids is None or (role == "candidate" and gate.config.missing_answers == "wrong"):
            continue
        missing = [example.name for example in guard.test.examples if example.id not in ids]
        if missing:
            yield guard.check(
                "error",
                f"{called(role, model.name)} has no recorded prediction for {len(missing):,} of "
                f"{plural(len(guard.test), 'example')}, first {printable(missing[0], _SHOWN)}",
                observed=len(guard.test) - len(missing),
                required=len(guard.test),
                source=gate.source(f"{guard.path}.test_set"),
                advice="Record the model's answers to the guard's examples in the same file.",
            )


def _ids_in_two(gate: Context) -> Iterator[Check]:
    """Refuse an id that two test sets give to different inputs, since recorded predictions are joined by id."""
    recorded = [model.name for model in gate.models.values() if model.ids is not None]
    if not recorded:
        return
    first = {example.id: (example, "the test set") for example in gate.test.examples}
    for guard in gate.guards.values():
        for row, example in enumerate(guard.test.examples):
            other, place = first.setdefault(example.id, (example, f"guard {guard.name}"))
            if other.input != example.input:
                yield guard.check(
                    "error",
                    f"the id {printable(example.id, _SHOWN)} belongs to another example in {place}, but "
                    f"recorded predictions ({printable(recorded[0], _SHOWN)}) are joined by id",
                    source=str(guard.test.where(row)),
                    advice="Give the guard's examples unique ids, and record their answers under these.",
                )
                break


# --- the models over the guards ------------------------------------------------------------------------------


def check(gate: Context) -> Found:
    """Check each guard's drop against its limit. A guard that cannot be judged is an error."""
    judged = [_judge(guard, gate) for guard in gate.guards.values()]
    results, checks = tuple(result for result, _ in judged), [one for _, several in judged for one in several]
    return Found({"guards": results}, checks)


def _judge(guard: Guard, gate: Context) -> tuple[GuardResult, list[Check]]:
    specs = gate.config.asked
    runs = gate.runs_of("guard", guard.name)
    measured = {role: measure_run(specs[role].name, run) for role, run in runs.items()}
    forgiven = forgiven_roles(gate.config.missing_answers, runs.values())
    incomplete = [check for check in complete_checks(measured, forgiven) if check.status != "pass"]
    result, checks = described(guard), [replace(check, name=guard.path) for check in incomplete]
    if not any(check.status == "error" for check in checks):
        metrics = {guard.metric.name: guard.metric}
        try:
            scored = {
                role: score_run(one, metrics, guard.metric.name, guard.test.expected) for role, one in measured.items()
            }
            result, more = _compare(gate, guard, result, scored)
            return result, [*checks, *more]
        except FtgateError as error:
            failed = error_check(error)
            checks.append(guard.check("error", failed.message, advice=failed.advice))
    return replace(result, verdict="error"), checks


def described(guard: Guard) -> GuardResult:
    """Return the facts of a guard that are known before it is measured."""
    return GuardResult(
        name=guard.name,
        metric=guard.metric.name,
        max_drop=guard.spec.max_drop,
        confidence=guard.tolerance.confidence,
        test_set=TestSetResult(guard.test.path, guard.test.sha256, len(guard.test)),
        metric_range=(guard.metric.low, guard.metric.high),
    )


def _compare(
    gate: Context, guard: Guard, result: GuardResult, scored: Mapping[str, Measured]
) -> tuple[GuardResult, list[Check]]:
    scores = {role: one.scores[guard.metric.name] for role, one in scored.items()}
    candidate = scores.pop("candidate", None)
    best = drop.best_first(scores)[0]
    checks = list(_nothing_to_lose(gate, guard, scored[best].facts.name, scores[best].value))
    weak = [] if checks else list(_weak(guard, scored[best]))
    if candidate is None:
        verdict: Status | None = "fail" if checks else None
        return replace(result, against=best, baseline=scores[best].value, verdict=verdict), [*checks, *weak]
    outcome = drop.judge_drop(scores, candidate, guard.tolerance, guard.test.groups)
    result = replace(result, **outcome.facts(candidate), verdict="fail" if checks else outcome.status)
    return result, [*checks, *weak, _check(gate, guard, outcome, candidate.value)]


def _nothing_to_lose(gate: Context, guard: Guard, baseline: str, value: float) -> Iterator[Check]:
    """Refuse a baseline so bad that no drop can exceed the limit: such a guard always passes."""
    metric = guard.metric
    if abs(value - metric.worst) <= guard.spec.max_drop:
        shown = show_value(value, share=metric.share)
        unused = [key for key in READING_OPTIONS if key not in guard.spec.metric.options]
        reading = f" ({', '.join(unused)})" if unused and metric.uses_labels else ""
        yield guard.check(
            "fail",
            f"baseline {baseline} has {metric.name} {shown}, so no drop can exceed the limit of "
            f"{show_amount(guard.spec.max_drop, share=guard.metric.share)}",
            observed=value,
            **gate.requirement(f"{guard.path}.max_drop"),
            advice=f"Check that the metric reads the answers correctly{reading}. A guard needs a task that the "
            "baseline can do.",
            action="measure_again",
        )


def _weak(guard: Guard, baseline: Measured) -> Iterator[Check]:
    """Warn of a baseline that may be as bad at the task as a constant answer: it has nothing to forget."""
    metric = guard.metric
    if not metric.compares:
        return
    constant = best_constant(metric, guard.test.expected)
    p = chance(metric, constant.answer, baseline, guard.test.groups)
    if p is not None and constant.n_expected > 1:
        value = baseline.scores[metric.name].value
        yield guard.check(
            "warning",
            f"baseline {baseline.facts.name}: {metric.name} {show_value(value, share=metric.share)}; always answering "
            f"{printable(repr(constant.answer), _SHOWN)} scores {show_value(constant.value, share=metric.share)}, and "
            f"the difference may be chance (p = {p:.2g}, above 0.05)",
            observed=value,
            required=constant.value,
            source=str(guard.spec.sources["test_set"]),
            advice="A guard needs a task that the baseline can do: check its prompt, and how the metric reads answers.",
            action="measure_again",
        )


def _check(gate: Context, guard: Guard, outcome: drop.Drop, value: float) -> Check:
    share, compared = guard.metric.share, outcome.compared
    before, after = (show_value(one, share=share) for one in (outcome.baseline.value, value))
    bound = f"no bound: {compared.note or 'the method gives none'}"
    if compared.lower is not None:
        confidence = show_percent(guard.tolerance.confidence)
        bound = f"{confidence} lower bound {show_difference(compared.lower, share=share)}"
    advice = {
        "fail": "Mix examples of this task into the training data, or train for fewer steps.",
        "inconclusive": drop.examples_advice(compared),
    }
    return guard.check(
        outcome.status,
        f"{guard.metric.name} {before}{drop.of_role(outcome.role)} to {after}: "
        f"{show_difference(compared.gain, share=share)} "
        f"({bound}, {drop.drop_limit(guard.spec.max_drop, share=share)})",
        **drop.drop_fields(gate, guard.path, outcome),
        advice=advice.get(outcome.status),
        action="add_examples",
    )
