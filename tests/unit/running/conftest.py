"""The stores of a run, in a file of the test's own folder and in memory."""

from contextlib import closing

import pytest

from pytest_ftgate.runs.jobs import Stores
from pytest_ftgate.runs.store import Store


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".ftgate" / "predictions.sqlite3"


@pytest.fixture
def stores(path):
    with closing(Store(path)) as persistent, closing(Store(None)) as session:
        yield Stores(persistent, session)
