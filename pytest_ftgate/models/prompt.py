"""Build the messages for a chat model: instructions, few-shot turns, and the input in its template."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import Example, Messages, canonical_json, expected_text, is_blank, normalized_input
from pytest_ftgate.data.example import content_id
from pytest_ftgate.data.lines import read_text as read_file
from pytest_ftgate.data.lines import written_at
from pytest_ftgate.data.normalize import INSTRUCTIONS
from pytest_ftgate.data.tool_calls import calls_in
from pytest_ftgate.errors import ConfigError, DataError, Where, shown_path
from pytest_ftgate.text import listed, nearest

if TYPE_CHECKING:
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.models.retrieval import Neighbours

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NAME = re.compile(r"\s*[^\W\d][\w .-]*")
"""What reads as the name of a field; other text in braces, such as ``{"label": ...}``, is literal."""
_SEED = "pytest-ftgate few-shot 1"


@dataclass(frozen=True)
class Prompt:
    """Turn examples into messages.

    Args:
        source: where the model is written.
        system: replaces the instructions (``system`` and ``developer`` messages) of the data; ``None`` keeps them.
        template: the user message, with ``{input}`` and ``{FIELD}`` for the example's fields; ``None``: the input.
        shots: user and assistant turns between the instructions and the input.
        neighbours: training examples that follow them, chosen for each input; ``None``: none.
    """

    source: str = ""
    system: str | None = None
    template: str | None = None
    shots: Messages = ()
    neighbours: Neighbours | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names in the template besides ``input``: fields of the examples."""
        return tuple(name for name in dict.fromkeys(_PLACEHOLDER.findall(self.template or "")) if name != "input")

    def messages(self, example: Example) -> list[Mapping[str, Any]]:
        """Return the messages for this example. Its expected output is not used.

        Raises:
            ConfigError: the template names a field that this example does not have, or the content is not text.
        """
        instructions, turns = self._split(example)
        if self.system is not None:
            instructions = ({"role": "system", "content": self.system},)
            turns = tuple(turn for turn in turns if turn["role"] not in INSTRUCTIONS)
        return [*instructions, *self.shots, *self._retrieved(example), *turns]

    def with_shots(self, examples: Iterable[Example]) -> Prompt:
        """Return the prompt with these examples as turns before every input. Raises :class:`ConfigError`."""
        return replace(self, shots=tuple(turn for example in examples for turn in self._shot(example)))

    def _retrieved(self, example: Example) -> Messages:
        near = self.neighbours.of(example) if self.neighbours is not None else ()
        return tuple(turn for shot in near for turn in self._shot(shot))

    def _shot(self, example: Example) -> Iterator[Mapping[str, Any]]:
        yield from (turn for turn in self._split(example)[1] if turn["role"] not in INSTRUCTIONS)
        calls = calls_in(expected_text(example.expected)) if _offers_tools(example) else None
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
        if values.keys().isdisjoint(names):  # every example would be sent the same text
            what = "the template names neither {input} nor a field of the examples"
            raise self._template_error(what, f"fields: {listed(values)}", "add {input}")

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            return expected_text(values[name]) if name in values else found.group()

        return _PLACEHOLDER.sub(value, self.template)

    def _template_error(self, what: str, evidence: str, cure: str | None = None) -> ConfigError:
        return ConfigError(what, where=Where(path=self.source, key="template"), evidence=evidence, cure=cure)


def _offers_tools(example: Example) -> bool:
    return not isinstance(example.input, str) and bool(example.fields.get("tools"))


def _tool_call(id_: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call as chat completions have it."""
    function = {"name": call["name"], "arguments": canonical_json(call["arguments"])}
    return {"id": id_, "type": "function", "function": function}


def build_prompt(spec: ModelSpec, training: DataSet | None, asked: DataSet | None = None) -> Prompt:
    """Return the prompt of the keys ``system``, ``system_file``, ``template``, ``few_shot`` and ``retrieval``.

    Args:
        training: the training set, from which examples are taken.
        asked: the examples that the prompt will be built for, as far as known: neighbours are found for all at once.

    Raises:
        ConfigError: a file cannot be read, or the training set has too few examples.
    """
    options = spec.options
    system = options.get("system")
    if options.get("system_file") is not None:
        system = read_text(Path(options["system_file"]), spec.source.where("system_file"))
    prompt = Prompt(spec.source.at, system, options.get("template"))
    shots: tuple[Example, ...] = ()
    if options.get("few_shot") is not None:
        shots = _shots(training, options["few_shot"]["k"], spec.source.where("few_shot"))
        prompt = prompt.with_shots(shots)
    if options.get("retrieval") is not None:
        where = spec.source.where("retrieval")
        neighbours = _neighbours(training, options["retrieval"]["k"], shots, asked, where)
        prompt = replace(prompt, neighbours=neighbours)
    return prompt


def usable_examples(training: DataSet) -> dict[str, Example]:
    """Return the examples that may be shown to a model, by normalised input, in the order of rows.

    An example is usable if neither its input nor its output is blank; of several with the same input the first counts.
    """
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


def _shots(training: DataSet | None, k: int, where: Where) -> tuple[Example, ...]:
    if training is None:
        raise ConfigError("few_shot needs a training set", where=where)
    chosen = choose_shots(training, k)
    if len(chosen) < k:
        raise _too_few("few_shot", k, len(chosen), training, where)
    return chosen


def _neighbours(
    training: DataSet | None, k: int, shots: Sequence[Example], asked: DataSet | None, where: Where
) -> Neighbours:
    """Return the retrieval over the usable examples that are not few-shot examples already."""
    from pytest_ftgate.models.retrieval import Neighbours, holds_text

    if training is None:
        raise ConfigError("retrieval needs a training set", where=where)
    sent = {id(shot) for shot in shots}
    pool = [one for one in usable_examples(training).values() if id(one) not in sent]
    if len(pool) < k:
        raise _too_few("retrieval", k, len(pool), training, where, besides=len(shots))
    if not any(map(holds_text, pool)):
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
    """Return the text of a file named in the gate, with line feeds as line ends.

    Raises:
        ConfigError: the file cannot be read, or is blank.
    """
    try:
        with written_at(where):
            text = read_file(path)
    except DataError as error:
        raise ConfigError(error.what, **error.parts()) from None
    if not text.strip():
        raise ConfigError("is blank", where=where, evidence=shown_path(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")
