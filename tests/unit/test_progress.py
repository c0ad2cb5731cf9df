"""The moving line of a terminal, and the line a minute of a log."""

import pytest

from pytest_ftgate.runs.jobs import Progress
from pytest_ftgate.runs.progress import EVERY_S, ProgressDisplay


def display(*, log: bool = False) -> tuple[ProgressDisplay, list[str]]:
    """Return a display on a terminal or in a log, and what it writes."""
    written: list[str] = []
    wipe = () if log else (lambda: None,)
    return ProgressDisplay(written.append, *wipe), written


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("pytest_ftgate.clock.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress("tuned", 1200, 2000, 100, 0), "tuned 1,200/2,000"),
        (Progress("tuned", 12, 20, 0, 3), "tuned 9/20 (3 failed)"),
        (
            Progress("tuned", 0, 20, 0, 0, problem="connection refused"),
            "tuned 0/20, connection refused",
        ),
        (Progress("\x1b[2J", 1, 2, 0, 0), "\\x1b[2J 1/2"),
    ],
)
def test_what_a_line_says_of_a_model(progress: Progress, shown: str) -> None:
    line, written = display()
    line([progress], 0.0)
    assert written[-1] == f"\rftgate: {shown}"
    line.wipe()
    assert written[-1].strip() == ""


@pytest.mark.parametrize(
    ("seconds", "done", "stored", "shown"),
    [
        (10, 600, 100, "600/2,000, 28 seconds left"),
        (600, 600, 100, "600/2,000, 28 minutes left"),
        (7200, 600, 500, "600/2,000, 1 day left"),
        (0.5, 600, 0, "600/2,000"),  # too early to tell
        (10, 600, 600, "600/2,000"),  # what was stored says nothing about the model
        (10, 2000, 0, "2,000/2,000"),
    ],
)
def test_what_is_left_of_the_time(seconds: float, done: int, stored: int, shown: str) -> None:
    line, written = display()
    line([Progress("tuned", done, 2000, stored, 0)], seconds)
    assert written[-1].strip() == f"ftgate: tuned {shown}"


@pytest.mark.parametrize(("done", "shown"), [(10, ", 1 minute left"), (0, "")])
def test_the_time_that_is_left_is_that_of_the_slowest_model(done: int, shown: str) -> None:
    line, written = display()
    line([Progress("base", 120, 120, 0, 0), Progress("tuned", done, 120, 0, 0)], 10)
    assert written[-1].strip() == f"ftgate: base 120/120, tuned {done}/120{shown}"


def test_a_log_gets_a_line_a_minute_also_where_nothing_moves(clock: list[float]) -> None:
    log, written = display(log=True)
    for done in range(150):
        models = [Progress("base", min(done, 60), 200, 0, 0), Progress("tuned", done, 200, 0, 1)]
        log(models, done)
        clock[0] += 1
    assert written == [
        "ftgate: base 60/200, tuned 59/200 (1 failed), 2 minutes left",
        "ftgate: base 60/200, tuned 119/200 (1 failed), 4 minutes left",
    ]


@pytest.mark.parametrize("columns", [200, 80, 50])
def test_a_line_fits(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    line, written = display()
    models = [
        Progress("gpt-4.1-mini few_shot 8", 400, 2000, 100, 3),
        Progress("ft:gpt-4.1-mini:acme::abc123", 900, 2000, 100, 0, problem="x" * 200),
    ]
    for seconds in (0, 10):
        line(models, seconds)
    assert len(written[-1]) <= columns
    assert "397/2,000" in written[-1]
    assert ("900/2,000" in written[-1]) == (columns >= 80)
    assert ("left" in written[-1]) == (columns > 80)


def test_a_short_run_says_nothing_and_the_next_one_begins_anew(clock: list[float]) -> None:
    log, written = display(log=True)
    for _ in range(3):
        log([Progress("base", 1, 2, 0, 0)], 0.0)
        clock[0] += EVERY_S - 1
        log([Progress("base", 2, 2, 0, 0)], EVERY_S - 1)
        log.wipe()
    assert written == []
