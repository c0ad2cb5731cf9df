"""A folder with a gate file, and what reading it says."""

import pytest

from pytest_ftgate.config import load_gate_file
from pytest_ftgate.errors import ConfigError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return an empty working folder, so that paths in messages are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(folder):
    """Writes ftgate.yaml and loads it."""

    def load(content):
        path = folder / "ftgate.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_gate_file(path)

    return load


@pytest.fixture
def refused(load):
    """Write ftgate.yaml, which must be refused, and give the error and its place without the file's name."""

    def refused(content):
        with pytest.raises(ConfigError) as caught:
            load(content)
        return caught.value, str(caught.value.where).removeprefix("ftgate.yaml:")

    return refused
