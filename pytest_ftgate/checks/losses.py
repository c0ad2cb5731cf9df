"""The rules for guards and slices: other test sets, and parts of the test set, that must not get worse."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pytest_ftgate import errors, text
from pytest_ftgate.checks import answers, constant_baseline, context, gain, parts
from pytest_ftgate.metrics import Scored
from pytest_ftgate.result import Check, PartResult, Status, called, error_check, opponent
from pytest_ftgate.runs.measure import (
    MOST_ROWS,
    Measured,
    compare_scored,
    forgiven_roles,
    measure_run,
    score_run,
)

_WORST_LAST: tuple[Status, ...] = ("pass", "warning", "inconclusive", "fail")


def judge_drop(
    part: PartResult,
    baselines: Mapping[str, Scored],
    candidate: Scored,
    tolerance: parts.Tolerance,
    groups: Sequence[str | None],
) -> PartResult:
    """Compare the candidate's score with that of every baseline on the same examples, and return the worst outcome.

    To pass, the candidate must pass against every baseline. This needs no correction of the
    confidence. The best measured baseline alone would not do: it is often not the best one in
    reality.

    Source: R. L. Berger, Technometrics 24 (1982) 295-300.
    """
    asked: dict[str, Any] = {"margin": parts.margin_of(tolerance), "groups": groups}
    asked["evidence"] = "proven" if tolerance.proven else "observed"

    def against(role: str) -> PartResult:
        found = compare_scored(baselines[role], candidate, confidence=tolerance.confidence, **asked)
        values: dict[str, Any] = {
            "baseline": baselines[role].value,
            "candidate": candidate.value,
            "against": role,
        }
        result = replace(
            part, **vars(found), **values, confidence=tolerance.confidence, verdict=found.status
        )
        if found.reached or tolerance.proven or (found.upper_bound or 0.0) < 0:  # surely worse
            return result
        if tolerance.alone is not None:
            found = compare_scored(baselines[role], candidate, confidence=tolerance.alone, **asked)
        warned = tolerance.alone is None or (found.upper_bound or 0.0) < 0
        return replace(result, verdict="warning" if warned else "pass")

    results = map(against, best_first(baselines))
    return max(
        results, key=lambda one: (_WORST_LAST.index(one.verdict or "pass"), -(one.gain or 0.0))
    )


def best_first(baselines: Mapping[str, Scored]) -> list[str]:
    """Return the roles of baselines, that with the best value first."""
    return sorted(baselines, key=lambda role: -baselines[role].metric.sign * baselines[role].value)


def _limit(gate: context.Context, path: str) -> dict[str, Any]:
    """Return the fields of a check of a drop under the key ``path``: the limit of the gain."""
    field = gate.requirement(f"{path}.max_drop")
    return {**field, "required": -field["required"] or 0.0}


def _of_role(role: str | None) -> str:
    """Return `` (baseline few_shot)`` for one of several baselines."""
    return "" if role in (None, "baseline") else f" ({opponent(role)})"


# --- before any call
# -----------------------------------------------------------------------------------------


def check_free(gate: context.Context) -> Iterator[Check]:
    """Check before any call which slices will be judged, and that the guards can show what they are for."""
    left_out = [part for part in gate.parts.slices if part.note is not None]
    if left_out:
        none_judged = len(left_out) == len(gate.parts.slices)
        unsuited = [part for part in left_out if not part.is_small]
        message = "no slice is judged; " if none_judged else ""
        message += f"not judged: {_named(f'{part}: {part.note}' for part in left_out)}"
        advice = "Add test examples of these slices."
        if unsuited:
            advice = "Use a metric that has a value on every slice."
        status: Status = "warning" if none_judged or unsuited else "note"
        yield Check(
            "slices",
            status,
            message,
            len(left_out),
            source=gate.source("slices.fields"),
            advice=advice,
        )
    if not gate.parts.others:
        yield Check(
            "guards", "note", "no guards configured: other tasks were not tested for regressions"
        )
    for guard in gate.parts.others:
        yield from _check_guard(gate, guard)
    yield from _ids_in_two(gate)


def _check_guard(gate: context.Context, guard: parts.Guard) -> Iterator[Check]:
    """Check that no example is trained on, that there are enough, and that recorded models answer every one."""
    if rows := guard.leaked_rows:
        verb, first = "is" if len(rows) == 1 else "are", guard.test.where(rows[0][0])
        message = f"{len(rows):,} of {text.plural(len(guard.test), 'example')} {verb} in the training set, first {first}"
        advice = "Remove them from the guard: examples that were trained on do not show what was forgotten."
        yield guard.check("fail", message, observed=len(rows), required=0, advice=advice)
    have, needed, unit = parts.size_of(guard.metric, guard.test.groups, guard.tolerance)
    if have < needed:
        most = text.show_amount(guard.spec.max_drop, share=guard.metric.share)
        message = (
            f"{text.plural(have, unit)} cannot rule out a drop of {most} of an equal candidate "
        )
        message += f"(at least {needed:,} required)"
        numbers = {"observed": have, "required": needed}
        advice = f"Add {text.plural(needed - have, f'more {unit}')} to the guard."
        yield guard.check("inconclusive", message, **numbers, advice=advice)
    for role, model in gate.models.items():
        missing = [
            one.name for one in guard.test if model.ids is not None and one.id not in model.ids
        ]
        if missing and not (role == "candidate" and gate.config.missing_answers == "wrong"):
            message = f"{called(role, model.name)} has no recorded answer for {len(missing):,} of "
            message += f"{text.plural(len(guard.test), 'example')}, first {text.printable(missing[0], text.EXCERPT)}"
            yield guard.check(
                "error",
                message,
                advice="Record the answers to the guard's examples in the same file.",
            )


def _ids_in_two(gate: context.Context) -> Iterator[Check]:
    """Refuse an id that two test sets give to different inputs, since recorded answers are joined by id."""
    recorded = any(model.ids is not None for model in gate.models.values())
    first = {example.id: (example.input, "the test set") for example in gate.test.examples}
    for guard in gate.parts.others if recorded else ():
        for row, example in enumerate(guard.test.examples):
            given, place = first.setdefault(example.id, (example.input, f"guard {guard.name}"))
            if given != example.input:
                message = f"the id {text.printable(example.id, text.EXCERPT)} belongs to another example in {place}, "
                advice = (
                    "Give the guard's examples unique ids, and record their answers under these."
                )
                source = str(guard.test.where(row))
                yield guard.check(
                    "error",
                    f"{message}but recorded answers are joined by id",
                    source=source,
                    advice=advice,
                )
                break


def _named(texts: Iterable[str]) -> str:
    names = list(texts)
    more = len(names) - text.NAMED
    return ", ".join(names[: text.NAMED]) + (f", and {more:,} more" if more > 0 else "")


# --- the models over the guards
# ------------------------------------------------------------------------------


def check_others(gate: context.Context) -> context.Found:
    """Check each guard's drop against its limit. A guard that cannot be judged is an error."""
    judged = [_judge_guard(gate, guard) for guard in gate.parts.others]
    return context.Found(
        {"guards": tuple(result for result, _ in judged)},
        [one for _, checks in judged for one in checks],
    )


