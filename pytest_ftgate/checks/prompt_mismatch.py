"""The rule that the candidate is asked in the way in which its training rows ask.

It is a mismatch where a system message, tools, or a text around the input that nine in ten training
rows have is missing in the candidate's calls, or the reverse: nine in ten of one side have what
nine in ten of the other side lack.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_ftgate.checks.audit.wording import MOST, shared_start
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import INSTRUCTIONS, canonical_json
from pytest_ftgate.data.example import Messages
from pytest_ftgate.data.messages import declared_tools
from pytest_ftgate.result import Check
from pytest_ftgate.text import EXCERPT, printable

_FEW = 0.1
"""The share of rows that MOST leaves; written out, since 1 - 0.9 is a little less."""
_PIECE = re.compile(r"\w+|\W")
"""A word, or a character between words."""


class Surroundings(NamedTuple):
    """Hold what stands around the inputs, in training and in the candidate's calls.

    Attributes:
        name: what people call it, such as "a system message".
        key: the key of a model that gives it to a call.
        trained, sent: the text of each training row, and of each call; empty where there is none.
        compared: the texts that are looked for; an empty one stands for any.
        has: says whether a row or call has a text.
    """

    name: str
    key: str
    trained: Sequence[str]
    sent: Sequence[str]
    compared: Sequence[str]
    has: Callable[[str, str], bool]

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
    row_tools = []
    for example in gate.training:
        if not isinstance(example.input, str):
            rows.append(example.input)
            row_tools.append(_names_of_tools(example.fields.get("tools")))
    if not rows:
        return

    calls = []
    call_tools = []
    for example in gate.test:
        call = model.sent(example)
        calls.append(call["messages"])
        call_tools.append(_names_of_tools(call.get("tools") or model.params.get("tools")))

    row_systems = list(map(system_of, rows))
    call_systems = list(map(system_of, calls))
    for surroundings in (
        _given("a system message", "system", row_systems, call_systems),
        _given("tools", "tools", row_tools, call_tools),
        *_templates(list(map(_question_of, rows)), list(map(_question_of, calls))),
    ):
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
    cure = f"Give the candidate the {surroundings.key} of the training rows ({source})."
    if sent > trained:
        cure = f"Ask the candidate without {surroundings.key}, as in training ({source})."
    return Check(
        "prompt_mismatch",
        "warning",
        message,
        observed=sent,
        required=trained,
        source=source,
        cure=cure,
        explains_loss=True,
    )


# --- system messages and tools --------------------------------------------------------------------


def _given(name: str, key: str, trained: Sequence[str], sent: Sequence[str]) -> Surroundings:
    # the most specific text comes first, because it is the one that is quoted; "" stands for any
    compared = [*_usual(trained), *_usual(sent), ""]
    return Surroundings(
        name, key=key, trained=trained, sent=sent, compared=compared, has=_is_or_any
    )


def system_of(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return the instructions at the start of a conversation."""
    texts = []
    for message in messages:
        if message["role"] not in INSTRUCTIONS:
            break
        content = message.get("content")
        texts.append(content if isinstance(content, str) else canonical_json(content))
    return "\n".join(texts).strip()


def _names_of_tools(tools: Any) -> str:
    return ", ".join(sorted(declared_tools(tools)))


def _usual(texts: Sequence[str]) -> list[str]:
    """Return the most frequent text that is not empty, if there is any."""
    return [text for text, _ in Counter(filter(None, texts)).most_common(1)]


def _is_or_any(text: str, compared: str) -> bool:
    return text == compared if compared else bool(text)


# --- the text around the input --------------------------------------------------------------------


def _templates(trained: Sequence[str], sent: Sequence[str]) -> Iterator[Surroundings]:
    """Yield the texts before and after the input."""
    start, end = _template(trained)
    sent_start, sent_end = _template(sent)
    starts = list(filter(str.strip, (start, sent_start)))
    name = "the text before the input"
    yield Surroundings(
        name, key="template", trained=trained, sent=sent, compared=starts, has=str.startswith
    )
    ends = list(filter(str.strip, (end, sent_end)))
    name = "the text after the input"
    yield Surroundings(
        name, key="template", trained=trained, sent=sent, compared=ends, has=str.endswith
    )


def _question_of(messages: Messages) -> str:
    """Return the last message of the user; empty if that is not text."""
    question = ""
    for message in messages:
        if message["role"] in ("user", "input"):
            question = message["content"]
    return question if isinstance(question, str) else ""


def _template(texts: Sequence[str]) -> tuple[str, str]:
    """Return what nine in ten texts begin and end with, in whole words."""
    rows = [_PIECE.findall(text) for text in texts]
    start = shared_start(rows)
    end = shared_start([row[::-1] for row in rows])
    return "".join(start), "".join(end[::-1])
