"""Before training: is there room for the gain that is asked for, could this test set prove it, what will it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING

from pytest_ftgate.checks.gain import gain_reaches
from pytest_ftgate.checks.hypothesis import expected_gain
from pytest_ftgate.models.price import price_of, written_price
from pytest_ftgate.result import Check, Status, called
from pytest_ftgate.text import is_share, plural, show_amount, show_difference, show_usd, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.models import Model
    from pytest_ftgate.models.protocol import Price
    from pytest_ftgate.statistics import Comparison

FEWEST_CHANCES = 0.5
"""A test set that would more often than not leave a good candidate unproven is too small."""

_CHARACTERS_PER_TOKEN = 4


# --- before any call -----------------------------------------------------------------------------------------


def check_plan(gate: Context) -> list[Check]:
    """Check what is planned at ``stage: ready``; nothing at any other stage."""
    config = gate.config
    if gate.accepts:
        return []
    found = [_ignored(config)] if config.has_candidate else []
    found += _expectation(config, gate.deciding)
    found.append(_training_cost(config, gate.models, gate.training))
    return found


def _ignored(config: GateKeys) -> Check:
    names = ", ".join(config.candidates) or config.candidate.name
    several = len(config.candidates) > 1
    verb = f"candidate{'s' if several else ''} {names} {'are' if several else 'is'}"
    message = f"stage is ready: the {verb} not looked at"
    return Check("candidate_ignored", "note", message, source=str(config.sources["stage"]))


def _expectation(config: GateKeys, metric: Metric) -> list[Check]:
    """A hypothesis that asks for less than the gate does: it could come true, and the gate would still be red."""
    prediction = config.prediction
    if config.objective == "match" or prediction is None or prediction.metric.name != metric.name:
        return []
    gain, share = expected_gain(prediction, metric), is_share((metric.low, metric.high))
    enough = gain_reaches(gain, config.asked_gain)
    return [
        Check(
            "hypothesis_gain",
            "pass" if enough else "fail",
            f"the hypothesis expects a gain of {show_amount(gain, share=share)}, "
            f"the gate asks for {show_amount(config.asked_gain, share=share)}",
            gain,
            config.asked_gain,
            str(config.sources["margin"]),
            None if enough else "Do not train for less than the gate asks for: expect more, or drop it.",
        )
    ]


def _training_cost(config: GateKeys, models: Mapping[str, Model], training: DataSet) -> Check:
    """An estimate of one pass over the training set, or why there is none."""
    tokens = round(sum(map(_characters, training)) / _CHARACTERS_PER_TOKEN)
    amount = f"one epoch over {plural(len(training), 'training row')} is about {plural(tokens, 'token')}"
    price = _training_price(config, models)
    if price is None or price.training_per_1m is None:
        return Check(
            "training_cost",
            "note",
            f"{amount}; what it costs is unknown: no price says training_per_1m",
            advice="Give the candidate or the baseline price: {training_per_1m: ...}.",
        )
    usd = tokens * price.training_per_1m / 1e6
    message = f"{amount}, which costs about {show_usd(usd)} at {price.training_per_1m:g} a million"
    return Check("training_cost", "note", message, observed=round(usd, 6), source=price.source)


def _training_price(config: GateKeys, models: Mapping[str, Model]) -> Price | None:
    """The candidate's own price where one is written, else that of a baseline, which is likely the base model."""
    written = config.candidate.options.get("price")
    prices = [written_price(written, str(config.candidate.source))] if written else []
    prices += [price_of(models[role]) for role in config.baselines]
    return next((price for price in prices if price.training_per_1m is not None), None)


def _characters(example: Example) -> int:
    from pytest_ftgate.data import expected_text

    given = example.input
    asked = given if isinstance(given, str) else "".join(_content(message.get("content")) for message in given)
    return len(asked) + len(expected_text(example.expected))


def _content(content: object) -> str:
    return content if isinstance(content, str) else str(content or "")


# --- of the baseline's answers -------------------------------------------------------------------------------


def check(gate: Context) -> list[Check]:
    """Check before training that a candidate could pass, and that this test set would show it."""
    config, role, examples, compare = gate.config, gate.best, len(gate.test), gate.compare
    if gate.accepts or config.objective == "match":  # with which no gain is asked for
        return []
    best = gate.scored[role].scores[gate.deciding.name]
    room = _room(config, best, role)
    found = [room] if room is not None else []
    if config.evidence == "observed" or (room is not None and room.status == "fail"):
        return found
    return [*found, _power(config, best, examples, compare)]


