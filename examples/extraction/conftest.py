"""Before the first gate: the data is built."""

from __future__ import annotations

import data
import pytest


@pytest.fixture(scope="session", autouse=True)
def built_data() -> None:
    data.build()
