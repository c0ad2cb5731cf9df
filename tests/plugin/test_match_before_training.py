"""A gate that is to match a large model, before there is a small one."""

from __future__ import annotations

from typing import Any

import pytest
from gate_project import Project, check, label, refused, statuses, write_jsonl

PRICE = {"input_per_1m": 1.0, "output_per_1m": 1.0}


def matched(project: Project, n: int, **keys: object) -> None:
    """A priced baseline that is right on two of three, and no candidate yet."""
    project.test_set(n)
    rows = [
        {"id": f"t{i}", "output": label(i) if i % 3 else "none", "usage": {"input_tokens": 9, "output_tokens": 1}}
        for i in range(n)
    ]
    write_jsonl(project.path / "base.jsonl", rows)
    baseline = {"provider": "recorded", "path": "base.jsonl", "price": PRICE}
    gate = {"candidate": ..., "margin": ..., "stage": "ready", "objective": "match", "cheaper_by": 2}
    project.gate_test(**{"baseline": baseline, "max_drop": 0.05, **gate, **keys})


def test_green_means_train_now(project: Project) -> None:
    matched(project, 240)
    gate = project.gate()
    assert gate["verdict"] == "pass", gate["checks"]
    assert gate["candidate"]["value"] is None
    assert not {"room", "power"} & statuses(gate).keys()


def test_too_few_examples_to_rule_a_drop_out_are_said_before_training(project: Project) -> None:
    matched(project, 50)
    assert refused(project, "inconclusive").endswith("59 examples are needed, and there are 50")


def test_a_price_that_is_not_known_is_said_before_training(project: Project) -> None:
    matched(project, 240, baseline="recorded:base.jsonl")
    refused(project)
    assert check(project.gate(), "cheaper_by")["status"] == "error"


# --- money: a call of 10 tokens at $1 a million costs $0.00001, and so 100,000 calls a month $1.00 -------------

ECONOMICS = {"calls_per_month": 100_000, "training_cost_usd": 1, "data_cost_usd": 2}
BEAT = {"objective": "beat", "margin": 0.05, "max_drop": ..., "cheaper_by": ...}


