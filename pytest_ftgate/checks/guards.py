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
        """Return a check of the guard; its name says which guard, and its source where its test set is written."""
        return Check(self.path, status, message, **{"source": str(self.spec.sources["test_set"]), **fields})

    @property
    def facts(self) -> GuardResult:
        """Return the facts that are known before it is measured."""
        return GuardResult(
            name=self.name,
            metric=self.metric.name,
            max_drop=self.spec.max_drop,
            confidence=self.tolerance.confidence,
            test_set=TestSetResult(self.test.path, self.test.sha256, len(self.test)),
            metric_range=(self.metric.low, self.metric.high),
        )


def prepare_guards(
    config: GateKeys, load: Callable[[Any, str], DataSet], training: DataSet, custom: Callable[[], Mapping[str, Any]]
) -> dict[str, Guard]:
    """Read and check the test set of each guard, and build its metric.

    ``load`` reads a data source, given with its origin; ``custom`` returns the metrics of hooks by name.

    Raise :class:`FtgateError` if a test set or a metric cannot be used.
    """
    guards, own = {}, custom() if config.guards else {}
    for name, spec in config.guards.items():
        test = load(spec.test_set, f"guard {name}, {spec.sources['test_set'].at}")
        check_test_set(test)
        labels, known, blank = distinct_outputs(test), distinct_outputs(training), test.without_output()
        try:
            metric = build_metric(
                spec.metric, labels=labels, custom=own, known=known, blank=blank, examples=test.examples
            )
            refuse_judged(metric, "the metric of a guard", source=str(spec.sources["metric"]))
            if metric.label_set is not None:
                metric.label_set.check(metric.name, test.expected, test.where)
            drop.check_max_drop(metric, spec.max_drop, str(spec.sources["max_drop"]))
        except ConfigError as error:
            what = f"guard {printable(name, _SHOWN)}: {error.what}"
            raise ConfigError(what, **error.parts()) from error
        tolerance = Tolerance(spec.max_drop, config.confidence, proven=True)
        guards[name] = Guard(name, spec, grouped_by_content(test), metric, tolerance, leaked_rows(training, test))
    return guards


# --- before any call -----------------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the guards can show what they are for."""
    if not gate.guards:
        yield Check("guards", "note", "no guards configured: other tasks were not tested for regressions")
    for guard in gate.guards.values():
        yield from (*_leaked(guard), *_too_small(guard), *_not_recorded(gate, guard))
    yield from _ids_in_two(gate)


def _leaked(guard: Guard) -> Iterator[Check]:
    rows = guard.leaked_rows
    if rows:
        verb, first = "is" if len(rows) == 1 else "are", guard.test.where(rows[0][0])
        message = f"{len(rows):,} of {plural(len(guard.test), 'example')} {verb} in the training set, first {first}"
        advice = "Remove them from the guard: examples that were trained on do not show what was forgotten."
        yield guard.check("fail", message, observed=len(rows), required=0, advice=advice, action="fix_data")


def _too_small(guard: Guard) -> Iterator[Check]:
    size = drop.size_of(guard.metric, guard.test.groups, guard.tolerance)
    if not size.enough:
        most = show_amount(guard.spec.max_drop, share=guard.metric.share)
        message = f"{size} cannot rule out a drop of {most} of an equal candidate (at least {size.needed:,} required)"
        advice = f"Add {plural(size.needed - size.have, f'more {size.unit}')} to the guard."
        numbers = {"observed": size.have, "required": size.needed}
        yield guard.check("inconclusive", message, **numbers, advice=advice, action="add_examples")


def _not_recorded(gate: Context, guard: Guard) -> Iterator[Check]:
    """Check that recorded models have a prediction for every example of the guard."""
    n = len(guard.test)
    for role, model in gate.models.items():
        if model.ids is None or (role == "candidate" and gate.config.missing_answers == "wrong"):
            continue
        if missing := [example.name for example in guard.test.examples if example.id not in model.ids]:
            message = f"{called(role, model.name)} has no recorded prediction for {len(missing):,} of "
            message += f"{plural(n, 'example')}, first {printable(missing[0], _SHOWN)}"
            advice = "Record the model's answers to the guard's examples in the same file."
            yield guard.check("error", message, observed=n - len(missing), required=n, advice=advice)


def _ids_in_two(gate: Context) -> Iterator[Check]:
    """Refuse an id that two test sets give to different inputs, since recorded predictions are joined by id."""
    recorded = [model.name for model in gate.models.values() if model.ids is not None]
    first = {example.id: (example, "the test set") for example in gate.test.examples}
    for guard in gate.guards.values() if recorded else ():
        for row, example in enumerate(guard.test.examples):
            other, place = first.setdefault(example.id, (example, f"guard {guard.name}"))
            if other.input != example.input:
                message = f"the id {printable(example.id, _SHOWN)} belongs to another example in {place}, but "
                message += f"recorded predictions ({printable(recorded[0], _SHOWN)}) are joined by id"
                advice = "Give the guard's examples unique ids, and record their answers under these."
                yield guard.check("error", message, source=str(guard.test.where(row)), advice=advice)
                break


