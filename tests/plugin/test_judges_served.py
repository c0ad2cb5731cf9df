"""Judges behind an endpoint, over HTTP: asked once, stored, recorded, limited by money, and none of the two models."""

import shutil
from typing import Any

import pytest
import yaml
from gate_project import check, ends, mentions, passed, stopped, write_jsonl
from judge_project import ServedJudged, asked_of, good, honest, poor
from loopback import LoopbackServer, Reply, error

pytestmark = pytest.mark.usefixtures("no_ambient_settings")


@pytest.fixture
def judged(pytester: pytest.Pytester, server: LoopbackServer) -> ServedJudged:
    return ServedJudged(pytester, server)


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_an_honest_judge_lets_a_better_candidate_pass_and_is_asked_once(judged: ServedJudged, name: str) -> None:
    gate = passed(judged.by(name=name))
    asked = {"rubric": 110, "preference": 100}[name]
    assert (judged.n_asked("judge"), judged.n_asked("base"), judged.n_asked("ft")) == (asked, 60, 60)
    (judge,) = gate["judges"]
    assert (judge["n_questions"], judge["n_stored"]) == (asked, 0)
    assert (judge["input_tokens"], judge["output_tokens"]) == (10 * asked, 2 * asked)
    assert gate["candidate"]["input_tokens"] == 10 * 60  # the judge's are not the candidate's
    judged.forget()
    again = passed(judged.by(name=name))
    assert judged.server.requests == []
    assert again["judges"][0]["n_stored"] == asked


def test_what_a_judge_said_ages_too(judged: ServedJudged) -> None:
    assert check(judged.by(gate={"max_age_days": 30}), "max_age_days")["status"] == "pass"
    judged.store("UPDATE predictions SET created_at = created_at - 100 * 86400")
    judged.forget()
    asked_anew = {role: judged.model(name, revision="2") for role, name in (("baseline", "base"), ("candidate", "ft"))}
    gate = judged.by(gate={"max_age_days": 30, **asked_anew})
    assert (judged.n_asked("judge"), judged.n_asked("base"), judged.n_asked("ft")) == (0, 60, 60)
    assert check(gate, "max_age_days")["observed"] > 99
    assert gate["verdict"] == "fail"


def test_a_judge_named_under_models(judged: ServedJudged) -> None:
    gate = {**judged.keys, **judged.asking("referee", "rubric", {})}
    for more, passes in (({}, True), ({"system": "Be kind."}, False)):
        referee = {**judged.model("judge"), **more}
        judged.gate_file(yaml.safe_dump({"version": 1, "models": {"referee": referee}, "gates": {"support": gate}}))
        found = judged.judge("support")
        if passes:
            assert (found["verdict"], found["judges"][0]["judge"]) == ("pass", "referee"), found["checks"]
        else:
            assert "the judge referee has its own prompt (system)" in stopped(found)["message"]


def test_garbage_is_an_error_and_is_not_asked_again(judged: ServedJudged) -> None:
    tie = '{"better": "tie"}'
    judged.judge_says = lambda body: "Both are fine!" if "question 7" in asked_of(body)["input"] else tie
    gate = ends(judged.by(name="preference"), "error")
    told = ("judge judge", "2 of 100", "test.jsonl:8", "Both are fine!", "--ftgate-cache=refresh")
    mentions(check(gate, "models"), *told)
    assert [one["name"] for one in gate["checks"] if one["status"] == "error"] == ["models"]
    assert (gate["candidate"]["value"], gate["candidate"]["n_scored"]) == (None, 60)
    judged.forget()
    judged.judge_says = lambda body: tie
    ends(judged.by(name="preference"), "error")
    assert judged.server.requests == []
    ends(judged.by(name="preference", gate={"refresh": True}), "fail")


