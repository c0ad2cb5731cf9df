"""An endpoint on a bad day: the verdict, the values and the answers are those of a good one."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from typing import Any

import pytest
from endpoint_project import EVERY_REQUEST, EndpointProject, answer, index_of, untimed
from loopback import LoopbackServer, Reply, error

from pytest_ftgate.models.protocol import RetryPolicy

BAD = {  # of all requests, the share that goes wrong, and how
    "429": (0.20, error(429, "rate_limit_exceeded")),
    "429 with a wait": (0.10, error(429, "rate_limit_exceeded", retry_after_ms="10")),
    "dropped": (0.05, Reply(drop=True)),
    "500": (0.03, error(500)),
    "cut off": (0.02, Reply("refund", cut_at=40)),
    "cut off in its JSON": (0.01, Reply(body='{"choices": [{"mess')),
    "HTML": (0.01, Reply(body="<html>we are back soon</html>", headers={"Content-Type": "text/html"})),
    "slow": (0.05, None),
    "none": (0.53, None),
}


class BadDay:
    """Spoils requests at random, and restarts the server once in mid-run.

    Args:
        server: whose answers are spoiled.
        seed: of the dice.
        restart_at: the number of the request that is met by the restart.
    """

    def __init__(self, server: LoopbackServer, seed: int, restart_at: int) -> None:
        self._server = server
        self._dice = random.Random(seed)
        self._restart_at = restart_at
        self.met: Counter[str] = Counter()
        self.answered: Counter[tuple[str, str]] = Counter()

    def __call__(self, body: dict[str, Any]) -> Reply:
        if len(self._server.requests) == self._restart_at:
            self.met["restart"] += 1
            self._server.restart(0.02)
            return Reply(drop=True)
        (fault,) = self._dice.choices([*BAD], [share for share, _ in BAD.values()])
        _, reply = BAD[fault]
        self.met[fault] += 1
        if reply is None:
            self.answered[body["model"], body["messages"][-1]["content"]] += 1
        return reply or Reply(answer(body), delay_s=0.05 if fault == "slow" else 0.0)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth of each wait: what is waited for here comes sooner than in life."""
    wait_s = RetryPolicy.wait_s
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *args: wait_s(*args) / 20)


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    http.keys |= {"baseline": http.model("base", retries=5), "candidate": http.model("ft", retries=5)}
    return http


@pytest.mark.parametrize("seed", range(3))
def test_the_result_is_that_of_a_good_day(http: EndpointProject, seed: int) -> None:
    http.gate_test(thresholds={"error_rate": {"max": 0}})
    good = http.gate()
    shutil.rmtree(http.path / ".ftgate")
    http.forget()
    day = BadDay(http.server, seed, restart_at=50)
    http.server.answer = day
    bad = http.gate()
    spoiled = {check["observed"] for check in bad["checks"] if check["name"] == "retries"}
    assert spoiled < {bad[role]["n_retries"] for role in ("baseline", "candidate")}  # one check of both models
    bad["checks"] = [check for check in bad["checks"] if check["name"] != "retries"]
    assert untimed(bad) == untimed(good)
    assert bad["verdict"] == "pass"
    assert {"429", "429 with a wait", "dropped", "restart", "none"} <= day.met.keys()
    # What was in flight at the restart had been answered by the server, and arrived nowhere.
    twice = sum((day.answered - EVERY_REQUEST).values())
    assert day.answered.keys() == EVERY_REQUEST.keys()
    assert twice <= 32
    http.forget()
    assert http.gate()["gain"] == good["gain"]
    assert not http.server.requests


@pytest.mark.parametrize(("n", "statuses"), [(3, set()), (4, {"warning"})])
def test_retries_are_in_every_report(http: EndpointProject, n: int, statuses: set[str]) -> None:
    """Of 60 calls and their retries, more than 5 % are a warning."""
    failed: set[int] = set()

    def reply(body: dict[str, Any]) -> str | Reply:
        index = index_of(body)
        if body["model"] == "base" or index >= n or index in failed:
            return answer(body)
        failed.add(index)
        return error(500)

    http.server.answer = reply
    http.gate_test()
    forms = [f"--ftgate-report={form}:out/{form}" for form in ("markdown", "html")]
    gate = http.gate("-v", *forms)
    assert (gate["baseline"]["n_retries"], gate["candidate"]["n_retries"], gate["verdict"]) == (0, n, "pass")
    assert {check["status"] for check in gate["checks"] if check["name"] == "retries"} == statuses
    texts = [http.result.stdout.str(), *(path.read_text(encoding="utf-8") for path in (http.path / "out").iterdir())]
    assert len(texts) == 3
    assert all("retries" in text for text in texts)
    (row,) = (line for line in texts[0].splitlines() if line.startswith("candidate") and "60/60" in line)
    assert str(n) in row.split()
