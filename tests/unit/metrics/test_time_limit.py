"""A pattern that backtracks without end is an error of the gate, and hangs nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import time_limit
from pytest_ftgate.metrics.time_limit import within_limit

Build = Callable[..., Any]
ENDLESS = r"(?:a+)+b"
BAIT = "a" * 60

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such timers here")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "LIMIT_S", 0.05)


@pytest.mark.parametrize("name", ["accuracy", "format"])
def test_a_pattern_that_backtracks_without_end(build: Build, name: str) -> None:
    metric = build(name, ("ab", "cd"), pattern=ENDLESS)
    with pytest.raises(MetricError, match=r"pattern .* was given up after 0.05 s of work on one answer") as told:
        metric.score(["ab"], [[BAIT]])
    assert BAIT[:50] in str(told.value)
    assert metric.score(["ab"], [["ab"]]).value == 1.0


def test_a_pattern_in_a_schema(build: Build) -> None:
    metric = build("format", json_schema={"type": "string", "pattern": ENDLESS})
    with pytest.raises(MetricError, match="json_schema was given up after"):
        metric.score(["ab"], [[f'"{BAIT}"']])


def test_the_timer_and_its_handler_are_put_back() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    assert within_limit("it", lambda: 7, "") == 7
    with pytest.raises(ZeroDivisionError):
        within_limit("it", lambda: 1 // 0, "")
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_the_timer_of_somebody_else_is_left_alone() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000.0)
    try:
        assert within_limit("it", partial(signal.getitimer, signal.ITIMER_VIRTUAL), "")[0] > 900.0
        assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] > 900.0
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def test_outside_of_the_main_thread_there_is_no_limit() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(within_limit("it", lambda: 7, "")))
    thread.start()
    thread.join()
    assert found == [7]
