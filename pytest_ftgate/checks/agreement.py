"""The rule ``agreement``: the candidate gives the same answers as a baseline.

It is for an artifact that must be what was judged: an adapter that was merged, quantized, converted
or moved to another server. The lower bound of the share of examples with the same answer must reach
``min``.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.data import strict_json
from pytest_ftgate.metrics import Metric
from pytest_ftgate.metrics.json_values import JsonRules
from pytest_ftgate.metrics.options import without_fence
from pytest_ftgate.result import AgreementResult, Check, Flip, Status, opponent
from pytest_ftgate.runs.measure import FLIPS_KEPT, Measured, flip, gains
from pytest_ftgate.statistics import evidence, share
from pytest_ftgate.statistics.arrays import Bools, Floats
from pytest_ftgate.text import plural, settled_by, show_percent


def check_free(gate: Context) -> Iterator[Check]:
    """Check before any call that the test set could prove the share, if all answers agree."""
    agreement = gate.config.agreement
    if agreement is None:
        return

    n = len(gate.test)
    # No candidate does better than to agree on every example.
    best = share.measure_share(np.ones(n), agreement.min, gate.config.confidence, gate.test.groups)
    provable = best.lower_bound or 0.0
    required = gate.requirement("agreement.min")
    note = f" in {best.note}" if best.note else ""
    message = (
        f"{plural(n, 'example')}{note} can prove an agreement of at most {show_percent(provable)}"
    )
    message += f", needs {show_percent(agreement.min)}"
    if evidence.reaches(provable, agreement.min):
        yield Check("min_fixed", "note", message, observed=provable, **required)
        return

    cure = "Add test examples of more groups."
    if best.needed is not None:
        cure = f"Label {plural(best.needed - n, 'more test example')} ({best.needed:,} in all)."
    yield Check("min_fixed", "inconclusive", message, observed=provable, **required, cure=cure)


def check(gate: Context) -> Found:
    """Find the share of equal answers, and check that its lower bound reaches ``min``."""
    agreement = gate.config.agreement
    if agreement is None:
        return Found({})

    baseline = gate.scored[agreement.with_baseline]
    candidate = gate.scored["candidate"]
    is_same = same_answers(gate.deciding, baseline, candidate)
    shares: Floats = is_same.mean(axis=0)
    measured = share.measure_share(shares, agreement.min, gate.config.confidence, gate.test.groups)

    facts = AgreementResult(
        baseline=agreement.with_baseline,
        min=agreement.min,
        share=measured.share,
        lower_bound=measured.lower_bound,
        n=measured.n,
        n_different=int((shares < 1).sum()),
        different=_flips(gate, baseline, candidate, is_same),
        examples_needed=measured.needed,
        note=measured.note,
    )
    return Found({"agreement": facts}, [_check(gate, facts)])


def same_answers(metric: Metric, baseline: Measured, candidate: Measured) -> Bools:
    """Return whether both give the same answer, shape ``(repeats, examples)``."""
    old_readings = _readings(metric, baseline)
    new_readings = _readings(metric, candidate)
    repeats = []
    for old_repeat, new_repeat in zip(old_readings, new_readings, strict=True):
        repeats.append([old == new for old, new in zip(old_repeat, new_repeat, strict=True)])
    return np.array(repeats)


Reading: TypeAlias = tuple[bool, Any]
"""Whether the metric reads an answer, and what of it is compared."""


def _readings(metric: Metric, measured: Measured) -> list[list[Reading]]:
    """Return what is compared of each answer of a model, ``[repeat][example]``.

    It is what the metric reads, and of an answer that it cannot read, such as one that was cut off,
    the text.
    """
    repeats = []
    for answers, predictions in zip(measured.answers, measured.run.predictions, strict=True):
        readings = []
        for text, prediction in zip(metric.answers_read(answers), predictions, strict=True):
            if text is not None:
                readings.append((True, _compared(text)))
            else:
                written = prediction.completion and prediction.completion.text
                readings.append((False, written and _compared(written.strip())))
        repeats.append(readings)
    return repeats


def _compared(text: str) -> Any:
    """Return a text; of JSON its value, without layout and order of keys."""
    container = strict_json.container_of(without_fence(text))
    return text if container is None else JsonRules().key(container)


def _flips(
    gate: Context, baseline: Measured, candidate: Measured, is_same: Bools
) -> tuple[Flip, ...]:
    """Return some examples with another answer, first those that the candidate broke.

    Of several repeats the first one with another answer is shown.
    """
    if gate.shown is not None:  # the examples that count are not shown where attempts are limited
        return ()

    name = gate.deciding.name
    change = gains(baseline, candidate, name)
    different = np.flatnonzero(~is_same.all(axis=0)).tolist()
    worst_first = sorted(different, key=lambda row: change[row])
    flips = []
    for row in worst_first[:FLIPS_KEPT]:
        repeat = int(is_same[:, row].argmin())
        flips.append(flip(row, baseline.run, candidate.run, candidate.scores[name], repeat))
    return tuple(flips)


def _check(gate: Context, facts: AgreementResult) -> Check:
    message = f"{show_percent(facts.share)} with {opponent(facts.baseline)}"
    message += f", needs {show_percent(facts.min)}"
    required = gate.requirement("agreement.min")
    status = _status(facts)
    if status == "pass":
        return Check("agreement", "pass", message, observed=facts.lower_bound, **required)
    if status == "fail":
        cure = "Compare prompt, chat template, precision and parameters of both artifacts, "
        cure += "beginning with the answers that differ."
        return Check("agreement", "fail", message, observed=facts.share, **required, cure=cure)

    cure = "More test examples only help if the candidate agrees more often than measured here."
    if facts.examples_needed is not None:
        cure = settled_by("share", facts.examples_needed, facts.n, "test example")
    return Check(
        "agreement", "inconclusive", message, observed=facts.lower_bound, **required, cure=cure
    )


def _status(facts: AgreementResult) -> Status:
    if not evidence.reaches(facts.share, facts.min):
        return "fail"
    if facts.lower_bound is None or not evidence.reaches(facts.lower_bound, facts.min):
        return "inconclusive"
    return "pass"
