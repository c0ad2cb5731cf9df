"""The rule that the candidate is asked in the way in which its training rows ask."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from math import ceil
from typing import Any, TypeAlias

from pytest_ftgate import errors, result
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import INSTRUCTIONS, canonical_json
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.text import printable

_RARE = 0.1
"""The share of rows or calls up to which something is an exception."""
_HEAD, _TAIL = re.compile(r"(.*(?::|\S\s*\n)[^\S\n]*)?", re.DOTALL), re.compile(r"(\n\s*\S.*)?\Z", re.DOTALL)
"""The part of a shared start or end that is no part of inputs which happen to begin or end alike."""
_TEMPLATE = re.compile(r":|\S\s+\S+\s+\S")
"""What makes other shared text a template: a colon, or three words."""
_COMPARED, _RENDERED = 2_000, 20
"""Rows that are compared, and rows that are rendered in a chat template."""
_PASTED, _SHOWN = 300, 60
"""Characters of a line to paste, and of an excerpt."""
Difference: TypeAlias = tuple[str, str, float, float]
"""What differs, its cure, and the shares of the candidate's calls and of the training rows that have the thing."""


def check(gate: Context) -> Iterator[result.Check]:
    """Compare system message, template, examples and tools of the training rows with those of the candidate's calls.

    Only rows that are conversations tell whether training used a system message. A model without a prompt of ours (a
    recording, a function) and the baselines, which may be asked in any way, are not compared.
    """
    model, source = gate.models["candidate"], str(gate.config.candidate.source)
    if model.prompt is None or model.ids is not None:
        return
    chat_template = _chat_template(gate) if gate.asked("candidate").kind.has_chat_template else ()
    for what, cure, asked, trained in (*_differences(gate), *chat_template):
        message = f"the candidate {model.name} is not asked as in training: {what}"
        advice = f"Ask the candidate as in training ({source}): {cure}."
        yield result.Check("prompt_mismatch", "warning", message, asked, trained, source, advice, "measure_again")


