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
    canonical_json,
    content_id,
    expected_text,
)
from pytest_ftgate.data.messages import INSTRUCTIONS, calls_in, declared_tools
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import excerpt, listed, nearest

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NAME = re.compile(r"\s*[^\W\d][\w .-]*")
"""What reads as the name of a field; other text in braces, such as ``{"label": ...}``, is literal."""
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
        return tuple(
            name
            for name in dict.fromkeys(_PLACEHOLDER.findall(self.template or ""))
            if name != "input"
        )

    def messages(self, example: Example) -> list[Mapping[str, Any]]:
        """Return the messages for this example, without its output.

        Raise :class:`ConfigError` about the template.
        """
        instructions, turns = self._split(example)
        if self.system is not None:
            instructions = [{"role": "system", "content": self.system}]
            turns = [turn for turn in turns if turn["role"] not in INSTRUCTIONS]
        near = self.neighbours.of(example) if self.neighbours is not None else ()
        return [
            *instructions,
            *self.shots,
            *(turn for shot in near for turn in self.shot(shot)),
            *turns,
        ]

    def shot(self, example: Example) -> Iterator[Mapping[str, Any]]:
        """Yield a training example as turns before an input.

        Raise :class:`ConfigError` about the template.
        """
        yield from (turn for turn in self._split(example)[1] if turn["role"] not in INSTRUCTIONS)
        text = expected_text(example.expected)
        calls = calls_in(text) if declared_tools(example.fields.get("tools")) else None
        if not calls:
            yield {"role": "assistant", "content": text}
            return
        ids = [f"call_{content_id(example.input)}_{n}" for n in range(len(calls))]
        functions = [
            {"name": call["name"], "arguments": canonical_json(call["arguments"])} for call in calls
        ]
        made = [
            {"id": id_, "type": "function", "function": one}
            for id_, one in zip(ids, functions, strict=True)
        ]
        yield {"role": "assistant", "content": "", "tool_calls": made}
        # The API refuses calls without results.
        yield from ({"role": "tool", "tool_call_id": id_, "content": "ok"} for id_ in ids)

    def _split(self, example: Example) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Return the instructions at the start of the input, and its other messages, with the template applied."""
        if isinstance(example.input, str):
            return [], [{"role": "user", "content": self._rendered(example.input, example)}]
        leading = list(takewhile(lambda message: message["role"] in INSTRUCTIONS, example.input))
        turns = list(example.input[len(leading) :])
        if self.template is not None:
            last = max((i for i, turn in enumerate(turns) if turn["role"] == "user"), default=None)
            content = turns[last]["content"] if last is not None else None
            if last is None or not isinstance(content, str):
                what = "the template cannot be applied: it replaces the last message of the user, which is no text"
                raise self._template_error(what, f"example {example.name!r}")
            turns[last] = {**turns[last], "content": self._rendered(content, example)}
        return leading, turns

    def _rendered(self, text: str, example: Example) -> str:
        """Fill the template in one pass, so that braces in an input or a field stay text."""
        if self.template is None:
            return text
        values = {**example.fields, "input": text}
        names = _PLACEHOLDER.findall(self.template)
        unknown = next(
            (name for name in names if name not in values and _NAME.fullmatch(name)), None
        )
        if unknown is not None:
            near, fields = nearest(unknown, values), f"fields of {example.name}: {listed(values)}"
            otherwise = "write {input} or a field; literal text in braces belongs in system"
            cure = f"did you mean {{{near}}}?" if near else otherwise
            raise self._template_error(f"no field for the placeholder {{{unknown}}}", fields, cure)
        shown = {name: expected_text(values[name]) for name in names if name in values}
        rendered = _PLACEHOLDER.sub(lambda found: shown.get(found[1], found[0]), self.template)
        if text not in rendered:
            evidence = f"{example.place or example.name}: none of its placeholders holds the input"
            raise self._template_error("the template leaves the input out", evidence, "add {input}")
        return rendered

    def _template_error(self, what: str, evidence: str, cure: str | None = None) -> ConfigError:
        return ConfigError(
            what, where=Where(path=self.source, key="template"), evidence=evidence, cure=cure
        )


_MEDIA_FIELD = re.compile("(?:image|audio|video)s?|pixel_values")
_MEDIA_VALUE = re.compile(
    r"^\s*data:(?:image|audio|video|application)/|^(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|JVBERi0)"
    r"|^[^\n]{1,300}\.(?:png|jpe?g|gif|webp|bmp|tiff?|svg|hei[cf]|avif|dcm|wav|mp3|flac|og[ag]|opus|m4a|aac|wma|aiff?"
    r"|mp4|m4v|mov|avi|mkv|webm|mpe?g|pdf|docx?|pptx?|xlsx?)(?:[?#]\S*)?\s*$",
    re.IGNORECASE,
)


def _is_media(value: Any) -> bool:
    """Return whether a value is an image, audio, video or document: its data, or the name of a file of it."""
    if isinstance(value, Mapping):
        return bool(value.get("bytes")) or any(map(_is_media, value.values()))
    if isinstance(value, list):
        return any(map(_is_media, value))
    return isinstance(value, bytes) or (
        isinstance(value, str) and _MEDIA_VALUE.search(value) is not None
    )


def refuse_unsent_media(example: Example, sent: Collection[str] = ()) -> None:
    """Raise :class:`DataError` if a row has images, audio, video or documents that the model would not get.

    They get there as parts of a message. ``sent`` are the fields that the template sends. A tag
    such as ``<image>`` within a text is text.
    """
    parts = list(_media_parts(example.input))
    medium = None if parts else _media_beside(example, sent)
    for part in parts:
        if not any(value for key, value in part.items() if key != "type"):
            medium = f"a part of type {part.get('type')} without content"

    if medium is not None:
        what = f"the row has images, audio, video or documents that would not be sent: {medium}"
        cure = (
            'write them as parts of a message: {"type": "image_url", "image_url": {"url": ...}}, '
        )
        cure += (
            "record the answers where the model sees them, or remove what the answer does not need"
        )
        raise DataError(what, where=example.place, cure=cure)


def _media_parts(given: Input) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of messages that are not text."""
    for message in () if isinstance(given, str) else given:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, Mapping) and part.get("type") not in TEXT_PARTS:
                yield part


