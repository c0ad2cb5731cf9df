"""Semantic similarity: the cosine of two texts' embedding vectors, computed by the user's model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError, told
from pytest_ftgate.metrics.labels import refuse_blank
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Floats, Scored, TextMetric, check_shape, given, graded
from pytest_ftgate.text import kind_of

NAME = "embedding_similarity"
NAMES = (NAME,)
BATCH = 256
"""Maximum number of texts per call of the user's function."""

_PROVIDER = "python:"
_CURE = (
    "Fix the function: for a list of texts it must return a list of as many vectors, of one length and finite numbers."
)


@dataclass(frozen=True)
class EmbeddingSimilarity(TextMetric):
    """The cosine between the vectors of the expected and the answered text; a missing answer is -1, the worst.

    Each text is embedded once per metric, so the function must be deterministic. ``function`` takes a list of at most
    `BATCH` texts; ``called`` is its name in messages.
    """

    function: Callable[[list[str]], Any] = field(repr=False)
    called: str
    known: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)
    name = NAME
    kind = "graded"
    low = -1.0

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        import numpy as np

        check_shape(self.name, expected, answers)
        wanted = [self.clean(expected_text(value)) for value in expected]
        answered = [[text and self.clean(text) for text in map(given, row)] for row in answers]
        texts = dict.fromkeys([*wanted, *(text for row in answered for text in row if text is not None)])
        new = [text for text in texts if text not in self.known]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            self.known.update(zip(batch, self._vectors(batch), strict=True))
        table = [[self._grade(*pair) for pair in zip(wanted, row, strict=True)] for row in answered]
        return graded(self, np.array(table, dtype=np.float64))

    def _grade(self, expected: str, answer: str | None) -> float:
        if answer is None:
            return self.low
        return min(max(float(self.known[expected] @ self.known[answer]), self.low), self.high)

    def lenient(self) -> None:
        """Return None: which differences count is up to the user's model."""

    def _vectors(self, texts: list[str]) -> Floats:
        """Return unit vectors, shape ``(texts, dimensions)``."""
        import numpy as np

        try:
            found = self.function(list(texts))
        except (KeyboardInterrupt, MetricError):
            raise
        except BaseException as error:  # sys.exit() and pytest.skip() too: they must not take the gate out of the run
            raise self._broken(f"raised {type(error).__name__}", told(error, self.function)) from error
        if inspect.isawaitable(found):
            raise self._broken("is async, and it must be a plain function")
        try:
            vectors = np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._broken(f"returned {kind_of(found)}, which is not a list of vectors of one length") from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise self._broken(f"returned an array of shape {vectors.shape} for {len(texts):,} texts")
        length = len(next(iter(self.known.values()), vectors[0]))
        if vectors.shape[1] != length:
            raise self._broken(f"returned vectors of {length:,} and of {vectors.shape[1]:,} numbers")
        if not np.isfinite(vectors).all():
            raise self._broken("returned a vector with a number that is not finite")
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        if not (largest > 0).all():
            raise self._broken("returned a zero vector")
        scaled = vectors / largest  # so that squares neither overflow nor underflow
        unit: Floats = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
        return unit

    def _broken(self, what: str, evidence: str | None = None) -> MetricError:
        return MetricError(f"{self.called}, the embed function of {self.name}, {what}", evidence=evidence, cure=_CURE)


def build(options: Options) -> EmbeddingSimilarity:
    from pytest_ftgate.models.python import resolve_target

    options.allow("embed", "normalize")
    refuse_blank(options)
    embed = options.spec.options.get("embed")
    if callable(embed):  # a marker holds the function itself
        function, called = embed, str(getattr(embed, "__qualname__", type(embed).__name__))
    elif isinstance(embed, str) and embed.startswith(_PROVIDER):
        called = embed.removeprefix(_PROVIDER)
        function = resolve_target(called, options.spec.source.where("embed"))
    else:
        raise options.error(
            f"{NAME} needs embed, a function that turns texts into vectors"
            if embed is None
            else f"embed is {kind_of(embed) if not isinstance(embed, str) else repr(embed)}",
            key="embed",
            cure="Write embed: python:pkg.module:function.",
        )
    if inspect.iscoroutinefunction(function):
        raise options.error(f"{called} is async", key="embed", cure="Use a plain function.")
    return EmbeddingSimilarity(function, called, normalization=options.normalization())
