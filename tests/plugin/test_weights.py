"""Endpoints whose weights change under one name: which stored answers are used, and which are asked for anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from endpoint_project import EndpointProject, N, answer
from gate_project import check, ends, mentions, statuses
from loopback import LoopbackServer, Reply

from pytest_ftgate.models.openai_api import weights


@pytest.fixture
def http(http: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> EndpointProject:
    monkeypatch.setattr(weights, "TICK_S", 0.01)
    return http


def again(http: EndpointProject, **keys: Any) -> tuple[dict[str, Any], int]:
    """Judge the gate in a further session, and also return how many answers the candidate was asked for."""
    before = len(http.server.bodies)
    gate = http.judge(stored=True, **keys)
    return gate, sum(body["model"] == "ft" for body in http.server.bodies[before:])


def says(http: EndpointProject, **facts: Any) -> None:
    assert http.server.models is not None
    http.server.models["ft"] = facts


def counter(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 7


SAME = [
    {"created": 1_760_000_000},
    {"created": 1_760_000_000, "root": "/ft", "parent": "base", "permission": [{"id": "modelperm-1"}]},
    {"digest": "sha256:ab"},
]


@pytest.mark.parametrize("said", SAME)
def test_the_same_description_keeps_the_answers_in_silence(http: EndpointProject, said: dict[str, Any]) -> None:
    says(http, **said)
    again(http)
    gate, asked = again(http)
    assert (asked, statuses(gate).get("weights_candidate")) == (0, None)


@pytest.mark.parametrize(
    ("then", "now", "shown"),
    [
        ({"created": 100}, {"created": 200}, "200"),
        ({"root": "/ft/step-500"}, {"root": "/ft/step-1000"}, "/ft/step-1000"),
        ({"created": 100, "parent": "a"}, {"created": 100, "parent": "b"}, "parent"),
        ({"meta": {"size": 5}}, {"meta": {"size": 6}}, "meta.size"),
    ],
)
def test_another_description_asks_anew_once_and_the_block_says_so(
    http: EndpointProject, then: dict[str, Any], now: dict[str, Any], shown: str
) -> None:
    says(http, **then)
    again(http)
    says(http, **now)
    gate, asked = again(http)
    assert asked == N
    assert (gate["candidate"]["n_stored"], gate["baseline"]["n_stored"]) == (0, N)
    found = check(gate, "weights_candidate")
    assert (found["status"], found["observed"]) == ("warning", N)
    mentions(found, shown, "ft")
    assert again(http)[1] == 0


NOTHING: list[Any] = [None, {}, {"base": {"created": 1}}, {"ft": {"object": "model"}}, {"ft": {"root": "/ft"}}]


@pytest.mark.parametrize("models", NOTHING)
def test_without_a_description_answers_of_earlier_sessions_are_used_with_a_warning(
    http: EndpointProject, models: Any
) -> None:
    http.server.models = models
    assert "weights_candidate" not in statuses(again(http)[0])  # answers of this session
    gate, asked = again(http)
    assert asked == 0
    found = check(gate, "weights_candidate")
    assert (found["status"], found["observed"]) == ("warning", N)
    mentions(found, "second")
    assert "revision" in found["advice"]
    assert gate["verdict"] == "pass"


def test_the_warning_tells_the_age_of_the_oldest_answer(http: EndpointProject) -> None:
    http.server.models = None
    again(http)
    http.store("UPDATE predictions SET created_at = created_at - 3 * 86400")
    gate, asked = again(http)
    assert asked == 0
    mentions(check(gate, "weights_candidate"), "3 days", str(N))


def test_without_a_description_another_training_set_asks_anew(http: EndpointProject) -> None:
    http.server.models = None
    again(http)
    http.training_set(300)
    gate, asked = again(http)
    assert asked == N
    mentions(check(gate, "weights_candidate"), "training set")
    assert again(http)[1] == 0


def test_a_description_counts_more_than_the_training_set(http: EndpointProject) -> None:
    again(http)
    http.training_set(300)
    assert again(http)[1] == 0


@pytest.mark.parametrize("root", [{}, {"root": "/ft"}])
def test_a_time_of_the_request_is_no_other_description(http: EndpointProject, root: dict[str, Any]) -> None:
    times = counter(1_760_000_000)
    http.server.replies["GET /v1/models"] = lambda _: Reply(
        body={"data": [{"id": name, "created": next(times), **root} for name in ("base", "ft")]}
    )
    again(http)
    for _ in range(2):
        gate, asked = again(http)
        assert (asked, statuses(gate)["weights_candidate"]) == (0, "warning")


def test_a_time_in_this_second_may_be_that_of_the_request(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "TICK_S", 1.1)
    http.server.replies["GET /v1/models"] = lambda _: Reply(body={"data": [{"id": "ft", "created": int(time.time())}]})
    again(http, baseline="recorded:base.jsonl")
    gate, asked = again(http, baseline="recorded:base.jsonl")
    assert (asked, statuses(gate)["weights_candidate"]) == (0, "warning")


def test_a_revision_names_the_weights(http: EndpointProject) -> None:
    http.server.models = None
    models = {"baseline": http.model("base", revision="1"), "candidate": http.model("ft", revision="1")}
    again(http, **models)
    gate, asked = again(http, **models)
    assert (asked, statuses(gate).get("weights_candidate"), http.server.lookups) == (0, None, [])


def test_offline_nobody_is_asked(http: EndpointProject) -> None:
    again(http)
    http.server.lookups.clear()
    gate = http.judge(stored=True, offline=True)
    assert (http.server.lookups, gate["candidate"]["n_stored"]) == ([], N)
    assert statuses(gate)["weights_candidate"] == "warning"
    http.training_set(300)
    assert http.judge(stored=True, offline=True)["verdict"] == "error"


CHECKPOINTS = """
    import pytest

    @pytest.fixture(params=["step-500", "step-1000"])
    def checkpoint(request):
        return request.param

    @pytest.fixture
    def ftgate_candidate(checkpoint):
        return {model}

    @pytest.mark.ftgate("support")
    def test_gate(ftgate_candidate):
        pass
