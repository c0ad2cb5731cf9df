"""Run local models, LoRA adapters and classifiers by transformers and peft."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from pytest_ftgate import clock
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import Example, canonical_json
from pytest_ftgate.data.lines import sha256_of
from pytest_ftgate.data.messages import canonical_calls, declared_tools
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.models.price import written_price
from pytest_ftgate.models.prompt import TEXT_PARTS, Prompt, build_prompt
from pytest_ftgate.models.protocol import Completion, Model, Surroundings, parts_of
from pytest_ftgate.models.python import FunctionModel, may_be_numbers, question
from pytest_ftgate.models.workers import CALLS_AT_ONCE
from pytest_ftgate.text import listed

# messages, or {"messages", "tools"}
Conversation: TypeAlias = "Sequence[Mapping[str, Any]] | Mapping[str, Any]"
BATCH_SIZE = 8
MAX_NEW_TOKENS = 256
_FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt", "*.py")
"""Weights, configuration, tokenizer and chat template."""
_OF_TRAINING = frozenset(
    ("trainer_state.json", "training_args.bin", "optimizer.bin", "scheduler.bin")
)
"""What a training run leaves beside them, which changes no answer."""
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")
_OF_GENERATORS = ("adapter", "max_new_tokens", "params", "system", "few_shot", "template")
"""Keys that have no meaning for a classifier."""


@dataclass(frozen=True, kw_only=True)
class Generator:
    """Answer lists of messages with a model."""

    model: str  # a folder
    adapter: str | None = None  # the folder of a peft adapter; None: the model as it is
    # hashes of the files of both: new files under an old name are loaded anew
    versions: tuple[str, str]
    dtype: str = "auto"  # that of the weights
    device: str | None = None  # None: a GPU where there is one
    max_new_tokens: int = MAX_NEW_TOKENS
    # generation parameters of transformers; else greedy
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokenizer(self) -> Any:
        return load_tokenizer(self.adapter or self.model, self.model, "".join(self.versions))

    def __call__(self, conversations: Sequence[Conversation]) -> list[Completion]:
        """Return an answer for each conversation.

        Raise :class:`ModelError` where none can be given.
        """
        import torch
        from transformers import GenerationConfig

        weights = load(self.model, self.versions[0], self.dtype, self.device)
        tokenizer = self.tokenizer
        encoded = _encode(tokenizer, conversations).to(weights.base.device)
        with weights.using(self.adapter, self.versions[1]) as model, torch.inference_mode():
            start = clock.perf_counter()
            config = self._config(model, tokenizer)
            generated = model.generate(**encoded, generation_config=GenerationConfig(**config))
            latency_s = clock.perf_counter() - start

        # Some models have several tokens that end an answer.
        end_tokens = config["eos_token_id"]
        if not isinstance(end_tokens, list):
            end_tokens = [end_tokens]
        sizes = encoded["attention_mask"].sum(dim=1).tolist()
        answers = generated[:, encoded["input_ids"].shape[1] :].tolist()
        completions = []
        for size, tokens in zip(sizes, answers, strict=True):
            length = len(tokens)
            finish = "cut_off"
            for number, token in enumerate(tokens):
                if token in end_tokens:
                    length = number
                    finish = "stop"
                    break
            n_output = min(length + 1, len(tokens))  # the token that ends the answer counts
            text = tokenizer.decode(
                tokens[:length], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            completions.append(Completion(text, size, n_output, finish=finish, latency_s=latency_s))
        return completions

    def _config(self, model: Any, tokenizer: Any) -> dict[str, Any]:
        """Return the model's generation settings without sampling, and the gate's parameters."""
        config = dict(model.generation_config.to_diff_dict())
        for name in (*_SAMPLING, "max_length"):
            config.pop(name, None)
        config["do_sample"] = False
        config["max_new_tokens"] = self.max_new_tokens
        config["pad_token_id"] = tokenizer.pad_token_id
        config.update(self.params)
        if config.get("eos_token_id") is None:
            config["eos_token_id"] = tokenizer.eos_token_id
        return config


def _encode(tokenizer: Any, conversations: Sequence[Conversation]) -> Any:
    """Return the token ids of the conversations, padded on the left to one length."""
    texts = []
    for conversation in conversations:
        messages: Any = conversation
        tools = None
        if isinstance(conversation, Mapping):
            messages = conversation["messages"]
            tools = conversation.get("tools")
        if tokenizer.chat_template is not None:
            texts.append(_rendered(tokenizer, messages, tools))
        elif len(messages) == 1 and tools is None:
            texts.append(messages[0]["content"])
        else:
            cure = (
                "write the whole text in template, without system and few_shot, or add "
                "chat_template.jinja to it"
            )
            message = "the tokenizer has no chat template, so it takes only one text"
            raise ModelError(message, cure=cure, fatal=True)

    # A chat template writes special tokens itself.
    adds_special_tokens = tokenizer.chat_template is None
    return tokenizer(
        texts, return_tensors="pt", padding=True, add_special_tokens=adds_special_tokens
    )


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, Any]], tools: Any) -> str:
    """Return a conversation in the chat template.

    Raise :class:`ModelError` if that has no place for a part of it.
    """
    from jinja2.exceptions import TemplateError

    turns = [_with_arguments_as_objects(message) for message in messages]
    try:
        text: str = tokenizer.apply_chat_template(
            turns, tools=tools, add_generation_prompt=True, tokenize=False
        )
    except TemplateError as error:
        cure = "send what the template takes: put the instructions into template instead of system"
        problem = f"the chat template refuses the messages: {error}"
        raise ModelError(problem, cure=cure, fatal=True) from error

    for name in declared_tools(tools):
        if name not in text:
            cure = (
                "save a chat template that takes tools beside the model, or remove tools from the "
                "rows"
            )
            problem = f"the chat template leaves out the tool {name}"
            raise ModelError(problem, cure=cure, fatal=True)
    return text


def _with_arguments_as_objects(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message with the arguments of tool calls as objects, in place of JSON text."""
    calls = message.get("tool_calls") or []
    try:
        functions = canonical_calls(calls)
    except ValueError:  # as written, for what the template makes of it
        return message
    if not functions:
        return message

    tool_calls = []
    for call, function in zip(calls, functions, strict=True):
        tool_calls.append({**call, "type": "function", "function": function})
    return {**message, "tool_calls": tool_calls}