def _media_beside(example: Example, sent: Collection[str]) -> str | None:
    """Return the field that holds a medium, or the input that is nothing but the name or the data of one."""
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
    options, where, system = spec.options, spec.source.where, spec.options.get("system")
    if options.get("system_file") is not None:
        system = read_named(Path(options["system_file"]), where("system_file"))
    prompt = Prompt(spec.source.at, system, options.get("template"))
    keys = [key for key in ("few_shot", "retrieval") if options.get(key) is not None]
    pool = usable_examples(training or ()) if keys else []
    for key in keys:
        if len(pool) < (k := options[key]):
            what = f"{key} needs {k} usable training examples of its own, and there are {len(pool)}"
            evidence = f"training set: {training.origin}" if training else None
            cure = "lower it, or add training examples with distinct inputs"
            raise ConfigError(what, where=where(key), evidence=evidence, cure=cure)
        if key == "few_shot":
            shots = choose_shots(pool, k)
            prompt = replace(
                prompt, shots=tuple(turn for shot in shots for turn in prompt.shot(shot))
            )
            pool = [one for one in pool if one not in shots]
        elif k and not any(_text_of(one).strip() for one in pool):
            raise ConfigError(
                "retrieval compares text, and no usable training input has any", where=where(key)
            )
        else:
            prompt = replace(prompt, neighbours=Neighbours(pool, k))
    return prompt


class Neighbours:
    """Find the ``k`` examples of a pool of distinct ones, some of which contain text, nearest to a question."""

    def __init__(self, pool: Sequence[Example], k: int) -> None:
        self._pool, self._k = pool, k
        self._found: dict[str, tuple[Example, ...]] = {}

    def of(self, example: Example) -> tuple[Example, ...]:
        """Return the neighbours, the most similar last; among equals, the earlier in the pool counts as nearer."""
        asked = _text_of(example)
        if asked not in self._found:
            vectorizer, transposed = self._index
            apart = (
                (-(vectorizer.transform([asked]) @ transposed).toarray()[0])
                .round(_DECIMALS)
                .tolist()
            )
            rows = nsmallest(self._k, range(len(apart)), key=apart.__getitem__)
            self._found[asked] = tuple(self._pool[row] for row in reversed(rows))
        return self._found[asked]

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """Return the vectorizer, and the weights of the pool with one column per example."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5))
        weights = vectorizer.fit_transform([_text_of(example) for example in self._pool])
        return vectorizer, weights.T.tocsr()


def _text_of(example: Example) -> str:
    """Return the text by which inputs are compared: without instructions and non-text parts."""
    given = without_instructions(example.input)
    contents = [given] if isinstance(given, str) else [message.get("content") for message in given]
    parts = (
        part
        for one in contents
        for part in ([{"text": one}] if isinstance(one, str) else one or ())
    )
    return "\n".join(
        part["text"]
        for part in parts
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    )


def usable_examples(training: DataSet | Collection[Example]) -> list[Example]:
    """Return the examples without a blank input or output; of those with equal inputs the first."""
    usable: dict[str, Example] = {}
    for example in training:
        if not is_blank(example.input) and expected_text(example.expected).strip():
            usable.setdefault(normalized_input(example.input), example)
    return list(usable.values())


def choose_shots(usable: Sequence[Example], k: int) -> list[Example]:
    """Return at most ``k`` usable examples, stratified by label: labels take turns, frequent ones first.

    Within a label, and between labels of one frequency, the order is that of a seeded hash of the
    content: the same on every machine, whatever the order of the rows.
    """
    labels = [expected_text(example.expected) for example in usable]
    frequency, taken = Counter(labels), Counter[str]()
    turns = []
    for _, row in sorted(
        (_seeded(normalized_input(example.input)), row) for row, example in enumerate(usable)
    ):
        label = labels[row]
        turns.append((taken[label], -frequency[label], _seeded(label), row))
        taken[label] += 1
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
