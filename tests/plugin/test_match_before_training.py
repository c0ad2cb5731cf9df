"""A gate that is to match a large model, before there is a small one."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, check, label, mentions, passed, statuses, stopped

PRICE = {"input_per_1m": 1.0, "output_per_1m": 1.0}
USAGE = {"input_tokens": 9, "output_tokens": 1}


def matched(project: Project, n: int, **keys: Any) -> dict[str, Any]:
    """Judge a gate with a priced baseline that is right on two of three, and no candidate yet."""
    project.test_set(n)
    usage = {} if keys.pop("untold", False) else {"usage": USAGE}
    project.predictions("base.jsonl", n, output=lambda i: label(i) if i % 3 else "none", **usage)
    baseline = {"provider": "recorded", "path": "base.jsonl", "price": PRICE}
    gate = {"candidate": ..., "margin": ..., "stage": "ready", "cheaper_by": 2}
    return project.judge(**{"baseline": baseline, "max_drop": 0.05, **gate, **keys})


def test_green_means_train_now(project: Project) -> None:
    gate = passed(matched(project, 240))
    assert gate["candidate"]["value"] is None
    assert not {"headroom", "power"} & statuses(gate).keys()


def test_too_few_examples_to_rule_a_drop_out_are_said_before_training(project: Project) -> None:
    found = stopped(matched(project, 50), "inconclusive")
    assert (found["name"], found["observed"], found["required"]) == ("min_wins", 50, 59)


def test_a_price_that_is_not_known_is_said_before_training(project: Project) -> None:
    assert stopped(matched(project, 240, baseline="recorded:base.jsonl"))["name"] == "cheaper_by"


# --- money: a call of 10 tokens at $1 a million costs $0.00001, and so 100,000 calls a month $1.00 -------------

ECONOMICS = {"calls_per_month": 100_000, "training_cost_usd": 1, "data_cost_usd": 2}
BEAT = {"margin": 0.05, "max_drop": ..., "cheaper_by": ...}


@pytest.mark.parametrize(
    ("limit", "verdict", "observed", "required"),
    [
        ({"max_break_even_days": 92}, "pass", 3.0024 * 365 / 12, 92),  # $3 and the evaluation upfront at $1 a month
        ({"max_break_even_days": 30, "data_cost_usd": 2000}, "fail", 2001.0024 * 365 / 12, 30),
        ({"max_break_even_days": 30, "hosting_usd_per_month": 1}, "fail", None, 30),  # never
    ],
    ids=str,
)
@pytest.mark.parametrize("standard", [{}, BEAT], ids=["match", "beat"])
def test_what_even_a_free_candidate_could_not_save(
    project: Project, limit: dict[str, Any], verdict: str, observed: float, required: float, standard: dict[str, Any]
) -> None:
    gate = matched(project, 240, economics={**ECONOMICS, **limit}, **standard)
    assert gate["verdict"] == verdict, gate["checks"]
    found = check(gate, "economics")
    assert found["threshold"] == {"key": "economics.max_break_even_days", "value": required}
    assert (found["status"], found["source"]) == (verdict, "marker")
    assert observed is None or found["observed"] == pytest.approx(observed)
    assert statuses(gate).get("headroom") == ("pass" if standard else None)
    mentions(found, f"{required:g}")
    assert [one["action"] for one in gate["advice"]] == ["stop"] * (verdict == "fail")


def test_money_that_cannot_be_judged_is_an_error_before_any_call(project: Project) -> None:
    unpriced = {**BEAT, "baseline": "recorded:base.jsonl"}
    found = stopped(matched(project, 240, economics={**ECONOMICS, "max_break_even_days": 30}, **unpriced))
    assert found["name"] == "economics"
    mentions(found, "base.jsonl")
    found = stopped(matched(project, 240, economics={"max_break_even_days": 30}, **BEAT))
    mentions(found, "economics.calls_per_month", "economics.training_cost_usd")


def test_answers_without_token_counts_are_an_error_after_the_calls(project: Project) -> None:
    gate = matched(project, 240, economics={**ECONOMICS, "max_break_even_days": 30}, untold=True)
    assert stopped(gate, called=True)["name"] == "cheaper_by"
    for name in ("cheaper_by", "economics"):
        assert check(gate, name)["status"] == "error"
        mentions(check(gate, name), "base.jsonl", "240 of 240")


def test_a_baseline_that_costs_nothing_leaves_nothing_to_save(project: Project) -> None:
    free = {"provider": "recorded", "path": "base.jsonl", "price": {"input_per_1m": 0, "output_per_1m": 0}}
    found = stopped(matched(project, 240, baseline=free), "fail", called=True)
    assert found["name"] == "headroom"
    mentions(found, "base.jsonl")