def _conversation(prompt: Prompt, example: Example) -> Conversation:
    """Return the messages for an example, with the tools of its row if there are any."""
    messages = prompt.messages(example)
    for message in messages:
        content = message.get("content")
        for item in content if isinstance(content, list) else ():
            kind = item.get("type")
            if kind and kind not in TEXT_PARTS:
                problem = f"provider transformers sends text, not parts of type {kind}"
                cure = "serve the model at an endpoint"
                raise ModelError(problem, where=example.place, cure=cure, fatal=True)

    tools = example.fields.get("tools")
    if declared_tools(tools):
        return {"messages": messages, "tools": tools}
    return messages


class Weights:
    """One base model in memory, with the adapters that were loaded onto it.

    One caller uses it at a time.
    """

    def __init__(self, base: Any) -> None:
        self.base = base
        self._peft: Any = None
        self._fitting = set[str]()
        self._lock = Lock()

    @contextmanager
    def using(self, adapter: str | None, version: str) -> Iterator[Any]:
        """Yield the model with this adapter switched on, or with none, until the caller is done."""
        with self._lock:
            if adapter is not None:
                self._load(adapter, version)
                self._peft.set_adapter(version)
                yield self._peft.eval()
            elif self._peft is not None:
                with self._peft.disable_adapter():
                    yield self._peft
            else:
                yield self.base

    def _load(self, adapter: str, version: str) -> None:
        """Load an adapter, which peft knows by the hash of its files, unless that was done."""
        from peft import PeftModel, get_peft_model_state_dict, load_peft_weights

        if version in self._fitting:
            return
        try:
            # All adapters share the weights of the base model in memory.
            with _quietly():
                if self._peft is None:
                    self._peft = PeftModel.from_pretrained(self.base, adapter, adapter_name=version)
                elif version not in self._peft.peft_config:
                    self._peft.load_adapter(adapter, adapter_name=version)
                state = partial(get_peft_model_state_dict, self._peft, adapter_name=version)
                needed = state(save_embedding_layers=False).keys()
                accepted = state(save_embedding_layers=True).keys()
                written = load_peft_weights(adapter, device="cpu").keys()
            misfits = sorted((written - accepted) | (needed - written))
            if misfits:
                raise ValueError(f"only one of the two has the weights {listed(misfits)}")
        except Exception as error:
            cure = "name the base model that it was trained on as model"
            message = f"the adapter {adapter} does not fit the model: {error}"
            raise ModelError(message, cure=cure, fatal=True) from error
        self._fitting.add(version)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep progress bars out of a CI log, and warnings, which a suite may raise, out of a run."""
    from transformers.utils import logging

    shows_progress = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if shows_progress:
            logging.enable_progress_bar()


@cache
def load_tokenizer(folder: str, base: str, version: str) -> Any:  # noqa: ARG001
    """Return the tokenizer of a folder, such as an adapter's, else that of the base model.

    ``version`` changes with the files, so that new ones are loaded anew.
    """
    from transformers import AutoTokenizer

    if not (Path(folder) / "tokenizer_config.json").is_file():
        folder = base
    try:
        with _quietly():
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    except Exception as error:
        raise ModelError(f"the tokenizer cannot be loaded: {error}", fatal=True) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@cache
def load(
    model: str,
    version: str,  # noqa: ARG001
    dtype: str,
    device: str | None,
    head: str = "CausalLM",
) -> Weights:
    """Return the weights of a folder; this process loads them once.

    Raise a fatal :class:`ModelError`.

    ``head`` names the class of transformers by what follows ``AutoModelFor``.
    """
    import torch
    import transformers

    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with _quietly():
            kind = getattr(transformers, f"AutoModelFor{head}")
            loaded, info = kind.from_pretrained(model, dtype=dtype, output_loading_info=True)
        absent = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
        if absent:
            raise ValueError(f"its files do not have the weights {listed(sorted(absent))}")
        return Weights(loaded.to(place).eval())
    except Exception as error:
        raise ModelError(f"the model {model} cannot be loaded: {error}", fatal=True) from error


@dataclass(frozen=True)
class Classifier:
    """Answer texts with the label of the largest score, as ``id2label`` of the model names it."""

    model: str  # a folder
    version: str  # a hash of its files
    dtype: str
    device: str | None
    batch_size: int

    def __call__(self, texts: Sequence[str]) -> list[Completion]:
        """Return the label of each text.

        Texts of similar length are classified together, which need little padding.
        """
        # Padding costs as much as text.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        answers: dict[int, Completion] = {}
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            answers.update(zip(rows, self._classified([texts[row] for row in rows]), strict=True))
        return [answers[row] for row in range(len(texts))]

    def _classified(self, texts: list[str]) -> list[Completion]:
        """Return the label of each text.

        Of models for several labels, a JSON list of those above 0.5.
        """
        import torch

        weights = load(self.model, self.version, self.dtype, self.device, "SequenceClassification")
        tokenizer = load_tokenizer(self.model, self.model, self.version)
        start = clock.perf_counter()
        encoded = tokenizer(
            texts, return_tensors="pt", padding=True, padding_side="right", truncation=True
        )
        with weights.using(None, "") as model, torch.inference_mode():
            scores = model(**encoded.to(model.device)).logits

        names = model.config.id2label
        if model.config.problem_type == "multi_label_classification":
            labels = [_labels_above_half(names, row) for row in scores.tolist()]
        else:
            labels = [names[i] for i in scores.argmax(dim=-1).tolist()]
        latency_s = clock.perf_counter() - start
        sizes = encoded["attention_mask"].sum(dim=1).tolist()
        return [
            Completion(label, size, 0, latency_s=latency_s)
            for label, size in zip(labels, sizes, strict=True)
        ]


def _labels_above_half(names: Mapping[int, str], logits: Sequence[float]) -> str:
    return canonical_json([names[i] for i, logit in enumerate(logits) if logit > 0])


def build_transformers(spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return the model of a gate's ``transformers`` keys. Raise :class:`ConfigError`."""
    folder = find_folder(spec, "model", surroundings)
    if "task" in spec.options:
        return _classifier(spec, folder, surroundings)
    return _generator(spec, folder, surroundings)


