"""End the process with pytest's status where calls of models still run.

They run in threads, which cannot be stopped.
"""

import atexit
import os
import sys
import threading
from typing import Any

import pytest


class CleanExit:
    """Leave threads behind without an abort.

    Python ends daemon threads in a way that libraries in C++ (torch, scipy) do not survive: the
    process would abort with status 134 after its last test. Instead it ends just before that, once
    everything else has been cleaned up.
    """

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        session: Any = config.pluginmanager.get_plugin("session")
        # The status is only the program's own where pytest is the program.
        is_program = list(config.invocation_params.args) == sys.argv[1:]
        if session is not None and is_program and _calls_run():
            atexit.register(_leave, int(session.exitstatus))


def _calls_run() -> bool:
    """Return whether a thread still calls a model."""
    daemons = [thread for thread in threading.enumerate() if thread.daemon]
    if not daemons:
        return False

    from pytest_ftgate.models.workers import CallThread

    return any(isinstance(thread, CallThread) for thread in daemons)


def _leave(status: int) -> None:
    """Do what else is registered for the end of the process, and end it."""
    atexit.unregister(_leave)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
