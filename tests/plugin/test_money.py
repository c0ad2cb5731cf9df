"""Money, end to end: costs and prices of every kind, the option for a limit, and what a fine-tune saves."""

import html
import json
import re
import shutil
from typing import Any

import pytest
from endpoint_project import EndpointProject, answer
from gate_project import Project, check, ends, mentions, passed, recorded, statuses, stopped, words
from loopback import Reply, error

from pytest_ftgate.data import Example
from pytest_ftgate.models import Completion
from pytest_ftgate.models.openai_api.endpoint import Endpoint
from pytest_ftgate.models.openai_api.model import OpenAIModel

USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 600},
}
ROLES = {"gpt-4.1-mini": "base", "ft:gpt-4.1-mini:org::1": "ft"}


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    http.server.answer = lambda body: Reply(answer(body), usage=USAGE)
    return http


class Mine:
    """Hooks and a model with a price of its own."""

    name = spelling = "mine"
    concurrency, timeout_s, retries, persistent = 4, 60.0, 0, False

    def __init__(self, **price: float) -> None:
        self.price = price

    def key(self, example: Example, repeat: int = 0) -> str:
        return f"mine {example.id} {repeat}"

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        return Completion(str(example.expected), input_tokens=100, output_tokens=10)

    def pytest_ftgate_model(self, spec: Any) -> Any:
        return self if spec.provider == "mine" else None


def test_a_models_own_price(project: Project) -> None:
    keys = {"candidate": {"provider": "mine"}}
    mentions(stopped(project.judge(**keys, hook=Mine(input_per_1k=1))), "mine", "input_per_1k")
    gate = project.judge(**keys, hook=Mine(input_per_1m=2.0, output_per_1m=8.0))
    assert gate["candidate"]["cost_usd"] == pytest.approx(60 * (100 * 2 + 10 * 8) / 1e6)
    prices = [gate[role]["price"] for role in ("baseline", "candidate")]
    assert prices == ["unknown: no price in the gate", "the model mine"]


def test_the_hour_of_a_machine_is_spread_over_the_calls(http: EndpointProject) -> None:
    """What was measured is kept with the answers, also in recordings: a later run costs the same."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cache_write_tokens": 4},
    }
    http.server.answer = lambda body: Reply(answer(body), usage=usage)
    http.gate_test(
        candidate=http.model("ft", price={"gpu_hour_usd": 3600}),
        thresholds={"cost_usd": {"min": 0}},
    )
    gate = http.gate("--ftgate-report=recordings:recordings")
    cost = gate["candidate"]["cost_usd"]
    assert gate["verdict"] == "pass"
    assert 0 < cost < 60  # a dollar for each second in which at least one call was under way
    assert gate["candidate"]["latency_p95_s"] <= cost + 1e-6
    (path,) = (http.path / "recordings").glob("*.candidate.jsonl")
    assert path.read_text(encoding="utf-8").count('"cache_write_tokens": 4') == 60
    assert http.gate()["candidate"]["cost_usd"] == cost
    http.pytester.makeini("[pytest]\nftgate_recordings = recordings\n")
    shutil.rmtree(http.path / ".ftgate")
    second_gate = http.gate("--ftgate-offline")
    assert (second_gate["candidate"]["n_stored"], second_gate["candidate"]["cost_usd"]) == (
        60,
        cost,
    )


def test_reading_a_file_is_not_what_a_machine_took(project: Project) -> None:
    gate = project.judge(
        candidate=recorded("ft.jsonl", price={"gpu_hour_usd": 2}),
        thresholds={"cost_usd": {"max": 1}},
    )
    assert (gate["verdict"], gate["candidate"]["cost_usd"]) == ("error", None)
    mentions(check(gate, "thresholds.cost_usd"), "60 of 60")


def test_a_known_endpoint_has_its_price_from_the_table(
    http: EndpointProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is OpenAI's own in all but the connection, which leads to loopback."""
    pytest.importorskip(
        "genai_prices", reason="genai-prices is not installed: pip install .[prices]"
    )
    monkeypatch.setattr(
        OpenAIModel,
        "address",
        lambda model: Endpoint(http.server.url, model.home.model, None, None),
    )
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    http.server.answer = lambda body: Reply(
        answer({**body, "model": ROLES[body["model"]]}), usage=USAGE
    )
    http.gate_test(baseline="openai:gpt-4.1-mini", candidate="openai:ft:gpt-4.1-mini:org::1")
    gate = passed(http.whole("-v"))
    assert gate["baseline"]["cost_usd"] == pytest.approx(
        60 * (400 * 0.4 + 600 * 0.1 + 20 * 1.6) / 1e6
    )
    assert gate["baseline"]["price"].startswith("genai-prices ")
    assert gate["candidate"]["cost_usd"] is None  # what the base model costs says nothing
    for role in ("baseline", "candidate"):
        assert f"price of {role}: {gate[role]['price']}" in words(http.result)
    http.result.stdout.fnmatch_lines(["baseline * $0.0151", "candidate * unknown"])


