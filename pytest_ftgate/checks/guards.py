"""Guards: other test sets, on which the candidate must not have lost what the baseline can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import drop
from pytest_ftgate.checks.answers import complete_check
from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.drop import Allowance
from pytest_ftgate.errors import ConfigError, FtgateError
from pytest_ftgate.result import Check, GuardResult, TestSetResult, called, error_check
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, GuardKeys
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.models import Model
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.runs.runner import Job

_SHOWN = 40


@dataclass(frozen=True)
class Guard:
    """A guard before any model is called.

    Attributes:
        name: as the gate calls it.
        spec: as it is written.
        test: its examples.
        metric: made for their labels.
        allowance: what the drop is held to.
        leaked_rows: examples that stand in the training set: row of the guard, row of the training set.
    """

    name: str
    spec: GuardKeys
    test: DataSet
    metric: Metric
    allowance: Allowance
    leaked_rows: tuple[tuple[int, int], ...]

    @property
    def groups(self) -> list[str | None]:
        return [example.group for example in self.test.examples]

    def source(self, key: str) -> str:
        return str(self.spec.sources[key])


def prepare_guards(
    config: GateKeys,
    load: Callable[[Any, str], DataSet],
    training: DataSet,
    custom: Callable[[], Mapping[str, Any]],
) -> dict[str, Guard]:
    """Read and check the test set of each guard, and build its metric.

    Args:
        config: the gate.
        load: a data source and its origin to a data set.
        training: the training set.
        custom: gives the metrics of hooks, by name.

    Raises:
        FtgateError: a test set or a metric cannot be used.
    """
    if not config.guards:
        return {}
    known = custom()
    return {name: _prepare(name, spec, config, load, training, known) for name, spec in config.guards.items()}


def _prepare(
    name: str,
    spec: GuardKeys,
    config: GateKeys,
    load: Callable[[Any, str], DataSet],
    training: DataSet,
    custom: Mapping[str, Any],
) -> Guard:
    from pytest_ftgate.checks.training_set import check_test_set, leaked_rows

    test = load(spec.test_set, f"guard {name}, {spec.sources['test_set'].at}")
    check_test_set(test)
    try:
        metric = _metric(spec, test, training, custom)
        drop.check_max_drop(metric, spec.max_drop, str(spec.sources["max_drop"]))
    except ConfigError as error:
        raise ConfigError(
            f"guard {printable(name, _SHOWN)}: {error.what}",
            where=error.where,
            evidence=error.evidence,
            cure=error.cure,
        ) from error
    allowance = Allowance(spec.max_drop, spec.evidence, config.confidence, config.repeats)
    return Guard(name, spec, test, metric, allowance, leaked_rows(training, test))


def _metric(spec: GuardKeys, test: DataSet, training: DataSet, custom: Mapping[str, Any]) -> Metric:
    from pytest_ftgate.data import expected_text
    from pytest_ftgate.metrics import build_metric, check_labels
    from pytest_ftgate.metrics.judged import refuse_judged

    labels, known = (sorted({expected_text(one.expected) for one in data.examples}) for data in (test, training))
    metric = build_metric(spec.metric, labels=labels, custom=custom, known=known)
    refuse_judged(metric, "the metric of a guard", source=str(spec.sources["metric"]))
    if metric.uses_labels:
        check_labels(metric.name, [example.expected for example in test.examples])
    return metric


# --- before any call -----------------------------------------------------------------------------------------


def check_free(gate: Context) -> list[Check]:
    """Check that the guards can show what is asked of them."""
    guards, models, errors = gate.guards, gate.models, gate.config.errors
    if not guards:
        text = "forgetting was not measured: give guards, test sets of what the model must not lose"
        return [Check("guards", "note", text)]
    found: list[Check] = []
    for guard in guards.values():
        found += _leaked(guard)
        found += _too_small(guard)
        found += _not_recorded(guard, models, errors)
    return [*found, *_ids_in_two(guards.values(), models, gate.test)]


def _leaked(guard: Guard) -> Iterator[Check]:
    rows = guard.leaked_rows
    if rows:
        verb = "stands" if len(rows) == 1 else "stand"
        yield Check(
            f"guards.{guard.name}.leaked",
            "fail",
            f"guard {guard.name}: {len(rows):,} of {plural(len(guard.test), 'example')} {verb} in the training set, "
            f"first {guard.test.where(rows[0][0])}",
            observed=len(rows),
            required=0,
            source=guard.source("test_set"),
            advice="Take them out of the guard: what was trained on shows nothing about what was forgotten.",
            action="fix_data",
        )


def _too_small(guard: Guard) -> Iterator[Check]:
    size = drop.size_of(guard.metric, guard.groups, guard.allowance)
    if size.enough:
        return
    share = is_share((guard.metric.low, guard.metric.high))
    what = f"rule out a drop of {show_amount(guard.spec.max_drop, share=share)}"
    if guard.spec.evidence == "significant":
        what = "show that the candidate got worse"
    yield Check(
        f"guards.{guard.name}",
        "inconclusive",
        f"guard {guard.name}: {size} cannot {what} without a gain, at least {size.needed:,} are needed"
        if guard.spec.evidence == "proven"
        else f"guard {guard.name}: {size} cannot {what}, at least {size.needed:,} are needed",
        observed=size.have,
        required=size.needed,
        source=guard.source("test_set"),
        advice=f"Add {plural(size.needed - size.have, f'more {size.unit}')} to the guard, or ask for less: "
        "a larger max_drop, or evidence: observed.",
        action="add_examples",
    )


def _not_recorded(guard: Guard, models: Mapping[str, Model], errors: str) -> Iterator[Check]:
    """Recorded models answer by id: what a file has no row for will be missing, which is known for free."""
    for role, model in models.items():
        ids = model.ids
        if ids is None or (role == "candidate" and errors == "score_zero"):
            continue
        missing = [example.id for example in guard.test.examples if example.id not in ids]
        if missing:
            yield Check(
                f"guards.{guard.name}.{role}_predictions",
                "error",
                f"guard {guard.name}: {called(role, model.name)} has no recorded prediction for {len(missing):,} of "
                f"{plural(len(guard.test), 'example')}, first {printable(missing[0], _SHOWN)}",
                observed=len(guard.test) - len(missing),
                required=len(guard.test),
                source=guard.source("test_set"),
                advice="Record the model on the guard's examples too, into the same file.",
            )


def _ids_in_two(guards: Any, models: Mapping[str, Model], test: DataSet) -> Iterator[Check]:
    """An id that two test sets give to different inputs: a recorded prediction would serve for both."""
    recorded = [model.name for model in models.values() if model.ids is not None]
    if not recorded:
        return
    first = {example.id: (example, "the test set") for example in test.examples}
    for guard in guards:
        for row, example in enumerate(guard.test.examples):
            other, place = first.setdefault(example.id, (example, f"guard {guard.name}"))
            if other.input != example.input:
                yield Check(
                    f"guards.{guard.name}.ids",
                    "error",
                    f"guard {guard.name}: the id {printable(example.id, _SHOWN)} names another example in {place}, and "
                    f"recorded predictions ({printable(recorded[0], _SHOWN)}) are joined by id",
                    source=str(guard.test.where(row)),
                    advice="Give the guard's examples ids of their own, and record them under these.",
                )
                break


# --- the models over the guards ------------------------------------------------------------------------------


def guard_jobs(guards: Mapping[str, Guard], models: Mapping[str, Model], repeats: int) -> dict[tuple[str, str], Job]:
    """What is asked besides the test set, by guard and role."""
    from pytest_ftgate.runs.runner import Job

    return {
        (guard.name, role): Job(model, guard.test, repeats)
        for guard in guards.values()
        for role, model in models.items()
    }


def facts(gate: Context) -> dict[str, tuple[GuardResult, ...]]:
    """Return the facts of each guard."""
    return {"guards": tuple(result for result, _ in _judged(gate))}


def check(gate: Context) -> list[Check]:
    """Check that the candidate lost no more on a guard than is allowed. What cannot be judged is an error."""
    return [check for _, checks in _judged(gate) for check in checks]


@once
def _judged(gate: Context) -> list[tuple[GuardResult, list[Check]]]:
    return [_judge(guard, gate) for guard in gate.guards.values()]


def _judge(guard: Guard, gate: Context) -> tuple[GuardResult, list[Check]]:
    from pytest_ftgate.runs.measure import measure_run, score_run

    specs = gate.config.asked
    runs = {role: run for (name, role), run in gate.guard_runs.items() if name == guard.name}
    measured = {role: measure_run(specs[role].name, run) for role, run in runs.items()}
    result, checks = described(guard), _incomplete(guard, measured, gate.config.errors)
    if not any(check.status == "error" for check in checks):
        expected = [example.expected for example in guard.test.examples]
        metrics = {guard.metric.name: guard.metric}
        try:
            scored = {role: score_run(one, metrics, guard.metric.name, expected) for role, one in measured.items()}
            result, found = _compare(guard, result, scored)
            return result, [*checks, *found]
        except FtgateError as error:
            failed = error_check(error, f"guards.{guard.name}")
            checks.append(replace(failed, message=f"guard {guard.name}: {failed.message}"))
    return replace(result, verdict="error"), checks


def described(guard: Guard) -> GuardResult:
    """What is known of a guard before it is measured."""
    return GuardResult(
        name=guard.name,
        metric=guard.metric.name,
        max_drop=guard.spec.max_drop,
        evidence=guard.spec.evidence,
        confidence=guard.allowance.confidence,
        test_set=TestSetResult(guard.test.path, guard.test.sha256, len(guard.test)),
        metric_range=(guard.metric.low, guard.metric.high),
    )


def _incomplete(guard: Guard, measured: Mapping[str, Measured], errors: str) -> list[Check]:
    """Answers that are missing: an error, as on the test set itself."""
    from pytest_ftgate.runs.measure import forgiven_roles

    forgiven = forgiven_roles(errors, [one.run for one in measured.values()])
    found = []
    for role, one in sorted(measured.items(), key=lambda item: item[1].run.fatal is None):  # the cause comes first
        if one.facts.n_errors:
            check = complete_check(role, one, forgiven=role in forgiven)
            name, text = f"guards.{guard.name}.{check.name}", f"guard {guard.name}: {check.message}"
            found.append(replace(check, name=name, message=text))
    return found


def _compare(guard: Guard, result: GuardResult, scored: Mapping[str, Measured]) -> tuple[GuardResult, list[Check]]:
    metric = guard.metric
    scores = {role: one.scores[metric.name] for role, one in scored.items()}
    best = _best(scores, metric)
    if "candidate" not in scores:
        return _before_training(guard, replace(result, against=best, baseline=scores[best].value), scored[best])
    values = scores[best].value, scores["candidate"].value
    found = drop.judge_drop(scores[best], scores["candidate"], guard.allowance, guard.groups)
    checks = [*_nothing_to_lose(guard, scored[best].facts.name, values[0]), _check(guard, found, values)]
    result = replace(
        result,
        **found.compared.facts(),
        against=best,
        baseline=values[0],
        candidate=values[1],
        verdict="fail" if any(check.status == "fail" for check in checks) else found.status,
    )
    return result, checks


def _before_training(guard: Guard, result: GuardResult, baseline: Measured) -> tuple[GuardResult, list[Check]]:
    """Without a candidate: whether the baseline has something to lose."""
    assert result.baseline is not None  # it was scored
    checks = list(_nothing_to_lose(guard, baseline.facts.name, result.baseline))
    return replace(result, verdict="fail" if checks else None), checks


def _best(scores: Mapping[str, Scored], metric: Metric) -> str:
    """The baseline that is hardest to keep up with; the first of equals."""
    sign = 1 if metric.greater_is_better else -1
    return max((role for role in scores if role != "candidate"), key=lambda role: sign * scores[role].value)


def _nothing_to_lose(guard: Guard, baseline: str, value: float) -> Sequence[Check]:
    """A baseline that answers so badly that no drop could be too large: such a guard passes whatever is forgotten."""
    metric = guard.metric
    room = value - metric.low if metric.greater_is_better else metric.high - value
    if room > guard.spec.max_drop:
        return ()
    seen = show_value(value, share=is_share((metric.low, metric.high)))
    return (
        Check(
            f"guards.{guard.name}.nothing_to_lose",
            "fail",
            f"guard {guard.name}: baseline {baseline} has {metric.name} {seen}, so that no drop could be too large",
            observed=value,
            source=guard.source("max_drop"),
            advice="Look whether the metric reads the answers (pattern, json_field, normalize); a guard is for what "
            "the baseline can do.",
            action="measure_again",
        ),
    )


def _check(guard: Guard, found: drop.Drop, values: tuple[float, float]) -> Check:
    advice = None
    if found.status == "fail":
        advice = "Mix examples of it into the training data, or train less; do not ship what forgot it."
    elif found.status == "inconclusive":
        advice = drop.examples_advice(found)
    elif found.status == "warning":
        advice = "Add examples to the guard: with these it cannot be told from chance."
    return Check(
        f"guards.{guard.name}",
        found.status,
        f"guard {guard.name}: {drop.told(found, guard.metric, guard.allowance, values)}",
        observed=found.compared.gain,
        required=-guard.spec.max_drop or 0.0,
        source=guard.source("max_drop"),
        advice=advice,
        action=None if found.status == "warning" else "add_examples",
    )
