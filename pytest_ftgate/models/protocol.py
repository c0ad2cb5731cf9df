"""Define the protocol of models: anything that completes an example.

And tell their answers from their reasoning.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard

from pytest_ftgate.config import ModelSpec, model_keys
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.errors import ModelError
from pytest_ftgate.guarded import guarded
from pytest_ftgate.models.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Price:
    """Hold US dollars per million tokens, or per hour of the machine that runs the model."""

    source: str = ""  # where the price comes from, such as ftgate.yaml:14
    input_per_1m: float | None = None
    output_per_1m: float | None = None
    # for input that the endpoint had cached; if absent, as for other input
    cached_input_per_1m: float | None = None
    gpu_hour_usd: float | None = None  # of the machine; prices of tokens are then ignored
    # for input written to the endpoint's cache; if absent, as for other input
    cache_write_per_1m: float | None = None
    # the price of a call with more input tokens is unknown; None: no limit
    most_input_tokens: int | None = None
    unknown: str | None = None  # why there is no price

    @property
    def known(self) -> bool:
        """Return whether the cost of an answer can be computed."""
        return self.gpu_hour_usd is not None or None not in (self.input_per_1m, self.output_per_1m)

    @property
    def is_free(self) -> bool:
        """Return whether every answer is free."""
        rates = (self.gpu_hour_usd, self.input_per_1m, self.output_per_1m, self.cached_input_per_1m)
        return self.known and not any((*rates, self.cache_write_per_1m))

    @property
    def text(self) -> str:
        """Return the ``price`` of a model in reports."""
        return self.source if self.unknown is None else f"unknown: {self.unknown}"


def is_count(value: object) -> TypeGuard[int]:
    """Return whether an untrusted value is a count, of 64 bits at most."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_seconds(value: object) -> bool:
    """Return whether an untrusted value is a number of seconds, or since 1970 till 5138."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


Stripping: TypeAlias = Literal["auto", False]
"""Which reasoning is no part of an answer: ``auto``: that in the usual tags; False: none."""

FINISHES = ("stop", "refusal", "filtered", "cut_off")
"""How an answer ends: complete, refused, withheld by a filter, or cut off at a token limit."""

MOST_BYTES = 20_000_000
"""The size of an answer above which it is broken."""

_WHOLE = re.compile(
    "(?:finish(?:ed)?|reason|stop|end|of|turn|message|sequence|text|token|string|words?|eo[sgtm]"
    "|found|tools?|calls?|use|function|complet(?:ed?|ion)|done|ok|succe(?:ss(?:ful)?|eded)|ids?"
    "|none|null|natural|1|200)*"
)
"""What words for a whole answer are made of: ``stop``, ``end_turn``, ``FinishReason.STOP``."""
_WITHHELD = (
    ("refusal", re.compile("refus")),
    ("filtered", re.compile("filter|safety|blocked|prohibited|guardrail")),
)
_FAILED = re.compile("error|abort|cancel|fail|timeout|timedout|insufficient")
_LIMITED = re.compile("length|max|limit|exceeded|cutoff|truncat|incomplete")

COUNTS = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens")
"""The token counts of a :class:`Completion`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Hold one answer of a model.

    Attributes:
        text: the answer; empty for a refusal without text.
        input_tokens: of the whole prompt, cached ones included.
        output_tokens: of the answer, hidden reasoning included.
        cached_input_tokens: the part of input_tokens that the endpoint had cached.
        finish: one of FINISHES.
        latency_s: seconds the answer took; None leaves it to the runner's own measurement.
        cache_write_tokens: the part of input_tokens written to the cache, if that has its own
            price.
        reasoning: what the model wrote before its answer, or beside its tool calls.
        original: the text as it came, where reasoning was taken off its front.
        finish_reason: the endpoint's word for its end, if nobody knows that word.
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
    finish_reason: str | None = None


