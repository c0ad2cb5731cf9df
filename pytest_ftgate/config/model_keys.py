"""The keys of a model, by provider."""

import os
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator

from pytest_ftgate.config.keys import (
    AboveZero,
    Amount,
    Count,
    FreeData,
    Keys,
    OpenKeys,
    PathText,
    Positive,
    Text,
    matching,
    optional,
    refusal,
    wrong_type,
)

PUBLIC_ENDPOINT = "https://api.openai.com/v1"
ADAPTER = re.compile("lora|adapter", re.IGNORECASE)
"""Names of parameters that choose weights, such as ``lora`` of llama.cpp."""
PROMPT_KEYS = ("system", "system_file", "few_shot", "retrieval", "template")
"""The keys of a model that say what it is sent around an input."""

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens")
"""The parameters that limit an answer's length, the new name and the old."""

UNCOUNTED = (
    "name",
    "timeout_s",
    "retries",
    "api_key_env",
    "price",
    "concurrency",
    "requests_per_minute",
    "latency_sample",
    "batch_size",
    "workers",
    "device",
)
"""The keys of a model that enter no key of its stored answers, since they change no answer."""

NOT_IDENTIFYING = (
    *UNCOUNTED,
    *PROMPT_KEYS,
    "revision",
    "served_as",
    "params",
    "dtype",
    "max_new_tokens",
    "strip_reasoning",
)
"""The keys of a model that say how it is asked and read, and not which model it is."""

COUNTS = ("few_shot", "retrieval", "latency_sample")
"""The keys of a model that count examples; 0 is the same as no key."""

PER_TOKEN = ("input_per_1m", "output_per_1m", "cached_input_per_1m")

_NAME_OF_VARIABLE = matching(
    "^[A-Za-z_][A-Za-z0-9_]*$",
    "the name of an environment variable, never the key itself",
)
_URL = matching(
    "^https?://[^/@]+(/.*)?$",
    "a URL that begins with http:// or https://, without a user or password (name a variable with "
    "api_key_env)",
)
_FUNCTION = matching(
    r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$",
    "a function, written as pkg.module:function",
)


_Stripping = Literal["auto", False]
_STRIPPING: Any = optional(
    "The reasoning to remove from the start of an answer. auto (default): that in tags such as "
    "<think>, <thought> or [THINK], and Harmony channels. false: nothing.",
    example=False,
)
_MIXED: Any = [{"required": ["gpu_hour_usd", key]} for key in PER_TOKEN]


class Price(Keys):
    """The price of the model's tokens, or of the machine that it runs on."""

    model_config = ConfigDict(json_schema_extra={"not": {"anyOf": _MIXED}})
    one_at_most = tuple(("gpu_hour_usd", key) for key in PER_TOKEN)

    input_per_1m: Amount = optional("US dollars per million input tokens.", example=0.4)
    output_per_1m: Amount = optional("US dollars per million output tokens.", example=1.6)
    cached_input_per_1m: Amount = optional(
        "US dollars per million cached input tokens.", example=0.1
    )
    gpu_hour_usd: Amount = optional(
        "US dollars per hour for a machine of your own.",
        example=2.5,
    )


_SYSTEM: Any = optional(
    "The system message; it replaces any in the data.", example="Answer with the intent only."
)
_SYSTEM_FILE: Any = optional(
    "A file with the system message, relative to this file.", example="prompts/intents.md"
)
_FEW_SHOT: Any = optional(
    "The number of training examples to send as user and assistant turns: stratified by label, "
    "the same for every input.",
    example=8,
)
_RETRIEVAL: Any = optional(
    "The number of training examples to send as user and assistant turns: those most similar to "
    "each input.",
    example=8,
)
_TEMPLATE: Any = optional(
    "The user message. {input} and {FIELD} are replaced literally. A name in braces that is no "
    "field is an error.",
    example="Customer: {input}",
)
_PRICE: Any = optional(
    "The model's prices, for cost checks.", example={"input_per_1m": 0.4, "output_per_1m": 1.6}
)
_NAME: Any = optional("The model's name in reports.", example="prompted")
_RETRIES: Any = optional("The maximum number of retries of a failed call. Default: 5.", example=5)

REQUEST_PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "n",
    "logprobs",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "response_format",
    "reasoning_effort",
    "tool_choice",
    "tools",
    "extra_body",
    "verbosity",
    "repetition_penalty",
    "do_sample",
)
"""Parameters of requests, which are often written beside the keys of a model."""


def as_parameter(key: str, value: Any) -> str:
    """Return how a request parameter is written."""
    number = value if isinstance(value, int | float) else "..."
    return f"params: {{{key}: {number}}}"


