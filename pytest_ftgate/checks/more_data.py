"""The rule for ``candidate_half``: what the last doubling of the training set brought.

Another doubling is taken to bring at most what the last one did, and at least half of it, as it
does on learning curves without jumps: benchmarks/more_data.py has simulated and real ones.
"""

from collections.abc import Iterator
from typing import Literal

from pytest_ftgate.checks.context import Context, Half
from pytest_ftgate.errors import FtgateError, ModelError
from pytest_ftgate.metrics import Scored
from pytest_ftgate.result import Check, MoreData
from pytest_ftgate.runs import measure
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.names import HALF
from pytest_ftgate.statistics.evidence import Comparison, reaches
from pytest_ftgate.text import plural, show_change, show_difference, show_percent, show_usd

LEAST_HALF = 0.4
MOST_HALF = 0.6
"""The shares of the usable rows between which a half lies."""

_AFTER_MISSING = {
    "yes": "another doubling brings them",
    "no": "another doubling does not bring them, unless the learning curve jumps",
    "cannot tell": "it is open whether another doubling brings them",
}


def last_doubling(gate: Context) -> MoreData | FtgateError | None:
    """Return what the last doubling brought; the error if that could not be judged."""
    run = gate.runs.get(HALF)
    if gate.half is None or run is None:
        return None
    try:
        return _facts(gate, gate.half, _scored(gate, run))
    except FtgateError as error:
        return error


def check(gate: Context) -> Iterator[Check]:
    """Note what the last doubling brought, and whether another one brings what is missing."""
    facts = gate.more_data
    source = gate.source("candidate_half")
    if facts is None:
        return
    if isinstance(facts, FtgateError):
        # It decides nothing, so that its failures are no error of the gate.
        yield Check("more_data", "note", _failed(facts), source=source, cure=facts.cure)
        return

    message = f"the last doubling {_brought(gate, facts)}"
    if facts.answer is not None:
        message += f"; {_missing(gate, facts)} are missing: {_AFTER_MISSING[facts.answer]}"
    price = _price(gate, facts)
    if price:
        message += f". Another doubling costs {price}"
    yield Check(
        "more_data", "note", message, observed=facts.gain, required=facts.missing, source=source
    )


def _failed(error: FtgateError) -> str:
    return f"the model of candidate_half could not be judged: {error.what}"


def _scored(gate: Context, run: Run) -> Scored:
    """Return the score of the half.

    Raises:
        FtgateError: an answer is missing, or the metric is not defined for the answers.
    """
    failure = run.failure
    if failure is not None:
        missing = f"{len(run.unanswered):,} of {plural(len(run.all_predictions), 'answer')}"
        raise ModelError(f"{missing} are missing: {failure.cause}", cure=failure.next_step)

    metric = gate.deciding
    measured = measure.measure_run(run.model.name, run)
    scored = measure.score_run(measured, {metric.name: metric}, metric.name, gate.expected)
    return scored.scores[metric.name]


def _facts(gate: Context, half: Half, scored: Scored) -> MoreData:
    """Compare the candidate with the half as with a baseline that is to be beaten."""
    comparison = measure.compare_scored(
        scored,
        gate.scored["candidate"].scores[gate.deciding.name],
        margin=0.0,
        evidence=gate.config.evidence,
        confidence=gate.config.confidence,
        groups=gate.test.groups,
    )
    missing = None
    # Where several baselines are not beaten, the one that asks for most counts.
    for role, gain in gate.comparisons.items():
        if not gain.reached:
            distance = gate.config.standard_of(role).gain - (gain.gain or 0.0)
            missing = max(missing or 0.0, round(distance, 12))

    economics = gate.config.economics
    return MoreData(
        gain=comparison.gain or 0.0,
        lower_bound=comparison.lower_bound,
        upper_bound=comparison.upper_bound,
        missing=missing,
        answer=None if missing is None else answer(comparison, missing),
        value=scored.value,
        half_rows=half.rows,
        rows=gate.audit.usable,
        cost_usd=None if economics is None else economics.data_cost_usd,
    )


def answer(gain: Comparison, missing: float) -> Literal["yes", "no", "cannot tell"]:
    """Return whether another doubling brings what is missing, by the gain of the last one."""
    if gain.upper_bound is not None and round(gain.upper_bound, 12) < missing:
        return "no"
    if gain.lower_bound is not None and reaches(gain.lower_bound / 2, missing):
        return "yes"
    return "cannot tell"


# --- in words -------------------------------------------------------------------------------------


def cure(gate: Context, role: str) -> str | None:
    """Return the cure of a gain that is too small by what the last doubling brought.

    None without ``candidate_half``.
    """
    facts = gate.more_data
    if facts is None:
        return None
    if isinstance(facts, FtgateError):
        message = _failed(facts)
        return f"{message[0].upper()}{message[1:]}. {facts.cure or ''}".strip()

    standard = gate.config.standard_of(role)
    brought = f"the last doubling {_brought(gate, facts)}, and {_missing(gate, facts)} are missing"
    if facts.answer == "yes":
        price = _price(gate, facts)
        rows = f"{facts.rows:,} rows" + (f" ({price})" if price else "")
        return f"More data pays: {brought}. Double the {rows}, keep {standard.key}."
    if facts.answer == "no":
        recipe = "change the recipe: base model, labels, hyperparameters."
        upper = gate.comparisons[role].upper_bound
        if upper is not None and upper < standard.gain:
            recipe = f"keep the baseline, or {recipe}"
        recipe = recipe[0].upper() + recipe[1:]
        doubt = "unless the learning curve jumps"
        return f"Twice the rows will not reach {standard.key}, {doubt}: {brought}. {recipe}"
    return (
        f"It is open whether twice the rows reach {standard.key}: {brought}. More test examples "
        "narrow the bounds. Read the wrong answers (-v shows more)."
    )


def sentence(gate: Context) -> str | None:
    """Return what the last doubling brought; None where it was not judged."""
    facts = gate.more_data
    if not isinstance(facts, MoreData):
        return None
    return f"The last doubling {_brought(gate, facts)}."


def _brought(gate: Context, facts: MoreData) -> str:
    """Return ``(158 to 317 rows) brought +11.8 points (95 % bounds +9.1 to +14.5)``."""
    gain = show_difference(facts.gain, share=gate.share)
    words = f"({facts.half_rows:,} to {facts.rows:,} rows) brought {gain}"
    if facts.lower_bound is None or facts.upper_bound is None:
        return words
    low = show_change(facts.lower_bound, share=gate.share)
    high = show_change(facts.upper_bound, share=gate.share)
    return f"{words} ({show_percent(gate.config.confidence)} bounds {low} to {high})"


def _missing(gate: Context, facts: MoreData) -> str:
    return show_difference(facts.missing, share=gate.share).removeprefix("+")


def _price(gate: Context, facts: MoreData) -> str:
    """Return what another doubling costs: ``$600, at least $51 a point``; "" if that is unknown.

    It brings at most what the last one did.
    """
    if facts.cost_usd is None:
        return ""
    price = show_usd(facts.cost_usd)
    points = facts.gain
    unit = f"for each 1 of {gate.deciding.name}"
    if gate.share:
        points *= 100
        unit = "a point"
    if points <= 0:
        return price
    return f"{price}, at least {show_usd(facts.cost_usd / points)} {unit}"
