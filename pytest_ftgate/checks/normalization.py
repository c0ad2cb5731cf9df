"""Where case and punctuation alone decide: a prompted "Refund." against a fine-tuned "refund" is no better model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.gain import gain_checks
from pytest_ftgate.result import Check, verdict_of
from pytest_ftgate.text import is_share, show_difference

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


def check(gate: Context) -> list[Check]:
    """Compare once more with case and punctuation ignored, and say where that changes the verdict on the gain."""
    lenient = gate.deciding.lenient()
    if lenient is None or not gate.accepts:
        return []
    metric, scored = gate.deciding, gate.scored
    candidate = lenient.score(gate.expected, scored["candidate"].answers)
    found = []
    for role, strict in gate.comparisons.items():
        other = gate.compare(lenient.score(gate.expected, scored[role].answers), candidate)
        verdicts = [verdict_of(tuple(gain_checks(gate, role, one))) for one in (strict, other)]
        share = is_share((metric.low, metric.high))
        check = normalization_check(*verdicts, gain=strict.gain, lenient_gain=other.gain, share=share)
        found += [check] if check else []
    return found


def normalization_check(
    verdict: str, lenient_verdict: str, *, gain: float, lenient_gain: float, share: bool
) -> Check | None:
    """A prompted "Refund." against a fine-tuned "refund" is no better model: said where it changes the verdict."""
    if verdict == lenient_verdict:
        return None
    return Check(
        "normalization",
        "warning",
        f"ignoring case and punctuation the gain is {show_difference(lenient_gain, share=share)} instead of "
        f"{show_difference(gain, share=share)}, and the verdict on it {lenient_verdict} instead of {verdict}",
        observed=lenient_gain,
        advice="If they do not matter to you, say so: metric: {name: ..., normalize: [case, punctuation]}.",
    )
