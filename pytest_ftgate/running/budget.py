"""What a session may spend: the money that is gone, the calls in flight, and an estimate of the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.money.price import UNKNOWN, Price, price_cure, price_of, tokens_usd
from pytest_ftgate.numbers import show_usd

if TYPE_CHECKING:
    from pytest_ftgate.models import Completion, Model

CHARACTERS_PER_TOKEN = 3
FIRST_OUTPUT_TOKENS = 1_000
_OPTION = "--ftgate-max-cost"


@dataclass(frozen=True, eq=False, slots=True)
class Reservation:
    """What one call may cost, from before it is made until it is settled.

    Args:
        model_id: whose call it is.
        usd: the estimate in US dollars.
        prompt_characters: how long its prompt is.
    """

    model_id: str
    usd: Fraction
    prompt_characters: int


@dataclass(slots=True)
class _Habits:
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


class Budget:
    """Keeps what is spent and what is in flight below a limit. All models of a session share one; threads may.

    Money is counted in fractions, as its decimals read, so that no rounding adds up.

    Args:
        limit_usd: US dollars that may be spent.
        workers: how many processes share it evenly, each with a budget of its own.
    """

    def __init__(self, limit_usd: float, workers: int = 1) -> None:
        self._limit = _exact(limit_usd) / workers
        shared = f", of which each of {workers} workers may spend {show_usd(float(self._limit))}"
        self._name = f"{_OPTION} {limit_usd:g}" + (shared if workers > 1 else "")
        self._lock = Lock()
        self._spent = Fraction()
        self._open: dict[Reservation, None] = {}
        self._in_flight = Fraction()
        self._habits: dict[str, _Habits] = {}
        self._uncounted: dict[str, None] = {}

    @property
    def spent_usd(self) -> float:
        """US dollars that are gone: what calls have cost, or were estimated at where that is not known."""
        return float(self._spent)

    @property
    def in_flight_usd(self) -> float:
        """US dollars that the calls under way are estimated at."""
        return float(self._in_flight)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """The names of models without a price that are no endpoints: what they spend, if anything, is not counted."""
        return tuple(self._uncounted)

    def covers(self, model: Model) -> bool:
        """Whether each call of this model has to be reserved; to be asked before its first one.

        Recorded predictions cost nothing, and a function without a price is taken to: see :attr:`uncounted`.

        Raises:
            ModelError: fatal; the model is an endpoint, and nobody knows its price.
        """
        price = price_of(model)
        if model.verified is not None:
            return False
        if price.known:
            return True
        if getattr(model, "endpoint", False):
            raise self._unpriced(model.name, price)
        with self._lock:
            self._uncounted[model.name] = None
        return False

    def reserve(
        self, model_id: str, price: Price, prompt_characters: int, max_output_tokens: int | None
    ) -> Reservation:
        """Set aside what the next call may cost.

        A token is taken for 3 characters until the model has shown how many tokens it makes of them, then for as many
        as it has made at most. An answer is taken to be as long as the request allows, else as the longest so far, at
        first 1,000 tokens. The hour of a machine is taken to be spent as it was so far, at first not at all.

        Args:
            model_id: whose call it is: what a model shows is held to be its own.
            price: of the model.
            prompt_characters: of all messages.
            max_output_tokens: what the request allows, see :func:`most_output_tokens`; ``None``: anything.

        Raises:
            ModelError: fatal; spent, in flight and this call would pass the limit, or nobody knows what it costs.
        """
        with self._lock:
            habits = self._habits.setdefault(model_id, _Habits())
            usd = _estimate(price, habits, prompt_characters, max_output_tokens)
            if usd is None:
                raise self._unpriced(model_id, price)
            if self._spent + self._in_flight + usd > self._limit:
                raise self._passed(usd)
            made = Reservation(model_id, usd, prompt_characters)
            self._open[made] = None
            self._in_flight += usd
            return made

    def settle(
        self,
        reservation: Reservation,
        actual_usd: float | None,
        *,
        completion: Completion | None = None,
        busy_s: float | None = None,
    ) -> None:
        """Book what a call has cost.

        Args:
            reservation: of this call; settled once.
            actual_usd: US dollars; ``None`` where nobody knows, as of a call that failed: it counts with its estimate,
                since the provider may have billed it.
            completion: the answer, from which further estimates learn.
            busy_s: its share of the seconds in which the model was busy.
        """
        with self._lock:
            del self._open[reservation]
            self._in_flight -= reservation.usd
            self._spent += reservation.usd if actual_usd is None else _exact(actual_usd)
            if completion is not None:
                self._habits[reservation.model_id].learn(reservation.prompt_characters, completion, busy_s)

    def _passed(self, usd: Fraction) -> ModelError:
        spoken_for = show_usd(float(self._spent + self._in_flight))
        return ModelError(
            f"{self._name}: {spoken_for} is spent or in flight, the next call is estimated at {show_usd(float(usd))}",
            fatal=True,
            cure="raise it and run again: what has arrived is kept (unless --ftgate-cache=off)",
        )

    def _unpriced(self, name: str, price: Price) -> ModelError:
        if price.known:
            why = f"the next call has more input than the {price.most_input_tokens:,} tokens that {price.source} is for"
        else:
            why = price.source.removeprefix(UNKNOWN)
        return ModelError(
            f"the price of {name} is unknown, so {_OPTION} cannot be kept",
            fatal=True,
            where=Where(key="price"),
            evidence=why,
            cure=f"give it a {price_cure(why)}",
        )


def _estimate(price: Price, habits: _Habits, characters: int, max_output_tokens: int | None) -> Fraction | None:
    """US dollars that a call may cost; ``None`` where the price does not tell."""
    if price.gpu_hour_usd is not None:
        mean_s = habits.busy_s / habits.answers if habits.answers else 0.0
        return _exact(price.gpu_hour_usd) * _exact(mean_s) / 3600
    ratio = habits.tokens_per_character
    inputs = ceil(characters * (Fraction(1, CHARACTERS_PER_TOKEN) if ratio is None else ratio))
    outputs = max_output_tokens
    if outputs is None:
        outputs = FIRST_OUTPUT_TOKENS if habits.output_tokens is None else habits.output_tokens
    dearest = max(price.input_per_1m or 0.0, price.cache_write_per_1m or 0.0, price.cached_input_per_1m or 0.0)
    usd = tokens_usd(replace(price, input_per_1m=dearest), inputs, outputs) if price.known else None
    return None if usd is None else _exact(usd)


def _exact(amount: float) -> Fraction:
    return Fraction(repr(float(amount)))


def most_output_tokens(params: Mapping[str, Any]) -> int | None:
    """How many tokens a request with these parameters may be answered with, in all of its choices; ``None``: any."""
    limits = [params.get(name) for name in ("max_completion_tokens", "max_tokens")]
    given = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0]
    choices = params.get("n")
    return max(given) * (choices if isinstance(choices, int) and choices > 1 else 1) if given else None
