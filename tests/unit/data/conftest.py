"""Data files in the working folder, and what reading one says."""

from pathlib import Path

import pytest

from pytest_ftgate.data import load_examples
from pytest_ftgate.errors import DataError


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def load():
    """Write a file and load it."""

    def load(content, name="data.jsonl", **options):
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_examples(Path(name), **options)

    return load


@pytest.fixture
def refused(load):
    """Write a file that must be refused, and check the place and what a user needs to read."""

    def refused(content, place, *words, name="data.jsonl", **options):
        with pytest.raises(DataError) as caught:
            load(content, name, **options)
        assert str(caught.value.where) == f"{name}{place}"
        assert [word for word in words if word not in str(caught.value)] == []
        return caught.value

    return refused