# --- the limit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["0", "nan", "much"])
def test_a_limit_that_is_none_is_a_usage_error(project: Project, amount: str) -> None:
    result = project.run(f"--ftgate-max-cost={amount}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ftgate-max-cost*must be a positive number of US dollars*"])


def test_workers_of_xdist_share_the_limit(project: Project) -> None:
    project.file(
        "conftest.py",
        "from pytest_ftgate import plugin\ndef pytest_runtest_teardown(item):\n"
        "    budget = plugin.gate_session(item.config).services(item.ihook).budget\n"
        "    print('budget:', (budget.name, budget.limit_usd))\n",
    )
    project.gate_test()
    result = project.run_apart("-n2", "--ftgate-max-cost=3", "-rA")
    result.stdout.fnmatch_lines(["budget: ('--ftgate-max-cost 3, shared by 2 workers', 1.5)"])


PRICED = {
    "price": {"input_per_1m": 1.0, "output_per_1m": 50.0},
    "params": {"max_tokens": 21},
    "concurrency": 1,
}
"""A thousand tokens in and twenty out: $0.002 for each of 120 answers."""


def test_the_limit_ends_a_gate_before_it_is_passed_and_the_next_run_goes_on(
    http: EndpointProject,
) -> None:
    http.gate_test(baseline=http.model("base", **PRICED), candidate=http.model("ft", **PRICED))
    gate = ends(http.gate("--ftgate-max-cost=0.13"), "error")
    assert re.search(
        r"--ftgate-max-cost 0.13: \$0.1\S* is spent, the next call is", words(http.result)
    )
    answered = gate["baseline"]["n_scored"] + gate["candidate"]["n_scored"]
    assert 0.12 < 0.002 * answered <= 0.002 * len(http.server.requests) <= 0.13
    http.result.stdout.fnmatch_lines(["$0.1* spent of --ftgate-max-cost 0.13"])
    http.forget()
    gate = passed(http.gate("--ftgate-max-cost=0.13"))
    assert len(http.server.bodies) == 120 - answered
    assert gate["candidate"]["cost_usd"] == pytest.approx(0.12)


def test_calls_that_broke_off_count_with_their_estimate(http: EndpointProject) -> None:
    """A refusal to be busy is free, a connection that was dropped in the middle perhaps not."""
    http.gate_test(
        baseline=http.model("base", **PRICED, retries=2),
        candidate=http.model("ft", **PRICED, retries=2),
    )
    http.server.faults.extend([error(429, retry_after="0"), Reply(drop=True)])
    assert http.gate("--ftgate-max-cost=1")["verdict"] == "pass"
    assert re.search(r"\$0.241\d spent of --ftgate-max-cost 1", words(http.result))


def test_the_limit_is_an_error_also_where_missing_answers_count_as_wrong(
    http: EndpointProject,
) -> None:
    """Nobody asked for them: they are not missing after all retries."""
    http.gate_test(
        baseline="recorded:base.jsonl",
        candidate=http.model("ft", **PRICED),
        missing_answers="wrong",
    )
    gate = ends(http.gate("--ftgate-max-cost=0.05"), "error")
    assert "--ftgate-max-cost 0.05" in check(gate, "candidate_answers")["message"]


