"""The moving line of a terminal, and the line a minute of a log."""

import pytest

from pytest_ftgate.runs.jobs import Progress
from pytest_ftgate.runs.progress import EVERY_S, ProgressDisplay


def display(*, log: bool = False) -> tuple[ProgressDisplay, list[str], list[float]]:
    """Return a display on a terminal or in a log, what it writes, and what its clock shows."""
    written: list[str] = []
    clock = [100.0]
    wipe = () if log else (lambda: None,)
    return ProgressDisplay(written.append, *wipe, clock=lambda: clock[0]), written, clock


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress("tuned", 1200, 2000, 100, 0), "tuned 1,200/2,000"),
        (Progress("tuned", 12, 20, 0, 3), "tuned 9/20 (3 failed)"),
        (
            Progress("tuned", 12, 20, 0, 3, last_failure="500 Internal Server Error"),
            "tuned 9/20 (3 failed, last failure: 500 Internal Server Error)",
        ),
        (
            Progress("tuned", 0, 20, 0, 0, retrying="connection refused"),
            "tuned 0/20 (connection refused, retrying)",
        ),
        (Progress("\x1b[2J", 1, 2, 0, 0), "\\x1b[2J 1/2"),
    ],
)
def test_what_a_line_says_of_a_model(progress: Progress, shown: str) -> None:
    line, written, _ = display()
    line(progress)
    assert written[-1] == f"\rftgate: {shown}"
    line.wipe()
    assert written[-1].strip() == ""


@pytest.mark.parametrize(
    ("seconds", "done", "stored", "shown"),
    [
        (10, 600, 100, "600/2,000 (28 s left, 50/s)"),
        (600, 600, 100, "600/2,000 (28 min left, 50/min)"),
        (7200, 600, 500, "600/2,000 (28 h 0 min left, 1/min)"),
        (0.5, 600, 0, "600/2,000"),  # too early to tell
        (10, 600, 600, "600/2,000"),  # what was stored says nothing about the model
        (10, 2000, 0, "2,000/2,000"),
    ],
)
def test_the_pace_and_what_is_left_of_it(
    seconds: float, done: int, stored: int, shown: str
) -> None:
    line, written, clock = display()
    line(Progress("tuned", stored, 2000, stored, 0))
    clock[0] += seconds
    line(Progress("tuned", done, 2000, stored, 0))
    assert written[-1].strip() == f"ftgate: tuned {shown}"


def test_a_log_gets_a_line_a_minute_also_where_nothing_moves() -> None:
    log, written, clock = display(log=True)
    for done in range(150):
        log(Progress("base", min(done, 60), 200, 0, 0))
        log(Progress("tuned", done, 200, 0, 1))
        clock[0] += 1
    assert written == [
        "ftgate, after 1 min: base 60/200 (2 min left), tuned 58/200 (1 failed)",
        "ftgate, after 2 min: base 60/200 (5 min left), tuned 118/200 (1 failed)",
    ]


@pytest.mark.parametrize("columns", [200, 80, 50])
def test_both_models_are_on_a_line_that_fits(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    line, written, clock = display()
    for seconds in (0, 10):
        clock[0] += seconds
        line(Progress("gpt-4.1-mini few_shot 8", 400, 2000, 100, 3))
        line(Progress("ft:gpt-4.1-mini:acme::abc123", 900, 2000, 100, 0))
    assert len(written[-1]) <= columns
    assert [
        part for part in ("gpt-", "397/2,000", "ft:", "900/2,000") if part not in written[-1]
    ] == []
    assert ("left" in written[-1]) == (columns >= 200)


def test_a_short_run_says_nothing_and_the_next_one_begins_anew() -> None:
    log, written, clock = display(log=True)
    for _ in range(3):
        log(Progress("base", 1, 2, 0, 0))
        clock[0] += EVERY_S - 1
        log(Progress("base", 2, 2, 0, 0))
        log.wipe()
    assert written == []
