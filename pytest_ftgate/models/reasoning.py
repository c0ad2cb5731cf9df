"""Tell a model's answer from the reasoning that it wrote before it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from pytest_ftgate.models.protocol import Completion, Stripping

TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"))
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)(?:(?!<\|message\|>).)*<\|message\|>(.*?)"
    r"(?:<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)


def without_reasoning(completion: Completion, stripping: Stripping) -> Completion:
    """Return the completion whose ``text`` is the answer alone, and whose ``reasoning`` is what came before it.

    Reasoning that never ends leaves no answer: its text is empty, and it counts as cut off. A closing tag alone ends
    reasoning too, since some chat templates write the opening one into the prompt. Channels are those of OpenAI's
    Harmony format: the answer is in ``final``.
    """
    if stripping is False:
        return completion
    if stripping == "auto" and "<|channel|>" in completion.text:
        answer, reasoning = _final_channel(completion.text)
    else:
        answer, reasoning = _after_tags(completion.text, TAGS if stripping == "auto" else (stripping,))
    if reasoning is None:
        return completion
    before = f"{completion.reasoning}\n" if completion.reasoning else ""
    finish = completion.finish if answer is not None or completion.finish != "stop" else "cut_off"
    text = answer or ""
    return replace(completion, text=text, reasoning=before + reasoning, finish=finish, original=completion.text)


def stripping_for(stripping: Stripping, expected: Iterable[str]) -> Stripping:
    """Return what is stripped of answers to these outputs: where they begin with a usual tag, it is no reasoning."""
    openings = tuple(opening for opening, _ in TAGS)
    if stripping == "auto" and any(text.lstrip().startswith(openings) for text in expected):
        return False
    return stripping


def _after_tags(text: str, tags: Iterable[tuple[str, str]]) -> tuple[str | None, str | None]:
    """Return the answer, None where there is none, and the reasoning, None where there is none."""
    for opening, closing in tags:
        begins = text.lstrip().startswith(opening)
        inside = text.lstrip()[len(opening) :] if begins else text
        reasoning, closed, answer = inside.partition(closing)
        if closed:
            return answer.strip(), reasoning.strip()
        if begins:
            return None, reasoning.strip()
    return text, None


def _final_channel(text: str) -> tuple[str | None, str | None]:
    parts = _CHANNEL.findall(text)
    final = next((message.strip() for channel, message in reversed(parts) if channel == "final"), None)
    return final, "\n".join(message.strip() for channel, message in parts if channel != "final")
