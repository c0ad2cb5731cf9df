"""Start a server with the models before the first gate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import lease
import pytest
import server


@pytest.fixture(scope="session", autouse=True)
def assistant() -> Iterator[None]:
    """Run the server for this session; parallel sessions share it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lease.held(server.PORT, server.TRAIN))
        except RuntimeError as error:
            pytest.fail(str(error), pytrace=False)
        yield
