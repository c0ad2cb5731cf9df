"""The rules for guards and slices: other test sets, and parts of the gate's, must not get worse."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_ftgate.checks.answers import complete_checks
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.gain import bound_in_words, drop_limit, examples_cure
from pytest_ftgate.checks.parts import Guard, Slice, Tolerance, margin_of, size_of
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.metrics import Scored
from pytest_ftgate.result import Check, Flip, PartResult, Status, called, error_check, opponent
from pytest_ftgate.runs.measure import (
    FLIPS_KEPT,
    Measured,
    compare_scored,
    flip,
    forgiven_roles,
    gains,
    measure_run,
    score_run,
)
from pytest_ftgate.text import (
    EXCERPT,
    NAMED,
    cut,
    plural,
    printable,
    show_amount,
    show_difference,
    show_percent,
    show_value,
)

_WORST_LAST: tuple[Status, ...] = ("pass", "inconclusive", "fail")
_MOST_SLICES = 200  # in a report


def judge_drop(
    facts: PartResult,
    baselines: Mapping[str, Scored],
    candidate: Scored,
    tolerance: Tolerance,
    groups: Sequence[str | None],
) -> PartResult:
    """Compare the candidate with every baseline on the same examples, and return the worst outcome.

    To pass, the candidate must pass against every baseline. This needs no correction of the
    confidence. The best measured baseline alone would not do: it is often not the best one in
    reality.

    Source: R. L. Berger, Technometrics 24 (1982) 295-300.
    """

    results = []
    for role in best_first(baselines):
        comparison = compare_scored(
            baselines[role],
            candidate,
            margin=margin_of(tolerance),
            evidence="proven" if tolerance.proven else "observed",
            confidence=tolerance.confidence,
            groups=groups,
        )
        verdict: Status = comparison.status
        upper = comparison.upper_bound
        # Some of many slices are worse by chance.
        if not tolerance.proven and not (upper is not None and upper < 0):
            verdict = "pass"

        result = replace(
            facts,
            **vars(comparison),
            baseline=baselines[role].value,
            candidate=candidate.value,
            against=role,
            confidence=tolerance.confidence,
            verdict=verdict,
        )
        results.append(result)
    return max(results, key=_badness)


def _badness(result: PartResult) -> tuple[int, float]:
    """Return what orders results by their verdicts, and equal ones by the drop."""
    return _WORST_LAST.index(result.verdict or "pass"), -(result.gain or 0.0)


def best_first(baselines: Mapping[str, Scored]) -> list[str]:
    """Return the roles of baselines, that with the best value first."""
    return sorted(baselines, key=lambda role: -baselines[role].metric.sign * baselines[role].value)


def _limit(gate: Context, path: str) -> dict[str, Any]:
    """Return the fields of a check of a drop under the key ``path``: the limit of the gain."""
    fields = gate.requirement(f"{path}.max_drop")
    fields["required"] = -fields["required"] or 0.0
    return fields


def _of_role(role: str | None) -> str:
    """Return `` (baseline few_shot)`` for one of several baselines."""
    return "" if role in (None, "baseline") else f" ({opponent(role)})"


def _broken(
    baseline: Measured, candidate: Measured, metric: str, rows: Iterable[int]
) -> tuple[Flip, ...]:
    """Return the examples of these rows that the candidate broke, the worst first."""
    change = gains(baseline, candidate, metric)
    worst_first = sorted((row for row in rows if change[row] < 0), key=lambda row: change[row])
    flips = []
    for row in worst_first[:FLIPS_KEPT]:
        flips.append(flip(row, baseline.run, candidate.run, candidate.scores[metric]))
    return tuple(flips)


# --- before any call ------------------------------------------------------------------------------


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call which slices will be judged, and that each guard can be decided."""
    yield from _left_out_slices(gate)
    if not gate.parts.guards:
        message = "no guards configured: other tasks were not tested for regressions"
        yield Check("guards", "note", message)
    for guard in gate.parts.guards:
        yield from _leaked(guard)
        yield from _too_small(guard)
    if any(model.ids is not None for model in gate.models.values()):
        yield from _ids_of_others(gate)


def _left_out_slices(gate: Context) -> Iterator[Check]:
    """Name the slices that are not judged; it is a warning where none is."""
    left_out = []
    for slice_ in gate.parts.slices:
        if slice_.note is not None:
            left_out.append(f"{slice_}: {slice_.note}")
    if not left_out:
        return

    message = f"not judged: {_named(left_out)}"
    status: Status = "note"
    if len(left_out) == len(gate.parts.slices):
        status = "warning"
        message = f"no slice is judged; {message}"
    source = gate.source("slices.fields")
    cure = "Add test examples of these slices."
    yield Check("slices", status, message, observed=len(left_out), source=source, cure=cure)


