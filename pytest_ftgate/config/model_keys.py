"""The keys of a model, by provider."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, model_validator

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
    optional,
)
from pytest_ftgate.config.problems import refusal, refusals
from pytest_ftgate.text import got, quoted

PER_TOKEN = ("input_per_1m", "output_per_1m", "cached_input_per_1m")


def mixed(keys: Collection[str]) -> str | None:
    """What is wrong with these keys standing together in one price; ``None``: nothing."""
    both = [key for key in PER_TOKEN if key in keys] if "gpu_hour_usd" in keys else []
    return f"has gpu_hour_usd, the price of a machine, and {both[0]}, the price of tokens" if both else None


_ENVIRONMENT_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_JOB = r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$"
_TARGET = r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$"


def _matching(pattern: str, must: str, *, show: bool = True) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise refusal(f"must be {must}" + (f", got the text {quoted(value)}" if show else ""))
        return value

    return AfterValidator(check)


_EnvironmentVariable = _matching(
    _ENVIRONMENT_VARIABLE, "the name of an environment variable, as OPENAI_API_KEY, never the key itself", show=False
)
_Job = _matching(_JOB, "the id of a fine-tuning job, as ftjob-abc123")
_Target = _matching(_TARGET, "a function as pkg.module:function")


def _url(value: str) -> str:
    if not re.match(r"https?://[^/]", value):
        raise refusal(f"must begin with http:// or https://, got the text {quoted(value.split('@')[-1].split('?')[0])}")
    if "@" in value.split("/")[2]:
        raise refusal("must not carry a user or password: name an environment variable with api_key_env")
    return value


def _read_checkpoint(value: Any) -> Any:
    if value in ("best", "last") or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise refusal(f"must be best, last, or the number of a step, {got(value, ())}")


def _read_stripping(value: Any) -> Any:
    if value == "auto" or value is False:
        return value
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(tag, str) and tag for tag in value):
        return tuple(value)
    raise refusal(f"must be auto, false, or a pair of tags such as ['<think>', '</think>'], {got(value, ())}")


_Stripping = Annotated[
    Any,
    PlainValidator(
        _read_stripping,
        json_schema_input_type=Literal["auto", False] | Annotated[list[str], Field(min_length=2, max_length=2)],
    ),
]


def _stripping() -> Any:
    return optional(
        "Which reasoning is taken off the front of an answer: auto, where absent, the tags <think>, <thinking> and "
        "<reasoning> and the channels of Harmony; a pair of tags; or false, none."
    )


class Price(Keys):
    """What the model's tokens cost, or the machine that it runs on."""

    model_config = ConfigDict(
        json_schema_extra={"not": {"anyOf": [{"required": ["gpu_hour_usd", key]} for key in PER_TOKEN]}}
    )

    input_per_1m: Amount = optional("USD for a million input tokens.")
    output_per_1m: Amount = optional("USD for a million output tokens.")
    cached_input_per_1m: Amount = optional("USD for a million input tokens that the endpoint had cached.")
    training_per_1m: Amount = optional("USD for a million training tokens.")
    gpu_hour_usd: Amount = optional(
        "USD for an hour of the machine that a model of your own runs on, spread over its calls."
    )

    @model_validator(mode="after")
    def _one_way_to_pay(self) -> Price:
        if flaw := mixed(self.model_fields_set):
            raise refusals([(("gpu_hour_usd",), f"the price {flaw}: keep one")])
        return self


class FewShot(Keys):
    """Training examples sent before every input."""

    k: Positive = Field(
        description="How many training examples are sent as user and assistant turns: stratified by label, "
        "chosen with a fixed seed, the same for every input."
    )


class Retrieval(Keys):
    """Training examples sent before an input, chosen for that input."""

    k: Positive = Field(
        description="How many training examples are sent as user and assistant turns: those whose inputs are most like "
        "this one, the most similar last."
    )


class Latency(Keys):
    """A sample of answers taken by itself, so that nothing else distorts how long they take."""

    concurrency: Positive = Field(default=1, description="Calls in flight while the sample is taken.")
    examples: Positive = Field(default=50, description="Examples in the sample, from the beginning of the test set.")