@pytest.mark.parametrize(
    ("reply", "told", "again"),
    [
        (Reply("5", message={"refusal": "I would rather not"}), ["5 of 110", "about test.jsonl:1 (refusal)"], 0),
        (Reply("five"), ["cannot read 5 of 110", "105 of 110 answers missing", "five"], 0),
        (error(500), ["110 of 110 answers missing"], 110),
    ],
    ids=["refusal", "unreadable", "down"],
)
def test_a_judge_that_does_not_answer_is_an_error(
    judged: ServedJudged, reply: Any, told: list[str], again: int
) -> None:
    """Five replies that cannot be read end the run; they are stored, and end the next run before any call."""
    one_by_one = judged.model("judge", concurrency=1)
    judged.judge_says = lambda body: reply
    mentions(check(ends(judged.by(one_by_one), "error"), "models"), *told)
    judged.forget()
    judged.judge_says = honest
    ends(judged.by(one_by_one), "pass" if again else "error")
    assert (judged.n_asked("judge"), judged.n_asked("base"), judged.n_asked("ft")) == (again, 0, 0)


def test_no_judge_is_paid_where_an_answer_is_missing(judged: ServedJudged) -> None:
    served = judged.server.answer
    judged.server.answer = lambda body: error(500) if body["model"] == "base" else served(body)
    ends(judged.by(), "error")
    assert judged.n_asked("judge") == 0


@pytest.mark.parametrize("name", ["rubric", "preference"])
def test_recordings_hold_the_judges_answers_so_that_ci_needs_no_key(
    judged: ServedJudged, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("THE_KEY", "sk-secret")
    rows = [{"input": f"x{i}", "output": good(i) if i % 2 else poor(i), "score": 2 + 3 * (i % 2)} for i in range(20)]
    write_jsonl(judged.path / "gates/labelled.jsonl", rows)
    options = {"calibration": {"path": "labelled.jsonl", "min_kappa": 0.5}} if name == "rubric" else {}
    judged.judged_by(judged.model("judge", api_key_env="THE_KEY"), name=name, **options)
    judged.ini_file("ftgate_config = gates/ftgate.yaml", "ftgate_recordings = kept")
    (judged.path / "kept").mkdir()
    gate = passed(judged.gate("--ftgate-report=recordings:kept"))
    names = {path.name for path in (judged.path / "kept").iterdir()}
    assert f"support.judge_{name}.jsonl" in names
    assert (f"support.judge_{name}_calibration.jsonl" in names) is (name == "rubric")
    monkeypatch.delenv("THE_KEY")
    judged.forget()
    shutil.rmtree(judged.path / ".ftgate")
    again = passed(judged.gate("--ftgate-offline"))
    assert judged.server.requests == []
    assert again["gain"] == gate["gain"]
    assert again["judges"][0]["n_stored"] == again["judges"][0]["n_questions"]


def test_offline_a_judge_that_is_not_recorded_is_an_error(judged: ServedJudged) -> None:
    passed(judged.by())
    gate = ends(judged.by(scale=[1, 7], gate={"offline": True}), "error")
    mentions(check(gate, "models"), "--ftgate-report=recordings:recordings", "110 of 110 answers missing")


def test_the_judge_is_stopped_by_max_cost_and_paid_for_apart(judged: ServedJudged) -> None:
    price = {"input_per_1m": 1000.0, "output_per_1m": 1000.0}
    free = {"input_per_1m": 0.0, "output_per_1m": 0.0}
    judged.keys |= {"baseline": judged.model("base", price=free), "candidate": judged.model("ft", price=free)}
    judged.judged_by(judged.model("judge", price=price, concurrency=1))
    gate = ends(judged.gate("--ftgate-max-cost=1.25"), "error")
    assert "--ftgate-max-cost" in check(gate, "models")["message"]
    assert 0 < judged.n_asked("judge") < 110
    assert gate["judges"][0]["cost_usd"] is None
    whole = passed(judged.gate("-v"))
    (judge,) = whole["judges"]
    assert judge["cost_usd"] == pytest.approx(110 * 12 / 1000)
    assert whole["candidate"]["cost_usd"] == 0
    judged.result.stdout.fnmatch_lines(["rubric by judge judge: 110 questions, * stored, 1,100/220 tokens, $1.32"])