def _room(config: GateKeys, best: Scored, role: str) -> Check | None:
    """What is left to gain; None where the metric has no best value."""
    metric = best.metric
    top = metric.high if metric.greater_is_better else metric.low
    if not isfinite(top):
        return None
    left = _left(best, top)
    enough = gain_reaches(left, config.asked_gain)
    share = is_share((metric.low, metric.high))
    asked = f"the margin asks for {show_amount(config.asked_gain, share=share)}"
    message = f"{called(role)} is at {show_value(best.value, share=share)}, "
    message += f"a candidate can gain {show_difference(float(left), share=share)} at most, {asked}"
    return Check(
        "room",
        "pass" if enough else "fail",
        message if enough else f"no room: {message}",
        float(left),
        config.asked_gain,
        str(config.sources["margin"]),
        None
        if enough
        else "Do not train: the prompt does nearly all that can be done here. "
        "If that is not so, the test set is too easy: add examples that the baseline gets wrong.",
        "stop",
    )


def _left(best: Scored, top: float) -> float | Fraction:
    if best.exact is not None:
        return Fraction(1) - best.exact if best.metric.greater_is_better else best.exact
    return abs(top - best.value)


@dataclass(frozen=True)
class _Expected:
    """The gain that is expected, what that rests on, and where it stands; ``said``: a hypothesis says it."""

    gain: float
    source: str
    said: bool

    def shown(self, *, share: bool) -> str:
        return f"a gain of {show_amount(self.gain, share=share)} ({'the hypothesis' if self.said else 'the margin'})"


def _power(config: GateKeys, best: Scored, examples: int, compare: Callable[[Scored, Scored], Comparison]) -> Check:
    """How often the expected gain would be proven, if the candidate breaks nothing."""
    metric, prediction = best.metric, config.prediction
    if prediction is not None and prediction.metric.name == metric.name:
        expected = _Expected(expected_gain(prediction, metric), str(prediction.source), said=True)
    else:
        expected = _Expected(config.asked_gain, str(config.sources["margin"]), said=False)
        if config.asked_gain == 0 or config.evidence == "proven":  # no gain of just the margin is proven to reach it
            return _untold("how likely a gain would be proven cannot be told: none is expected in numbers", expected)
    candidate = _mended(best, expected.gain)
    share = is_share((metric.low, metric.high))
    if candidate is None:
        return _untold(f"{expected.shown(share=share)} is more than this baseline leaves to be gained", expected)
    comparison = compare(best, candidate)
    p = comparison.p_zero if config.evidence == "significant" else comparison.p_margin
    if p is None:
        shown = expected.shown(share=share)
        return _untold(f"how likely {shown} would be proven cannot be told: {comparison.note}", expected)
    return _chance(config, p, comparison, examples, expected, share=share)


def _chance(
    config: GateKeys, p: float, comparison: Comparison, examples: int, expected: _Expected, *, share: bool
) -> Check:
    """A margin is the least that is asked for, not what is expected: too small a chance of that is a warning."""
    from pytest_ftgate.statistics import chance_of_proof

    chance = chance_of_proof(p, config.confidence)
    target = "is above 0" if config.evidence == "significant" else "reaches the margin"
    status: Status = "note"
    if chance < FEWEST_CHANCES:
        status = "inconclusive" if expected.said else "warning"
    return Check(
        "power",
        status,
        f"{expected.shown(share=share)} that breaks nothing is proven on {plural(examples, 'test example')} about "
        f"{100 * chance:.0f} % of the time (that it {target}, {100 * config.confidence:g} % sure)",
        round(chance, 4),
        FEWEST_CHANCES,
        expected.source,
        _more_examples(comparison.examples_needed, examples, expected) if status != "note" else None,
        "add_examples" if status == "inconclusive" else None,
    )


def _more_examples(needed: int | None, examples: int, expected: _Expected) -> str:
    otherwise = "" if expected.said else " If more is expected than the margin, say so: hypothesis: {from, to}."
    if needed is None:
        return f"No number of test examples would do.{otherwise}"
    return (
        f"Label {plural(max(needed - examples, 1), 'more test example')}: about {needed:,} in all prove it "
        f"4 times out of 5.{otherwise}"
    )


def _untold(message: str, expected: _Expected) -> Check:
    advice = "Say what is expected: hypothesis: {from: ..., to: ...}."
    return Check("power", "note", message, source=expected.source, advice=None if expected.said else advice)


def _mended(best: Scored, gain: float) -> Scored | None:
    from pytest_ftgate.statistics import hypothetical_scores, hypothetical_set

    metric = best.metric
    if best.statistic is not None:
        counts = hypothetical_set(best.statistic, gain)
        return None if counts is None else replace(best, statistic=counts)
    top = metric.high if metric.greater_is_better else metric.low
    if not isfinite(top) or best.per_example is None:
        return None
    scores = hypothetical_scores(best.per_example, gain, best=top)
    return None if scores is None else replace(best, per_example=scores)
