"""Check that stored answers come from the weights that the endpoint serves now, where a name may get others."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.last_green import check_name
from pytest_ftgate.result import Check, called
from pytest_ftgate.text import excerpt, plural, show_age, timestamp

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.models.openai_api.weights import Said, Weights

_PIN = (
    "Set revision on the model: a name for its weights, such as revision: step-1000, to be changed with them. Or ask "
    "again with --ftgate-cache=refresh."
)
_ONLINE = (
    "Run without --ftgate-offline, so that the endpoint is asked which weights it serves, or commit recordings "
    "(--ftgate-report=recordings:FOLDER). A revision on the model names its weights."
)


def check(gate: Context) -> Iterator[Check]:
    """Yield a warning for stored answers that were not used, and for those that nothing proves to hold."""
    known: set[tuple[str, str]] = set()
    for role, run in gate.all_runs():
        weights = run.model.weights
        if weights is None or (weights.endpoint.base_url, weights.endpoint.model) in known:
            continue
        compared = role in gate.models
        who = f"{called(role) if compared else 'judge'} {excerpt(weights.endpoint.model)}"
        name = check_name("weights", role) if compared else f"weights_{role}"
        for check in weights_checks(weights, name, who, now=gate.now, offline=gate.surroundings.offline):
            known.add((weights.endpoint.base_url, weights.endpoint.model))
            yield check


def weights_checks(weights: Weights, name: str, who: str, *, now: float, offline: bool) -> Iterator[Check]:
    """Yield the warnings about the stored answers of a model, once it has run."""
    standing, endpoint, n = weights.standing, weights.endpoint, len(weights.outdated)
    if n:
        if standing.reason == "training":
            why = "the training set has changed since, and nothing tells whether the model has"
        elif standing.note is not None and standing.note.before:
            before, said = standing.note.before, standing.note.said
            names = [name for name in {**before, **said} if before.get(name) != said.get(name)]
            changes = ", ".join(f"{name} {_shown(before, name)} -> {_shown(said, name)}" for name in names)
            why = f"the endpoint describes other weights since {timestamp(standing.since)}: {changes}"
        else:
            why = "the endpoint did not describe its weights when they were made"
        yield Check(name, "warning", f"{who}: {plural(n, 'stored answer')} not used, because {why}", n)
    if n := len(weights.unverified):
        age = show_age(max(0.0, now - min(weights.unverified.values())))
        why = f"GET {endpoint.base_path}/models does not identify its weights"
        if offline:
            why = "--ftgate-offline forbids asking it"
        elif isfinite(standing.proven_since):
            why = "it was not asked for its weights when they were made"
        what = f"{plural(n, 'stored answer')}, the oldest {age} old, may come from other weights than {endpoint.where}"
        message = f"{who}: {what} serves now: {why}"
        yield Check(name, "warning", message, n, advice=_ONLINE if offline else _PIN)


def _shown(said: Said, name: str) -> str:
    return excerpt(str(said.get(name, "none")), width=60)
