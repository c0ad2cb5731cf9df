"""Models that an endpoint is about to stop serving: the dates that it announces, and what they mean for a gate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.freshness.last_green import LastGreen
from pytest_ftgate.checks.freshness.models import asked_anew, check_name, served_as, today_models
from pytest_ftgate.errors import ModelError, StoreError
from pytest_ftgate.models.openai_api.endpoint import endpoint_of
from pytest_ftgate.models.openai_api.lifetime import Listing, ask_listings
from pytest_ftgate.result import STATUS_AT, Check, Clock, called
from pytest_ftgate.text import DAY_S, date_of, excerpt, plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.models import Notes
    from pytest_ftgate.models.openai_api.endpoint import Endpoint
    from pytest_ftgate.models.openai_api.lifetime import Listing


_RETRAIN = "Train on another base model before that day, and judge the new candidate."

_RETRAIN_LATE = "That day has passed: train on another base model, and judge the new candidate."

_SUCCESSOR = "Name its successor in time: against another baseline the gate has to be judged anew."

_SUCCESSOR_LATE = "That day has passed: name its successor, and judge the gate anew against it."


def facts(gate: Context) -> dict[str, Clock | None]:
    """Return the clock with the shutdown dates that endpoints announce."""
    clock = gate.result.clock
    return {"clock": clock and replace(clock, shutdown_dates=_announced(gate)[0])}


def check(gate: Context) -> list[Check]:
    """Check that no model is about to be shut down."""
    return _announced(gate)[1]


@once
def _announced(gate: Context) -> tuple[dict[str, str], list[Check]]:
    if gate.config.clock.shutdown == "ignore":
        return {}, []
    assert gate.surroundings.notes is not None  # of a gate
    listings = Listings(gate.surroundings.notes, gate.now)
    return shutdowns(gate.config, _served(gate), gate.last_green, listings, gate.now)


def _served(gate: Context) -> Iterator[Served]:
    """Yield the models at endpoints. Only who was asked for answers is asked for dates."""
    for role, today in today_models(gate).items():
        spec = gate.asked(role)
        model = served_as(spec)
        if model is not None:
            ask = asked_anew(gate, role) and not gate.surroundings.offline
            yield Served(role, model, today.base_model, endpoint_of(spec, model), ask)


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
    config: GateKeys, models: Iterable[Served], last: LastGreen | None, listings: Listings, now: float
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


def shutdown_check(config: GateKeys, role: str, model: str, listed: str, shutdown: str, now: float) -> Check:
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
        action="another_model" if due and clock.shutdown == "fail" else None,
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


PREFIX = "listing: "
"""How the names of notes on what endpoints list begin."""


class Listings:
    """What is known of models at endpoints: out of notes, and asked anew where that is allowed.

    Args:
        notes: where answers are kept for a day.
        now: seconds since the epoch.
    """

    def __init__(self, notes: Notes, now: float) -> None:
        self._notes = notes
        self._now = now

    def known(self, endpoint: Endpoint, models: Iterable[str]) -> dict[str, Listing]:
        """What earlier runs were told, however long ago: an announced date stays true."""
        found = {model: self._noted(endpoint, model) for model in models}
        return {model: listing for model, listing in found.items() if listing is not None}

    def asked(self, endpoint: Endpoint, models: Sequence[str]) -> dict[str, Listing]:
        """The same; what was told more than a day ago is asked again. Whatever goes wrong, nothing is known then."""
        known = self.known(endpoint, models)
        due = [model for model in models if not self._is_fresh(known.get(model))]
        if due:
            told: dict[str, Listing] = {}
            with suppress(ModelError):  # which says that the loop stands still
                from pytest_ftgate.models.event_loop import run_in_own_loop

                told = run_in_own_loop(ask_listings(endpoint, due, self._now), lambda: None)
            for model, listing in told.items():
                before = known.get(model)
                known[model] = replace(before, asked_at=self._now) if before and not listing.known else listing
                with suppress(StoreError):  # it is asked again next time
                    self._notes.put(_name(endpoint, model), json.dumps(asdict(known[model])))
        return known

    def _is_fresh(self, listing: Listing | None) -> bool:
        return listing is not None and 0 <= self._now - listing.asked_at < DAY_S

    def _noted(self, endpoint: Endpoint, model: str) -> Listing | None:
        """A note that cannot be read is as none."""
        with suppress(StoreError, ValueError, TypeError, OverflowError):
            text = self._notes.get(_name(endpoint, model))
            return None if text is None else Listing.from_dict(json.loads(text))
        return None


def _name(endpoint: Endpoint, model: str) -> str:
    return f"{PREFIX}{sha256(endpoint.base_url.encode()).hexdigest()[:16]} {model}"
