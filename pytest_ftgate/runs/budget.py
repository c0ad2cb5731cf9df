"""Keep the cost of all calls below a limit, by estimating each call before it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models.price import PRICE_CURE, cost_of, price_of, tokens_usd
from pytest_ftgate.models.protocol import output_limit
from pytest_ftgate.text import plural, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model
    from pytest_ftgate.models.protocol import Price

_OPTION = "--ftgate-max-cost"
_CHARACTERS_PER_TOKEN = 3
_FIRST_OUTPUT_TOKENS = 1_000
_POLL_S = 0.02
_ROUNDING_USD = 1e-9


class Reservation(NamedTuple):
    """Hold the estimated US dollars for one question from before the call until it is settled."""

    usd: float
    prompt_characters: int


@dataclass(slots=True)
class _Habits:
    """Hold what one model has shown so far: most input tokens per character, longest answer, busy seconds."""

    tokens_per_character: float | None = None
    output_tokens: int | None = None
    busy_s: float = 0.0
    answers: int = 0

    def learn(self, characters: int, completion: Completion, busy_s: float | None) -> None:
        if completion.input_tokens is not None and characters:
            self.tokens_per_character = max(completion.input_tokens / characters, self.tokens_per_character or 0.0)
        if completion.output_tokens is not None:
            self.output_tokens = max(completion.output_tokens, self.output_tokens or 0)
        if busy_s is not None:
            self.busy_s, self.answers = self.busy_s + busy_s, self.answers + 1


class Budget:
    """Keep the money that is spent and in flight below a limit. All models and threads of a session share it.

    Each of several workers, which are processes, has an equal part of the limit.

    Attributes:
        spent_usd: the cost of all answers.
        unsure_usd: the estimates of calls whose cost is unknown, such as one that broke off.
    """

    def __init__(self, limit_usd: float, workers: int = 1) -> None:
        self.limit_usd = limit_usd / workers
        shared = f", of which each of {workers} workers may spend {show_usd(self.limit_usd)}" if workers > 1 else ""
        self.name = f"{_OPTION} {limit_usd:g}{shared}"
        self.spent_usd = self.unsure_usd = self.in_flight_usd = 0.0
        self.in_flight = self._unsure_calls = 0
        self.lock = Lock()
        self.habits: dict[str, _Habits] = {}
        self._uncounted: dict[str, None] = {}

    @property
    def unsure_said(self) -> str:
        """Return the number of calls whose cost is unknown, as text; empty if there are none."""
        return f"{plural(self._unsure_calls, 'call')} whose cost is unknown" if self._unsure_calls else ""

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Return the names of models without a price that are not endpoints: their cost is not counted."""
        return tuple(self._uncounted)

    def meter(self, model: Model) -> Meter | None:
        """Return what counts a model's calls in one run; None for recordings, and for a function without a price.

        Raises:
            ModelError: fatal; the model is an endpoint without a known price.
        """
        price = price_of(model)
        if model.verified is not None:
            return None
        if price.known:
            return Meter(self, model, price)
        if model.endpoint:
            raise _unpriced(model.name, price)
        self._uncounted[model.name] = None
        return None

    def book(self, reservation: Reservation, actual_usd: float | None) -> None:
        """Replace a reservation by the cost, or by itself where that is unknown: it may have been billed."""
        self.in_flight -= 1
        self.in_flight_usd -= reservation.usd
        if actual_usd is None:
            self.unsure_usd += reservation.usd
            self._unsure_calls += 1
        else:
            self.spent_usd += actual_usd


