"""What a verdict rests on, and how old it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import made_at
from pytest_ftgate.text import DAY_S, day, plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.models import Prediction
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.runs.runner import Run

_AGAIN = "Ask the models again (--ftgate-cache=refresh; recordings are made anew), and retrain where that is not green."
_UNDATED = (
    "Record them by --ftgate-report=recordings:FOLDER, which writes created_at; or ask the models themselves; "
    "or take max_age_days out."
)
_UNBORN = "Set the clock of this machine, or ask the models again: no answer is younger than today."


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    Attributes:
        runs: of the models over the test set, by role.
        samples: from which latencies are taken, by role.
        guards: over the guards' test sets, by guard and role.
        scored: the runs with their scores; empty where there are none.
        judges: what models that judge said, by the names of their recordings.
    """

    runs: Mapping[str, Run]
    samples: Mapping[str, Run]
    guards: Mapping[tuple[str, str], Run]
    scored: Mapping[str, Measured]
    judges: Mapping[str, Run] = field(default_factory=dict)

    def all_runs(self) -> Iterator[tuple[str, Run]]:
        """Every run with its role."""
        yield from self.runs.items()
        yield from self.samples.items()
        yield from ((role, run) for (_, role), run in self.guards.items())
        yield from self.judges.items()

    def asked_anew(self, role: str) -> bool:
        """Some answer of the model was asked for in this run; to read a recording is not to ask."""
        runs = [run for name, run in self.all_runs() if name == role and run.model.verified is None]
        return any(_is_new(one) for run in runs for one in _predictions(run))


def _predictions(run: Run) -> Iterator[Prediction]:
    return (prediction for repeat in run.predictions for prediction in repeat)


def _is_new(prediction: Prediction) -> bool:
    return prediction.completion is not None and not prediction.stored


def oldest_prediction(evidence: Evidence) -> float | None:
    """When the oldest answer was made, seconds since the epoch; None where that of any is unknown."""
    times = [at for _, run in evidence.all_runs() for _, at in made_at(run)]
    known = [at for at in times if at is not None]
    return min(known) if known and len(known) == len(times) else None


def _newest(evidence: Evidence) -> float:
    """When the newest answer was made, where that of each is known."""
    return max(at for _, run in evidence.all_runs() for _, at in made_at(run) if at is not None)


def age_check(config: GateConfig, evidence: Evidence, oldest: float | None, now: float) -> Check:
    """The oldest answer is not older than ``max_age_days``. What cannot be told is an error.

    Args:
        config: a gate with ``max_age_days``.
        evidence: what the verdict rests on.
        oldest: when its oldest answer was made, seconds since the epoch; None: not known.
        now: likewise.
    """
    asked = config.max_age_days
    assert asked is not None  # the caller has seen it
    source = str(config.sources["max_age_days"])
    if oldest is None:
        undated = {role for role, run in evidence.all_runs() if any(at is None for _, at in made_at(run))}
        models = [called(role) for role in evidence.runs if role in undated]
        roles = ", ".join([*models, *(["the judge"] if undated.intersection(evidence.judges) else [])])
        return Check(
            "max_age_days",
            "error",
            f"how old the evidence is cannot be told: predictions of {roles} do not say when they were made",
            required=asked,
            source=source,
            advice=_UNDATED,
        )
    if (newest := _newest(evidence)) > now + DAY_S:  # an hour of two clocks apart is no matter
        return Check(
            "max_age_days",
            "error",
            f"how old the evidence is cannot be told: a prediction says that it was made on {day(newest)}, "
            f"and today is {day(now)}",
            required=asked,
            source=source,
            advice=_UNBORN,
        )
    age = max(now - oldest, 0.0) / DAY_S
    held = age <= asked
    seen = f"the oldest prediction is of {day(oldest)}, {plural(int(age), 'day')} old"
    return Check(
        "max_age_days",
        "pass" if held else "fail",
        f"{seen}; it may be {asked:g}",
        observed=round(age, 3),
        required=asked,
        source=source,
        advice=None if held else _AGAIN,
    )