"""


def test_each_checkpoint_of_a_parametrized_fixture_is_asked(http: EndpointProject) -> None:
    http.server.models = None
    http.gates()
    http.pytester.makepyfile(test_gate=CHECKPOINTS.replace("{model}", repr(http.model("ft"))))
    http.run()
    assert sum(body["model"] == "ft" for body in http.server.bodies) == 2 * N
    assert sum(body["model"] == "base" for body in http.server.bodies) == N


def test_ftgate_evaluate_tells_it_at_the_end_of_the_session(http: EndpointProject) -> None:
    http.server.models = None
    http.pytester.makepyfile(f"def test(ftgate_evaluate):\n    ftgate_evaluate({http.model('ft')!r}, 'test.jsonl')\n")
    for told in (False, True):
        lines = http.run().outlines
        assert any("revision" in line and "ft" in line for line in lines) is told


def served(http: EndpointProject, name: str, **keys: Any) -> dict[str, Any]:
    def reply(body: dict[str, Any]) -> Reply:
        completion = Reply(answer(body))._completion(name if body["model"] == "ft" else body["model"])
        return Reply(body=completion)

    http.server.answer = reply
    return http.judge(**keys)


def test_an_answer_of_another_model_is_an_error(http: EndpointProject) -> None:
    gate = ends(served(http, "cheap-model", candidate=http.model("ft", retries=5)), "error")
    found = check(gate, "candidate_predictions")
    mentions(found, "cheap-model")
    assert "served_as: 'cheap-model'" in found["advice"]
    assert sum(body["model"] == "ft" for body in http.server.bodies) < N


@pytest.mark.parametrize("names", ["cheap-model", ["other", "org/cheap-model"]])
def test_the_gate_may_name_the_model_behind_an_alias(http: EndpointProject, names: Any) -> None:
    assert served(http, "cheap-model", candidate=http.model("ft", served_as=names))["verdict"] == "pass"


def test_a_snapshot_is_the_same_model(http: EndpointProject) -> None:
    assert served(http, "acme/ft-2026-01-01")["verdict"] == "pass"


def test_the_look_up_carries_the_key_and_no_other_server_gets_it(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "secret-of-acme")
    models = {
        role: http.model(name, api_key_env="ACME_KEY") for role, name in (("baseline", "base"), ("candidate", "ft"))
    }
    again(http, **models)
    again(http, **models)
    assert {one.headers.get("authorization") for one in http.server.lookups} == {"Bearer secret-of-acme"}
    http.server.lookups.clear()
    with LoopbackServer() as other:
        http.server.models = None
        moved = Reply(status=302, headers={"Location": f"{other.url}/models"})
        http.server.replies["GET /v1/models"] = moved
        again(http, **models)
    assert [one.headers.get("authorization") for one in other.lookups] == [None, None]


def test_stored_answers_load_no_client(http: EndpointProject) -> None:
    """The look-up asks without it, since its import takes longer than all else."""
    http.gate_test()
    http.file("conftest.py", "import sys\ndef pytest_unconfigure(): print('client:', 'openai' in sys.modules)\n")
    for client in ("True", "False"):
        result = http.run_apart()
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"*client: {client}"])
    assert http.server.lookups
