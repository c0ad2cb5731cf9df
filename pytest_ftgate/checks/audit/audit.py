"""The audit of a training set: everything that can be counted before a model is called."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from pytest_ftgate.checks.audit.leaks import copies_but_for_ids, leaks, sharing
from pytest_ftgate.checks.audit.near import near_copies
from pytest_ftgate.checks.audit.wording import Wording, contents, excerpt_from, plain_text, shared_start
from pytest_ftgate.data import strict_json
from pytest_ftgate.data.example import DataSet, Example, Input, Messages, canonical_json, expected_text
from pytest_ftgate.data.messages import is_blank, normalized_input, visible, without_instructions
from pytest_ftgate.errors import DataError, raise_together
from pytest_ftgate.result import RowPair
from pytest_ftgate.runs.measure import shown_input
from pytest_ftgate.text import excerpt, readable

Pairs = tuple[tuple[int, int], ...]


class Exact(NamedTuple):
    """Rows with equal inputs. Rows are indices of examples, from 0.

    Attributes:
        repeats: rows with non-blank input and output whose input an earlier such row has, as (row, first row with it).
        usable: all other rows with non-blank input and output.
        leaked: test rows whose input is in the training set, as (test row, training row); all rows of both are named.
        said, tested: the inputs of both sets as they are compared for similar rows: what they say, see :mod:`.wording`.
    """

    repeats: Pairs
    usable: tuple[int, ...]
    leaked: Pairs
    said: list[str]
    tested: list[str]


def compare_exactly(training: DataSet, test: DataSet, outputs: Sequence[str]) -> Exact:
    """Find usable rows, repeats and leaks. ``outputs`` are those of the training set as stripped text.

    Two inputs are the same if their normalised forms are equal. System and developer messages are left out, so that
    another system prompt does not hide a leak. They are compared only for questions that the training set answers
    differently under different instructions, as when these hold the document that the question is about.
    """
    keys, test_keys = ([_keys(example.input) for example in data] for data in (training, test))
    first, ways, answers = dict[bytes, tuple[bytes, str]](), set[bytes](), set[bytes]()
    for (whole, turns), output in zip(keys, outputs, strict=True):
        if whole != turns:
            way, answer = first.setdefault(turns, (whole, output))
            ways.update([turns] * (way != whole))
            answers.update([turns] * (answer != output))
    instructed = ways & answers
    digests, test_digests = ([one if turn in instructed else turn for one, turn in some] for some in (keys, test_keys))
    asked = [(row, digests[row]) for row, example in enumerate(training) if not is_blank(example.input)]
    filled = [(row, digest) for row, digest in asked if visible(outputs[row])]
    repeats = _repeats(filled)
    said, tested = (_said(data, some, instructed) for data, some in ((training, keys), (test, test_keys)))
    leaked = set(leaks(training, test, [one for one, _ in said], outputs, [one for one, _ in tested]))
    leaked.update(sharing(asked, test_digests))
    usable = {row for row, _ in filled} - {row for row, _ in repeats}
    similar = [[one for _, one in some] for some in (said, tested)]
    return Exact(tuple(repeats), tuple(sorted(usable)), tuple(sorted(leaked)), *similar)


def leaked_rows(training: DataSet, test: DataSet) -> Pairs:
    """Return the test rows whose input is in the training set, each with the first such training row."""
    leaked = compare_exactly(training, test, outputs_of(training)).leaked
    return tuple(sorted(dict(reversed(leaked)).items()))


def outputs_of(data: DataSet) -> list[str]:
    """Return the expected outputs as stripped text, the form in which they are compared."""
    return [expected_text(example.expected).strip() for example in data]


def check_test_set(test: DataSet) -> None:
    """Raise :class:`DataError` for a test set with blank or repeated inputs; a repeated one would count twice."""
    blank = {row: excerpt(expected_text(one.expected)) for row, one in enumerate(test) if is_blank(one.input)}
    told = ((test.where(row), f"expected output: {output}") for row, output in blank.items())
    cure = "remove the row, or write its input"
    raise_together(DataError("the input is blank", where=at, evidence=text, cure=cure) for at, text in told)
    raise_together(_repeated_inputs(test))


def _repeated_inputs(test: DataSet) -> Iterator[DataError]:
    texts = [normalized_input(example.input).strip() for example in test]
    repeats = _repeats(enumerate(texts))
    start = shared_start(texts) if repeats else 0
    for row, first in repeats:
        ids = [f'"{excerpt(one.id)}"' for one in (test.examples[row], test.examples[first]) if one.has_own_id]
        what = f"the input is the same as on {test.row_name(first)}" + (f" (ids {' and '.join(ids)})" if ids else "")
        evidence = f"input: {excerpt_from(texts[row], start)}"
        cure = "keep one of the rows; case, width and white space are ignored in this comparison"
        yield DataError(what, where=test.where(row), evidence=evidence, cure=cure)


def _keys(given: Input) -> tuple[bytes, bytes]:
    """Return the digests of a normalised input, with and without its instructions."""
    turns = without_instructions(given)
    whole, *rest = (
        hashlib.blake2b(normalized_input(one).encode(), digest_size=16).digest()
        for one in ((given,) if turns is given else (given, turns))
    )
    return whole, rest[0] if rest else whole


def _repeats(rows: Iterable[tuple[int, Hashable]]) -> list[tuple[int, int]]:
    """Return each row with the key of an earlier row, as (row, first row)."""
    first_with: dict[Hashable, int] = {}
    pairs = ((row, first_with.setdefault(key, row)) for row, key in rows)
    return [(row, first) for row, first in pairs if row != first]


def _said(data: DataSet, keys: Sequence[tuple[bytes, bytes]], instructed: Set[bytes]) -> list[tuple[str, str]]:
    """Return what each row says, for equal and for similar rows; with its instructions if these count."""
    said = contents([plain_text(example.input) for example in data])
    return [
        (normalized_input(example.input),) * 2 if turns in instructed else content
        for example, (_, turns), content in zip(data, keys, said, strict=True)
    ]


_SHOWN = 500  # characters of an input


@dataclass(frozen=True)
class TrainingAudit:
    """The findings of an audit. Rows are indices of examples, from 0.

    The pairs of ``leaked_rows`` name every row of both sets that is concerned, as do those of ``leaked_near_rows``.

    Attributes:
        filled: number of rows with a non-blank input.
        usable: number of distinct inputs among the rows whose input and output are both non-blank.
        repeats: further rows with the input of an earlier row, as (row, first row), conflicts included.
        conflict_rows: those of them whose output is another one.
        leaked_rows: test rows whose input is in the training set, as (test row, training row).
        near_rows: usable rows that are near duplicates of an earlier one, as (row, earlier row).
        leaked_near_rows: test rows with a near duplicate in the training set, as (test row, training row).
        test_near_rows: test rows that are near duplicates of an earlier one, as (row, earlier row); they connect all.
        shared_groups: groups of both sets by name, with the first row of each: (test row, training row).
        in_shared_groups: number of test rows of these groups.
        empty_outputs: rows whose output is blank.
        chat_errors: rows with a malformed conversation, with the reason.
        tokens: the estimated tokens of each row, tools included: UTF-8 bytes / 4.
    """

    rows: int
    filled: int
    usable: int
    repeats: Pairs
    conflict_rows: Pairs
    leaked_rows: Pairs
    near_rows: Pairs
    leaked_near_rows: Pairs
    test_near_rows: Pairs
    shared_groups: Mapping[str, tuple[int, int]]
    in_shared_groups: int
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
        return len({row for row, _ in self.leaked_rows})

    @property
    def leaked_near(self) -> int:
        """Return the number of test examples with a near duplicate in the training set."""
        return len({row for row, _ in self.leaked_near_rows})

    @property
    def distinct(self) -> int:
        """Return the number of usable rows without near duplicates of earlier ones."""
        return self.usable - len(self.near_rows)


def audit_training_set(training: DataSet, test: DataSet, *, separator: str | None = None) -> TrainingAudit:
    """Audit a training set against a test set. The time is linear in the characters of both.

    ``separator`` is what separates several labels in one output; None: an output is one label, or a list of labels.
    """
    outputs, test_outputs = outputs_of(training), outputs_of(test)
    exact = compare_exactly(training, test, outputs)
    repeated = {row for row, _ in exact.repeats}
    leaked, leaking = ({pair[side] for pair in exact.leaked} for side in (0, 1))
    # Exact repeats and exact leaks are not near duplicates.
    rows = sorted((*exact.usable, *repeated))
    wordings = [Wording.of(exact.said[row], outputs[row]) for row in rows]
    within, across, in_test = near_copies(wordings, list(map(Wording.of, exact.tested, test_outputs)))
    near = ((row, rows[one]) for row, one in across)
    groups, trained = _first_rows(test), _first_rows(training)
    shared = {name: (row, trained[name]) for name, row in groups.items() if name in trained}
    return TrainingAudit(
        rows=len(training),
        filled=sum(not is_blank(example.input) for example in training),
        usable=len(exact.usable),
        repeats=exact.repeats,
        conflict_rows=tuple((row, first) for row, first in exact.repeats if outputs[row] != outputs[first]),
        leaked_rows=exact.leaked,
        near_rows=tuple((rows[one], rows[first]) for one, first in within if rows[one] not in repeated),
        leaked_near_rows=tuple(pair for pair in near if pair[0] not in leaked or pair[1] not in leaking),
        test_near_rows=tuple(sorted({*in_test, *copies_but_for_ids(exact.tested, test_outputs)})),
        shared_groups=shared,
        in_shared_groups=sum(example.group in shared for example in test),
        empty_outputs=tuple(row for row, output in enumerate(outputs) if not output),
        chat_errors=chat_errors([example.input for example in training]),
        tokens=tuple(map(estimated_tokens, training, outputs)),
        labels=compare_labels(*([labels_in(one, separator) for one in some] for some in (outputs, test_outputs))),
    )


def _first_rows(data: DataSet) -> dict[str, int]:
    return {example.group: row for row, example in reversed(list(enumerate(data))) if example.group is not None}


def row_pairs(data: DataSet, others: DataSet, pairs: Iterable[tuple[int, int]]) -> tuple[RowPair, ...]:
    """Return pairs of rows of two sets as reports show them."""

    def shown(rows: DataSet, row: int) -> tuple[str, str]:
        return str(rows.where(row)), readable(shown_input(rows.examples[row]), _SHOWN)

    return tuple(RowPair(*shown(data, row), *shown(others, other)) for row, other in pairs)


HARDLY = 5
"""A label of the test set with fewer training rows than this is reported."""
_ROWS_PER_LABEL = 5


@dataclass(frozen=True)
class Labels:
    """The labels of both sets; all empty if the outputs do not look like labels.

    Attributes:
        only_in_test: labels without a training row, sorted.
        rare: labels of the test set with fewer than ``HARDLY`` training rows, with their number; rarest first.
        counts: training rows by label, most frequent first; also empty if few labels repeat.
        apart: whether the test set has several labels, and the training set none of them.
    """

    only_in_test: tuple[str, ...] = ()
    rare: Mapping[str, int] | None = None
    counts: Mapping[str, int] | None = None
    apart: bool = False

    @property
    def imbalance(self) -> float | None:
        """Return the rows of the most frequent label divided by those of the rarest; None without labels."""
        counts = list((self.counts or {}).values())
        return counts[0] / counts[-1] if counts else None


def compare_labels(training: Sequence[Sequence[str] | None], test: Sequence[Sequence[str] | None]) -> Labels:
    """Compare the labels of both sets, those of each row as :func:`labels_in` gives them.

    Where most outputs have none, the others are no labels either. Otherwise they are labels if both sets together have
    at most two distinct ones, or at most half as many as rows: free text rarely repeats. Labels are counted if the
    training set has at most two, or ``_ROWS_PER_LABEL`` rows for each on average.
    """
    filled = sum(one != () for one in (*training, *test))
    training, test = ([one for one in rows if one] for rows in (training, test))
    counts, in_test = Counter(chain.from_iterable(training)), set(chain.from_iterable(test))
    if 2 * (len(training) + len(test)) < filled:
        return Labels()
    if len(counts.keys() | in_test) > max(2, (len(test) + len(training)) // 2):
        return Labels()
    only_in_test = tuple(sorted(in_test - counts.keys()))
    if len(counts) > max(2, len(training) // _ROWS_PER_LABEL):
        return Labels(only_in_test)
    rare = sorted((counts[label], label) for label in in_test & counts.keys() if counts[label] < HARDLY)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    apart = len(only_in_test) == len(in_test) > 1 and bool(counts)
    return Labels(only_in_test, {label: count for count, label in rare}, dict(ordered), apart)


@lru_cache(maxsize=10_000)
def labels_in(output: str, separator: str | None = None) -> tuple[str, ...] | None:
    """Return the label that a stripped output is, or its labels: of a JSON list of texts, or between separators.

    A blank output has none. None: it is a JSON object or another list, as in extraction and tool calls.
    """
    with suppress(ValueError):
        value = strict_json.parse_json(output) if output.startswith(("{", "[")) else None
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return tuple(dict.fromkeys(part.strip() for part in value))
        if isinstance(value, dict) or (value is not None and all(isinstance(part, dict) for part in value)):
            return None
    parts = [output] if separator is None else map(str.strip, output.split(separator))
    return tuple(dict.fromkeys(filter(None, parts)))


_BYTES_PER_TOKEN = 4
_FIRST = ("system", "developer")
_RESULTS = ("tool", "function")


def chat_errors(inputs: Sequence[Input]) -> dict[int, str]:
    """Return the rows whose conversation, input and expected output together, is malformed, with the first reason."""
    found = ((row, next(_flaws(given), None)) for row, given in enumerate(inputs) if not isinstance(given, str))
    return {row: flaw for row, flaw in found if flaw is not None}


def _flaws(messages: Messages) -> Iterator[str]:
    roles = [str(message["role"]) for message in messages]
    turns = [role for role in roles if role not in _FIRST]
    if any(role in _FIRST and before not in _FIRST for before, role in pairwise(roles)):
        yield "instructions after the first turn"
    if not turns or "user" not in turns:
        yield "no user message"
    elif turns[0] != "user":
        yield f"{turns[0]} message first"
    for before, role in zip(turns, [*turns[1:], "assistant"], strict=True):
        if before == role and role in ("user", "assistant"):
            yield f"two {role} messages in a row"
    called = empty = False
    for message in messages:
        if message["role"] in _RESULTS and not called:
            yield "tool result without a tool call"
        called = called or "tool_calls" in message or "function_call" in message
        calls = message.get("tool_calls") or message.get("function_call")
        empty = empty or (not calls and message["role"] not in _RESULTS and is_blank((message,)))
    if empty:
        yield "empty message"


def estimated_tokens(example: Example, output: str) -> int:
    """Return the tokens of a row, tools included, as UTF-8 bytes / 4."""
    given, keys, tools = example.input, ("content", "tool_calls"), example.fields.get("tools")
    texts = [given] if isinstance(given, str) else [str(message.get(key) or "") for message in given for key in keys]
    texts += [output, canonical_json(tools)] if tools else [output]
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts) // _BYTES_PER_TOKEN
