"""The economics of a fine-tune, end to end: sentence, limit, and everything that is not known."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, check, mentions, statuses

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


# --- what is unknown -----------------------------------------------------------------------------------------


def test_data_preparation_that_nobody_declared_is_said_to_be_left_out(priced: Project) -> None:
    gate = judged(priced, data_cost_usd=..., max_break_even_days=8)
    assert statuses(gate)["economics"] == "warning"
    mentions(check(gate, "economics"), "pays for itself", "data_cost_usd")
    assert gate["economics"]["data_cost_usd"] is None
    assert statuses(judged(priced, max_break_even_days=30))["economics"] == "pass"