@pytest.mark.parametrize(
    ("limit", "verdict", "message"),
    [
        (
            {"min_monthly_saving_usd": 1},
            "pass",
            "100,000 calls a month cost $1.00 with baseline base.jsonl: "
            "a candidate saves $1.00 a month at most, asked for at least $1.00",
        ),
        (
            {"min_monthly_saving_usd": 100},
            "fail",
            "no room: 100,000 calls a month cost $1.00 with baseline base.jsonl: "
            "a candidate saves $1.00 a month at most, asked for at least $100",
        ),
        (
            {"min_monthly_saving_usd": 0.5, "hosting_usd_per_month": 0.75},
            "fail",
            "no room: 100,000 calls a month cost $1.00 with baseline base.jsonl, and $0.7500 are paid for hosting and "
            "retraining: a candidate saves $0.2500 a month at most, asked for at least $0.5000",
        ),
        (  # $3 upfront at $1 a month: 91.25 days
            {"max_break_even_days": 91.25},
            "pass",
            "100,000 calls a month cost $1.00 with baseline base.jsonl: "
            "a candidate pays for itself after 92 days at the earliest, asked for at most 91.25 days",
        ),
        (
            {"max_break_even_days": 30, "data_cost_usd": 2000},
            "fail",
            "no room: 100,000 calls a month cost $1.00 with baseline base.jsonl: a candidate pays for itself after "
            "60,864 days (167 years) at the earliest, asked for at most 30 days",
        ),
        (
            {"max_break_even_days": 30, "hosting_usd_per_month": 1},
            "fail",
            "no room: 100,000 calls a month cost $1.00 with baseline base.jsonl, and $1.00 are paid for hosting and "
            "retraining: a candidate never pays for itself, asked for at most 30 days",
        ),
        (
            {"max_break_even_days": 61, "training_cost_usd": ...},
            "pass",
            "100,000 calls a month cost $1.00 with baseline base.jsonl: a candidate pays for itself after 61 days at "
            "the earliest (training not counted), asked for at most 61 days",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("objective", [{}, BEAT], ids=["match", "beat"])
def test_what_even_a_free_candidate_could_not_save(
    project: Project, limit: dict[str, Any], verdict: str, message: str, objective: dict[str, Any]
) -> None:
    economics = {key: value for key, value in {**ECONOMICS, **limit}.items() if value is not ...}
    matched(project, 240, economics=economics, **objective)
    gate = project.gate()
    assert gate["verdict"] == verdict, gate["checks"]
    (found,) = (one for one in gate["checks"] if one["name"] == "room" and " month" in one["message"])
    assert (found["status"], found["message"], found["source"]) == (verdict, message, "marker")
    if verdict == "fail":
        project.result.stdout.fnmatch_lines(["NOT READY: do not train yet", "*stop: Do not train: *"])


def test_the_economics_are_shown_as_far_as_they_are_known(project: Project) -> None:
    matched(project, 240, economics=ECONOMICS)
    gate = project.gate()
    assert (gate["verdict"], gate["economics"]["monthly_saving_usd"]) == ("pass", None)
    assert gate["economics"]["baseline_usd_per_1000_calls"] == pytest.approx(0.01)
    assert gate["economics"]["saving_unknown"] == "there is no candidate yet"
    project.result.stdout.fnmatch_lines(
        [
            "economics: 1,000 calls cost $0.0100 (baseline), unknown (candidate)",
            "  once: training $1.00, data preparation $2.00",
            "  by the month: hosting not declared, retraining not declared",
            "At 100,000 calls a month a candidate can save $1.00 a month at most, and pays for itself after 92 days "
            "(300,000 calls) at the earliest.",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("limit", ["min_monthly_saving_usd", "max_break_even_days"])
def test_money_that_cannot_be_judged_is_an_error_before_any_call(project: Project, limit: str) -> None:
    matched(project, 240, economics={**ECONOMICS, limit: 30}, **{**BEAT, "baseline": "recorded:base.jsonl"})
    assert refused(project).endswith("cannot be judged: baseline base.jsonl: no price in the gate")
    matched(project, 240, economics={limit: 30}, **BEAT)
    assert refused(project).endswith("cannot be judged: the number of calls is not known")


def test_answers_without_token_counts_are_an_error_after_the_calls(project: Project) -> None:
    matched(project, 240, economics={**ECONOMICS, "min_monthly_saving_usd": 1})
    write_jsonl(
        project.path / "base.jsonl", ({"id": f"t{i}", "output": label(i) if i % 3 else "none"} for i in range(240))
    )
    lacking = "baseline base.jsonl: 240 of 240 answers have no usable token counts"
    assert refused(project, called=True) == f"how much cheaper a call is cannot be known: {lacking}"
    found = check(project.gate(), "economics.min_monthly_saving_usd")
    assert (found["status"], found["message"]) == ("error", f"the saving cannot be judged: {lacking}")


@pytest.mark.parametrize(("price", "status", "times"), [(0.5, "note", "2"), (0.8, "warning", "1.25")])
def test_a_declared_price_of_the_candidate_is_held_against_the_factor(
    project: Project, price: float, status: str, times: str
) -> None:
    """With as many tokens as the baseline; a tuned model may need fewer, so that it is no failure."""
    tuned = {"provider": "recorded", "path": "ft.jsonl", "price": {"input_per_1m": price, "output_per_1m": price}}
    matched(project, 240, candidate=tuned)
    gate = project.gate()
    found = check(gate, "cheaper_by")
    assert (gate["verdict"], found["status"]) == ("pass", status)
    assert found["message"] == (
        f"with as many tokens as the baseline a call of the candidate would be {times} times cheaper by its price "
        "(marker), asked for 2"
    )


def test_a_baseline_that_costs_nothing_leaves_nothing_to_save(project: Project) -> None:
    free = {"provider": "recorded", "path": "base.jsonl", "price": {"input_per_1m": 0, "output_per_1m": 0}}
    matched(project, 240, baseline=free)
    assert refused(project, "fail", called=True).startswith("no room: a call of baseline base.jsonl costs nothing")
