"""Build the messages for a chat model: instructions, few-shot turns, and the input in its template.

Few-shot examples may be chosen for each input by the cosine of TF-IDF weights of character n-grams within words, which
needs no model, no network and no language settings. Source of the method: Liu et al. (2022), What Makes Good In-Context
Examples for GPT-3? (DeeLIO), there with sentence embeddings; the most similar example comes last, next to the question.
"""

import hashlib
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytest_ftgate.config import ModelSpec
from pytest_ftgate.data import DataSet, Example, Messages, canonical_json, expected_text, is_blank, normalized_input
from pytest_ftgate.data.example import content_id
from pytest_ftgate.data.lines import read_text as read_file
from pytest_ftgate.data.lines import written_at
from pytest_ftgate.data.normalize import INSTRUCTIONS, visible, without_instructions
from pytest_ftgate.data.tool_calls import calls_in, declared_tools
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import excerpt, listed, nearest

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NAME = re.compile(r"\s*[^\W\d][\w .-]*")
"""What reads as the name of a field; other text in braces, such as ``{"label": ...}``, is literal."""
_SEED = "pytest-ftgate few-shot 1"
N_GRAMS = (3, 5)
_DECIMALS = 9  # of a similarity: smaller differences are rounding, which differs between machines
_AT_ONCE = 4_000_000  # similarities held in memory, 8 bytes each