def _sample(rows: Sequence[Any]) -> Sequence[Any]:
    """Return at most about ``_COMPARED`` rows, evenly spaced."""
    return rows[:: max(1, len(rows) // _COMPARED)]


def _differences(gate: Context) -> Iterator[Difference]:
    """Yield the differences; an empty text stands for something that rows and calls have, whatever it is."""
    model, where = gate.models["candidate"], gate.training.where
    prompt = model.prompt or Prompt()
    lessons: dict[int, Any] = dict(_sample(list(enumerate(gate.training))))
    sent = list(map(model.sent, _sample(gate.test.examples)))
    if chats := {row: one for row, one in lessons.items() if not isinstance(one.input, str)}:
        system = {row: _system(one.input) for row, one in chats.items()}
        yield from _compared("a system message", "system", system, [_system(one["messages"]) for one in sent], where)
        if keys := [key for key, has in (("few_shot", prompt.shots), ("retrieval", prompt.neighbours)) if has]:
            turns = {row: sum(turn["role"] not in INSTRUCTIONS for turn in one.input) for row, one in chats.items()}
            several = {row: "" if count > 1 else None for row, count in turns.items()}
            yield from _compared("earlier turns", " and ".join(keys), several, [""], where)
        tools = {row: "" if one.fields.get("tools") else None for row, one in chats.items()}
        declared = ["" if one.get("tools") or model.params.get("tools") else None for one in sent]
        yield from _compared("tools", "tools", tools, declared, where)
    learned = {row: text for row, one in lessons.items() if (text := question_of(one.input))}
    posed = dict(enumerate(text for one in sent if (text := question_of(one["messages"]))))
    for framed in (learned, posed if prompt.template is not None and chats else {}) if learned and posed else ():
        start, end = _around([*framed.values()])
        form, kind = f"{start}{{input}}{end}", ("the same text around the input", "template")
        known, asked = (
            {row: form if text.startswith(start) and text.endswith(end) else None for row, text in texts.items()}
            for texts in (learned, posed)
        )
        if (start or end) and (found := [*_compared(*kind, known, [*asked.values()], where)]):
            yield from found
            return


def _compared(
    name: str, key: str, trained: Mapping[int, str | None], asked: Sequence[str | None], where: Callable[[int], object]
) -> Iterator[Difference]:
    """Compare what training rows and calls have, None where they have nothing; ``key`` is what gives it to a call.

    If more than one training row in ten has any, all of theirs are known; where each row has its own, any is.
    """
    having = {row: text for row, text in trained.items() if text is not None}
    texts, share = Counter(having.values()), len(having) / len(trained)
    varied = len(texts) > max(1, _RARE * len(having))
    known: set[str | None] = {*texts, *(asked if varied else ())} - {None} if share > _RARE else set()
    unknown = Counter(way for way in asked if way not in known and (way is not None or 1 - share <= _RARE))
    if unknown.total() <= _RARE * len(asked):
        return
    way, shown = unknown.most_common(1)[0][0], 1 - asked.count(None) / len(asked)
    what, cure = f"{100 * share:.0f} % of the training rows have {name}", f"remove {key}"
    if known:
        usual, _ = texts.most_common(1)[0]
        place = where(next(row for row, text in having.items() if text == usual))
        line = json.dumps(usual, ensure_ascii=False)
        what += f", most often {_quoted(usual)}" if usual else ""
        cure = f"{key}: {line if len(line) <= _PASTED else f'that of {place}'}"
        cure = cure if usual and not varied else f"write {name} into each test row, as in {place}"
    such = f", such as {_quoted(way)}" if way else ""
    yield f"{what}, and {100 * shown:.0f} % of its calls{such}", cure, shown, share


def _system(messages: Any) -> str | None:
    """Return the instructions at the start of a conversation, with white space collapsed at its ends."""
    leading = takewhile(lambda message: message["role"] in INSTRUCTIONS, messages)
    contents = (message.get("content") for message in leading)
    return "\n".join(one if isinstance(one, str) else canonical_json(one) for one in contents).strip() or None


def question_of(given: Any) -> str | None:
    """Return the last message of the user, if that is text."""
    if isinstance(given, str):
        return given
    last = next((one["content"] for one in reversed(given) if one["role"] in ("user", "input")), None)
    return last if isinstance(last, str) else None


def _quoted(text: str) -> str:
    return repr(printable(text, _SHOWN))


def _around(texts: Sequence[str]) -> tuple[str, str]:
    """Return the text with which nine in ten texts begin, and with which they end; empty where it may be chance."""
    start, end = _shared(texts), _shared([text[::-1] for text in texts])[::-1]
    parts = (_HEAD.match(start), start), (_TAIL.search(end), end)
    start, end = (mark[0] or text * bool(_TEMPLATE.search(text)) for mark, text in parts if mark)
    framed = sum(text.startswith(start) and text.endswith(end) for text in texts)
    end = end if framed >= (1 - _RARE) * len(texts) else ""
    longer = sum(len(text) > len(start) + len(end) for text in texts)
    return (start, end) if longer >= (1 - _RARE) * len(texts) else ("", "")  # equal rows


def _shared(texts: Sequence[str]) -> str:
    """Return the longest whole words with which nine in ten texts begin: neighbours in sorted order."""
    ordered, width = sorted(texts), max(2, ceil((1 - _RARE) * len(texts)))
    pairs = zip(ordered, ordered[width - 1 :], strict=False)
    shared = max((os.path.commonprefix(pair) for pair in pairs), key=len, default="")  # noqa: RUF071  # texts
    within = any(text.startswith(shared) and text[len(shared) :][:1].isalnum() for text in texts)
    return shared.rstrip("".join(filter(str.isalnum, shared))) if within else shared


def _chat_template(gate: Context) -> Iterator[Difference]:
    """Compare rendered conversations: a training row must begin with what the model is given to answer it."""
    chats = ((row, one) for row, one in enumerate(gate.training) if not isinstance(one.input, str))
    rows = dict(islice(((row, one) for row, one in chats if isinstance(one.expected, str)), _RENDERED))
    generator: Any = gate.models["candidate"].function
    try:
        rendered = zip(rows, generator.rendered(list(rows.values())), strict=True)
    except errors.ModelError:  # reported by the call, where such messages are sent
        return
    unlike = [(row, asked, learned) for row, (asked, learned) in rendered if not learned.startswith(asked.rstrip())]
    if len(unlike) > _RARE * len(rows):
        row, *texts = unlike[0]
        same = len(os.path.commonprefix(texts))  # noqa: RUF071  # texts
        asked, learned = (_quoted(text[same:]) for text in texts)
        what = f"the chat template ends the prompt with {asked}, where {gate.training.where(row)} has {learned}"
        cure = "save the chat template that it was trained with as chat_template.jinja in the adapter's folder"
        yield what, cure, 1.0, 1 - len(unlike) / len(rows)
