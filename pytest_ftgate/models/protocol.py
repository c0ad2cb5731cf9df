"""What a model is to all who ask it: anything that completes an example."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard

from pytest_ftgate.errors import ModelError, guarded

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.models.prompt import Prompt
    from pytest_ftgate.result import PriceLack


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, or for an hour of the machine that a model runs on.

    Args:
        source: where the price comes from, as ``ftgate.yaml:14``.
        unknown: why there is none; ``None`` where there is one.
        lack: what is lacking where there is none: a price, also the package that knows prices, or a rate of the price.
        cached_input_per_1m: for input tokens that the endpoint had cached; where absent they cost as others do.
        training_per_1m: for a million tokens of training.
        gpu_hour_usd: of the machine; what tokens cost is then left out.
        cache_write_per_1m: for input tokens that the endpoint put into its cache; where absent they cost as others do.
        most_input_tokens: a call with more of them has a price that this one does not tell; ``None``: all cost alike.
    """

    source: str = ""
    input_per_1m: float | None = None
    output_per_1m: float | None = None
    cached_input_per_1m: float | None = None
    training_per_1m: float | None = None
    gpu_hour_usd: float | None = None
    cache_write_per_1m: float | None = None
    most_input_tokens: int | None = None
    unknown: str | None = None
    lack: PriceLack | None = None

    @property
    def known(self) -> bool:
        """Return whether it tells what an answer costs."""
        return self.gpu_hour_usd is not None or None not in (self.input_per_1m, self.output_per_1m)

    @property
    def is_free(self) -> bool:
        """Return whether every answer costs nothing by it."""
        rates = (self.gpu_hour_usd, self.input_per_1m, self.output_per_1m, self.cached_input_per_1m)
        return self.known and not any((*rates, self.cache_write_per_1m))

    @property
    def text(self) -> str:
        """Return the ``price`` of a model in reports."""
        return self.source if self.unknown is None else f"unknown: {self.unknown}"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait before a failed call is tried again: exponential back-off, of which half is jitter.

    Args:
        base_s: the longest first wait; each further one may be twice as long.
        cap_s: no wait of our own is longer.
        retry_after_cap_s: no wait that an endpoint asks for is kept longer.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    retry_after_cap_s: float = 120.0

    def wait_s(self, failures: int, retry_after_s: float | None) -> float:
        """Seconds to wait after so many failed attempts (1 or more); never less than the endpoint asked for."""
        if retry_after_s is not None:
            return max(0.0, min(retry_after_s, self.retry_after_cap_s)) + random.random() * self.base_s
        longest = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 30))
        return longest * (1 + random.random()) / 2


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a value that somebody else gave is a count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Stripping: TypeAlias = Literal["auto", False] | tuple[str, str]
"""Which reasoning is no part of an answer: ``auto``: that in the usual tags; False: none; or in a pair of tags."""

FINISHES = ("stop", "refusal", "filtered", "cut_off")
"""How an answer can end: as meant, refused, withheld by a content filter, or cut off at a token limit."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a model.

    Args:
        text: the answer; empty for a refusal without words.
        input_tokens: tokens of the whole prompt, cached ones included.
        output_tokens: tokens of the answer, hidden reasoning included.
        cached_input_tokens: the part of ``input_tokens`` that the endpoint had cached.
        cache_write_tokens: the part of ``input_tokens`` that it put into its cache, where that has a price of its own.
        finish: one of :data:`FINISHES`.
        latency_s: seconds the answer took; ``None`` leaves it to the runner's own measurement.
        reasoning: what the model wrote before its answer, or beside its tool calls.
        original: the text as it came, where reasoning was taken off its front.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    finish: str = "stop"
    latency_s: float | None = None
    cache_write_tokens: int | None = None
    reasoning: str | None = None
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one question, or why there is no answer.

    Attributes:
        key: SHA-256 (hex) of all that can change the answer.
        completion: the answer; ``None`` where it is missing after all retries.
        latency_s: seconds of the successful attempt alone, without queueing and waits; ``None`` where unknown.
        created_at: when it was asked for, seconds since the epoch; ``None`` where unknown.
        busy_s: its share of the seconds in which the model was busy; ``None`` where unknown.
        id: the example's; empty where it is kept for whichever example asks.
        error: why it is missing.
        stored: it came from the store or the recordings, and was not asked for in this run.
        offline: it is missing because ``--ftgate-offline`` forbids asking for it.
    """

    key: str
    completion: Completion | None = None
    latency_s: float | None = None
    created_at: float | None = None
    busy_s: float | None = None
    id: str = ""
    error: str | None = None
    stored: bool = False
    offline: bool = False


