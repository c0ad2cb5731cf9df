"""Keep the cost of all calls below a limit, by estimating each call before it is made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from pytest_ftgate import errors, text
from pytest_ftgate.data import Example
from pytest_ftgate.models.price import PRICE_CURE, cost_of, price_of, tokens_usd
from pytest_ftgate.models.protocol import Completion, Model, Price, output_limit

_OPTION = "--ftgate-max-cost"
_CHARACTERS_PER_TOKEN, _FIRST_OUTPUT_TOKENS = 3, 1_000
_ROUNDING_USD = 1e-9


@dataclass(eq=False)
class _Account:
    """Hold a model's price, and what it has shown so far: most tokens per character, longest answer, busy seconds."""

    name: str
    price: Price
    most_output: int | None  # the request's limit
    tokens_per_character: float = 0.0
    output_tokens: int | None = None
    busy_s: float = 0.0
    answers: int = 0


@dataclass(eq=False)
class Reserved:
    """Hold the estimate of each question of a call in US dollars, and the characters of its prompt."""

    account: _Account
    usd: Sequence[float]
    characters: Sequence[int]


class Budget:
    """Keep the money that is spent and in flight below a limit. All models of a session share it.

    Each of several workers, which are processes, has an equal part of the limit. A token is
    estimated at 3 characters at first, and then by the model's highest ratio of tokens to
    characters. An answer is estimated at the request's limit, or else at the longest so far, at
    first 1,000 tokens. A machine that is paid by the hour is estimated at its mean busy time so
    far, at first 0.

    Attributes:
        spent_usd: the cost of all answers.
        unsure_usd: the estimates of calls whose cost is unknown, such as one that broke off.
        uncounted: the models without a price that are not endpoints: their cost is not counted.
    """

    def __init__(self, limit_usd: float, workers: int = 1) -> None:
        self.limit_usd = limit_usd / workers
        shared = (
            f", of which each of {workers} workers may spend {text.show_usd(self.limit_usd)}"
            if workers > 1
            else ""
        )
        self.name = f"{_OPTION} {limit_usd:g}{shared}"
        self._accounts: dict[tuple[object, ...], _Account] = {}
        self._open: list[Reserved] = []
        self.spent_usd = self.unsure_usd = 0.0
        self.uncounted: dict[str, None] = {}

    def counts(self, model: Model) -> bool:
        """Return whether a model's calls cost money: not those of a function without a price.

        Raises:
            ModelError: fatal; the model is an endpoint without a known price.
        """
        price = price_of(model)
        if not price.known and model.endpoint:
            raise _unpriced(model.name, price)
        self.uncounted |= {} if price.known else {model.name: None}
        return price.known

    def reserve(self, model: Model, examples: Sequence[Example]) -> Reserved | None:
        """Reserve the estimated cost of one call for these examples; None: wait for calls in flight, and try again.

        Raises:
            ModelError: fatal; nothing is in flight and the call would exceed the limit, or its cost
                is unknown.
        """
        facts = model.name, price_of(model), output_limit(model)
        account = self._accounts.setdefault(facts, _Account(*facts))
        lengths = [model.characters(example) for example in examples]
        made = Reserved(
            account, [_estimate(account, characters) for characters in lengths], lengths
        )
        taken = self.spent_usd + self.unsure_usd + sum(sum(one.usd) for one in self._open)
        if taken + sum(made.usd) <= self.limit_usd + _ROUNDING_USD:
            self._open.append(made)
            return made
        if self._open:
            return None
        unsure = f", {text.show_usd(self.unsure_usd)} of it by estimate" if self.unsure_usd else ""
        what = f"{text.show_usd(taken)} is spent{unsure}, the next call is estimated at {text.show_usd(sum(made.usd))}"
        cure = "raise it and run again: stored answers are reused"
        if (
            account.most_output is None
            and account.output_tokens is None
            and account.price.gpu_hour_usd is None
        ):
            cure += "; or limit the answers, for example params: {max_tokens: 100}: "
            cure += f"the first answer of a model without a limit is estimated at {_FIRST_OUTPUT_TOKENS:,} tokens"
        raise errors.ModelError(f"{self.name}: {what}", fatal=True, cure=cure)

    def settle(
        self, reserved: Reserved, found: Sequence[object], busy_s: float | None = None
    ) -> None:
        """Record the cost of each question of a call; without an answer, the estimate, unless it was certainly free.

        ``found`` are answers, errors, or None where the call broke off; ``busy_s`` is an answer's
        share of the seconds in which the model was busy.
        """
        if reserved not in self._open:  # the run has ended
            return
        self._open.remove(reserved)
        account = reserved.account
        for usd, characters, one in zip(reserved.usd, reserved.characters, found, strict=True):
            if isinstance(one, Completion):
                _learn(account, characters, one, busy_s)
                cost = cost_of(one, account.price, busy_s)
            else:
                cost = 0.0 if isinstance(one, errors.ModelError) and one.unpaid else None
            if cost is None:  # it may have been billed
                self.unsure_usd += usd
            else:
                self.spent_usd += cost

    def end_run(self) -> None:
        """Take the calls that are still in flight for paid: they hang, and the run does not wait for them."""
        self.unsure_usd += sum(sum(one.usd) for one in self._open)
        self._open.clear()


def _learn(account: _Account, characters: int, answer: Completion, busy_s: float | None) -> None:
    if answer.input_tokens is not None and characters:
        account.tokens_per_character = max(
            account.tokens_per_character, answer.input_tokens / characters
        )
    if answer.output_tokens is not None:
        account.output_tokens = max(answer.output_tokens, account.output_tokens or 0)
    account.busy_s += busy_s or 0.0
    account.answers += 1


def _estimate(account: _Account, characters: int) -> float:
    price, most = account.price, account.most_output
    if price.gpu_hour_usd is not None:
        return price.gpu_hour_usd * account.busy_s / max(1, account.answers) / 3600
    if most is None:
        most = _FIRST_OUTPUT_TOKENS if account.output_tokens is None else account.output_tokens
    inputs = ceil(characters * (account.tokens_per_character or 1 / _CHARACTERS_PER_TOKEN))
    dearest = max(
        price.input_per_1m or 0.0, price.cache_write_per_1m or 0.0, price.cached_input_per_1m or 0.0
    )
    usd = tokens_usd(replace(price, input_per_1m=dearest), inputs, most)
    if usd is None:
        raise _unpriced(account.name, price)
    return usd


def _unpriced(name: str, price: Price) -> errors.ModelError:
    why = price.unknown or price.source
    if price.known:
        why += f" has no price above {price.most_input_tokens:,} input tokens, as in the next call"
    what, where = f"{_OPTION} needs a price for {name}", errors.Where(key="price")
    return errors.ModelError(what, fatal=True, where=where, evidence=why, cure=f"set {PRICE_CURE}")
