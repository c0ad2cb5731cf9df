"""The economics of a fine-tune, end to end: sentence, limit, and everything that is not known."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, block, check, mentions, passed, statuses, stopped

# 1,000 tokens in and 50 out: (1000 * 2 + 50 * 8) / 1e6 = $0.0024 a call; the tuned model takes $0.0004.
LARGE = {"input_per_1m": 2.0, "output_per_1m": 8.0}
SMALL = {"input_per_1m": 0.25, "output_per_1m": 3.0}
USAGE = {"input_tokens": 1000, "output_tokens": 50}
# 200,000 * $0.002 = $400 a month; $300 upfront are earned in 150,000 calls, 0.75 months, 22.8 days.
ECONOMICS = {"calls_per_month": 200_000, "training_cost_usd": 100, "data_cost_usd": 200}


def answers(project: Project, name: str, wrong_at: Any, *, usage: dict[str, int] | None = USAGE) -> None:
    more = {"usage": usage} if usage else {}
    project.predictions(name, 60, wrong_at, **more)


@pytest.fixture
def priced(project: Project) -> Project:
    """Return a gate that the candidate wins, with costs."""
    answers(project, "base.jsonl", range(40, 60))
    answers(project, "ft.jsonl", (0, 1, 58, 59))
    project.keys |= {"baseline": model("base.jsonl", LARGE), "candidate": model("ft.jsonl", SMALL)}
    return project


def model(name: str, price: dict[str, float] | None) -> dict[str, Any]:
    return {"provider": "recorded", "path": name, **({"price": price} if price else {})}


def judged(project: Project, **economics: Any) -> dict[str, Any]:
    keys = {key: value for key, value in {**ECONOMICS, **economics}.items() if value is not ...}
    return project.judge(economics=keys)


def test_sentence_and_facts(priced: Project) -> None:
    gate = passed(judged(priced))
    found = gate["economics"]
    assert found["monthly_saving_usd"] == pytest.approx(400)
    assert found["break_even_calls"] == pytest.approx(150_000)
    assert found["break_even_days"] == pytest.approx(0.75 * 365 / 12)
    assert found["sentence"] in [" ".join(line.split()) for line in block(gate, verbose=True)]


def test_nothing_is_said_of_economics_where_there_are_none(priced: Project) -> None:
    gate = priced.judge()
    assert gate["economics"] is None
    assert not [line for line in block(gate, verbose=True) if line.startswith(("economics", "At "))]


@pytest.mark.parametrize(
    ("limits", "verdict", "observed"),
    [
        ({"max_break_even_days": 23}, "pass", 22.8125),
        ({"max_break_even_days": 22}, "fail", 22.8125),
        ({"max_break_even_days": 10_000, "hosting_usd_per_month": 400}, "fail", None),
        # $400 - 12 * $100 / 12 = $300: a month, 30.42 days
        ({"max_break_even_days": 30.5, "retrains_per_year": 12}, "pass", 365 / 12),
        ({"max_break_even_days": 30.4, "retrains_per_year": 12}, "fail", 365 / 12),
    ],
    ids=str,
)
def test_limits(priced: Project, limits: dict[str, float], verdict: str, observed: float | None) -> None:
    gate = judged(priced, **limits)
    found = check(gate, "economics")
    assert (gate["verdict"], found["status"], found["source"]) == (verdict, verdict, "marker")
    assert found["observed"] == (observed if observed is None else pytest.approx(observed))
    assert found["required"] == limits["max_break_even_days"]


def test_a_price_of_nothing_is_known_before_any_call_to_save_nothing(priced: Project) -> None:
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": 0})
    gate = judged(priced, max_break_even_days=30)
    assert (gate["verdict"], gate["models_called"]) == ("error", False)
    found = check(gate, "economics")
    mentions(found, "candidate ft.jsonl", "marker", "gpu_hour_usd", "economics.hosting_usd_per_month")


def test_answers_without_a_token_that_is_paid_for_save_nothing_either(priced: Project) -> None:
    answers(priced, "ft.jsonl", (0, 1, 58, 59), usage={"input_tokens": 1000, "output_tokens": 0})
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": 3})
    gate = judged(priced, max_break_even_days=30)
    assert (gate["verdict"], gate["economics"]["monthly_saving_usd"]) == ("error", None)
    assert check(gate, "economics")["observed"] is None


def test_a_machine_that_is_paid_by_the_month_may_have_calls_for_nothing(priced: Project) -> None:
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": 0})
    gate = judged(priced, max_break_even_days=115, hosting_usd_per_month=400)
    assert gate["economics"]["monthly_saving_usd"] == pytest.approx(80)
    assert gate["verdict"] == "pass"


def test_a_limit_says_where_it_is_written(priced: Project) -> None:
    priced.gate_file(
        "version: 1\ngates:\n  g:\n    test_set: test.jsonl\n    training_set: train.jsonl\n    margin: 0.05\n"
        "    baseline: {provider: recorded, path: base.jsonl, price: {input_per_1m: 2, output_per_1m: 8}}\n"
        "    candidate: {provider: recorded, path: ft.jsonl, price: {input_per_1m: 0.25, output_per_1m: 3}}\n"
        "    economics:\n      calls_per_month: 200000\n      training_cost_usd: 100\n      data_cost_usd: 200\n"
        "      max_break_even_days: 30\n"
    )
    gate = priced.judge("g")
    assert check(gate, "economics")["source"] == "ftgate.yaml:13"


# --- what is unknown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["calls_per_month", "training_cost_usd"])
def test_a_limit_that_cannot_be_judged_is_an_error_before_any_call(priced: Project, key: str) -> None:
    found = stopped(judged(priced, max_break_even_days=30, **{key: ...}))
    assert (found["name"], found["observed"], found["required"]) == ("economics", None, 30)


def test_a_model_without_a_price_is_seen_before_any_call(priced: Project) -> None:
    priced.keys["candidate"] = model("ft.jsonl", None)
    found = stopped(judged(priced, max_break_even_days=30))
    assert (found["name"], found["observed"]) == ("economics", None)
    mentions(found, "candidate ft.jsonl", "input_per_1m", "gpu_hour_usd")


def test_an_answer_without_usage_is_seen_after_the_calls(priced: Project) -> None:
    answers(priced, "ft.jsonl", (0, 1, 58, 59), usage=None)
    found = stopped(judged(priced, max_break_even_days=30), called=True)
    assert (found["name"], found["observed"]) == ("economics", None)
    mentions(found, "candidate ft.jsonl", "60 of 60")


def test_what_is_unknown_and_not_asked_for_is_only_said_to_be(priced: Project) -> None:
    gate = passed(judged(priced, training_cost_usd=...))
    assert (gate["economics"]["training_cost_usd"], gate["economics"]["break_even_days"]) == (None, None)
    assert "$400" in gate["economics"]["sentence"]
    assert "150,000" not in gate["economics"]["sentence"]


def test_data_preparation_that_nobody_declared_is_said_to_be_left_out(priced: Project) -> None:
    gate = judged(priced, data_cost_usd=..., max_break_even_days=8)
    assert statuses(gate)["economics"] == "warning"
    mentions(check(gate, "economics"), "pays for itself", "data_cost_usd")
    assert gate["economics"]["data_cost_usd"] is None
    assert statuses(judged(priced, max_break_even_days=30))["economics"] == "pass"
