"""The rules for the data: usable examples, leaks, near duplicates, labels and malformed rows.

Each turns facts of the training audit into a check that names the rows that it is about.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pytest_ftgate.check_names import CHECKS
from pytest_ftgate.checks.audit import near, wording
from pytest_ftgate.checks.audit.audit import labels_in
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config.data import max_tokens
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.result import Check, Status, Threshold
from pytest_ftgate.text import EXCERPT, NAMED, nearest, plural, printable, show_percent

_MOST_CONFLICTS = 100
"""The gate fails if more than one row in this many contradicts an earlier one."""
_MOST_IMBALANCE = 10
"""Highest ratio of the rows of the most frequent label to those of the rarest that is not reported."""
_SIMILAR = f"at least {show_percent(near.NEAR)} similar text"
_MISSPELT = 0.8  # least similarity, from 0 to 1, of a label to the one that was meant
_DIGITS = re.compile(r"\d+")
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with the data.

    Attributes:
        name: the name of its check.
        count: how many rows, pairs or labels it is about.
        message: what is wrong, and the first rows that it is about.
        total: the number of such rows; a finding about fewer than 1 % of them is a note. None: it
            always warns.
        fails: whether it exceeds its built-in limit.
        advice: the cure; empty: that of the table of checks.
        fields: further fields of the check.
    """

    name: str
    count: int
    message: str
    total: int | None = None
    fails: bool = False
    advice: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def check(gate: Context) -> Iterator[Check]:
    """Yield the checks of the data: usable examples and leaks always, others where something is found."""
    yield _usable(gate)
    if not gate.audit.leaked_rows:
        yield _no_leaks(gate)

    for find in FINDINGS:
        finding = find(gate)
        if finding is not None:
            yield _check(gate, finding)


def _check(gate: Context, finding: Finding) -> Check:
    """Return the check of a finding."""
    status = _status(gate, finding)
    advice = finding.advice or CHECKS[finding.name].cure
    if status == "fail" and not gate.config.accepts(finding.name):
        advice += f" To accept this, write checks: {{{finding.name}: warn}}."
    fields = {"observed": finding.count, **finding.fields}
    return Check(finding.name, status, finding.message, **fields, advice=advice)


def _status(gate: Context, finding: Finding) -> Status:
    """Return the status of a finding where the gate does not say another one."""
    if finding.fails or CHECKS[finding.name].default == "fail":
        return "fail"
    if (
        finding.total is not None
        and 100 * finding.count < finding.total
        and finding.name not in gate.config.checks
    ):
        return "note"
    return "warning"


def _usable(gate: Context) -> Check:
    """Check that there are enough usable training examples."""
    audit = gate.audit
    needed = gate.config.min_training_examples
    message = f"{plural(audit.usable, 'usable training example')}, {needed:,} required"
    if audit.rows != audit.usable:
        unusable = audit.rows - audit.usable - audit.duplicates
        counts = {"repeated input": audit.duplicates, "blank row": unusable}
        left_out = " and ".join(plural(count, what) for what, count in counts.items() if count)
        message += f" ({audit.rows:,} rows minus {left_out})"

    fields = {"observed": audit.usable, **gate.requirement("min_training_examples")}
    if audit.usable >= needed:
        return Check("min_training_examples", "pass", message, **fields)
    more = plural(needed - audit.usable, "distinct example")
    advice = f"Add {more}; with fewer, few-shot prompting is probably enough."
    return Check("min_training_examples", "fail", message, **fields, advice=advice)


def _no_leaks(gate: Context) -> Check:
    only_exact = gate.audit.leaked_near_rows or gate.config.level("leaked_near") == "ignore"
    kind = "exact" if only_exact else "exact or near"
    return Check(
        "leaked", "pass", f"no {kind} duplicate of a test example in the training set", 0, 0
    )


# --- leaks and duplicates
# ----------------------------------------------------------------------------------------


