"""Build the messages for a chat model: instructions, few-shot turns, and the input in its template.

Few-shot examples may be chosen for each input by the cosine of TF-IDF weights of character n-grams
within words, which needs no model, no network and no language settings. Source of the method: Liu
et al. (2022), What Makes Good In-Context Examples for GPT-3? (DeeLIO), there with sentence
embeddings; the most similar example comes last, next to the question.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import nsmallest
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import is_blank, lines, normalized_input, without_instructions
from pytest_ftgate.data.example import (
    DataSet,
    Example,
    Input,
    Messages,
    content_id,
    expected_text,
)
from pytest_ftgate.data.messages import INSTRUCTIONS, calls_in, calls_to_send, declared_tools
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import excerpt, listed, suggestion

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NAME = re.compile(r"\s*[^\W\d][\w .-]*")
"""What reads as the name of a field.

Other text in braces, such as ``{"label": ...}``, is literal.
"""
_SEED = "pytest-ftgate few-shot 1"
_DECIMALS = 9  # of a similarity: smaller differences are rounding, which differs between machines
TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass(frozen=True)
class Prompt:
    """Turn examples into messages."""

    source: str = ""  # where the model is written
    # replaces the instructions (system and developer messages) of the data
    system: str | None = None
    template: str | None = None  # the user message, with {input} and {FIELD}; None: the input
    shots: Messages = ()  # user and assistant turns between the instructions and the input
    # training examples that follow them, chosen for each input
    neighbours: "Neighbours | None" = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names in the template besides ``input``: fields of the examples."""
        names = dict.fromkeys(_PLACEHOLDER.findall(self.template or ""))
        return tuple(name for name in names if name != "input")

    def messages(self, example: Example) -> list[Mapping[str, Any]]:
        """Return the messages for this example, without its output.

        Raise :class:`ConfigError` about the template.
        """
        instructions, turns = self._split(example)
        if self.system is not None:
            instructions = [{"role": "system", "content": self.system}]
            turns = _without_instructions(turns)

        messages = [*instructions, *self.shots]
        if self.neighbours is not None:
            for neighbour in self.neighbours.of(example):
                messages += self.shot(neighbour)
        return messages + turns

    def shot(self, example: Example) -> list[Mapping[str, Any]]:
        """Return a training example as turns before an input.

        Raise :class:`ConfigError` about the template.
        """
        _, turns = self._split(example)
        turns = _without_instructions(turns)
        text = expected_text(example.expected)
        calls = calls_in(text) if declared_tools(example.fields.get("tools")) else None
        if not calls:
            return [*turns, {"role": "assistant", "content": text}]

        tool_calls = calls_to_send(calls, f"call_{content_id(example.input)}")
        # The API refuses calls without results.
        results: list[Mapping[str, Any]] = []
        for call in tool_calls:
            results.append({"role": "tool", "tool_call_id": call["id"], "content": "ok"})
        calling = {"role": "assistant", "content": "", "tool_calls": tool_calls}
        return [*turns, calling, *results]

    def _split(self, example: Example) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Return the leading instructions of the input, and the other messages in the template."""
        if isinstance(example.input, str):
            return [], [{"role": "user", "content": self._rendered(example.input, example)}]

        leading = list(takewhile(_instructs, example.input))
        turns = list(example.input[len(leading) :])
        if self.template is None:
            return leading, turns

        questions = [number for number, turn in enumerate(turns) if turn["role"] == "user"]
        content = turns[questions[-1]]["content"] if questions else None
        if not isinstance(content, str):
            message = (
                "the template cannot be applied: it replaces the last message of the user, which "
                "is no text"
            )
            raise self._template_error(message, f"example {example.name!r}")
        question = {**turns[questions[-1]], "content": self._rendered(content, example)}
        turns[questions[-1]] = question
        return leading, turns

    def _rendered(self, text: str, example: Example) -> str:
        """Fill the template in one pass, so that braces in an input or a field stay text."""
        if self.template is None:
            return text

        values = {**example.fields, "input": text}
        texts = {}
        for name in _PLACEHOLDER.findall(self.template):
            if name in values:
                texts[name] = expected_text(values[name])
            elif _NAME.fullmatch(name):
                raise self._unknown_field(name, values, example)
        rendered = _PLACEHOLDER.sub(lambda match: texts.get(match[1], match[0]), self.template)

        # A template without the input would ask every example the same.
        if text not in rendered:
            evidence = f"{example.place or example.name}: none of its placeholders holds the input"
            raise self._template_error("the template leaves the input out", evidence, "add {input}")
        return rendered

    def _unknown_field(self, name: str, values: Mapping[str, Any], example: Example) -> ConfigError:
        cure = "write {input} or a field; literal text in braces belongs in system"
        evidence = f"fields of {example.name}: {listed(values)}"
        message = f"no field for the placeholder {{{name}}}{suggestion(name, values)}"
        return self._template_error(message, evidence, cure)

    def _template_error(self, message: str, evidence: str, cure: str | None = None) -> ConfigError:
        where = Where(path=self.source, key="template")
        return ConfigError(message, where=where, evidence=evidence, cure=cure)


def _instructs(message: Mapping[str, Any]) -> bool:
    return message["role"] in INSTRUCTIONS


def _without_instructions(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [turn for turn in turns if not _instructs(turn)]


_MEDIA_FIELD = re.compile("(?:image|audio|video)s?|pixel_values")
_MEDIA_VALUE = re.compile(
    r"^\s*data:(?:image|audio|video|application)/|^(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|JVBERi0)"
    r"|^[^\n]{1,300}\.(?:png|jpe?g|gif|webp|bmp|tiff?|svg|hei[cf]|avif|dcm"
    r"|wav|mp3|flac|og[ag]|opus|m4a|aac|wma|aiff?"
    r"|mp4|m4v|mov|avi|mkv|webm|mpe?g|pdf|docx?|pptx?|xlsx?)(?:[?#]\S*)?\s*$",
    re.IGNORECASE,
)


def _is_media(value: Any) -> bool:
    """Return whether a value is the data, or the name of a file, of an image or the like."""
    if isinstance(value, Mapping):
        return bool(value.get("bytes")) or any(map(_is_media, value.values()))
    if isinstance(value, list):
        return any(map(_is_media, value))
    if isinstance(value, str):
        return _MEDIA_VALUE.search(value) is not None
    return isinstance(value, bytes)


def refuse_unsent_media(example: Example, sent: Collection[str] = ()) -> None:
    """Raise :class:`DataError` if a row has images, audio or documents that would not be sent.

    They get there as parts of a message. ``sent`` are the fields that the template sends. A tag
    such as ``<image>`` within a text is text.
    """
    # What is a part of a message is sent, so only what lies beside it is refused.
    parts = [part for part in _contents(example.input) if part.get("type") not in TEXT_PARTS]
    medium = None if parts else _media_beside(example, sent)
    for part in parts:
        if not any(value for key, value in part.items() if key != "type"):
            medium = f"a part of type {part.get('type')} without content"

    if medium is not None:
        message = f"the row has images, audio, video or documents that would not be sent: {medium}"
        cure = (
            'write them as parts of a message: {"type": "image_url", "image_url": {"url": ...}}, '
            "record the answers where the model sees them, or remove what the answer does not need"
        )
        raise DataError(message, where=example.place, cure=cure)


def _contents(example_input: Input) -> Iterator[Mapping[str, Any]]:
    """Yield the contents of messages in their parts: a text as one part."""
    if isinstance(example_input, str):
        yield {"type": "text", "text": example_input}
        return
    for message in example_input:
        content = message.get("content")
        if isinstance(content, str):
            yield {"type": "text", "text": content}
        elif isinstance(content, list):
            yield from (item for item in content if isinstance(item, Mapping))


def _media_beside(example: Example, sent: Collection[str]) -> str | None:
    """Return the field that holds a medium, or the input that is one."""
    for name, value in example.fields.items():
        if value and name not in sent and (_MEDIA_FIELD.fullmatch(name) or _is_media(value)):
            return f"the field {name}"

    text = example.input
    if isinstance(text, str) and len(text.split()) == 1 and _is_media(text):
        return f"the input {excerpt(text, width=40)}"
    return None


def build_prompt(spec: ModelSpec, training: DataSet | None) -> Prompt:
    """Return the prompt of a model's keys, with examples of the training set.

    Raises :class:`ConfigError`.
    """
    options = spec.options
    system = options.get("system")
    if options.get("system_file") is not None:
        system = read_named(Path(options["system_file"]), spec.source.where("system_file"))
    prompt = Prompt(spec.source.at, system, options.get("template"))

    keys = [key for key in ("few_shot", "retrieval") if options.get(key) is not None]
    # Few-shot examples are taken first, and are no neighbours as well.
    pool = usable_examples(training or ()) if keys else []
    for key in keys:
        k = options[key]
        where = spec.source.where(key)
        if len(pool) < k:
            raise ConfigError(
                f"{key} needs {k} usable training examples of its own, and there are {len(pool)}",
                where=where,
                evidence=f"training set: {training.origin}" if training else None,
                cure="lower it, or add training examples with distinct inputs",
            )
        if key == "few_shot":
            shots = choose_shots(pool, k)
            turns: list[Mapping[str, Any]] = []
            for shot in shots:
                turns += prompt.shot(shot)
            prompt = replace(prompt, shots=tuple(turns))
            pool = [example for example in pool if example not in shots]
        else:
            prompt = replace(prompt, neighbours=Neighbours(pool, k))
    return prompt


class Neighbours:
    """Find the ``k`` examples nearest to a question in a pool of distinct ones."""

    def __init__(self, pool: Sequence[Example], k: int) -> None:
        self._pool = pool
        self._k = k
        self._nearest: dict[str, tuple[Example, ...]] = {}  # by the question

    def of(self, example: Example) -> tuple[Example, ...]:
        """Return the neighbours, the most similar last.

        Among equals, the earlier in the pool counts as nearer.
        """
        question = _text_of(example)
        if question not in self._nearest:
            vectorizer, transposed = self._index
            similarities = (vectorizer.transform([question]) @ transposed).toarray()[0]
            distances = (-similarities).round(_DECIMALS).tolist()
            rows = nsmallest(self._k, range(len(distances)), key=distances.__getitem__)
            self._nearest[question] = tuple(self._pool[row] for row in reversed(rows))
        return self._nearest[question]

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """Return the vectorizer, and the weights of the pool with one column per example."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
        weights = vectorizer.fit_transform([_text_of(example) for example in self._pool])
        return vectorizer, weights.T.tocsr()