class LatencySample(NamedTuple):
    """How a clean sample of latencies is taken: so many calls at a time, of so many examples."""

    concurrency: int = 1
    examples: int = 50


TIMEOUT_S = 60.0

RETRIES = 5


def timeout_of(options: Mapping[str, Any]) -> float:
    """Return a model's key ``timeout_s``."""
    return options.get("timeout_s") or TIMEOUT_S


def retries_of(options: Mapping[str, Any]) -> int:
    """Return a model's key ``retries``."""
    return RETRIES if options.get("retries") is None else int(options["retries"])


def sample_of(options: Mapping[str, Any]) -> LatencySample | None:
    """Return what a model's key ``latency`` asks for."""
    return LatencySample(**options["latency"]) if options.get("latency") is not None else None


def parts_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the parts of a :class:`BuiltModel` that all providers read out of a gate's keys alike."""
    return {
        "name": spec.name,
        "spelling": spec.spelling,
        "timeout_s": timeout_of(spec.options),
        "retries": retries_of(spec.options),
        "latency": sample_of(spec.options),
        "strip_reasoning": spec.options.get("strip_reasoning", "auto"),
    }


class Question(NamedTuple):
    """One example that is to be answered, for the ``repeat``-th time. ``key`` is what the model's ``key()`` gives."""

    key: str
    example: Example
    repeat: int


class Model(Protocol):
    """What a model is. What has a value or a body here may be left out: this is then what it has.

    Attributes:
        name: what tables call it.
        spelling: the model as written in the gate, for reports.
        concurrency: how many calls may be in flight.
        timeout_s: seconds after which the runner gives one call up; ``None``: never.
        retries: how often a failed call is tried again, where trying again may help.
        persistent: whether its answers may be kept on disk for later sessions.
        verified: recordings only: whether every answer names the input it was made for; ``None`` elsewhere.
        price: a :class:`Price`, or a mapping of the keys that a gate's ``price`` has.
        endpoint: a call leaves the machine or costs money, so that offline runs forbid it.
        abandons: a call that is given up goes on in the background.
        batch_size: how many questions :meth:`complete_many` takes; 1: :meth:`complete` is called instead.
        mode: ``batch`` where answers come hours later, so that how long they took tells nothing.
        latency: how latencies are taken from a sample; ``None``: from all answers.
        params: what is sent with each request.
        prompt: what is sent around the input, where it is ours.
        requests_per_minute, tokens_per_minute: see :class:`pytest_ftgate.runs.throttle.Throttle`.
        function: the user's code behind it.
        strip_reasoning: which reasoning is taken off the front of its answers.
        exclusive: names of what it uses alone: models that have one in common are never called at the same time.
        ids: the examples that a recording answers.
    """

    name: str
    spelling: str
    concurrency: int
    timeout_s: float | None
    retries: int
    persistent: bool
    verified: bool | None = None
    price: Price | Mapping[str, float] | None = None
    endpoint: bool = False
    abandons: bool = False
    batch_size: int = 1
    mode: str = "live"
    latency: LatencySample | None = None
    params: Mapping[str, Any] = MappingProxyType({})
    prompt: Prompt | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    function: Callable[..., Any] | None = None
    strip_reasoning: Stripping = "auto"
    exclusive: frozenset[Any] = frozenset()

    @property
    def ids(self) -> Collection[str] | None:
        return None

    @property
    def in_batch(self) -> tuple[int, int] | None:
        """Return how many questions the batches under way have answered, and how many they hold."""
        return None

    @property
    def unfinished(self) -> str | None:
        """Return a line on what goes on elsewhere after a run, if anything does."""
        return None

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of all that can change the answer, and of nothing else."""
        ...

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        """Answer one example. Raises :class:`~pytest_ftgate.errors.ModelError`, and nothing else."""
        ...

    async def complete_many(self, questions: Sequence[Question]) -> Sequence[Completion | ModelError]:
        """Answer questions, in their order; an error in place of an answer is about that question alone.

        The seconds that an answer took are its ``latency_s``; ``None``: unknown. Raises
        :class:`~pytest_ftgate.errors.ModelError` where the whole call failed.
        """
        return [await self.complete(question.example, question.repeat) for question in questions]

    async def aclose(self) -> None:
        """Give back what the model holds: connections, threads. It can be used again afterwards."""
        ...

    def ready(self) -> None:
        """Raise a fatal :class:`~pytest_ftgate.errors.ModelError` where no call could succeed."""
        return None  # noqa: RET501  # else it would be abstract

    def stored(self, keys: Sequence[str]) -> None:  # noqa: ARG002
        """Hear which of its answers are on disk now."""
        return None  # noqa: RET501

    def characters(self, example: Example) -> int:
        """Return the length of what is sent for an example, for estimates of its tokens."""
        if isinstance(example.input, str):
            return len(example.input)
        return sum(len(str(message.get("content"))) for message in example.input)

    def pause_s(self) -> float:
        """Return for how many seconds no further call is wanted."""
        return 0.0


@dataclass(eq=False, kw_only=True)
class BuiltModel(Model):
    """A model that is built out of a gate's keys."""

    name: str
    spelling: str
    concurrency: int
    timeout_s: float | None
    retries: int
    persistent: bool
    price: Price
    latency: LatencySample | None = None
    strip_reasoning: Stripping = "auto"

    async def aclose(self) -> None:
        """Nothing is held open."""