def _leaked(gate: Context) -> Finding | None:
    pairs = gate.audit.leaked_rows
    if not pairs:
        return None
    message = f"{_of(gate.audit.leaked, 'test example', gate.test)} also in the training set"
    named = [
        f"{gate.test.where(row)} = {gate.training.where(other)}" for row, other in pairs[:NAMED]
    ]
    fields = {"required": 0, "source": gate.source("training_set")}
    message += f": {', '.join(named)}{_more(len(pairs))}"
    return Finding(
        "leaked", gate.audit.leaked, message, advice=_removal(gate, pairs), fields=fields
    )


def _leaked_near(gate: Context) -> Finding | None:
    pairs = gate.audit.leaked_near_rows
    if not pairs:
        return None
    count = gate.audit.leaked_near
    message = f"{_of(count, 'test example', gate.test, 'has', 'have')} a near duplicate in the training set"
    message += f" ({_SIMILAR}): {_near_pairs(gate.test, pairs, gate.training)}"
    return Finding(
        "leaked_near", count, message, advice=_removal(gate, pairs), fields={"required": 0}
    )


def _removal(gate: Context, pairs: Sequence[tuple[int, int]]) -> str:
    """Return both cures of leaks: to remove all training rows of these pairs, or all test rows."""
    trained = sorted({row for _, row in pairs})
    tested = sorted({row for row, _ in pairs})
    return (
        f"Remove {_these(trained, 'training row')} and train again: {_places(gate.training, trained)} "
        f"(python -m pytest_ftgate init --dedupe writes such a copy). Or remove {_these(tested, 'test row')}, which "
        f"needs no training: {_places(gate.test, tested)}. -v lists all pairs."
    )


def _these(rows: Sequence[int], noun: str) -> str:
    return f"this {noun}" if len(rows) == 1 else f"these {len(rows):,} {noun}s"


def _places(data: DataSet, rows: Sequence[int]) -> str:
    """Return the places of the first of these rows, and the number of the others."""
    return ", ".join(str(data.where(row)) for row in rows[:NAMED]) + _more(len(rows))


def _conflicts(gate: Context) -> Finding | None:
    pairs = gate.audit.conflict_rows
    if not pairs:
        return None
    filled = gate.audit.filled
    count = len(pairs)
    verb = "repeats" if count == 1 else "repeat"
    named = [
        f"{gate.training.where(row)} vs {gate.training.row_name(first)}"
        for row, first in pairs[:NAMED]
    ]
    message = (
        f"{count:,} of {plural(filled, 'training row')} {verb} an input with a different output (built-in limit "
        f"{100 / _MOST_CONFLICTS:g} %): {', '.join(named)}{_more(count)}"
    )
    return Finding("conflicts", count, message, fails=count * _MOST_CONFLICTS > filled)


def _near_duplicates(gate: Context) -> Finding | None:
    pairs = gate.audit.near_rows
    if not pairs:
        return None
    usable = gate.audit.usable
    distinct = gate.audit.distinct
    needed = gate.config.min_training_examples
    too_few = distinct < needed <= usable
    required = f" ({needed:,} required)" if too_few else ""
    verb = "is a near duplicate" if len(pairs) == 1 else "are near duplicates"
    message = (
        f"{len(pairs):,} of {plural(usable, 'usable row')} {verb} of an earlier row ({_SIMILAR}), {distinct:,} "
        f"distinct{required}: {_near_pairs(gate.training, pairs, gate.training)}"
    )
    fields = gate.requirement("min_training_examples") if too_few else {}
    return Finding(
        "near_duplicates", len(pairs), message, total=usable, fails=too_few, fields=fields
    )


