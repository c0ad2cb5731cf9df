"""Check the shutdown dates that endpoints announce for their models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.freshness.last_green import LastGreen, asked_anew, check_name, served_as, today_models
from pytest_ftgate.errors import StoreError
from pytest_ftgate.models.openai_api.endpoint import endpoint_of
from pytest_ftgate.models.openai_api.look_up import Listing, ask_listings
from pytest_ftgate.result import STATUS_AT, Check, Clock, called
from pytest_ftgate.text import DAY_S, date_of, excerpt, plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.models import Notes
    from pytest_ftgate.models.openai_api.endpoint import Endpoint


_CURES = {
    "candidate": ("Fine-tune another base model", "judge the new candidate"),
    "baseline": ("Switch to its successor", "judge the gate again with the new baseline"),
}


def facts(gate: Context) -> dict[str, Clock | None]:
    """Return the clock with the shutdown dates that endpoints announce."""
    clock = gate.result.clock
    return {"clock": clock and replace(clock, shutdown_dates=_announced(gate)[0])}


def check(gate: Context) -> list[Check]:
    """Check that no model will be shut down soon."""
    return _announced(gate)[1]


@once
def _announced(gate: Context) -> tuple[dict[str, str], list[Check]]:
    """Return the shutdown dates by model name, and the checks of them."""
    level, dates, checks, known = gate.config.clock.shutdown, dict[str, str](), list[Check](), set[str]()
    if level == "ignore":
        return dates, checks
    assert gate.surroundings.notes is not None  # of a gate
    listings = Listings(gate.surroundings.notes, gate.now)
    for role, today in today_models(gate).items():
        spec = gate.asked(role)
        model = served_as(spec)
        if model is None:
            continue
        # Only endpoints that were asked for answers are asked for dates.
        ask = asked_anew(gate, role) and not gate.surroundings.offline
        # The models without which it cannot be served: itself and its base model.
        names = list(dict.fromkeys(name for name in (model, today.base_model) if name is not None))
        listed = (listings.asked if ask else listings.known)(endpoint_of(spec, model), names)
        ends = {name: at for name in names if (at := _listed(listed.get(name), gate.last_green, name)) is not None}
        dates |= ends
        unknown = [name for name in names if name not in ends and not (name in listed and listed[name].known)]
        if ends and not known.issuperset(names):
            first = min(ends, key=lambda name: ends[name])
            checks.append(shutdown_check(gate, role, model, first, ends[first]))
        elif unknown and level == "fail" and not known.issuperset(names):
            checks.append(unknown_check(role, unknown))
        known.update(names)
    return dates, checks


def _listed(listing: Listing | None, last: LastGreen | None, model: str) -> str | None:
    """Return the date that the endpoint lists, else the date known at the last green verdict."""
    if listing is not None and listing.known:
        return listing.shutdown
    known = last.shutdown.get(model) if last is not None else None
    with suppress(TypeError, ValueError):
        return date.fromisoformat(known).isoformat()  # type: ignore[arg-type]
    return None


def shutdown_check(gate: Context, role: str, model: str, listed: str, shutdown: str) -> Check:
    """Return the check of one date: at the level of ``clock.shutdown`` within the horizon, else a note.

    ``listed`` is the model that has the date (ISO 8601): ``model`` itself, or its base model.
    """
    level = gate.config.clock.shutdown
    required = gate.requirement("clock.shutdown_within_days", source=gate.source("clock.shutdown"))
    left = (date.fromisoformat(shutdown) - date_of(gate.now)).days
    due = left <= required["required"]
    when = f"in {plural(left, 'day')}" if left > 0 else f"{plural(-left, 'day')} ago" if left < 0 else "today"
    what = f"{called(role)} {excerpt(model)}"
    what += "" if listed == model else f" depends on the base model {excerpt(listed)}, which"
    do, then = _CURES["candidate" if role == "candidate" else "baseline"]
    late = f"The date has passed: {do[0].lower()}{do[1:]}, and {then}."
    advice = late if left < 0 else f"{do} before that date, and {then}."
    return Check(
        check_name("shutdown", role),
        STATUS_AT[level] if due else "note",
        f"{what} has the shutdown date {shutdown}, {when}",
        observed=shutdown,
        **required,
        advice=advice if due else None,
        action="another_model" if due and level == "fail" else None,
    )


def unknown_check(role: str, models: Sequence[str]) -> Check:
    """Return the note that the shutdown dates of these models are unknown."""
    message = f"{called(role)}: the endpoint does not say when {' and '.join(map(excerpt, models))} will be shut down"
    return Check(check_name("shutdown", role), "note", message)


PREFIX = "listing: "
"""Prefix of the names of notes on what endpoints list."""


class Listings:
    """What endpoints list about their models, from notes or, where those are older than a day, requested again."""

    def __init__(self, notes: Notes, now: float) -> None:
        self._notes = notes
        self._now = now

    def known(self, endpoint: Endpoint, models: Iterable[str]) -> dict[str, Listing]:
        """Return the listings of earlier runs, however old: an announced date stays valid."""
        found = {model: self._noted(endpoint, model) for model in models}
        return {model: listing for model, listing in found.items() if listing is not None}

    def asked(self, endpoint: Endpoint, models: Sequence[str]) -> dict[str, Listing]:
        """Return the listings, requesting those older than a day; requests that fail are ignored."""
        known = self.known(endpoint, models)
        due = [model for model in models if model not in known or not 0 <= self._now - known[model].asked_at < DAY_S]
        if due:
            for model, listing in ask_listings(endpoint, due, self._now).items():
                before = known.get(model)
                known[model] = replace(before, asked_at=self._now) if before and not listing.known else listing
                with suppress(StoreError):  # requested again next time
                    self._notes.put(_name(endpoint, model), json.dumps(asdict(known[model])))
        return known

    def _noted(self, endpoint: Endpoint, model: str) -> Listing | None:
        """Return the listing in a note; None if there is none or it cannot be read."""
        with suppress(StoreError, ValueError, TypeError, OverflowError):
            text = self._notes.get(_name(endpoint, model))
            return None if text is None else Listing.from_dict(json.loads(text))
        return None


def _name(endpoint: Endpoint, model: str) -> str:
    return f"{PREFIX}{sha256(endpoint.base_url.encode()).hexdigest()[:16]} {model}"
