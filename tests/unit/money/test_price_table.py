"""Prices from the package ``genai-prices``: the real one where it is installed, and stand-ins for its bad days."""

import socket
import sys
from datetime import datetime, timezone
from decimal import Decimal
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from pytest_ftgate.models.price import table_price

OPENAI = "https://api.openai.com/v1"


def price(model="gpt-4.1-mini", base_url=OPENAI, **params):
    return table_price(model, base_url, params)


def reason(found):
    """Why it is not known, after seeing that it is not."""
    assert not found.known
    assert found.input_per_1m is None
    assert (found.unknown or "").startswith("no price in the gate, and ")
    return found.unknown.removeprefix("no price in the gate, and ")


# --- the real table ------------------------------------------------------------------------------------------


@pytest.fixture
def table():
    return pytest.importorskip("genai_prices", reason="genai-prices is not installed: pip install .[prices]")


def test_it_agrees_with_the_package_itself(table):
    for model in ("gpt-4.1-mini", "gpt-4o", "o3", "gpt-5"):
        usage = table.Usage(input_tokens=10_000, output_tokens=700, cache_read_tokens=4_000)
        theirs = table.calc_price(usage, model, provider_id="openai").total_price
        found = price(model)
        ours = (6_000 * found.input_per_1m + 4_000 * found.cached_input_per_1m + 700 * found.output_per_1m) / 1e6
        assert ours == pytest.approx(float(theirs)), model


@pytest.mark.usefixtures("table")
def test_nothing_is_fetched(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", Mock(side_effect=AssertionError("a connection was opened")))
    assert price().known


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("model", "base_url", "why"),
    [
        ("no-such-model", OPENAI, "does not know 'no-such-model' at api.openai.com"),
        ("gpt-4.1-mini", f"{OPENAI[:-3]}.proxy.test/v1", "'gpt-4.1-mini' at api.openai.com.proxy.test"),
        ("ft:gpt-4.1-mini-2025-04-14:org::abc", OPENAI, "::abc' at api.openai.com"),
        ("ft:no-such-model:org::abc", OPENAI, "::abc' at api.openai.com"),
        ("deepseek-chat", "https://api.deepseek.com", "has a price that changes with the time of day"),
        ("sonar", "https://api.perplexity.ai", "is not paid by tokens alone (requests_kcount)"),
        ("text-embedding-3-small", OPENAI, "has no price of input and output tokens"),
    ],
)
def test_what_the_table_does_not_know_or_has_in_more_than_two_numbers(model, base_url, why):
    assert reason(price(model, base_url)).endswith(why)


@pytest.mark.usefixtures("table")
def test_a_fine_tuned_model_a_step_and_a_service_tier():
    tuned, base, step = price("ft:gpt-4o-mini-2024-07-18:org::abc"), price("gpt-4o-mini"), price("gpt-5.4")
    assert all(one.known for one in (tuned, step, price(service_tier="default")))
    assert tuned.input_per_1m > base.input_per_1m
    assert 100_000 < step.most_input_tokens < 1_000_000  # it is known below the step
    assert reason(price(service_tier="flex")).endswith("has another price with params.service_tier")


# --- stand-ins -----------------------------------------------------------------------------------------------


def listed(**prices):
    """Return what calc_price gives for a model of OpenAI's."""
    return SimpleNamespace(
        model=SimpleNamespace(id="m", prices=SimpleNamespace()),
        provider=SimpleNamespace(id="openai", api_pattern=r"https://api\.openai\.com"),
        model_price=SimpleNamespace(**{"input_mtok": Decimal(2), "output_mtok": Decimal(8), **prices}),
        auto_update_timestamp=datetime(2026, 11, 20, tzinfo=timezone.utc),
    )


def stand_in(monkeypatch, answer):
    module = SimpleNamespace(Usage=lambda **counts: counts, calc_price=Mock(side_effect=[answer]))
    monkeypatch.setitem(sys.modules, "genai_prices", module)
    monkeypatch.setattr("pytest_ftgate.models.price.version", lambda _: "9.9")


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert reason(price()) == "genai-prices is not installed (pip install pytest-ftgate[prices])"
    for host in ("127.0.0.1:8000", "[::1]:8000", "vllm"):  # no table has these, which is said without loading it
        assert reason(price("m", f"http://{host}/v1")) == f"genai-prices does not know 'm' at {host}"


@pytest.mark.parametrize(
    ("answer", "model", "why"),
    [
        (ValueError("odd\ndata"), "gpt-4.1-mini", "genai-prices failed: ValueError: odd data"),
        (SimpleNamespace(price=1), "gpt-4.1-mini", "genai-prices failed: AttributeError: "),
        (listed(input_mtok=Decimal(0), output_mtok=Decimal(0)), "m", None),
        (listed(output_mtok=None), "m", "has no price of input and output tokens"),
        (listed(web_searches_kcount=Decimal(10), input_audio_mtok=Decimal(32), requests_kcount=None), "m", None),
        (listed(output_reasoning_mtok=Decimal(9)), "m", "is not paid by tokens alone (output_reasoning_mtok)"),
        (listed(), "ft:m:org::1", "genai-prices does not know 'ft:m:org::1' at api.openai.com"),
    ],
    ids=["raises", "another shape", "free", "not listed", "of tools and sound", "reasoning", "a tuned one's base"],
)
def test_what_the_package_says_or_raises(monkeypatch, answer, model, why):
    stand_in(monkeypatch, answer)
    found = price(model)
    assert found.known if why is None else why in reason(found)


def test_a_table_that_was_updated_tells_when(monkeypatch):
    stand_in(monkeypatch, listed())
    assert price("m").source == "genai-prices 9.9, updated 2026-11-20"
