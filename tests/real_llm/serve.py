"""llama.cpp's own HTTP server, in a process of its own that ends with the one that started it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SLOTS = 4  # requests that are computed at once; others wait
CONNECTIONS = 64


@dataclass(frozen=True)
class Served:
    """A model behind an OpenAI-compatible endpoint.

    Attributes:
        name: what the server calls the model.
        address: ``http://host:port``.
    """

    name: str
    address: str

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"


@contextmanager
def serving(name: str, weights: Path, context: int, key: str = "") -> Iterator[Served]:
    """Serve a GGUF file on a free port of the loopback interface.

    Args:
        name: what the server calls the model.
        weights: the file; llama.cpp's many words go into a log beside it.
        context: tokens of one conversation.
        key: what a caller has to show; empty: nothing.

    Raises:
        RuntimeError: the server did not start; with the end of its log.
    """
    log = weights.with_suffix(".log")
    command = [sys.executable, __file__, name, str(weights), str(context), key]
    with (
        log.open("wb") as log_file,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file, text=True
        ) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(
                f"llama.cpp's server did not start: {log.read_text(errors='replace')[-2000:]}"
            )
        try:
            yield Served(name, address)
        finally:
            process.kill()


def main(name: str, weights: str, context: str, key: str) -> None:
    """Say the address on standard output, and serve until standard input is closed."""
    address = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may write there
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key] if key else []
    params.n_parallel = SLOTS
    params.n_ctx = int(context) * SLOTS
    # A kept-alive connection holds a thread: with the default, eight here, further ones may wait 5 s for an idle one.
    params.n_threads_http = CONNECTIONS
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.fit_params = False
    params.ui = False
    server = xllamacpp.Server(params)
    os.write(address, f"{server.listening_address}\n".encode())
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
