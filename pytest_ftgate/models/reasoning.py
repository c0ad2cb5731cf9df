"""Tell a model's answer from the reasoning that it wrote before it."""

import re
from collections.abc import Iterable
from dataclasses import replace

from pytest_ftgate.models.protocol import Completion, Stripping

_LEFT, _RIGHT = r"[<\[\u25c1]\|?", r"\|?[>\]\u25b7]"
_OPENING = re.compile(rf"\s*(?P<left>{_LEFT})(?P<name>[\w:.-]+)(?:\s[^<>\[\]]*)?(?P<right>{_RIGHT})")
_BRACKET = re.compile(_LEFT)
_OF_REASONING = re.compile("think|thought|reasoning", re.IGNORECASE)
_CLOSING = re.compile(rf"{_LEFT}(?:/|end_(?:of_)?)[\w:.-]*?(?:think|thought|reasoning)[\w:.-]*{_RIGHT}", re.IGNORECASE)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)(?:(?!<\|message\|>).)*<\|message\|>(.*?)"
    r"(?:<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)


def answer_of(completion: Completion, limit: int | None, stripping: Stripping) -> Completion:
    """Return the answer of a model without its reasoning; one of as many tokens as its request allows is cut off."""
    if limit is not None and completion.finish == "stop" and completion.output_tokens == limit:
        completion = replace(completion, finish="cut_off")
    return without_reasoning(completion, stripping)


def without_reasoning(completion: Completion, stripping: Stripping) -> Completion:
    """Return the completion whose ``text`` is the answer alone, and whose ``reasoning`` is what came before it.

    Reasoning with nothing after it is no answer, also where it came apart: the text is empty, and it counts as cut
    off. A closing tag alone ends reasoning too, since some chat templates write the opening one into the prompt.
    Channels are those of OpenAI's Harmony format: the answer is in ``final``.
    """
    text, reasoning = completion.text, None
    if completion.reasoning is None and stripping == "auto" and not _BRACKET.search(text):
        return completion
    if stripping == "auto" and "<|channel|>" in text:
        parts = [(channel, message.strip()) for channel, message in _CHANNEL.findall(text)]
        text = next((message for channel, message in reversed(parts) if channel == "final"), "")
        reasoning = "\n".join(message for channel, message in parts if channel != "final")
    elif stripping:
        text, reasoning = _after_reasoning(text, stripping)
    thought = "\n".join(part for part in (completion.reasoning, reasoning) if part is not None)
    never_came = completion.finish == "stop" and bool(thought or reasoning is not None) and not text.strip()
    if reasoning is None and not never_came:
        return completion
    original = completion.original if reasoning is None else completion.text
    finish = "cut_off" if never_came else completion.finish
    return replace(completion, text=text, reasoning=thought, finish=finish, original=original)


def stripping_for(stripping: Stripping, expected: Iterable[str]) -> Stripping:
    """Return what is stripped of answers to these outputs: where they begin with a usual tag, it is no reasoning."""
    return False if stripping == "auto" and any(map(begins_with_reasoning, expected)) else stripping


def begins_with_reasoning(text: str) -> bool:
    """Return whether a text begins with a tag that usually holds reasoning."""
    opening = _OPENING.match(text)
    return opening is not None and _OF_REASONING.search(opening["name"]) is not None


def leading_block(text: str) -> tuple[str, str] | None:
    """Return the content of the paired tags that a text begins with, whatever their name, and the text after them."""
    opening = _OPENING.match(text)
    end = None if opening is None else _closing(opening).search(text, opening.end())
    if opening is None or end is None:
        return None
    return text[opening.end() : end.start()].strip(), text[end.end() :].strip()


def _after_reasoning(text: str, stripping: tuple[str, str] | str) -> tuple[str, str | None]:
    """Return the answer, empty where there is none, and the reasoning, ``None`` where there is none."""
    start, closing = None, _CLOSING
    if not isinstance(stripping, str):
        opening = re.match(rf"\s*{re.escape(stripping[0])}", text)
        start, closing = opening.end() if opening else None, re.compile(re.escape(stripping[1]))
    elif begins_with_reasoning(text) and (opening := _OPENING.match(text)) is not None:
        start, closing = opening.end(), _closing(opening)
    end = closing.search(text, start or 0)
    if end is not None:
        return text[end.end() :].strip(), text[start or 0 : end.start()].strip()
    return (text, None) if start is None else ("", text[start:].strip())


def _closing(opening: re.Match[str]) -> re.Pattern[str]:
    """Return what closes a tag: ``</x>``, ``[/x]``, and ``<|end_of_x|>`` for ``<|begin_of_x|>``."""
    name = opening["name"]
    ended = re.sub("start|begin", "end", name, count=1, flags=re.IGNORECASE)
    names = f"/{re.escape(name)}" + (f"|{re.escape(ended)}" if ended != name else "")
    return re.compile(f"{re.escape(opening['left'])}(?:{names}){re.escape(opening['right'])}", re.IGNORECASE)
