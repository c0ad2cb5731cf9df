"""Share the example's server between sessions: the first one starts it, the last one ends it."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

import server

START_S = 60

# A server outlives its first session while others hold a lease; Python warns of a running process
# that is forgotten.
_started: list[subprocess.Popen[bytes]] = []


def ask(port: int, train: Path) -> http.client.HTTPConnection | None:
    """Return the connection that is the lease, or None if no server answers yet.

    Raises:
        RuntimeError: another program uses the port, or this server runs with other training data.
    """
    connection = http.client.HTTPConnection(server.HOST, port, timeout=START_S)
    try:
        connection.request("GET", "/lease")
        facts = json.loads(connection.getresponse().read())
    except OSError:
        connection.close()
        return None
    except (http.client.HTTPException, ValueError):
        facts = None
    if facts == {
        "service": server.SERVICE,
        "trained_on": hashlib.sha256(train.read_bytes()).hexdigest(),
    }:
        return connection
    connection.close()
    ours = isinstance(facts, dict) and facts.get("service") == server.SERVICE
    who = "this example's server, trained on other data" if ours else "another program"
    raise RuntimeError(
        f"port {port} is in use by {who}: stop it, or change PORT in server.py and ftgate.yaml"
    )


def start(port: int, train: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        server.__file__,
        f"--port={port}",
        f"--train={train}",
        "--while-leased",
    ]
    _started.append(subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True))
    return _started[-1]


def obtain(
    port: int, train: Path, output: IO[bytes]
) -> tuple[http.client.HTTPConnection, subprocess.Popen[bytes] | None]:
    """Return the lease, and the server's process if this session started it."""
    process = None
    deadline = time.monotonic() + START_S
    while (connection := ask(port, train)) is None:
        exit_code = process.poll() if process is not None else server.PORT_TAKEN
        if exit_code not in (None, server.PORT_TAKEN) or time.monotonic() > deadline:
            raise did_not_start(port, process, output)
        if exit_code == server.PORT_TAKEN:
            process = start(port, train, output)
        time.sleep(0.05)
    return connection, process


def did_not_start(
    port: int, process: subprocess.Popen[bytes] | None, output: IO[bytes]
) -> RuntimeError:
    if process is not None:
        process.kill()
        process.wait()
    output.seek(0)
    log = output.read().decode(errors="replace").strip()
    return RuntimeError(f"the example's server does not start on port {port}:\n{log}")


@contextmanager
def held(port: int, train: Path) -> Iterator[None]:
    """Hold a lease of the server on this port, and start the server if it is not running.

    Raises:
        RuntimeError: see ``ask``; or the server does not start (with its output).
    """
    with tempfile.TemporaryFile() as output:
        connection, process = obtain(port, train, output)
        with closing(connection):
            yield
        if process is not None:
            with suppress(subprocess.TimeoutExpired):  # other sessions still hold a lease
                process.wait(timeout=1)