def _test_near_duplicates(gate: Context) -> Finding | None:
    pairs = gate.audit.test_near_rows
    if not pairs:
        return None
    count = len({row for row, _ in pairs})
    verb = "is a near duplicate" if count == 1 else "are near duplicates"
    message = (
        f"{count:,} of {plural(len(gate.test), 'test example')} {verb} of an earlier one ({_SIMILAR}), copies count "
        f"as one group: {_near_pairs(gate.test, pairs, gate.test)}"
    )
    return Finding("test_near_duplicates", count, message, total=len(gate.test))


def _near_pairs(data: DataSet, pairs: Sequence[tuple[int, int]], others: DataSet) -> str:
    """Return the first of these pairs of rows, with its texts, and the number of the others."""
    row, other_row = pairs[0]
    place = others.row_name(other_row) if data is others else str(others.where(other_row))
    texts = wording.differing(data.examples[row].input, others.examples[other_row].input)
    return f"{data.where(row)} ~ {place} ({texts[0]!r} and {texts[1]!r}){_more(len(pairs), 1)}"


def _group_overlap(gate: Context) -> Finding | None:
    shared = gate.audit.shared_groups
    if not shared:
        return None
    count = gate.audit.in_shared_groups
    places = {}
    for name, (row, other_row) in shared.items():
        places[name] = f"{gate.test.where(row)}, {gate.training.where(other_row)}"
    message = (
        f"{_of(count, 'test example', gate.test, 'belongs', 'belong')} to groups that the training set has too: "
        f"{_names(places)}"
    )
    return Finding("group_overlap", count, message, total=len(gate.test))


# --- labels
# ------------------------------------------------------------------------------------------------------


def _labels_in_common(gate: Context) -> Finding | None:
    labels = gate.audit.labels
    if not _apart(gate):
        return None
    tested = _first_rows(gate, gate.test, labels.only_in_test)
    trained = _first_rows(gate, gate.training, labels.counts or {})
    message = f"no label of the test set is in the training set: {_names(tested)} against {_names(trained)}"
    return Finding("labels_in_common", len(tested), message, fields={"required": 0})


def _labels_missing(gate: Context) -> Finding | None:
    labels = gate.audit.labels
    if _apart(gate) or not (labels.only_in_test or labels.rare):
        return None
    places = _first_rows(gate, gate.test, labels.only_in_test)
    misspelt = _misspelt(gate)
    meant = {
        label: f"{places[label]}; did you mean {_quoted(right)}?"
        for label, right in misspelt.items()
    }

    parts = []
    if places:
        parts.append(
            f"no example of {_names({**meant, **places, **meant})}, which the test set expects"
        )
    if labels.rare:
        counts = {label: plural(count, "row") for label, count in labels.rare.items()}
        parts.append(f"few examples of {_names(counts)}")
    message = f"the training set lacks labels: {'; '.join(parts)}"

    advice = (
        "Correct the labels that are misspelt."
        if misspelt
        else "Add training examples with these labels."
    )
    return Finding("labels_missing", len(places) + len(labels.rare or {}), message, advice=advice)


def _apart(gate: Context) -> bool:
    """Return whether the sets have no label in common; numbers and texts that repeat are no labels."""
    return gate.audit.labels.apart and gate.deciding.uses_labels


def _misspelt(gate: Context) -> dict[str, str]:
    """Return the labels of the test set that look like a misspelt one, each with the label that was meant."""
    misspelt = {}
    for label in gate.audit.labels.only_in_test:
        meant = nearest(label, gate.audit.labels.counts or {})
        if meant and _looks_alike(label.casefold(), meant.casefold()):
            misspelt[label] = meant
    return misspelt


def _looks_alike(label: str, meant: str) -> bool:
    """Return whether labels differ by their order, their separators, a plural or a few letters, but by no digits."""
    words = sorted(_WORDS.findall(label))
    if not words or _DIGITS.findall(label) != _DIGITS.findall(meant):
        return False
    if words == sorted(_WORDS.findall(meant)):
        return True
    label = label.removesuffix("s") or label
    meant = meant.removesuffix("s") or meant
    similar = difflib.SequenceMatcher(None, label, meant).ratio() >= _MISSPELT
    return similar and (label[0], label[-1]) == (meant[0], meant[-1])


