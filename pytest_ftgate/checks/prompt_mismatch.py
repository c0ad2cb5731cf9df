"""The rule that the candidate is asked in the way in which its training rows ask.

It is a mismatch where a system message, tools, or a text around the input that nine in ten training
rows have is missing in the candidate's calls, or the reverse: nine in ten of one side have what
nine in ten of the other side lack.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from pytest_ftgate.checks.audit.wording import MOST, shared_start
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import INSTRUCTIONS, Example, canonical_json
from pytest_ftgate.data.messages import declared_tools
from pytest_ftgate.result import Check
from pytest_ftgate.text import EXCERPT, LONGEST_SHOWN, printable

_FEW = round(1 - MOST, 12)
_PIECE = re.compile(r"\w+|\W")
"""A word, or a character between words."""


class Part(NamedTuple):
    """Hold one part of what a model is sent, in training and in the candidate's calls.

    Attributes:
        name: what people call it, such as "a system message".
        key: the key of a model that gives it to a call.
        trained, asked: the text of each training row, and of each call; empty where there is none.
        compared: the texts that are looked for; an empty one stands for any.
        has: says whether a row or call has a text.
        cure: what gives the part to a call as in training; empty where training has none.
    """

    name: str
    key: str
    trained: Sequence[str]
    asked: Sequence[str]
    compared: Sequence[str]
    has: Callable[[str, str], bool]
    cure: str


def check(gate: Context) -> Iterator[Check]:
    """Compare what the training rows have around their inputs with the candidate's calls.

    Only training rows that are conversations tell how training asked. A model without a prompt of
    ours (a recording, a function) and the baselines, which may be asked in any way, are not
    compared.
    """
    model = gate.models["candidate"]
    rows = [example for example in gate.training if not isinstance(example.input, str)]
    if model.prompt is None or model.ids is not None or not rows:
        return

    calls = [model.sent(example) for example in gate.test]
    declared = [call.get("tools") or model.params.get("tools") for call in calls]
    source = str(gate.config.candidate.source)
    for part in (_systems(rows, calls), _tools(rows, declared), *_templates(rows, calls)):
        found = _difference(part)
        if found is None:
            continue

        text, asked, trained = found
        quoted = f" {printable(text, EXCERPT)!r}" if text else ""
        message = f"{part.name}{quoted}: in {100 * trained:.0f} % of the training rows, and in {100 * asked:.0f} % of "
        message += f"the calls of candidate {model.name}"
        advice = (
            f"Ask the candidate as in training ({source}): {part.cure or f'remove {part.key}'}."
        )
        yield Check("prompt_mismatch", "warning", message, asked, trained, source, advice)


def _difference(part: Part) -> tuple[str, float, float] | None:
    """Return the first text that nine in ten of one side have, and nine in ten of the other lack.

    Beside it stand the shares of the calls and of the training rows that have it.
    """
    for text in part.compared:
        asked = sum(part.has(call, text) for call in part.asked) / len(part.asked)
        trained = sum(part.has(row, text) for row in part.trained) / len(part.trained)
        if max(asked, trained) >= MOST and min(asked, trained) <= _FEW:
            return text, asked, trained

    return None


# --- system messages and tools
# -------------------------------------------------------------------------------


def _systems(rows: Sequence[Example], calls: Sequence[Mapping[str, Any]]) -> Part:
    trained = [_system_of(example.input) for example in rows]
    asked = [_system_of(call["messages"]) for call in calls]
    usual = _usual(trained)
    cure = ""
    if usual:
        line = json.dumps(usual, ensure_ascii=False)
        place = _first_place(rows, trained, usual)
        cure = f"system: {line}" if len(line) <= LONGEST_SHOWN else f"system: that of {place}"

    return Part(
        "a system message", "system", trained, asked, _compared(trained, asked), _is_or_any, cure
    )


def _tools(rows: Sequence[Example], declared: Sequence[Any]) -> Part:
    trained = [", ".join(sorted(declared_tools(example.fields.get("tools")))) for example in rows]
    asked = [", ".join(sorted(declared_tools(tools))) for tools in declared]
    usual = _usual(trained)
    cure = (
        f"write tools into each test row, as in {_first_place(rows, trained, usual)}"
        if usual
        else ""
    )
    return Part("tools", "tools", trained, asked, _compared(trained, asked), _is_or_any, cure)


def _compared(trained: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return the usual text of each side, then the empty one, which stands for any."""
    usual = [_usual(trained), _usual(asked)]
    return [*filter(None, usual), ""]


def _system_of(messages: Any) -> str:
    """Return the instructions at the start of a conversation."""
    leading = takewhile(lambda message: message["role"] in INSTRUCTIONS, messages)
    contents = [message.get("content") for message in leading]
    texts = [
        content if isinstance(content, str) else canonical_json(content) for content in contents
    ]
    return "\n".join(texts).strip()


def _usual(texts: Sequence[str]) -> str:
    """Return the most frequent text that is not empty; empty where nine in ten are."""
    counts = Counter(filter(None, texts))
    if counts.total() <= _FEW * len(texts):
        return ""
    return counts.most_common(1)[0][0] if counts else ""


def _first_place(rows: Sequence[Example], texts: Sequence[str], text: str) -> str:
    example = rows[texts.index(text)]
    return str(example.place or example.name)


def _is_or_any(text: str, compared: str) -> bool:
    return text == compared if compared else bool(text)


# --- the text around the input
# -------------------------------------------------------------------------------


def _templates(rows: Sequence[Example], calls: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    """Yield the texts before and after the input; the cure restores both."""
    trained = [_question_of(example.input) for example in rows]
    asked = [_question_of(call["messages"]) for call in calls]
    start, end = _template(trained)
    asked_start, asked_end = _template(asked)
    cure = ""
    if start.strip() or end.strip():
        cure = f"template: {json.dumps(f'{start}{{input}}{end}', ensure_ascii=False)}"

    starts = [text for text in (start, asked_start) if text.strip()]
    ends = [text for text in (end, asked_end) if text.strip()]
    yield Part(
        "the text before the input", "template", trained, asked, starts, str.startswith, cure
    )
    yield Part("the text after the input", "template", trained, asked, ends, str.endswith, cure)


def _question_of(messages: Any) -> str:
    """Return the last message of the user; empty if that is not text."""
    contents = [message["content"] for message in messages if message["role"] in ("user", "input")]
    return contents[-1] if contents and isinstance(contents[-1], str) else ""


def _template(texts: Sequence[str]) -> tuple[str, str]:
    """Return what nine in ten texts begin and end with, in whole words."""
    rows = [_PIECE.findall(text) for text in texts]
    start = shared_start(rows)
    end = shared_start([row[::-1] for row in rows])
    return "".join(start), "".join(end[::-1])
