"""Gates on a real endpoint: each prediction is asked for once, however often, in how many processes, and with whatever
interruptions its gate is judged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from typing import Any

import pytest
from endpoint_project import EVERY_REQUEST, EndpointProject, answer, untimed
from gate_project import check, ends, mentions, passed
from loopback import Reply


def n_stored(gate: dict[str, Any]) -> tuple[int, int]:
    return gate["baseline"]["n_stored"], gate["candidate"]["n_stored"]


def rows(http: EndpointProject) -> list[tuple[str, str]]:
    """Return what is stored, with the age of each prediction."""
    return sorted(http.store("SELECT key, value, created_at FROM predictions"))


# --- from one run to the next --------------------------------------------------------------------------------


# --- offline -------------------------------------------------------------------------------------------------


def test_offline_what_is_not_stored_is_an_error_that_says_so(http: EndpointProject) -> None:
    gate = http.judge(stored=True, offline=True)
    assert http.server.requests == []
    assert gate["verdict"] == "error"
    found = check(gate, "candidate_answers")
    mentions(found, "60 of 60", "--ftgate-offline", "--ftgate-report=recordings:recordings")
    assert "Run again" not in found["advice"]
    http.judge(stored=True)
    http.forget()
    http.test_set(61)
    gate = ends(http.judge(stored=True, offline=True), "error")
    mentions(check(gate, "baseline_answers"), "1 of 61", "test.jsonl:61")
    assert http.server.requests == []


def recorded(http: EndpointProject, **changes: Any) -> None:
    """Record a gate, then leave what a fresh checkout has: no store, no key, and the recordings named in the ini."""
    http.gate_test(name="support", **changes)
    http.run("--ftgate-report=recordings:recorded").assert_outcomes(passed=1)
    shutil.rmtree(http.path / ".ftgate")
    http.pytester.makeini("[pytest]\nftgate_recordings = recorded\n")
    http.forget()


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_two_tests_of_one_gate_with_other_models_do_not_overwrite_each_other(
    http: EndpointProject, args: tuple[str, ...]
) -> None:
    http.gates()
    mark = "@pytest.mark.ftgate('support', candidate={})\ndef test_again():\n    pass\n"
    code = (http.path / "test_gate.py").read_text(encoding="utf-8")
    http.file("test_gate.py", f"{code}\n\n{mark.format(http.model('ft', system='Name the topic.'))}")
    http.run_apart("--ftgate-report=recordings:recorded", *args).assert_outcomes(passed=2)
    shutil.rmtree(http.path / ".ftgate")
    assert sorted(path.name.split("-")[0] for path in (http.path / "recorded").glob("*.jsonl")) == [
        "support",
        "support",
        "support.baseline.jsonl",
        "support.candidate.jsonl",
    ]
    http.file("pytest.ini", "[pytest]\nftgate_config = gates/ftgate.yaml\nftgate_recordings = recorded\n")
    http.forget()
    http.run("--ftgate-offline").assert_outcomes(passed=2)
    assert http.server.requests == []


# --- several gates, several processes ------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--ftgate-cache=reuse", "--ftgate-cache=refresh"])
def test_two_workers_judge_one_gate_and_lose_no_answer(http: EndpointProject, option: str) -> None:
    http.gate_test("@pytest.mark.parametrize('x', range(2))\ndef test_gate(x):\n    pass\n", name="support")
    if option.endswith("refresh"):
        http.run("-k", "0")
        http.forget()
    gates = http.report("-n2", option, "-v", apart=True)["gates"]
    assert [(gate["verdict"], gate["candidate"]["n_scored"], gate["wins"]) for gate in gates] == [("pass", 60, 18)] * 2
    assert http.asked.keys() == EVERY_REQUEST.keys()
    assert max(http.asked.values()) <= 2  # each worker asks at most once
    assert {line.split()[0] for line in http.result.outlines if "PASSED" in line} == {"[gw0]", "[gw1]"}


# --- interruptions -------------------------------------------------------------------------------------------

CONCURRENCY = 4


@pytest.fixture
def narrow(http: EndpointProject) -> EndpointProject:
    """Return a gate on models with few calls in flight."""
    http.gate_test(**{role: {**http.keys[role], "concurrency": CONCURRENCY} for role in ("baseline", "candidate")})
    return http


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_after_a_kill_only_what_was_in_flight_is_asked_again(narrow: EndpointProject) -> None:
    undisturbed = narrow.gate()
    shutil.rmtree(narrow.path / ".ftgate")
    narrow.forget()
    started = threading.Event()
    victims = []

    def kill_at_the_50th(body: dict[str, Any]) -> str:
        if len(narrow.server.requests) == 50:
            started.wait(60)
            victims[0].kill()
            victims[0].wait(60)
        return answer(body)

    narrow.server.answer = kill_at_the_50th
    victims.append(narrow.start(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    started.set()
    assert victims[0].wait(60) == -signal.SIGKILL
    narrow.server.answer = answer
    gate = narrow.gate()
    again = {request: n for request, n in narrow.asked.items() if n > 1}
    assert narrow.asked.keys() == EVERY_REQUEST.keys()
    assert set(again.values()) <= {2}
    assert len(again) <= 2 * CONCURRENCY
    assert sum(n_stored(gate)) >= 50 - 2 * CONCURRENCY
    assert untimed(gate) == untimed(undisturbed)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process")
def test_ctrl_c_ends_the_run_and_keeps_what_was_answered(narrow: EndpointProject) -> None:
    all_hang = threading.Event()

    def answer_40(body: dict[str, Any]) -> str | Reply:
        if len(narrow.server.requests) <= 40:
            return answer(body)
        if len(narrow.server.requests) == 40 + 2 * CONCURRENCY:  # so that all other answers have been taken
            all_hang.set()
        return Reply(hang=True)

    narrow.server.answer = answer_40
    process = narrow.start("--ftgate-report=json:report.json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert all_hang.wait(60)
    process.send_signal(signal.SIGINT)
    signalled = time.monotonic()
    output, errors = process.communicate(timeout=30)  # each call alone would take 60 s
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - signalled < 3 * busy
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert b"ERROR   interrupted: " in output
    assert b"40 of 120 answers" in output
    assert b"could not be cancelled" not in output
    assert errors == b""
    assert len(rows(narrow)) == 40

    before = narrow.asked
    narrow.forget()
    narrow.server.answer = answer
    gate = passed(narrow.gate())
    assert sum(n_stored(gate)) == 40
    assert narrow.asked + before == EVERY_REQUEST + (narrow.asked & before)
    assert (narrow.asked & before).total() == 2 * CONCURRENCY


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process")
def test_ctrl_c_says_which_calls_were_abandoned(narrow: EndpointProject) -> None:
    """A function that blocks cannot be cancelled."""
    narrow.file(
        "conftest.py",
        "import os, pytest, signal, threading\n"
        "def blocks(text):\n"
        "    if text.endswith('question 3'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        threading.Event().wait()\n"
        "    return 'refund'\n"
        "@pytest.fixture\n"
        "def ftgate_candidate(): return blocks\n",
    )
    narrow.gate_test(candidate=...)
    result = narrow.run_apart()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR   interrupted: *", "*blocks could not be cancelled*"])