def _judge_guard(gate: context.Context, guard: parts.Guard) -> tuple[PartResult, list[Check]]:
    runs, metric = gate.runs_of("guard", guard.name), guard.metric
    measured = {role: measure_run(gate.asked(role).name, run) for role, run in runs.items()}
    complete = answers.complete_checks(
        measured, forgiven_roles(gate.config.missing_answers, runs.values())
    )
    checks = [replace(check, name=guard.path) for check in complete if check.status != "pass"]
    if any(check.status == "error" for check in checks):
        return replace(guard.facts, verdict="error"), checks
    try:
        expected = guard.test.expected
        scored = {
            role: score_run(one, {metric.name: metric}, metric.name, expected)
            for role, one in measured.items()
        }
        scores = {role: one.scores[metric.name] for role, one in scored.items()}
        candidate, best = scores.pop("candidate", None), best_first(scores)[0]
        result = replace(guard.facts, against=best, baseline=scores[best].value)
        if candidate is not None:
            result = judge_drop(guard.facts, scores, candidate, guard.tolerance, guard.test.groups)
            checks.append(_guard_check(gate, guard, result))
        weak = _nothing_to_lose(gate, guard, best, scored[best])
    except errors.FtgateError as error:
        return replace(guard.facts, verdict="error"), [*checks, error_check(error, guard.path)]
    useless = any(check.status == "fail" for check in weak)
    return replace(result, verdict="fail") if useless else result, [*weak, *checks]


def _nothing_to_lose(
    gate: context.Context, guard: parts.Guard, role: str, baseline: Measured
) -> list[Check]:
    """Refuse a baseline so bad that no drop can exceed the limit, and warn of one that a constant answer equals."""
    metric = guard.metric
    value = baseline.scores[metric.name].value
    most = guard.spec.max_drop
    message = f"{called(role, baseline.facts.name)} has {metric.name} {text.show_value(value, share=metric.share)}, "
    advice = "Check that the metric reads the answers correctly. A guard needs a task that the baseline can do."
    fields = {"observed": value, "advice": advice}
    if abs(value - metric.worst) <= most:
        message += (
            f"so no drop can exceed the limit of {text.show_amount(most, share=metric.share)}"
        )
        return [
            guard.check("fail", message, **{**gate.requirement(f"{guard.path}.max_drop"), **fields})
        ]
    if not metric.compares:
        return []

    with suppress(errors.MetricError):  # what an example expects may be no answer to another one
        constant = constant_baseline.best_constant(metric, guard.test.expected)
        if constant.n_expected > 1 and not constant_baseline.beats(metric, value, constant.value):
            message += f"no better than one answer to everything ({text.show_value(constant.value, share=metric.share)})"
            return [guard.check("warning", message, required=constant.value, **fields)]
    return []