def _imbalance(gate: Context) -> Finding | None:
    counts = gate.audit.labels.counts
    ratio = gate.audit.labels.imbalance
    if not counts or ratio is None or ratio <= _MOST_IMBALANCE:
        return None
    most, *_, rarest = counts
    first = _first_rows(gate, gate.training, [rarest])[rarest]
    message = (
        f"label imbalance {ratio:.3g}x (limit {_MOST_IMBALANCE}x): {_quoted(most)} has "
        f"{plural(counts[most], 'training row')}, {_quoted(rarest)} has {counts[rarest]:,} (first {first})"
    )
    return Finding("imbalance", 1, message, fields={"observed": ratio, "required": _MOST_IMBALANCE})


def _first_rows(gate: Context, data: DataSet, labels: Iterable[str]) -> dict[str, str]:
    """Return the place of the first row with each label, in their order."""
    wanted = list(labels)
    missing = set(wanted)
    places = {}
    for row, example in enumerate(data):
        row_labels = (
            labels_in(expected_text(example.expected).strip(), gate.deciding.separator) or ()
        )
        for label in missing.intersection(row_labels):
            places[label] = str(data.where(row))
            missing.discard(label)
    return {label: places[label] for label in wanted if label in places}


# --- malformed rows
# ----------------------------------------------------------------------------------------------


def _empty_outputs(gate: Context) -> Finding | None:
    remarks = dict.fromkeys(gate.audit.empty_outputs, "")
    return _rows_finding(gate, "empty_outputs", "an empty output", remarks)


def _chat_format(gate: Context) -> Finding | None:
    return _rows_finding(gate, "chat_format", "a malformed conversation", gate.audit.chat_errors)


def _too_long(gate: Context) -> Finding | None:
    most = max_tokens(gate.config.training_set)
    remarks = {
        row: f"about {tokens:,}" for row, tokens in enumerate(gate.audit.tokens) if tokens > most
    }
    fields = {"required": most, "threshold": Threshold("training_set.max_tokens", most)}
    return _rows_finding(
        gate, "too_long", f"more than {most:,} tokens (UTF-8 bytes / 4)", remarks, fields
    )


def _rows_finding(
    gate: Context,
    name: str,
    words: str,
    remarks: Mapping[int, str],
    fields: Mapping[str, Any] | None = None,
) -> Finding | None:
    """Return a finding about these training rows, each with its remark if it has one."""
    if not remarks:
        return None
    named = []
    for row, remark in islice(remarks.items(), NAMED):
        named.append(
            f"{gate.training.where(row)} ({remark})" if remark else str(gate.training.where(row))
        )
    message = (
        f"{_of(len(remarks), 'training row', gate.training, 'has', 'have')} {words}: {', '.join(named)}"
        f"{_more(len(remarks))}"
    )
    return Finding(name, len(remarks), message, total=len(gate.training), fields=fields or {})


# --- words
# -------------------------------------------------------------------------------------------------------


def _of(count: int, noun: str, data: DataSet, single: str = "is", several: str = "are") -> str:
    """Return ``3 of 60 test examples are``."""
    return f"{count:,} of {plural(len(data), noun)} {single if count == 1 else several}"


def _more(count: int, named: int = NAMED) -> str:
    """Return how many of ``count`` are not named."""
    return f" and {count - named:,} more" if count > named else ""


def _quoted(label: str) -> str:
    return repr(printable(label, EXCERPT))


def _names(labels: Mapping[str, str]) -> str:
    """Return the first labels, or other names, each with its remark."""
    named = [f"{_quoted(label)} ({remark})" for label, remark in islice(labels.items(), NAMED)]
    return ", ".join(named) + _more(len(labels))


FINDINGS: tuple[Callable[[Context], Finding | None], ...] = (
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
