"""Gates on a real endpoint: each prediction is asked for once, however often, in how many processes, and with whatever
interruptions its gate is judged."""

from __future__ import annotations

import os
import shutil

import pytest
from endpoint_project import EndpointProject
from gate_project import check, ends, mentions

# --- offline -------------------------------------------------------------------------------------------------


def test_offline_what_is_not_stored_is_an_error_that_says_so(http: EndpointProject) -> None:
    gate = http.judge(stored=True, offline=True)
    assert http.server.requests == []
    assert gate["verdict"] == "error"
    found = check(gate, "baseline_answers")
    mentions(found, "base, candidate ft: ", "60 of 60", "--ftgate-offline", "--ftgate-report=recordings:recordings")
    assert check(gate, "candidate_answers")["status"] == "note"  # one cause is one line
    assert "Run again" not in found["advice"]
    http.judge(stored=True)
    http.forget()
    http.test_set(61)
    gate = ends(http.judge(stored=True, offline=True), "error")
    mentions(check(gate, "baseline_answers"), "1 of 61", "test.jsonl:61")
    assert http.server.requests == []


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_two_tests_of_one_gate_with_other_models_do_not_overwrite_each_other(
    http: EndpointProject, args: tuple[str, ...]
) -> None:
    http.gates()
    mark = "@pytest.mark.ftgate('support', candidate={})\ndef test_again():\n    pass\n"
    code = (http.path / "test_gate.py").read_text(encoding="utf-8")
    http.file("test_gate.py", f"{code}\n\n{mark.format(http.model('ft', params={'seed': 1}))}")
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


# --- interruptions -------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="SIGINT to one process")
def test_ctrl_c_says_which_calls_were_abandoned(http: EndpointProject) -> None:
    """A function that blocks cannot be cancelled."""
    http.file(
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
    http.gate_test(candidate=...)
    result = http.run_apart()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR interrupted: * of 120 answers*", "*blocks could not be cancelled*"])