# --- the models over the guards ------------------------------------------------------------------------------


def check(gate: Context) -> Found:
    """Check each guard's drop against its limit. A guard that cannot be judged is an error."""
    judged = [_judge(gate, guard) for guard in gate.guards.values()]
    return Found({"guards": tuple(result for result, _ in judged)}, [one for _, checks in judged for one in checks])


def _judge(gate: Context, guard: Guard) -> tuple[GuardResult, list[Check]]:
    runs, metric = gate.runs_of("guard", guard.name), guard.metric
    measured = {role: measure_run(gate.config.asked[role].name, run) for role, run in runs.items()}
    complete = complete_checks(measured, forgiven_roles(gate.config.missing_answers, runs.values()))
    checks = [replace(check, name=guard.path) for check in complete if check.status != "pass"]
    if any(check.status == "error" for check in checks):
        return replace(guard.facts, verdict="error"), checks
    try:
        expected = guard.test.expected
        scored = {role: score_run(one, {metric.name: metric}, metric.name, expected) for role, one in measured.items()}
        result, found = _compared(gate, guard, scored)
        return result, [*checks, *found]
    except FtgateError as error:
        return replace(guard.facts, verdict="error"), [*checks, error_check(error, guard.path)]


def _compared(gate: Context, guard: Guard, scored: Mapping[str, Measured]) -> tuple[GuardResult, list[Check]]:
    scores = {role: one.scores[guard.metric.name] for role, one in scored.items()}
    candidate = scores.pop("candidate", None)
    best = drop.best_first(scores)[0]
    checks = list(_nothing_to_lose(gate, guard, scored[best]) or _weak(guard, scored[best]))
    useless: Status | None = "fail" if any(check.status == "fail" for check in checks) else None
    if candidate is None:
        return replace(guard.facts, against=best, baseline=scores[best].value, verdict=useless), checks
    outcome = drop.judge_drop(scores, candidate, guard.tolerance, guard.test.groups)
    result = replace(guard.facts, **outcome.facts(candidate), verdict=useless or outcome.status)
    return result, [*checks, _check(gate, guard, outcome, candidate.value)]


def _nothing_to_lose(gate: Context, guard: Guard, baseline: Measured) -> list[Check]:
    """Refuse a baseline so bad that no drop can exceed the limit: such a guard always passes."""
    metric, value, most = guard.metric, baseline.scores[guard.metric.name].value, guard.spec.max_drop
    if abs(value - metric.worst) > most:
        return []
    unused = [key for key in READING_OPTIONS if key not in guard.spec.metric.options]
    reading = f" ({', '.join(unused)})" if unused and metric.uses_labels else ""
    message = f"baseline {baseline.facts.name} has {metric.name} {show_value(value, share=metric.share)}, so no drop "
    message += f"can exceed the limit of {show_amount(most, share=metric.share)}"
    required = gate.requirement(f"{guard.path}.max_drop")
    advice = f"Check that the metric reads the answers correctly{reading}. {_TASK}."
    return [guard.check("fail", message, observed=value, **required, advice=advice, action="measure_again")]


_TASK = "A guard needs a task that the baseline can do"


def _weak(guard: Guard, baseline: Measured) -> list[Check]:
    """Warn of a baseline that may be as bad at the task as a constant answer: it has nothing to forget."""
    metric, value = guard.metric, baseline.scores[guard.metric.name].value
    constant = best_constant(metric, guard.test.expected) if metric.compares else None
    p = None if constant is None else chance(metric, constant.answer, baseline, guard.test.groups)
    if constant is None or p is None or constant.n_expected <= 1:
        return []
    shown, best = (show_value(one, share=metric.share) for one in (value, constant.value))
    message = f"baseline {baseline.facts.name}: {metric.name} {shown}; always answering "
    message += f"{printable(repr(constant.answer), _SHOWN)} scores {best}, and the difference may be chance "
    message += f"(p = {p:.2g}, above 0.05)"
    advice = f"{_TASK}: check its prompt, and how the metric reads answers."
    numbers = {"observed": value, "required": constant.value}
    return [guard.check("warning", message, **numbers, advice=advice, action="measure_again")]


def _check(gate: Context, guard: Guard, outcome: drop.Drop, value: float) -> Check:
    share, compared = guard.metric.share, outcome.compared
    before, after = (show_value(one, share=share) for one in (outcome.baseline.value, value))
    bound = f"no bound: {compared.note or 'the method gives none'}"
    if compared.lower is not None:
        confidence = show_percent(guard.tolerance.confidence)
        bound = f"{confidence} lower bound {show_difference(compared.lower, share=share)}"
    message = f"{guard.metric.name} {before}{drop.of_role(outcome.role)} to {after}: "
    message += f"{show_difference(compared.gain, share=share)} "
    message += f"({bound}, {drop.drop_limit(guard.spec.max_drop, share=share)})"
    advice = {
        "fail": "Mix examples of this task into the training data, or train for fewer steps.",
        "inconclusive": drop.examples_advice(compared),
    }.get(outcome.status)
    fields = drop.drop_fields(gate, guard.path, outcome)
    return guard.check(outcome.status, message, **fields, advice=advice, action="add_examples")