def _guard_check(gate: context.Context, guard: parts.Guard, result: PartResult) -> Check:
    share, status = guard.metric.share, result.verdict or "error"
    before, after = (
        text.show_value(one, share=share) for one in (result.baseline, result.candidate)
    )
    bound = f"no bound: {result.note or 'the method gives none'}"
    if result.lower_bound is not None:
        confidence = text.show_percent(guard.tolerance.confidence)
        bound = f"{confidence} lower bound {text.show_difference(result.lower_bound, share=share)}"
    message = f"{guard.metric.name} {before}{_of_role(result.against)} to {after}: "
    message += f"{text.show_difference(result.gain, share=share)} "
    message += f"({bound}, {gain.drop_limit(guard.spec.max_drop, share=share)})"
    advice = {
        "fail": "Mix examples of this task into the training data, or train for fewer steps.",
        "inconclusive": gain.examples_advice(result, "lost less"),
    }.get(status)
    fields = {**_limit(gate, guard.path), "observed": result.gain}
    return guard.check(status, message, **fields, advice=advice)


# --- slices
# -------------------------------------------------------------------------------------------------------

_OUTCOMES: tuple[tuple[Status, str, str | None], ...] = (
    (
        "fail",
        "dropped beyond the limit",
        "Add training examples like the broken ones in these slices.",
    ),
    (
        "warning",
        "dropped beyond the limit, perhaps by chance among many slices",
        "Add test examples of these slices.",
    ),
    ("pass", "show no significant drop beyond the limit", None),
)
"""What is said of the slices of each status, and what to do."""


def check_fields(gate: context.Context) -> context.Found:
    """Judge each slice, the worst change first, and check the drops against the limit; one check for each status.

    Raise :class:`MetricError` if a metric is undefined for the answers on a slice.
    """
    if gate.parts.tolerance is None:
        return context.Found({})
    results = [_judge_slice(gate, gate.parts.tolerance, one) for one in gate.parts.slices]
    results.sort(
        key=lambda one: (one.gain is None, -(one.n or 0) if one.gain is None else one.gain)
    )
    checks: list[Check] = []
    for status, outcome, advice in _OUTCOMES:
        rows = [one for one in results if one.verdict == status]
        if rows and (status != "pass" or not checks):
            checks.append(_slices_check(gate, gate.parts.tolerance, rows, status, outcome, advice))
    return context.Found({"slices": tuple(results[:MOST_ROWS])}, checks)


def _judge_slice(gate: context.Context, tolerance: parts.Tolerance, one: parts.Slice) -> PartResult:
    known: dict[str, Any] = {
        "field": one.field,
        "value": one.value,
        "n": len(one.rows),
        "note": one.note,
    }
    known["metric_range"] = one.metric.low, one.metric.high
    result = PartResult(f"{one.field}={one.value}", one.metric.name, tolerance.max_drop, **known)
    if one.note is not None:
        return result
    scores = {
        role: _score(one, measured, gate.deciding.name) for role, measured in gate.scored.items()
    }
    candidate = scores.pop("candidate")
    return judge_drop(result, scores, candidate, tolerance, [gate.groups[row] for row in one.rows])


def _score(one: parts.Slice, measured: Measured, deciding: str) -> Scored:
    """Return a model's score on a slice: of its examples' scores, or by the metric if only a set has a value."""
    whole, rows = measured.scores[deciding], list(one.rows)
    if whole.per_example is None:
        expected = [measured.run.test_set.examples[row].expected for row in rows]
        return one.metric.score(
            expected, [[repeat[row] for row in rows] for repeat in measured.answers]
        )
    scores = whole.per_example[rows]
    return Scored(whole.metric, float(scores.mean()), per_example=scores)


def _slices_check(
    gate: context.Context,
    tolerance: parts.Tolerance,
    rows: Sequence[PartResult],
    status: Status,
    outcome: str,
    advice: str | None,
) -> Check:
    changes = []
    for part in rows:
        change = text.show_difference(part.gain, share=gate.share) + _of_role(part.against)
        changes.append(f"{text.cut(part.name)} {change} ({text.plural(part.n or 0, 'example')})")

    limit = gain.drop_limit(tolerance.max_drop, share=gate.share)
    if status == "pass":
        losses = f"worst {changes[0]}"
    else:
        limit += f", {text.show_percent(tolerance.confidence)} confidence each"
        losses = _named(changes)

    judged = sum(part.note is None for part in gate.parts.slices)
    message = f"{len(rows):,} of {text.plural(judged, 'slice')} {outcome} ({limit}): {losses}"
    fields = {**_limit(gate, "slices"), "observed": rows[0].gain, "advice": advice}
    return Check("slices", status, message, **fields)