def _text_of(example: Example) -> str:
    """Return the text by which inputs are compared: without instructions and non-text parts."""
    contents = _contents(without_instructions(example.input))
    texts = [content.get("text") for content in contents]
    return "\n".join(text for text in texts if isinstance(text, str))


def usable_examples(training: DataSet | Collection[Example]) -> list[Example]:
    """Return the examples without a blank input or output; of those with equal inputs the first."""
    usable: dict[str, Example] = {}
    for example in training:
        if not is_blank(example.input) and expected_text(example.expected).strip():
            usable.setdefault(normalized_input(example.input), example)
    return list(usable.values())


def choose_shots(usable: Sequence[Example], k: int) -> list[Example]:
    """Return at most ``k`` usable examples: labels take turns, frequent ones first.

    Within a label, and between labels of one frequency, the order is that of a seeded hash of the
    content: the same on every machine, whatever the order of the rows.
    """
    labels = [expected_text(example.expected) for example in usable]
    frequency = Counter(labels)
    shuffled = sorted((_seeded(normalized_input(e.input)), row) for row, e in enumerate(usable))

    rounds = Counter[str]()  # how often each label had its turn
    turns = []
    for _, row in shuffled:
        label = labels[row]
        turns.append((rounds[label], -frequency[label], _seeded(label), row))
        rounds[label] += 1
    return [usable[row] for *_, row in sorted(turns)[:k]]


def _seeded(text: str) -> str:
    return hashlib.sha256(f"{_SEED}\n{text}".encode()).hexdigest()


def read_named(path: Path, where: Where) -> str:
    """Return the text of a file named in the gate, with line feeds as line ends.

    Raises :class:`DataError`.
    """
    with lines.written_at(where):
        text = lines.read_text(path)
    if not text.strip():
        raise DataError("is blank", where=where, evidence=shown_path(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")
