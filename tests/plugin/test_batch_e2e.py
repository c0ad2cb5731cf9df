"""Gates whose models are asked in batches: what the endpoint sees over interruptions, lost folders and lost lines."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from batch_server import BatchServer
from endpoint_project import EndpointProject, N
from gate_project import check, ends, mentions, passed
from loopback import error

# Batches are looked at often, and are small, in the inner runs.
QUICK = """
from pytest_ftgate.models.openai_api import batch
from pytest_ftgate.models.openai_api.batch_lines import Limits
from pytest_ftgate.models.openai_api.batch_api import Pace

batch.Pace = lambda: Pace(first_s=0.01, slowest_s=0.02, longest_s=0.02)
batch.Limits = lambda: Limits(questions=50_000)
"""


@pytest.fixture
def http(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, no_ambient_settings: None
) -> Iterator[EndpointProject]:
    # The limits of this process are what is judged here sees, too: they must not outlive the test.
    from pytest_ftgate.models.openai_api import batch

    monkeypatch.setattr(batch, "Pace", batch.Pace)
    monkeypatch.setattr(batch, "Limits", batch.Limits)
    with BatchServer() as server:
        project = EndpointProject(pytester, server)
        batched(project)
        project.file("conftest.py", QUICK)
        yield project


def batched(http: EndpointProject, **options: Any) -> None:
    """Both models in batches."""
    options = {"mode": "batch", "retries": 3, **options}
    http.keys |= {"baseline": http.model("base", **options), "candidate": http.model("ft", **options)}


def served(http: EndpointProject) -> BatchServer:
    assert isinstance(http.server, BatchServer)
    return http.server


def sizes(http: EndpointProject) -> list[int]:
    return sorted(len(batch.lines) for batch in served(http).batches.values())


def test_a_green_gate_sends_one_batch_a_model_and_the_second_run_none(http: EndpointProject) -> None:
    gate = http.judge(stored=True)
    assert (gate["verdict"], gate["wins"], gate["losses"]) == ("pass", 18, 2)
    assert (gate["candidate"]["latency_p50_s"], gate["candidate"]["latency_p95_s"]) == (None, None)  # without a sample
    assert sizes(http) == [N, N]
    assert "POST /chat/completions" not in served(http).tally
    again = http.judge(stored=True)
    assert (again["baseline"]["n_stored"], again["candidate"]["n_stored"]) == (N, N)
    assert sizes(http) == [N, N]


def test_live_and_batch_mode_share_what_is_stored(http: EndpointProject) -> None:
    http.judge(stored=True)
    batched(http, mode="live")
    assert http.judge(stored=True)["candidate"]["n_stored"] == N
    assert "POST /chat/completions" not in served(http).tally


def test_a_bound_on_latency_is_an_error_before_any_call(http: EndpointProject) -> None:
    gate = http.judge(require=[{"metric": "latency_p95_s", "max": 9.0}], stored=True)
    assert (gate["verdict"], gate["models_called"]) == ("error", False)
    mentions(check(gate, "latency_sample"), "latency_p95_s of candidate ft", "mode: batch")
    assert http.server.requests == []


def test_a_sample_of_latencies_is_asked_live(http: EndpointProject) -> None:
    batched(http, latency={"concurrency": 1, "examples": 5})
    gate = passed(http.judge(require=[{"metric": "latency_p95_s", "max": 60.0}], stored=True))
    assert gate["candidate"]["latency_p95_s"] > 0
    assert served(http).tally["POST /chat/completions"] == 10
    assert sizes(http) == [N, N]


def test_failed_lines_are_sent_again_as_often_as_retries_allow(http: EndpointProject) -> None:
    answer = http.server.answer
    http.server.answer = lambda body: (
        error(500) if body["messages"][-1]["content"][9:] == "question 7" else answer(body)
    )
    gate = ends(http.judge(stored=True), "error")
    mentions(check(gate, "candidate_predictions"), "1 of 60", "test.jsonl:8", "500")
    assert sizes(http) == [1] * 6 + [N, N]


def test_refresh_asks_anew(http: EndpointProject) -> None:
    http.judge(stored=True)
    for batch in served(http).batches.values():
        batch.created_at -= 60  # the endpoint's clock tells whole seconds
    http.judge(refresh=True)
    assert sizes(http) == [N, N, N, N]


def stop_while_under_way(http: EndpointProject, with_signal: int) -> bytes:
    """Run in a process of its own, and end that once both batches are in progress. What it printed."""
    http.gate_test()
    server = served(http)
    server.done.clear()
    both = threading.Event()
    look = server._look

    def looked(batch: Any) -> Any:
        found = look(batch)
        if sum(other.looks > 0 for other in server.batches.values()) == 2:
            both.set()
        return found

    server._look = looked  # type: ignore[method-assign]
    process = http.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert both.wait(60)
    process.send_signal(with_signal)
    output, _ = process.communicate(timeout=60)
    server.done.set()
    return output


@pytest.mark.skipif(os.name != "posix", reason="signals to one process")
@pytest.mark.parametrize("folder", ["kept", "lost"])
@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_the_next_run_picks_the_same_batches_up(http: EndpointProject, folder: str, with_signal: int) -> None:
    stop_while_under_way(http, with_signal)
    assert sizes(http) == [N, N]
    if folder == "lost":
        shutil.rmtree(http.path / ".ftgate")
    assert http.judge(stored=True)["verdict"] == "pass"
    assert served(http).tally["POST /batches"] == 2  # one a model, over both runs
    assert "POST /chat/completions" not in served(http).tally


@pytest.mark.skipif(os.name != "posix", reason="signals to one process")
def test_ctrl_c_says_that_the_batches_go_on(http: EndpointProject) -> None:
    output = stop_while_under_way(http, signal.SIGINT).decode()
    said = sorted(re.findall(r"^(\w+): the batch (\w+) goes on at 127[.\d:]+; the next run picks it up$", output, re.M))
    assert [model for model, _ in said] == ["base", "ft"]
    assert {batch for _, batch in said} == {"batch_0", "batch_1"}


def test_no_note_is_left_once_all_is_stored(http: EndpointProject) -> None:
    assert http.judge(stored=True)["verdict"] == "pass"
    kinds = {name.partition(":")[0] for (name,) in http.store("SELECT name FROM notes")}
    assert kinds == {"attempt", "green", "listing", "training", "weights"}
