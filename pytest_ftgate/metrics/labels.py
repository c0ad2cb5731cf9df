"""The labels of a test set, and which of them an answer is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.data.wording import kind_of, listed
from pytest_ftgate.errors import ConfigError, MetricError
from pytest_ftgate.metrics.normalization import FULL
from pytest_ftgate.metrics.reading import Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_ftgate.metrics.protocol import Answers


def check_labels(metric: str, expected: Sequence[Any]) -> None:
    """Refuse expected outputs that are objects or lists: none of them is a label. Needs no answer, so it is free.

    Raises:
        ConfigError: naming the first such example by its position, counted from 0.
    """
    for index, value in enumerate(expected):
        if isinstance(value, dict | list):
            raise ConfigError(
                f"{metric} compares labels, and test_set[{index}] expects {kind_of(value)}",
                cure="Use exact_match, which compares JSON values.",
            )


@dataclass(frozen=True)
class LabelSet:
    """The labels of a test set, each with a code: its place in ``texts``.

    Attributes:
        texts: the labels as they are written, without white space around them; distinct and not blank.
        known: labels that may be in an answer but are expected by no example: wrong there, yet no unknown label.
    """

    reading: Reading
    texts: tuple[str, ...]
    known: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> dict[str, int]:
        """The code of each label by its clean text."""
        return {self.reading.clean(text): code for code, text in enumerate(self.texts)}

    @cached_property
    def _elsewhere(self) -> frozenset[str]:
        return frozenset(map(self.reading.clean, self.known))

    def confused(self) -> tuple[str, str] | None:
        """The first two labels that normalization makes one; None where it makes none."""
        seen: dict[str, str] = {}
        for text in self.texts:
            first = seen.setdefault(self.reading.clean(text), text)
            if first != text:
                return first, text
        return None

    def code(self, label: str) -> int | None:
        """The code of a label that is written somewhere; None where the test set does not expect it."""
        return self.codes.get(self.reading.clean(label))

    def gold(self, metric: str, expected: Sequence[Any]) -> NDArray[np.int64]:
        """The code of each expected label, shape ``(examples,)``."""
        import numpy as np

        check_labels(metric, expected)
        code = cache(lambda text: -1 if (found := self.code(text)) is None else found)
        gold = np.fromiter((code(expected_text(value)) for value in expected), np.int64, len(expected))
        if gold.min() < 0:
            index = int(gold.argmin())
            label = listed([expected_text(expected[index])])
            raise MetricError(f"{metric} was made for other labels: test_set[{index}] expects {label}")
        return gold

    def predicted(self, answers: Answers) -> tuple[NDArray[np.int64], int]:
        """What each answer says, and how many answers are no known label.

        The first has the shape ``(repeats, examples)``: the label's code, or K, the number of labels, for whatever is
        no label of the test set.
        """
        import numpy as np

        code = cache(self._answer_code)
        codes = np.array([np.fromiter(map(code, repeat), np.int64, len(repeat)) for repeat in answers])
        k = len(self.texts)
        return np.minimum(codes, k), int((codes > k).sum())

    def read(self, answers: Iterable[str | None]) -> list[str | None]:
        """The label in each answer as it is compared, known or not; None where there is none."""
        return [None if answer is None else self.reading.label(answer) for answer in answers]

    def _answer_code(self, answer: str | None) -> int:
        """The label's code; K for no answer and for labels known from elsewhere, K + 1 for anything else."""
        k = len(self.texts)
        if answer is None:
            return k
        label = self.reading.label(answer)
        if label is None:
            return k + 1
        return self.codes.get(label, k if label in self._elsewhere else k + 1)

    def bare(self) -> LabelSet:
        """The same labels for answers that need no pattern and no field to be read."""
        return replace(self, reading=replace(self.reading, pattern=None, json_field=()))

    def lenient(self) -> LabelSet | None:
        """The same labels with the same codes under full normalization; None where that changes or confuses them."""
        if self.reading.normalization.full:
            return None
        lenient = replace(self, reading=replace(self.reading, normalization=FULL))
        return None if lenient.confused() else lenient
