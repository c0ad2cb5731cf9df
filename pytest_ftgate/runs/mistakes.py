"""Diagnose answers: which mistakes two models make, which labels and examples differ, and what a gain is based on."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any

from pytest_ftgate.data import Example, expected_text
from pytest_ftgate.data.strict_json import container_of, parse_json
from pytest_ftgate.data.tool_calls import calls_in, canonical_calls, declared_tools, names_in, text_beside_calls
from pytest_ftgate.metrics import Metric
from pytest_ftgate.metrics.labels import LabelSet, Reading
from pytest_ftgate.models import Completion
from pytest_ftgate.result import Confusion, Diagnosis, LabelScore
from pytest_ftgate.runs.measure import Measured

Call = dict[str, Any]

RIGHT = "right"
OF_CALLS = (
    "no_call",
    "text_and_call",
    "unexpected_call",
    "unknown_tool",
    "invalid_arguments",
    "wrong_tool",
    "wrong_arguments",
)
"""Kinds of mistakes of answers that should call tools, or call none."""

KINDS = (
    *("missing", "refusal", "cut_off", "empty"),
    *OF_CALLS,
    *("wrong_format", "unknown_label", "wrong_label", "wrong"),
)
"""Kinds of mistakes; the first that applies counts: missing, then form, then content."""

OF_FORM = ("empty", "wrong_format", "unknown_label")
"""Kinds of mistakes that an instruction may fix: the answer is not one that the task allows."""

MOST_LABELS = 50
"""With more different outputs, they are not a small set of labels."""

NO_LABEL = "(no known label)"
"""Replaces an answer among confusions that is not a label of the test set."""

_CONFUSIONS_KEPT = 10
_TELLING_DIGITS = 3
_TESTS_OF_A_LABEL = 5
_START = 3
_ROUNDING = 1e-9
_REFUSAL = re.compile(
    r"\W*(?:i['\u2019]?m sorry|i am sorry|sorry,|i apologi[sz]e|i can(?:['\u2019]t|not| not)|"
    r"i(?:['\u2019]m| am) (?:unable|not able)|as an ai)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")


def _words(text: str) -> str:
    """Return the words of a text, each surrounded by blanks, so that texts can be searched for whole words."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def diagnose(
    metric: Metric,
    examples: Sequence[Example],
    training: Iterable[Example],
    baseline: Measured,
    candidate: Measured | None,
) -> Diagnosis:
    """Diagnose every answer that the metric has scored; there is no candidate before training."""
    models = [baseline] if candidate is None else [baseline, candidate]
    labels = labels_of(metric, examples)
    wanted = [_calls_wanted(metric, example) for example in examples]
    kinds = [_kinds(metric, examples, one, labels, wanted) for one in models]
    never = [{i for i, answers in enumerate(zip(*one, strict=True)) if RIGHT not in answers} for one in kinds]
    return Diagnosis(
        baseline=_counted(kinds[0]),
        candidate=_counted(kinds[1]) if candidate is not None else None,
        confusions=_confusions(examples, models, labels) if labels else (),
        labels=_label_scores(examples, kinds, labels) if labels else (),
        wrong_in_both=len(set.intersection(*never)) if candidate is not None else None,
        recalled=recalled(_fixed(metric, baseline, candidate), examples, list(training))
        if candidate is not None
        else None,
    )


# --- kinds of mistakes ---------------------------------------------------------------------------------------


def _kinds(
    metric: Metric,
    examples: Sequence[Example],
    one: Measured,
    labels: LabelSet | None,
    wanted: Sequence[list[Call] | None],
) -> list[list[str]]:
    """Return the kind of each answer, ``[repeat][example]``."""
    right = _right(metric, examples, one)
    label_kind = cache(partial(_label_kind, labels=labels)) if labels else None
    if metric.separator is not None:
        known = {label for one in examples for label in _several(metric, expected_text(one.expected))}
        label_kind = cache(partial(_several_kind, metric, known))
    return [
        [
            RIGHT if right[r][i] else _kind(prediction.completion, examples[i], wanted[i], label_kind)
            for i, prediction in enumerate(repeat)
        ]
        for r, repeat in enumerate(one.run.predictions)
    ]


