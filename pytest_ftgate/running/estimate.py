"""What the next call of a model may cost, by its length and by what the model has shown so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from pytest_ftgate.money.price import Price, tokens_usd

if TYPE_CHECKING:
    from pytest_ftgate.models import Completion

CHARACTERS_PER_TOKEN = 3
FIRST_OUTPUT_TOKENS = 1_000


@dataclass(slots=True)
class Habits:
    """What one model has shown so far: most input tokens for a character, longest answer, seconds of its machine."""

    tokens_per_character: Fraction | None = None
    output_tokens: int | None = None
    busy_s: float = 0.0
    answers: int = 0

    def learn(self, characters: int, completion: Completion, busy_s: float | None) -> None:
        if completion.input_tokens is not None and characters:
            seen = Fraction(completion.input_tokens, characters)
            self.tokens_per_character = max(seen, self.tokens_per_character or seen)
        if completion.output_tokens is not None:
            self.output_tokens = max(completion.output_tokens, self.output_tokens or 0)
        if busy_s is not None:
            self.busy_s += busy_s
            self.answers += 1


def estimate(price: Price, habits: Habits, characters: int, max_output_tokens: int | None) -> Fraction | None:
    """US dollars that a call may cost; ``None`` where the price does not tell.

    A token is taken for 3 characters until the model has shown how many tokens it makes of them, then for as many
    as it has made at most. An answer is taken to be as long as the request allows, else as the longest so far, at
    first 1,000 tokens. The hour of a machine is taken to be spent as it was so far, at first not at all.
    """
    if price.gpu_hour_usd is not None:
        mean_s = habits.busy_s / habits.answers if habits.answers else 0.0
        return exact(price.gpu_hour_usd) * exact(mean_s) / 3600
    ratio = habits.tokens_per_character
    inputs = ceil(characters * (Fraction(1, CHARACTERS_PER_TOKEN) if ratio is None else ratio))
    outputs = max_output_tokens
    if outputs is None:
        outputs = FIRST_OUTPUT_TOKENS if habits.output_tokens is None else habits.output_tokens
    dearest = max(price.input_per_1m or 0.0, price.cache_write_per_1m or 0.0, price.cached_input_per_1m or 0.0)
    usd = tokens_usd(replace(price, input_per_1m=dearest), inputs, outputs) if price.known else None
    return None if usd is None else exact(usd)


def exact(amount: float) -> Fraction:
    """The amount as its decimals read, so that no rounding adds up."""
    return Fraction(repr(float(amount)))


def most_output_tokens(params: Mapping[str, Any]) -> int | None:
    """How many tokens a request with these parameters may be answered with, in all of its choices; ``None``: any."""
    limits = [params.get(name) for name in ("max_completion_tokens", "max_tokens")]
    given = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0]
    choices = params.get("n")
    return max(given) * (choices if isinstance(choices, int) and choices > 1 else 1) if given else None
