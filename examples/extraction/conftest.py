"""Build the data before the first gate."""

from __future__ import annotations

import data
import pytest


@pytest.fixture(scope="session", autouse=True)
def built_data() -> None:
    data.build()