def _leaked(guard: Guard) -> Iterator[Check]:
    """Check that no example is trained on."""
    rows = guard.leaked_rows
    if not rows:
        return

    # A candidate that was trained on an example has not forgotten it.
    verb = "is" if len(rows) == 1 else "are"
    first = guard.test.where(rows[0])
    message = f"{len(rows):,} of {plural(len(guard.test), 'example')} {verb} "
    message += f"in the training set, first {first}"
    cure = (
        "Remove them from the guard: examples that were trained on do not show what was forgotten."
    )
    yield guard.check("fail", message, observed=len(rows), required=0, cure=cure)


def _too_small(guard: Guard) -> Iterator[Check]:
    """Check that the examples can rule out a drop of a candidate that changes nothing."""
    size = size_of(guard.metric, guard.test.groups, guard.tolerance)
    if size.have >= size.needed:
        return

    max_drop = show_amount(guard.spec.max_drop, share=guard.metric.share)
    have = plural(size.have, size.unit)
    message = f"{have} cannot rule out a drop of {max_drop}, even if no answer changes "
    message += f"(at least {size.needed:,} required)"
    cure = f"Add {plural(size.needed - size.have, f'more {size.unit}')} to the guard."
    numbers = {"observed": size.have, "required": size.needed}
    yield guard.check("inconclusive", message, **numbers, cure=cure)


def _ids_of_others(gate: Context) -> Iterator[Check]:
    """Refuse an id of two inputs: both would have one recorded answer, which is joined by id."""
    inputs = {example.id: example.input for example in gate.gain_set}
    for guard in gate.parts.guards:
        for row, example in enumerate(guard.test):
            if inputs.setdefault(example.id, example.input) == example.input:
                continue

            message = f'the id "{printable(example.id, EXCERPT)}" is also that of another input, '
            message += "and recorded answers are joined by id"
            source = str(guard.test.where(row))
            cure = "Give the guard's examples other ids, and record their answers under these."
            yield guard.check("error", message, source=source, cure=cure)
            break


