"""The economics of a fine-tune, end to end: sentence, limit, and everything that is not known."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from gate_project import Project, check, mentions, passed, statuses, stopped

# 1,000 tokens in and 50 out: (1000 * 2 + 50 * 8) / 1e6 = $0.0024 a call; the tuned model takes $0.0004.
LARGE = {"input_per_1m": 2.0, "output_per_1m": 8.0}
SMALL = {"input_per_1m": 0.25, "output_per_1m": 3.0}
USAGE = {"input_tokens": 1000, "output_tokens": 50}
# 200,000 * $0.002 = $400 a month; $300 upfront are earned in 150,000 calls, 0.75 months, 22.8 days.
ECONOMICS = {"calls_per_month": 200_000, "training_cost_usd": 100, "data_cost_usd": 200}


@pytest.fixture
def priced(project: Project) -> Project:
    """Return a gate that the candidate wins, with costs."""
    project.predictions("base.jsonl", 60, range(40, 60), usage=USAGE)
    project.predictions("ft.jsonl", 60, (0, 1, 58, 59), usage=USAGE)
    project.keys |= {"baseline": model("base.jsonl", LARGE), "candidate": model("ft.jsonl", SMALL)}
    return project


def model(name: str, price: dict[str, float]) -> dict[str, Any]:
    return {"provider": "recorded", "path": name, "price": price}


def judged(project: Project, **economics: Any) -> dict[str, Any]:
    return project.judge(economics={**ECONOMICS, **economics})


@pytest.mark.parametrize(("output_per_1m", "called"), [(0, False), (3, True)])
def test_calls_for_nothing_save_nothing_but_on_a_machine_that_is_paid_by_the_month(
    priced: Project, output_per_1m: float, called: bool
) -> None:
    priced.predictions("ft.jsonl", 60, (0, 1, 58, 59), usage={"input_tokens": 1000, "output_tokens": 0})
    priced.keys["candidate"] = model("ft.jsonl", {"input_per_1m": 0, "output_per_1m": output_per_1m})
    gate = judged(priced, max_break_even_days=30)
    found = stopped(gate, called=called)
    assert (found["name"], found["observed"]) == ("economics", None)
    assert not called or gate["economics"]["monthly_saving_usd"] is None
    mentions(found, "candidate ft.jsonl", "marker", "gpu_hour_usd", "economics.hosting_usd_per_month")
    gate = passed(judged(priced, max_break_even_days=115, hosting_usd_per_month=400))
    assert gate["economics"]["monthly_saving_usd"] == pytest.approx(80)


# --- before training -----------------------------------------------------------------------------------------


SEED = {
    "calls_per_month": 200_000,
    "candidate_price": {"input_per_1m": 0.3, "output_per_1m": 1.2},
    "training_cost_usd": {"usd_per_1m_tokens": 8, "epochs": 3},
    "iterations": 3,
    "data_cost_usd": 2000,
}


def test_a_smaller_model_is_priced_before_it_is_trained(priced: Project) -> None:
    """Large at $2.00 and $8.00 per 1M tokens, small at $0.30 and $1.20, 1,000 rows of 1,050 tokens.

    A call saves $0.0024 - $0.00036. Three trainings of 3 epochs cost $25.20 each, the baseline's 60 answers 60 *
    $0.0024, and those of three candidates 180 * $0.00036.
    """
    rows = ({"input": f"{i:4} {'x' * 4189}", "expected": "refund"} for i in range(1000))
    priced.training_set(0, rows)
    priced.gate_test(stage="ready", candidate=..., economics={**SEED, "max_break_even_days": 180})
    result = priced.run("--ftgate-report=json:r.json", "--ftgate-report=markdown:r.md", "--ftgate-report=html:r.html")
    (gate,) = json.loads((priced.path / "r.json").read_text())["gates"]
    found, saving, upfront = gate["economics"], 200_000 * 0.00204, 3 * 25.20 + 2000 + 60 * 0.0024 + 180 * 0.00036
    assert found["training_cost_usd"] == pytest.approx(25.20, rel=0.01)
    expected = {
        "candidate_usd_per_1000_calls": 0.36,
        "iterations": 3,
        "evaluation_cost_usd": 60 * 0.0024 + 180 * 0.00036,
        "monthly_saving_usd": saving,
        "break_even_days": upfront / saving * 365 / 12,
        "highest_usd_per_1000_calls": 2.4 - upfront / 180 * 365 / 12 / 200,
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-4)
    assert (statuses(gate)["economics"], gate["verdict"]) == ("pass", "pass")
    sentence = (
        "At 200,000 calls per month a candidate at candidate_price saves $408 per month and pays "
        "for itself after 155 days (1,017,554 calls). Above $0.6461 per 1,000 calls (1.8 times "
        "candidate_price) it does not within 180 days."
    )
    assert found["sentence"] == sentence
    for text in (result.stdout.str(), (priced.path / "r.md").read_text()):
        assert sentence in " ".join(html.unescape(text).split())
    page = (priced.path / "r.html").read_text()
    assert all(part in page for part in ("155 days", "1.8 times candidate_price", "about 1,050,000 tokens an epoch"))


def test_gpu_hours_are_an_amount_and_an_unknown_price_is_no_saving(priced: Project) -> None:
    hours = {"gpu_hours": 4, "gpu_hour_usd": 2.5}
    assert judged(priced, training_cost_usd=hours)["economics"]["training_cost_usd"] == 10
    priced.predictions("base.jsonl", 60, range(40, 60))
    priced.keys |= {"stage": "ready", "candidate": ...}
    gate = judged(priced, candidate_price=SEED["candidate_price"], max_break_even_days=30)
    assert (gate["verdict"], gate["economics"]["monthly_saving_usd"]) == ("error", None)
    mentions(check(gate, "economics"), "base.jsonl", "usage")
