"""Train the models before the first gate, and serve those that were converted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import serve
import train

PORTS = {"merged.gguf": 8392, "unscaled.gguf": 8393}


@pytest.fixture(scope="session", autouse=True)
def artifacts() -> Iterator[None]:
    """Make the artifacts once, and run a server for each GGUF file during this session."""
    train.train_once()

    with ExitStack() as servers:
        try:
            for name, port in PORTS.items():
                servers.enter_context(serve.serving(train.ARTIFACTS / name, port))
        except RuntimeError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        yield
