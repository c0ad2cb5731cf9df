"""The models of this example as Python functions from command to answer.

Yours would call your model.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from base_model import BaseModel, Message
from fine_tuned import FineTuned

FOLDER = Path(__file__).parent
EXAMPLES = 3  # of each intent in the prompt


@cache
def training_rows() -> list[dict[str, Any]]:
    text = (FOLDER / "data" / "train.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def prompt() -> list[Message]:
    """Return the system message and the first training examples of each intent."""
    messages = [
        {
            "role": "system",
            "content": (FOLDER / "prompts" / "extract.md").read_text(encoding="utf-8"),
        }
    ]
    label_counts: Counter[str] = Counter()
    for row in training_rows():
        intent = row["expected"]["intent"]
        label_counts[intent] += 1
        if label_counts[intent] <= EXAMPLES:
            messages.append({"role": "user", "content": row["input"]})
            messages.append({"role": "assistant", "content": json.dumps(row["expected"])})
    return messages


@cache
def _base_model() -> BaseModel:
    return BaseModel(prompt())


@cache
def _fine_tuned(words_without_slot: bool) -> FineTuned:
    return FineTuned(training_rows(), words_without_slot=words_without_slot)


def prompted(command: str) -> str:
    """Answer with the base model and its prompt."""
    return _base_model()(command)


def fine_tuned(command: str) -> str:
    """Answer with the model trained on the training set."""
    return _fine_tuned(True)(command)


def overeager(command: str) -> str:
    """Answer with a model that was trained only on words that fill a slot, so it invents slots."""
    return _fine_tuned(False)(command)
