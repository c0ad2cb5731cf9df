"""What is known of a metric that was judged: who judged, what it cost, and how far the judges can be relied on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairResult:
    """The candidate's answers against those of one baseline.

    ``n`` counts pairs (examples times repeats). The judge was asked about ``n_asked`` of them: equal answers are a tie,
    and a missing one loses. ``disagreements`` counts those in which the judge preferred another model when the order
    was turned, which are ties; in ``first_preferred`` of them it preferred whichever came first. All three are
    ``None`` where people judged.
    """

    baseline: str
    n: int
    wins: int
    ties: int
    losses: int
    disagreements: int | None = None
    first_preferred: int | None = None
    n_asked: int | None = None


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """One metric that was judged, by a model or by people (``judge`` is then "people").

    ``n_questions`` counts the different questions that the judge was asked, those of the calibration included, and
    ``n_stored`` those of them that were not asked in this run. Cost in US dollars, tokens and questions are the judge's
    alone: no model's own ``cost_usd`` holds them. ``kappa`` is the agreement with the human labels of the calibration
    (``n_kappa`` items), or of the people among themselves; ``kappa_kind`` says which kappa. ``raters`` counts people.
    """

    metric: str
    judge: str
    model: str | None = None
    prompt_version: int | None = None
    n_questions: int | None = None
    n_stored: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_unknown: str | None = None
    kappa: float | None = None
    kappa_kind: str | None = None
    n_kappa: int | None = None
    raters: int | None = None
    pairs: tuple[PairResult, ...] = ()
