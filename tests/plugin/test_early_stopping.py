"""``stop_early``: both models are asked only as far as the verdict needs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from endpoint_project import EndpointProject, index_of, untimed
from gate_project import Project, because, block, check, label, mentions, passed, stopped, wrong

N = 200
PRICE = {"input_per_1m": 1.0, "output_per_1m": 2.0}


def answering(**wrong_every: int) -> Any:
    """Return what answers every n-th question wrong, by model; 0: none."""

    def answer(body: dict[str, Any]) -> str:
        index, every = index_of(body), wrong_every[body["model"].partition("-")[0]]
        return wrong(index) if every and index % every == 0 else label(index)

    return answer


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    http.test_set(N)
    http.keys |= {"stop_early": True}
    for role in ("baseline", "candidate"):
        http.keys[role] = {**http.keys[role], "price": PRICE}
    return http


def calls(http: EndpointProject) -> Counter[str]:
    return Counter(body["model"] for body in http.server.bodies)


@pytest.mark.parametrize(("wrong_every", "verdict", "look", "futile"), [
    ({"base": 2, "ft": 0}, "pass", 1, False),
    ({"base": 4, "ft": 0}, "pass", 2, False),
    ({"base": 4, "ft": 4}, "fail", None, True),
    ({"base": 4, "ft": 2}, "fail", 1, True),
    ({"base": 12, "ft": 0}, None, 5, False),
], ids=["large gain", "gain", "no gain", "loss", "gain near the margin"])  # fmt: skip
def test_models_are_asked_only_as_far_as_needed(
    http: EndpointProject, wrong_every: dict[str, int], verdict: str | None, look: int | None, futile: bool
) -> None:
    http.server.answer = answering(**wrong_every)
    gate = http.judge()
    early, asked = gate["early_stop"], calls(http)
    assert {gate[role]["n_stored"] for role in ("baseline", "candidate")} == {0}
    assert verdict in (None, gate["verdict"]), gate["checks"]
    assert look in (None, early["look"])
    assert (early["futile"], early["of"], early["looks"]) == (futile, N, 5)
    assert asked == {"base": early["examples"], "ft": early["examples"]} == {"base": gate["n"], "ft": gate["n"]}
    assert early["examples"] == N * early["look"] // 5
    assert early["calls_saved"] == 2 * (N - early["examples"])
    spent = gate["baseline"]["cost_usd"] + gate["candidate"]["cost_usd"]
    assert early["saved_usd"] == pytest.approx(spent / early["examples"] * (N - early["examples"]))
    assert (gate["candidate"]["n_expected"], gate["candidate"]["n_errors"]) == (early["examples"], 0)
    text = "\n".join(block(gate))
    assert f"look {early['look']} of 5: {early['examples']} of {N} examples" in text
    assert ("stopped early" in text) is (early["look"] < 5)


def test_more_stored_answers_and_recordings_give_the_same_verdict(http: EndpointProject) -> None:
    http.server.answer = answering(base=4, ft=0)
    http.gate_test(name="g")
    first = http.gate("--ftgate-report=recordings:recordings")
    assert first["early_stop"]["look"] < 5
    http.forget()
    http.gate_test(name="g", stop_early=False)
    assert http.gate()["early_stop"] is None
    assert calls(http) == dict.fromkeys(("base", "ft"), N - first["early_stop"]["examples"])
    http.gate_test(name="g")
    http.forget()
    assert untimed(http.gate()) == untimed(first)
    http.file("pytest.ini", "[pytest]\nftgate_recordings = recordings\n")
    replayed = http.gate("--ftgate-offline", "--ftgate-cache=off")
    assert (replayed["verdict"], replayed["early_stop"]) == (first["verdict"], first["early_stop"])
    assert not http.server.bodies


def test_a_gate_that_stopped_early_has_the_same_test_set_the_next_time(http: EndpointProject) -> None:
    http.server.answer = answering(base=2, ft=0)
    http.gate_test(name="g")
    again = [http.gate(*args) for args in ((), (), ("--ftgate-cache=refresh",))]
    assert [gate["verdict"] for gate in again] == ["pass"] * 3
    assert not [one for gate in again for one in gate["checks"] if one["name"] == "test_set_changed"]


def test_a_missing_answer_ends_the_looks(http: EndpointProject) -> None:
    answer = answering(base=12, ft=0)
    http.server.answer = lambda body: {}[0] if body["model"] == "ft" and index_of(body) % 8 == 0 else answer(body)
    gate = http.judge()
    assert (gate["verdict"], gate["early_stop"]) == ("error", None)
    assert calls(http) == {"base": N // 5, "ft": N // 5}
    http.forget()
    scored = http.judge(missing_answers="wrong")
    assert (scored["verdict"], scored["early_stop"]["futile"]) == ("fail", True)


def test_candidates_baselines_guards_noise_and_bounds(http: EndpointProject) -> None:
    """Everything that is measured on the test set is measured on what was looked at; guards are asked in full."""
    http.test_set(40, "guard.jsonl", prefix="g")
    http.server.answer = answering(base=3, weak=2, ft=0, poor=4)
    gate = passed(
        http.judge(
            baseline=...,
            candidate=...,
            baselines={name: http.model(name) for name in ("base", "weak")},
            candidates={name: http.model(name) for name in ("poor", "ft")},
            guards={"old": {"test_set": "guard.jsonl", "max_drop": 0.05, "evidence": "observed"}},
            require=[{"of": "candidate", "metric": "f1_macro", "min": 0.9}],
            metric=["accuracy", "exact_match"],
            evidence="proven",
        )
    )
    assert gate["confidence"] == 0.975
    assert gate["early_stop"]["look"] < 5
    assert [one["verdict"] for one in gate["candidates"]] == ["fail", "pass"]
    assert {one["n_expected"] for one in gate["baselines"].values()} == {gate["early_stop"]["examples"]}
    assert gate["guards"][0]["n"] == 40


def test_recordings_of_several_candidates_hold_what_each_needed(http: EndpointProject) -> None:
    """The first candidate needs more answers of the baseline than the last one."""
    http.server.answer = answering(base=5, ft=0, poor=6)
    http.keys.pop("candidate")
    http.gate_test(name="g", candidates={name: http.model(name) for name in ("poor", "ft")})
    first = http.gate("--ftgate-report=recordings:recordings")
    asked = calls(http)
    assert asked["base"] == asked["poor"] > asked["ft"]
    http.file("pytest.ini", "[pytest]\nftgate_recordings = recordings\n")
    http.forget()
    replayed = http.gate("--ftgate-offline", "--ftgate-cache=off")
    assert (replayed["verdict"], replayed["early_stop"]) == ("pass", first["early_stop"])
    assert not http.server.bodies


def test_it_stops_where_equal_quality_is_proven(http: EndpointProject) -> None:
    http.server.answer = answering(base=10, ft=11)
    keys = {role: {**http.keys[role], "price": price} for role, price in (
        ("baseline", {"input_per_1m": 10.0, "output_per_1m": 10.0}),
        ("candidate", PRICE),
    )}  # fmt: skip
    gate = passed(http.judge(margin=..., objective="match", max_drop=0.1, cheaper_by=2, **keys))
    assert 1 < gate["early_stop"]["look"] < 5


REFUSED = [
    ({"repeats": 3}, "repeats"),
    ({"metric": "edit_similarity"}, "edit_similarity"),
    ({"metric": "f1_macro"}, "f1_macro"),
    ({"evidence": "observed"}, "observed"),
    ({"slices": {"fields": ["kind"], "max_drop": 0.1}}, "slices"),
]


@pytest.mark.parametrize(("keys", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_what_the_looks_are_not_valid_for_is_refused_before_any_call(
    http: EndpointProject, keys: dict[str, Any], named: str
) -> None:
    http.test_set(N, kind=lambda i: "ab"[i % 2])
    gate = http.judge(**keys)
    assert stopped(gate)["name"] == "stop_early"
    mentions(because(gate, "error", "stop_early", named), "stop_early")
    assert not http.server.bodies


def test_groups_are_refused(http: EndpointProject) -> None:
    http.test_set(N, group=lambda i: f"customer {i // 4}")
    because(http.judge(), "error", "stop_early", "groups")
    assert not http.server.bodies


def test_a_plan_has_the_most_calls_and_the_expected_share(http: EndpointProject) -> None:
    http.gate_test()
    result = http.run("--ftgate-plan", "--ftgate-report=json:plan.json")
    (plan,) = json.loads((http.path / "plan.json").read_text(encoding="utf-8"))["plans"]
    assert (plan["calls"], len(plan["share_of_calls"])) == (2 * N, len(plan["gains"]))
    none, margin, _, twice = plan["share_of_calls"]
    assert none < margin > twice
    result.stdout.fnmatch_lines([f"*at most {N}*", "*stop_early: *% at *"])


def test_turning_it_on_or_off_is_a_named_change(project: Project) -> None:
    project.gate_file("version: 1\ndefaults: {}\ngates: {}\n")
    for file, mark in ((True, False), (False, True)):
        keys = {**project.keys, "stop_early": file}
        project.gate_file(json.dumps({"version": 1, "gates": {"g": keys}}))
        gate = project.judge("g", stop_early=mark)
        assert any(text.startswith("stop_early: ") for text in gate["loosened"]), gate["loosened"]
    assert check(gate, "margin")["status"] == "pass"
