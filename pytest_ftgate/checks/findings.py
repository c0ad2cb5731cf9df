"""The rules for the data: usable examples, leaks, near duplicates, labels and malformed rows.

Each turns facts of the training audit into a check that names the rows that it is about.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pytest_ftgate.check_names import CHECKS
from pytest_ftgate.checks.audit import near
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import DataSet
from pytest_ftgate.result import Check, Status, Threshold
from pytest_ftgate.text import EXCERPT, NAMED, plural, printable, show_percent

_MOST_CONFLICTS = 100
"""The gate fails if more than one row in this many contradicts an earlier one."""
_MOST_IMBALANCE = 10
"""Highest ratio of the most frequent label's rows to the rarest one's that is not reported."""
_SIMILAR = f"at least {show_percent(near.NEAR)} similar text"
_COPIES = ("is a near duplicate", "are near duplicates")
_MISSPELT = 0.8
"""Least similarity, from 0 to 1, of a label to the one that was meant."""
_LISTED = " pairs (pytest -v lists all)"


def check(gate: Context) -> Iterator[Check]:
    """Yield the checks of the data: usable examples and leaks always, others if they find any."""
    yield _usable(gate)
    if not gate.audit.leaked_rows:
        yield Check(
            "leaked", "pass", "no test example is in the training set", observed=0, required=0
        )
    for find in _FINDINGS:
        yield from find(gate)


def _finding(
    gate: Context,
    name: str,
    count: int,
    message: str,
    cure: str,
    *,
    total: int | None = None,
    fails: bool = False,
    **fields: Any,
) -> Check:
    """Return the check of something that is wrong with the data.

    Args:
        gate: the gate.
        name: the name of the check.
        count: how many rows, pairs or labels it is about.
        message: what is wrong, and the first rows that it is about.
        cure: what to do about them.
        total: the number of such rows; a finding about fewer than 1 % of them is a note. None: it
            always warns.
        fails: whether it exceeds its built-in limit.
        fields: further fields of the check.
    """
    status: Status = "warning"
    if fails or CHECKS[name].default == "fail":
        status = "fail"
        # an exact copy is never right; the others may be what the task looks like
        if name != "leaked" and not gate.config.accepts(name):
            cure += f" To accept this, write checks: {{{name}: warn}}."
    elif total is not None and 100 * count < total and name not in gate.config.checks:
        status = "note"
    return Check(name, status, message, **{"observed": count, **fields}, cure=cure)


def _usable(gate: Context) -> Check:
    """Check that there are enough usable training examples."""
    audit = gate.audit
    needed = gate.config.min_training_examples
    message = f"{plural(audit.usable, 'usable training example')}, {needed:,} required"
    if audit.rows != audit.usable:
        blank = audit.rows - audit.usable - audit.duplicates
        message += f" ({audit.rows:,} rows: {audit.duplicates:,} repeat an input, {blank:,} blank)"

    fields = {"observed": audit.usable, **gate.requirement("min_training_examples")}
    if audit.usable >= needed:
        return Check("min_training_examples", "pass", message, **fields)

    more = plural(needed - audit.usable, "distinct example")
    cure = f"Add {more}; with fewer, few-shot prompting is probably enough."
    return Check("min_training_examples", "fail", message, **fields, cure=cure)


# --- leaks and duplicates -------------------------------------------------------------------------


def _leaked(gate: Context) -> Iterator[Check]:
    pairs = gate.audit.leaked_rows
    if not pairs:
        return

    count = gate.audit.leaked
    source = gate.source("training_set")
    named = []
    for row, trained in pairs[:NAMED]:
        named.append(f"{gate.gain_set.where(row)} = {gate.training.where(trained)}")
    message = (
        f"{_of(count, 'test example', len(gate.gain_set), 'is', 'are')} also in the training set"
    )
    message += f": {', '.join(named)}{_more(len(pairs), end=_LISTED)}"
    yield _finding(gate, "leaked", count, message, _removal(gate), required=0, source=source)


def _removal(gate: Context) -> str:
    """Return the cure of leaks: the one that needs no training first."""
    # The command reads rows by their last turns.
    if gate.test.by_turn:
        return (
            "Take these conversations out of the test set, which needs no training; or out of the "
            "training set, and train again."
        )
    commands = []
    other = 'source="training"'
    for name, test in _sets_with_leaks(gate).items():
        command = f"pytest_ftgate.dedupe({name}, training)"
        if test.path is not None and gate.training.path is not None:
            command = f"python -m pytest_ftgate dedupe {test.path} {gate.training.path}"
            other = "--from training"
        commands.append(command)
    cure = "Take these rows out of the test set, which needs no training: "
    cure += f"{' and '.join(commands)}. Or take "
    return cure + f"them out of the training set ({other}), and train again."


def _sets_with_leaks(gate: Context) -> dict[str, DataSet]:
    """Return the sets that hold leaked rows, by their names in Python code."""
    n_labeled = len(gate.test)
    sets = {}
    for row, _ in (*gate.audit.leaked_rows, *gate.audit.leaked_near_rows):
        if row < n_labeled:
            sets["test"] = gate.test
        elif gate.unlabeled is not None:
            sets["unlabeled"] = gate.unlabeled.data
    return sets


def _leaked_near(gate: Context) -> Iterator[Check]:
    pairs = gate.audit.leaked_near_rows
    if not pairs:
        return

    count = gate.audit.leaked_near
    message = _of(count, "test example", len(gate.gain_set), "has", "have")
    message += f" a near duplicate in the training set ({_SIMILAR})"
    message += f": {_near_pairs(gate.gain_set, pairs, gate.training)}"
    # the cure of exact leaks need not be read twice
    cure = "Remove these rows, too." if gate.audit.leaked_rows else _removal(gate)
    yield _finding(gate, "leaked_near", count, message, cure, required=0)


def _conflicts(gate: Context) -> Iterator[Check]:
    pairs = gate.audit.conflict_rows
    if not pairs:
        return

    count = len(pairs)
    rows = gate.audit.rows
    named = []
    for row, first in pairs[:NAMED]:
        named.append(f"{gate.training.where(row)} vs {gate.training.row_name(first)}")
    message = f"{_of(count, 'training row', rows, 'repeats', 'repeat')} an input with a different "
    message += f"output (built-in limit {100 / _MOST_CONFLICTS:g} %): "
    message += f"{', '.join(named)}{_more(count)}"
    cure = "Keep the correct output of each pair: contradictions teach the model to guess."
    fails = count * _MOST_CONFLICTS > rows
    yield _finding(gate, "conflicts", count, message, cure, fails=fails)


def _near_duplicates(gate: Context) -> Iterator[Check]:
    pairs = gate.audit.near_rows
    if not pairs:
        return

    count = len(pairs)
    usable = gate.audit.usable
    distinct = gate.audit.distinct
    needed = gate.config.min_training_examples
    # With fewer usable rows than needed another check fails already.
    fails = distinct < needed <= usable
    message = f"{_of(count, 'usable row', usable, *_COPIES)} of an earlier row ({_SIMILAR}), "
    message += f"{distinct:,} distinct"
    cure = "Replace them with different examples: a sentence with one word changed adds little."
    fields = {}
    if fails:
        message += f" ({needed:,} required)"
        fields = gate.requirement("min_training_examples")
    message += f": {_near_pairs(gate.training, pairs, gate.training)}"
    yield _finding(
        gate, "near_duplicates", count, message, cure, total=usable, fails=fails, **fields
    )


def _test_near_duplicates(gate: Context) -> Iterator[Check]:
    pairs = gate.audit.test_near_rows
    if not pairs:
        return

    total = len(gate.gain_set)
    count = len({row for row, _ in pairs})
    message = f"{_of(count, 'test example', total, *_COPIES)} of an earlier one ({_SIMILAR}), "
    message += f"copies count as one group: {_near_pairs(gate.gain_set, pairs, gate.gain_set)}"
    cure = "Replace them with different examples: copies add no evidence."
    yield _finding(gate, "test_near_duplicates", count, message, cure, total=total)


def _near_pairs(data: DataSet, pairs: Sequence[tuple[int, int]], others: DataSet) -> str:
    """Return the first of these pairs of rows, and the number of the others."""
    row, other_row = pairs[0]
    place = others.row_name(other_row) if data is others else str(others.where(other_row))
    more = _more(len(pairs), 1, "" if data is others else _LISTED)
    return f"{data.where(row)} ~ {place}{more}"


def _group_overlap(gate: Context) -> Iterator[Check]:
    shared = gate.audit.shared_groups
    if not shared:
        return

    count = sum(group in shared for group in gate.gain_set.groups)
    places = _places(gate.gain_set, shared)
    message = _of(count, "test example", len(gate.gain_set), "belongs", "belong")
    message += f" to groups that the training set has too: {_names(places)}"
    cure = "Split the data by group, so that all rows of a group are in one set."
    yield _finding(gate, "group_overlap", count, message, cure, total=len(gate.gain_set))


# --- labels ---------------------------------------------------------------------------------------


def _labels_in_common(gate: Context) -> Iterator[Check]:
    if not _apart(gate):
        return

    labels = gate.audit.labels
    tested = _places(gate.gain_set, labels.only_in_test)
    trained = {label: plural(count, "row") for label, count in labels.counts.items()}
    message = f"no label of the test set is in the training set: {_names(tested)} against "
    message += _names(trained)
    cure = "Check that both keys name the right data, and write the labels alike in both sets."
    yield _finding(gate, "labels_in_common", len(tested), message, cure, required=0)


def _labels_missing(gate: Context) -> Iterator[Check]:
    labels = gate.audit.labels
    if _apart(gate) or not labels.only_in_test:
        return

    trained = {label.casefold(): label for label in labels.counts}
    misspelt: dict[str, str] = {}
    missing: dict[str, str] = {}
    for label, place in _places(gate.gain_set, labels.only_in_test).items():
        meant = difflib.get_close_matches(label.casefold(), trained, 1, _MISSPELT)
        if meant:
            misspelt[label] = f"{place}; did you mean {_quoted(trained[meant[0]])}?"
        else:
            missing[label] = place

    message = f"no training example of {_names({**misspelt, **missing})}"
    cure = "Add training examples with these labels, or correct those that are misspelt."
    yield _finding(gate, "labels_missing", len(labels.only_in_test), message, cure)


def _apart(gate: Context) -> bool:
    """Return whether the sets have no label in common, by a metric that compares labels."""
    return gate.audit.labels.apart and gate.deciding.uses_labels


def _imbalance(gate: Context) -> Iterator[Check]:
    counts = gate.audit.labels.counts
    if len(counts) < 2:
        return
    most_frequent, *_, rarest = counts
    ratio = counts[most_frequent] / counts[rarest]
    if ratio <= _MOST_IMBALANCE:
        return

    rows = plural(counts[rarest], "training row")
    message = f"{_quoted(rarest)} has {rows}, {_quoted(most_frequent)} {counts[most_frequent]:,} "
    message += f"({ratio:.3g}x, limit {_MOST_IMBALANCE}x)"
    cure = "Add examples of the rare labels, or remove some of the frequent ones."
    limit = _MOST_IMBALANCE
    yield _finding(gate, "imbalance", 1, message, cure, observed=ratio, required=limit)


def _places(data: DataSet, rows: Mapping[str, int]) -> dict[str, str]:
    """Return the place of each of these rows, by the same names."""
    return {name: str(data.where(row)) for name, row in rows.items()}


# --- malformed rows -------------------------------------------------------------------------------


def _empty_outputs(gate: Context) -> Iterator[Check]:
    remarks = dict.fromkeys(gate.audit.empty_outputs, "")
    cure = "Complete or remove these rows: they teach the model to say nothing."
    yield from _of_rows(gate, "empty_outputs", "an empty output", remarks, cure)


def _chat_format(gate: Context) -> Iterator[Check]:
    cure = "Put instructions first, then alternate user and assistant messages: chat templates "
    cure += "reject or rewrite other orders."
    remarks = gate.audit.chat_errors
    yield from _of_rows(gate, "chat_format", "a malformed conversation", remarks, cure)


def _too_long(gate: Context) -> Iterator[Check]:
    limit = gate.config.training_set.max_tokens
    remarks = {}
    for row, tokens in enumerate(gate.audit.tokens):
        if tokens > limit:
            remarks[row] = f"about {tokens:,}"
    cure = "Shorten them, or set training_set.max_tokens to the limit of your trainer: most "
    cure += "trainers truncate longer rows."
    words = f"more than {limit:,} tokens (UTF-8 bytes / 4)"
    fields = {"required": limit, "threshold": Threshold("training_set.max_tokens", limit)}
    yield from _of_rows(gate, "too_long", words, remarks, cure, **fields)


def _of_rows(
    gate: Context, name: str, words: str, remarks: Mapping[int, str], cure: str, **fields: Any
) -> Iterator[Check]:
    """Yield a finding about these training rows, if there are any, with their remarks."""
    if not remarks:
        return

    named = []
    for row, remark in islice(remarks.items(), NAMED):
        place = str(gate.training.where(row))
        named.append(f"{place} ({remark})" if remark else place)
    count = len(remarks)
    message = f"{_of(count, 'training row', len(gate.training), 'has', 'have')} {words}: "
    message += f"{', '.join(named)}{_more(count)}"
    yield _finding(gate, name, count, message, cure, total=len(gate.training), **fields)


# --- words ----------------------------------------------------------------------------------------


def _of(count: int, noun: str, total: int, single: str, several: str) -> str:
    """Return ``3 of 60 test examples are``."""
    return f"{count:,} of {plural(total, noun)} {single if count == 1 else several}"


def _more(count: int, named: int = NAMED, end: str = "") -> str:
    """Return how many of ``count`` are not named, and what stands behind that."""
    return f" and {count - named:,} more{end}" if count > named else ""


def _quoted(label: str) -> str:
    return repr(printable(label, EXCERPT))


def _names(labels: Mapping[str, str]) -> str:
    """Return the first labels, or other names, each with its remark."""
    named = []
    for label, remark in islice(labels.items(), NAMED):
        named.append(f"{_quoted(label)} ({remark})")
    return ", ".join(named) + _more(len(labels))


_FINDINGS: tuple[Callable[[Context], Iterator[Check]], ...] = (
    _leaked,
    _leaked_near,
    _conflicts,
    _near_duplicates,
    _test_near_duplicates,
    _group_overlap,
    _labels_in_common,
    _labels_missing,
    _imbalance,
    _empty_outputs,
    _chat_format,
    _too_long,
)
"""All findings, in the order in which reports show them."""
