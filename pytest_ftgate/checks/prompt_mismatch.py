"""The rule that the candidate is asked in the way in which its training rows ask."""

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, takewhile
from math import ceil
from typing import Any, NamedTuple

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import DataSet, canonical_json
from pytest_ftgate.data.normalize import INSTRUCTIONS
from pytest_ftgate.errors import ModelError
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, printable

_RARE, _USUAL = 0.05, 0.95
"""The shares of rows up to which something is an exception, and from which it is the rule."""
_UNKNOWN = 0.1
"""The share of questions that may be asked in a way that no training row has."""
_SAME_TEXT = 0.9
"""The share of rows that must begin or end alike for that text to be a template."""
_TEMPLATE_WORDS = 3
"""Fewer shared words are a template only with a colon or a line feed, such as ``Q:``."""
_HEAD, _TAIL = re.compile(r"(.*[:\n][^\S\n]*)?", re.DOTALL), re.compile(r"(\n.*)?\Z", re.DOTALL)
"""The part of a shared start or end that is no part of inputs which happen to begin or end alike."""
_COMPARED, _RENDERED = 2_000, 20
"""Rows whose texts are compared, and rows that are rendered in a chat template."""
_PASTED, _SHOWN = 300, 60
"""Characters of a line to paste, and of an excerpt."""


def check(gate: Context) -> list[Check]:
    """Compare system message, template, examples and tools of the training rows with those of the candidate's calls.

    Only rows that are conversations tell whether training used a system message. A model without a prompt of ours (a
    recording, a function) and the baselines, which may be asked in any way, are not compared.
    """
    model = gate.models["candidate"]
    if model.prompt is None or model.ids is not None:
        return []
    found, source = list(_differences(gate)), str(gate.config.candidate.source)
    if not found:
        return []
    message = f"the candidate {model.name} is not asked as in training: {'; '.join(one.what for one in found)}"
    advice = f"Ask the candidate as in training ({source}): {' '.join(one.cure for one in found)}"
    asked, trained = found[0].asked, found[0].trained
    return [Check("prompt_mismatch", "warning", message, asked, trained, source, advice, "measure_again")]


class _Difference(NamedTuple):
    """Hold one difference: its sentence, the cure, and the shares of calls and training rows that have the thing."""

    what: str
    cure: str
    asked: float
    trained: float


def _differences(gate: Context) -> Iterator[_Difference]:
    model = gate.models["candidate"]
    assert model.prompt is not None
    trained, sent = _Rows(gate.training), [model.sent(example) for example in _sample(gate.test.examples)]
    asked = [one["messages"] for one in sent]
    if trained.chats:
        yield from _system(trained, asked, model.prompt)
        yield from _few_shot(trained, model.prompt)
        yield from _tools(trained, sum(bool(one.get("tools") or model.params.get("tools")) for one in sent) / len(sent))
    yield from _template(trained, asked, model.prompt)
    if gate.asked("candidate").provider == "transformers":
        yield from _chat_template(trained, model.function)


