"""Local models, LoRA adapters and fine-tuned classifiers, by transformers and peft: the extra ``local``."""

import hashlib
import json
import re
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
from pytest_ftgate.data import Example, canonical_json, expected_text
from pytest_ftgate.data.messages import canonical_calls, declared_tools
from pytest_ftgate.errors import ConfigError, ModelError
from pytest_ftgate.models.price import written_price
from pytest_ftgate.models.prompt import TEXT_PARTS, Prompt, build_prompt
from pytest_ftgate.models.protocol import Completion, Model, Surroundings, parts_of
from pytest_ftgate.models.python import FunctionModel, question
from pytest_ftgate.models.workers import CALLS_AT_ONCE
from pytest_ftgate.text import listed

# messages, or {"messages", "tools"}
Conversation: TypeAlias = "Sequence[Mapping[str, Any]] | Mapping[str, Any]"
BATCH_SIZE, MAX_NEW_TOKENS = 8, 256
_FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt", "*.py")
"""Weights, configuration, tokenizer and chat template; what a training run leaves beside them changes no answer."""
_OF_TRAINING = frozenset(
    ("trainer_state.json", "training_args.bin", "optimizer.bin", "scheduler.bin")
)
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p")


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

        weights, tokenizer = (
            load(self.model, self.versions[0], self.dtype, self.device),
            self.tokenizer,
        )
        encoded = _encode(tokenizer, conversations).to(weights.base.device)
        with weights.using(self.adapter, self.versions[1]) as model, torch.inference_mode():
            start = clock.perf_counter()
            # The model's own settings without their sampling, and with the gate's parameters.
            config = {**model.generation_config.to_diff_dict(), "do_sample": False}
            config = {
                key: value for key, value in config.items() if key not in (*_SAMPLING, "max_length")
            }
            config |= {
                "max_new_tokens": self.max_new_tokens,
                "pad_token_id": tokenizer.pad_token_id,
                **self.params,
            }
            if config.get("eos_token_id") is None:
                config["eos_token_id"] = tokenizer.eos_token_id
            generated = model.generate(**encoded, generation_config=GenerationConfig(**config))
            latency_s = clock.perf_counter() - start
        ends, found = config["eos_token_id"], []
        ends = ends if isinstance(ends, list) else [ends]
        answers = generated[:, encoded["input_ids"].shape[1] :].tolist()
        for size, tokens in zip(
            encoded["attention_mask"].sum(dim=1).tolist(), answers, strict=True
        ):
            length = next((i for i, token in enumerate(tokens) if token in ends), None)
            text = tokenizer.decode(
                tokens[:length], skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            n_output, finish = (len(tokens), "cut_off") if length is None else (length + 1, "stop")
            found.append(Completion(text, size, n_output, finish=finish, latency_s=latency_s))
        return found


def _encode(tokenizer: Any, conversations: Sequence[Conversation]) -> Any:
    """Return the token ids of the conversations, padded on the left to one length."""
    asked = [one if isinstance(one, Mapping) else {"messages": one} for one in conversations]
    if tokenizer.chat_template is not None:
        texts = [_rendered(tokenizer, one["messages"], one.get("tools")) for one in asked]
        return tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    if any(len(one["messages"]) != 1 or "tools" in one for one in asked):
        what = "the tokenizer has no chat template, so it takes only one text"
        cure = "write the whole text in template, without system and few_shot, or add chat_template.jinja to it"
        raise ModelError(what, cure=cure, fatal=True)
    return tokenizer(
        [one["messages"][0]["content"] for one in asked], return_tensors="pt", padding=True
    )


def _rendered(tokenizer: Any, messages: Sequence[Mapping[str, Any]], tools: Any) -> str:
    """Return a conversation in the chat template.

    Raise :class:`ModelError` if that has no place for a part of it.
    """
    from jinja2.exceptions import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(
            list(map(_as_templates_take_it, messages)),
            tools=tools,
            add_generation_prompt=True,
            tokenize=False,
        )
    except TemplateError as error:
        cure = "send what the template takes: put the instructions into template instead of system"
        raise ModelError(
            f"the chat template refuses the messages: {error}", cure=cure, fatal=True
        ) from error
    missing = [name for name in declared_tools(tools) if name not in text]
    if missing:
        cure = (
            "save a chat template that takes tools beside the model, or remove tools from the rows"
        )
        raise ModelError(
            f"the chat template leaves out the tool {missing[0]}", cure=cure, fatal=True
        )
    return text


def _as_templates_take_it(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message with the arguments of tool calls as objects, which OpenAI's format has as JSON text."""
    calls = message.get("tool_calls") or []
    try:
        pairs = zip(calls, canonical_calls(calls), strict=True)
    except ValueError:  # as written, for what the template makes of it
        return message
    objects = [{**call, "type": "function", "function": one} for call, one in pairs]
    return {**message, "tool_calls": objects} if objects else message


def _given(prompt: Prompt, example: Example) -> Conversation:
    """Return the messages for an example, with the tools of its row if there are any."""
    messages, tools = prompt.messages(example), example.fields.get("tools")
    contents = (message.get("content") for message in messages)
    others = (
        part.get("type") for content in contents if isinstance(content, list) for part in content
    )
    if other := next((one for one in others if one not in TEXT_PARTS), None):
        what, cure = (
            f"provider transformers sends text, not parts of type {other}",
            "serve the model at an endpoint",
        )
        raise ModelError(what, where=example.place, cure=cure, fatal=True)
    return {"messages": messages, "tools": tools} if declared_tools(tools) else messages


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
            with _quietly():
                if self._peft is None:
                    self._peft = PeftModel.from_pretrained(self.base, adapter, adapter_name=version)
                elif version not in self._peft.peft_config:
                    self._peft.load_adapter(adapter, adapter_name=version)
                state = partial(get_peft_model_state_dict, self._peft, adapter_name=version)
                needed, taken = (state(save_embedding_layers=also).keys() for also in (False, True))
                written = load_peft_weights(adapter, device="cpu").keys()
            if misfits := sorted((written - taken) | (needed - written)):
                raise ValueError(
                    f"it has, or lacks, weights that the model lacks or has: {listed(misfits)}"
                )
        except Exception as error:
            cure = "name the base model that it was trained on as model"
            raise ModelError(
                f"the adapter {adapter} does not fit the model: {error}", cure=cure, fatal=True
            ) from error
        self._fitting.add(version)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep progress bars out of a CI log, and warnings, which a suite may turn into errors, out of a run."""
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
def load_tokenizer(folder: str, base: str, version: str) -> Any:  # noqa: ARG001  # new files are loaded anew
    """Return the tokenizer in this folder, else that of the base model: an adapter may bring its own."""
    from transformers import AutoTokenizer

    own = (Path(folder) / "tokenizer_config.json").is_file()
    try:
        with _quietly():
            tokenizer = AutoTokenizer.from_pretrained(folder if own else base, padding_side="left")
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
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found: dict[int, Completion] = {}
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            found.update(zip(rows, self._classified([texts[row] for row in rows]), strict=True))
        return [found[row] for row in range(len(texts))]

    def _classified(self, texts: list[str]) -> list[Completion]:
        """Return the label of each text; of models for several labels, a JSON list of those above 0.5."""
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
            labels = [
                canonical_json([names[i] for i, score in enumerate(row) if score > 0])
                for row in scores.tolist()
            ]
        else:
            labels = [names[i] for i in scores.argmax(dim=-1).tolist()]
        latency_s = clock.perf_counter() - start
        sizes = encoded["attention_mask"].sum(dim=1).tolist()
        return [
            Completion(label, n, 0, latency_s=latency_s)
            for label, n in zip(labels, sizes, strict=True)
        ]


def build_transformers(spec: ModelSpec, surroundings: Surroundings) -> Model:
    """Return the model of a gate's ``transformers`` keys. Raise :class:`ConfigError`."""
    options, where = spec.options, spec.source.where
    folder = find_folder(spec, "model", surroundings)
    version, dtype, device = (
        fingerprint(folder),
        options.get("dtype", "auto"),
        options.get("device"),
    )
    batch_size = options.get("batch_size", BATCH_SIZE)
    if "task" in options:
        _check_classifier(spec, folder, surroundings)
        classifier = Classifier(str(folder), version, dtype, device, batch_size)
        facts = {"task": options["task"], "files": version, "dtype": dtype}
        return _local(
            spec,
            classifier,
            facts,
            batch_size=batch_size * CALLS_AT_ONCE,
            uses=classifier,
            argument=question,
        )
    made_for = _config_in(folder).get("architectures") or ()
    if any("ForSequenceClassification" in str(one) for one in made_for):
        what = f"{options['model']} is a sequence classifier ({listed(map(str, made_for))}), which writes no text"
        raise ConfigError(what, where=where("model"), cure="write task: text-classification")
    adapter = str(find_folder(spec, "adapter", surroundings)) if "adapter" in options else None
    versions = version, fingerprint(Path(adapter)) if adapter else ""
    limits = {
        "max_new_tokens": options.get("max_new_tokens", MAX_NEW_TOKENS),
        "params": options.get("params") or {},
    }
    generator = Generator(
        model=str(folder), adapter=adapter, versions=versions, dtype=dtype, device=device, **limits
    )
    prompt, uses = (
        build_prompt(spec, surroundings.training),
        (generator.model, version, dtype, device),
    )
    sent = {
        "prompt": prompt,
        "params": {"max_new_tokens": generator.max_new_tokens, **generator.params},
    }
    facts = {"files": versions, "dtype": dtype, **limits}
    return _local(
        spec,
        generator,
        facts,
        batch_size=batch_size,
        uses=uses,
        argument=partial(_given, prompt),
        **sent,
    )


def _local(
    spec: ModelSpec,
    function: Callable[[Any], Any],
    facts: Mapping[str, Any],
    *,
    uses: Any,
    **parts: Any,
) -> FunctionModel:
    """Return a model that runs in this process: ``facts`` decide its answers, and it alone ``uses`` its weights."""
    parts |= {**parts_of(spec), "timeout_s": None}  # loading is a part of the first call
    parts |= {"persistent": True, "concurrency": 1, "batched": True, "exclusive": frozenset([uses])}
    identity = canonical_json({"provider": "transformers", **facts})
    price = written_price(spec.options.get("price"), str(spec.source))
    return FunctionModel(function=function, identity=identity, price=price, **parts)


def _check_classifier(spec: ModelSpec, folder: Path, surroundings: Surroundings) -> None:
    """Raise :class:`ConfigError` for keys that do not suit a classifier, and for labels without names."""
    options, where = spec.options, spec.source.where
    unfit = [
        key
        for key in ("adapter", "max_new_tokens", "params", "system", "few_shot", "template")
        if key in options
    ]
    if unfit:
        what = f"{listed(unfit)} has no meaning with task: {options['task']}"
        cure = "Remove it; an adapter is merged into its model before that is saved."
        raise ConfigError(what, where=where(unfit[0]), cure=cure)
    config = _config_in(folder)
    names = [str(name) for name in (config.get("id2label") or {"0": "LABEL_0"}).values()]
    asked = () if surroundings.asked is None else surroundings.asked.expected
    named = {expected_text(one) for one in asked} & {*names}
    if config and not named and all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        what = f"the labels of {options['model']} have no names: id2label of its config.json has {listed(names[:3])}"
        cure = (
            "Save them with the model: model.config.id2label = dict(enumerate(encoder.classes_))."
        )
        raise ConfigError(what, where=where("model"), cure=cure)


def _config_in(folder: Path) -> Mapping[str, Any]:
    """Return the configuration of the model in a folder; empty if it is broken: transformers says what is wrong."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def find_folder(spec: ModelSpec, key: str, surroundings: Surroundings) -> Path:
    """Return the folder that a key names, else where the Hugging Face hub's files of that name are kept here.

    Raise :class:`ConfigError` if there is none, or a package of the extra ``local`` is not
    installed.
    """
    for module in ("torch", "transformers", "peft"):
        if find_spec(module) is None:
            what = f"provider transformers needs the package {module}"
            cure = "pip install torch transformers peft huggingface-hub"
            raise ConfigError(what, where=spec.source.where(), cure=cure)
    name = spec.options[key]
    written = Path(spec.source.absolute(name))
    if written.is_dir():
        return written
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=list(_FILES), local_files_only=surroundings.offline
            )
        )
    except Exception as error:
        what, evidence = (
            f"{name!r} is neither a folder nor a model of the Hugging Face hub",
            f"{error!r}",
        )
        raise ConfigError(what, where=spec.source.where(key), evidence=evidence) from error


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 (hex) of the files that decide what a model answers, by their names and contents."""
    digests = {}
    for path in sorted({path for pattern in _FILES for path in folder.glob(pattern)}):
        if path.name not in _OF_TRAINING:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            digests[path.name] = digest.hexdigest()
    return hashlib.sha256(canonical_json(digests).encode()).hexdigest()
