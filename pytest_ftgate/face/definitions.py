"""Which functions stand behind a fixture's name for one test, and what they were parametrized with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest


def definitions(request: pytest.FixtureRequest, name: str) -> Sequence[Any]:
    """The fixtures of this name that the test sees, the nearest last.

    pytest has no public way to ask for them.
    """
    where: Any = request.node if pytest.version_tuple >= (8, 1) else request.node.nodeid
    return request._fixturemanager.getfixturedefs(name, where) or ()


def parameters(item: pytest.Item) -> Mapping[str, Any]:
    """The values that the test was parametrized with, by name."""
    found: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return found


def parameters_of(request: pytest.FixtureRequest, name: str) -> Mapping[str, Any]:
    """Those of the test's parameters that reach a fixture: its own, and those of all fixtures that it depends on."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in reached:
            continue
        reached.add(one)
        for definition in reversed(definitions(request, one)):
            waiting += definition.argnames
            if one not in definition.argnames:  # else it extends the next one further out
                break
    return {one: value for one, value in parameters(request.node).items() if one in reached}