def finish_of(reason: object) -> str:
    """Return how an answer ended: one of :data:`FINISHES`, or ``failed`` for an error or an abort.

    Under any other word that is not usual for a whole answer it is cut off.
    """
    word = _letters(reason)
    if _WHOLE.fullmatch(word):
        return "stop"
    for finish, words in (*_WITHHELD, ("failed", _FAILED)):
        if words.search(word):
            return finish
    return "cut_off"


def unknown_reason(reason: object) -> str | None:
    """Return the word for how an answer ended, if it is cut off because nobody knows the word."""
    is_known = finish_of(reason) != "cut_off" or _LIMITED.search(_letters(reason))
    return None if is_known else str(reason)


def _letters(reason: object) -> str:
    return re.sub(r"[\W_]", "", str(reason)).lower()


class Prediction(NamedTuple):
    """Hold one answer of a model, or why it is missing.

    Numbers are ``None`` if they are unknown.

    Attributes:
        key: SHA-256 (hex) of everything that can change the answer.
        completion: the answer; None if it is missing after all retries.
        latency_s: seconds of the successful attempt, without queueing and waiting.
        created_at: when the answer was made, seconds since the epoch.
        busy_s: its share of the seconds in which the model was busy.
        id: the example's id; empty in the store, where any example with this key may use the
            answer.
        failure: why the answer is missing.
        stored: it came from the store or the recordings, and was not asked for in this run.
        recorded: it came from a recording.
        retries: failed calls of this run that were made again.
    """

    key: str
    completion: Completion | None = None
    latency_s: float | None = None
    created_at: float | None = None
    busy_s: float | None = None
    id: str = ""
    failure: ModelError | None = None
    stored: bool = False
    recorded: bool = False
    retries: int = 0

    @property
    def error(self) -> str | None:
        return None if self.failure is None else str(self.failure)


def parts_of(spec: ModelSpec) -> dict[str, Any]:
    """Return the arguments of a :class:`BuiltModel` that all providers read alike."""
    defaults = {
        "timeout_s": 60.0,
        "retries": 5,
        "latency_sample": 0,
        "strip_reasoning": "auto",
        "revision": None,
    }
    written = {key: spec.options.get(key, default) for key, default in defaults.items()}
    return {"name": spec.name, "spelling": spec.spelling, **written}


class Question(NamedTuple):
    """Hold one example to be answered for the ``repeat``-th time.

    ``key`` is the model's ``key()`` of it.
    """

    key: str
    example: Example
    repeat: int


