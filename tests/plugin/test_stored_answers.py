"""Each answer is asked for once; and whom it serves where the endpoint may have got other weights: the session, and the
next after a kill."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from endpoint_project import EVERY_REQUEST, EndpointProject, Meeting, N, answer, index_of
from gate_project import ALONE, check, ends, mentions, passed
from loopback import Reply, error

from pytest_ftgate.errors import StoreError
from pytest_ftgate.runs.store import Store

DAY_S = 86_400
ALL = 2 * N


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    """Return a gate on models without a revision, few of whose calls are in flight."""
    with_revision(http, ...)
    return http


def with_revision(http: EndpointProject, revision: Any) -> None:
    models = {"baseline": "base", "candidate": "ft"}
    http.keys |= {
        role: http.model(name, revision=revision, concurrency=4) for role, name in models.items()
    }
    http.gate_test()


def session(http: EndpointProject, *args: str) -> tuple[dict[str, Any], int]:
    """Run a session, and return its gate and how many answers it asked for."""
    http.forget()
    gate = http.gate(*args)
    return gate, len(http.server.bodies)


def kept(http: EndpointProject) -> int:
    """Return the number of answers that the next session gets."""
    query = "SELECT count(*) FROM predictions WHERE key NOT IN (SELECT key FROM retired)"
    ((n,),) = http.store(query)
    return int(n)


def notes(gate: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the checks on stored answers by status."""
    return {check["status"]: check for check in gate["checks"] if check["name"] == "models"}


# --- a run that finished ---------------------------------------------------------------------------------------


def test_after_a_verdict_the_next_session_asks_again(http: EndpointProject) -> None:
    for margin, verdict in ((0.9, "fail"), (0.05, "pass")):
        http.gate_test(margin=margin)
        gate, n_asked = session(http)
        assert (gate["verdict"], n_asked, kept(http)) == (verdict, ALL, 0)
        assert notes(gate) == {}


TWO = "def test_gate():\n    pass\n\n\n{mark}\ndef test_again():\n    pass\n"


@pytest.mark.parametrize("args", [(), ("--ftgate-cache=refresh",)])
def test_two_gates_of_one_session_ask_once(http: EndpointProject, args: tuple[str, ...]) -> None:
    http.gate_test(TWO.format(mark=http.mark(name="again", margin=0.1)))
    http.run(*args)
    assert (http.asked, kept(http)) == (EVERY_REQUEST, 0)


def test_a_look_at_a_few_answers_is_an_unfinished_run_and_ftgate_evaluate_a_finished_one(
    http: EndpointProject,
) -> None:
    http.run("--ftgate-preview=3")
    assert (len(http.server.bodies), kept(http)) == (6, 6)
    http.forget()
    body = f"    for _ in range(2): assert ftgate_evaluate({http.keys['candidate']!r}, 'test.jsonl').metrics"
    http.file("test_gate.py", f"def test(ftgate_evaluate):\n{body}\n")
    http.run().assert_outcomes(passed=1)
    # it takes up what the preview has asked of the candidate, and leaves the baseline's
    assert (len(http.server.bodies), kept(http)) == (N - 3, 3)


