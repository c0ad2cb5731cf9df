"""Two successors of the hosted fine-tune, trained on its training set when they are first asked.

They stand in for fine-tunes of open weights, so that the example needs no key, no network and no
GPU.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from pytest_ftgate import Completion

TRAIN = Path(__file__).parents[1] / "voice_commands" / "data" / "train.jsonl"


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", text.casefold())


def words() -> Any:
    return TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=True, preprocessor=without_numbers)


def letters() -> Any:
    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, preprocessor=without_numbers
    )


@lru_cache
def trained(*, with_letters: bool) -> Any:
    """Return the classifier that the training set gives."""
    rows = [json.loads(line) for line in TRAIN.read_text(encoding="utf-8").splitlines()]
    features = make_union(letters(), words()) if with_letters else words()
    model = make_pipeline(features, LinearSVC(random_state=0))
    return model.fit([row["input"] for row in rows], [row["expected"] for row in rows])


def completion(text: str, *, with_letters: bool) -> Completion:
    label = str(trained(with_letters=with_letters).predict([text])[0])
    return Completion(label, input_tokens=len(text.split()), output_tokens=3)


def open_weights(text: str) -> Completion:
    return completion(text, with_letters=True)


def smaller(text: str) -> Completion:
    """Answer by whole words only, which is half the size and not enough."""
    return completion(text, with_letters=False)
