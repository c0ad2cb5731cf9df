"""Stand-ins for language models: one uses only its prompt, the others the training set.

``assistant-base``
    answers with the label of the example in the prompt that is most similar to the last user
    message. Examples are the few-shot turns and the lines ``- LABEL: description. "phrase"`` of the
    system message. A better prompt makes it better.
``ft:assistant-base:voice-commands``
    is trained on the training file when the server starts, and uses only the last user message.
``ft:assistant-base:voice-commands-1``
    is the same, trained on the first quarter of the file: the model that runs until there are more
    rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

Turns = tuple[tuple[str, str], ...]  # (role, content) of each message
Answer = Callable[[Turns], str]


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "0", text.casefold())


def shown_examples(prompt: Turns) -> list[tuple[str, str]]:
    """Return (text, label) of each example in the prompt."""
    examples = []
    for role, content in prompt:
        if role == "system":
            for label, line in re.findall(r"^- (\w+): (.+)$", content, re.MULTILINE):
                phrases = re.findall(r'"([^"]+)"', line)
                description = re.sub(r'"[^"]*"', "", line)
                examples += [(text, label) for text in (description, *phrases)]
    for (role, text), (next_role, label) in pairwise(prompt):
        if (role, next_role) == ("user", "assistant"):
            examples.append((text, label))
    return examples


@lru_cache(maxsize=8)  # the requests of one run differ only in the last message
def nearest_example(prompt: Turns) -> Callable[[str], str]:
    """Return a function from text to the label of the example with the nearest n-grams."""
    examples = shown_examples(prompt)
    if not examples:
        return lambda _text: "The prompt shows no example."
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Without idf: a prompt is too short to estimate how rare an n-gram is.
    vectorizer = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(2, 4),
        sublinear_tf=True,
        use_idf=False,
        preprocessor=without_numbers,
    )
    vectors = vectorizer.fit_transform([text for text, _label in examples])

    def answer(text: str) -> str:
        similarity = (vectorizer.transform([text]) @ vectors.T).toarray()[0]
        return examples[int(similarity.argmax())][1]

    return answer


def base_answer(messages: Turns) -> str:
    return nearest_example(messages[:-1])(messages[-1][1])


def fine_tuned(train: Path, share: float = 1.0) -> Answer:
    """Return a classifier of the last user message, trained on a ``share`` of a JSONL file."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = [json.loads(line) for line in train.read_text(encoding="utf-8").splitlines()]
    model = make_pipeline(
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, preprocessor=without_numbers
        ),
        LogisticRegression(C=30, max_iter=2000),
    )
    rows = rows[: round(len(rows) * share)]
    model.fit([row["input"] for row in rows], [row["expected"] for row in rows])
    return lambda messages: str(model.predict([messages[-1][1]])[0])
