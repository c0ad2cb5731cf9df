"""A gate's last green verdict: what is known of it before the models are called, and what becomes of it after."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_ftgate.checks.freshness.clock import green_verdict, judge_clock
from pytest_ftgate.checks.freshness.evidence import Evidence
from pytest_ftgate.checks.freshness.last_green import LastGreen, keep, note_name, read_last
from pytest_ftgate.errors import StoreError
from pytest_ftgate.gate.state import Services
from pytest_ftgate.result import GateResult

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Prepared
    from pytest_ftgate.config import GateConfig

_DAY_S = 86_400.0


def last_green(config: GateConfig, nodeid: str, services: Services) -> LastGreen | None:
    """What is kept; a store that cannot be read is an error only where the verdict hangs on it."""
    try:
        stores = services.stores
        tomorrow = time.time() + _DAY_S  # a verdict of a wrong clock or an edited file would be the newest for ever
        until = tomorrow if stores.newer_than is None else stores.newer_than
        return read_last(note_name(config, nodeid), services.jobs, stores.notes, older_than=until)
    except StoreError:
        if config.clock.base_changed == "fail":
            raise
        return None


def by_the_clock(
    result: GateResult, prepared: Prepared, evidence: Evidence, last: LastGreen | None, services: Services
) -> tuple[GateResult, dict[str, str]]:
    """The result with what the clock says, and the note on the last green verdict, which a red one never replaces."""
    from pytest_ftgate.checks.freshness.shutdown import Listings

    stores, now = services.stores, time.time()
    result = judge_clock(
        result,
        prepared,
        evidence,
        last,
        Listings(stores.notes, now),
        offline=services.offline,
        refreshed=stores.newer_than is not None,
        now=now,
    )
    name = note_name(prepared.config, result.nodeid)
    if result.passed:
        before, last = last, green_verdict(result, prepared, evidence, now)
        keep(name, last, stores.notes, before=None if stores.newer_than is None else before)
    return result, {} if last is None else {name: last.to_text()}
