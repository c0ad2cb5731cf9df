"""Models that an endpoint is about to stop serving: the dates that it announces, and what they mean for a gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pytest_ftgate.data.wording import excerpt
from pytest_ftgate.moments import date_of
from pytest_ftgate.numbers import plural
from pytest_ftgate.result import STATUS_AT, Check, called
from pytest_ftgate.retraining.drift import check_name
from pytest_ftgate.retraining.last_green import LastGreen

if TYPE_CHECKING:
    from pytest_ftgate.config import GateConfig
    from pytest_ftgate.models.endpoint import Endpoint
    from pytest_ftgate.models.lifetime import Listing
    from pytest_ftgate.retraining.listings import Listings

_RETRAIN = "Train on another base model before that day, and judge the new candidate."
_RETRAIN_LATE = "That day has passed: train on another base model, and judge the new candidate."
_SUCCESSOR = "Name its successor in time: against another baseline the gate has to be judged anew."
_SUCCESSOR_LATE = "That day has passed: name its successor, and judge the gate anew against it."


@dataclass(frozen=True)
class Served:
    """A model at an endpoint.

    Attributes:
        role: in the gate.
        model: its name there.
        base_model: what it was fine-tuned from; None: nothing, or that is not known.
        endpoint: whom to ask.
        ask: the endpoint may be asked, as it was for answers.
    """

    role: str
    model: str
    base_model: str | None
    endpoint: Endpoint
    ask: bool

    @property
    def names(self) -> list[str]:
        """Those whose end is its end."""
        return list(dict.fromkeys(name for name in (self.model, self.base_model) if name is not None))


def shutdowns(
    config: GateConfig, models: Iterable[Served], last: LastGreen | None, listings: Listings, now: float
) -> tuple[dict[str, str], list[Check]]:
    """The dates by the models' names, and what they mean.

    Args:
        config: the gate.
        models: of the gate.
        last: the last green verdict, which knows what was announced by then.
        listings: what endpoints say of their models.
        now: seconds since the epoch.
    """
    dates: dict[str, str] = {}
    checks: list[Check] = []
    told: set[str] = set()
    for one in models:
        names = one.names
        look = listings.asked if one.ask else listings.known
        known = look(one.endpoint, names)
        found = {name: at for name in names if (at := _listed(known.get(name), last, name)) is not None}
        dates |= found
        unknown = [name for name in names if name not in found and not (name in known and known[name].known)]
        if found and not told.issuperset(names):
            first = min(found, key=lambda name: found[name])
            checks.append(shutdown_check(config, one.role, one.model, first, found[first], now))
        elif unknown and config.clock.shutdown == "fail" and not told.issuperset(names):
            checks.append(unknown_check(one.role, unknown))
        told.update(names)
    return dates, checks


def _listed(listing: Listing | None, last: LastGreen | None, model: str) -> str | None:
    """The date that the endpoint lists, else the one that was known at the last green verdict."""
    if listing is not None and listing.known:
        return listing.shutdown
    kept = last.shutdown.get(model) if last is not None else None
    with suppress(TypeError, ValueError):
        return date.fromisoformat(kept).isoformat()  # type: ignore[arg-type]
    return None


def shutdown_check(config: GateConfig, role: str, model: str, listed: str, shutdown: str, now: float) -> Check:
    """Within the horizon, or past, what the gate says; before that a note.

    Args:
        config: the gate.
        role: of the model.
        model: its name at the endpoint.
        listed: the model that has the date: itself, or its base model.
        shutdown: the date.
        now: seconds since the epoch.
    """
    clock = config.clock
    left = (date.fromisoformat(shutdown) - date_of(now)).days
    due = left <= clock.shutdown_within_days
    when = f"in {plural(left, 'day')}" if left > 0 else f"{plural(-left, 'day')} ago" if left < 0 else "today"
    what = f"{called(role)} {excerpt(model)}"
    what += " is" if listed == model else f" ends with its base model {excerpt(listed)}, which is"
    return Check(
        check_name("shutdown", role),
        STATUS_AT[clock.shutdown] if due else "note",
        f"{what} listed with the shutdown date {shutdown}, {when}",
        observed=shutdown,
        required=clock.shutdown_within_days,
        source=clock.source("shutdown"),
        advice=_advice(role, past=left < 0) if due else None,
    )


def _advice(role: str, *, past: bool) -> str:
    if role == "candidate":
        return _RETRAIN_LATE if past else _RETRAIN
    return _SUCCESSOR_LATE if past else _SUCCESSOR


def unknown_check(role: str, models: Sequence[str]) -> Check:
    """Nobody has said when these models end."""
    names, are = " and ".join(map(excerpt, models)), "is" if len(models) == 1 else "are"
    return Check(
        check_name("shutdown", role),
        "note",
        f"{called(role)}: whether {names} {are} about to be shut down is unknown: the endpoint has not said",
    )
