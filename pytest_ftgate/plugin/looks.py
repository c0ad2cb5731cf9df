"""Look at the gate of a marked test in its set-up without a verdict, and skip the test: preview, plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.plugin.layers import layers_as_judged
from pytest_ftgate.plugin.marks import claimed_name, test_id
from pytest_ftgate.reports.text import Line
from pytest_ftgate.result import error_check

__tracebackhide__ = True  # tracebacks of fixtures and test bodies show none of our lines

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.gate.state import Services
    from pytest_ftgate.plugin.session import GateSession

    Judge = Callable[..., "Look"]


class Look(NamedTuple):
    """One look at a gate: a title, lines of text, whether it makes the session fail, and facts for the JSON report."""

    lines: Sequence[Line]
    failed: bool
    facts: Mapping[str, Any] | None = None


@dataclass
class Looks:
    """The looks at gates in a session, by the node id of the test.

    Attributes:
        option: the option that asks for them; None: gates are judged.
    """

    option: str | None
    seen: dict[str, Look] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(look.failed for look in self.seen.values())

    @property
    def facts(self) -> list[Mapping[str, Any]]:
        return [look.facts for look in self.seen.values() if look.facts is not None]

    @property
    def no_verdict(self) -> str:
        return f"{self.option} gives no verdict"

    def to_plain(self) -> list[Any]:
        """Return what an xdist worker sends at its end."""
        return [(nodeid, list(map(tuple, look.lines)), *look[1:]) for nodeid, look in self.seen.items()]

    def add_plain(self, plain: Iterable[Any]) -> None:
        """Add the looks of a worker; of two at one gate the first stays, unless only the second failed."""
        for nodeid, lines, failed, facts in plain:
            if nodeid not in self.seen or (failed and not self.seen[nodeid].failed):
                self.seen[nodeid] = Look([Line(*line) for line in lines], failed, facts)


def look_and_leave(request: pytest.FixtureRequest, session: GateSession) -> NoReturn:
    """Look at the gate of a test once, and skip the test; it fails where the look fails."""
    __tracebackhide__ = False  # pytest warns if a failure has no visible frame
    item: pytest.Item = request.node
    looks = session.looks
    session.see_skipped(item, looks.no_verdict)
    if item.nodeid not in looks.seen:
        looks.seen[item.nodeid] = _look(request, session)
    look = looks.seen[item.nodeid]
    if look.failed:
        pytest.fail(look.lines[0].text, pytrace=False)
    pytest.skip(looks.no_verdict)


def _look(request: pytest.FixtureRequest, session: GateSession) -> Look:
    item: pytest.Item = request.node
    nodeid = test_id(item)
    looking: Judge = _LOOKS[session.looks.option or ""]
    try:
        layers = layers_as_judged(request, session.files)
        config = layers.resolve()
        reviewed = layers.reviewed(config, session.files)
        return looking(item, config, session.services(item.ihook), nodeid=nodeid, reviewed=reviewed)
    except FtgateError as error:
        return looking(item, None, None, nodeid=nodeid, reviewed=(error_check(error),))


def _preview(item: pytest.Item, config: GateKeys | None, services: Services | None, **asked: Any) -> Look:
    from pytest_ftgate.gate.preview import Preview, preview_gate
    from pytest_ftgate.reports.looks import preview_lines

    if config is None or services is None:
        preview = Preview(claimed_name(item), checks=asked["reviewed"])
    else:
        preview = preview_gate(config, services, examples=item.config.getoption("--ftgate-preview"), **asked)
    return Look(preview_lines(preview), preview.failed)


def _plan(item: pytest.Item, config: GateKeys | None, services: Services | None, **asked: Any) -> Look:
    from pytest_ftgate.gate.plan import Plan, plan_gate
    from pytest_ftgate.reports.looks import plan_lines

    if config is None or services is None:
        plan = Plan(claimed_name(item), asked["nodeid"], checks=asked["reviewed"])
    else:
        plan = plan_gate(config, services, **asked)
    return Look(plan_lines(plan), plan.failed, asdict(plan))


_LOOKS: dict[str, Judge] = {"--ftgate-preview": _preview, "--ftgate-plan": _plan}
