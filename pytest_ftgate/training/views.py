"""All that a row asks: its input as a whole, and what of it would be an example by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.data import Input, normalized_input
from pytest_ftgate.data.example import Messages
from pytest_ftgate.training.around import BARE, Around
from pytest_ftgate.training.wording import SHORTEST
from pytest_ftgate.training.wrapping import Wrapping, without_number


@dataclass(frozen=True, slots=True)
class View:
    """One thing that a row asks.

    Args:
        text: as inputs are compared, without what stands around it.
        output: what the row answers, as stripped text.
        around: what stood around it.
        renumbered: whether the number of the row was taken away, which the other rows of the set do not have.
    """

    text: str
    output: str
    around: Around = BARE
    renumbered: bool = False


def views(given: Input, output: str, wrapping: Wrapping, *, longest: int = 0) -> Iterator[View]:
    """What a row asks, the input as a whole first.

    Args:
        given: the input as far as it tells rows apart.
        output: the row's output, as stripped text.
        wrapping: what stands around the inputs of the sets.
        longest: up to how many messages a conversation's earlier turns are examples too, as they are for most
            trainers; 0: none are.
    """
    for view in _of_turns(given, output, wrapping, longest=longest):
        yield view
        text = without_number(view.text)
        if text != view.text:
            yield View(text, view.output, view.around, renumbered=True)


def _of_turns(given: Input, output: str, wrapping: Wrapping, *, longest: int = 0) -> Iterator[View]:
    if isinstance(given, str) or len(given) == 1:
        text, around = wrapping.unwrap(normalized_input(given))
        yield View(text, output, around)
        return
    yield _conversation(given, output, wrapping)
    if longest:
        yield from _earlier(given, output, wrapping, longest)


def _conversation(given: Messages, output: str, wrapping: Wrapping) -> View:
    """A conversation, or its first turn alone: that is the same as a plain text."""
    turns = [(message["role"], *_unwrapped(message, wrapping)) for message in given]
    asked = [around for role, _, around in turns if role == "user"]
    text = turns[0][1] if len(turns) == 1 else "".join(f"\n{role}\t{text}" for role, text, _ in turns)
    return View(text, output, asked[-1] if asked else BARE)


def _unwrapped(message: Mapping[str, Any], wrapping: Wrapping) -> tuple[str, Around]:
    text = normalized_input(({**message, "role": "user"},))
    return wrapping.unwrap(text) if message["role"] == "user" else (text, BARE)


def _earlier(given: Messages, output: str, wrapping: Wrapping, longest: int) -> Iterator[View]:
    """The conversation up to each answer, and each later question by itself where it is long enough to be one."""
    instructed = given[0]["role"] in ("system", "developer")
    asked: tuple[str, Around] | None = None
    first = True
    for place, message in enumerate((*given, None)):
        answer = output if message is None else _answer(message)
        if answer and asked is not None:
            if place <= longest and message is not None:
                yield _conversation(given[:place], answer, wrapping)
            if not first and not instructed and len(asked[0]) >= SHORTEST:
                yield View(asked[0], answer, asked[1])
            asked, first = None, False
        if message is not None and message["role"] == "user":
            asked = _unwrapped(message, wrapping)


def _answer(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content.strip() if message["role"] == "assistant" and isinstance(content, str) else ""