def _named(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    first = ", ".join(names[:NAMED])
    n_more = len(names) - NAMED
    return f"{first}, and {n_more:,} more" if n_more > 0 else first


# --- the models over the guards -------------------------------------------------------------------


def check_others(gate: Context) -> Found:
    """Check each guard's drop against its limit. A guard that cannot be judged is an error."""
    results: list[PartResult] = []
    checks: list[Check] = []
    for guard in gate.parts.guards:
        result, guard_checks = _judge_guard(gate, guard)
        results.append(result)
        checks += guard_checks
    return Found({"guards": tuple(results)}, checks)


def _judge_guard(gate: Context, guard: Guard) -> tuple[PartResult, list[Check]]:
    """Return the result of a guard, with its checks."""
    runs = gate.runs_of("guard", guard.name)
    measured = {role: measure_run(gate.asked(role).name, run) for role, run in runs.items()}
    forgiven = forgiven_roles(gate.config.missing_answers, runs.values())
    checks = []
    for check in complete_checks(measured, forgiven):
        if check.status != "pass":
            checks.append(replace(check, name=guard.path))
    errors = [check for check in checks if check.status == "error"]
    if errors:
        return replace(guard.facts, verdict="error"), errors

    try:
        result, guard_checks = _compare_on_guard(gate, guard, measured)
    except FtgateError as error:
        return replace(guard.facts, verdict="error"), [*checks, error_check(error, guard.path)]
    return result, [*checks, *guard_checks]


def _compare_on_guard(
    gate: Context, guard: Guard, measured: Mapping[str, Measured]
) -> tuple[PartResult, list[Check]]:
    """Score the answers to a guard, and judge the candidate's drop.

    Raises:
        FtgateError: the metric has no value for the answers of a model.
    """
    name = guard.metric.name
    scored: dict[str, Measured] = {}
    scores: dict[str, Scored] = {}
    for role, run in measured.items():
        scored[role] = score_run(run, {name: guard.metric}, name, guard.test.expected)
        if role != "candidate":
            scores[role] = scored[role].scores[name]

    best = best_first(scores)[0]
    checks = list(_nothing_to_lose(gate, guard, best, scored[best]))
    result = replace(guard.facts, against=best, baseline=scores[best].value)
    # Before training a guard has a baseline, and nothing to compare it with.
    candidate = scored.get("candidate")
    if candidate is not None:
        result = judge_drop(
            guard.facts, scores, candidate.scores[name], guard.tolerance, guard.test.groups
        )
        if gate.shown is None:
            baseline = scored[result.against or best]
            broken = _broken(baseline, candidate, name, range(len(guard.test)))
            result = replace(result, broken_examples=broken)
        checks.append(_guard_check(gate, guard, result))

    if any(check.status == "fail" for check in checks):
        result = replace(result, verdict="fail")
    return result, checks


def _nothing_to_lose(gate: Context, guard: Guard, role: str, baseline: Measured) -> Iterator[Check]:
    """Refuse a baseline so bad that no drop can exceed the limit."""
    metric = guard.metric
    value = baseline.scores[metric.name].value
    if abs(value - metric.worst) > guard.spec.max_drop:
        return

    shown = show_value(value, share=metric.share)
    limit = show_amount(guard.spec.max_drop, share=metric.share)
    message = f"{called(role, baseline.facts.name)} has {metric.name} {shown}, "
    message += f"so no drop can exceed the limit of {limit}"
    cure = "Check that the metric reads the answers correctly. "
    cure += "A guard needs a task that the baseline can do."
    required = gate.requirement(f"{guard.path}.max_drop")
    yield guard.check("fail", message, **required, observed=value, cure=cure)


def _guard_check(gate: Context, guard: Guard, result: PartResult) -> Check:
    """Return the check of a guard's drop."""
    share = guard.metric.share
    baseline = show_value(result.baseline, share=share)
    candidate = show_value(result.candidate, share=share)
    bound = bound_in_words(result, guard.tolerance.confidence, share=share)
    message = f"{guard.metric.name} {show_difference(result.gain, share=share)} "
    message += f"({baseline}{_of_role(result.against)} to {candidate}), "
    message += f"{drop_limit(guard.spec.max_drop, share=share)}; {bound}"
    cure = None
    if result.verdict == "fail":
        cure = "Mix examples of this task into the training data, or train for fewer steps."
    elif result.verdict == "inconclusive":
        cure = examples_cure(result, "loses less")
    fields = {**_limit(gate, guard.path), "observed": result.gain}
    return guard.check(result.verdict or "error", message, **fields, cure=cure)


# --- slices ---------------------------------------------------------------------------------------


def check_fields(gate: Context) -> Found:
    """Judge each slice, the worst change first.

    Raise :class:`MetricError` if a metric is undefined for the answers on a slice.
    """
    tolerance = gate.parts.tolerance
    if tolerance is None:
        return Found({})

    groups = gate.test.groups
    results = [_judge_slice(gate, tolerance, slice_, groups) for slice_ in gate.parts.slices]
    results.sort(key=_worst_first)
    judged = [result for result in results if result.verdict is not None]
    checks = [_slices_check(gate, tolerance, judged)] if judged else []
    return Found({"slices": tuple(results[:_MOST_SLICES])}, checks)


def _worst_first(result: PartResult) -> tuple[bool, float]:
    """Sort the largest loss first, and last the slices that are not judged, large ones first."""
    if result.gain is None:
        return True, -(result.n or 0)
    return False, result.gain


def _judge_slice(
    gate: Context, tolerance: Tolerance, slice_: Slice, groups: Sequence[str | None]
) -> PartResult:
    metric = slice_.metric
    result = PartResult(
        f"{slice_.field}={slice_.value}",
        metric.name,
        tolerance.max_drop,
        field=slice_.field,
        value=slice_.value,
        n=len(slice_.rows),
        note=slice_.note,
        metric_range=(metric.low, metric.high),
    )
    if slice_.note is not None:
        return result

    deciding = gate.deciding.name
    scores = {role: _score(slice_, measured, deciding) for role, measured in gate.scored.items()}
    candidate = scores.pop("candidate")
    result = judge_drop(result, scores, candidate, tolerance, [groups[row] for row in slice_.rows])
    if gate.shown is None:
        baseline = gate.scored[result.against or gate.best]
        broken = _broken(baseline, gate.scored["candidate"], deciding, slice_.rows)
        result = replace(result, broken_examples=broken)
    return result


def _score(slice_: Slice, measured: Measured, deciding: str) -> Scored:
    """Return a model's score on a slice: the mean of its examples, or the metric of the set."""
    # A mean over examples needs no second scoring.
    whole = measured.scores[deciding]
    rows = list(slice_.rows)
    if whole.per_example is not None:
        scores = whole.per_example[rows]
        return Scored(whole.metric, float(scores.mean()), per_example=scores)

    examples = measured.run.test_set.examples
    expected = [examples[row].expected for row in rows]
    repeats = []
    for repeat in measured.answers:
        repeats.append([repeat[row] for row in rows])
    return slice_.metric.score(expected, repeats)


def _slices_check(gate: Context, tolerance: Tolerance, judged: Sequence[PartResult]) -> Check:
    """Return the check of all slices that are judged, which names those that got worse."""
    worse = [result for result in judged if result.verdict == "fail"]
    changes = []
    for result in worse or judged[:1]:
        change = show_difference(result.gain, share=gate.share) + _of_role(result.against)
        changes.append(f"{cut(result.name)} {change} ({plural(result.n or 0, 'example')})")

    limit = f"{drop_limit(tolerance.max_drop, share=gate.share)}, "
    limit += f"{show_percent(tolerance.confidence)} confidence each"
    slices = plural(len(judged), "slice")
    fields = {**_limit(gate, "slices"), "observed": judged[0].gain}
    if worse:
        message = (
            f"{len(worse):,} of {slices} dropped beyond the limit ({limit}): {_named(changes)}"
        )
        cure = "Add training examples like the broken ones in these slices."
        fields["observed"] = worse[0].gain
        return Check("slices", "fail", message, **fields, cure=cure)

    message = f"no significant drop beyond the limit in {slices} ({limit}): worst {changes[0]}"
    return Check("slices", "pass", message, **fields)