class Model(Protocol):
    """Answer examples.

    Attributes and methods with a value or a body here are optional, and this is their default.
    """

    name: str  # what tables call it
    spelling: str  # the model as written in the gate, for reports
    concurrency: int  # how many calls may be in flight
    timeout_s: float | None  # seconds after which the runner gives up a call; None: never
    retries: int  # how often a failed call is retried, if that may help
    persistent: bool  # whether its answers may be stored on disk for later sessions
    # they serve a later session only if no gate was judged by them, and only for a day
    until_judged: bool = False
    # recordings only: whether every answer states the input it was made for
    verified: bool | None = None
    made_by: str | None = None  # recordings only: the one model that all answers say they are of
    price: Price | Mapping[str, float] | None = None  # a mapping has the keys of a gate's price
    # a call leaves the machine or costs money, so that offline runs forbid it
    endpoint: bool = False
    abandons: bool = False  # a call that is given up goes on in the background
    # stands for the state of the weights; part of the key of every answer
    revision: str | None = None
    batch_size: int = 1  # how many questions complete_many() takes; 1: complete() is called instead
    # the number of examples that latencies are measured on; 0: they are taken from all answers
    latency_sample: int = 0
    params: Mapping[str, Any] = MappingProxyType({})  # sent with each request
    prompt: Prompt | None = None  # what is sent around the input, if we know it
    requests_per_minute: float | None = None  # see pytest_ftgate.runs.asking.Throttle
    function: Callable[..., Any] | None = None  # the user's code behind it
    strip_reasoning: Stripping = "auto"  # which reasoning is taken off the front of its answers
    # what it uses alone: models with one in common are not called together
    exclusive: frozenset[Any] = frozenset()

    @property
    def ids(self) -> Collection[str] | None:
        """Return the examples that a recording answers."""
        return None

    def key(self, example: Example, repeat: int = 0) -> str:
        """Return the SHA-256 (hex) of all that can change the answer, and of nothing else."""
        ...

    async def complete(self, example: Example, repeat: int = 0) -> Completion:
        """Answer one example.

        Raises :class:`~pytest_ftgate.errors.ModelError`, and nothing else.
        """
        ...

    async def complete_many(
        self, questions: Sequence[Question]
    ) -> Sequence[Completion | ModelError]:
        """Answer questions, in their order.

        An error in place of an answer is about that question alone.

        An answer's ``latency_s`` is its seconds; ``None``: unknown. Raises
        :class:`~pytest_ftgate.errors.ModelError` if the whole call failed.
        """
        return [await self.complete(question.example, question.repeat) for question in questions]

    async def aclose(self) -> None:
        """Release connections and threads. The model can be used again afterwards."""
        return None  # noqa: RET501

    def ready(self) -> None:
        """Raise a fatal :class:`~pytest_ftgate.errors.ModelError` if no call could succeed."""
        return None  # noqa: RET501

    def sent(self, example: Example) -> dict[str, Any]:
        """Return what is sent for an example, for people: ``messages``, ``tools`` and the like."""
        if self.prompt is not None:
            return {"messages": self.prompt.messages(example)}
        if isinstance(example.input, str):
            return {"messages": [{"role": "input", "content": example.input}]}
        return {"messages": example.input}

    def characters(self, example: Example) -> int:
        """Return the length of what is sent for an example, for estimates of its tokens."""
        sent = dict(self.sent(example))
        values: list[Any] = []
        for message in sent.pop("messages", ()):
            values += [message.get("content"), message.get("tool_calls")]
        return sum(len(str(value)) for value in (*values, sent) if value)


@dataclass(eq=False, kw_only=True)
class BuiltModel(Model):
    """Hold what all models have that are built from a gate's keys."""

    name: str
    spelling: str
    concurrency: int
    timeout_s: float | None
    retries: int
    persistent: bool
    price: Price
    latency_sample: int = 0
    strip_reasoning: Stripping = "auto"
    revision: str | None = None


class Delegate:
    """Override attributes of a model, and add the defaults of :class:`Model` that it lacks."""

    def __init__(self, model: object, **changed: Any) -> None:
        self._model = model
        vars(self).update(changed)

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._model, name)
        except AttributeError:
            if name.startswith("_") or name not in vars(Model):
                raise
            default = vars(Model)[name]
            return default.__get__(self) if hasattr(default, "__get__") else default


def output_limit(model: Model) -> int | None:
    """Return the limit of output tokens that is sent with each request; None where none is."""
    return max(filter(is_count, map(model.params.get, model_keys.OUTPUT_LIMITS)), default=None)


def key_of(model: Model, example: Example, repeat: int = 0) -> str:
    """Return the key of one answer. Raises :class:`FtgateError` if a custom model returns none."""
    called = f"key() of the model {model.name}"
    key: object = guarded(called, model.key, example, repeat)
    if not isinstance(key, str):
        raise ModelError(f"{called} returned a value of type {type(key).__name__}, not text")
    return key


@dataclass(frozen=True)
class Surroundings:
    """Hold what a model is built with besides its own keys."""

    training: DataSet | None = None  # for few-shot examples
    offline: bool = False  # no endpoint may be called
    asked: DataSet | None = None  # the examples that the model will be asked about, as far as known


# --- reasoning, which a model writes before its answer --------------------------------------------