def _classifier(spec: ModelSpec, folder: Path, surroundings: Surroundings) -> FunctionModel:
    options = spec.options
    unfit = [key for key in _OF_GENERATORS if key in options]
    if unfit:
        message = f"{listed(unfit)} has no meaning with task: {options['task']}"
        cure = "remove it; merge an adapter into its model, and save that model"
        raise ConfigError(message, where=spec.source.where(unfit[0]), cure=cure)

    batch_size = options.get("batch_size", BATCH_SIZE)
    classifier = Classifier(
        model=str(folder),
        version=fingerprint(folder),
        dtype=options.get("dtype", "auto"),
        device=options.get("device"),
        batch_size=batch_size,
    )
    return _local(
        spec,
        classifier,
        {"task": options["task"], "files": classifier.version, "dtype": classifier.dtype},
        batch_size=batch_size * CALLS_AT_ONCE,
        uses=classifier,
        argument=question,
        numbers=may_be_numbers(surroundings),
    )


def _generator(spec: ModelSpec, folder: Path, surroundings: Surroundings) -> FunctionModel:
    options = spec.options
    adapter = None
    adapter_version = ""
    version = fingerprint(folder)
    if "adapter" in options:
        adapter_folder = find_folder(spec, "adapter", surroundings)
        adapter = str(adapter_folder)
        adapter_version = fingerprint(adapter_folder)
    generator = Generator(
        model=str(folder),
        adapter=adapter,
        versions=(version, adapter_version),
        dtype=options.get("dtype", "auto"),
        device=options.get("device"),
        max_new_tokens=options.get("max_new_tokens", MAX_NEW_TOKENS),
        params=options.get("params") or {},
    )
    prompt = build_prompt(spec, surroundings.training)
    facts = {
        "files": generator.versions,
        "dtype": generator.dtype,
        "max_new_tokens": generator.max_new_tokens,
        "params": generator.params,
    }
    return _local(
        spec,
        generator,
        facts,
        batch_size=options.get("batch_size", BATCH_SIZE),
        uses=(generator.model, version, generator.dtype, generator.device),
        argument=partial(_conversation, prompt),
        prompt=prompt,
        params={"max_new_tokens": generator.max_new_tokens, **generator.params},
    )


