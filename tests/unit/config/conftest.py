"""A folder with a gate file, and what reading it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_ftgate.config import GateFile, load_gate_file
from pytest_ftgate.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that paths in messages are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Callable[[str | bytes], GateFile]:
    """Writes ftgate.yaml and loads it."""

    def load(content: str | bytes) -> GateFile:
        path = folder / "ftgate.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_gate_file(path)

    return load


@pytest.fixture
def refused(load: Callable[[str | bytes], GateFile]) -> Callable[[str | bytes], str]:
    """Writes ftgate.yaml, which must be refused, and gives the whole message."""

    def refused(content: str | bytes) -> str:
        with pytest.raises(ConfigError) as caught:
            load(content)
        return str(caught.value)

    return refused
