"""Commands that read one text and end soon: started without a shell, bounded in time and output, never left behind."""

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

MOST_OUTPUT = 1_000_000
"""Bytes of a command's output that are kept; the rest is read and dropped."""

NOT_RUN = {126: "it cannot be executed", 127: "it was not found"}
"""Exit codes by which shells and ``env`` speak of a program that they were to call."""

_GRACE_S = 1.0  # for the end of the output once the command has ended
_CHUNK = 65_536
_SECRET = re.compile(
    r"key|token|secret|passw|passphrase|credential|auth(?!or)|private|_pass$|_pwd$|_dsn$", re.IGNORECASE
)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]*@")


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command: its exit code, below 0 the signal that ended it, and what it wrote to standard output
    and standard error together, at most `MOST_OUTPUT` bytes, as text. ``timed_out``: it was killed, because it took too
    long or left something running that held on to its output.
    """

    code: int
    output: str
    cut: bool = False
    timed_out: bool = False

    @property
    def failed(self) -> bool:
        """It did not run to its end, so that its exit code says nothing of what it read."""
        return self.timed_out or self.code < 0 or self.code in NOT_RUN


@dataclass
class Runner:
    """Runs one command on several texts at once. The first of ``argv`` is an absolute path."""

    argv: Sequence[str]
    folder: Path
    timeout_s: float
    concurrency: int
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def run(self, texts: Sequence[str]) -> list[Ended | str | None]:
        """Return what became of each. After the first that failed all are stopped: None for those that did not end.

        Interrupted, it kills what is running and lets the exception through.
        """
        self._stopped = False
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="ftgate command") as pool:
            try:
                return list(pool.map(self._one, texts))
            except BaseException:
                self._stop()
                raise

    def _stop(self) -> None:
        """Let nothing more start, and kill what runs."""
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
        with self._lock:  # either it is seen by _stop, or it does not start
            if self._stopped:
                return None
            process = subprocess.Popen(  # noqa: S603 - the program and its arguments are the gate's, never an answer's
                list(self.argv),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment(os.environ),
                start_new_session=True,  # it is killed with all that it started, and Ctrl-C does not reach it before us
            )
            self._running.add(process)
            return process

    def _followed(self, process: subprocess.Popen[bytes]) -> Ended:
        """Wait for the command and for the end of its output, which whatever it started may hold open."""
        deadline = time.monotonic() + self.timeout_s
        output = _Output(process)
        try:
            process.wait(self.timeout_s)
            output.join(max(_GRACE_S, deadline - time.monotonic()))
            timed_out = output.is_alive()
        except subprocess.TimeoutExpired:
            timed_out = True
        if timed_out:
            _kill_group(process)
            process.wait()
            output.join(_GRACE_S)
        return Ended(process.returncode, output.text, output.cut, timed_out)


class _Output(threading.Thread):
    """Reads all that a process writes, and keeps the beginning.

    It does not hold up the end of pytest: what a command started may have left its group, and write on.
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
    """Kill a process and what it started; nothing where it is gone."""
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS says the second of a group of zombies
        process.kill()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those whose name looks like a secret's, or whose value is a URL with a password."""
    return {
        name: value for name, value in given.items() if not (_SECRET.search(name) or _URL_WITH_PASSWORD.search(value))
    }
