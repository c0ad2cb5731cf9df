"""Corpus BLEU as sacrebleu has it, between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.normalization import AS_WRITTEN, FULL, Normalization
from pytest_ftgate.metrics.options import Options, needed
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, check_shape
from pytest_ftgate.metrics.similarity import refuse_unfit, too_long

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "bleu"
NAMES = (NAME,)
TOKENIZERS = ("13a", "intl", "zh", "char", "none")
"""Those of sacrebleu that need neither a download nor another library."""

_ORDERS = 4
_AGREEMENT = 1e-9
# A row of counts: length of the answer, of the expected text, n-grams found by order, n-grams answered by order.
_ANSWERED, _EXPECTED = 0, 1
_FOUND, _ALL = slice(2, 2 + _ORDERS), slice(2 + _ORDERS, 2 + 2 * _ORDERS)


@dataclass(frozen=True)
class Bleu(Metric):
    """BLEU of all answers together: n-grams are counted over the whole test set, and over repeats.

    No answer counts as words that are all wrong, as many as are expected, and as missing in length: it is never
    better than any answer of that length, and never better than an empty line is by sacrebleu.

    Source: K. Papineni, S. Roukos, T. Ward & W.-J. Zhu, BLEU: a Method for Automatic Evaluation of Machine
    Translation, ACL (2002); M. Post, A Call for Clarity in Reporting BLEU Scores, WMT (2018).

    Args:
        scorer: sacrebleu's ``BLEU``, with the tokenizer that the gate asks for.
    """

    scorer: Any = field(repr=False)
    normalization: Normalization = AS_WRITTEN
    name = NAME
    kind = "set"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        import numpy as np

        from pytest_ftgate.statistics import PooledCounts

        check_shape(self.name, expected, answers)
        wanted = [expected_text(value) for value in expected]
        known: dict[tuple[str, str], tuple[list[int], float]] = {}
        best = np.array([self._counted(text, text, known)[0] for text in wanted], dtype=np.float64)
        rows = [[self._row(*pair, known) for pair in zip(wanted, repeat, strict=True)] for repeat in answers]
        counts = np.array([[row for row, _ in repeat] for repeat in rows], dtype=np.float64).sum(axis=0)
        grades = np.array([[grade for _, grade in repeat] for repeat in rows], dtype=np.float64).mean(axis=0)
        worst = np.array([_nothing(row) for row in best.tolist()], dtype=np.float64)
        repeats = len(rows)
        pooled = PooledCounts(counts, repeats * best, repeats * worst, grades, bleu_of)
        return Scored(self, self._value(counts.sum(axis=0)), statistic=pooled)

    def _row(
        self, expected: str, answer: str | None, known: dict[tuple[str, str], tuple[list[int], float]]
    ) -> tuple[list[int], float]:
        if answer is None or not answer.strip() or too_long(expected, answer):
            return _nothing(self._counted(expected, expected, known)[0]), 0.0
        return self._counted(expected, answer, known)

    def _counted(
        self, expected: str, answer: str, known: dict[tuple[str, str], tuple[list[int], float]]
    ) -> tuple[list[int], float]:
        """Return what an answer adds to the counts, and its own sentence-level BLEU in [0, 1]."""
        if (expected, answer) not in known:
            clean = [self.normalization(text.strip()) for text in (expected, answer)]
            found = self.scorer.sentence_score(clean[1], [clean[0]])
            row = [found.sys_len, found.ref_len, *found.counts, *found.totals]
            known[expected, answer] = row, min(max(found.score / 100, 0.0), 1.0)
        return known[expected, answer]

    def length(self, text: str) -> int:
        """Return how many words it has, as they are counted."""
        return int(self.scorer.sentence_score(self.normalization(text.strip()), [""]).sys_len)

    def _value(self, total: NDArray[np.float64]) -> float:
        """Return sacrebleu's value of the counts, which ours must be."""
        whole = [round(count) for count in total.tolist()]
        found = self.scorer.compute_bleu(
            whole[_FOUND], whole[_ALL], whole[_ANSWERED], whole[_EXPECTED], smooth_method="exp"
        )
        value, ours = float(found.score) / 100, float(bleu_of(total[None])[0])
        if not abs(ours - value) <= _AGREEMENT:
            raise MetricError(
                f"{self.name} is {value!r} by sacrebleu and {ours!r} by its counts",
                cure="This is a defect of pytest-ftgate or of the installed sacrebleu: please report it.",
            )
        return min(max(value, 0.0), 1.0)

    def lenient(self) -> Bleu | None:
        return None if self.normalization.full else replace(self, normalization=FULL)


def _nothing(best: Sequence[Any]) -> list[Any]:
    """Return what no answer adds, where ``best`` is what the expected text would add."""
    return [0, best[_EXPECTED], *[0] * _ORDERS, *best[_ALL]]


def bleu_of(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return BLEU in [0, 1] of stacked counts, ``(m, 10) -> (m,)``, smoothed as by sacrebleu ("exp"): of the orders
    without any match the first counts as half a match, the next as a quarter, and so on.

    0 where no word matches, or no answer has four words.
    """
    import numpy as np

    found, answered = totals[:, _FOUND], totals[:, _ALL]
    halvings = np.cumsum(found == 0, axis=1)
    matches = np.where(found == 0, 0.5**halvings, found)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        precisions = np.where(answered > 0, matches / answered, 0.0)
        brevity = np.exp(np.minimum(0.0, 1 - totals[:, _EXPECTED] / totals[:, _ANSWERED]))
        values = brevity * np.exp(np.log(precisions).mean(axis=1))
    defined: NDArray[np.float64] = np.where(
        (found.sum(axis=1) > 0) & (answered > 0).all(axis=1) & (totals[:, _ANSWERED] > 0), values, 0.0
    )
    return defined


def build(options: Options) -> Bleu:
    """Build ``bleu``."""
    options.allow("normalize", "tokenize")
    refuse_unfit(options)
    tokenize = options.choice("tokenize", TOKENIZERS) or TOKENIZERS[0]
    library = needed(options, "sacrebleu.metrics", extra="text")
    scorer = library.BLEU(tokenize=tokenize, effective_order=True, force=True)
    made = Bleu(scorer, options.normalization())
    if all(made.length(text) < _ORDERS for text in options.expected):
        raise options.error(
            f"{NAME} counts runs of {_ORDERS} words, and no expected text has as many: no answer could score above 0",
            cure="Use chrf, token_f1 or edit_similarity; where words are not spaced, tokenize: char or zh.",
        )
    return made
