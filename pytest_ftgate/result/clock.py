"""What says whether it is time to train again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Drift:
    """A model today against the same model at the last green verdict: ``then`` and ``now`` are the metric's values.

    ``change`` is ``now`` less ``then``; ``worse`` and ``better`` count examples. ``beyond_noise`` is None where that
    cannot be told, and ``note`` says why.
    """

    role: str
    then: float
    now: float
    change: float
    worse: int
    better: int
    beyond_noise: bool | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """What says whether it is time to train again. Times are in UTC, ages in days at judgement.

    ``last_green`` is when this gate was green before this run, ``last_measured`` when the oldest prediction of that
    verdict was made, ``evidence_age_days`` the age of the oldest that this one rests on. ``base_models`` are those of
    today by role, ``last_base_models`` those of then, as far as known: what the candidate was fine-tuned from, what a
    baseline is served as. ``shutdown_dates`` are those that endpoints list, by the models' names.
    """

    last_green: str | None = None
    last_green_age_days: float | None = None
    last_measured: str | None = None
    evidence_age_days: float | None = None
    base_models: Mapping[str, str] = field(default_factory=dict)
    last_base_models: Mapping[str, str] = field(default_factory=dict)
    shutdown_dates: Mapping[str, str] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
