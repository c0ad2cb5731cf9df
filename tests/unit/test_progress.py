"""The moving line of a terminal."""

from __future__ import annotations

import pytest

from pytest_ftgate.progress import ProgressLine
from pytest_ftgate.runner import Progress


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (Progress("tuned", 1200, 2000, 100, 0), "tuned 1,200/2,000"),
        (Progress("tuned", 12, 20, 0, 3), "tuned 12/20 (3 failed)"),
        (Progress("tuned", 0, 500, 0, 0, (120, 500)), "tuned 0/500 (batch: 120/500)"),
        (Progress("\x1b[2J", 1, 2, 0, 0), "\\x1b[2J 1/2"),
    ],
)
def test_what_a_line_says_of_a_model(progress: Progress, shown: str) -> None:
    written: list[str] = []
    line = ProgressLine(written.append, lambda: None)
    line(progress)
    assert written[-1] == f"\rftgate: {shown}"
    line.wipe()
    assert written[-1].strip() == ""
