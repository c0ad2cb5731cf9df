"""Keep the cost of all calls below a limit, by estimating each call before it is made."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Any

from pytest_ftgate.config.model_keys import OUTPUT_LIMITS
from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models.price import cost_of, price_cure, price_of, tokens_usd
from pytest_ftgate.models.protocol import Price
from pytest_ftgate.text import plural, show_usd

if TYPE_CHECKING:
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model

CHARACTERS_PER_TOKEN = 3
FIRST_OUTPUT_TOKENS = 1_000


@dataclass(slots=True)
class Habits:
    """Hold what one model has shown so far: most input tokens per character, longest answer, busy seconds."""

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
    """Return the estimated US dollars for a call; ``None`` if the price does not tell.

    A token is estimated at 3 characters at first, and then by the model's highest ratio of tokens to characters. An
    answer is estimated at the request's limit, or else at the longest so far, at first 1,000 tokens. A machine that is
    paid by the hour is estimated at its mean busy time so far, at first 0.
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
    """Return the amount exactly as its decimals read, so that rounding errors do not add up."""
    return Fraction(repr(float(amount)))


def most_output_tokens(params: Mapping[str, Any]) -> int | None:
    """Return the most tokens that a request with these parameters can be answered with; ``None``: any."""
    limits = [params.get(name) for name in OUTPUT_LIMITS]
    given = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0]
    choices = params.get("n")
    return max(given) * (choices if isinstance(choices, int) and choices > 1 else 1) if given else None


_OPTION = "--ftgate-max-cost"


@dataclass(frozen=True, slots=True)
class Call:
    """Describe the next call on behalf of an owner (see :meth:`Budget.close`).

    ``prompt_characters`` are those of all messages for each of its questions, ``max_output_tokens`` the request's limit
    (see :func:`most_output_tokens`).
    """

    model_id: str
    price: Price
    prompt_characters: Sequence[int]
    max_output_tokens: int | None
    owner: object = None


@dataclass(frozen=True, eq=False, slots=True)
class Reservation:
    """Hold the estimated cost of one question from before the call until it is settled."""

    call: Call
    usd: Fraction
    prompt_characters: int


@dataclass(frozen=True, eq=False, slots=True)
class _Turn:
    """Hold a waiter's place in the queue, in its own event loop."""

    owner: object
    loop: asyncio.AbstractEventLoop
    changed: asyncio.Event


