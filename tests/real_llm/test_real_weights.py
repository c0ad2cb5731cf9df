"""The models are what they are said to be: trained here, and served as they were trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import needs
import pytest

needs.the_extra()

import openai  # noqa: E402
from checkpoints import Checkpoints, chats, shuffled  # noqa: E402
from tiny_llama import Chat, answer  # noqa: E402
from voice_project import LIMIT  # noqa: E402

if TYPE_CHECKING:
    from serve import Served


@pytest.fixture(scope="module")
def test_chats(data: Path) -> list[Chat]:
    return chats(data / "test.jsonl")


def over_http(served: Served, questions: Sequence[Chat]) -> list[str]:
    """Return the answers as any program would get them, eight questions at once."""
    client = openai.OpenAI(base_url=served.base_url, api_key="none", max_retries=0)

    def ask(chat: Chat) -> str:
        completion = client.chat.completions.create(
            model=served.name,
            messages=[{"role": "system", "content": chat.system}, {"role": "user", "content": chat.user}],
            temperature=0,
            max_tokens=LIMIT,
        )
        return completion.choices[0].message.content or ""

    with client, ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, questions))


def right(answers: Sequence[str], questions: Sequence[Chat]) -> float:
    return sum(given == chat.assistant for given, chat in zip(answers, questions, strict=True)) / len(questions)


def test_no_template_of_the_test_set_was_trained_on(data: Path) -> None:
    rows = {
        name: [json.loads(line) for line in (data / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "test")
    }
    groups = {name: {row["group"] for row in rows[name]} for name in rows}
    assert len(rows["test"]) >= 100
    assert len(groups["test"]) >= 50
    assert not groups["train"] & groups["test"]


def test_each_training_helps(checkpoints: Checkpoints, test_chats: list[Chat]) -> None:
    score = {
        name: right([answer(model, checkpoints.tokenizer, chat, LIMIT) for chat in test_chats], test_chats)
        for name, model in checkpoints.models.items()
    }
    assert score["random"] == 0
    assert 0.1 < score["base"] < 0.65
    assert score["tuned"] > 0.8
    assert score["shuffled"] < score["base"]


def test_shuffling_keeps_every_label_and_few_pairs(data: Path) -> None:
    lessons = chats(data / "train.jsonl")
    dealt = shuffled(lessons)
    assert sorted(chat.assistant for chat in dealt) == sorted(chat.assistant for chat in lessons)
    assert len(set(dealt) & set(lessons)) < len(lessons) / 10


@pytest.mark.parametrize("name", ["base", "tuned"])
def test_the_server_answers_as_the_model_did_in_training(
    checkpoints: Checkpoints, served: Callable[[str], Served], test_chats: list[Chat], name: str
) -> None:
    here = [answer(checkpoints.models[name], checkpoints.tokenizer, chat, LIMIT) for chat in test_chats]
    there = over_http(served(name), test_chats)
    # Sums in another order differ in their last digits: that may turn an answer whose two best tokens are equal.
    assert sum(a == b for a, b in zip(here, there, strict=True)) >= len(test_chats) - 2
