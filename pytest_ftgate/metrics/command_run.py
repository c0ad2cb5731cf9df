"""Run short commands that read one text: without a shell, with limits on time and output, and always cleaned up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pytest_ftgate import clock

MOST_OUTPUT = 1_000_000
"""Maximum number of bytes of a command's output that are kept; the rest is discarded."""

NOT_RUN = {126: "cannot be executed", 127: "was not found"}
"""Exit codes of shells and ``env`` for a program that they could not run."""

_GRACE_S = 1.0  # waiting time for the rest of the output once the command has ended
_SHORTEST_S, _LONGEST_S = 0.0005, 0.05  # between two looks at a running command
_CHUNK = 65_536
_SECRET = re.compile(
    r"key|token|secret|passw|passphrase|credential|auth(?!or)|private|_pass$|_pwd$|_dsn$", re.IGNORECASE
)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]*@")


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a command.

    ``code`` is the exit code or, if negative, the signal that killed it; ``output`` is standard output and error,
    ``cut`` at `MOST_OUTPUT` bytes; ``timed_out``: it, or a process that holds its output open, did not end in time.
    """

    code: int
    output: str
    cut: bool = False
    timed_out: bool = False

    @property
    def failed(self) -> bool:
        """Return whether it did not run to its end, so that its exit code does not judge the answer."""
        return self.timed_out or self.code < 0 or self.code in NOT_RUN


@dataclass
class Runner:
    """Run one command on several texts concurrently. The first element of ``argv`` is an absolute path."""

    argv: Sequence[str]
    folder: Path
    timeout_s: float
    concurrency: int
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def run(self, texts: Sequence[str]) -> list[Ended | str | None]:
        """Return the result for each text, or the reason why the command could not be started.

        After the first failure all others are stopped; they are None. An exception kills all running commands.
        """
        self._stopped = False
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="ftgate command") as pool:
            try:
                return list(pool.map(self._one, texts))
            except BaseException:
                self._stop()
                raise

    def _stop(self) -> None:
        """Prevent further commands from starting, and kill the running ones."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill_group(process)

    def _one(self, text: str) -> Ended | str | None:
        try:
            with tempfile.TemporaryFile() as given:  # a pipe would block where the command does not read it
                given.write(text.encode("utf-8", errors="replace"))
                given.seek(0)
                process = self._start(given)
        except (OSError, ValueError) as error:  # the interpreter is missing, or the disk is full
            self._stop()
            return str(error)
        if process is None:
            return None
        ended = self._followed(process)
        with self._lock:
            self._running.discard(process)
            if self._stopped:  # killed, perhaps
                return None
        if ended.failed:
            self._stop()
        return ended

    def _start(self, given: IO[bytes]) -> subprocess.Popen[bytes] | None:
        with self._lock:  # either _stop sees the process, or it does not start
            if self._stopped:
                return None
            process = subprocess.Popen(  # noqa: S603 - the program and its arguments are the gate's, never an answer's
                list(self.argv),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment(os.environ),
                start_new_session=True,  # it can be killed with its children, and Ctrl-C reaches us first
            )
            self._running.add(process)
            return process

    def _followed(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the command and for the end of its output, which its children may hold open."""
        deadline = clock.monotonic() + self.timeout_s
        output = _Output(process)
        pause_s = _SHORTEST_S
        while process.poll() is None and (left_s := deadline - clock.monotonic()) > 0:  # wait() has a frozen clock
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_S)
        if process.returncode is not None:
            output.join(max(_GRACE_S, deadline - clock.monotonic()))
        timed_out = process.returncode is None or output.is_alive()
        if timed_out:
            _kill_group(process)
            process.wait()
            output.join(_GRACE_S)
        return Ended(process.returncode, output.text, output.cut, timed_out)


class _Output(threading.Thread):
    """Read all output of a process and keep the beginning.

    The thread is a daemon: a child that has left the process group may keep writing, and must not delay pytest's end.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name="ftgate command output", daemon=True)
        assert process.stdout is not None
        self._pipe = process.stdout
        self._kept = bytearray()
        self.cut = False
        self.start()

    def run(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK):
                room = MOST_OUTPUT - len(self._kept)
                self._kept += chunk[:room]
                self.cut = self.cut or len(chunk) > room

    @property
    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", errors="replace")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children; do nothing if it is gone."""
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS raises PermissionError for a group of zombies
        process.kill()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that look like secrets by name, or whose value is a URL with a password."""
    return {
        name: value for name, value in given.items() if not (_SECRET.search(name) or _URL_WITH_PASSWORD.search(value))
    }
