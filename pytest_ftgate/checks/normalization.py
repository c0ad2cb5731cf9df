"""Where case and punctuation alone decide: a prompted "Refund." against a fine-tuned "refund" is no better model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.checks.gain import gain_checks
from pytest_ftgate.result import Check, verdict_of
from pytest_ftgate.text import show_difference

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context


def check(gate: Context) -> Iterator[Check]:
    """Compare once more with case and punctuation ignored, and say where that changes the verdict on the gain."""
    lenient = gate.deciding.lenient()
    if lenient is None or not gate.accepts:
        return
    candidate = lenient.score(gate.expected, gate.scored["candidate"].answers)
    for role, strict in gate.comparisons.items():
        other = gate.compare(lenient.score(gate.expected, gate.scored[role].answers), candidate)
        before, after = (verdict_of(tuple(gain_checks(gate, role, one))) for one in (strict, other))
        if before != after:
            less, more = (show_difference(one.gain, share=gate.share) for one in (strict, other))
            yield Check(
                "normalization",
                "warning",
                f"ignoring case and punctuation the gain is {more} instead of {less}, "
                f"and the verdict on it {after} instead of {before}",
                observed=other.gain,
                advice="If they do not matter to you, say so: metric: {name: ..., normalize: [case, punctuation]}.",
            )