class OpenAIKeys(Keys):
    """A model behind any OpenAI-compatible endpoint."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"required": ["system", "system_file"]},
            "oneOf": [{"required": ["model"], "not": {"required": ["checkpoint"]}}, {"required": ["job"]}],
        }
    )
    short: ClassVar[str] = "model"
    one_at_most = (("system", "system_file"),)
    exactly_one = (("model", "job"),)

    provider: Literal["openai"] = Field(description="An OpenAI-compatible endpoint.")
    model: Text = optional("The model's name at the endpoint. This or job is required.")
    job: Annotated[Text, _Job] = optional(
        "The fine-tuning job that made the model: its name, base model and training file are read from the endpoint.",
        json_schema_extra={"pattern": _JOB},
    )
    checkpoint: Annotated[
        Any,
        PlainValidator(_read_checkpoint, json_schema_input_type=Literal["best", "last"] | Annotated[int, Field(ge=0)]),
    ] = optional(
        "Which of the job's checkpoints is meant: best (on validation_set, or by the job's own validation "
        "loss), last, or the number of a step. Where absent, the job's fine_tuned_model."
    )
    base_url: Annotated[str, AfterValidator(_url)] = optional(
        "The endpoint; OpenAI's own where absent. OPENAI_BASE_URL and its like are ignored.",
        json_schema_extra={"pattern": "^https?://[^/]"},
    )
    api_key_env: Annotated[str, _EnvironmentVariable] = optional(
        "The environment variable that holds the key. Never the key itself.",
        json_schema_extra={"pattern": _ENVIRONMENT_VARIABLE},
    )
    system: Text = optional("The system message; it replaces one in the data.")
    system_file: PathText = optional("A file with the system message, relative to this file.")
    few_shot: FewShot = optional("Training examples sent before every input.")
    retrieval: Retrieval = optional("Training examples sent before an input, chosen for that input.")
    template: Text = optional("The user message: {input} and {FIELD} are replaced literally, nothing else.")
    params: FreeData = optional("Request parameters, sent untouched, as temperature: 0.")
    api: Literal["chat", "responses"] = optional(
        "Which API is asked: chat completions (chat, where absent), or the Responses API."
    )
    mode: Literal["live", "batch"] = optional(
        "How it is asked: live, an answer a call (where absent), or batch, "
        "through the endpoint's files and batches API: half the price, done within a day."
    )
    concurrency: Positive = optional(
        "Most calls at the same time; 16 where absent. In mode batch: most batches; 1 where absent."
    )
    timeout_s: AboveZero = optional("Seconds that one attempt may take; 60 where absent. In mode batch it is no limit.")
    retries: Count = optional("How often a failed call is tried again; 5 where absent.")
    requests_per_minute: AboveZero = optional("Most calls that begin within a minute, in each process that asks.")
    tokens_per_minute: AboveZero = optional("Most tokens within a minute, questions and answers, in each process.")
    latency: Latency = optional("Latencies are taken from a sample by itself, in place of the whole run.")
    revision: Text = optional(
        "The state of the weights, where the name does not tell; part of what answers are stored under."
    )
    price: Price = optional("What the model's tokens cost.")
    strip_reasoning: _Stripping = _stripping()
    name: Text = optional("What reports call the model.")

    @model_validator(mode="after")
    def _checkpoint_of_a_job(self) -> OpenAIKeys:
        if "checkpoint" in self.model_fields_set and "job" not in self.model_fields_set:
            raise refusals([(("checkpoint",), "only a job has checkpoints: name it in place of model")])
        return self

    @model_validator(mode="after")
    def _batches_of_chats(self) -> OpenAIKeys:
        if self.api == "responses" and self.mode == "batch":
            raise refusals([(("mode",), "the batch API is asked for chat completions alone: leave out api or mode")])
        return self


class PythonKeys(Keys):
    """A Python function as a model."""

    short: ClassVar[str] = "target"
    one_at_most = (("concurrency", "workers"),)

    provider: Literal["python"] = Field(description="A Python function: text in, text out.")
    target: Annotated[str, _Target] = Field(
        description="The function, as pkg.module:function.",
        json_schema_extra={"pattern": r"^[^:\s]+:[^:\s]+$"},
    )
    concurrency: Positive = optional(
        "Most calls at the same time; where absent, 16 for async functions and 1 for others."
    )
    timeout_s: AboveZero = optional("Seconds that one attempt may take; 60 where absent.")
    retries: Count = optional("How often a failed call is tried again; 5 where absent.")
    latency: Latency = optional("Latencies are taken from a sample by itself, in place of the whole run.")
    cache_key: Text = optional("Names the function's state: its answers are kept on disk until this changes.")
    batch_size: Positive = optional(
        "The function takes a list of up to so many inputs, and returns a list of as many answers."
    )
    workers: Positive = optional("So many processes call the function, by joblib: for work of the CPU.")
    price: Price = optional("What the model's tokens cost.")
    strip_reasoning: _Stripping = _stripping()
    name: Text = optional("What reports call the model.")


class RecordedKeys(Keys):
    """Predictions that were recorded before."""

    short: ClassVar[str] = "path"

    provider: Literal["recorded"] = Field(description="Recorded predictions, joined to the test set by id.")
    path: PathText = Field(description="JSONL of {id, output}, relative to this file.")
    price: Price = optional("What the model's tokens cost.")
    strip_reasoning: _Stripping = _stripping()
    name: Text = optional("What reports call the model.")


class TransformersKeys(Keys):
    """A model and LoRA adapter that run in this process, by transformers and peft (the extra local)."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["system", "system_file"]}})
    short: ClassVar[str] = "model"
    one_at_most = (("system", "system_file"),)

    provider: Literal["transformers"] = Field(description="A model in this process, loaded with transformers.")
    model: Text = Field(description="The folder of the model, or its name on the Hugging Face hub.")
    adapter: Text = optional("The folder of a peft adapter, such as a LoRA, or its name on the hub.")
    revision: Text = optional("The revision of model and adapter on the hub.")
    batch_size: Positive = optional("How many examples are answered at once; 8 where absent.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = optional(
        "The type of the weights; auto, that of their files, where absent."
    )
    device: Text = optional("Where the model runs, such as cpu or cuda:1; a GPU where there is one, if absent.")
    max_new_tokens: Positive = optional("Longest answer in tokens; 256 where absent. A longer one is cut off.")
    params: FreeData = optional("Further generation parameters, such as repetition_penalty; without them it is greedy.")
    system: Text = optional("The system message; it replaces one in the data.")
    system_file: PathText = optional("A file with the system message, relative to this file.")
    few_shot: FewShot = optional("Training examples sent before every input.")
    retrieval: Retrieval = optional("Training examples sent before an input, chosen for that input.")
    template: Text = optional("The user message: {input} and {FIELD} are replaced literally, nothing else.")
    workers: Positive = optional("How many processes run the model, each with a copy of its own, by joblib.")
    timeout_s: AboveZero = optional("Seconds that one batch may take; no limit where absent.")
    latency: Latency = optional("Latencies are taken from a sample by itself, in place of the whole run.")
    price: Price = optional("What the machine costs: gpu_hour_usd.")
    strip_reasoning: _Stripping = _stripping()
    name: Text = optional("What reports call the model.")


class OtherKeys(OpenKeys):
    """A model of a provider that a plugin or a conftest brings, by the hook pytest_ftgate_model."""

    short: ClassVar[str] = "model"

    provider: Text = Field(
        description="The name by which the hook knows its models.",
        json_schema_extra={"not": {"enum": ["openai", "python", "recorded", "transformers", "callable"]}},
    )
    concurrency: Positive = optional("Most calls at the same time.")
    timeout_s: AboveZero = optional("Seconds that one attempt may take.")
    retries: Count = optional("How often a failed call is tried again.")
    price: Price = optional("What the model's tokens cost.")
    strip_reasoning: _Stripping = _stripping()
    name: Text = optional("What reports call the model.")


ModelKeys = OpenAIKeys | PythonKeys | RecordedKeys | TransformersKeys | OtherKeys
