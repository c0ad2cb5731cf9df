"""How fast a gate asks, how long it may take, and latencies that the gate's own haste does not distort."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer, index_of
from gate_project import check, label, mentions, refused, statuses, stopped, write_jsonl
from loopback import LoopbackServer, Reply, error

from pytest_ftgate.gate import calls


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def project(pytester: pytest.Pytester, server: LoopbackServer) -> EndpointProject:
    return EndpointProject(pytester, server)


# --- concurrency that adapts ---------------------------------------------------------------------------------


class Bears:
    """An endpoint that refuses what is more than so many calls at once."""

    def __init__(self, server: LoopbackServer, most: int, status: int) -> None:
        self.server, self.most, self.status = server, most, status
        self.refused = 0

    def __call__(self, body: dict[str, Any]) -> str | Reply:
        if self.server.in_flight > self.most:
            self.refused += 1
            return error(self.status, message="one too many")
        return Reply(answer(body), delay_s=0.002)


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_that_bears_few_calls_is_not_overrun(project: EndpointProject, status: int) -> None:
    """Sixteen calls at once each, of which it takes four: every answer arrives all the same, with few retries."""
    project.server.answer = Bears(project.server, 4, status)
    gate = project.judge(
        baseline=project.model("base", concurrency=16, retries=3),
        candidate=project.model("ft", concurrency=16, retries=3),
    )
    assert gate["verdict"] == "pass"
    assert [gate[role]["n_scored"] for role in ("baseline", "candidate")] == [N, N]


def test_a_pause_that_the_headers_ask_for_is_kept(project: EndpointProject) -> None:
    """The first answer says that nothing is left for a moment; the next request comes only then."""
    said = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30ms"}
    project.server.answer = lambda body: Reply(answer(body), headers=said if index_of(body) % 20 == 0 else {})
    keys = {"concurrency": 1}
    assert (
        project.judge(baseline=project.model("base", **keys), candidate=project.model("ft", **keys))["verdict"]
        == "pass"
    )


def test_requests_per_minute_reach_the_runner(project: EndpointProject) -> None:
    assert (
        project.judge(candidate=project.model("ft", requests_per_minute=60_000, tokens_per_minute=10_000_000))[
            "verdict"
        ]
        == "pass"
    )


# --- the time of a whole gate --------------------------------------------------------------------------------


def test_a_gate_that_takes_too_long_is_in_error_and_keeps_what_has_arrived(project: EndpointProject) -> None:
    never = threading.Event()
    project.server.answer = lambda body: Reply(answer(body), until=never if index_of(body) >= 40 else None)
    project.gate_test(timeout_s=1.5)
    message = refused(project, called=True)
    assert "timeout_s 1.5 (marker)" in message
    report = json.loads((project.path / "report.json").read_text(encoding="utf-8"))
    answered = report["gates"][0]["baseline"]["n_scored"]
    assert answered <= 40  # how many is up to the machine's speed
    project.forget()
    project.server.answer = answer
    gate = project.gate()
    assert gate["verdict"] == "pass"
    assert gate["baseline"]["n_stored"] == answered
    assert len(project.server.bodies) == 2 * N - gate["baseline"]["n_stored"] - gate["candidate"]["n_stored"]


@pytest.mark.parametrize("value", [0, -1, "soon", float("nan"), True])
def test_a_time_that_is_none_is_refused(project: EndpointProject, value: Any) -> None:
    mentions(stopped(project.judge(timeout_s=value)), "timeout_s")
    assert not project.server.requests


# --- latencies from a sample ---------------------------------------------------------------------------------

SAMPLE = {"concurrency": 2, "examples": 10}
BOUND = [{"metric": "latency_p95_s", "max": 60}]


def test_a_sample_is_taken_by_itself_and_kept(project: EndpointProject) -> None:
    keys = {"latency": SAMPLE}
    project.gate_test(candidate=project.model("ft", **keys), require=BOUND)
    at_once = []
    project.server.answer = lambda body: (at_once.append(project.server.in_flight), answer(body))[1]
    gate = project.gate()
    assert gate["verdict"] == "pass"
    asked = [(body["model"], index_of(body)) for body in project.server.bodies]
    assert sorted(asked[:10]) == [("ft", i) for i in range(10)]  # the sample, before all else
    assert max(at_once[:10]) <= 2
    assert len(asked) == 10 + 2 * N
    found = check(gate, "candidate_latency")
    assert found["status"] == "note"
    mentions(found, "ft", "10", "2")
    assert "latency_sample" not in statuses(gate)
    assert gate["candidate"]["n_expected"] == N
    project.forget()
    again = project.gate("--ftgate-offline")
    assert again["verdict"] == "pass"
    assert again["candidate"]["latency_p95_s"] == gate["candidate"]["latency_p95_s"]
    assert not project.server.requests


def test_the_money_of_a_sample_is_limited_too(project: EndpointProject) -> None:
    """Each answer costs $0.02: the limit ends the run within the sample, before the run over the test set."""
    price = {"input_per_1m": 1_000, "output_per_1m": 5_000}
    keys = {"price": price, "params": {"max_tokens": 2}}
    sample = {"concurrency": 2, "examples": 50}
    project.gate_test(baseline=project.model("base", **keys), candidate=project.model("ft", **keys, latency=sample))
    gate = project.gate("--ftgate-max-cost=0.2")
    assert gate["verdict"] == "error"
    mentions(check(gate, "candidate_latency"), "--ftgate-max-cost")
    assert {body["model"] for body in project.server.bodies} == {"ft"}
    assert len(project.server.bodies) <= 10
    project.forget()
    assert project.gate("--ftgate-max-cost=20")["verdict"] == "pass"
    assert len(project.server.bodies) >= 50 + 2 * N - 10  # what was paid for is not asked again


def test_a_bound_without_a_sample_is_warned_about(project: EndpointProject) -> None:
    gate = project.judge(require=BOUND)
    assert gate["verdict"] == "pass"
    found = check(gate, "latency_sample")
    assert found["status"] == "warning"
    mentions(found, "latency_p95_s", "candidate ft", "16")


def test_a_bound_on_the_baseline_asks_for_a_sample_of_it(project: EndpointProject) -> None:
    bound = [{"metric": "latency_p50_s", "max": 60, "of": "baseline"}]
    mentions(check(project.judge(require=bound), "latency_sample"), "latency_p50_s", "baseline base")
    gate = project.judge(require=bound, baseline=project.model("base", latency={}))
    assert "latency_sample" not in statuses(gate)
    mentions(check(gate, "baseline_latency"), "base", "50", "1")


def test_a_sample_with_a_gap_is_an_error(project: EndpointProject) -> None:
    project.server.answer = lambda body: error(500) if index_of(body) == 3 else answer(body)
    gate = project.judge(candidate=project.model("ft", latency=SAMPLE), errors="score_zero")
    assert gate["verdict"] == "error"
    mentions(check(gate, "candidate_latency"), "1 of 10")


def test_recordings_carry_the_sample(project: EndpointProject) -> None:
    """Without a key and without the store: the gate is judged on what was recorded, its latencies too."""
    project.gates(candidate=project.model("ft", latency=SAMPLE), require=BOUND)
    gate = project.gate("--ftgate-report=recordings:recordings")
    project.ini["ftgate_recordings"] = "recordings"
    project.forget()
    again = project.judge("support", offline=True)
    assert again["verdict"] == "pass"
    assert again["candidate"]["latency_p95_s"] == gate["candidate"]["latency_p95_s"]
    assert not project.server.requests


def test_nothing_of_ours_is_loaded_while_a_sample_is_taken(
    project: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading what scoring needs takes a second of this process, and would be taken for the model's."""
    asked_when_loading = []
    monkeypatch.setattr(calls, "_warm_up", lambda metrics: asked_when_loading.append(len(project.server.requests)))
    project.gate_test(candidate=project.model("ft", latency=SAMPLE))
    assert project.gate()["verdict"] == "pass"
    assert asked_when_loading == [SAMPLE["examples"]]


