from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_ftgate.errors import write_whole


def torn() -> Iterator[str]:
    yield "half"
    raise OSError("no room")


def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("whole", encoding="utf-8")
    with pytest.raises(OSError, match="no room"):
        write_whole(path, torn())
    assert path.read_text(encoding="utf-8") == "whole"
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "report.json", tmp_path / "link.json"
    link.symlink_to(path)
    write_whole(link, ["x"])
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "x"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="there is no such device")
def test_a_device_is_not_replaced() -> None:
    write_whole(Path("/dev/null"), ["x"])
    assert Path("/dev/null").is_char_device()
