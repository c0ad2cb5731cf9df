"""The rules for ``stage: ready``, room and power, and for the hypothesis."""

from collections.abc import Iterator
from fractions import Fraction

from pytest_ftgate.checks import prospects
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.unlabeled import inputs_sentence, makes_ties
from pytest_ftgate.config import HypothesisKeys
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.result import Check, Status, called, opponent
from pytest_ftgate.statistics import evidence
from pytest_ftgate.text import plural, show_amount, show_difference, show_value

FEWEST_CHANCES = 0.5
"""The least power: below it a good candidate would more often than not stay unproven."""


def check(gate: Context) -> Iterator[Check]:
    """Check before training that a candidate can pass, and that the test set can show it."""
    best = gate.scored[gate.best].scores[gate.deciding.name]
    room = headroom(gate, gate.best)
    if gate.unlabeled is None:
        yield room
    if gate.config.evidence != "observed" and room.status == "pass":
        yield _power(gate, best)


def check_room(gate: Context) -> Iterator[Check]:
    """Check of a gain that is too small that the baseline left room for the margin."""
    # How much a baseline leaves is known of the examples with a label alone.
    if gate.unlabeled is not None:
        return
    for role in gate.comparisons:
        if gate.config.standard_of(role).drops:
            continue
        room = headroom(gate, role)
        if room.status != "pass":
            yield room


def headroom(gate: Context, role: str) -> Check:
    """Check that a baseline leaves room for the margin."""
    metric = gate.deciding
    best = gate.scored[role].scores[metric.name]
    standard = gate.config.standard_of(role)
    room: float | Fraction = abs(metric.best - best.value)
    # A count as a fraction has no rounding error.
    if best.exact is not None:
        room = 1 - best.exact if metric.greater_is_better else best.exact

    measured = show_value(best.value, share=gate.share)
    required = gate.requirement(standard.path)
    left = show_difference(float(room), share=gate.share).removeprefix("+")
    if evidence.reaches(room, standard.gain):
        name = gate.measured[role].facts.name
        message = f"room {left} above {called(role, name)} ({measured})"
        return Check("headroom", "pass", message, observed=float(room), **required)

    margin = show_amount(standard.gain, share=gate.share)
    message = f"{called(role)} has {measured}, which leaves {left}; the margin is {margin}: no "
    message += "candidate can pass on this test set"
    cure = "Write max_drop with cheaper_by, if the candidate should be as good and cheaper, or "
    cure += "add harder examples to the test set."
    return Check("headroom", "fail", message, observed=float(room), **required, cure=cure)


def _power(gate: Context, best: Scored) -> Check:
    """Check the power: how often a candidate passes that breaks nothing and gains what is expected.

    Without a hypothesis twice the margin is taken, because a gain of the margin passes half of the
    time at most. Low power for that is a warning, since nobody expects it.
    """
    prediction = gate.config.prediction
    standard = gate.config.standard_of(gate.best)
    gain = 2 * standard.gain
    source = gate.source(standard.path)
    basis = "twice the margin"
    if prediction is not None:
        gain = expected_gain(prediction, gate.deciding)
        source = str(prediction.source)
        basis = "the hypothesis"

    expected = f"for {show_difference(gain, share=gate.share)} ({basis})"
    candidate = prospects.improved(best, gain)
    chances = prospects.chances_of_gain(gate, gate.best, gain, best, broken=0.0)
    # There may be less to gain, or nothing is expected.
    if not gain or candidate is None or chances is None:
        return Check("power", "note", f"power is unknown {expected}", source=source)

    power = f"{100 * chances.passed:.0f} % {expected}"
    observed = round(chances.passed, 4)
    if chances.passed >= FEWEST_CHANCES:
        message = f"power is {power}"
        return Check(
            "power", "note", message, observed=observed, required=FEWEST_CHANCES, source=source
        )

    needed = prospects.needed_for(gate, gate.best, gain, best, broken=0.0)
    cure = "A candidate that gains just the margin passes half of the time at most, "
    cure += "with any number of examples."
    if needed is not None:
        more = max(needed.more, 1)
        in_all = len(gate.gain_set) + more
        cure = f"Label {plural(more, 'more test example')}: about {in_all:,} in all give 80 % "
        cure += "power."
        if makes_ties(gate.deciding):
            cure += f" {inputs_sentence(more, needed.fewest, needed.most)}"
    status: Status = "inconclusive"
    if prediction is None:
        status = "warning"
        cure += " State the expected gain: hypothesis: {from: ..., to: ...}."
    message = f"power is only {power}"
    return Check(
        "power",
        status,
        message,
        observed=observed,
        required=FEWEST_CHANCES,
        source=source,
        cure=cure,
    )


def expected_gain(prediction: HypothesisKeys, metric: Metric) -> float:
    """Return ``to`` minus ``from``, to 12 decimals; ``from`` minus ``to`` where lower is better."""
    change = prediction.goal - prediction.start
    return round(change if metric.greater_is_better else -change, 12)


def check_hypothesis(gate: Context) -> Found:
    """Report whether the hypothesis was reached, and before training where the baseline is."""
    prediction = gate.config.prediction
    if prediction is None:
        return Found({})

    metric = gate.deciding
    source = str(prediction.source)
    value = gate.scored[gate.best].scores[metric.name].value
    message = (
        f"{metric.name} of {opponent(gate.best)} is {_beside(metric, value, prediction.start)}"
    )
    if "candidate" not in gate.scored:
        check = Check(
            "hypothesis", "note", message, observed=value, required=prediction.start, source=source
        )
        return Found({}, [check])

    value = gate.scored["candidate"].scores[metric.name].value
    message += f", of the candidate {_beside(metric, value, prediction.goal)}: "
    is_reached = round(metric.sign * value, 12) >= round(metric.sign * prediction.goal, 12)
    if is_reached:
        check = Check(
            "hypothesis",
            "pass",
            f"{message}reached",
            observed=value,
            required=prediction.goal,
            source=source,
        )
    else:
        message += "not reached"
        check = Check(
            "hypothesis",
            "warning",
            message,
            observed=value,
            required=prediction.goal,
            source=source,
        )
    return Found({"hypothesis_reached": is_reached}, [check])


def _beside(metric: Metric, value: float, expected: float) -> str:
    """Return a measured value beside the expected one: ``81.7 % (80 % expected)``."""
    share = metric.share
    return f"{show_value(value, share=share)} ({show_value(expected, share=share)} expected)"
