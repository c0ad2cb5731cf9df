"""Several processes on one store: each call is paid for once, also where one of them is killed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

import pytest_ftgate
from pytest_ftgate.runs.store import Store

N = 120
CONCURRENCY = 4
KEYS = [f"key-{number}" for number in range(N)]

ASKING = f"""
import asyncio, os, sys
from pathlib import Path
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.models import Completion, Model
from pytest_ftgate.runs.runner import Job, Stores, run_models
from pytest_ftgate.runs.store import Store

class Remote(Model):
    name = spelling = "remote"
    concurrency, timeout_s, retries, persistent, verified, price = {CONCURRENCY}, 60.0, 0, True, None, None

    def key(self, example, repeat=0):
        return example.id

    async def complete(self, example, repeat=0):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
        writer.write(f"{{os.getpid()}} {{example.id}}\\n".encode())
        answer = await reader.readline()
        writer.close()
        return Completion(answer.decode().strip())

    async def aclose(self):
        pass

examples = tuple(Example(f"key-{{number}}", "question", "answer") for number in range({N}))
stores = Stores(Store(Path(sys.argv[1])), Store(None))
(run,) = run_models([Job(Remote(), DataSet(examples, None, "", "test"))], stores=stores)
answers = [p.completion.text if p.completion else p.error for p in run.predictions[0]]
assert answers == [f"answer to {{example.id}}" for example in examples], answers
print(sum(not p.stored for p in run.predictions[0]))
"""


class Endpoint:
    """Answers one line on each connection, and notes who asked it for what.

    The first calls are answered only once ``guests`` processes have asked, so that all of them are at work together.
    ``on_call`` is called for each call before its answer, one at a time.
    """

    def __init__(self):
        self.guests = 1
        self.on_call = lambda: None
        self.calls = []
        self._lock = threading.Lock()
        self._complete = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            self._threads.append(threading.Thread(target=self._answer, args=(connection,)))
            self._threads[-1].start()

    def _answer(self, connection):
        # Whoever asked may be gone by now.
        with contextlib.suppress(OSError), connection, connection.makefile("rwb") as line:
            request = line.readline().decode().split()
            if not request:
                return
            pid, key = request
            with self._lock:
                self.calls.append((int(pid), key))
                self.on_call()
                if len({pid for pid, _ in self.calls}) == self.guests:
                    self._complete.set()
            self._complete.wait(60)
            line.write(f"answer to {key}\n".encode())
            line.flush()


@pytest.fixture
def endpoint():
    with closing(Endpoint()) as opened:
        yield opened


def process(path, endpoint):
    return subprocess.Popen(
        [sys.executable, "-c", ASKING, str(path), str(endpoint.port)],
        env={**os.environ, "PYTHONPATH": str(Path(pytest_ftgate.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def n_asked(process):
    """Wait for the end of a process that must go well; how many predictions it asked for."""
    output, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    return int(output)


def test_two_processes_share_the_work(path, endpoint):
    endpoint.guests = 2
    one, two = process(path, endpoint), process(path, endpoint)
    shares = [n_asked(one), n_asked(two)]
    assert sum(shares) == N
    assert min(shares) > 0
    assert Counter(key for _, key in endpoint.calls) == Counter(KEYS)
    assert n_asked(process(path, endpoint)) == 0


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("companions", [0, 1])
def test_after_a_kill_only_what_was_in_flight_is_asked_again(path, endpoint, companions):
    victim = process(path, endpoint)

    def kill():
        if len(endpoint.calls) == N // 3:
            victim.send_signal(signal.SIGKILL)
            victim.wait()

    endpoint.guests = 1 + companions
    endpoint.on_call = kill
    others = [process(path, endpoint) for _ in range(companions)]
    assert victim.communicate(timeout=60) == ("", "")
    assert victim.returncode == -signal.SIGKILL
    for other in others:
        n_asked(other)
    with closing(Store(path)) as store:
        missing = N - len(store.get(KEYS))
    assert (missing == 0) is (companions == 1)
    assert n_asked(process(path, endpoint)) == missing
    count = Counter(key for _, key in endpoint.calls)
    again = {key for key, n in count.items() if n > 1}
    assert set(count) == set(KEYS)
    assert max(count.values()) <= 2
    assert len(again) <= CONCURRENCY
    assert again <= {key for pid, key in endpoint.calls if pid == victim.pid}
