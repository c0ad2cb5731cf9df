"""The rule that a model must beat always giving the same answer, and its own at random rows."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pytest_ftgate.checks import form
from pytest_ftgate.checks.audit.wording import outputs_of
from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics import Answers, Metric
from pytest_ftgate.result import Check, Status, called
from pytest_ftgate.statistics.arrays import Places
from pytest_ftgate.text import EXCERPT, plural, shortened, show_value


def check(gate: Context) -> Iterator[Check]:
    """Check that the best baseline beats a constant, and its own answers dealt at random.

    A further baseline that does not is a warning. A baseline with a ``max_drop`` of its own fails
    where it gives one answer to everything, or none, or does not beat its own answers dealt to the
    rows at random; the candidate where it gives one answer, or none. Where a weak baseline is
    accepted the margin does not imply that the candidate beats the constant answer, so it is
    checked, too.

    Where the metric does not compare with the expected output, a constant answer may score best,
    and then, as for judged metrics, whose judges of a constant cost money, only one answer to
    everything counts.
    """
    constant = _constant_of(gate)
    models = {role: _Model(gate, role, constant) for role in gate.scored}
    candidate = models.pop("candidate", None)

    # Where the form of a baseline decides, its value is no sign of a weak prompt.
    if not form.decides(gate):
        yield from _of_baselines(gate, models)

    if candidate is not None:
        is_accepted = constant is not None and not constant.perfect
        # a margin over a weak baseline says nothing about the constant answer
        is_accepted = is_accepted and gate.config.accepts("weak_baseline")
        if candidate.is_dead or (is_accepted and candidate.is_worse):
            yield candidate.degenerate()


def _constant_of(gate: Context) -> "Constant | None":
    """Return the best constant answer; None for a judged metric."""
    if gate.deciding.judged:
        return None
    return best_constant(gate.deciding, gate.expected)


def cure_of_candidate(gate: Context) -> str | None:
    """Return what to look at where the candidate does not beat a constant, or its answers dealt."""
    return _Model(gate, "candidate", _constant_of(gate)).cure


def _of_baselines(gate: Context, models: Mapping[str, "_Model"]) -> Iterator[Check]:
    has_weak = False
    for role, model in models.items():
        decides = role in gate.config.decisive
        if model.is_dead or (decides and model.is_worse) or not model.is_paired:
            has_weak = True
            yield model.weak("warning" if decides and role != gate.best else "fail")

    best = models[gate.best]
    if not has_weak and best.constant is not None and gate.deciding.compares:
        yield best.strong(best.constant)


@dataclass(frozen=True, slots=True)
class Constant:
    """Hold the constant answer that every model must beat.

    Attributes:
        perfect: whether nothing scores better.
        n_expected: the number of different outputs that the test set expects, as the metric reads
            them.
    """

    answer: str
    value: float
    perfect: bool
    n_expected: int


def best_constant(metric: Metric, expected: Sequence[Any]) -> Constant:
    """Return the best constant answer: the most frequent expected output, as the metric reads it.

    A metric may name others: the positive label, or the median of numbers. A perfect one (recall of
    the positive label) is left out where there is another, because no model could beat it.
    """
    bare = metric.bare()
    texts = [metric.right_answer(value) for value in expected]
    outputs = bare.answers_read(texts)
    counts = Counter(outputs)
    most_frequent = outputs.index(counts.most_common(1)[0][0])

    constants = []
    for answer in (texts[most_frequent], *metric.constants(expected)):
        value = bare.score(expected, [[answer] * len(expected)]).value
        is_perfect = not beats(bare, bare.best, value)
        constants.append(Constant(answer, value=value, perfect=is_perfect, n_expected=len(counts)))

    # no model could beat a perfect one
    beatable = [constant for constant in constants if not constant.perfect]
    return max(beatable or constants, key=lambda constant: metric.sign * constant.value)


def beats(metric: Metric, value: float, other_value: float) -> bool:
    """Return whether a value is better to 12 decimals, so that 40 of 60 does not beat 2/3."""
    return round(metric.sign * value, 12) > round(metric.sign * other_value, 12)


_ANSWERS_DEALT = 20_000
"""About so many answers are scored to test one model, so that it takes about a second."""
_FINEST = 10
_FEWEST_ROWS = 200


def beats_deals(
    metric: Metric, expected: Sequence[Any], answers: Answers, confidence: float
) -> bool:
    """Return whether answers score better than when they are dealt to the rows at random.

    This is a permutation test whose deals are drawn with a fixed seed. Its level is exact for any
    number of deals, of which at most ``allowed`` may score as well as the answers do. Of many rows
    a sample is dealt, unless a metric of labels, which is fast, may need the rare ones.

    Source: A. C. A. Hope, Journal of the Royal Statistical Society B 30 (1968) 582-598.
    """
    draw = np.random.default_rng(0)
    level = 1 - confidence
    fewest = math.ceil(round(1 / level, 9))
    rows = np.arange(len(expected))
    most_rows = max(_FEWEST_ROWS, _ANSWERS_DEALT // fewest)
    if not metric.uses_labels and len(rows) > most_rows:
        rows = draw.permutation(rows)[:most_rows]

    wanted = [expected[row] for row in rows.tolist()]
    value = _dealt(metric, wanted, answers, rows)
    fineness = max(1, min(_FINEST, most_rows // len(rows)))
    allowed = fineness - 1
    n_better = 0
    for _ in range(fineness * fewest - 1):
        if not beats(metric, value, _dealt(metric, wanted, answers, draw.permutation(rows))):
            n_better += 1
        if n_better > allowed:
            return False
    return True


def _dealt(metric: Metric, expected: Sequence[Any], answers: Answers, rows: Places) -> float:
    """Return the value where each expected output meets the answers to another row."""
    places = rows.tolist()
    return metric.score(expected, [[repeat[row] for row in places] for repeat in answers]).value


def answers_given(metric: Metric, answers: Answers) -> set[str]:
    """Return the different answers of a model, without those that are missing.

    Labels are compared as the metric reads them, other answers as stripped text.
    """
    distinct: set[str | None] = set()
    for repeat in answers:
        distinct.update(metric.answers_read(repeat))
    return {answer for answer in distinct if answer is not None}


class _Model:
    """Compare one model with the constant answer; ``constant`` is None for a judged metric.

    Attributes:
        n_expected: the number of different outputs that the test set expects.
        is_dead: whether the model gives no answer, or one answer where several are expected.
        is_worse: whether its value is no better than that of the constant answer.
    """

    def __init__(self, gate: Context, role: str, constant: Constant | None) -> None:
        metric = gate.deciding
        self.gate = gate
        self.role = role
        self.constant = constant
        self.measured = gate.scored[role]
        self.value = self.measured.scores[metric.name].value
        self.answers = answers_given(metric, self.measured.answers)

        self.is_worse = False
        if constant is None:
            self.n_expected = len(set(outputs_of(gate.test)))
        else:
            self.n_expected = constant.n_expected
            self.is_worse = metric.compares and not beats(metric, self.value, constant.value)
        self.is_dead = not self.answers or (len(self.answers) == 1 and self.n_expected > 1)

    @cached_property
    def is_paired(self) -> bool:
        """Return whether the answers fit their own rows better than random ones.

        It is not asked where a constant answer or the expected outputs cannot tell.
        """
        metric = self.gate.deciding
        is_weak = self.is_worse and self.role in self.gate.config.decisive
        if self.constant is None or not metric.compares or self.is_dead or is_weak:
            return True
        return beats_deals(
            metric, self.gate.expected, self.measured.answers, self.gate.config.confidence
        )

    def strong(self, constant: Constant) -> Check:
        """Return the check of a baseline that is better than the constant answer."""
        message = f"{self._shown()}; {self._shown_constant(constant)}"
        return Check("weak_baseline", "pass", message, observed=self.value, required=constant.value)

    def weak(self, status: Status) -> Check:
        """Return the check of a baseline that is no better than a constant, or random rows."""
        spec = self.gate.asked(self.role)
        baseline = called(self.role)
        cure = f"Check the answers of {baseline} ({spec.spelling}), and describe the task and "
        cure += "every possible answer in its prompt, with a few examples."
        if not self.is_paired:
            cure = f"Check that each answer of {baseline} ({spec.spelling}) stands at its own "
            cure += "row, by the ids; if so, improve its prompt, or add test examples."
        return self._check("weak_baseline", status, cure, str(spec.source))

    def degenerate(self) -> Check:
        """Return the check of a candidate that is no better than a constant answer."""
        # The gain has the same cure, which is then printed once.
        cure = form.cure_of_candidate(self.gate) or self.cure
        return self._check("degenerate_candidate", "fail", cure)

    @property
    def cure(self) -> str | None:
        """Return what to look at, of a candidate that beats neither; None where it beats both."""
        spelling = self.gate.asked(self.role).spelling
        if self.is_dead:
            return self._cure_of_one_answer(spelling)
        if self.constant is None:
            return None

        rival = "its own answers dealt to the rows at random"
        if self.is_worse and not self.constant.perfect:
            rival = f"always answering {_quoted(self.constant.answer)}"
        elif self.is_paired:
            return None
        return (
            f"The candidate is no better than {rival}. Compare its label names and ids with those "
            f"of the test set, and check that {spelling} is the fine-tuned model."
        )

    def _cure_of_one_answer(self, spelling: str) -> str:
        """Return what to look at where every answer is the same: the training rows, or a call."""
        outputs = self.gate.deciding.answers_read(outputs_of(self.gate.training))
        alike = sum(output in self.answers for output in outputs)
        if 2 * alike > len(outputs):
            return (
                f"{alike:,} of {plural(len(outputs), 'training row')} have this output. Write more "
                "rows with the other ones."
            )
        return (
            f"The training rows do not explain it. Send {spelling} one input by hand, and compare "
            "the prompt with that of training."
        )

    def _check(
        self, name: str, status: Status, cure: str | None, source: str | None = None
    ) -> Check:
        """Return the check of a model, with the reason why it is refused in one sentence."""
        message = self._shown()
        if self.constant is None or self.is_dead:
            message += f"; {self._death()}"
        elif not self.is_paired:
            message += ", no better than its own answers dealt to the rows at random; "
            message += self._shown_constant(self.constant)
        else:
            message += f", no better than a constant: {self._shown_constant(self.constant)}"
        if self.constant is None:
            return Check(name, status, message, source=source, cure=cure)
        return Check(
            name,
            status,
            message,
            observed=self.value,
            required=self.constant.value,
            source=source,
            cure=cure,
        )

    def _death(self) -> str:
        """Return in words that the answers are one, or none."""
        if self.answers:
            answer = _quoted(*self.answers)
            message = f"it always answers {answer}, but the test set expects "
            return f"{message}{self.n_expected:,} different outputs"
        total = sum(map(len, self.measured.answers))
        return f"{total:,} of {plural(total, 'answer')} are empty or unreadable"

    def _shown(self) -> str:
        """Return the model with its value: ``baseline few_shot: accuracy 41.7 %``."""
        value = show_value(self.value, share=self.gate.share)
        return f"{called(self.role, self.measured.facts.name)}: {self.gate.deciding.name} {value}"

    def _shown_constant(self, constant: Constant) -> str:
        """Return the constant with its value: ``always answering 'refund' scores 33.3 %``."""
        value = show_value(constant.value, share=self.gate.share)
        return f"always answering {_quoted(constant.answer)} scores {value}"


def _quoted(answer: str) -> str:
    return repr(shortened(answer, EXCERPT))
