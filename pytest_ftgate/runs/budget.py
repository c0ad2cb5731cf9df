"""What the next call of a model may cost, by its length and by what the model has shown so far."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Any

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
    """Return the US dollars that a call may cost; ``None`` where the price does not tell.

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
    """Return the amount as its decimals read, so that no rounding adds up."""
    return Fraction(repr(float(amount)))


def most_output_tokens(params: Mapping[str, Any]) -> int | None:
    """How many tokens a request with these parameters may be answered with, in all of its choices; ``None``: any."""
    limits = [params.get(name) for name in ("max_completion_tokens", "max_tokens")]
    given = [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0]
    choices = params.get("n")
    return max(given) * (choices if isinstance(choices, int) and choices > 1 else 1) if given else None


_OPTION = "--ftgate-max-cost"


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be sent next.

    Args:
        prompt_characters: of all messages, for each of its questions.
        max_output_tokens: what the request allows, see :func:`most_output_tokens`; ``None``: anything.
        owner: on whose behalf, for :meth:`Budget.close`.
    """

    model_id: str
    price: Price
    prompt_characters: Sequence[int]
    max_output_tokens: int | None
    owner: object = None


@dataclass(frozen=True, eq=False, slots=True)
class Reservation:
    """What the answer to one question may cost, by estimate, from before it is asked until it is settled."""

    call: Call
    usd: Fraction
    prompt_characters: int


@dataclass(frozen=True, eq=False, slots=True)
class _Turn:
    """The place in the queue of one who waits, in an event loop of his own."""

    owner: object
    loop: asyncio.AbstractEventLoop
    changed: asyncio.Event


class Budget:
    """Keeps what is spent and what is in flight below a limit. All models of a session share one; threads may.

    What does not fit beside the calls in flight waits until enough of them have ended, in the order of coming: they may
    cost less than their estimate, and show how long answers are. Nobody waits where nothing is in flight.

    Args:
        limit_usd: US dollars that may be spent.
        workers: how many processes share it evenly, each with a budget of its own.
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
        """Return the US dollars that answers have cost."""
        return float(self._spent)

    @property
    def unsure_usd(self) -> float:
        """US dollars that calls are estimated at of which nobody knows what they cost, as of one that broke off."""
        return float(self._unsure)

    @property
    def unsure_said(self) -> str:
        """Return how many these are, in words; empty where there are none."""
        return f"{plural(self._unsure_calls, 'call')} whose cost is unknown" if self._unsure_calls else ""

    @property
    def in_flight_usd(self) -> float:
        """Return the US dollars that the calls under way are estimated at."""
        return float(self._in_flight)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """The names of models without a price that are no endpoints: what they spend, if anything, is not counted."""
        return tuple(self._uncounted)

    def covers(self, model: Model) -> bool:
        """Return whether each call of this model has to be reserved; to be asked before its first one.

        Recorded predictions cost nothing, and a function without a price is taken to: see :attr:`uncounted`.

        Raises:
            ModelError: fatal; the model is an endpoint, and nobody knows its price.
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
        """Set aside what the next call may cost, for each of its questions, and wait for that where it may help.

        Raises:
            ModelError: fatal; nothing is in flight, and what is spent and this call would pass the limit; or nobody
                knows what it costs.
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
        """The same at once; ``None`` where it would have to wait."""
        return self._reserve(call, None)

    def _reserve(self, call: Call, turn: _Turn | None) -> list[Reservation] | None:
        with self._lock:
            first = self._turns[0] if self._turns else None
            if first is not turn:
                return None
            amounts = self._estimates(call)
            if self._spent + self._unsure + self._in_flight + sum(amounts) > self._limit:
                if self._open:
                    return None
                raise self._passed(call, sum(amounts, Fraction()))
            lengths = zip(amounts, call.prompt_characters, strict=True)
            made = [Reservation(call, usd, length) for usd, length in lengths]
            self._open.update(dict.fromkeys(made))
            self._in_flight += sum(amounts)
            return made

    def _estimates(self, call: Call) -> list[Fraction]:
        habits = self._habits.setdefault(call.model_id, Habits())
        found = []
        for characters in call.prompt_characters:
            usd = estimate(call.price, habits, characters, call.max_output_tokens)
            if usd is None:
                raise self._unpriced(call.model_id, call.price)
            found.append(usd)
        return found

    def settle(
        self,
        reservation: Reservation,
        actual_usd: float | None,
        *,
        completion: Completion | None = None,
        busy_s: float | None = None,
    ) -> None:
        """Book once what an answer has cost, from which further estimates learn.

        Where nobody knows that, as of a call that broke off, the estimate counts: the provider may have billed it.
        """
        with self._lock:
            self._book(reservation, actual_usd)
            if completion is not None:
                self._habits[reservation.call.model_id].learn(reservation.prompt_characters, completion, busy_s)
            self._wake_first()

    def close(self, owner: object) -> None:
        """Book what is still open of this owner, who has ended: nobody is to wait for it, or behind it."""
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
        """Let the first in the queue look again; those behind him are woken when he leaves."""
        while self._turns:
            first = self._turns[0]
            try:
                first.loop.call_soon_threadsafe(first.changed.set)
            except RuntimeError:  # his loop has closed
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
                "; or limit the answers, for example params: {max_tokens: 100}: the first answer of a model without a "
            )
            cure += f"limit is estimated at {FIRST_OUTPUT_TOKENS:,} tokens"
        return ModelError(
            f"{self._name}: {spent}, the next call{of} is estimated at {show_usd(float(usd))}", fatal=True, cure=cure
        )

    def _unpriced(self, name: str, price: Price) -> ModelError:
        if price.known:
            why = f"the next call has more input than the {price.most_input_tokens:,} tokens that {price.source} is for"
        else:
            why = price.unknown or price.source
        return ModelError(
            f"the price of {name} is unknown, so {_OPTION} cannot be kept",
            fatal=True,
            where=Where(key="price"),
            evidence=why,
            cure=f"give it a {price_cure(price.lack)}",
        )


class Meter:
    """One model's calls on a budget, in one run."""

    def __init__(self, budget: Budget, model: Model) -> None:
        self._budget = budget
        self._model = model
        self._price = price_of(model)
        self._most_output = most_output_tokens(model.params)
        self._closed = False

    async def reserve(self, examples: Sequence[Example]) -> list[Reservation]:
        """Set aside what answers to these examples may cost, all of them at once: see :meth:`Budget.reserve`."""
        lengths = [self._model.characters(example) for example in examples]
        call = Call(self._model.name, self._price, lengths, self._most_output, owner=self)
        return await self._budget.reserve(call)

    def settle(
        self, reservation: Reservation, found: Completion | ModelError | None, busy_s: float | None = None
    ) -> None:
        """Book what a question has cost; where there is no answer, and that may have cost something, the estimate.

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
        """The run has ended. What of it still hangs is booked, so that nobody waits for it."""
        self._closed = True
        self._budget.close(self)
