"""The models of this suite: one that is hardly trained, and what became of it by training it further."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from gate_project import read_jsonl
from gguf_export import export
from tiny_llama import Chat, Shape, TinyLlama, learn_tokens, train
from tokenizers import Tokenizer

SYSTEM = "Name the intent."
SEED = 3
BASE_EPOCHS, TUNED_EPOCHS, SHUFFLED_EPOCHS = 2, 8, 3


@contextmanager
def one_thread() -> Iterator[None]:
    """Models this small are fastest so, above all on a busy machine, and come out the same each time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Checkpoints:
    """What was trained.

    Attributes:
        shape: the sizes of all models.
        tokenizer: of all models.
        models: by name. ``random``: not trained at all; ``base``: two epochs, so that it has begun to tell intents
            apart; ``tuned``: the base model trained to the end; ``shuffled``: the base model trained on labels
            that were dealt out at random.
        files: the same as GGUF files.
    """

    shape: Shape
    tokenizer: Tokenizer
    models: dict[str, TinyLlama]
    files: dict[str, Path]


def chats(path: Path) -> list[Chat]:
    """Return the rows of a JSONL file with ``input`` and ``expected``."""
    return [Chat(SYSTEM, row["input"], row["expected"]) for row in read_jsonl(path)]


def make_checkpoints(training_set: Path, folder: Path) -> Checkpoints:
    """Train all models, and write them into the folder."""
    lessons = chats(training_set)
    shape = Shape()
    tokenizer = learn_tokens(
        [text for chat in lessons for text in (chat.user, chat.assistant)], shape
    )
    random_weights = TinyLlama(shape, SEED).eval()
    base = train(random_weights, tokenizer, lessons, BASE_EPOCHS, SEED)
    models = {
        "random": random_weights,
        "base": base,
        "tuned": train(base, tokenizer, lessons, TUNED_EPOCHS, SEED),
        "shuffled": train(base, tokenizer, shuffled(lessons), SHUFFLED_EPOCHS, SEED),
    }
    files = {
        name: export(model, tokenizer, folder / f"{name}.gguf") for name, model in models.items()
    }
    return Checkpoints(shape, tokenizer, models, files)


def shuffled(lessons: Sequence[Chat]) -> list[Chat]:
    """Return the same inputs and the same labels, but not the same pairs."""
    labels = [chat.assistant for chat in lessons]
    random.Random(SEED).shuffle(labels)
    return [replace(chat, assistant=label) for chat, label in zip(lessons, labels, strict=True)]
