"""What answers cost: every count and every price, and what is not known; prices from ``genai-prices`` as well."""

import socket
import sys
from decimal import Decimal
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.price import (
    Cost,
    cost_of,
    cost_of_run,
    price_of,
    table_price,
    written_price,
)
from pytest_ftgate.models.protocol import Price

TOKENS = Price("gate", input_per_1m=2.0, output_per_1m=8.0, cached_input_per_1m=0.5)
MACHINE = Price("gate", gpu_hour_usd=3.6)


def answer(inputs=1000, outputs=20, **counts):
    return Completion("x", input_tokens=inputs, output_tokens=outputs, **counts)


def costing(price):
    return price_of(SimpleNamespace(name="mine", price=price))


@pytest.mark.parametrize(
    ("completion", "price", "usd"),
    [
        (answer(), TOKENS, (1000 * 2 + 20 * 8) / 1e6),
        (answer(cached_input_tokens=600), TOKENS, (400 * 2 + 600 * 0.5 + 20 * 8) / 1e6),
        (answer(cached_input_tokens=600), Price("", 2.0, 8.0), (1000 * 2 + 20 * 8) / 1e6),
        (answer(cached_input_tokens=600), Price("", 2.0, 8.0, 0.0), (400 * 2 + 20 * 8) / 1e6),
        (
            answer(cached_input_tokens=600, cache_write_tokens=300),
            Price("", 2.0, 8.0, 0.5, cache_write_per_1m=2.5),
            (100 * 2 + 600 * 0.5 + 300 * 2.5 + 20 * 8) / 1e6,
        ),
        (answer(cache_write_tokens=300), TOKENS, (1000 * 2 + 20 * 8) / 1e6),
        (answer(0, 0), TOKENS, 0.0),
        (answer(), Price("", 0.0, 0.0), 0.0),
        (answer(1000), Price("", 2.0, 8.0, most_input_tokens=1000), (1000 * 2 + 20 * 8) / 1e6),
        # What is not known is never zero.
        *(
            (answer(inputs, outputs), TOKENS, None)
            for inputs, outputs in ((None, 20), (1000, None), (0, None))
        ),
        *(
            (answer(), price, None)
            for price in (Price(unknown="no"), Price("", 2.0), Price("", None, 2.0), MACHINE)
        ),
        (answer(10, cached_input_tokens=11), TOKENS, None),
        (answer(10, cached_input_tokens=6, cache_write_tokens=5), TOKENS, None),
        (answer(1001), Price("", 2.0, 8.0, most_input_tokens=1000), None),
    ],
)
def test_an_answers_cost(completion, price, usd):
    assert cost_of(completion, price) == (
        None if usd is None else pytest.approx(usd, rel=1e-12, abs=0)
    )


def test_an_hour_of_a_machine_is_spread_over_its_answers():
    assert cost_of(answer(None, None), MACHINE, 2.0) == pytest.approx(3.6 * 2 / 3600)
    run = [(answer(None, None), seconds) for seconds in (1.0, 2.0, 7.0)]
    assert cost_of_run(run, MACHINE) == Cost(0.01)
    unknown = cost_of_run([*run, (answer(), None)], MACHINE)
    assert unknown.usd is None
    assert "1 of 4" in str(unknown.unknown)
    # A price by tokens needs no time.
    assert cost_of_run([(answer(), None), (answer(2000), 5.0)], TOKENS) == Cost(
        round((3000 * 2 + 40 * 8) / 1e6, 12)
    )


@pytest.mark.parametrize(
    ("answers", "price", "reason"),
    [
        ([answer()], Price(unknown="nobody said"), "nobody said"),
        ([answer(), None], TOKENS, "1 of 2 answers are missing"),
        ([], TOKENS, "0 of 0 answers are missing"),
        (
            [answer(), answer(None)],
            TOKENS,
            "1 of 2 answers are missing, or have no usable token counts",
        ),
        ([answer(3000)], Price("", 2.0, 8.0, most_input_tokens=2000), "1 of 1 answers"),
    ],
)
def test_one_answer_without_a_cost_leaves_the_run_without(answers, price, reason):
    cost = cost_of_run([(answer, None) for answer in answers], price)
    assert cost.usd is None
    assert reason in str(cost.unknown)


@pytest.mark.parametrize(
    ("keys", "is_known", "source"),
    [
        (None, False, "unknown: no price in the gate"),
        ({}, False, "unknown: the price at ftgate.yaml:14 has no input_per_1m and output_per_1m"),
        ({"input_per_1m": 1}, False, "unknown: the price at ftgate.yaml:14 has no output_per_1m"),
        ({"output_per_1m": 0}, False, "unknown: the price at ftgate.yaml:14 has no input_per_1m"),
        ({"input_per_1m": 0, "output_per_1m": 0}, True, "ftgate.yaml:14"),
        ({"gpu_hour_usd": 0}, True, "ftgate.yaml:14"),
    ],
)
def test_a_price_as_written(keys, is_known, source):
    price = written_price(keys, "ftgate.yaml:14")
    assert (price.known, price.text) == (is_known, source)
    assert all(getattr(price, key) == value for key, value in (keys or {}).items())


def test_a_model_says_its_price_as_it_likes():
    assert costing(TOKENS) is TOKENS
    assert costing(None) == Price(unknown="no price in the gate")
    assert costing({"gpu_hour_usd": 2}) == Price("the model mine", gpu_hour_usd=2)
    assert (
        costing({"input_per_1m": 2}).unknown == "the price at the model mine has no output_per_1m"
    )