class Budget:
    """Keep the money that is spent and in flight below a limit. All models and threads of a session share it.

    A call that does not fit beside those in flight waits in order until enough of them have ended: they may cost less
    than estimated, and show how long answers are. No call waits if nothing is in flight.

    Each of several workers, which are processes, has an equal part of the limit.
    """

    def __init__(self, limit_usd: float, workers: int = 1) -> None:
        self._limit = exact(limit_usd) / workers
        shared = f", of which each of {workers} workers may spend {show_usd(float(self._limit))}"
        self._name = f"{_OPTION} {limit_usd:g}" + (shared if workers > 1 else "")
        self._lock = Lock()
        self._spent = Fraction()
        self._unsure = Fraction()
        self._unsure_calls = 0
        self._open: dict[Reservation, None] = {}
        self._in_flight = Fraction()
        self._turns: deque[_Turn] = deque()
        self._habits: dict[str, Habits] = {}
        self._uncounted: dict[str, None] = {}

    @property
    def spent_usd(self) -> float:
        return float(self._spent)

    @property
    def unsure_usd(self) -> float:
        """Return the estimated US dollars for calls whose cost is unknown, such as one that broke off."""
        return float(self._unsure)

    @property
    def unsure_said(self) -> str:
        """Return the number of calls whose cost is unknown, as text; empty if there are none."""
        return f"{plural(self._unsure_calls, 'call')} whose cost is unknown" if self._unsure_calls else ""

    @property
    def in_flight_usd(self) -> float:
        """Return the estimated US dollars for the calls in flight."""
        return float(self._in_flight)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Return the names of models without a price that are not endpoints: their cost is not counted."""
        return tuple(self._uncounted)

    def covers(self, model: Model) -> bool:
        """Return whether each call of this model has to be reserved; to be called before its first one.

        Recorded predictions are free, and so is a function without a price: see :attr:`uncounted`.

        Raises:
            ModelError: fatal; the model is an endpoint without a known price.
        """
        price = price_of(model)
        if model.verified is not None:
            return False
        if price.known:
            return True
        if model.endpoint:
            raise self._unpriced(model.name, price)
        with self._lock:
            self._uncounted[model.name] = None
        return False

    async def reserve(self, call: Call) -> list[Reservation]:
        """Reserve the estimated cost of the next call, for each of its questions, and wait if that may help.

        Raises:
            ModelError: fatal; nothing is in flight and the call would exceed the limit, or its cost is unknown.
        """
        turn = _Turn(call.owner, asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._turns.append(turn)
        try:
            while True:
                turn.changed.clear()
                made = self._reserve(call, turn)
                if made is not None:
                    return made
                await turn.changed.wait()
        finally:
            with self._lock:
                if turn in self._turns:
                    self._turns.remove(turn)
                self._wake_first()

    def take(self, call: Call) -> list[Reservation] | None:
        """Reserve without waiting; return ``None`` if it would have to wait."""
        return self._reserve(call, None)

    def _reserve(self, call: Call, turn: _Turn | None) -> list[Reservation] | None:
        with self._lock:
            first = self._turns[0] if self._turns else None
            if first is not turn:
                return None
            habits = self._habits.setdefault(call.model_id, Habits())
            lengths = call.prompt_characters
            known = [estimate(call.price, habits, one, call.max_output_tokens) for one in lengths]
            amounts = [usd for usd in known if usd is not None]
            if len(amounts) < len(known):
                raise self._unpriced(call.model_id, call.price)
            if self._spent + self._unsure + self._in_flight + sum(amounts) > self._limit:
                if self._open:
                    return None
                raise self._passed(call, sum(amounts, Fraction()))
            made = [Reservation(call, usd, length) for usd, length in zip(amounts, lengths, strict=True)]
            self._open.update(dict.fromkeys(made))
            self._in_flight += sum(amounts)
            return made

    def settle(
        self,
        reservation: Reservation,
        actual_usd: float | None,
        *,
        completion: Completion | None = None,
        busy_s: float | None = None,
    ) -> None:
        """Record the cost of an answer, from which further estimates learn.

        If it is unknown, as for a call that broke off, the estimate counts: the provider may have billed it.
        """
        with self._lock:
            self._book(reservation, actual_usd)
            if completion is not None:
                self._habits[reservation.call.model_id].learn(reservation.prompt_characters, completion, busy_s)
            self._wake_first()

    def close(self, owner: object) -> None:
        """Settle all open reservations of this owner, which has ended, so that no one waits for them."""
        with self._lock:
            self._turns = deque(turn for turn in self._turns if turn.owner is not owner)
            for reservation in [one for one in self._open if one.call.owner is owner]:
                self._book(reservation, None)
            self._wake_first()

    def _book(self, reservation: Reservation, actual_usd: float | None) -> None:
        del self._open[reservation]
        self._in_flight -= reservation.usd
        if actual_usd is None:
            self._unsure += reservation.usd
            self._unsure_calls += 1
        else:
            self._spent += exact(actual_usd)

    def _wake_first(self) -> None:
        """Let the first waiter check again; it wakes the next one when it leaves."""
        while self._turns:
            first = self._turns[0]
            try:
                first.loop.call_soon_threadsafe(first.changed.set)
            except RuntimeError:  # its loop has closed
                self._turns.popleft()
            else:
                return

    def _passed(self, call: Call, usd: Fraction) -> ModelError:
        n = len(call.prompt_characters)
        of = f" of {n:,} questions" if n > 1 else ""
        spent = f"{show_usd(float(self._spent + self._unsure))} is spent"
        if self._unsure_calls:
            spent += f", {show_usd(float(self._unsure))} of it by the estimate of {self.unsure_said}"
        guessed = call.max_output_tokens is None and self._habits[call.model_id].output_tokens is None
        cure = "raise it and run again: stored answers are reused"
        if guessed and call.price.gpu_hour_usd is None:
            cure += (
                f"; or limit the answers, for example params: {{max_tokens: 100}}: the first answer of a model "
                f"without a limit is estimated at {FIRST_OUTPUT_TOKENS:,} tokens"
            )
        return ModelError(
            f"{self._name}: {spent}, the next call{of} is estimated at {show_usd(float(usd))}", fatal=True, cure=cure
        )

    def _unpriced(self, name: str, price: Price) -> ModelError:
        if price.known:
            why = f"{price.source} has no price above {price.most_input_tokens:,} input tokens, as in the next call"
        else:
            why = price.unknown or price.source
        return ModelError(
            f"{_OPTION} needs a price for {name}",
            fatal=True,
            where=Where(key="price"),
            evidence=why,
            cure=f"set {price_cure(price.lack)}",
        )


class Meter:
    """Reserve and settle one model's calls on a budget, in one run."""

    def __init__(self, budget: Budget, model: Model) -> None:
        self._budget = budget
        self._model = model
        self._price = price_of(model)
        self._most_output = most_output_tokens(model.params)
        self._closed = False

    async def reserve(self, examples: Sequence[Example]) -> list[Reservation]:
        """Reserve the estimated cost of answers to these examples: see :meth:`Budget.reserve`."""
        lengths = [self._model.characters(example) for example in examples]
        call = Call(self._model.name, self._price, lengths, self._most_output, self)
        return await self._budget.reserve(call)

    def settle(
        self, reservation: Reservation, found: Completion | ModelError | None, busy_s: float | None = None
    ) -> None:
        """Record the cost of a question; without an answer, the estimate, unless the call was certainly free.

        ``busy_s`` is the answer's share of the seconds in which the model was busy.
        """
        answer, usd = None, None
        if isinstance(found, ModelError):
            usd = 0.0 if found.unpaid else None
        elif found is not None:
            answer, usd = found, cost_of(found, self._price, busy_s)
        try:
            self._budget.settle(reservation, usd, completion=answer, busy_s=busy_s)
        except KeyError:
            if not self._closed:
                raise

    def close(self) -> None:
        """Settle what is still open: the run has ended."""
        self._closed = True
        self._budget.close(self)
