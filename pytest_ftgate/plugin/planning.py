"""Plan the gate of a marked test in its set-up, in place of a verdict, and skip the test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.plugin.layers import layers_as_judged
from pytest_ftgate.plugin.marks import claimed_name, test_id
from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import error_check

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

if TYPE_CHECKING:
    from pytest_ftgate.plugin.session import GateSession


def planning_option(config: pytest.Config) -> str | None:
    """Return the option that asks for plans in place of verdicts; a preview is a plan, too. None without one."""
    return next((option for option in ("--ftgate-preview", "--ftgate-plan") if config.getoption(option)), None)


class Planned(NamedTuple):
    """Hold a plan as lines of text, the title first, and whether it makes the session fail."""

    lines: Sequence[Line]
    failed: bool


@dataclass
class Plans:
    """Hold the plans of a session by the node id of the test; ``option`` is None where gates are judged."""

    option: str | None
    seen: dict[str, Planned] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(plan.failed for plan in self.seen.values())

    @property
    def no_verdict(self) -> str:
        return f"{self.option} gives no verdict"

    def to_plain(self) -> list[Any]:
        """Return what an xdist worker sends at its end."""
        return [(nodeid, list(map(tuple, plan.lines)), plan.failed) for nodeid, plan in self.seen.items()]

    def add_plain(self, plain: Iterable[Any]) -> None:
        """Add the plans of a worker; of two for one gate the first stays, unless only the second failed."""
        for nodeid, lines, failed in plain:
            if nodeid not in self.seen or (failed and not self.seen[nodeid].failed):
                self.seen[nodeid] = Planned([Line(*line) for line in lines], failed)


def plan_and_leave(request: pytest.FixtureRequest, session: GateSession) -> NoReturn:
    """Plan the gate of a test once, and skip the test; it fails where the plan fails."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    item: pytest.Item = request.node
    plans = session.plans
    session.see_absent(item, f"was not judged: {plans.no_verdict}")
    if item.nodeid not in plans.seen:
        plans.seen[item.nodeid] = _planned(request, session)
    plan = plans.seen[item.nodeid]
    if plan.failed:
        pytest.fail(plan.lines[0].text, pytrace=False)
    pytest.skip(plans.no_verdict)


def _planned(request: pytest.FixtureRequest, session: GateSession) -> Planned:
    from pytest_ftgate.gate.plan import Plan, plan_gate
    from pytest_ftgate.reports.plan import plan_lines

    item: pytest.Item = request.node
    try:
        layers = layers_as_judged(request, session.files)
        reviewed, few = layers.reviewed(session.files), item.config.getoption("--ftgate-preview") or 0
        services = session.services(item.ihook)
        plan = plan_gate(layers.config, services, nodeid=test_id(item), reviewed=reviewed, preview=few)
    except FtgateError as error:
        plan = Plan(claimed_name(item), (error_check(error),))
    return Planned(plan_lines(plan, full=item.config.get_verbosity() > 0), plan.failed)
