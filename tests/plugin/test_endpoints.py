"""Gates on a real endpoint: what is sent, what its faults become, what stays secret, and how far it is."""

import os
import random
import re
import shutil
import struct
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from endpoint_project import EVERY_REQUEST, EndpointProject, answer, index_of, untimed
from gate_project import block, ends, label, mentions
from loopback import Reply, error

from pytest_ftgate.runs import asking

KEY = "correct-horse-battery-staple"


def test_refusals_and_answers_that_are_cut_off_are_wrong_and_counted(http: EndpointProject) -> None:
    odd = {
        10: Reply(label(10), message={"refusal": "I will not say."}),
        11: Reply(None, message={"refusal": "I will not say."}),
        12: Reply(label(12), finish_reason="content_filter"),
        13: Reply(label(13), finish_reason="length"),
        14: Reply(""),
    }
    http.server.answer = lambda body: (
        odd.get(index_of(body)) or answer(body) if body["model"] == "ft" else answer(body)
    )
    http.gate_test()
    gate = http.whole("-v")
    answers = {row["id"]: row["candidate"] for row in gate["broken_examples"]}
    assert (answers["t12"], answers["t13"]) == (f"(filtered) {label(12)}", f"(cut off) {label(13)}")
    kinds = gate["diagnosis"]["candidate"]
    assert [kinds[kind] for kind in ("refusal", "cut_off", "empty")] == [3, 1, 1]
    http.forget()
    for gate_of_run in (gate, http.gate()):  # an answer is an answer
        facts = {
            name: gate_of_run["candidate"][f"n_{name}"] for name in ("refused", "errors", "scored")
        }
        assert facts == {"refused": 3, "errors": 0, "scored": 60}
        assert (gate_of_run["verdict"], gate_of_run["candidate"]["value"]) == ("pass", 51 / 60)
    assert http.server.requests == []


