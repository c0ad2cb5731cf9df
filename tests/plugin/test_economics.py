"""The economics of a fine-tune, end to end: table, sentence, limits, and everything that is not known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gate_project import Project, check, label, refused, statuses, write_jsonl, wrong

from pytest_ftgate.result import GateResult

# 1,000 tokens in and 50 out: (1000 * 2 + 50 * 8) / 1e6 = $0.0024 a call; the tuned model takes $0.0004.
LARGE = {"input_per_1m": 2.0, "output_per_1m": 8.0}
SMALL = {"input_per_1m": 0.25, "output_per_1m": 3.0}
USAGE = {"input_tokens": 1000, "output_tokens": 50}
# 200,000 * $0.002 = $400 a month; $300 upfront are earned in 150,000 calls, 0.75 months, 22.8 days.
ECONOMICS = {"calls_per_month": 200_000, "training_cost_usd": 100, "data_cost_usd": 200}
SENTENCE = (
    "At 200,000 calls a month the fine-tune saves $400 a month and pays for itself after 23 days (150,000 calls)."
)


def answers(project: Project, name: str, wrong_at: Any, *, usage: dict[str, int] | None = USAGE) -> None:
    more = {"usage": usage} if usage else {}
    write_jsonl(
        project.path / name,
        ({"id": f"t{i}", "output": wrong(i) if i in wrong_at else label(i), **more} for i in range(60)),
    )


@pytest.fixture
def priced(project: Project) -> Project:
    """A gate that the candidate wins, with costs."""
    answers(project, "base.jsonl", range(40, 60))
    answers(project, "ft.jsonl", (0, 1, 58, 59))
    project.keys |= {"baseline": model("base.jsonl", LARGE), "candidate": model("ft.jsonl", SMALL)}
    return project


def model(name: str, price: dict[str, float] | None) -> dict[str, Any]:
    return {"provider": "recorded", "path": name, **({"price": price} if price else {})}


def judged(project: Project, **economics: Any) -> dict[str, Any]:
    keys = {key: value for key, value in {**ECONOMICS, **economics}.items() if value is not ...}
    project.gate_test(economics=keys)
    return project.gate()


def test_table_sentence_and_facts(priced: Project) -> None:
    gate = judged(priced)
    assert gate["verdict"] == "pass"
    found = gate["economics"]
    assert found["monthly_saving_usd"] == pytest.approx(400)
    assert found["break_even_calls"] == pytest.approx(150_000)
    assert found["break_even_days"] == pytest.approx(0.75 * 365 / 12)
    assert [one["monthly_saving_usd"] for one in found["volumes"]] == pytest.approx([200, 400, 800])
    assert found["training_said"] == "declared (marker)"
    assert found["sentence"] == SENTENCE
    priced.result.stdout.fnmatch_lines(
        [
            "economics: 1,000 calls cost $2.40 (baseline), $0.4000 (candidate)",
            "  once: training $100, data preparation $200",
            "  by the month: hosting not declared, retraining not declared",
            "  calls a month  saved a month  pays for itself after",
            "        100,000           $200  46 days (150,000 calls)",
            "        200,000           $400  23 days (150,000 calls)",
            "        400,000           $800  12 days (150,000 calls)",
            SENTENCE,
        ],
        consecutive=True,
    )


def test_the_facts_of_the_report_make_the_result_again(priced: Project) -> None:
    gate = judged(priced, hosting_usd_per_month=10, retrains_per_year=4)
    assert json.loads(json.dumps(GateResult.from_dict(gate).to_dict())) == gate


def test_without_economics_nobody_speaks_of_them(priced: Project) -> None:
    priced.gate_test()
    gate = priced.gate()
    assert gate["economics"] is None
    assert not [line for line in priced.result.outlines if line.startswith(("economics", "At "))]


@pytest.mark.parametrize(
    ("limits", "verdict", "message"),
    [
        ({"max_break_even_days": 23}, "pass", "pays for itself after 23 days, asked for at most 23 days"),
        ({"max_break_even_days": 22}, "fail", "pays for itself after 23 days, asked for at most 22 days"),
        ({"min_monthly_saving_usd": 400}, "pass", "saves $400 a month, asked for at least $400"),
        ({"min_monthly_saving_usd": 400.5}, "fail", "saves $400 a month, asked for at least $400"),
        ({"min_monthly_saving_usd": 0, "hosting_usd_per_month": 401}, "fail", "saves -$1.00 a month"),
        (
            {"max_break_even_days": 10_000, "hosting_usd_per_month": 400},
            "fail",
            "never pays for itself, asked for at most 10,000 days",
        ),
        # $400 - 12 * $100 / 12 = $300: a month, 30.42 days
        ({"max_break_even_days": 30.5, "retrains_per_year": 12}, "pass", "pays for itself after 31 days, asked for at"),
        ({"max_break_even_days": 30.4, "retrains_per_year": 12}, "fail", "pays for itself after 31 days, asked for at"),
    ],
    ids=str,
)
def test_limits(priced: Project, limits: dict[str, float], verdict: str, message: str) -> None:
    gate = judged(priced, **limits)
    (name,) = (f"economics.{key}" for key in limits if key in ("max_break_even_days", "min_monthly_saving_usd"))
    found = check(gate, name)
    assert found["message"].startswith(message)
    assert (gate["verdict"], found["status"], found["source"]) == (verdict, verdict, "marker")


@pytest.mark.parametrize("limit", [{"max_break_even_days": 30}, {"min_monthly_saving_usd": 1}], ids=str)
def test_a_price_of_nothing_is_known_before_any_call_to_save_nothing(priced: Project, limit: dict[str, int]) -> None:
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": 0})
    gate = judged(priced, **limit)
    (name,) = limit
    assert (gate["verdict"], gate["models_called"]) == ("error", False)
    found = check(gate, f"economics.{name}")
    assert "one of candidate ft.jsonl costs nothing by its price (marker)" in found["message"]
    assert "price: {gpu_hour_usd}, or economics.hosting_usd_per_month" in found["advice"]


def test_answers_without_a_token_that_is_paid_for_save_nothing_either(priced: Project) -> None:
    answers(priced, "ft.jsonl", (0, 1, 58, 59), usage={"input_tokens": 1000, "output_tokens": 0})
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": 3})
    gate = judged(priced, min_monthly_saving_usd=1)
    assert (gate["verdict"], gate["economics"]["monthly_saving_usd"]) == ("error", None)
    assert "costs nothing by its price" in check(gate, "economics.min_monthly_saving_usd")["message"]


def test_a_machine_that_is_paid_by_the_month_may_have_calls_for_nothing(priced: Project) -> None:
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": 0})
    gate = judged(priced, min_monthly_saving_usd=80, hosting_usd_per_month=400)
    assert check(gate, "economics.min_monthly_saving_usd")["message"].startswith("saves $80")
    assert gate["verdict"] == "pass"


def test_a_limit_says_where_it_is_written(priced: Project) -> None:
    priced.gate_file(
        "version: 1\ngates:\n  g:\n    test_set: test.jsonl\n    training_set: train.jsonl\n    margin: 0.05\n"
        "    baseline: {provider: recorded, path: base.jsonl, price: {input_per_1m: 2, output_per_1m: 8}}\n"
        "    candidate: {provider: recorded, path: ft.jsonl, price: {input_per_1m: 0.25, output_per_1m: 3}}\n"
        "    economics:\n      calls_per_month: 200000\n      training_cost_usd: 100\n      data_cost_usd: 200\n"
        "      max_break_even_days: 30\n"
    )
    priced.file("test_gate.py", "import pytest\n@pytest.mark.ftgate('g')\ndef test_gate(): pass\n")
    gate = priced.gate()
    assert check(gate, "economics.max_break_even_days")["source"] == "ftgate.yaml:13"
    assert gate["economics"]["training_said"] == "declared (ftgate.yaml:11)"


# --- what is unknown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("economics", "lacking"),
    [
        ({"calls_per_month": ...}, "the number of calls is not known"),
        ({"training_cost_usd": ...}, "the training cost is not known"),
    ],
    ids=str,
)
def test_a_limit_that_cannot_be_judged_is_an_error_before_any_call(
    priced: Project, economics: dict[str, Any], lacking: str
) -> None:
    keys = {key: value for key, value in {**ECONOMICS, **economics}.items() if value is not ...}
    priced.gate_test(economics={**keys, "max_break_even_days": 30})
    assert refused(priced).startswith(f"the break-even cannot be judged: {lacking}")


def test_a_model_without_a_price_is_seen_before_any_call(priced: Project) -> None:
    priced.gate_test(candidate=model("ft.jsonl", None), economics={**ECONOMICS, "min_monthly_saving_usd": 1})
    message = refused(priced)
    assert message == "the saving cannot be judged: candidate ft.jsonl: no price in the gate"
    advice = check(priced.gate(), "economics.min_monthly_saving_usd")["advice"]
    assert (
        advice == "Give the model a price: {input_per_1m, output_per_1m}, or {gpu_hour_usd} on a machine of your own."
    )


def test_an_answer_without_usage_is_seen_after_the_calls(priced: Project) -> None:
    answers(priced, "ft.jsonl", (0, 1, 58, 59), usage=None)
    priced.gate_test(economics={**ECONOMICS, "min_monthly_saving_usd": 1})
    assert refused(priced, called=True) == (
        "the saving cannot be judged: candidate ft.jsonl: 60 of 60 answers have no usable token counts"
    )


def test_a_price_of_training_without_a_job_is_an_error_after_the_calls(priced: Project) -> None:
    priced.gate_test(
        candidate=model("ft.jsonl", {**SMALL, "training_per_1m": 25.0}),
        economics={"calls_per_month": 200_000, "data_cost_usd": 0, "max_break_even_days": 30},
    )
    assert "the training cost is not known: no fine-tuning job tells how many tokens were trained" in refused(
        priced, called=True
    )


def test_what_is_unknown_and_not_asked_for_is_only_said_to_be(priced: Project) -> None:
    gate = judged(priced, training_cost_usd=...)
    assert gate["verdict"] == "pass"
    assert (gate["economics"]["training_cost_usd"], gate["economics"]["break_even_days"]) == (None, None)
    priced.result.stdout.fnmatch_lines(
        [
            "  once: training unknown, data preparation $200",
            "        200,000           $400  unknown",
            "At 200,000 calls a month the fine-tune saves $400 a month; when it pays for itself is unknown: *",
        ]
    )


def test_data_preparation_that_nobody_declared_is_said_to_be_left_out(priced: Project) -> None:
    gate = judged(priced, data_cost_usd=..., max_break_even_days=8)
    warning = check(gate, "economics.data_cost_usd")
    assert (gate["verdict"], warning["status"]) == ("pass", "warning")
    assert gate["economics"]["data_cost_usd"] is None
    assert gate["economics"]["sentence"].endswith("(data preparation not counted).")
    assert "economics.data_cost_usd" not in statuses(judged(priced, max_break_even_days=30))


@pytest.mark.parametrize(
    ("economics", "message"),
    [
        ({"calls_per_month": 0}, "must be above 0, got 0"),
        ({"training_cost_usd": -1}, "must be at least 0, got -1"),
        ({"calls_per_month": "many"}, "must be a number, got the text 'many'"),
        ({"calls_per_moth": 1}, "unknown key; did you mean 'calls_per_month'?"),
        ("free", "must be a mapping"),
    ],
    ids=str,
)
def test_what_cannot_be_meant(priced: Project, economics: Any, message: str) -> None:
    priced.gate_test(economics=economics)
    assert message in refused(priced)