class Provider:
    """What the rest of the package must know of a provider beside its keys."""

    short: ClassVar[str] = "model"
    """The key that a spelling such as ``openai:NAME`` gives."""
    paths: ClassVar[tuple[str, ...]] = ()
    """The keys that name a file, relative to the file in which they are written."""
    is_remote: ClassVar[bool] = False
    """Whether an endpoint answers, into which a test's parameters cannot load other weights."""
    unwritable: ClassVar[str | None] = None
    """Why a gate file cannot hold such a model."""

    @classmethod
    def short_name(cls, value: str) -> str:
        """Return the model's name in reports, by the value of its short key."""
        return value


class _Asked(Provider, Keys):
    """The keys of a model that takes parameters with each request."""

    @classmethod
    def _elsewhere(cls, key: str, value: Any) -> str | None:
        if key not in REQUEST_PARAMETERS:
            return None
        return f"this is a request parameter: write {as_parameter(key, value)}"


_Names = Text | Annotated[list[Text], Field(min_length=1)]


def _read_names(value: Any) -> Any:
    names = value if isinstance(value, list) and value else [value]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise wrong_type("a name, or a list of names", value)
    return value


_ServedAs = Annotated[Any, PlainValidator(_read_names, json_schema_input_type=_Names)]


_FILE = re.compile(r"\S+\.(md|txt|j2|jinja2?|prompt)")


def _no_path(value: str) -> str:
    if _FILE.fullmatch(value):
        raise refusal(f"this is the path of a file, and no prompt: write system_file: {value}")
    return value


_Prompt = Annotated[Text, AfterValidator(_no_path)]


