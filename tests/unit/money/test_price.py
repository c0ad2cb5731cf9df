"""What answers cost: every count and every price, and what is not known."""

from types import SimpleNamespace

import pytest

from pytest_ftgate.errors import ConfigError
from pytest_ftgate.models import Completion
from pytest_ftgate.models.price import Cost, cost_of, cost_of_run, price_of, written_price
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
        (answer(None), TOKENS, None),
        (answer(outputs=None), TOKENS, None),
        (answer(0, None), TOKENS, None),
        (answer(), Price(unknown="no"), None),
        (answer(), Price("", input_per_1m=2.0), None),
        (answer(), Price("", output_per_1m=2.0), None),
        (answer(10, cached_input_tokens=11), TOKENS, None),
        (answer(10, cached_input_tokens=6, cache_write_tokens=5), TOKENS, None),
        (answer(1001), Price("", 2.0, 8.0, most_input_tokens=1000), None),
        (answer(), MACHINE, None),
    ],
)
def test_an_answers_cost(completion, price, usd):
    assert cost_of(completion, price) == (None if usd is None else pytest.approx(usd, rel=1e-12, abs=0))


def test_an_hour_of_a_machine_is_spread_over_its_answers():
    assert cost_of(answer(None, None), MACHINE, 2.0) == pytest.approx(3.6 * 2 / 3600)
    run = [(answer(None, None), seconds) for seconds in (1.0, 2.0, 7.0)]
    assert cost_of_run(run, MACHINE) == Cost(0.01)
    unknown = cost_of_run([*run, (answer(), None)], MACHINE)
    assert unknown.usd is None
    assert "1 of 4" in str(unknown.unknown)
    # A price by tokens needs no time.
    assert cost_of_run([(answer(), None), (answer(2000), 5.0)], TOKENS) == Cost(round((3000 * 2 + 40 * 8) / 1e6, 12))


@pytest.mark.parametrize(
    ("answers", "price", "why"),
    [
        ([answer()], Price(unknown="nobody said"), "nobody said"),
        ([answer(), None], TOKENS, "1 of 2 answers are missing"),
        ([], TOKENS, "0 of 0 answers are missing"),
        ([answer(), answer(None)], TOKENS, "1 of 2 answers are missing, or have no usable token counts"),
        ([answer(3000)], Price("", 2.0, 8.0, most_input_tokens=2000), "2,000"),
    ],
)
def test_one_answer_without_a_cost_leaves_the_run_without(answers, price, why):
    cost = cost_of_run([(one, None) for one in answers], price)
    assert cost.usd is None
    assert why in str(cost.unknown)


@pytest.mark.parametrize(
    ("keys", "known", "source"),
    [
        (None, False, "unknown: no price in the gate"),
        ({}, False, "unknown: the price at ftgate.yaml:14 has no input_per_1m and output_per_1m"),
        ({"input_per_1m": 1}, False, "unknown: the price at ftgate.yaml:14 has no output_per_1m"),
        ({"output_per_1m": 0}, False, "unknown: the price at ftgate.yaml:14 has no input_per_1m"),
        ({"input_per_1m": 0, "output_per_1m": 0}, True, "ftgate.yaml:14"),
        ({"gpu_hour_usd": 0}, True, "ftgate.yaml:14"),
    ],
)
def test_a_price_as_written(keys, known, source):
    price = written_price(keys, "ftgate.yaml:14")
    assert (price.known, price.text) == (known, source)
    assert all(getattr(price, key) == value for key, value in (keys or {}).items())


def test_a_model_says_its_price_as_it_likes():
    assert costing(TOKENS) is TOKENS
    assert costing(None) == Price(unknown="no price in the gate")
    assert costing({"gpu_hour_usd": 2}) == Price("the model mine", gpu_hour_usd=2)
    assert costing({"input_per_1m": 2}).unknown == "the price at the model mine has no output_per_1m"


@pytest.mark.parametrize(
    "given",
    [
        2.0,
        {"input_per_1k": 1},
        {"cache_write_per_1m": 1},
        *({"input_per_1m": value} for value in ("1", True, -1, float("nan"), None)),
        {"gpu_hour_usd": 1, "input_per_1m": 1},
    ],
)
def test_what_is_no_price_is_an_error(given):
    with pytest.raises(ConfigError) as caught:
        costing(given)
    assert str(caught.value).splitlines()[0] == f"price: the price of the model mine is {given!r}"
