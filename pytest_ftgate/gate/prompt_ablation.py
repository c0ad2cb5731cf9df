"""A candidate that has a prompt or examples of its own is also asked without them. It is shown, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.result import Check, GateResult, ModelResult
from pytest_ftgate.text import is_share, one_line, plural, show_difference, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.models import Surroundings
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.runs.runner import Job, Run

_DRESS = ("system", "system_file", "few_shot", "retrieval", "template")


def bare_spec(candidate: ModelSpec) -> ModelSpec | None:
    """The candidate without prompt, template and examples; None where it has none."""
    if candidate.provider != "openai" or candidate.options.keys().isdisjoint(_DRESS):
        return None
    options = {key: value for key, value in candidate.options.items() if key not in (*_DRESS, "latency")}
    return replace(candidate, options=options, name=f"{candidate.name} bare")


def with_bare(
    result: GateResult,
    prepared: Prepared,
    surroundings: Surroundings,
    run: Callable[[Job], Run],
) -> tuple[GateResult, Run | None]:
    """The result with what the bare candidate scored, and its run; as it is where there is nothing to take off.

    Args:
        result: the judged gate; no bare model is asked where it is in error.
        prepared: what the models were called with.
        surroundings: what the bare model is built with.
        run: a model over a test set.
    """
    spec = bare_spec(prepared.asked("candidate"))
    if spec is None or not result.scored or result.verdict == "error":
        return result, None
    from pytest_ftgate.models import build_model
    from pytest_ftgate.runs.runner import Job

    facts, done = ModelResult(spec.name, spec.spelling), None
    try:
        done = run(Job(build_model(spec, surroundings), prepared.test, prepared.config.repeats))
        measured = _measured(spec.name, done, prepared)
        facts, found = measured.facts, _check(result, measured, prepared)
    except FtgateError as error:
        found = _not_shown(str(error))
    return replace(result, bare=facts, checks=(*result.checks, found)), done


def _measured(name: str, run: Run, prepared: Prepared) -> Measured:
    """Scored where all answers arrived: a value over a part of the test set could not be compared."""
    from pytest_ftgate.runs.measure import measure_run, score_run

    measured = measure_run(name, run)
    if measured.facts.n_errors:
        return measured
    return score_run(measured, prepared.metrics, prepared.deciding.name, prepared.expected)


def _check(result: GateResult, bare: Measured, prepared: Prepared) -> Check:
    value, dressed = bare.facts.value, result.candidate.value
    if value is None or dressed is None:
        return _not_shown(_missing(bare.run.predictions, str(bare.run.fatal or "")))
    metric = prepared.deciding
    share = is_share((metric.low, metric.high))
    brings = (dressed - value) * (1 if metric.greater_is_better else -1)
    keys = " and ".join(key for key in _DRESS if key in prepared.config.candidate.options)
    return Check(
        "bare",
        "note",
        f"without {keys} the candidate scores {metric.name} {show_value(value, share=share)}: "
        f"{'they bring' if ' and ' in keys else 'it brings'} {show_difference(brings, share=share)}",
        observed=value,
        advice=None if round(brings, 12) > 0 else "Leave it out, then: the fine-tune is as good without, and cheaper.",
    )


def _missing(predictions: Sequence[Sequence[Any]], fatal: str) -> str:
    missing = [one for repeat in predictions for one in repeat if one.completion is None]
    reason = fatal or (missing[0].error or "" if missing else "")
    return f"{plural(len(missing), 'answer')} missing: {reason}"


def _not_shown(why: str) -> Check:
    """No more than a note: nothing hangs on the bare model."""
    return Check("bare", "note", f"the bare candidate could not be scored: {one_line(why)}")
