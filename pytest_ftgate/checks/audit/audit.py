"""The audit of a training set: everything that can be counted before a model is called."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from pytest_ftgate.checks.audit import leaks, near, wording
from pytest_ftgate.data import strict_json
from pytest_ftgate.data.example import (
    DataSet,
    Example,
    Input,
    Messages,
    canonical_json,
    expected_text,
)
from pytest_ftgate.data.faults import raise_together
from pytest_ftgate.data.messages import (
    INSTRUCTIONS,
    is_blank,
    normalized_input,
    visible,
    without_instructions,
)
from pytest_ftgate.data.turns import conversation_of, written_groups
from pytest_ftgate.errors import DataError
from pytest_ftgate.metrics.labels import LabelSet, are_labels
from pytest_ftgate.result import RowPair
from pytest_ftgate.runs.measure import shown_input
from pytest_ftgate.text import excerpt, readable

Pairs = tuple[tuple[int, int], ...]


class Exact(NamedTuple):
    """Rows with equal inputs. Rows are indices of examples, from 0.

    Attributes:
        repeats: rows with non-blank input and output whose input an earlier such row has, as (row,
            first row with it).
        usable: all other rows with non-blank input and output.
        leaked: test rows whose input is in the training set, as (test row, training row); all rows
            of both are named.
        trained, tested: the inputs of both sets as they are compared.
    """

    repeats: Pairs
    usable: tuple[int, ...]
    leaked: Pairs
    trained: list[wording.Text]
    tested: list[wording.Text]


def compare_exactly(
    training: DataSet, test: DataSet, outputs: Sequence[str], answers: Sequence[str | None]
) -> Exact:
    """Find usable rows, repeats and leaks.

    System and developer messages are no part of an input, so that another system prompt does not
    hide a leak. They are a part of questions that the training set answers differently under
    different instructions, as when these hold the document that the question is about.

    Args:
        training, test: both sets.
        outputs, answers: their expected outputs, as stripped text; None: not known.
    """
    inputs = _Inputs(training)
    instructed = inputs.instructed(outputs)
    plain = inputs.plain(instructed)
    words = list(map(wording.all_words_of, plain))
    test_words = list(map(wording.all_words_of, _Inputs(test).plain(instructed)))
    mask = wording.mask_for([*words, *test_words], [*outputs, *answers])
    template = wording.Template.of(words, mask)
    trained = list(map(template.text, words))
    tested = wording.texts_of(test_words, mask)
    bare = trained if mask is wording.masked else wording.texts_of(words, wording.masked)
    leaked = leaks.find_leaks(training, trained, bare, outputs, tested, answers, mask)

    usable = []
    repeats = []
    first_with: dict[Hashable, int] = {}
    for row, example in enumerate(training):
        if is_blank(example.input) or not visible(outputs[row]):
            continue
        first = first_with.setdefault(inputs.compared(row, instructed), row)
        # A row that differs from an earlier one by its number alone is a repeat, unless it has
        # another output.
        if first == row:
            key = template.distinct(plain[row], trained[row]), outputs[row]
            first = first_with.setdefault(key, row)
        if first == row:
            usable.append(row)
        else:
            repeats.append((row, first))
    return Exact(
        repeats=tuple(repeats),
        usable=tuple(usable),
        leaked=_without_short_turns(test, sorted(leaked)),
        trained=trained,
        tested=tested,
    )


def _without_short_turns(data: DataSet, pairs: Iterable[tuple[int, int]]) -> Pairs:
    """Return the pairs without turns before which less is said than nobody repeats by chance."""
    if not data.by_turn:
        return tuple(pairs)
    kept = []
    for row, other in pairs:
        # Each line is a message after its role.
        lines = wording.plain_text(data.examples[row].input).split("\n")
        spoken = " ".join(line.rpartition("\t")[2] for line in lines)
        if wording.is_long(wording.words_of(spoken)):
            kept.append((row, other))
    return tuple(kept)


def leaked_rows(training: DataSet, test: DataSet) -> list[int]:
    """Return the test rows that leaked."""
    outputs = wording.outputs_of(training)
    exact = compare_exactly(training, test, outputs, wording.known_outputs_of(test))
    return sorted({row for row, _ in exact.leaked})


def check_test_set(test: DataSet) -> None:
    """Raise :class:`DataError` for blank inputs, and for repeated ones, which would count twice.

    Conversations often begin alike: their turns with equal inputs are one group.
    """
    raise_together(_blank_inputs(test))
    if not test.by_turn:
        raise_together(_repeated_inputs(test))


def _blank_inputs(test: DataSet) -> Iterator[DataError]:
    for row, example in enumerate(test):
        if is_blank(example.input):
            yield DataError(
                "the input is blank",
                where=test.where(row),
                evidence=f"expected output: {excerpt(expected_text(example.expected))}",
                cure="remove the row, or write its input",
            )


def _repeated_inputs(test: DataSet) -> Iterator[DataError]:
    texts = [normalized_input(example.input).strip() for example in test]
    first_with: dict[str, int] = {}
    for row, text in enumerate(texts):
        first = first_with.setdefault(text, row)
        if first == row:
            continue

        message = f"the input is the same as in {test.row_name(first)}"
        cure = "keep the row whose output is right"
        if test.expected[row] is None:
            cure = "remove this row, whose answers are counted there"
        elif test.expected[row] == test.expected[first]:
            cure = "keep one of the rows, as python -m pytest_ftgate dedupe does"
        cure += "; case, width and white space are ignored in this comparison"
        evidence = f"input: {excerpt(text)}"
        yield DataError(message, where=test.where(row), evidence=evidence, cure=cure)


class _Inputs:
    """The normalised inputs of a set.

    Attributes:
        whole: each with its instructions.
        turns: each without them.
    """

    def __init__(self, data: DataSet) -> None:
        self.whole: list[str] = []
        self.turns: list[str] = []
        for example in data:
            whole = normalized_input(example.input)
            turns = without_instructions(example.input)
            self.whole.append(whole)
            self.turns.append(whole if turns is example.input else normalized_input(turns))

    def instructed(self, outputs: Sequence[str]) -> set[str]:
        """Return the turns that have different outputs under different instructions."""
        first_with: dict[str, tuple[str, str]] = {}
        asked_differently: set[str] = set()
        answered_differently: set[str] = set()
        for whole, turns, output in zip(self.whole, self.turns, outputs, strict=True):
            # without instructions there is nothing to distinguish
            if whole == turns:
                continue
            first_whole, first_output = first_with.setdefault(turns, (whole, output))
            if whole != first_whole:
                asked_differently.add(turns)
            if output != first_output:
                answered_differently.add(turns)
        return asked_differently & answered_differently

    def compared(self, row: int, instructed: Set[str]) -> str:
        """Return an input without its instructions, which count for some turns only."""
        turns = self.turns[row]
        return self.whole[row] if turns in instructed else turns

    def plain(self, instructed: Set[str]) -> list[str]:
        """Return each input without escapes and tags; those with instructions as they are."""
        texts = []
        for whole, turns in zip(self.whole, self.turns, strict=True):
            texts.append(whole if turns in instructed else wording.unescaped(turns))
        return texts


@dataclass(frozen=True)
class TrainingAudit:
    """The findings of an audit. Rows are indices of examples, from 0.

    The pairs of ``leaked_rows`` name every row of both sets that is concerned, as do those of
    ``leaked_near_rows``.

    Attributes:
        usable: number of distinct inputs among the rows whose input and output are both non-blank.
        repeats: further rows with the input of an earlier row, as (row, first row), conflicts
            included.
        conflict_rows: those of them whose output is another one.
        leaked_rows: test rows whose input is in the training set, as (test row, training row).
        near_rows: usable rows that are near duplicates of an earlier one, as (row, earlier row).
        leaked_near_rows: test rows with a near duplicate in the training set, as (test row,
            training row).
        test_near_rows: test rows that are near duplicates of an earlier one, as (row, earlier row);
            they connect all.
        shared_groups: the first test row of each group that both sets have.
        empty_outputs: rows whose output is blank.
        chat_errors: rows with a malformed conversation, with the reason.
        tokens: the estimated tokens of each row, tools included: UTF-8 bytes / 4.
    """

    rows: int
    usable: int
    repeats: Pairs
    conflict_rows: Pairs
    leaked_rows: Pairs
    near_rows: Pairs
    leaked_near_rows: Pairs
    test_near_rows: Pairs
    shared_groups: Mapping[str, int]
    empty_outputs: tuple[int, ...]
    chat_errors: Mapping[int, str]
    tokens: tuple[int, ...]
    labels: "Labels"

    @property
    def duplicates(self) -> int:
        """Return the number of rows with the input of an earlier row."""
        return len(self.repeats)

    @property
    def conflicts(self) -> int:
        """Return the number of rows with the input of an earlier row and another output."""
        return len(self.conflict_rows)

    @property
    def leaked(self) -> int:
        """Return the number of test examples whose input is in the training set."""
        return len(dict(self.leaked_rows))

    @property
    def leaked_near(self) -> int:
        """Return the number of test examples with a near duplicate in the training set."""
        return len(dict(self.leaked_near_rows))

    @property
    def distinct(self) -> int:
        """Return the number of usable rows without near duplicates of earlier ones."""
        return self.usable - len(self.near_rows)


def audit_training_set(
    training: DataSet,
    test: DataSet,
    *,
    separator: str | None = None,
    labels: LabelSet | None = None,
) -> TrainingAudit:
    """Audit a training set against a test set. The time is linear in the characters of both.

    Args:
        training, test: the sets.
        separator: what separates several labels in one output; None: an output is one label, or a
            list of labels.
        labels: those that the metric compares, which knows their spellings.
    """
    whole_outputs = wording.outputs_of(training)
    outputs = whole_outputs
    answers = wording.known_outputs_of(test)
    if labels is not None:
        outputs = list(map(labels.spelled, outputs))
        answers = [answer and labels.spelled(answer) for answer in answers]
    exact = compare_exactly(training, test, outputs, answers)
    near_rows, near_leaks, test_near_rows = _similar_rows(exact, outputs, answers)

    conflicts = [pair for pair in exact.repeats if outputs[pair[0]] != outputs[pair[1]]]
    return TrainingAudit(
        rows=len(training),
        usable=len(exact.usable),
        repeats=exact.repeats,
        conflict_rows=_without_short_turns(training, conflicts),
        leaked_rows=exact.leaked,
        near_rows=_of_two_conversations(training, near_rows),
        leaked_near_rows=_without_short_turns(test, near_leaks),
        test_near_rows=_of_two_conversations(test, test_near_rows),
        shared_groups=_shared_groups(training, test),
        empty_outputs=tuple(row for row, output in enumerate(outputs) if not output),
        chat_errors=chat_errors(example.input for example in training),
        tokens=tuple(map(estimated_tokens, training, whole_outputs)),
        labels=compare_labels(outputs, [answer or "" for answer in answers], separator),
    )


def _similar_rows(
    exact: Exact, outputs: Sequence[str], answers: Sequence[str | None]
) -> tuple[Pairs, Pairs, Pairs]:
    """Return near duplicates within the training set, across both sets, and within the test set."""
    repeated = dict(exact.repeats)
    near_rows = []
    first_with: dict[near.Row, int] = {}
    for row in sorted([*exact.usable, *repeated]):
        first = first_with.setdefault(near.Row.of(exact.trained[row], outputs[row]), row)
        if first != row and row not in repeated:
            near_rows.append((row, first))

    rows = list(first_with.values())
    test = near.rows_of(exact.tested, answers)
    within, across, in_test = near.near_copies(list(first_with), test)
    for position, earlier in within:
        if rows[position] not in repeated:
            near_rows.append((rows[position], rows[earlier]))

    leaked = set(map(itemgetter(0), exact.leaked))
    leaking = set(map(itemgetter(1), exact.leaked))
    near_leaks = []
    for test_row, position in across:
        # an exact leak is reported once
        if test_row not in leaked or rows[position] not in leaking:
            near_leaks.append((test_row, rows[position]))

    copies = leaks.copies_but_for_digits(exact.tested, answers)
    return tuple(sorted(near_rows)), tuple(near_leaks), tuple(sorted({*in_test, *copies}))


def _of_two_conversations(data: DataSet, pairs: Pairs) -> Pairs:
    """Return the pairs without turns of one conversation, which are alike by nature."""
    if not data.by_turn:
        return pairs
    names = list(map(conversation_of, data))
    return tuple((row, earlier) for row, earlier in pairs if names[row] != names[earlier])


def _shared_groups(training: DataSet, test: DataSet) -> dict[str, int]:
    """Return the first test row of each group that both sets have."""
    trained = set(written_groups(training))
    rows: dict[str, int] = {}
    for row, group in enumerate(written_groups(test)):
        if group is not None and group in trained:
            rows.setdefault(group, row)
    return rows


def row_pairs(
    data: DataSet, other_data: DataSet, pairs: Iterable[tuple[int, int]]
) -> tuple[RowPair, ...]:
    """Return pairs of rows of two sets as reports show them."""
    shown = []
    for row, other_row in pairs:
        text = readable(shown_input(data.examples[row]))
        other_text = readable(shown_input(other_data.examples[other_row]))
        place = str(data.where(row))
        shown.append(
            RowPair(place, text=text, other=str(other_data.where(other_row)), other_text=other_text)
        )
    return tuple(shown)


HARDLY = 5
"""The rows that each label has on average where labels are counted."""


@dataclass(frozen=True)
class Labels:
    """The labels of both sets; all empty if the outputs do not look like labels.

    Attributes:
        only_in_test: the first test row of each label without a training row, in the order of the
            labels.
        counts: training rows by label, most frequent first; also empty if few labels repeat.
        apart: whether the test set has several labels, and the training set none of them in any
            case.
    """

    only_in_test: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    apart: bool = False


class _LabelRows:
    """The labels of one set.

    Attributes:
        labeled, unlabeled: number of rows with labels, and of rows whose output is none.
        counts: the number of rows of each label.
        firsts: the first row of each label.
    """

    def __init__(self, outputs: Iterable[str], separator: str | None) -> None:
        self.labeled = 0
        self.unlabeled = 0
        self.counts: Counter[str] = Counter()
        self.firsts: dict[str, int] = {}
        for row, output in enumerate(outputs):
            labels = labels_in(output, separator)
            if labels is None:
                self.unlabeled += 1
                continue
            self.labeled += bool(labels)
            for label in labels:
                self.counts[label] += 1
                self.firsts.setdefault(label, row)


def compare_labels(
    outputs: Iterable[str], answers: Iterable[str], separator: str | None = None
) -> Labels:
    """Compare the labels in the outputs of the training set and of the test set.

    Where most outputs have none, or most of those of the test set do not repeat, the others are no
    labels either. Labels are counted if the training set has at most two, or ``HARDLY`` rows for
    each on average.
    """
    trained = _LabelRows(outputs, separator)
    tested = _LabelRows(answers, separator)
    rows = trained.labeled + tested.labeled
    distinct = trained.counts.keys() | tested.counts.keys()
    has_labels = are_labels(list(tested.counts.elements()), trained.counts)
    if rows <= trained.unlabeled + tested.unlabeled or not has_labels:
        return Labels()

    only_in_test = {}
    for label in sorted(distinct - trained.counts.keys()):
        only_in_test[label] = tested.firsts[label]
    if len(trained.counts) > max(2, trained.labeled // HARDLY):
        return Labels(only_in_test)

    ordered = dict(sorted(trained.counts.items(), key=lambda item: (-item[1], item[0])))
    # a test set of one label is rather a part of the task than another one
    if len(tested.counts) < 2 or not ordered:
        return Labels(only_in_test, ordered)

    folded = set(map(str.casefold, ordered))
    apart = folded.isdisjoint(map(str.casefold, tested.counts))
    return Labels(only_in_test, ordered, apart)


@lru_cache(maxsize=10_000)
def labels_in(output: str, separator: str | None = None) -> tuple[str, ...] | None:
    """Return the label that a stripped output is, or its labels: of a list, or between separators.

    A blank output has none. None: it is a JSON object or a list of objects, as in extraction and
    tool calls.
    """
    value = None
    if output.startswith(("{", "[")):
        with suppress(ValueError):
            value = strict_json.parse_json(output)
    if isinstance(value, dict):
        return None

    labels = [output] if separator is None else output.split(separator)
    if isinstance(value, list):
        kinds = set(map(type, value))
        # calls and records, of which an empty list has none
        if kinds <= {dict}:
            return None
        if kinds == {str}:
            labels = value
    return tuple(dict.fromkeys(filter(None, map(str.strip, labels))))


_BYTES_PER_TOKEN = 4


def chat_errors(inputs: Iterable[Input]) -> dict[int, str]:
    """Return the rows whose conversation is malformed, output included, with the first reason."""
    flaws = {}
    for row, conversation in enumerate(inputs):
        if not isinstance(conversation, str):
            flaw = _flaw(conversation)
            if flaw:
                flaws[row] = flaw
    return flaws


def _flaw(messages: Messages) -> str:
    """Return what is wrong with the order of the roles; empty if nothing is."""
    roles = [str(message["role"]) for message in messages]
    for earlier, role in pairwise(roles):
        if role in INSTRUCTIONS and earlier not in INSTRUCTIONS:
            return "instructions after the first turn"

    turns = [role for role in roles if role not in INSTRUCTIONS]
    if "user" not in turns:
        return "no user message"
    if turns[0] != "user":
        return f"{turns[0]} message first"

    for earlier, role in pairwise([*turns, "assistant"]):
        if earlier == role and role in ("user", "assistant"):
            return f"two {role} messages in a row"
    return ""


def estimated_tokens(example: Example, output: str) -> int:
    """Return the tokens of a row, tools included, as UTF-8 bytes / 4."""
    texts = [output]
    if isinstance(example.input, str):
        texts.append(example.input)
    else:
        for message in example.input:
            texts += [str(message.get("content") or ""), str(message.get("tool_calls") or "")]
    if example.fields.get("tools"):
        texts.append(canonical_json(example.fields["tools"]))
    return sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN
