"""End the process with pytest's status where calls of models still run in threads, which cannot be stopped."""

import atexit
import os
import sys
import threading
from typing import Any

import pytest

_THREADS = ("ftgate ", "pytest-ftgate")
"""How the threads are named that call models: see `models/python.py` and `runs/asking.py`."""


class CleanExit:
    """Leave threads behind without an abort.

    Python ends daemon threads in a way that libraries in C++ (torch, scipy) do not survive: the
    process would abort with status 134 after its last test. Instead it ends just before that, once
    everything else has been cleaned up.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._status: int | None = None

        # The status is only the program's own where pytest is the program.
        if list(config.invocation_params.args) == sys.argv[1:]:
            atexit.register(self._leave)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Keep the exit status."""
        session: Any = config.pluginmanager.get_plugin("session")
        if session is not None:
            self._status = int(session.exitstatus)

    def _leave(self) -> None:
        names = [thread.name for thread in threading.enumerate()]
        if self._status is None or not any(name.startswith(_THREADS) for name in names):
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self._status)
