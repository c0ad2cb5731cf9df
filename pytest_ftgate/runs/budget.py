"""Keep the cost of all calls below a limit, by estimating each call before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from threading import Lock

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models import Completion, Model
from pytest_ftgate.models.price import PRICE_CURE, cost_of, price_of, tokens_usd
from pytest_ftgate.models.protocol import Price, output_limit
from pytest_ftgate.text import plural, show_usd

_OPTION = "--ftgate-max-cost"
_CHARACTERS_PER_TOKEN = 3
_FIRST_OUTPUT_TOKENS = 1_000
_POLL_S = 0.02
_ROUNDING_USD = 1e-9


@dataclass(eq=False)
class Reservation:
    """Hold the estimate of each question of one call, in US dollars, until the call is settled."""

    usd: Sequence[float]
    characters: Sequence[int]  # of each prompt


@dataclass(slots=True)
class _Habits:
    """Hold what one model has shown so far: most input tokens per character, longest answer, busy seconds."""

    tokens_per_character: float | None = None
    output_tokens: int | None = None
    busy_s: float = 0.0
    answers: int = 0


class Budget:
    """Keep the money that is spent and in flight below a limit. All models and threads of a session share it.

    Each of several workers, which are processes, has an equal part of the limit.

    Attributes:
        spent_usd: the cost of all answers.
        unsure_usd: the estimates of calls whose cost is unknown, such as one that broke off.
        uncounted: the models without a price that are not endpoints: their cost is not counted.
    """

    def __init__(self, limit_usd: float, workers: int = 1) -> None:
        self.limit_usd = limit_usd / workers
        shared = f", of which each of {workers} workers may spend {show_usd(self.limit_usd)}" if workers > 1 else ""
        self.name = f"{_OPTION} {limit_usd:g}{shared}"
        self.spent_usd = self.unsure_usd = self.in_flight_usd = 0.0
        self.in_flight = self.unsure_calls = 0
        self.lock = Lock()
        self.habits: dict[str, _Habits] = {}
        self.uncounted: list[str] = []

    @property
    def unsure_said(self) -> str:
        """Return the number of calls whose cost is unknown, as text; empty if there are none."""
        return f"{plural(self.unsure_calls, 'call')} whose cost is unknown" if self.unsure_calls else ""

    def meter(self, model: Model) -> "Meter | None":
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
        self.uncounted += [] if model.name in self.uncounted else [model.name]
        return None


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
        self._open: set[Reservation] = set()

    async def reserve(self, examples: Sequence[Example]) -> Reservation:
        """Reserve the estimated cost of one call for these examples, and wait for calls in flight if that may help.

        Raises:
            ModelError: fatal; nothing is in flight and the call would exceed the limit, or its cost is unknown.
        """
        lengths = [self._model.characters(example) for example in examples]
        import asyncio

        while (made := self._take(lengths)) is None:
            await asyncio.sleep(_POLL_S)
        return made

    def settle(
        self,
        reservation: Reservation,
        found: Sequence[Completion | ModelError | None],
        busy_s: float | None = None,
    ) -> None:
        """Record the cost of each question of a call; without an answer, the estimate, unless it was certainly free.

        ``busy_s`` is an answer's share of the seconds in which the model was busy.
        """
        budget, habits = self._budget, self._habits
        with budget.lock:
            if reservation not in self._open:  # the run has ended
                return
            self._open.remove(reservation)
            for usd, characters, one in zip(reservation.usd, reservation.characters, found, strict=True):
                budget.in_flight -= 1
                budget.in_flight_usd -= usd
                cost = (0.0 if one.unpaid else None) if isinstance(one, ModelError) else None
                if one is not None and not isinstance(one, ModelError):
                    cost = cost_of(one, self._price, busy_s)
                    if one.input_tokens is not None and characters:
                        ratio = one.input_tokens / characters
                        habits.tokens_per_character = max(ratio, habits.tokens_per_character or 0.0)
                    if one.output_tokens is not None:
                        habits.output_tokens = max(one.output_tokens, habits.output_tokens or 0)
                    if busy_s is not None:
                        habits.busy_s, habits.answers = habits.busy_s + busy_s, habits.answers + 1
                if cost is None:  # it may have been billed
                    budget.unsure_usd += usd
                    budget.unsure_calls += 1
                else:
                    budget.spent_usd += cost

    def close(self) -> None:
        """Settle what is still open: the run has ended."""
        for reservation in [*self._open]:
            self.settle(reservation, [None] * len(reservation.usd))

    def _take(self, lengths: Sequence[int]) -> Reservation | None:
        """Return the reservation, or None if the call has to wait for others."""
        budget = self._budget
        with budget.lock:
            made = Reservation([self._estimate(characters) for characters in lengths], lengths)
            usd = sum(made.usd)
            if budget.spent_usd + budget.unsure_usd + budget.in_flight_usd + usd > budget.limit_usd + _ROUNDING_USD:
                if budget.in_flight:
                    return None
                raise self._passed(len(lengths), usd)
            budget.in_flight += len(lengths)
            budget.in_flight_usd += usd
            self._open.add(made)
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
