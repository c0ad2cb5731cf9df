"""Which way a key asks for less is said in its type, and found by the key's path."""

from __future__ import annotations

import pytest

from pytest_ftgate.config.gate_keys import GateKeys, comparison_of
from pytest_ftgate.config.weaker import Weaker, comparable, words


@pytest.mark.parametrize(
    ("key", "direction"),
    [
        ("margin", "lower"),
        ("thresholds.a.metric.max", "higher"),
        ("guards.a.guard.with.dots.max_drop", "higher"),
        ("metric", None),
        ("checks.goal", None),
        ("economics.calls_per_month", "higher"),
        ("no.such.key", None),
    ],
)
def test_a_key_says_in_which_direction_it_asks_for_less(key: str, direction: str | None) -> None:
    found = comparison_of(key)
    assert (found and found.direction) == direction


def test_a_key_that_is_not_written_asks_for_nothing_unless_it_says_otherwise() -> None:
    minimum, limit, reason = Weaker("lower"), Weaker("lower", unwritten="all rows"), Weaker(None, unwritten="none")
    removed, added = (5, None), (None, 5)
    assert [one.asks_less(*removed) for one in (minimum, limit, reason)] == [True, False, False]
    assert [one.asks_less(*added) for one in (minimum, limit, reason)] == [False, True, True]
    assert [one.asks_less(5, 4) for one in (minimum, limit, reason)] == [True, True, False]
    assert not any(one.asks_less(None, None) for one in (minimum, limit, reason))


def test_a_word_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        words("weak", "strong").asks_less("weak", "guessed")


def test_every_key_of_a_gate_says_how_it_compares_or_is_known_not_to() -> None:
    """A new key is put here only where two of its values cannot be compared, or it is compared by its parts."""
    data = {"name", "test_set", "training_set"}
    models = {"baseline", "baselines", "candidate"}
    by_parts = {"metric", "thresholds", "economics", "checks", "guards", "slices"}
    others = {"timeout_s", "hypothesis", "goal"}
    assert set(GateKeys.model_fields) - set(comparable(GateKeys)) == data | models | by_parts | others