class Meter:
    """Reserve and settle one model's calls on a budget, in one run.

    A token is estimated at 3 characters at first, and then by the model's highest ratio of tokens to characters. An
    answer is estimated at the request's limit, or else at the longest so far, at first 1,000 tokens. A machine that is
    paid by the hour is estimated at its mean busy time so far, at first 0.
    """

    def __init__(self, budget: Budget, model: Model, price: Price) -> None:
        self._budget = budget
        self._model = model
        self._price = price
        self._habits = budget.habits.setdefault(model.name, _Habits())
        self._most_output = output_limit(model)
        self._open: dict[int, Reservation] = {}

    async def reserve(self, examples: Sequence[Example]) -> list[Reservation]:
        """Reserve the estimated cost of one call for these examples, and wait for calls in flight if that may help.

        Raises:
            ModelError: fatal; nothing is in flight and the call would exceed the limit, or its cost is unknown.
        """
        lengths = [self._model.characters(example) for example in examples]
        while (made := self._take(lengths)) is None:
            await asyncio.sleep(_POLL_S)
        return made

    def settle(
        self, reservation: Reservation, found: Completion | ModelError | None, busy_s: float | None = None
    ) -> None:
        """Record the cost of a question; without an answer, the estimate, unless the call was certainly free.

        ``busy_s`` is the answer's share of the seconds in which the model was busy.
        """
        with self._budget.lock:
            if self._open.pop(id(reservation), None) is None:  # the run has ended
                return
            if found is None or isinstance(found, ModelError):
                self._budget.book(reservation, 0.0 if found is not None and found.unpaid else None)
                return
            self._budget.book(reservation, cost_of(found, self._price, busy_s))
            self._habits.learn(reservation.prompt_characters, found, busy_s)

    def close(self) -> None:
        """Settle what is still open: the run has ended."""
        with self._budget.lock:
            for reservation in self._open.values():
                self._budget.book(reservation, None)
            self._open.clear()

    def _take(self, lengths: Sequence[int]) -> list[Reservation] | None:
        """Return the reservations, or None if the call has to wait for others."""
        budget = self._budget
        with budget.lock:
            made = [Reservation(self._estimate(characters), characters) for characters in lengths]
            usd = sum(one.usd for one in made)
            if budget.spent_usd + budget.unsure_usd + budget.in_flight_usd + usd > budget.limit_usd + _ROUNDING_USD:
                if budget.in_flight:
                    return None
                raise self._passed(len(made), usd)
            budget.in_flight += len(made)
            budget.in_flight_usd += usd
            self._open.update((id(one), one) for one in made)
            return made

    def _estimate(self, characters: int) -> float:
        price, habits = self._price, self._habits
        if price.gpu_hour_usd is not None:
            return price.gpu_hour_usd * habits.busy_s / max(1, habits.answers) / 3600
        ratio = 1 / _CHARACTERS_PER_TOKEN if habits.tokens_per_character is None else habits.tokens_per_character
        outputs = _FIRST_OUTPUT_TOKENS if habits.output_tokens is None else habits.output_tokens
        dearest = max(price.input_per_1m or 0.0, price.cache_write_per_1m or 0.0, price.cached_input_per_1m or 0.0)
        most = outputs if self._most_output is None else self._most_output
        usd = tokens_usd(replace(price, input_per_1m=dearest), ceil(characters * ratio), most)
        if usd is None:
            raise _unpriced(self._model.name, price)
        return usd

    def _passed(self, n: int, usd: float) -> ModelError:
        budget, of = self._budget, f" of {n:,} questions" if n > 1 else ""
        spent = f"{show_usd(budget.spent_usd + budget.unsure_usd)} is spent"
        if budget.unsure_said:
            spent += f", {show_usd(budget.unsure_usd)} of it by the estimate of {budget.unsure_said}"
        cure = "raise it and run again: stored answers are reused"
        if self._most_output is None and self._habits.output_tokens is None and self._price.gpu_hour_usd is None:
            cure += (
                "; or limit the answers, for example params: {max_tokens: 100}: the first answer of a model without a "
                f"limit is estimated at {_FIRST_OUTPUT_TOKENS:,} tokens"
            )
        return ModelError(
            f"{budget.name}: {spent}, the next call{of} is estimated at {show_usd(usd)}", fatal=True, cure=cure
        )


def _unpriced(name: str, price: Price) -> ModelError:
    if price.known:
        why = f"{price.source} has no price above {price.most_input_tokens:,} input tokens, as in the next call"
    else:
        why = price.unknown or price.source
    return ModelError(
        f"{_OPTION} needs a price for {name}",
        fatal=True,
        where=Where(key="price"),
        evidence=why,
        cure=f"set {PRICE_CURE}",
    )
