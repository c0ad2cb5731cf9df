"""Diagnose answers: which mistakes two models make, on which labels, and what a gain rests on."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from pytest_ftgate.data import Example, expected_text, strict_json
from pytest_ftgate.data.messages import normalized_input
from pytest_ftgate.metrics import Metric
from pytest_ftgate.metrics.labels import are_labels
from pytest_ftgate.models import Completion
from pytest_ftgate.result import Confusion, Diagnosis, LabelScore
from pytest_ftgate.runs.measure import Measured, gains, is_right, rightness_by_repeat
from pytest_ftgate.statistics.arrays import Bools, Floats

RIGHT = "right"
WRONG = "wrong"

KINDS = ("missing", "refusal", "cut_off", "empty", "malformed", WRONG)
"""Kinds of mistakes; the first that applies counts: missing, then form, then content."""

Kinds = list[list[str]]
"""The kind of each answer, ``[repeat][example]``."""

_MANY = 5
_SHARE = 0.1
"""One free text for at least so many examples, and this share of all, may be malformed."""
_TELLING_DIGITS = 3
_CONFUSIONS = 5
_ROUNDING = 1e-9
_WORD = re.compile(r"\w+")


def diagnose(
    metric: Metric,
    examples: Sequence[Example],
    training: Iterable[Example],
    baseline: Measured,
    candidate: Measured | None,
) -> Diagnosis:
    """Diagnose every answer that the metric has scored; there is no candidate before training."""
    labels = _labels(metric, examples)
    old_kinds = _kinds(metric, examples, baseline)
    new_kinds: Kinds = []
    if candidate is not None:
        new_kinds = _kinds(metric, examples, candidate)
    scores = () if labels is None else _label_scores(labels, old_kinds, new_kinds)
    diagnosis = Diagnosis(baseline=_counted(old_kinds), labels=scores)
    if candidate is None:
        return diagnosis

    confusions: tuple[Confusion, ...] = ()
    if labels is not None:
        old_confused = _confused(metric, labels, baseline, old_kinds)
        new_confused = _confused(metric, labels, candidate, new_kinds)
        confusions = _confusions(old_confused, new_confused)

    fixed = []
    # labels and calls are behavior, not knowledge
    if labels is None and not metric.calls_tools:
        better = (gains(baseline, candidate, metric.name) > _ROUNDING).nonzero()[0]
        fixed = [examples[row] for row in better.tolist()]

    return replace(
        diagnosis,
        candidate=_counted(new_kinds),
        confusions=confusions,
        recalled=recalled(fixed, training),
    )


def _counted(kinds: Kinds) -> dict[str, int]:
    """Return the number of answers of each kind that occurs, the right ones first."""
    counts = Counter(chain(*kinds))
    return {kind: counts[kind] for kind in (RIGHT, *KINDS) if counts[kind] or kind == RIGHT}


# --- kinds of mistakes ----------------------------------------------------------------------------


def _kinds(metric: Metric, examples: Sequence[Example], measured: Measured) -> Kinds:
    """Return the kind of each answer, ``[repeat][example]``."""
    expected = [example.expected for example in examples]
    scores = rightness_by_repeat(measured, expected, metric).tolist()
    malformed = malformed_answers(metric, measured, expected).tolist()
    kinds = []
    for repeat, predictions in enumerate(measured.run.predictions):
        of_repeat = []
        for row, prediction in enumerate(predictions):
            facts = scores[repeat][row], malformed[repeat][row]
            of_repeat.append(_kind(metric, prediction.completion, *facts))
        kinds.append(of_repeat)
    return kinds


def _kind(metric: Metric, completion: Completion | None, score: float, is_malformed: bool) -> str:
    if is_right(metric, score):
        return RIGHT
    return _flaw(completion) or ("malformed" if is_malformed else WRONG)


def malformed_answers(metric: Metric, measured: Measured, expected: Sequence[Any]) -> Bools:
    """Return which answers of a model are malformed, shape ``(repeats, examples)``.

    A right answer never is. Free text has two forms of its own. A text that contains the whole
    expected output and more is malformed where a third of the mistakes are: once it is a mistake
    like any other, often it is how this model answers. And so is one text that the model gives to
    many examples, and that is right for none of them.
    """
    scores = rightness_by_repeat(measured, expected, metric)
    is_known = np.array([value is not None for value in expected])
    mistakes: Bools = scores != metric.best
    malformed = np.zeros_like(mistakes)
    longer = np.zeros_like(mistakes)
    for repeat, row in np.argwhere(mistakes).tolist():
        answer = measured.answers[repeat][row]
        malformed[repeat, row] = metric.malformed(answer)
        if answer is not None and is_known[row]:
            longer[repeat, row] = metric.adds_words(expected[row], answer)

    # a third of the mistakes: so this model answers
    if 3 * longer.sum() >= (mistakes & is_known).sum():
        malformed |= longer
    if metric.free_text:
        malformed |= _repeated(metric, measured, scores)
    return malformed


def _repeated(metric: Metric, measured: Measured, scores: Floats) -> Bools:
    """Return which answers are one text for at least 5 examples and a tenth, right for none."""
    places: dict[str, list[tuple[int, int]]] = {}
    right: set[str] = set()
    for repeat, answers in enumerate(measured.answers):
        texts = metric.answers_read(answers)
        for row, text in enumerate(texts):
            if text is None:
                continue
            places.setdefault(text, []).append((repeat, row))
            if is_right(metric, float(scores[repeat, row])):
                right.add(text)

    repeated = np.zeros_like(scores, dtype=bool)
    fewest = max(_MANY, _SHARE * scores.shape[1])
    for text, of_text in places.items():
        n_examples = len({row for _, row in of_text})
        if n_examples >= fewest and text not in right:
            for place in of_text:
                repeated[place] = True
    return repeated


def _flaw(completion: Completion | None) -> str | None:
    """Return why an answer cannot be right, whatever is expected."""
    if completion is None:
        return "missing"
    if completion.finish in ("refusal", "filtered"):
        return "refusal"
    if completion.finish == "cut_off":
        return "cut_off"
    return None if completion.text.strip() else "empty"


# --- labels ---------------------------------------------------------------------------------------


def _labels(metric: Metric, examples: Sequence[Example]) -> list[str] | None:
    """Return the label that each test example expects; None if the outputs are not labels.

    They are not if they are compared as numbers or as several labels, all are blank, or most
    of them do not repeat.
    """
    if metric.of_numbers or metric.separator is not None:
        return None

    if metric.label_set is not None:
        return [metric.label_set.spelled(expected_text(item.expected)) for item in examples]

    labels = [expected_text(example.expected).strip() for example in examples]
    return labels if any(labels) and are_labels(labels) else None


def _label_scores(
    labels: Sequence[str], old_kinds: Kinds, new_kinds: Kinds
) -> tuple[LabelScore, ...]:
    """Return how many answers to examples of each label are right, the rarest label first."""
    counts = Counter(labels)
    baseline = _right_by_label(labels, old_kinds)
    candidate = _right_by_label(labels, new_kinds)
    scores = []
    for label, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
        right = candidate[label] if new_kinds else None
        scores.append(
            LabelScore(
                label, answers=count * len(old_kinds), baseline=baseline[label], candidate=right
            )
        )
    return tuple(scores)


def _right_by_label(labels: Sequence[str], kinds: Kinds) -> Counter[str]:
    """Return the number of right answers to examples of each label."""
    right: Counter[str] = Counter()
    for repeat in kinds:
        right.update(label for label, kind in zip(labels, repeat, strict=True) if kind == RIGHT)
    return right


def _confused(
    metric: Metric, labels: Sequence[str], measured: Measured, kinds: Kinds
) -> Counter[tuple[str, str]]:
    """Return how often a model answers to a label with another one, by both labels."""
    confused: Counter[tuple[str, str]] = Counter()
    for answers, of_repeat in zip(measured.answers, kinds, strict=True):
        read = metric.answers_read(answers)
        for label, answer, kind in zip(labels, read, of_repeat, strict=True):
            if kind != WRONG or answer is None:
                continue
            answered = answer
            if metric.label_set is not None:
                answered = metric.label_set.spelled(answer)
            confused[label, answered] += 1
    return confused


def _confusions(
    baseline: Counter[tuple[str, str]], candidate: Counter[tuple[str, str]]
) -> tuple[Confusion, ...]:
    """Return what the candidate confuses most often, and at least twice: once may be chance."""
    confusions = []
    for labels, count in candidate.most_common(_CONFUSIONS):
        if count > 1:
            confusions.append(Confusion(*labels, baseline=baseline[labels], candidate=count))
    return tuple(confusions)


# --- knowledge ------------------------------------------------------------------------------------


def recalled(fixed: Sequence[Example], training: Iterable[Example]) -> int:
    """Return how many fixed examples expect text from the training set's outputs.

    Only facts count that are not in the example's own input: several words, a number or a name. An
    object does not.
    """
    facts = list(filter(None, map(_fact, fixed)))
    # by the first word of a fact
    lengths: dict[str, set[int]] = {}
    for fact in facts:
        lengths.setdefault(fact[0], set()).add(len(fact))

    missing = set(facts)
    for output in {expected_text(example.expected) for example in training}:
        words = _words(output)
        for start, word in enumerate(words):
            for length in lengths.get(word, ()):
                missing.discard(words[start : start + length])
    return sum(fact not in missing for fact in facts)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _fact(example: Example) -> tuple[str, ...]:
    """Return the words of the expected output; none if it is not a fact, or is in the input."""
    text = expected_text(example.expected)
    if strict_json.container_of(example.expected) is not None or not _tells(text):
        return ()

    fact = _words(text)
    words_of_input = _words(normalized_input(example.input))
    if f" {' '.join(fact)} " in f" {' '.join(words_of_input)} ":
        return ()
    return fact


def _tells(text: str) -> bool:
    """Return whether a text is several words, a name, or a number too long to be guessed."""
    n_digits = sum(map(str.isdigit, text))
    return len(text.split()) > 1 or any(map(str.isupper, text)) or n_digits >= _TELLING_DIGITS
