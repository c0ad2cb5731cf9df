"""The rule that the candidate is asked in the way in which its training rows ask.

It is a mismatch where a system message, tools, or a text around the input that nine in ten training
rows have is missing in the candidate's calls, or the reverse: nine in ten of one side have what
nine in ten of the other side lack.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_ftgate.checks.audit.wording import MOST, shared_start
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import INSTRUCTIONS, canonical_json
from pytest_ftgate.data.messages import declared_tools
from pytest_ftgate.result import Check
from pytest_ftgate.text import EXCERPT, LONGEST_SHOWN, printable

_FEW = 0.1
"""The share of rows that MOST leaves; written out, since 1 - 0.9 is a little less."""
_PIECE = re.compile(r"\w+|\W")
"""A word, or a character between words."""


class Request(NamedTuple):
    """A conversation with its tools, as a training row has it or as a call sends it."""

    messages: Any
    tools: Any
    place: Any = None


class Surroundings(NamedTuple):
    """Hold what stands around the inputs, in training and in the candidate's calls.

    Attributes:
        name: what people call it, such as "a system message".
        key: the key of a model that gives it to a call.
        trained, sent: the text of each training row, and of each call; empty where there is none.
        compared: the texts that are looked for; an empty one stands for any.
        has: says whether a row or call has a text.
        change: what gives it to a call as in training; empty where training has none.
    """

    name: str
    key: str
    trained: Sequence[str]
    sent: Sequence[str]
    compared: Sequence[str]
    has: Callable[[str, str], bool]
    change: str

    def share(self, texts: Sequence[str], compared: str) -> float:
        """Return the share of rows or calls that have a text."""
        return sum(self.has(text, compared) for text in texts) / len(texts)


def check(gate: Context) -> Iterator[Check]:
    """Compare what the training rows have around their inputs with the candidate's calls.

    Only training rows that are conversations tell how training asked. A model without a prompt of
    ours (a recording, a function) and the baselines, which may be asked in any way, are not
    compared.
    """
    model = gate.models["candidate"]
    if model.prompt is None or model.ids is not None:
        return

    rows = []
    for example in gate.training:
        if not isinstance(example.input, str):
            place = example.place or example.name
            rows.append(Request(example.input, example.fields.get("tools"), place))
    if not rows:
        return

    calls = []
    for example in gate.test:
        call = model.sent(example)
        calls.append(Request(call["messages"], call.get("tools") or model.params.get("tools")))

    for surroundings in (_systems(rows, calls), _tools(rows, calls), *_templates(rows, calls)):
        for text in surroundings.compared:
            trained = surroundings.share(surroundings.trained, text)
            sent = surroundings.share(surroundings.sent, text)
            if max(sent, trained) >= MOST and min(sent, trained) <= _FEW:
                yield _mismatch(gate, surroundings, text, trained, sent)
                break


def _mismatch(
    gate: Context, surroundings: Surroundings, text: str, trained: float, sent: float
) -> Check:
    """Return the check of a text that nine in ten of one side have and of the other lack."""
    candidate = gate.config.candidate
    source = str(candidate.source)
    quoted = f" {printable(text, EXCERPT)!r}" if text else ""
    message = f"{surroundings.name}{quoted}: in {100 * trained:.0f} % of the training rows, and "
    message += f"in {100 * sent:.0f} % of the calls of candidate {candidate.name}"
    change = surroundings.change or f"remove {surroundings.key}"
    return Check(
        "prompt_mismatch",
        "warning",
        message,
        sent,
        trained,
        source,
        advice=f"Ask the candidate as in training ({source}): {change}.",
        explains_loss=True,
    )


# --- system messages and tools --------------------------------------------------------------------


def _systems(rows: Sequence[Request], calls: Sequence[Request]) -> Surroundings:
    trained = [system_of(row.messages) for row in rows]
    sent = [system_of(call.messages) for call in calls]
    usual = _usual(trained)
    change = ""
    if usual:
        line = json.dumps(usual, ensure_ascii=False)
        if len(line) > LONGEST_SHOWN:
            line = f"that of {rows[trained.index(usual)].place}"
        change = f"system: {line}"
    compared = _compared(trained, sent)
    return Surroundings("a system message", "system", trained, sent, compared, _is_or_any, change)


def system_of(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return the instructions at the start of a conversation."""
    texts = []
    for message in messages:
        if message["role"] not in INSTRUCTIONS:
            break
        content = message.get("content")
        texts.append(content if isinstance(content, str) else canonical_json(content))
    return "\n".join(texts).strip()


def _tools(rows: Sequence[Request], calls: Sequence[Request]) -> Surroundings:
    trained = list(map(_names_of_tools, rows))
    sent = list(map(_names_of_tools, calls))
    usual = _usual(trained)
    change = ""
    if usual:
        change = f"write tools into each test row, as in {rows[trained.index(usual)].place}"
    compared = _compared(trained, sent)
    return Surroundings("tools", "tools", trained, sent, compared, _is_or_any, change)


def _names_of_tools(request: Request) -> str:
    return ", ".join(sorted(declared_tools(request.tools)))


def _compared(trained: Sequence[str], sent: Sequence[str]) -> list[str]:
    """Return the usual text of each side, then the empty one, which stands for any."""
    # the most specific text comes first, because it is the one that is quoted
    return [*filter(None, [_usual(trained), _usual(sent)]), ""]


def _usual(texts: Sequence[str]) -> str:
    """Return the most frequent text that is not empty; empty where nine in ten are."""
    counts = Counter(filter(None, texts))
    if counts.total() <= _FEW * len(texts):
        return ""
    return counts.most_common(1)[0][0]


def _is_or_any(text: str, compared: str) -> bool:
    return text == compared if compared else bool(text)


# --- the text around the input --------------------------------------------------------------------


def _templates(rows: Sequence[Request], calls: Sequence[Request]) -> Iterator[Surroundings]:
    """Yield the texts before and after the input; the change restores both."""
    trained = list(map(_question_of, rows))
    sent = list(map(_question_of, calls))
    start, end = _template(trained)
    sent_start, sent_end = _template(sent)
    change = ""
    if start.strip() or end.strip():
        change = f"template: {json.dumps(f'{start}{{input}}{end}', ensure_ascii=False)}"

    starts = list(filter(str.strip, (start, sent_start)))
    name = "the text before the input"
    yield Surroundings(name, "template", trained, sent, starts, str.startswith, change)
    ends = list(filter(str.strip, (end, sent_end)))
    name = "the text after the input"
    yield Surroundings(name, "template", trained, sent, ends, str.endswith, change)


def _question_of(request: Request) -> str:
    """Return the last message of the user; empty if that is not text."""
    question = ""
    for message in request.messages:
        if message["role"] in ("user", "input"):
            question = message["content"]
    return question if isinstance(question, str) else ""


def _template(texts: Sequence[str]) -> tuple[str, str]:
    """Return what nine in ten texts begin and end with, in whole words."""
    rows = [_PIECE.findall(text) for text in texts]
    start = shared_start(rows)
    end = shared_start([row[::-1] for row in rows])
    return "".join(start), "".join(end[::-1])