@dataclass(frozen=True)
class Prompt:
    """Turn examples into messages."""

    source: str = ""  # where the model is written
    system: str | None = None  # replaces the instructions (system and developer messages) of the data
    template: str | None = None  # the user message, with {input} and {FIELD}; None: the input
    shots: Messages = ()  # user and assistant turns between the instructions and the input
    neighbours: "Neighbours | None" = None  # training examples that follow them, chosen for each input

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names in the template besides ``input``: fields of the examples."""
        return tuple(name for name in dict.fromkeys(_PLACEHOLDER.findall(self.template or "")) if name != "input")

    def messages(self, example: Example) -> list[Mapping[str, Any]]:
        """Return the messages for this example, without its output. Raise :class:`ConfigError` about the template."""
        instructions, turns = self._split(example)
        if self.system is not None:
            instructions = ({"role": "system", "content": self.system},)
            turns = tuple(turn for turn in turns if turn["role"] not in INSTRUCTIONS)
        near = self.neighbours.of(example) if self.neighbours is not None else ()
        return [*instructions, *self.shots, *(turn for shot in near for turn in self._shot(shot)), *turns]

    def with_shots(self, examples: Iterable[Example]) -> "Prompt":
        """Return the prompt with these examples as turns before every input. Raises :class:`ConfigError`."""
        return replace(self, shots=tuple(turn for example in examples for turn in self._shot(example)))

    def _shot(self, example: Example) -> Iterator[Mapping[str, Any]]:
        yield from (turn for turn in self._split(example)[1] if turn["role"] not in INSTRUCTIONS)
        declared = declared_tools(example.fields.get("tools"))
        calls = calls_in(expected_text(example.expected)) if declared else None
        if not calls:
            yield {"role": "assistant", "content": expected_text(example.expected)}
            return
        ids = [f"call_{content_id(example.input)}_{n}" for n in range(len(calls))]
        yield {"role": "assistant", "content": "", "tool_calls": list(map(_tool_call, ids, calls))}
        # The API refuses calls without results.
        yield from ({"role": "tool", "tool_call_id": id_, "content": "ok"} for id_ in ids)

    def _split(self, example: Example) -> tuple[Messages, Messages]:
        """Return the instructions at the start of the input, and its other messages in the template."""
        if isinstance(example.input, str):
            return (), ({"role": "user", "content": self._rendered(example.input, example)},)
        leading = tuple(takewhile(lambda message: message["role"] in INSTRUCTIONS, example.input))
        return leading, self._templated(example.input[len(leading) :], example)

    def _templated(self, turns: Messages, example: Example) -> Messages:
        """Replace the last user message by the template."""
        if self.template is None:
            return turns
        last = max((i for i, turn in enumerate(turns) if turn["role"] == "user"), default=None)
        content = turns[last]["content"] if last is not None else None
        if last is None or not isinstance(content, str):
            why = "there is no message of the user" if last is None else "the user's last message is not text"
            raise self._template_error(f"the template cannot be applied: {why}", f"example {example.name!r}")
        rendered = {**turns[last], "content": self._rendered(content, example)}
        return (*turns[:last], rendered, *turns[last + 1 :])

    def _rendered(self, text: str, example: Example) -> str:
        """Fill the template in one pass, so that braces in an input or a field stay text."""
        if self.template is None:
            return text
        values = {**example.fields, "input": text}
        names = _PLACEHOLDER.findall(self.template)
        unknown = next((name for name in names if name not in values and _NAME.fullmatch(name)), None)
        if unknown is not None:
            near, fields = nearest(unknown, values), f"fields of {example.name}: {listed(values)}"
            otherwise = "write {input} or a field; literal text in braces belongs in system"
            cure = f"did you mean {{{near}}}?" if near else otherwise
            raise self._template_error(f"no field for the placeholder {{{unknown}}}", fields, cure)

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            return expected_text(values[name]) if name in values else found.group()

        rendered = _PLACEHOLDER.sub(value, self.template)
        if text not in rendered:
            evidence = f"{example.place or example.name}: none of its placeholders holds the input"
            raise self._template_error("the template leaves the input out", evidence, "add {input}")
        return rendered

    def _template_error(self, what: str, evidence: str, cure: str | None = None) -> ConfigError:
        return ConfigError(what, where=Where(path=self.source, key="template"), evidence=evidence, cure=cure)


_MEDIUM = "image|img|picture|photo|pixel|vision|audio|speech|video"
_MEDIA_FIELD = re.compile("(?:image|audio|video)s?")
_NUMBERS = re.compile(f"{_MEDIUM}|^array$", re.IGNORECASE)
"""The names of a field whose nested numbers, or more than these, are pixels or samples."""
_FEW = 16
_MEDIA_VALUE = re.compile(
    r"^\s*data:(?:image|audio|video|application)/|^(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|JVBERi0)"
    r"|^[^\n]{1,300}\.(?:png|jpe?g|gif|webp|bmp|tiff?|svg|hei[cf]|avif|dcm|wav|mp3|flac|og[ag]|opus|m4a|aac|wma|aiff?"
    r"|mp4|m4v|mov|avi|mkv|webm|mpe?g|pdf|docx?|pptx?|xlsx?)(?:[?#]\S*)?\s*$",
    re.IGNORECASE,
)
_WORDS = (
    rf"(?:[^\W_]+[\s_:.-]{{1,3}}){{0,2}}(?:(?:begin|start|end)of)?(?:{_MEDIUM})s?"
    rf"(?:(?:here|[\s_:./-]{{0,3}}\d+|[\s_:./-]{{1,3}}[^\W_]+)){{0,2}}"
)
_STANDS_FOR_MEDIA = re.compile(
    rf"(?<!\w)<\|?\s?(?P<tag>{_WORDS})\s?[|/]?>|^[ \t]*[\[{{]{{1,2}}{_WORDS}[\]}}]{{1,2}}"
    rf"|(?<!\w)[\[{{]{{1,2}}{_WORDS}[\]}}]{{1,2}}[ \t]*$|!\[[^\]\n]{{0,200}}\]\([^)\n]{{1,300}}\)"
    rf"|<(?:{_MEDIUM})\s[^<>]*\bsrc\b[^<>]*>(?!.*</)|data:(?:image|audio|video)/",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
"""What stands for a medium in a text: its name as a tag or in brackets, an image of Markdown or HTML, or its data."""


def _is_media(name: str, value: Any) -> bool:
    """Return whether a field holds an image, audio, video or document: its data, or the name of a file of it."""
    if isinstance(value, Mapping):
        return bool(value.get("bytes")) or any(_is_media(key, one) for key, one in value.items())
    if isinstance(value, list) and value:
        numbers = isinstance(value[0], list) or (isinstance(value[0], int | float) and len(value) > _FEW)
        return bool(numbers and _NUMBERS.search(name)) or any(_is_media("", one) for one in value)
    return isinstance(value, bytes) or (isinstance(value, str) and _MEDIA_VALUE.search(value) is not None)


def refuse_unsent_media(example: Example, sent: Collection[str] = ()) -> None:
    """Raise :class:`DataError` if a row has images, audio, video or documents that the model would not get.

    They get there as parts of a message. ``sent`` are the fields that the template sends.
    """
    texts, parts = [example.input] if isinstance(example.input, str) else [], list[Mapping[str, Any]]()
    for content in () if isinstance(example.input, str) else (message.get("content") for message in example.input):
        texts += [content] if isinstance(content, str) else []
        parts += [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    media = [part for part in parts if part.get("type") not in TEXT_PARTS]
    hollow = (part for part in media if not any(value for key, value in part.items() if key != "type"))
    found = next((f"a part of type {part.get('type')} without content" for part in hollow), None)
    if found is None and not media:
        fields = ((name, value) for name, value in example.fields.items() if value and name not in sent)
        held = (name for name, value in fields if _MEDIA_FIELD.fullmatch(name) or _is_media(name, value))
        texts += [part["text"] for part in parts if isinstance(part.get("text"), str)]
        found = next((f"the field {name}" for name in held), None) or next(filter(None, map(_stand_in, texts)), None)
    if found is not None:
        raise DataError(
            f"the row has images, audio, video or documents that would not be sent: {found}",
            where=example.place,
            cure='write them as parts of a message: {"type": "image_url", "image_url": {"url": ...}}, record the '
            "answers where the model sees them, or remove what the answer does not need",
        )


def _stand_in(text: str) -> str | None:
    """Return what stands for a medium in a text; a tag that is closed is markup."""
    if _MEDIA_VALUE.search(text) and not re.search(r"\s", text.strip()):
        return f"the input {excerpt(text, width=40)}"
    tags = (tag for tag in _STANDS_FOR_MEDIA.finditer(text) if not tag["tag"] or f"</{tag['tag']}>" not in text)
    return next((f"the placeholder {excerpt(tag[0].strip(), width=40)}" for tag in tags), None)


TEXT_PARTS = ("text", "input_text", "output_text")


def _tool_call(id_: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as chat completions have it."""
    function = {"name": call["name"], "arguments": canonical_json(call["arguments"])}
    return {"id": id_, "type": "function", "function": function}


