"""Prices from the package ``genai-prices``: the real one where it is installed, and stand-ins for its bad days."""

from __future__ import annotations

import socket
import sys
from datetime import datetime, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ftgate.models.price import table_price

OPENAI = "https://api.openai.com/v1"


def price(model: str = "gpt-4.1-mini", base_url: str = OPENAI, **params: Any) -> Any:
    return table_price(model, base_url, params)


def reason(found: Any) -> str:
    """Why it is not known, after seeing that it is not."""
    assert not found.known
    assert found.input_per_1m is None
    assert (found.unknown or "").startswith("no price in the gate, and ")
    return found.unknown.removeprefix("no price in the gate, and ")  # type: ignore[no-any-return]


# --- the real table ------------------------------------------------------------------------------------------


@pytest.fixture
def table() -> Any:
    return pytest.importorskip("genai_prices", reason="genai-prices is not installed: pip install .[prices]")


def test_it_agrees_with_the_package_itself(table: Any) -> None:
    for model in ("gpt-4.1-mini", "gpt-4o", "o3", "gpt-5"):
        usage = table.Usage(input_tokens=10_000, output_tokens=700, cache_read_tokens=4_000)
        theirs = table.calc_price(usage, model, provider_id="openai").total_price
        found = price(model)
        ours = (6_000 * found.input_per_1m + 4_000 * found.cached_input_per_1m + 700 * found.output_per_1m) / 1e6
        assert ours == pytest.approx(float(theirs)), model


def test_nothing_is_fetched(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert price().known


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("model", "base_url", "host"),
    [
        ("no-such-model", OPENAI, "api.openai.com"),
        ("gpt-4.1-mini", "https://api.openai.com.proxy.test/v1", "api.openai.com.proxy.test"),
        ("ft:gpt-4.1-mini-2025-04-14:org::abc", OPENAI, "api.openai.com"),
        ("ft:no-such-model:org::abc", OPENAI, "api.openai.com"),
    ],
)
def test_what_the_table_does_not_know(model: str, base_url: str, host: str) -> None:
    assert reason(price(model, base_url)) == f"genai-prices does not know {model!r} at {host}"


@pytest.mark.usefixtures("table")
def test_a_fine_tuned_model_has_the_price_that_is_listed_for_it() -> None:
    tuned, base = price("ft:gpt-4o-mini-2024-07-18:org::abc"), price("gpt-4o-mini")
    assert tuned.known
    assert tuned.input_per_1m > base.input_per_1m


@pytest.mark.usefixtures("table")
def test_a_price_that_steps_up_is_known_below_the_step() -> None:
    found = price("gpt-5.4")
    assert found.known
    assert 100_000 < found.most_input_tokens < 1_000_000


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("model", "base_url", "why"),
    [
        ("deepseek-chat", "https://api.deepseek.com", "has a price that changes with the time of day"),
        ("sonar", "https://api.perplexity.ai", "is not paid by tokens alone (requests_kcount)"),
        ("text-embedding-3-small", OPENAI, "has no price of input and output tokens"),
    ],
)
def test_a_price_that_is_more_than_two_numbers_is_unknown(model: str, base_url: str, why: str) -> None:
    assert reason(price(model, base_url)).endswith(why)


@pytest.mark.usefixtures("table")
def test_a_service_tier_has_a_price_of_its_own() -> None:
    assert price(service_tier="default").known
    assert reason(price(service_tier="flex")).endswith("has another price with params.service_tier")


# --- stand-ins -----------------------------------------------------------------------------------------------


def listed(**prices: Any) -> SimpleNamespace:
    """Return what calc_price gives for a model of OpenAI's."""
    return SimpleNamespace(
        model=SimpleNamespace(id="m", prices=SimpleNamespace()),
        provider=SimpleNamespace(id="openai", api_pattern=r"https://api\.openai\.com"),
        model_price=SimpleNamespace(**{"input_mtok": Decimal(2), "output_mtok": Decimal(8), **prices}),
        auto_update_timestamp=datetime(2026, 11, 20, tzinfo=timezone.utc),
    )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(answer: Any) -> None:
        def calc_price(*_: Any, **__: Any) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

        module = SimpleNamespace(Usage=lambda **counts: counts, calc_price=calc_price)
        monkeypatch.setitem(sys.modules, "genai_prices", module)
        monkeypatch.setattr("pytest_ftgate.models.price.version", lambda _: "9.9")

    return put


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert reason(price()) == "genai-prices is not installed (pip install pytest-ftgate[prices])"
    for host in ("127.0.0.1:8000", "[::1]:8000", "vllm"):  # no table has these, which is said without loading it
        assert reason(price("m", f"http://{host}/v1")) == f"genai-prices does not know 'm' at {host}"


NO_TOKENS = "has no price of input and output tokens"
FREE = {"input_mtok": Decimal(0), "output_mtok": Decimal(0)}
EXTRAS = {"web_searches_kcount": Decimal(10), "input_audio_mtok": Decimal(32), "requests_kcount": None}


@pytest.mark.parametrize(
    ("answer", "model", "why"),
    [
        (ValueError("odd\ndata"), "gpt-4.1-mini", "genai-prices failed: ValueError: odd data"),
        (SimpleNamespace(price=1), "gpt-4.1-mini", "genai-prices failed: AttributeError: "),
        (listed(**FREE), "m", None),
        (listed(output_mtok=None), "m", NO_TOKENS),
        (listed(**EXTRAS), "m", None),  # of tools and of sound, which are left out
        (listed(output_reasoning_mtok=Decimal(9)), "m", "is not paid by tokens alone (output_reasoning_mtok)"),
        (listed(), "ft:m:org::1", "genai-prices does not know 'ft:m:org::1' at api.openai.com"),
    ],
    ids=["raises", "another shape", "free", "not listed", "extras", "reasoning", "a tuned one's base"],
)
def test_what_the_package_says_or_raises(stand_in: Any, answer: Any, model: str, why: str | None) -> None:
    stand_in(answer)
    found = price(model)
    assert found.known if why is None else why in reason(found)


def test_a_table_that_was_updated_tells_when(stand_in: Any) -> None:
    stand_in(listed())
    assert price("m").source == "genai-prices 9.9, updated 2026-11-20"
