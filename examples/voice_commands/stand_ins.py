"""Two honest stand-ins for language models: one learns from its prompt only, the other from the training set.

``assistant-base``
    knows nothing but the prompt of each request. It answers with the label of the example most like the last
    user message, among all that the prompt shows: the few-shot turns, and the system message's lines
    ``- LABEL: description. "phrase"``. A better prompt makes it better.
``ft:assistant-base:voice-commands``
    is trained on the training file when the server starts, and looks at the last user message only.
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
    """(text, label) of each example in the prompt, described or shown as a turn."""
    shown = []
    for role, content in prompt:
        if role == "system":
            for label, line in re.findall(r"^- (\w+): (.+)$", content, re.MULTILINE):
                phrases = re.findall(r'"([^"]+)"', line)
                description = re.sub(r'"[^"]*"', "", line)
                shown += [(text, label) for text in (description, *phrases)]
    for (role, text), (next_role, label) in pairwise(prompt):
        if (role, next_role) == ("user", "assistant"):
            shown.append((text, label))
    return shown


@lru_cache(maxsize=8)  # the requests of one run differ in the last message only
def nearest_example(prompt: Turns) -> Callable[[str], str]:
    """Text -> label of the prompt's most similar example: the cosine of character n-grams."""
    shown = shown_examples(prompt)
    if not shown:
        return lambda _text: "The prompt shows no example."
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Without idf: a prompt is too short to say which n-grams are rare in the language.
    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, use_idf=False, preprocessor=without_numbers
    )
    known = vectorizer.fit_transform([text for text, _label in shown])

    def answer(text: str) -> str:
        similarity = (vectorizer.transform([text]) @ known.T).toarray()[0]
        return shown[int(similarity.argmax())][1]

    return answer


def base_answer(messages: Turns) -> str:
    return nearest_example(messages[:-1])(messages[-1][1])


def fine_tuned(train: Path) -> Answer:
    """A classifier of the last user message, trained on the rows of a JSONL file."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = [json.loads(line) for line in train.read_text(encoding="utf-8").splitlines()]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, preprocessor=without_numbers),
        LogisticRegression(C=30, max_iter=2000),
    )
    model.fit([row["input"] for row in rows], [row["expected"] for row in rows])
    return lambda messages: str(model.predict([messages[-1][1]])[0])
