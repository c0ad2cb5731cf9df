"""Check that stored answers come from the weights that the endpoint serves now, where a name may get others."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.models import check_name
from pytest_ftgate.result import Check, called
from pytest_ftgate.text import excerpt, plural, show_age, timestamp

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.models.openai_api.weights import Note, Said, Weights

_PIN = (
    "Set revision on the model: a name for its weights, such as revision: step-1000, to be changed with them. Or ask "
    "again with --ftgate-cache=refresh."
)


def check(gate: Context) -> Iterator[Check]:
    """Yield a warning for stored answers that were asked anew, and for those that nothing proves to hold."""
    known: set[tuple[str, str]] = set()
    for role, run in gate.all_runs():
        weights = run.model.weights
        if weights is None or (name := (weights.endpoint.base_url, weights.endpoint.model)) in known:
            continue
        if weights.outdated or weights.unverified:
            known.add(name)
            who = f"{called(role)} {excerpt(weights.endpoint.model)}"
            yield from _asked_anew(role, who, weights)
            yield from _unverified(gate, role, who, weights)


def _asked_anew(role: str, who: str, weights: Weights) -> Iterator[Check]:
    n = len(weights.outdated)
    if not n:
        return
    standing = weights.standing
    if standing.reason == "training":
        why = "the training set has changed since they were made, and the endpoint says nothing of its weights"
    elif standing.note is not None and standing.note.before:
        why = f"the endpoint describes other weights since {timestamp(standing.since)}: {_differences(standing.note)}"
    else:
        why = "the endpoint did not describe its weights when they were made"
    message = f"{who}: {plural(n, 'stored answer')} not used, because {why}"
    yield Check(check_name("weights", role), "warning", message, observed=n)


def _unverified(gate: Context, role: str, who: str, weights: Weights) -> Iterator[Check]:
    n, endpoint = len(weights.unverified), weights.endpoint
    if not n:
        return
    age = show_age(max(0.0, gate.now - min(weights.unverified.values())))
    why = f"GET {endpoint.base_path}/models does not identify them"
    if gate.surroundings.offline:
        why = "--ftgate-offline forbids to ask it"
    elif isfinite(weights.standing.proven_since):
        why = "it was not asked when they were made"
    message = (
        f"{who}: {plural(n, 'answer')} from the store (the oldest {age} old) may come from other weights than "
        f"{endpoint.where} serves now: {why}"
    )
    yield Check(check_name("weights", role), "warning", message, observed=n, advice=_PIN)


def _differences(note: Note) -> str:
    names = [name for name in {**note.before, **note.said} if note.before.get(name) != note.said.get(name)]
    return ", ".join(f"{name} {_shown(note.before, name)} -> {_shown(note.said, name)}" for name in names)


def _shown(said: Said, name: str) -> str:
    return excerpt(str(said.get(name, "none")), width=60)