@pytest.mark.parametrize("revision", ["1", ...])
def test_sessions_that_run_at_once_ask_each_question_once(
    http: EndpointProject, revision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer comes before both sessions have asked, so that neither has to wait for nothing."""
    models = {"baseline": "base", "candidate": "ft"}
    options = {"revision": revision, "concurrency": 4, "api_key_env": "FTGATE_TEST_KEY"}
    http.keys |= {role: http.model(name, **options) for role, name in models.items()}
    http.gate_test()
    http.server.answer = Meeting(http.server)
    sessions = []
    for key in ("one", "two"):
        monkeypatch.setenv("FTGATE_TEST_KEY", key)
        sessions.append(http.start(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    assert [process.wait(60) for process in sessions] == [0, 0]
    assert http.asked == EVERY_REQUEST
    assert kept(http) == (0 if revision is ... else ALL)


def test_a_session_that_ends_takes_no_answer_from_one_that_goes_on(http: EndpointProject) -> None:
    """A whole session runs while another is between two gates; the next one asks again."""
    http.gate_test(TWO.format(mark=http.mark(name="again", margin=0.1)))
    code = (http.path / "test_gate.py").read_text(encoding="utf-8")
    http.file("test_short.py", code)
    short = f"[{sys.executable!r}, '-m', 'pytest', 'test_short.py', *{ALONE!r}]"
    run = f"def test_gate():\n    __import__('subprocess').run({short}, check=True)\n"
    http.file("test_gate.py", code.replace("def test_gate():\n    pass\n", run))
    http.run_apart("test_gate.py").assert_outcomes(passed=2)
    assert (http.asked, kept(http)) == (EVERY_REQUEST, 0)
    http.run_apart("test_short.py")
    assert set(http.asked.values()) == {2}


# --- a run that did not finish -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="signals to one process")
def test_the_next_session_uses_what_was_stored_before_ctrl_c_and_says_so(
    http: EndpointProject,
) -> None:
    """A run is interrupted while it waits for answers, of which at least 90 have arrived."""
    waiting = threading.Event()

    def reply(body: dict[str, Any]) -> str | Reply:
        if len(http.server.requests) <= 90:
            return answer(body)
        if len(http.server.requests) == 98:  # so that all other answers have been stored
            waiting.set()
        return Reply(hang=True)

    http.server.answer = reply
    process = http.start(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert waiting.wait(60)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    http.server.answer = answer
    rows_before = kept(http)
    assert rows_before >= 90
    gate, n_asked = session(http)
    passed(gate)
    assert n_asked == ALL - rows_before
    gate_notes = notes(gate)
    assert (gate_notes.keys(), gate_notes["warning"]["observed"]) == ({"warning"}, rows_before)
    mentions(gate_notes["warning"], f"{rows_before} answers", "base", "ft", "second")
    assert kept(http) == 0


@pytest.mark.parametrize(
    ("older_s", "args", "most_asked", "age"),
    [
        (DAY_S - 600, (), 10, ["23 hours"]),
        (DAY_S, (), ALL, []),
        (0, ("--ftgate-cache=refresh",), ALL, []),
    ],
)
def test_for_a_day_at_most_and_not_under_refresh(
    http: EndpointProject, older_s: int, args: tuple[str, ...], most_asked: int, age: list[str]
) -> None:
    """The last 10 questions of the candidate fail at first."""
    http.server.answer = lambda body: (
        error(500) if body["model"] == "ft" and index_of(body) >= 50 else answer(body)
    )
    gate, _ = session(http)
    assert notes(ends(gate, "error")) == {}
    http.server.answer = answer
    http.store("UPDATE predictions SET created_at = created_at - ?", older_s)
    gate, n_asked = session(http, *args)
    assert (n_asked, len(notes(gate)), kept(http)) == (most_asked, len(age), 0)
    for finding in notes(gate).values():
        mentions(finding, *age)


def test_a_kill_loses_no_answer_of_the_gates_before(http: EndpointProject) -> None:
    http.gate_test(
        "def test_gate(): pass\ndef test_end(): __import__('os').kill(__import__('os').getpid(), 9)\n"
    )
    http.run_apart()
    assert kept(http) == ALL
    http.gate_test()
    gate, n_asked = session(http)
    assert (n_asked, notes(gate)["warning"]["observed"]) == (0, ALL)


def test_a_gate_without_a_verdict_keeps_its_answers_and_not_those_of_others(
    http: EndpointProject,
) -> None:
    second_mark = http.mark(name="other", candidate=http.model("told", revision=...))
    http.gate_test(TWO.format(mark=second_mark), name="one")

    def right(body: dict[str, Any]) -> str:
        return answer({**body, "model": body["model"].replace("told", "ft")})

    def failing(body: dict[str, Any]) -> str | Reply:
        return error(500) if body["model"] == "told" and index_of(body) >= 50 else right(body)

    http.server.answer = failing
    http.run_apart("-n2")
    assert kept(http) == 50  # the baseline's were judged, too
    http.server.answer = right
    http.forget()
    first_gate, two = http.report()["gates"]
    assert len(http.server.bodies) == 3 * N - 50
    assert ("warning" in notes(first_gate), "warning" in notes(two)) == (False, True)
    assert kept(http) == 0


def test_a_store_that_cannot_forget_fails_the_session(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "retire", refuse)
    result = http.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the disk is full*"])


def test_a_parameter_asks_the_candidate_of_the_file_anew_and_the_baseline_once(
    http: EndpointProject,
) -> None:
    base, ft = http.keys["baseline"], http.keys["candidate"]
    http.gates(baseline=base, candidate=ft)
    http.marked(body="@pytest.mark.parametrize('step', [1, 2])\ndef test_gate(step): pass")
    assert [gate["verdict"] for gate in http.report()["gates"]] == ["pass", "pass"]
    assert set(http.asked.values()) == {1, 2}
    assert {model for (model, _), times in http.asked.items() if times == 2} == {"ft"}


def test_offline_what_is_not_stored_is_an_error_that_says_so(http: EndpointProject) -> None:
    with_revision(http, "1")
    gate = http.judge(stored=True, offline=True)
    assert http.server.requests == []
    assert gate["verdict"] == "error"
    finding = check(gate, "baseline_answers")
    mentions(
        finding,
        "baseline base: ",
        "60 of 60",
        "prompts, model, revision and parameters",
        "--ftgate-offline",
        "record them again",
        "--ftgate-report=recordings:recordings",
    )
    assert "Run again" not in finding["cure"]
    http.judge(stored=True)
    http.forget()
    http.test_set(61)
    gate = ends(http.judge(stored=True, offline=True), "error")
    mentions(check(gate, "baseline_answers"), "1 of 61", "test.jsonl:61")
    assert http.server.requests == []


def test_recordings_are_looked_up_first_and_two_tests_of_one_gate_do_not_overwrite_each_other(
    http: EndpointProject,
) -> None:
    http.gates()
    mark = f"@pytest.mark.ftgate('support', candidate={http.model('ft', params={'max_tokens': 9}, revision=...)})"
    code = (http.path / "test_gate.py").read_text(encoding="utf-8")
    http.file("test_gate.py", f"{code}\n\n{mark}\ndef test_again(): pass\n")
    http.run("--ftgate-report=recordings:recorded").assert_outcomes(passed=2)
    shutil.rmtree(http.path / ".ftgate")
    names = sorted(path.name.split("-")[0] for path in (http.path / "recorded").glob("*.jsonl"))
    assert names == ["support", "support", "support.baseline.jsonl", "support.candidate.jsonl"]
    http.file(
        "tox.ini", "[pytest]\nftgate_config = gates/ftgate.yaml\nftgate_recordings = recorded\n"
    )
    http.forget()
    gates = http.report("--ftgate-offline")["gates"]
    assert [(gate["verdict"], notes(gate)) for gate in gates] == [("pass", {})] * 2
    assert http.server.requests == []