def _sample(rows: Sequence[Any]) -> Sequence[Any]:
    """Return at most ``_COMPARED`` rows, evenly spaced."""
    return rows[:: max(1, len(rows) // _COMPARED)]


class _Rows:
    """The training set, and its rows that are conversations with their places."""

    def __init__(self, data: DataSet) -> None:
        self.data, self.chats = data, {row: one for row, one in enumerate(data) if not isinstance(one.input, str)}

    def share(self, rows: Collection[Any]) -> float:
        """Return the share of the conversations that some of them are."""
        return len(rows) / len(self.chats)

    def said(self, rows: Collection[Any]) -> str:
        """Return some conversations with their share, as ``180 of 200 training rows (90 %)``."""
        return f"{len(rows):,} of {plural(len(self.chats), 'training row')} ({100 * self.share(rows):.0f} %)"


def _system_of(messages: Any) -> str | None:
    """Return the instructions at the start of a conversation, with white space collapsed at its ends."""
    leading = takewhile(lambda message: message["role"] in INSTRUCTIONS, messages)
    contents = (message.get("content") for message in leading)
    return "\n".join(one if isinstance(one, str) else canonical_json(one) for one in contents).strip() or None


def _quoted(text: str) -> str:
    return repr(printable(text, _SHOWN))


def _line(key: str, text: str, otherwise: str) -> str:
    """Return a key with a text as YAML to paste, or what to do instead where the text is long."""
    return f"{key}: {json.dumps(text, ensure_ascii=False)}" if len(text) <= _PASTED else otherwise


# --- system message ------------------------------------------------------------------------------------------


def _system(trained: _Rows, asked: Sequence[Any], prompt: Prompt) -> Iterator[_Difference]:
    """Compare the system messages. One that any training row has is known; none at all must be usual in training."""
    ways = Counter(map(_system_of, asked))
    having = {row: text for row, one in trained.chats.items() if (text := _system_of(one.input)) is not None}
    texts, share = Counter(having.values()), trained.share(having)
    varied = len(texts) > _UNKNOWN * max(len(having), 1) and len(texts) > 1  # each row has its own
    unknown = {
        way: count
        for way, count in ways.items()
        if (share > 1 - _RARE if way is None else share < _RARE or not (varied or way in texts))
    }
    if sum(unknown.values()) <= _UNKNOWN * len(asked):
        return
    way, shares = max(unknown, key=lambda way: unknown[way]), (1 - ways[None] / len(asked), share)
    if share < _RARE:
        what = f"{trained.said(having)} have a system message, and it is asked with {_quoted(way or '')}"
        key = "system" if prompt.system is not None else "its system messages"
        yield _Difference(what, f"remove {key}.", *shares)
        return
    usual = texts.most_common(1)[0][0]
    place = trained.data.where(next(row for row, text in having.items() if text == usual))
    have = f"the system message {_quoted(usual)}"
    if len(texts) > 1:
        have = f"a system message ({len(texts):,} different ones, most often {_quoted(usual)})"
    cure = _line("system", usual, f"system_file: prompts/candidate.md, a file with the system message of {place}.")
    if varied:
        cure = f"write a system message into each test row, as in {place}."
    how = "without one" if way is None else f"with {_quoted(way)}"
    yield _Difference(f"{trained.said(having)} have {have}, and it is asked {how}", cure, *shares)


# --- examples, tools -----------------------------------------------------------------------------------------


def _few_shot(trained: _Rows, prompt: Prompt) -> Iterator[_Difference]:
    """Compare the examples before the question, which rows with a single question do not have."""
    turns = {row: [turn["role"] for turn in one.input] for row, one in trained.chats.items()}  # type: ignore[index]
    single = [row for row, roles in turns.items() if len([one for one in roles if one not in INSTRUCTIONS]) == 1]
    keys = [key for key, given in (("few_shot", prompt.shots), ("retrieval", prompt.neighbours)) if given]
    if keys and trained.share(single) >= _USUAL:
        what = f"{trained.said(single)} are a single question, and it is asked with the examples of {keys[0]}"
        yield _Difference(what, f"remove {' and '.join(keys)}.", 1.0, 1 - trained.share(single))


def _tools(trained: _Rows, asked: float) -> Iterator[_Difference]:
    """Compare whether tools are declared."""
    rows = [row for row, one in trained.chats.items() if one.fields.get("tools")]
    share, declared = trained.share(rows), f"{trained.said(rows)} declare tools, and"
    if share >= _USUAL and asked < 1 - _UNKNOWN:
        cure = f'write "tools" into each test row, as in {trained.data.where(rows[0])}.'
        yield _Difference(f"{declared} {100 * (1 - asked):.0f} % of its calls do not", cure, asked, share)
    elif share < _RARE and asked > _UNKNOWN:
        cure = 'remove "tools" from the test rows.'
        yield _Difference(f"{declared} {100 * asked:.0f} % of its calls do", cure, asked, share)


# --- template ------------------------------------------------------------------------------------------------


def _template(trained: _Rows, asked: Sequence[Any], prompt: Prompt) -> Iterator[_Difference]:
    """Compare the text around the input. Rows of plain text may have got a template only when they were trained on."""
    given = [one.input for one in _sample(trained.data.examples)]
    learned, posed = ([text for text in map(_question, rows) if text] for rows in (given, asked))
    if not learned or not posed:
        return
    start, end = _around(learned)
    share, known = _having(posed, start, end), _having(learned, start, end)
    if (start or end) and share < 1 - _UNKNOWN:
        around = f"{start}...{end}"
        what = f"{100 * known:.0f} % of the training inputs have the form {_quoted(around)}"
        line = _line("template", f"{start}{{input}}{end}", "a template with the text around the input of the first row")
        yield _Difference(f"{what}, and {100 * share:.0f} % of its questions do", line, share, known)
    elif prompt.template is not None and trained.chats:
        start, end = _around(posed)
        known = _having(learned, start, end)
        if (start or end) and known < _RARE:
            what = f"its template makes {_quoted(f'{start}...{end}')}, and {100 * known:.0f} % of the training rows do"
            yield _Difference(what, "remove template.", _having(posed, start, end), known)


def _question(given: Any) -> str | None:
    """Return the last message of the user, if that is text."""
    if isinstance(given, str):
        return given
    last = next((one["content"] for one in reversed(given) if one["role"] in ("user", "input")), None)
    return last if isinstance(last, str) else None


def _having(texts: Sequence[str], start: str, end: str) -> float:
    return sum(text.startswith(start) and text.endswith(end) for text in texts) / len(texts)


def _around(texts: Sequence[str]) -> tuple[str, str]:
    """Return the text with which most rows begin, and with which they end; empty where it may be chance."""
    start, end = _shared(texts), _shared([text[::-1] for text in texts])[::-1]
    start, end = _HEAD.match(start).group() or start, _TAIL.search(end).group() or end  # type: ignore[union-attr]
    longer = sum(len(text) > len(start) + len(end) for text in texts)
    if longer < _SAME_TEXT * len(texts):  # equal rows are no template
        return "", ""
    return start if _is_template(start) else "", end if _is_template(end) else ""


def _shared(texts: Sequence[str]) -> str:
    """Return the longest whole words with which ``_SAME_TEXT`` of the texts begin: neighbours in sorted order."""
    ordered, width = sorted(texts), max(2, ceil(_SAME_TEXT * len(texts)))
    pairs = zip(ordered, ordered[width - 1 :], strict=False)
    shared = max((os.path.commonprefix(pair) for pair in pairs), key=len, default="")  # noqa: RUF071  # texts
    within = any(text.startswith(shared) and text[len(shared) :][:1].isalnum() for text in texts)
    return shared.rstrip("".join(filter(str.isalnum, shared))) if within else shared


def _is_template(text: str) -> bool:
    words = text.split()
    return len(words) >= _TEMPLATE_WORDS or bool(words and (":" in text or "\n" in text))


# --- chat template -------------------------------------------------------------------------------------------


def _chat_template(trained: _Rows, generator: Any) -> Iterator[_Difference]:
    """Compare rendered conversations: a training row must begin with what the model is given to answer it."""
    rows = {row: one for row, one in trained.chats.items() if isinstance(one.expected, str)}
    rows = dict(islice(rows.items(), _RENDERED))
    try:
        rendered = zip(rows, generator.rendered(list(rows.values())), strict=True)
    except ModelError:  # reported by the call, where such messages are sent
        return
    unlike = [(row, asked, learned) for row, (asked, learned) in rendered if not learned.startswith(asked.rstrip())]
    if len(unlike) > _UNKNOWN * len(rows):
        row, *texts = unlike[0]
        same = len(os.path.commonprefix(texts))  # noqa: RUF071  # texts
        parts = [_quoted(text[same:]) for text in texts]
        what = f"the chat template ends the prompt with {parts[0]}, where {trained.data.where(row)} has {parts[1]}"
        cure = "save the chat template that it was trained with as chat_template.jinja in the adapter's folder."
        yield _Difference(what, cure, 1.0, 1 - len(unlike) / len(rows))