class OpenAIKeys(_Asked):
    """A model behind any OpenAI-compatible endpoint."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["system", "system_file"]}})
    one_at_most = (("system", "system_file"),)

    paths: ClassVar[tuple[str, ...]] = ("system_file",)
    is_remote: ClassVar[bool] = True

    provider: Literal["openai"] = Field(
        description="An OpenAI-compatible endpoint.", examples=["openai"]
    )
    model: Text = Field(description="The model's name at the endpoint.", examples=["gpt-4.1-mini"])
    base_url: Annotated[str, _URL] = optional(
        "The endpoint's URL. Default: OpenAI's. OPENAI_BASE_URL and similar variables are ignored.",
        example="http://localhost:8000/v1",
    )
    api_key_env: Annotated[str, _NAME_OF_VARIABLE] = optional(
        "The name of the environment variable that holds the API key, never the key itself.",
        example="OPENAI_API_KEY",
    )
    system: _Prompt = _SYSTEM
    system_file: PathText = _SYSTEM_FILE
    few_shot: Count = _FEW_SHOT
    retrieval: Count = _RETRIEVAL
    template: Text = _TEMPLATE
    params: FreeData = optional(
        "Request parameters, sent unchanged.",
        example={"temperature": 0},
    )
    concurrency: Positive = optional(
        "The maximum number of concurrent calls. Default: 16.", example=16
    )
    timeout_s: AboveZero = optional("Timeout of one attempt, in seconds. Default: 60.", example=60)
    retries: Count = _RETRIES
    requests_per_minute: AboveZero = optional(
        "The maximum number of calls per minute, in each process.", example=500
    )
    latency_sample: Count = optional(
        "Measure latency on the first so many test examples, asked one at a time before the run.",
        example=50,
    )
    revision: Text = optional(
        "The version of the weights or the function. Stored answers are reused until it changes. "
        "Default: at OpenAI always reused, elsewhere kept for the session.",
        example="2026-05-01",
    )
    served_as: _ServedAs = optional(
        "Other names that the endpoint's answers may give as their model, such as the model behind "
        "an alias.",
        example="gpt-4.1-mini-2026-04-14",
    )
    price: Price = _PRICE
    strip_reasoning: _Stripping = _STRIPPING
    name: Text = _NAME


class PythonKeys(Provider, Keys):
    """A Python function used as a model."""

    short: ClassVar[str] = "target"
    one_at_most = (("concurrency", "workers"),)

    provider: Literal["python"] = Field(
        description="A Python function that takes and returns text.", examples=["python"]
    )
    target: Annotated[str, _FUNCTION] = Field(
        description="The function, written as pkg.module:function.", examples=["app.models:predict"]
    )
    concurrency: Positive = optional(
        "The maximum number of concurrent calls. Default: 16 for async functions, 1 for others.",
        example=4,
    )
    timeout_s: AboveZero = optional("Timeout of one attempt, in seconds. Default: 60.", example=60)
    retries: Count = _RETRIES
    revision: Text = optional(
        "The version of the weights or the function. Stored answers are reused until it changes. "
        "Default: kept for the session.",
        example="2026-05-01",
    )
    batch_size: Positive = optional(
        "The maximum number of inputs per call: the function takes and returns lists.",
        example=32,
    )
    workers: Positive = optional(
        "The number of processes that call the function (with joblib), for CPU-bound functions.",
        example=4,
    )
    price: Price = _PRICE
    strip_reasoning: _Stripping = _STRIPPING
    name: Text = _NAME

    @classmethod
    def short_name(cls, value: str) -> str:
        return value.rpartition(":")[2]


class RecordedKeys(Provider, Keys):
    """Previously recorded answers."""

    short: ClassVar[str] = "path"
    paths: ClassVar[tuple[str, ...]] = ("path",)

    provider: Literal["recorded"] = Field(
        description="Recorded answers, matched to the test set by id.", examples=["recorded"]
    )
    path: PathText = Field(
        description="A JSONL file of {id, output}, relative to this file.",
        examples=["recordings/tuned.jsonl"],
    )
    price: Price = _PRICE
    strip_reasoning: _Stripping = _STRIPPING
    name: Text = _NAME

    @classmethod
    def short_name(cls, value: str) -> str:
        return os.path.basename(value)


class TransformersKeys(_Asked):
    """A model and a LoRA adapter in this process, by transformers and peft (extra local)."""

    provider: Literal["transformers"] = Field(
        description="A model in this process, loaded with transformers.", examples=["transformers"]
    )
    model: Text = Field(
        description="The folder of the model, or its name on the Hugging Face hub.",
        examples=["Qwen/Qwen2.5-0.5B-Instruct"],
    )
    adapter: Text = optional(
        "The folder of a peft adapter, such as a LoRA adapter, or its name on the hub.",
        example="out/adapter",
    )
    task: Literal["text-classification"] = optional(
        "For a fine-tuned classifier; its id2label has the names of the labels.",
        example="text-classification",
    )
    batch_size: Positive = optional("The number of examples per batch. Default: 8.", example=8)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = optional(
        "The data type of the weights. Default: auto, that of their files.", example="bfloat16"
    )
    device: Text = optional(
        "The device, such as cpu or cuda:1. Default: a GPU if there is one.", example="cuda:1"
    )
    max_new_tokens: Positive = optional(
        "The maximum length of an answer in tokens. Default: 256.", example=256
    )
    params: FreeData = optional(
        "Generation parameters, such as repetition_penalty. Default: greedy decoding.",
        example={"repetition_penalty": 1.1},
    )
    system: _Prompt = _SYSTEM
    few_shot: Count = _FEW_SHOT
    template: Text = _TEMPLATE
    price: Price = optional(
        "The price of the machine: gpu_hour_usd.", example={"gpu_hour_usd": 2.5}
    )
    name: Text = _NAME

    @classmethod
    def short_name(cls, value: str) -> str:
        return os.path.basename(value)


class CallableKeys(Provider, Keys):
    """A Python object that a marker or a fixture gives."""

    unwritable: ClassVar[str | None] = (
        "a callable cannot be written in a file: pass the function in a marker or fixture"
    )

    provider: Literal["callable"] = Field(
        description="An object that a marker or a fixture gives.", examples=["callable"]
    )
    name: Text = _NAME


class GivenKeys(Provider, Keys):
    """Answers that a marker or a fixture gives."""

    unwritable: ClassVar[str | None] = (
        "answers cannot be written in a gate file: write them into a file, and recorded:PATH"
    )

    provider: Literal["given"] = Field(
        description="Answers that a marker or a fixture gives.", examples=["given"]
    )
    name: Text = _NAME


class OtherKeys(Provider, OpenKeys):
    """A model of a provider that a plugin or conftest.py adds with the hook pytest_ftgate_model."""

    provider: Text = Field(
        description="The provider's name, which the hook recognizes.",
        json_schema_extra={
            "not": {"enum": ["openai", "python", "recorded", "transformers", "callable", "given"]}
        },
        examples=["acme"],
    )
    concurrency: Positive = optional("The maximum number of concurrent calls.", example=4)
    timeout_s: AboveZero = optional("Timeout of one attempt, in seconds.", example=60)
    retries: Count = optional("The maximum number of retries of a failed call.", example=5)
    price: Price = _PRICE
    strip_reasoning: _Stripping = _STRIPPING
    name: Text = _NAME


class ExtendsKeys(OpenKeys):
    """A model of the gate file with some of its keys replaced."""

    extends: Text = Field(
        description="A name under models. Beside it stand the keys to replace; null removes a key "
        "(system: null).",
        examples=["prompted"],
    )


ModelKeys = OpenAIKeys | PythonKeys | RecordedKeys | TransformersKeys | OtherKeys
