"""Before the first gate: the data is built, and a server with both models runs for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import data
import lease
import pytest
import server


@pytest.fixture(scope="session", autouse=True)
def assistant() -> Iterator[None]:
    """The data, and the server that ``ftgate.yaml`` names, shared with sessions that run at the same time."""
    data.build()
    with ExitStack() as stack:
        try:
            stack.enter_context(lease.held(server.PORT, server.TRAIN))
        except RuntimeError as error:
            pytest.fail(str(error), pytrace=False)
        yield