@pytest.mark.parametrize(
    "keys",
    [
        2.0,
        {"input_per_1k": 1},
        {"cache_write_per_1m": 1},
        *({"input_per_1m": value} for value in ("1", True, -1, float("nan"), None)),
        {"gpu_hour_usd": 1, "input_per_1m": 1},
    ],
)
def test_what_is_no_price_is_an_error(keys):
    with pytest.raises(ConfigError) as caught:
        costing(keys)
    assert str(caught.value.where).startswith("price")
    assert "the model mine" in caught.value.what


# --- the table, where it is installed -------------------------------------------------------------------------

OPENAI = "https://api.openai.com/v1"


def listed_price(model="gpt-4.1-mini", base_url=OPENAI, **params):
    return table_price(model, base_url, params)


def reason(price):
    """Why it is not known, after seeing that it is not."""
    assert not price.known
    assert price.input_per_1m is None
    assert (price.unknown or "").startswith("no price in the gate, and ")
    return price.unknown.removeprefix("no price in the gate, and ")


@pytest.fixture
def table():
    return pytest.importorskip(
        "genai_prices", reason="genai-prices is not installed: pip install .[prices]"
    )


def test_it_agrees_with_the_package_itself_and_fetches_nothing(table, monkeypatch):
    monkeypatch.setattr(
        socket.socket, "connect", Mock(side_effect=AssertionError("a connection was opened"))
    )
    for model in ("gpt-4.1-mini", "gpt-4o", "o3", "gpt-5"):
        usage = table.Usage(input_tokens=10_000, output_tokens=700, cache_read_tokens=4_000)
        theirs = table.calc_price(usage, model, provider_id="openai").total_price
        price = listed_price(model)
        ours = (
            6_000 * price.input_per_1m
            + 4_000 * price.cached_input_per_1m
            + 700 * price.output_per_1m
        ) / 1e6
        assert ours == pytest.approx(float(theirs)), model


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("model", "base_url", "why"),
    [
        ("no-such-model", OPENAI, "does not know 'no-such-model' at api.openai.com"),
        ("ft:gpt-4.1-mini-2025-04-14:org::abc", OPENAI, "::abc' at api.openai.com"),
        ("ft:no-such-model:org::abc", OPENAI, "::abc' at api.openai.com"),
        ("sonar", "https://api.perplexity.ai", "is not paid by tokens alone (requests_kcount)"),
        ("text-embedding-3-small", OPENAI, "has no price of input and output tokens"),
    ],
)
def test_what_the_table_does_not_know_or_has_in_more_than_two_numbers(model, base_url, why):
    assert reason(listed_price(model, base_url)).endswith(why)


@pytest.mark.usefixtures("table")
def test_a_fine_tuned_model_a_step_and_a_service_tier():
    tuned, base, step = (
        listed_price("ft:gpt-4o-mini-2024-07-18:org::abc"),
        listed_price("gpt-4o-mini"),
        listed_price("gpt-5.4"),
    )
    assert all(price.known for price in (tuned, step, listed_price(service_tier="default")))
    assert tuned.input_per_1m > base.input_per_1m
    assert 100_000 < step.most_input_tokens < 1_000_000  # it is known below the step
    assert reason(listed_price(service_tier="flex")).endswith(
        "has another price with params.service_tier"
    )


# --- stand-ins -----------------------------------------------------------------------------------------------


def listed(**prices):
    """Return what calc_price gives for a model of OpenAI's."""
    return SimpleNamespace(
        model=SimpleNamespace(id="m", prices=SimpleNamespace()),
        provider=SimpleNamespace(id="openai", api_pattern=r"https://api\.openai\.com"),
        model_price=SimpleNamespace(
            **{"input_mtok": Decimal(2), "output_mtok": Decimal(8), **prices}
        ),
    )


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert reason(listed_price()) == "genai-prices is not installed (pip install genai-prices)"
    # no table has these, which is said without loading it
    for host in ("127.0.0.1:8000", "[::1]:8000", "vllm"):
        assert (
            reason(listed_price("m", f"http://{host}/v1"))
            == f"genai-prices does not know 'm' at {host}"
        )


@pytest.mark.parametrize(
    ("answer", "model", "why"),
    [
        (ValueError("odd\ndata"), "gpt-4.1-mini", "genai-prices failed: ValueError: odd data"),
        (SimpleNamespace(price=1), "gpt-4.1-mini", "genai-prices failed: AttributeError: "),
        (listed(input_mtok=Decimal(0), output_mtok=Decimal(0)), "m", None),
        (listed(output_mtok=None), "m", "has no price of input and output tokens"),
        (
            listed(
                web_searches_kcount=Decimal(10), input_audio_mtok=Decimal(32), requests_kcount=None
            ),
            "m",
            None,
        ),
        (listed(requests_kcount=Decimal(0)), "m", None),
        (
            listed(output_reasoning_mtok=Decimal(9)),
            "m",
            "is not paid by tokens alone (output_reasoning_mtok)",
        ),
        (listed(), "ft:m:org::1", "genai-prices does not know 'ft:m:org::1' at api.openai.com"),
    ],
    ids=[
        "raises",
        "another shape",
        "free",
        "not listed",
        "of tools and sound",
        "free of charge",
        "reasoning",
        "a tuned one's base",
    ],
)
def test_what_the_package_says_or_raises(monkeypatch, answer, model, why):
    module = SimpleNamespace(Usage=lambda **counts: counts, calc_price=Mock(side_effect=[answer]))
    monkeypatch.setitem(sys.modules, "genai_prices", module)
    monkeypatch.setattr("pytest_ftgate.models.price.version", lambda _: "9.9")
    price = listed_price(model)
    assert price.source == "genai-prices 9.9" if why is None else why in reason(price)