class Delegate:
    """A model that is another one, but for what it says itself."""

    def __init__(self, model: object) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class Adopted(Delegate):
    """Somebody else's model, with the defaults of :class:`Model` for what it leaves out."""

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._model, name)
        except AttributeError:
            if name.startswith("_") or name not in vars(Model):
                raise
            default = vars(Model)[name]
            return default.__get__(self) if hasattr(default, "__get__") else default


def key_of(model: Model, example: Example, repeat: int = 0) -> str:
    """Return the key of one answer. Raises :class:`FtgateError` where somebody else's model gives none."""
    called = f"key() of the model {model.name}"
    key: object = guarded(called, model.key, example, repeat)
    if not isinstance(key, str):
        raise ModelError(f"{called} returned a value of type {type(key).__name__}, not text")
    return key


class Notes(Protocol):
    """Small texts by name that outlive a session: what has to be remembered besides predictions.

    Every method raises :class:`~pytest_ftgate.errors.StoreError` where they cannot be kept or read.
    """

    def get(self, name: str) -> str | None:
        """Return the text kept under this name."""
        ...

    def put(self, name: str, text: str) -> None:
        """Keep a text, in place of an older one; it is on disk when this returns."""
        ...

    def drop(self, name: str) -> None:
        """Forget it."""
        ...

    def named(self, prefix: str) -> Mapping[str, str]:
        """Return all texts whose name begins so, by name."""
        ...


@dataclass(frozen=True)
class Surroundings:
    """What a model is built with, besides its own keys.

    Attributes:
        training: the training set, from which examples are shown; ``None`` where there is none.
        notes: what earlier sessions noted; ``None`` where nothing is kept.
        offline: no endpoint may be called.
        newer_than: answers from before this time (seconds since the epoch) are not wanted; ``None``: all are.
        asked: the examples that the model will be asked about, as far as that is known.
    """

    training: DataSet | None = None
    notes: Notes | None = None
    offline: bool = False
    newer_than: float | None = None
    asked: DataSet | None = None
