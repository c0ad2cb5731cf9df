"""Money, end to end: costs in report and terminal, bounds on them, prices of every kind, and the option for a limit."""

from __future__ import annotations

import re
import shutil

import pytest
from endpoint_project import EndpointProject, answer
from gate_project import Project, check, ends, mentions, passed, stopped, words
from loopback import Reply, error

from pytest_ftgate.models.openai_api.endpoint import Endpoint
from pytest_ftgate.models.openai_api.model import OpenAIModel

USAGE = {"prompt_tokens": 1000, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 600}}
ROLES = {"gpt-4.1-mini": "base", "ft:gpt-4.1-mini:org::1": "ft"}


@pytest.fixture
def http(http: EndpointProject) -> EndpointProject:
    http.server.answer = lambda body: Reply(answer(body), usage=USAGE)
    return http


def test_tokens_written_to_the_cache_are_kept_with_the_answer(http: EndpointProject) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cache_write_tokens": 4}}
    http.server.answer = lambda body: Reply(answer(body), usage=usage)
    http.gate_test()
    http.run("--ftgate-report=recordings:recordings").assert_outcomes(passed=1)
    (path,) = (http.path / "recordings").glob("*.candidate.jsonl")
    assert path.read_text(encoding="utf-8").count('"cache_write_tokens": 4') == 60


# --- by the hour, and by others ------------------------------------------------------------------------------


MODEL = """
from pytest_ftgate import Completion


class Mine:
    name = spelling = "mine"
    concurrency, timeout_s, retries, persistent, verified = 4, 60.0, 0, False, None
    price = {price!r}

    def key(self, example, repeat=0):
        return f"mine {{example.id}} {{repeat}}"

    async def complete(self, example, repeat=0):
        return Completion(example.expected, input_tokens=100, output_tokens=10)

    async def aclose(self):
        pass


def pytest_ftgate_model(spec):
    return Mine() if spec.provider == "mine" else None
"""


def test_a_models_own_price(project: Project) -> None:
    project.file("conftest.py", MODEL.format(price={"input_per_1k": 1}))
    mentions(stopped(project.judge(candidate={"provider": "mine"})), "mine", "'input_per_1k'")
    project.file("conftest.py", MODEL.format(price={"input_per_1m": 2.0, "output_per_1m": 8.0}))
    gate = project.judge(candidate={"provider": "mine"})
    assert gate["candidate"]["cost_usd"] == pytest.approx(60 * (100 * 2 + 10 * 8) / 1e6)
    prices = [gate[role]["price"] for role in ("baseline", "candidate")]
    assert prices == ["unknown: no price in the gate", "the model mine"]


def test_the_hour_of_a_machine_is_spread_over_the_calls(http: EndpointProject) -> None:
    """What was measured is kept with the answers, also in recordings: a later run costs the same."""
    http.gate_test(candidate=http.model("ft", price={"gpu_hour_usd": 3600}), thresholds={"cost_usd": {"min": 0}})
    gate = http.gate("--ftgate-report=recordings:recordings")
    cost = gate["candidate"]["cost_usd"]
    assert gate["verdict"] == "pass"
    assert 0 < cost < 60  # a dollar for each second in which at least one call was under way
    assert gate["candidate"]["latency_p95_s"] <= cost + 1e-6
    assert http.gate()["candidate"]["cost_usd"] == cost
    http.pytester.makeini("[pytest]\nftgate_recordings = recordings\n")
    shutil.rmtree(http.path / ".ftgate")
    again = http.gate("--ftgate-offline")
    assert (again["candidate"]["n_stored"], again["candidate"]["cost_usd"]) == (60, cost)


def test_reading_a_file_is_not_what_a_machine_took(project: Project) -> None:
    recorded = {"provider": "recorded", "path": "ft.jsonl", "price": {"gpu_hour_usd": 2}}
    gate = project.judge(candidate=recorded, thresholds={"cost_usd": {"max": 1}})
    assert (gate["verdict"], gate["candidate"]["cost_usd"]) == ("error", None)
    mentions(check(gate, "thresholds.cost_usd"), "60 of 60")


# --- the table -----------------------------------------------------------------------------------------------


