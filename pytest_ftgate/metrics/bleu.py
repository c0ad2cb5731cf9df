"""Corpus BLEU as computed by sacrebleu, scaled to [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics.options import Options, needed
from pytest_ftgate.metrics.protocol import Answers, Floats, Scored, TextMetric, check_agreement, check_shape, given
from pytest_ftgate.metrics.similarity import refuse_unfit, too_long

NAME = "bleu"
NAMES = (NAME,)
TOKENIZERS = ("13a", "intl", "zh", "char", "none")
"""The tokenizers of sacrebleu that need neither a download nor another library."""

_ORDERS = 4
# A row of counts: length of the answer, length of the expected text, matching n-grams by order, answered n-grams by
# order.
_ANSWERED, _EXPECTED = 0, 1
_FOUND, _ALL = slice(2, 2 + _ORDERS), slice(2 + _ORDERS, 2 + 2 * _ORDERS)


@dataclass(frozen=True)
class Bleu(TextMetric):
    """BLEU of all answers together: n-grams are counted over the whole test set and over repeats.

    A missing answer counts as the expected number of wrong n-grams with a length of 0, so it is never better than any
    answer of the expected length, or than an empty line in sacrebleu.

    Source: K. Papineni, S. Roukos, T. Ward & W.-J. Zhu, BLEU: a Method for Automatic Evaluation of Machine
    Translation, ACL (2002); M. Post, A Call for Clarity in Reporting BLEU Scores, WMT (2018).

    ``scorer`` is sacrebleu's ``BLEU`` with the gate's tokenizer.
    """

    scorer: Any = field(repr=False)
    name = NAME
    kind = "set"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        import numpy as np

        from pytest_ftgate.statistics import PooledCounts

        check_shape(self.name, expected, answers)
        wanted = [expected_text(value) for value in expected]
        counted = cache(self._counted)
        best = [counted(text, text)[0] for text in wanted]
        worst = [[0, row[_EXPECTED], *[0] * _ORDERS, *row[_ALL]] for row in best]

        def row(index: int, answer: str | None) -> tuple[list[int], float]:
            if (text := given(answer)) is None or too_long(wanted[index], text):
                return worst[index], 0.0
            return counted(wanted[index], text)

        rows = [[row(*pair) for pair in enumerate(repeat)] for repeat in answers]
        counts = np.array([[row for row, _ in repeat] for repeat in rows], dtype=np.float64).sum(axis=0)
        grades = np.array([[grade for _, grade in repeat] for repeat in rows], dtype=np.float64).mean(axis=0)
        perfect, lost = (len(rows) * np.array(ends, dtype=np.float64) for ends in (best, worst))
        return Scored(
            self, self._value(counts.sum(axis=0)), statistic=PooledCounts(counts, perfect, lost, grades, bleu_of)
        )

    def _counted(self, expected: str, answer: str) -> tuple[list[int], float]:
        """Return the row of counts of an answer, and its sentence-level BLEU in [0, 1]."""
        found = self.scorer.sentence_score(self.clean(answer), [self.clean(expected)])
        row = [found.sys_len, found.ref_len, *found.counts, *found.totals]
        return row, min(max(found.score / 100, 0.0), 1.0)

    def length(self, text: str) -> int:
        """Return the number of words of a text, as BLEU counts them."""
        return int(self.scorer.sentence_score(self.clean(text), [""]).sys_len)

    def _value(self, total: Floats) -> float:
        """Return sacrebleu's value for the counts, after checking that ours agrees."""
        whole = [round(count) for count in total.tolist()]
        found = self.scorer.compute_bleu(
            whole[_FOUND], whole[_ALL], whole[_ANSWERED], whole[_EXPECTED], smooth_method="exp"
        )
        value, ours = float(found.score) / 100, float(bleu_of(total[None])[0])
        check_agreement(self.name, value, ours, "sacrebleu", "counts")
        return min(max(value, 0.0), 1.0)


def bleu_of(totals: Floats) -> Floats:
    """Return BLEU in [0, 1] of stacked counts, ``(m, 10) -> (m,)``; 0 if no word matches, or no answer has four words.

    Uses sacrebleu's smoothing "exp": the first order without a match counts as half a match, the next as a quarter, and
    so on.
    """
    import numpy as np

    found, answered = totals[:, _FOUND], totals[:, _ALL]
    halvings = np.cumsum(found == 0, axis=1)
    matches = np.where(found == 0, 0.5**halvings, found)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        precisions = np.where(answered > 0, matches / answered, 0.0)
        brevity = np.exp(np.minimum(0.0, 1 - totals[:, _EXPECTED] / totals[:, _ANSWERED]))
        values = brevity * np.exp(np.log(precisions).mean(axis=1))
    defined: Floats = np.where(
        (found.sum(axis=1) > 0) & (answered > 0).all(axis=1) & (totals[:, _ANSWERED] > 0), values, 0.0
    )
    return defined


def build(options: Options) -> Bleu:
    options.allow("normalize", "tokenize")
    refuse_unfit(options)
    tokenize = options.choice("tokenize", TOKENIZERS) or TOKENIZERS[0]
    library = needed(options, "sacrebleu.metrics", extra="text")
    scorer = library.BLEU(tokenize=tokenize, effective_order=True, force=True)
    made = Bleu(scorer, normalization=options.normalization())
    if all(made.length(text) < _ORDERS for text in options.expected):
        raise options.error(
            f"{NAME} counts sequences of {_ORDERS} words, and every expected text is shorter: all scores would be 0",
            cure="Use chrf, token_f1 or edit_similarity; for languages without spaces, tokenize: char or zh.",
        )
    return made
