"""Keep the cost of all calls below a limit, by estimating each call before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from pytest_ftgate.data import Example
from pytest_ftgate.errors import ModelError, Where
from pytest_ftgate.models.price import PRICE_CURE, cost_of, price_of, tokens_usd
from pytest_ftgate.models.protocol import Completion, Model, Price, output_limit
from pytest_ftgate.text import show_usd

_OPTION = "--ftgate-max-cost"
_CHARACTERS_PER_TOKEN = 3
_FIRST_OUTPUT_TOKENS = 1_000
_ROUNDING_USD = 1e-9


@dataclass(eq=False)
class _Account:
    """Hold a model's price, and what it has shown so far.

    Attributes:
        most_output: the request's limit of tokens.
        tokens_per_character: the highest ratio in a prompt.
        output_tokens: those of the longest answer.
    """

    name: str
    price: Price
    most_output: int | None
    tokens_per_character: float = 1 / _CHARACTERS_PER_TOKEN
    output_tokens: int | None = None


@dataclass(eq=False)
class Reserved:
    """Hold the estimated US dollars of each question of a call, and the length of its prompt."""

    account: _Account
    usd: Sequence[float]
    characters: Sequence[int]


class Budget:
    """Keep the money that is spent and in flight below a limit. All models of a session share it.

    Each of several workers, which are processes, has an equal part of the limit. Input is estimated
    at a token for 3 characters, or at the model's highest ratio if that is higher. An answer is
    estimated at the request's limit, or else at the longest so far, at first 1,000 tokens. The time
    of a machine that is paid by the hour is counted once it is known.

    Attributes:
        spent_usd: the cost of all answers, and the estimates of calls whose cost is unknown, such
            as one that broke off.
        uncounted: the models without a price that are not endpoints: their cost is not counted.
    """

    def __init__(self, limit_usd: float, workers: int = 1) -> None:
        self.limit_usd = limit_usd / workers
        self.name = f"{_OPTION} {limit_usd:g}"
        if workers > 1:
            self.name += f", shared by {workers} workers"
        self.spent_usd = 0.0
        self.uncounted: dict[str, None] = {}
        self._accounts: dict[tuple[object, ...], _Account] = {}
        self._open: list[Reserved] = []

    def counts(self, model: Model) -> bool:
        """Return whether a model's calls cost money: not those of a function without a price.

        Raises:
            ModelError: fatal; the model is an endpoint without a known price.
        """
        price = price_of(model)
        if not price.known and model.endpoint:
            raise _unpriced(model.name, price)
        if not price.known:
            self.uncounted[model.name] = None
        return price.known

    def reserve(self, model: Model, examples: Sequence[Example]) -> Reserved | None:
        """Reserve the estimated cost of one call for these examples.

        None: wait for calls in flight, and try again.

        Raises:
            ModelError: fatal; nothing is in flight and the call would exceed the limit, or its cost
                is unknown.
        """
        facts = model.name, price_of(model), output_limit(model)
        account = self._accounts.setdefault(facts, _Account(*facts))
        lengths = list(map(model.characters, examples))
        reserved = Reserved(account, [_estimate(account, length) for length in lengths], lengths)
        next_usd = sum(reserved.usd)
        taken_usd = self.spent_usd + self._in_flight_usd
        if taken_usd + next_usd <= self.limit_usd + _ROUNDING_USD:
            self._open.append(reserved)
            return reserved
        # calls in flight may turn out cheaper than their estimates
        if self._open:
            return None

        problem = (
            f"{self.name}: {show_usd(taken_usd)} is spent, "
            f"the next call is estimated at {show_usd(next_usd)}"
        )
        cure = "raise it and run again: stored answers are reused"
        if account.most_output is None:
            cure += "; or limit the answers, for example params: {max_tokens: 100}"
        raise ModelError(problem, fatal=True, cure=cure)

    @property
    def _in_flight_usd(self) -> float:
        return sum(sum(reserved.usd) for reserved in self._open)

    def settle(
        self, reserved: Reserved, outcomes: Sequence[object], busy_s: float | None = None
    ) -> None:
        """Record the cost of each question of a call.

        Without an answer it is the estimate, unless the call was certainly free. ``outcomes`` are
        answers, errors, or None where the call broke off; ``busy_s`` is an answer's share of the
        seconds in which the model was busy.
        """
        # the run has ended
        if reserved not in self._open:
            return

        self._open.remove(reserved)
        account = reserved.account
        questions = zip(reserved.usd, reserved.characters, outcomes, strict=True)
        for estimate_usd, characters, outcome in questions:
            usd: float | None = None
            if isinstance(outcome, Completion):
                _learn(account, characters, outcome)
                usd = cost_of(outcome, account.price, busy_s)
            elif isinstance(outcome, ModelError) and outcome.unpaid:
                usd = 0.0
            # without an answer it may have been billed
            self.spent_usd += estimate_usd if usd is None else usd

    def end_run(self) -> None:
        """Take the calls in flight for paid: they hang, and the run does not wait for them."""
        self.spent_usd += self._in_flight_usd
        self._open.clear()


def _learn(account: _Account, characters: int, answer: Completion) -> None:
    if answer.input_tokens is not None and characters:
        ratio = answer.input_tokens / characters
        account.tokens_per_character = max(account.tokens_per_character, ratio)
    if answer.output_tokens is not None:
        account.output_tokens = max(answer.output_tokens, account.output_tokens or 0)


def _estimate(account: _Account, characters: int) -> float:
    """Return the estimated cost of one question in US dollars."""
    if account.price.gpu_hour_usd is not None:
        return 0.0

    output_tokens = account.most_output
    if output_tokens is None:
        output_tokens = account.output_tokens
    if output_tokens is None:
        output_tokens = _FIRST_OUTPUT_TOKENS
    input_tokens = ceil(characters * account.tokens_per_character)
    usd = tokens_usd(account.price, input_tokens, output_tokens)
    if usd is None:
        raise _unpriced(account.name, account.price)
    return usd


def _unpriced(name: str, price: Price) -> ModelError:
    return ModelError(
        f"{_OPTION} needs a price for {name}",
        fatal=True,
        where=Where(key="price"),
        evidence=price.unknown or price.source,
        cure=f"set {PRICE_CURE}",
    )