def _local(
    spec: ModelSpec,
    function: Callable[[Any], Any],
    facts: Mapping[str, Any],
    *,
    uses: Any,
    **attributes: Any,
) -> FunctionModel:
    """Return a model of this process: ``facts`` decide its answers, ``uses`` are its weights."""
    # Answers are kept: the files of the weights are a part of their keys.
    common = parts_of(spec)
    common["timeout_s"] = None  # loading is a part of the first call
    return FunctionModel(
        function=function,
        identity=canonical_json({"provider": "transformers", **facts}),
        price=written_price(spec.options.get("price"), str(spec.source)),
        persistent=True,
        concurrency=1,
        batched=True,
        exclusive=frozenset([uses]),
        **attributes,
        **common,
    )


def find_folder(spec: ModelSpec, key: str, surroundings: Surroundings) -> Path:
    """Return the folder that a key names, else that of the Hugging Face hub's files.

    Raise :class:`ConfigError` if there is none, or a package of the extra ``local`` is not
    installed.
    """
    for module in ("torch", "transformers", "peft"):
        if find_spec(module) is None:
            message = f"provider transformers needs the package {module}"
            cure = "pip install torch transformers peft huggingface-hub"
            raise ConfigError(message, where=spec.source.where(), cure=cure)

    name = spec.options[key]
    folder = Path(spec.source.absolute(name))
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    download = partial(snapshot_download, allow_patterns=list(_FILES))
    try:
        return Path(download(name, local_files_only=surroundings.offline))
    except Exception as error:
        message = f"{name!r} is neither a folder nor a model of the Hugging Face hub"
        where = spec.source.where(key)
        raise ConfigError(message, where=where, evidence=f"{error!r}") from error


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 (hex) of the files that decide what a model answers."""
    digests = {}
    for pattern in _FILES:
        for path in folder.glob(pattern):
            if path.name not in _OF_TRAINING:
                digests[path.name] = sha256_of(path)
    return hashlib.sha256(canonical_json(digests).encode()).hexdigest()