def _right(metric: Metric, examples: Sequence[Example], one: Measured) -> list[list[bool]]:
    """Return whether each answer is right, and whether that is known: graded metrics may have no middle."""
    from pytest_ftgate.runs.measure import is_right, rightness, rightness_by_repeat

    if len(one.run.predictions) == 1:
        scores = rightness(one.scores[metric.name])[None]
    else:
        scores = rightness_by_repeat(one, [example.expected for example in examples], metric)
    return [
        [
            p.completion is not None if (right := is_right(metric, float(value))) is None else right
            for value, p in zip(row, predictions, strict=True)
        ]
        for row, predictions in zip(scores, one.run.predictions, strict=True)
    ]


def _kind(
    completion: Completion | None,
    example: Example,
    wanted: Sequence[Call] | None,
    label_kind: Callable[[str], str] | None,
) -> str:
    if completion is None:
        return "missing"
    text = completion.text.strip()
    if completion.finish in ("refusal", "filtered") or _REFUSAL.match(text):
        return "refusal"
    if completion.finish == "cut_off":
        return "cut_off"
    if not text:
        return "empty"
    if wanted is not None and (of_calls := _call_kind(completion, example, wanted)) is not None:
        return of_calls
    if label_kind is not None:
        return label_kind(completion.text)
    return "wrong_format" if container_of(example.expected) is not None and not _is_json(text) else "wrong"


def _calls_wanted(metric: Metric, example: Example) -> list[Call] | None:
    """Return the calls that an example expects; None where its expected output is not about tools."""
    try:
        calls = canonical_calls(example.expected)
    except ValueError:
        calls = []
    return calls if calls or metric.calls_tools else None


def _call_kind(completion: Completion, example: Example, wanted: Sequence[Call]) -> str | None:
    """Return what is wrong with the tools that an answer calls; None where it rightly calls none."""
    from pytest_ftgate.metrics.answer_format import breaks_schema

    names = names_in(completion.text)
    if names is None:
        return "no_call" if wanted else None
    if not wanted:
        return "text_and_call" if completion.reasoning or text_beside_calls(completion.text) else "unexpected_call"
    declared, calls = declared_tools(example.fields.get("tools")), calls_in(completion.text)
    if declared and not declared.keys() >= set(names):
        return "unknown_tool"
    if calls is None or any(breaks_schema(declared.get(call["name"]), call["arguments"]) for call in calls):
        return "invalid_arguments"
    return "wrong_arguments" if Counter(names) == Counter(call["name"] for call in wanted) else "wrong_tool"


def _label_kind(answer: str, labels: LabelSet) -> str:
    if labels.of(answer) is not None:
        return "wrong_label"
    wrapped = labels.reading.label(answer) is None or labels.named_by(answer) is not None
    return "wrong_format" if wrapped else "unknown_label"


def _several_kind(metric: Metric, known: set[str], answer: str) -> str:
    """Return what is wrong with several labels: one is in no expected output, or they are those of other examples."""
    found = _several(metric, answer)
    return "wrong_label" if found and known.issuperset(found) else "unknown_label"