def test_a_function_without_a_price_is_not_counted_and_that_is_said(http: EndpointProject) -> None:
    http.own()
    http.gate_test(baseline=http.model("base", **PRICED), candidate="python:own:good")
    assert http.gate("--ftgate-max-cost=5")["verdict"] == "pass"
    assert "not counted by --ftgate-max-cost, because no price is known: good" in words(http.result)


# --- the economics of a fine-tune: sentence, limit, and all that is not known -----------------------------------

# 1,000 tokens in and 50 out: (1000 * 2 + 50 * 8) / 1e6 = $0.0024 a call; the tuned model takes $0.0004.
LARGE = {"input_per_1m": 2.0, "output_per_1m": 8.0}
SMALL = {"input_per_1m": 0.25, "output_per_1m": 3.0}
TOKENS = {"input_tokens": 1000, "output_tokens": 50}
# 200,000 * $0.002 = $400 a month; $300 upfront are earned in 150,000 calls, 0.75 months, 22.8 days.
ECONOMICS = {"calls_per_month": 200_000, "training_cost_usd": 100, "data_cost_usd": 200}


@pytest.fixture
def priced(project: Project) -> Project:
    """Return a gate that the candidate wins, with costs."""
    project.predictions("base.jsonl", 60, range(40, 60), usage=TOKENS)
    project.predictions("ft.jsonl", 60, (0, 1, 58, 59), usage=TOKENS)
    project.keys |= {
        "baseline": recorded("base.jsonl", price=LARGE),
        "candidate": recorded("ft.jsonl", price=SMALL),
    }
    return project


def judged(project: Project, **economics: Any) -> dict[str, Any]:
    return project.judge(economics={**ECONOMICS, **economics})


@pytest.mark.parametrize(("output_per_1m", "called"), [(0, False), (3, True)])
def test_calls_for_nothing_save_nothing_but_on_a_machine_that_is_paid_by_the_month(
    priced: Project, output_per_1m: float, called: bool
) -> None:
    priced.predictions(
        "ft.jsonl", 60, (0, 1, 58, 59), usage={"input_tokens": 1000, "output_tokens": 0}
    )
    priced.keys["candidate"] = recorded(
        "ft.jsonl", price={"input_per_1m": 0, "output_per_1m": output_per_1m}
    )
    gate = judged(priced, max_break_even_days=30)
    finding = stopped(gate, called=called)
    assert (finding["name"], finding["observed"]) == ("economics", None)
    assert not called or gate["economics"]["monthly_saving_usd"] is None
    mentions(
        finding, "candidate ft.jsonl", "marker", "gpu_hour_usd", "economics.hosting_usd_per_month"
    )
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
    result = priced.run(
        "--ftgate-report=json:r.json",
        "--ftgate-report=markdown:r.md",
        "--ftgate-report=html:r.html",
    )
    (gate,) = json.loads((priced.path / "r.json").read_text())["gates"]
    economics, saving, upfront = (
        gate["economics"],
        200_000 * 0.00204,
        3 * 25.20 + 2000 + 60 * 0.0024 + 180 * 0.00036,
    )
    assert economics["training_cost_usd"] == pytest.approx(25.20, rel=0.01)
    expected = {
        "candidate_usd_per_1000_calls": 0.36,
        "iterations": 3,
        "evaluation_cost_usd": 60 * 0.0024 + 180 * 0.00036,
        "monthly_saving_usd": saving,
        "break_even_days": upfront / saving * 365 / 12,
    }
    assert {key: economics[key] for key in expected} == pytest.approx(expected, rel=1e-4)
    assert (statuses(gate)["economics"], gate["verdict"]) == ("pass", "pass")
    sentence = (
        "At 200,000 calls per month a candidate at candidate_price saves $408 per month and pays "
        "for itself after 155 days."
    )
    assert economics["sentence"] == sentence
    for text in (result.stdout.str(), (priced.path / "r.md").read_text()):
        assert sentence in " ".join(html.unescape(text).split())
    page = (priced.path / "r.html").read_text()
    assert "155 days" in page