# --- latencies of what is missing ----------------------------------------------------------------------------


def test_an_answer_that_never_came_took_as_long_as_it_was_waited_for(project: EndpointProject) -> None:
    """Else the slowest calls made a model faster: those that ran into the time limit."""
    project.server.answer = lambda body: Reply(hang=True) if index_of(body) in (5, 6, 7, 8) else answer(body)
    recorded = "recorded:base.jsonl"
    late = project.model("ft", timeout_s=0.5)
    bound = [{"metric": "latency_p95_s", "max": 0.4}]
    gate = project.judge(baseline=recorded, candidate=late, errors="score_zero", require=bound)
    found = check(gate, "require.candidate.latency_p95_s")
    assert (found["status"], gate["candidate"]["n_errors"]) == ("fail", 4)
    assert gate["candidate"]["latency_p95_s"] == 0.5
    assert gate["candidate"]["latency_p50_s"] < 0.5


def test_without_a_time_limit_nobody_knows_how_long_a_missing_answer_took(project: EndpointProject) -> None:
    rows = [{"id": f"t{i}", "output": label(i), "latency_s": 0.1} for i in range(59)]
    write_jsonl(project.path / "ft.jsonl", rows)
    keys = {"baseline": "recorded:base.jsonl", "candidate": "recorded:ft.jsonl", "errors": "score_zero"}
    gate = project.judge(**keys, require=BOUND)
    assert (gate["verdict"], gate["candidate"]["latency_p95_s"]) == ("error", None)
    assert "1 of 60" in gate["candidate"]["latency_unknown"]
    found = check(gate, "require.candidate.latency_p95_s")
    assert (found["observed"], found["required"]) == (None, 60)
    mentions(found, "1 of 60", "latency_s")


def test_a_bound_does_not_rest_on_the_latency_of_a_few_rows(project: EndpointProject) -> None:
    rows = [{"id": f"t{i}", "output": label(i), **({} if i else {"latency_s": 0.1})} for i in range(60)]
    write_jsonl(project.path / "ft.jsonl", rows)
    gate = project.judge(baseline="recorded:base.jsonl", candidate="recorded:ft.jsonl", require=BOUND)
    assert gate["verdict"] == "error"
    mentions(check(gate, "require.candidate.latency_p95_s"), "59 of 60")


def test_a_model_that_only_hangs_is_wrong_where_missing_answers_are(project: EndpointProject) -> None:
    """It has stopped the asking by not answering, which is no excuse."""
    project.pytester.syspathinsert()
    project.file("stuck.py", "import threading\n\n\ndef model(text):\n    threading.Event().wait()\n")
    stuck = {"provider": "python", "target": "stuck:model", "timeout_s": 0.1, "retries": 0, "concurrency": 1}
    project.gate_test(baseline="recorded:base.jsonl", candidate=stuck, errors="score_zero", require=BOUND)
    gate = project.gate()
    assert (gate["verdict"], gate["candidate"]["value"], gate["candidate"]["latency_p50_s"]) == ("fail", 0.0, 0.1)
    assert check(gate, "candidate_predictions")["status"] == "warning"