def _several(metric: Metric, text: str) -> list[str]:
    (found,) = metric.answers_read([text])
    return [] if found is None else parse_json(found)


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _counted(kinds: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return how many answers are right, and how many mistakes of each kind there are."""
    counts = Counter(kind for repeat in kinds for kind in repeat)
    return {RIGHT: counts[RIGHT]} | {kind: counts[kind] for kind in KINDS if counts[kind]}


# --- labels --------------------------------------------------------------------------------------------------


def labels_of(metric: Metric, examples: Sequence[Example]) -> LabelSet | None:
    """Return the labels of the test set; None if its outputs are not labels.

    They are not labels if most of them differ, some are not plain values, all are blank, or they are compared as
    numbers or as several labels.
    """
    if metric.of_numbers or metric.separator is not None:
        return None
    made = metric.label_set
    if made is None or made.inside is None:
        expected = [example.expected for example in examples]
        if any(container_of(value) is not None for value in expected):
            return None
        texts = tuple(dict.fromkeys(expected_text(value).strip() for value in expected))
        if not any(texts):
            return None
        made = made or LabelSet(Reading(), texts)
    return made if are_labels(made.texts, len(examples)) else None


def are_labels(texts: Iterable[str], rows: int) -> bool:
    """Return whether there are few enough different outputs to be labels: free text hardly repeats."""
    return len(set(texts)) <= max(2, rows // 2)


def _confusions(examples: Sequence[Example], models: Sequence[Measured], labels: LabelSet) -> tuple[Confusion, ...]:
    """Return the pairs of expected and answered labels that either model confuses most."""
    before, after = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for counts, one in zip((before, after), models, strict=False):
        texts = [(expected, text) for expected, text in _texts(examples, one, labels) if text is not None]
        counts.update((expected, text or NO_LABEL) for expected, text in texts)
    wrong = [pair for pair in {*before, *after} if pair[0] != pair[1]]
    pairs = sorted(wrong, key=lambda pair: (-max(before[pair], after[pair]), pair))
    return tuple(Confusion(*pair, before[pair], after[pair]) for pair in pairs[:_CONFUSIONS_KEPT])


def _texts(examples: Sequence[Example], one: Measured, labels: LabelSet) -> Iterator[tuple[str, str | None]]:
    """Yield the expected and the answered label: empty for an unknown one, None where no whole answer is there."""
    said = cache(lambda text: labels.of(text) or "")
    for repeat in one.run.predictions:
        for example, prediction in zip(examples, repeat, strict=True):
            completion = prediction.completion
            whole = completion is not None and completion.finish == "stop"
            yield labels.label_of(example.expected), said(completion.text) if completion and whole else None


def _label_scores(
    examples: Sequence[Example], kinds: Sequence[Sequence[Sequence[str]]], labels: LabelSet
) -> tuple[LabelScore, ...]:
    """Return how many answers to examples of each label are right, the rarest label first."""
    expected = [labels.label_of(example.expected) for example in examples]
    asked = Counter(expected)
    right = [Counter(label for repeat in one for label, kind in zip(expected, repeat, strict=True) if kind == RIGHT)
             for one in kinds]  # fmt: skip
    repeats = len(kinds[0])
    return tuple(
        LabelScore(label, count * repeats, right[0][label], right[1][label] if len(right) > 1 else None)
        for label, count in sorted(asked.items(), key=lambda item: (item[1], item[0]))
    )


# --- examples ------------------------------------------------------------------------------------------------


def _fixed(metric: Metric, baseline: Measured, candidate: Measured) -> list[Example]:
    """Return the examples that the candidate answers better; none of calls, which are behaviour."""
    from pytest_ftgate.runs.measure import gains

    if metric.calls_tools:
        return []
    better = (gains(baseline, candidate, metric.name) > _ROUNDING).nonzero()[0]
    return [candidate.run.test_set.examples[i] for i in better]


def recalled(fixed: Sequence[Example], test: Sequence[Example], training: Sequence[Example]) -> int:
    """Return how many fixed examples expect text from the training set's outputs that is not in their own input.

    Only facts count: several words, a number or a name. A label of a small set or an object does not: giving the right
    one is behaviour, not knowledge.
    """
    tested = {expected_text(example.expected).strip() for example in test}
    different = tested | {expected_text(example.expected).strip() for example in training}
    # They are labels of a small set where few are different, or each is tested several times.
    few = len(different) <= MOST_LABELS or len(tested) * _TESTS_OF_A_LABEL <= len(test)
    if not fixed or (few and are_labels(different, len(test) + len(training))):
        return 0
    facts = [needle for example in fixed if (needle := _to_be_known(example))]
    found = _found_in_training(set(facts), training)
    return sum(needle in found for needle in facts)


def _to_be_known(example: Example) -> str:
    """Return the words of the expected output; none if it is not a fact, or occurs in the input."""
    text, given = expected_text(example.expected).strip(), example.input
    if not isinstance(example.expected, str | int | float) or container_of(example.expected) is not None:
        return ""
    # Several words, a name, or a number too long to be guessed.
    long_number = sum(map(str.isdigit, text)) >= _TELLING_DIGITS
    if not (len(text.split()) > 1 or any(map(str.isupper, text)) or long_number):
        return ""
    contents = [given] if isinstance(given, str) else [str(message.get("content") or "") for message in given]
    needle = _words(text)
    return needle if needle.strip() and needle not in _words(" ".join(contents)) else ""


def _found_in_training(needles: Iterable[str], training: Iterable[Example]) -> set[str]:
    """Return the needles that occur in the outputs of the training set, word for word.

    They are indexed by their first words, so that each word of the training set is visited once.
    """
    by_start: dict[tuple[str, ...], list[str]] = {}
    for needle in needles:
        by_start.setdefault(tuple(needle.split()[:_START]), []).append(needle)
    heads = {start[0] for start in by_start}
    found: set[str] = set()
    for output in {expected_text(example.expected) for example in training}:
        words = _words(output).split()
        places = [i for i, word in enumerate(words) if word in heads]
        starts = {tuple(words[i : i + n]) for i in places for n in range(1, _START + 1)}
        text = f" {' '.join(words)} "
        found.update(needle for start in starts & by_start.keys() for needle in by_start[start] if needle in text)
    return found
