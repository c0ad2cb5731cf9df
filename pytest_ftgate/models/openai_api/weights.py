"""Find out whether an endpoint still serves the weights that gave the stored answers: its names may get others."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pytest_ftgate import clock
from pytest_ftgate.data import canonical_json
from pytest_ftgate.errors import ModelError, StoreError
from pytest_ftgate.models.openai_api.endpoint import check_key, endpoint_of, fields
from pytest_ftgate.models.openai_api.look_up import look_up

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.models.protocol import Notes, Prediction, Surroundings

Said = Mapping[str, Any]  # what an endpoint says of a model, as far as it is about the weights; empty: nothing
TICK_S = 1.1  # after which a time of the request, in whole seconds, has changed
_IDENTIFY = re.compile(
    r"(^|_)(created|modified|fingerprint|digest|sha|sha256|md5|hash|checksum|revision|version|commit|etag)(_|$)"
)
# These change with other weights, but need not: a folder may hold new files.
_RELATE = frozenset({"root", "parent", "size", "n_params"})
# Servers without a time send 0, or a constant of OpenAI's documentation as LiteLLM does.
_NO_TIMES = (0, 1677610602)


@dataclass(frozen=True)
class Note:
    """Hold what is remembered of a model; times are in seconds since the epoch."""

    said: Said  # what the endpoint said of the model
    since: float  # when it changed what it says; answers from before do not hold
    asked_since: float  # when it first said so, for all that is known
    before: Said = field(default_factory=dict)  # what it said until then
    volatile: tuple[str, ...] = ()  # the names of facts that differ from request to request


@dataclass(frozen=True)
class Standing:
    """Say which stored answers of a model hold."""

    since: float  # answers from before this time (seconds since the epoch) do not
    reason: Literal["weights", "training"] = "weights"  # why not: other weights are described, or other training data
    proven_since: float = float("inf")  # those from then on hold because the endpoint identifies their weights
    note: Note | None = None  # what is remembered; None: nothing yet


class Weights:
    """Decide which stored answers of one model hold. The endpoint is asked at most once, and never offline.

    Answers from before the endpoint changed its description of the model do not hold. Where the description does not
    identify the weights, answers of earlier sessions hold if the training set is the same.

    ``parameters`` are those of the fixture that gave the model.
    """

    def __init__(self, spec: ModelSpec, surroundings: Surroundings, parameters: str) -> None:
        assert surroundings.notes is not None
        self.unverified: dict[str, float] = {}  # when answers of earlier sessions were made that hold without a proof
        self.outdated: set[str] = set()  # keys of stored answers that do not hold
        self.endpoint = endpoint_of(spec, spec.options["model"])
        self._notes: Notes = surroundings.notes
        self._offline = surroundings.offline
        self._started = surroundings.started
        self._training = surroundings.training
        self._parameters = parameters

    @cached_property
    def standing(self) -> Standing:
        """Return which stored answers hold. Raises :class:`StoreError` if the notes cannot be read."""
        known = self._note()
        if self._offline:
            return Standing(float("-inf")) if known is None else self._unverified(known)
        said, volatile = self._asked(known)
        if known is None:
            known = self._changed(Note(said, 0.0, self._started, volatile=volatile))
        elif said and said != _without(known.said, volatile):
            now = clock.wall()
            known = self._changed(Note(said, now, now, known.said, volatile))
        elif volatile != known.volatile:
            known = self._remembered(replace(known, said=said, volatile=volatile))
        if any(_IDENTIFY.search(name.rpartition(".")[2]) for name in said):
            return Standing(known.since, proven_since=known.asked_since, note=known)
        return self._unverified(known)

    def holding(self, stored: Mapping[str, Prediction]) -> dict[str, Prediction]:
        """Return the stored answers that hold, and count the others. Raises :class:`StoreError`."""
        times = {key: one.created_at or 0.0 for key, one in stored.items()}
        since, proven_since = self.standing.since, self.standing.proven_since
        self.outdated.update(key for key, at in times.items() if at < since)
        self.unverified |= {key: at for key, at in times.items() if since <= at < min(proven_since, self._started)}
        return {key: stored[key] for key, at in times.items() if at >= since}

    def _unverified(self, known: Note) -> Standing:
        """Return which answers hold where nothing identifies the weights: those made for the same training set."""
        trained = self._trained()
        return Standing(max(known.since, trained), "training" if trained > known.since else "weights", note=known)

    # --- what the endpoint says ----------------------------------------------------------------------------------

    def _asked(self, known: Note | None) -> tuple[Said, tuple[str, ...]]:
        """Return what the endpoint says, without what differs from request to request, and the names of that."""
        volatile = known.volatile if known is not None else ()
        said = _without(self._said(), volatile)
        if known is not None and said and (said != known.said or _is_fresh(said)):  # created may be the request's time
            again = _without(self._said(TICK_S), volatile)
            moving = {name for name in said.keys() | again.keys() if said.get(name) != again.get(name)}
            volatile = tuple(sorted({*volatile, *moving})) if again else volatile
        return _without(said, volatile), volatile

    def _said(self, after_s: float = 0.0) -> Said:
        """Return what the endpoint says of the model after some seconds; empty if it says nothing, or cannot."""
        with suppress(ModelError):  # there is no key
            check_key(self.endpoint)
            time.sleep(after_s)
            _, listed = look_up(self.endpoint, "/models")
            return described(listed, self.endpoint.model)
        return {}

    # --- notes ---------------------------------------------------------------------------------------------------

    def _changed(self, note: Note) -> Note:
        """Remember a new description, and the training set whose answers it is said of."""
        if self._training is not None:
            self._keep("training", {"sha256": self._training.sha256, "since": note.since})
        return self._remembered(note)

    def _remembered(self, note: Note) -> Note:
        self._keep("weights", asdict(note))
        return note

    def _trained(self) -> float:
        """Return since when the training set is the same; the beginning of this session if it has changed."""
        training = self._training
        if training is None:
            return float("-inf")
        kept = self._kept("training")
        if kept.get("sha256") == training.sha256 and isinstance(kept.get("since"), float):
            return float(kept["since"])
        if not self._offline:
            self._keep("training", {"sha256": training.sha256, "since": self._started})
        return self._started

    def _note(self) -> Note | None:
        kept = self._kept("weights")
        try:
            since, asked_since = float(kept["since"]), float(kept["asked_since"])
            note = Note(kept["said"], since, asked_since, kept["before"], tuple(kept["volatile"]))
        except (KeyError, TypeError, ValueError):
            return None
        return note if isinstance(note.said, Mapping) and isinstance(note.before, Mapping) else None

    def _kept(self, about: str) -> Said:
        try:
            return fields(json.loads(self._notes.get(self._name(about)) or "null"))
        except ValueError:
            return {}

    def _keep(self, about: str, facts: Mapping[str, Any]) -> None:
        with suppress(StoreError):  # the answers could not be stored either
            self._notes.put(self._name(about), json.dumps(facts))

    def _name(self, about: str) -> str:
        facts = [self.endpoint.base_url, self.endpoint.model, self._parameters]
        if about == "training" and self._training is not None:
            facts.append(self._training.origin)
        return f"{about}: {hashlib.sha256(canonical_json(facts).encode()).hexdigest()}"


def described(listed: object, model: str) -> Said:
    """Return what a list of models, read without trust, says of the weights of one of them."""
    rows = fields(listed).get("data")
    entries = [fields(row) for row in rows] if isinstance(rows, list) else []
    names = (model, f"{model}:latest")  # as Ollama completes them
    entry = next((entry for entry in entries if entry.get("id") in names), {})
    facts = {**entry, **{f"meta.{name}": value for name, value in fields(entry.get("meta")).items()}}
    return {name: value for name, value in facts.items() if _is_about_weights(name, value)}


def _is_about_weights(name: str, value: object) -> bool:
    last = name.rpartition(".")[2]
    if not isinstance(value, str | int | float) or value in ("", *_NO_TIMES):
        return False
    return last in _RELATE or _IDENTIFY.search(last) is not None


def _is_fresh(said: Said) -> bool:
    """Return whether a time in it is about now, so that it may be the time of the request."""
    now = clock.wall()
    return any(isinstance(value, int | float) and abs(now - value) <= 2 * TICK_S for value in said.values())


def _without(said: Said, names: Collection[str]) -> Said:
    return {name: value for name, value in said.items() if name not in names}