def build_prompt(spec: ModelSpec, training: DataSet | None, asked: DataSet | None = None) -> Prompt:
    """Return the prompt of a model's keys, with examples of the training set. Raises :class:`ConfigError`."""
    options = spec.options
    system = options.get("system")
    if options.get("system_file") is not None:
        system = read_text(Path(options["system_file"]), spec.source.where("system_file"))
    prompt = Prompt(spec.source.at, system, options.get("template"))
    shots: tuple[Example, ...] = ()
    if options.get("few_shot") is not None:
        k, where = options["few_shot"], spec.source.where("few_shot")
        if training is None:
            raise ConfigError("few_shot needs a training set", where=where)
        shots = choose_shots(training, k)
        if len(shots) < k:
            raise _too_few("few_shot", k, len(shots), training, where)
        prompt = prompt.with_shots(shots)
    if options.get("retrieval") is not None:
        where = spec.source.where("retrieval")
        neighbours = _neighbours(training, options["retrieval"], shots, asked, where)
        prompt = replace(prompt, neighbours=neighbours)
    return prompt


class Neighbours:
    """Find the ``k`` examples of a pool of distinct ones, some of which contain text, nearest to a question."""

    def __init__(self, pool: Sequence[Example], k: int, expected: Sequence[Example] = ()) -> None:
        self._pool = pool
        self._k = k
        self._expected = expected  # questions that will be asked: the first lookup finds the neighbours of all
        self._found: dict[str, tuple[int, ...]] = {}

    def of(self, example: Example) -> tuple[Example, ...]:
        """Return the neighbours, the most similar last; among equals, the earlier in the pool counts as nearer."""
        asked = text_of(example)
        if asked not in self._found:
            waiting = [] if self._found else [text_of(one) for one in self._expected]
            self._look_up(list(dict.fromkeys([*waiting, asked])))
        return tuple(self._pool[row] for row in self._found[asked])

    def _look_up(self, texts: Sequence[str]) -> None:
        vectorizer, transposed = self._index
        step = max(1, _AT_ONCE // len(self._pool))
        for begin in range(0, len(texts), step):
            part = texts[begin : begin + step]
            similarities = (vectorizer.transform(part) @ transposed).toarray().round(_DECIMALS)
            rows = (_nearest_last(line, self._k) for line in similarities)
            self._found.update(zip(part, rows, strict=True))

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """Return the vectorizer, and the weights of the pool with one column per example."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=N_GRAMS)
        weights = vectorizer.fit_transform([text_of(example) for example in self._pool])
        return vectorizer, weights.T.tocsr()


def _nearest_last(similarities: Any, k: int) -> tuple[int, ...]:
    import numpy as np

    least = np.partition(similarities, -k)[-k]
    (rows,) = np.nonzero(similarities >= least)
    nearest = rows[np.argsort(-similarities[rows], kind="stable")[:k]]
    return tuple(nearest[::-1].tolist())


def text_of(example: Example) -> str:
    """Return the text by which inputs are compared: without instructions and non-text parts."""
    given = without_instructions(example.input)
    if isinstance(given, str):
        return given
    return "\n".join(text for message in given for text in _texts(message.get("content")))


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
        return
    for part in content or ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def usable_examples(training: DataSet) -> dict[str, Example]:
    """Return the examples without a blank input or output, by normalised input: of equal ones the first."""
    usable: dict[str, Example] = {}
    for example in training:
        if not is_blank(example.input) and expected_text(example.expected).strip():
            usable.setdefault(normalized_input(example.input), example)
    return usable


def choose_shots(training: DataSet, k: int) -> tuple[Example, ...]:
    """Return at most ``k`` usable training examples, stratified by label: labels take turns, frequent ones first.

    Within a label, and between labels of one frequency, the order is that of a seeded hash of the content: the same
    on every machine, whatever the order of the rows.
    """
    usable = usable_examples(training)
    by_label: dict[str, deque[Example]] = {}
    for text in sorted(usable, key=_seeded):
        by_label.setdefault(expected_text(usable[text].expected), deque()).append(usable[text])
    frequency = Counter({label: len(examples) for label, examples in by_label.items()})
    waiting = deque(sorted(by_label, key=lambda label: (-frequency[label], _seeded(label))))
    chosen: list[Example] = []
    while waiting and len(chosen) < k:
        label = waiting.popleft()
        chosen.append(by_label[label].popleft())
        if by_label[label]:
            waiting.append(label)
    return tuple(chosen)


def _seeded(text: str) -> str:
    return hashlib.sha256(f"{_SEED}\n{text}".encode()).hexdigest()


def _neighbours(
    training: DataSet | None, k: int, shots: Sequence[Example], asked: DataSet | None, where: Where
) -> Neighbours:
    """Return the retrieval over the usable examples that are not few-shot examples already."""
    if training is None:
        raise ConfigError("retrieval needs a training set", where=where)
    sent = {id(shot) for shot in shots}
    pool = [one for one in usable_examples(training).values() if id(one) not in sent]
    if len(pool) < k:
        raise _too_few("retrieval", k, len(pool), training, where, besides=len(shots))
    if not any(visible(text_of(one)) for one in pool):
        what = "retrieval needs text to compare, and no usable training input holds any"
        raise ConfigError(what, where=where, evidence=f"training set: {training.origin}")
    return Neighbours(pool, k, asked.examples if asked is not None else ())


def _too_few(key: str, k: int, usable: int, training: DataSet, where: Where, *, besides: int = 0) -> ConfigError:
    others = f" besides the {besides} of few_shot" if besides else ""
    return ConfigError(
        f"{key} needs {k} examples, but the training set has {usable} usable ones{others}",
        where=where,
        evidence=f"training set: {training.origin}",
        cure="lower k, or add training examples with distinct inputs",
    )


def read_text(path: Path, where: Where) -> str:
    """Return the text of a file named in the gate, with line feeds as line ends. Raises :class:`ConfigError`."""
    try:
        with written_at(where):
            text = read_file(path)
    except DataError as error:
        raise ConfigError(error.what, **error.parts()) from None
    if not text.strip():
        raise ConfigError("is blank", where=where, evidence=shown_path(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")
