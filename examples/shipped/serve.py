"""Serve a GGUF file by llama.cpp's HTTP server: ``python serve.py artifacts/merged.gguf 8392``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
SLOTS = 4  # requests that are computed at once
CONTEXT = 128  # tokens of one conversation
HTTP_THREADS = 64  # a connection that is kept alive holds a thread


@contextmanager
def serving(weights: Path, port: int) -> Iterator[None]:
    """Run a server in a process of its own.

    Raises:
        RuntimeError: the server does not start; with the end of its output.
    """
    command = [sys.executable, __file__, str(weights), str(port)]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        address = process.stdout.readline()
        if not address:
            process.wait()
            log.seek(0)
            message = f"llama.cpp's server does not start on port {port}; is the port in use?"
            raise RuntimeError(f"{message}\n{log.read()[-2000:]}")
        try:
            yield
        finally:
            process.kill()


def main() -> None:
    """Print the address on standard output, and serve until standard input is closed."""
    parser = argparse.ArgumentParser(description="Serve a GGUF file on the loopback interface.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("port", type=int)
    options = parser.parse_args()

    output = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may write to standard output
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.weights)
    params.model_alias = {options.weights.stem}
    params.hostnames = [HOST]
    params.port = options.port
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT * SLOTS
    params.n_threads_http = HTTP_THREADS
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.fit_params = False
    params.ui = False
    server = xllamacpp.Server(params)
    os.write(output, f"serving {options.weights.stem} on {server.listening_address}/v1\n".encode())
    sys.stdin.read()


if __name__ == "__main__":
    main()