def test_all_missing_keys_are_named_at_once_with_the_models_that_need_them(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is the first fact, wherever else it is missed, and the cure sets all of them."""
    guard = {"test_set": "test.jsonl", "max_drop": 0.5}
    for variables, names in (
        (("A_KEY", "B_KEY"), "A_KEY=... B_KEY=..."),
        (("A_KEY",) * 2, "A_KEY=..."),
    ):
        baseline, candidate = (
            http.model(name, api_key_env=variable)
            for name, variable in zip(("base", "ft"), variables, strict=True)
        )
        for key in variables:
            monkeypatch.delenv(key, raising=False)
        gate = http.judge(baseline=baseline, candidate=candidate, guards={"old": guard})
        red = [finding for finding in ends(gate, "error")["checks"] if finding["status"] == "error"]
        assert [finding["name"] for finding in red] == ["baseline_answers", "guards.old"]
        assert all(finding["message"].startswith("A_KEY is not set (base at ") for finding in red)
        mentions(red[0], variables[1], "ft at test_gate.py:4", f"export {names},", "60 of 60")
        assert len([line for line in block(gate) if line.startswith("fix:  ")]) == 1
        assert http.server.requests == []


BAD = {  # of all requests, the share that goes wrong, and how
    "429": (0.20, error(429, "rate_limit_exceeded")),
    "429 with a wait": (0.10, error(429, "rate_limit_exceeded", retry_after="0.01")),
    "dropped": (0.05, Reply(drop=True)),
    "500": (0.03, error(500)),
    "cut off": (0.02, Reply("refund", cut_at=40)),
    "cut off in its JSON": (0.01, Reply(body='{"choices": [{"mess')),
    "HTML": (
        0.01,
        Reply(body="<html>we are back soon</html>", headers={"Content-Type": "text/html"}),
    ),
    "slow": (0.05, None),
    "none": (0.53, None),
}


@pytest.fixture
def patient(http: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> EndpointProject:
    """Return a gate that tries again; a twentieth of each wait: what is waited for here comes sooner than in life."""
    http.keys |= {
        "baseline": http.model("base", retries=10),
        "candidate": http.model("ft", retries=10),
    }
    wait_s = asking.wait_s
    monkeypatch.setattr(asking, "wait_s", lambda *args: wait_s(*args) / 20)
    return http


@pytest.mark.parametrize("seed", range(2))
def test_the_result_is_that_of_a_good_day(patient: EndpointProject, seed: int) -> None:
    """Although requests are spoiled at random, and the server is restarted once in mid-run, at its 50th request."""
    http = patient
    dice = random.Random(seed)
    met, answered = Counter[str](), Counter[tuple[str, str]]()

    def bad_day(body: dict[str, Any]) -> Reply:
        if len(http.server.requests) == 50:
            met["restart"] += 1
            http.server.restart(0.02)
            return Reply(drop=True)
        (fault,) = dice.choices([*BAD], [share for share, _ in BAD.values()])
        _, reply = BAD[fault]
        met[fault] += 1
        if reply is None:
            answered[body["model"], body["messages"][-1]["content"]] += 1
        return reply or Reply(answer(body), delay_s=0.05 if fault == "slow" else 0.0)

    http.gate_test(thresholds={"error_rate": {"max": 0}})
    good = http.gate()
    assert (good["verdict"], good["fixed"], good["broken"], http.asked) == (
        "pass",
        18,
        2,
        EVERY_REQUEST,
    )
    assert (good["baseline"]["value"], good["candidate"]["value"]) == (40 / 60, 56 / 60)
    shutil.rmtree(http.path / ".ftgate")
    http.forget()
    http.server.answer = bad_day
    bad = http.gate()
    spoiled = [check["observed"] for check in bad["checks"] if check["name"] == "retries"]
    assert len(spoiled) <= 1  # one check of both models
    assert {*spoiled} <= {bad[role]["n_retries"] for role in ("baseline", "candidate")}
    bad["checks"] = [check for check in bad["checks"] if check["name"] != "retries"]
    assert untimed(bad) == untimed(good)
    assert {"429", "429 with a wait", "dropped", "restart", "none"} <= met.keys()
    # What was in flight at the restart had been answered by the server, and arrived nowhere.
    assert answered.keys() == EVERY_REQUEST.keys()
    assert sum((answered - EVERY_REQUEST).values()) <= 32
    http.forget()
    assert http.gate()["gain"] == good["gain"]
    assert not http.server.requests


@pytest.mark.parametrize(("n", "statuses"), [(3, set()), (4, {"warning"})])
def test_retries_are_in_every_report(patient: EndpointProject, n: int, statuses: set[str]) -> None:
    """Of 60 calls and their retries, more than 5 % are a warning."""
    http = patient
    failing = {*range(n)}

    def reply(body: dict[str, Any]) -> str | Reply:
        if body["model"] == "base" or index_of(body) not in failing:
            return answer(body)
        failing.remove(index_of(body))
        return error(500)

    http.server.answer = reply
    http.gate_test()
    forms = [f"--ftgate-report={form}:out/{form}" for form in ("markdown", "html")]
    gate = http.gate("-v", *forms)
    assert (gate["baseline"]["n_retries"], gate["candidate"]["n_retries"], gate["verdict"]) == (
        0,
        n,
        "pass",
    )
    assert {check["status"] for check in gate["checks"] if check["name"] == "retries"} == statuses
    texts = [
        http.result.stdout.str(),
        *(path.read_text(encoding="utf-8") for path in (http.path / "out").iterdir()),
    ]
    assert len(texts) == 3
    assert all("retries" in text for text in texts)
    (row,) = (
        line for line in texts[0].splitlines() if line.startswith("candidate") and "60/60" in line
    )
    assert str(n) in row.split()


def test_a_variable_of_the_environment_changes_no_verdict(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both models know every answer, and one of the labels happens to be the value of a variable."""
    monkeypatch.setenv("SORT_KEY", "shipping")
    http.predictions("ft.jsonl", 60)
    http.server.answer = lambda body: label(index_of(body))
    gate = http.judge(candidate="recorded:ft.jsonl", stored=True)
    assert (gate["verdict"], gate["gain"], gate["baseline"]["value"]) == ("fail", 0, 1)
    assert http.store("SELECT count(*) FROM predictions WHERE value LIKE '%***%'") == [(0,)]


TELLING = (
    "-vv",
    "-rA",
    "--showlocals",
    "--full-trace",
    "--log-level=DEBUG",
    "-olog_cli=true",
    "-ojunit_logging=all",
)


@pytest.mark.parametrize("answered", [True, False])
def test_a_key_is_written_nowhere(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    monkeypatch.setenv("FTGATE_TEST_KEY", KEY)
    echo = (
        f"Your key is {KEY}."
        if answered
        else error(401, message=f"Incorrect API key provided: {KEY}.")
    )
    http.server.answer = lambda body: (
        answer(body) if index_of(body) < (58 if answered else 3) else echo
    )
    models = {"baseline": "base", "candidate": "ft"}
    http.gate_test(
        **{role: http.model(name, api_key_env="FTGATE_TEST_KEY") for role, name in models.items()}
    )
    reports = (
        "--junitxml=junit.xml",
        "--ftgate-report=recordings:recorded",
        "--ftgate-report=html:report.html",
    )
    gate = http.gate(*TELLING, *reports, apart=True)
    assert http.server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert gate["verdict"] == "error"
    files = [path for path in http.path.rglob("*") if path.is_file()]
    assert {"stdout", "stderr", "report.json", "junit.xml", "predictions.sqlite3"} <= {
        path.name for path in files
    }
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert ("FTGATE_TEST_KEY" if answered else "***") in http.result.stdout.str()


@pytest.mark.skipif(os.name != "posix", reason="pseudo terminals")
def test_progress_fits_a_terminal_and_is_wiped(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import pty
    import termios

    columns = 160
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    half = threading.Event()
    http.server.answer = lambda body: Reply(
        answer(body), until=half if index_of(body) >= 30 else None
    )
    http.gate_test()
    end, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    process = http.start(stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    transcript = ""
    with suppress(OSError):  # closed at the other end
        while text := os.read(end, 4096).decode():
            transcript += text
            if re.search(r"ftgate: base 30/60.*, ft 30/60", transcript):
                half.set()
    os.close(end)
    assert process.wait(60) == 0, transcript
    lines_shown = [
        line.strip("\n") for line in re.sub(r"\x1b\[[0-9;]*m", "", transcript).split("\r")
    ]
    lines = [i for i, line in enumerate(lines_shown) if line.startswith("ftgate: ")]
    assert max(len(lines_shown[i]) for i in lines) <= columns
    assert lines_shown[lines[-1] + 1] == " " * len(lines_shown[lines[-1]])
    assert "PASS" in "".join(lines_shown[lines[-1] :])


@pytest.mark.parametrize(("options", "is_shown"), [(("-n1",), True), (("-qq",), False)])
def test_a_log_of_a_long_run_gets_lines_of_their_own(
    http: EndpointProject, options: Any, is_shown: bool
) -> None:
    http.gate_test()
    http.file("conftest.py", "from pytest_ftgate.runs import progress\n\nprogress.EVERY_S = 0.0\n")
    result = http.run_apart(*options, alone=False)
    assert result.ret == 0
    lines = [line for line in (*result.outlines, *result.errlines) if line.startswith("ftgate: ")]
    assert bool(lines) is is_shown
    assert all(re.match(r"ftgate: base \d+/60, ft \d+/60", line) for line in lines), lines
    assert b"\r" not in (http.path / "stdout").read_bytes()
