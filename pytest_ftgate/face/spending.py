"""What a session may spend (``--ftgate-max-cost``), and what it says of that at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pytest_ftgate.numbers import show_usd
from pytest_ftgate.render.text import Line
from pytest_ftgate.running.budget import Budget


def session_budget(config: pytest.Config, worker: Mapping[str, Any] | None) -> Budget | None:
    """What this process may spend: under xdist, where nobody knows what the others spend, an even share."""
    limit_usd = config.getoption("--ftgate-max-cost")
    return None if limit_usd is None else Budget(limit_usd, worker["workercount"] if worker else 1)


def spent_lines(config: pytest.Config, budget: Budget) -> Iterator[Line]:
    """What was spent of the limit, and what was not counted."""
    limit_usd = config.getoption("--ftgate-max-cost")
    unsure = f", and perhaps {show_usd(budget.unsure_usd)} for {budget.unsure_said}" if budget.unsure_said else ""
    yield Line(f"{show_usd(budget.spent_usd)} spent of --ftgate-max-cost {limit_usd:g}{unsure}")
    if budget.uncounted:
        names = ", ".join(budget.uncounted)
        yield Line(f"not counted by --ftgate-max-cost, since they have no price: {names}", "yellow")
