"""A pattern that backtracks without end is an error of the gate, and hangs nothing."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from building import build, failure

from pytest_ftgate.metrics import options
from pytest_ftgate.metrics.options import within_limit

ENDLESS = r"(?:a+)+b"
BAIT = "a" * 60

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such timers here")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(options, "LIMIT_S", 0.05)


@pytest.mark.parametrize(
    ("name", "options", "bait"),
    [
        ("accuracy", {"pattern": ENDLESS}, BAIT),
        ("format", {"pattern": ENDLESS}, BAIT),
        ("format", {"json_schema": {"type": "string", "pattern": ENDLESS}}, f'"{BAIT}"'),
    ],
)
def test_a_pattern_that_backtracks_without_end(name, options, bait):
    metric = build(name, ("ab", "cd"), **options)
    error = failure(metric, ["ab"], [bait])
    assert "0.05 s" in error.what
    assert "pattern" in str(error) or "json_schema" in str(error)
    assert BAIT[:50] in str(error)
    assert metric.score(["ab"], [["ab" if "pattern" in options else '"ab"']]).value == 1.0


def test_the_timer_and_its_handler_are_put_back():
    handler = signal.getsignal(signal.SIGVTALRM)
    assert within_limit("it", lambda: 7, "") == 7
    with pytest.raises(ZeroDivisionError):
        within_limit("it", lambda: 1 // 0, "")
    assert signal.getsignal(signal.SIGVTALRM) is handler
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_outside_of_the_main_thread_there_is_no_limit():
    with ThreadPoolExecutor() as pool:
        assert pool.submit(within_limit, "it", lambda: 7, "").result() == 7