_LEFT, _RIGHT = r"[<\[\u25c1]\|?", r"\|?[>\]\u25b7]"
_OPENING = re.compile(rf"\s*{_LEFT}(?P<name>[\w:.-]+)(?:\s[^<>\[\]]*)?{_RIGHT}")
_TAG = re.compile(rf"{_LEFT}(?P<name>/?[\w:.-]+){_RIGHT}")
"""A tag without attributes. Its name holds no bracket, so all tags of a text take linear time."""
_BRACKET = re.compile(_LEFT)
_OF_REASONING = re.compile("think|thought|reasoning", re.IGNORECASE)
_CHANNEL, _MESSAGE = "<|channel|>", "<|message|>"
_NAME_OF_CHANNEL = re.compile(r"\s*(\w+)")
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|call|start)\|>")


def answer_of(completion: Completion, limit: int | None, stripping: Stripping) -> Completion:
    """Return the answer of a model without its reasoning.

    One of as many tokens as its request allows is cut off.
    """
    if limit is not None and completion.finish == "stop" and completion.output_tokens == limit:
        completion = replace(completion, finish="cut_off")
    return without_reasoning(completion, stripping)


def without_reasoning(completion: Completion, stripping: Stripping) -> Completion:
    """Return the completion with the answer as ``text``, and what came before as ``reasoning``.

    Reasoning with nothing after it is no answer, also where it came apart: the text is empty, and
    it counts as cut off. A closing tag alone ends reasoning too, since some chat templates write
    the opening one into the prompt. Channels are those of OpenAI's Harmony format: the answer is in
    ``final``.
    """
    text = completion.text
    reasoning = None
    # Most answers have no bracket, and need no search for tags.
    if stripping == "auto" and _BRACKET.search(text):
        if _CHANNEL in text:
            text, reasoning = _from_channels(text)
        else:
            text, reasoning = _after_reasoning(text)

    has_reasoned = bool(completion.reasoning) or reasoning is not None
    if completion.finish == "stop" and has_reasoned and not text.strip():
        completion = replace(completion, finish="cut_off")  # the answer never came
    if reasoning is None:
        return completion
    if completion.reasoning is not None:
        reasoning = f"{completion.reasoning}\n{reasoning}"
    return replace(completion, text=text, reasoning=reasoning, original=completion.text)


def stripping_for(stripping: Stripping, expected: Iterable[str]) -> Stripping:
    """Return what is stripped of answers: nothing where expected outputs begin with a usual tag."""
    if stripping == "auto" and any(map(_opening_tag, expected)):
        return False
    return stripping


def _opening_tag(text: str) -> re.Match[str] | None:
    """Return the tag that a text begins with if it usually holds reasoning."""
    opening = _OPENING.match(text)
    if opening is None or not _OF_REASONING.search(opening["name"]):
        return None
    return opening


def _from_channels(text: str) -> tuple[str, str]:
    """Return the last message of Harmony's channel ``final``, and those of other channels."""
    answer = ""
    reasoning = []
    for channel in text.split(_CHANNEL)[1:]:
        header, mark, body = channel.partition(_MESSAGE)
        name = _NAME_OF_CHANNEL.match(header)
        if not mark or name is None:
            continue

        message = _END_OF_MESSAGE.split(body, maxsplit=1)[0].strip()
        if name[1] == "final":
            answer = message
        else:
            reasoning.append(message)
    return answer, "\n".join(reasoning)


def _after_reasoning(text: str) -> tuple[str, str | None]:
    """Return the answer, empty if there is none, and the reasoning, ``None`` if there is none.

    Reasoning ends at its first closing tag: ``</think>``, ``<|end_of_thought|>``.
    """
    # Some chat templates write the opening tag into the prompt.
    opening = _opening_tag(text)
    start = 0 if opening is None else opening.end()
    for tag in _TAG.finditer(text, start):
        name = tag["name"].lower()
        if name.startswith(("/", "end_")) and _OF_REASONING.search(name):
            return text[tag.end() :].strip(), text[start : tag.start()].strip()

    if opening is not None:
        return "", text[start:].strip()
    return text, None
