"""Comparisons of two scores on the same examples with a margin or an allowed drop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.parts import Tolerance
from pytest_ftgate.metrics import Scored
from pytest_ftgate.result import Status, opponent
from pytest_ftgate.runs.measure import compare_scored
from pytest_ftgate.statistics.evidence import Comparison, Evidence
from pytest_ftgate.text import settled_by, show_amount, show_difference

_WORST_LAST: tuple[Status, ...] = ("pass", "warning", "inconclusive", "fail")

_NO_MARGIN = -1e-12
"""The margin for ``max_drop: 0``, since a test that rules out a drop needs a margin below 0."""


@dataclass(frozen=True)
class Drop:
    """Hold the comparison with a baseline and its status: one of the verdicts, or "warning"."""

    status: Status
    compared: Comparison
    baseline: Scored
    role: str

    def facts(self, candidate: Scored) -> dict[str, Any]:
        """Return the values that reports show, by their names there."""
        return {
            **self.compared.facts(),
            "against": self.role,
            "baseline": self.baseline.value,
            "candidate": candidate.value,
        }


def as_fraction(gain: float | Fraction) -> Fraction:
    """Return a gain for an exact comparison: counts as fractions, other values rounded to 12 decimals."""
    return gain if isinstance(gain, Fraction) else Fraction(repr(round(gain, 12)))


def exact_gain(comparison: Comparison) -> Fraction:
    """Return a measured gain for an exact comparison."""
    return as_fraction(comparison.gain if comparison.gain_exact is None else comparison.gain_exact)


def gain_reaches(gain: float | Fraction, least: float) -> bool:
    """Return whether a gain reaches a margin, or minus a ``max_drop``, exactly. Margin 0 asks for more than 0."""
    measured, asked = as_fraction(gain), Fraction(repr(least))
    return measured > 0 if asked == 0 else measured >= asked


def is_shown(found: Evidence, evidence: str) -> bool:
    """Return whether a gain is shown as surely as ``evidence`` asks for."""
    return {"observed": True, "significant": found.above_zero, "proven": found.reaches_margin}[evidence]


def status_of(compared: Comparison, least: float, evidence: str) -> Status:
    """Return what becomes of a gain that must reach ``least``, the margin of the comparison, and be shown."""
    if not gain_reaches(exact_gain(compared), least):
        return "fail"
    return "pass" if is_shown(compared, evidence) else "inconclusive"


def gain_status(gate: Context, role: str, comparison: Comparison) -> Status:
    """Return what becomes of the candidate's gain over one baseline, by the standard of that baseline."""
    return status_of(comparison, gate.config.standard_of(role).gain, gate.evidence_of(role))


def best_first(baselines: Mapping[str, Scored]) -> list[str]:
    """Return the roles of baselines, that with the best value first."""
    return sorted(baselines, key=lambda role: -baselines[role].metric.sign * baselines[role].value)


def judge_drop(
    baselines: Mapping[str, Scored], candidate: Scored, tolerance: Tolerance, groups: Sequence[str | None]
) -> Drop:
    """Compare the candidate's score with that of every baseline on the same examples, and return the worst outcome.

    To pass, the candidate must pass against every baseline. This needs no correction of the confidence. The best
    measured baseline alone would not do: it is often not the best one in reality.

    Source: R. L. Berger, Technometrics 24 (1982) 295-300.
    """
    asked: dict[str, Any] = {"margin": -tolerance.max_drop or _NO_MARGIN, "groups": groups}
    asked["evidence"], confidence = "proven" if tolerance.proven else "observed", tolerance.confidence

    def worse(compared: Comparison) -> bool:
        """Return whether the real gain is surely below 0."""
        return compared.upper is not None and compared.upper < 0

    def judged(role: str) -> Drop:
        found = compare_scored(baselines[role], candidate, confidence=confidence, **asked)
        status = status_of(found, asked["margin"], asked["evidence"])
        if status == "fail" and not tolerance.proven and not worse(found):
            alone = compare_scored(baselines[role], candidate, confidence=tolerance.alone or confidence, **asked)
            status = "warning" if tolerance.alone is None or worse(alone) else "pass"
        return Drop(status, found, baselines[role], role)

    drops = [judged(role) for role in best_first(baselines)]
    return max(drops, key=lambda drop: (_WORST_LAST.index(drop.status), -drop.compared.gain))


def shown_gain(gate: Context, role: str, comparison: Comparison) -> str:
    """Return ``gain +2.1 points``; with several baselines ``gain over baseline few_shot +2.1 points``."""
    over = "" if role == "baseline" else f" over {opponent(role)}"
    return f"gain{over} {show_difference(comparison.gain, share=gate.share)}"


def drop_fields(gate: Context, path: str, drop: Drop | None = None) -> dict[str, Any]:
    """Return the fields of a check of a drop under the key ``path``: the measured gain, and the limit."""
    field = gate.requirement(f"{path}.max_drop")
    observed = {} if drop is None else {"observed": drop.compared.gain}
    return {**field, **observed, "required": -field["required"] or 0.0}


def of_role(role: str | None) -> str:
    """Return `` (baseline few_shot)`` for one of several baselines."""
    return "" if role in (None, "baseline") else f" ({opponent(role)})"


def drop_limit(max_drop: float, *, share: bool) -> str:
    """Return a limit on the gain in words: ``limit -2 points``."""
    return f"limit {'-' if max_drop else ''}{show_amount(max_drop, share=share)}"


def examples_advice(compared: Comparison, hope: str = "lost less", noun: str = "example") -> str:
    """Return how many examples would prove a drop to be within the limit.

    ``hope`` is what must be true of the candidate for more examples to help.
    """
    if compared.examples_needed is None:
        return f"More examples only help if the candidate {hope} than measured here."
    return settled_by("difference", compared.examples_needed, compared.n, noun)