def test_a_known_endpoint_has_its_price_from_the_table(http: EndpointProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is OpenAI's own in all but the connection, which leads to loopback."""
    pytest.importorskip("genai_prices", reason="genai-prices is not installed: pip install .[prices]")
    monkeypatch.setattr(OpenAIModel, "address", lambda model: Endpoint(http.server.url, model.home.model, None, None))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    http.server.answer = lambda body: Reply(answer({**body, "model": ROLES[body["model"]]}), usage=USAGE)
    http.gate_test(baseline="openai:gpt-4.1-mini", candidate="openai:ft:gpt-4.1-mini:org::1")
    gate = passed(http.whole("-v"))
    assert gate["baseline"]["cost_usd"] == pytest.approx(60 * (400 * 0.4 + 600 * 0.1 + 20 * 1.6) / 1e6)
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


SHOW_BUDGET = """
from pytest_ftgate import plugin

def pytest_runtest_teardown(item):
    budget = plugin.gate_session(item.config).services(item.ihook).budget
    print("budget:", budget and (budget.name, budget.limit_usd))
"""


def test_workers_of_xdist_share_the_limit(project: Project) -> None:
    project.file("conftest.py", SHOW_BUDGET)
    project.gate_test()
    result = project.run_apart("-n2", "--ftgate-max-cost=3", "-rA")
    result.stdout.fnmatch_lines(["budget: ('--ftgate-max-cost 3, of which each of 2 workers may spend $1.50', 1.5)"])


PRICED = {"price": {"input_per_1m": 1.0, "output_per_1m": 50.0}, "params": {"max_tokens": 21}, "concurrency": 1}
"""A thousand tokens in and twenty out: $0.002 for each of 120 answers."""


def test_the_limit_ends_a_gate_before_it_is_passed_and_the_next_run_goes_on(http: EndpointProject) -> None:
    http.gate_test(baseline=http.model("base", **PRICED), candidate=http.model("ft", **PRICED))
    gate = ends(http.gate("--ftgate-max-cost=0.13"), "error")
    assert re.search(r"--ftgate-max-cost 0.13: \$0.1\S* is spent, the next call is", words(http.result))
    answered = gate["baseline"]["n_scored"] + gate["candidate"]["n_scored"]
    assert 0.12 < 0.002 * answered <= 0.002 * len(http.server.requests) <= 0.13
    http.result.stdout.fnmatch_lines(["$0.1* spent of --ftgate-max-cost 0.13"])
    http.forget()
    gate = passed(http.gate("--ftgate-max-cost=0.13"))
    assert len(http.server.bodies) == 120 - answered
    assert gate["candidate"]["cost_usd"] == pytest.approx(0.12)


def test_calls_that_broke_off_are_told_apart_from_what_was_spent(http: EndpointProject) -> None:
    """A refusal to be busy is free, a connection that was dropped in the middle perhaps not."""
    http.gate_test(baseline=http.model("base", **PRICED, retries=2), candidate=http.model("ft", **PRICED, retries=2))
    http.server.faults.extend([error(429, retry_after="0"), Reply(drop=True)])
    assert http.gate("--ftgate-max-cost=1")["verdict"] == "pass"
    said = r"\$0.2400 spent of --ftgate-max-cost 1, and perhaps \$0.001\d* for calls whose cost is unknown"
    assert re.search(said, words(http.result))


def test_the_limit_is_an_error_also_where_missing_answers_count_as_wrong(http: EndpointProject) -> None:
    """Nobody asked for them: they are not missing after all retries."""
    http.gate_test(baseline="recorded:base.jsonl", candidate=http.model("ft", **PRICED), missing_answers="wrong")
    gate = ends(http.gate("--ftgate-max-cost=0.05"), "error")
    assert "--ftgate-max-cost 0.05" in check(gate, "candidate_answers")["message"]


def test_a_function_without_a_price_is_not_counted_and_that_is_said(http: EndpointProject) -> None:
    http.file(
        "conftest.py",
        "import pytest\n@pytest.fixture\ndef ftgate_candidate():\n"
        "    return lambda text: ('refund', 'invoice', 'shipping')[int(text.split()[-1]) % 3]\n",
    )
    http.gate_test(baseline=http.model("base", **PRICED), candidate=...)
    assert http.gate("--ftgate-max-cost=5")["verdict"] == "pass"
    assert "not counted by --ftgate-max-cost, because no price is known: <lambda>" in words(http.result)
