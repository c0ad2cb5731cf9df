"""mode: batch against files and batches that somebody else has written: the npm package @copilotkit/aimock.

AIMOCK names the folder of the installed package (``node_modules/@copilotkit/aimock``), or the command that starts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models import Completion, Question, Surroundings, build_model
from pytest_ftgate.models.openai_api import batch, endpoint
from pytest_ftgate.models.openai_api.batch import BatchedModel
from pytest_ftgate.models.openai_api.batch_api import Pace
from pytest_ftgate.models.openai_api.batch_lines import Limits
from pytest_ftgate.runs.store import Store

ANSWER = Completion("Mock batch completion", input_tokens=1, output_tokens=1)


def _command() -> list[str]:
    named = os.environ.get("AIMOCK", "")
    if not named:
        pytest.skip("AIMOCK names no installed @copilotkit/aimock")
    cli = Path(named, "dist", "cli.js")
    if not cli.is_file():
        return shlex.split(named)
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    return [node, str(cli.resolve())]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    command = _command()
    (tmp_path / "none.json").write_text('{"fixtures": []}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--fixtures", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_it_answers(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, "it ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def model(url: str, tmp_path: Path, no_ambient_settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(batch, "Pace", lambda: Pace(first_s=0.01, slowest_s=0.05, patience=20))
    store = Store(tmp_path / "predictions.sqlite3")

    def make(size: int = 50_000) -> BatchedModel:
        monkeypatch.setattr(batch, "Limits", lambda: Limits(questions=size))
        options = {"model": "m", "base_url": url, "mode": "batch"}
        spec = ModelSpec("openai", options, "openai:m", "tuned", Source("file", "ftgate.yaml:7", Path()))
        built = build_model(spec, Surroundings(notes=store.notes))
        assert isinstance(built, BatchedModel)
        return built

    make.notes = store.notes  # type: ignore[attr-defined]
    yield make
    store.close()


def answer(model: BatchedModel, n: int = 5) -> list[Completion | ModelError]:
    examples = [Example(f"e{i}", f"text {i} \u2028 ü", "x") for i in range(n)]

    async def call() -> list[Completion | ModelError]:
        try:
            return await model.complete_many([Question(model.key(e), e, 0) for e in examples])
        finally:
            await model.aclose()

    return asyncio.run(call())


def not_installed(**_: Any) -> None:
    raise RuntimeError("aiohttp is not installed")


def listed(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/batches") as response:
        found: list[dict[str, Any]] = json.load(response)["data"]
    return found


@pytest.mark.parametrize("backend", ["aiohttp", "httpx"])
def test_files_batches_and_output_files(model: Any, url: str, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    if backend == "aiohttp":
        pytest.importorskip("aiohttp")
    else:
        monkeypatch.setattr(openai, "DefaultAioHttpClient", not_installed)
    assert answer(model()) == [ANSWER] * 5
    (sent,) = listed(url)
    assert (sent["status"], sent["request_counts"]) == ("completed", {"total": 5, "completed": 5, "failed": 0})
    assert list(sent["metadata"]) == ["ftgate"]


def test_parts(model: Any, url: str) -> None:
    assert answer(model(size=2)) == [ANSWER] * 5
    assert sorted(sent["request_counts"]["total"] for sent in listed(url)) == [1, 2, 2]


@pytest.mark.parametrize("lost", [False, True])
def test_a_batch_is_picked_up_by_its_note_or_by_its_label(model: Any, url: str, lost: bool) -> None:
    answer(model())
    if lost:
        for name in model.notes.named("batch "):
            model.notes.drop(name)
    assert answer(model()) == [ANSWER] * 5
    assert len(listed(url)) == 1


@pytest.mark.parametrize("end", ["expired", "cancelled", "failed"])
def test_batches_that_end_badly(model: Any, url: str, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    with monkeypatch.context() as patched:
        told = property(lambda self: {"X-AIMock-Batch-Outcome": end})
        patched.setattr(endpoint.Endpoint, "headers", told)
        if end == "failed":
            with pytest.raises(ModelError, match=r"Mock batch failure .* \(mock_failure\)"):
                answer(model())
        else:
            assert [getattr(outcome, "retryable", None) for outcome in answer(model())] == [True] * 5
    assert answer(model()) == [ANSWER] * 5
    assert [sent["status"] for sent in listed(url)] == ["completed", end]
