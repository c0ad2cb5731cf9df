"""What one model did on the test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate.result.check import Verdict


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What one model did on the test set. Latencies in seconds, cost in US dollars; ``None``: not measured.

    ``n_expected`` counts the answers asked for (examples times repeats), ``n_scored`` those that were scored,
    ``n_errors`` those missing after all retries, ``n_stored`` those that were not asked for in this run,
    ``n_refused`` refusals and filtered answers, ``n_empty`` empty ones, ``n_cut_off`` those that ran into a length
    limit, ``n_unknown`` those that are no known label. ``oldest_prediction`` is the time of the oldest stored one, in
    UTC, ``oldest_age_s`` its age at judgement. ``verified`` is False where recorded predictions do not say what input
    they were made for. ``latency_unknown`` says why there are no latencies, ``cost_unknown`` why there is no
    ``cost_usd``; ``price`` says where the price comes from (``unknown: ...`` and why, where there is none). ``job``,
    ``checkpoint`` (its step), ``base_model``, ``trained_tokens`` and ``hyperparameters`` are what the endpoint says of
    a model that is named by its job.
    """

    name: str
    model: str | None = None
    value: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    n_expected: int | None = None
    n_scored: int | None = None
    n_errors: int | None = None
    n_stored: int | None = None
    n_refused: int | None = None
    n_empty: int | None = None
    n_cut_off: int | None = None
    n_unknown: int | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    latency_unknown: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    cost_unknown: str | None = None
    price: str | None = None
    error_rate: float | None = None
    oldest_prediction: str | None = None
    oldest_age_s: float | None = None
    verified: bool | None = None
    job: str | None = None
    checkpoint: int | None = None
    base_model: str | None = None
    trained_tokens: int | None = None
    hyperparameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """One of several candidates, by the name it was written under; ``verdict`` is ``None`` where it was not judged.

    ``gain`` and ``lower_bound`` are over the best baseline, at the confidence that allows for the choice.
    """

    name: str
    model: str
    verdict: Verdict | None = None
    value: float | None = None
    gain: float | None = None
    lower_bound: float | None = None
    cost_usd: float | None = None


def called(role: str) -> str:
    """What messages call a model: ``candidate``, ``baseline``, or ``baseline few_shot`` of several."""
    return role if role in ("baseline", "candidate") else f"baseline {role}"
