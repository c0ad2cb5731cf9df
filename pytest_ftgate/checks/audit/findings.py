"""Turn the findings of the training audit into checks. Each check names the rows that it is about."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pytest_ftgate.checks.audit import near, wording
from pytest_ftgate.checks.audit.audit import labels_in
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config.data import max_tokens
from pytest_ftgate.config.requirements import CHANGEABLE
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.result import Action, Check, Status, Threshold
from pytest_ftgate.text import nearest, plural, printable

_MOST_CONFLICTS = 100
"""The gate fails if more than one row in this many contradicts an earlier one."""
_MOST_IMBALANCE = 10
"""Highest ratio of the rows of the most frequent label to those of the rarest that is not reported."""
_SIMILAR = f"at least {100 * near.NEAR:g} % similar text"
_NAMED, _REMOVED = 3, 5
"""Rows, pairs or labels that a message names, and rows to remove that an advice names; the rest is counted."""
_VERBS = {"are": "is", "have": "has", "repeat": "repeats", "belong": "belongs"}
_DIGITS, _WORDS = re.compile(r"\d+"), re.compile(r"[^\W_]+")
_MISSPELT = 0.8  # least similarity, from 0 to 1, of a label to the one that was meant


class Finding(NamedTuple):
    """What the audit may find: a row of the table of findings, whose levels are those of ``CHANGEABLE``.

    Attributes:
        found: how many rows, pairs or labels it is about, 0 if nothing was found, and the first of them in words.
        words: what is said of them; ``{of}`` stands for their number of all, as in ``3 of 60 test examples``.
        rows: of which rows they are, and how many there are; fewer than 1 % are a note, unless it ``always`` warns.
        fails: whether its built-in limit is exceeded.
        fields: further fields of its check.
    """

    name: str
    found: Callable[[Context], tuple[int, str]]
    words: str | Callable[[Context], str]
    advice: str | Callable[[Context], str]
    rows: Callable[[Context], tuple[str, int]] = lambda gate: ("training row", len(gate.training))
    always: bool = False
    fails: Callable[[Context], bool] = lambda _: False
    fields: Callable[[Context], Mapping[str, Any]] = lambda _: {}


def check(gate: Context) -> Iterator[Check]:
    """Yield the checks of the audit: usable examples and leaks always, other findings where there are any."""
    yield _usable(gate)
    for one in FINDINGS:
        count, shown = one.found(gate)
        if count:
            what, total = one.rows(gate)
            fails, few = one.fails(gate), 100 * count < total and not one.always and one.name not in gate.config.checks
            status: Status = "fail" if fails or CHANGEABLE[one.name].default == "fail" else "note" if few else "warning"
            action: Action | None = "fix_data" if fails or gate.config.level(one.name) == "fail" else None
            words, advice = (text if isinstance(text, str) else text(gate) for text in (one.words, one.advice))
            if status == "fail" and not gate.config.accepts(one.name):
                advice += f" To accept this, write checks: {{{one.name}: warn}}."
            verbs = {several: single if count == 1 else several for several, single in _VERBS.items()}
            message = f"{words.format(of=f'{count:,} of {plural(total, what)}', **verbs)}: {shown}"
            fields = {"observed": count, **one.fields(gate)}
            yield Check(one.name, status, message, **fields, advice=advice, action=action)
        elif one.name == "leaked":
            exact_only = gate.audit.leaked_near_rows or gate.config.level("leaked_near") == "ignore"
            message = f"no {'exact' if exact_only else 'exact or near'} duplicate of a test example in the training set"
            yield Check(one.name, "pass", message, 0, 0)


def _usable(gate: Context) -> Check:
    """Check that there are enough usable training examples."""
    audit, needed = gate.audit, gate.config.min_training_examples
    message = f"{plural(audit.usable, 'usable training example')}, {needed:,} required"
    if audit.rows != audit.usable:
        unusable = audit.rows - audit.usable - audit.duplicates
        counts = {"repeated input": audit.duplicates, "blank row": unusable}
        left_out = " and ".join(plural(count, what) for what, count in counts.items() if count)
        message += f" ({audit.rows:,} rows minus {left_out})"
    status: Status = "pass" if audit.usable >= needed else "fail"
    more = plural(needed - audit.usable, "distinct example")
    advice = f"Add {more}; with fewer, few-shot prompting is probably enough."
    fields = {"observed": audit.usable, **gate.requirement("min_training_examples"), "action": "add_examples"}
    return Check("min_training_examples", status, message, **fields, advice=advice if status == "fail" else None)


# --- rows and labels in words --------------------------------------------------------------------------------


def _more(count: int, named: int = _NAMED) -> str:
    """Return how many of ``count`` are not named."""
    return f" and {count - named:,} more" if count > named else ""


def _pairs(data: DataSet, pairs: Sequence[tuple[int, int]], sign: str, others: DataSet) -> tuple[int, str]:
    """Return the number of rows of a set that have a counterpart in the ``others``, and the first of these pairs.

    Of near pairs it is one, with its texts.
    """
    place, count = others.row_name if data is others else others.where, 1 if sign == "~" else _NAMED
    named = ", ".join(f"{data.where(row)} {sign} {place(first)}" for row, first in pairs[:count])
    if sign == "~" and pairs:
        texts = wording.differing(data.examples[pairs[0][0]].input, others.examples[pairs[0][1]].input)
        named += f" ({' and '.join(map(_quoted, texts))})"
    return len({row for row, _ in pairs}), named + _more(len(pairs), count)


def _each(gate: Context, remarks: Mapping[int, str]) -> tuple[int, str]:
    """Return the number of rows of the training set, and the first of them, each with its remark if it has one."""
    said = (f"{gate.training.where(row)}{f' ({text})' if text else ''}" for row, text in remarks.items())
    return len(remarks), ", ".join(islice(said, _NAMED)) + _more(len(remarks))


def _removal(gate: Context, pairs: Sequence[tuple[int, int]]) -> str:
    """Return the advice to remove all training rows of these pairs."""
    rows = sorted({row for _, row in pairs})
    named = ", ".join(str(gate.training.where(row)) for row in rows[:_REMOVED]) + _more(len(rows), _REMOVED)
    these = "this training row" if len(rows) == 1 else f"these {len(rows):,} training rows"
    return f"Remove {these} and train again: {named}{'; -v lists them' if len(rows) > _REMOVED else ''}."


def _quoted(label: str) -> str:
    return repr(printable(label, 60))


def _names(labels: Mapping[str, str]) -> str:
    """Return the first labels, or other names, each with its remark."""
    return ", ".join(f"{_quoted(one)} ({said})" for one, said in islice(labels.items(), _NAMED)) + _more(len(labels))


def _first_rows(gate: Context, data: DataSet, labels: Iterable[str]) -> dict[str, str]:
    """Return the place of the first row with each label, in their order."""
    found = dict.fromkeys(labels, "")
    for row, example in enumerate(data):
        for label in labels_in(expected_text(example.expected).strip(), gate.deciding.separator) or ():
            found[label] = found.get(label, "-") or str(data.where(row))
    return {label: found[label] for label in found if found[label] != "-"}


def _misspelt(gate: Context) -> dict[str, str]:
    """Return the labels of the test set that look like a misspelt one, each with the label that was meant.

    It differs by its order, its separators, a plural or a few letters, but by no digits.
    """
    found = {}
    for label in () if gate.audit.labels.apart else gate.audit.labels.only_in_test:
        meant = nearest(label, gate.audit.labels.counts or {})
        texts = [text.casefold() for text in (label, meant or "")]
        words = [sorted(_WORDS.findall(text)) for text in texts]
        if meant and words[0] and _DIGITS.findall(texts[0]) == _DIGITS.findall(texts[1]):
            one, other = (text.removesuffix("s") or text for text in texts)
            alike = difflib.SequenceMatcher(None, one, other).ratio() >= _MISSPELT
            if words[0] == words[1] or (alike and (one[0], one[-1]) == (other[0], other[-1])):
                found[label] = meant
    return found


# --- the table -----------------------------------------------------------------------------------------------


def _too_few_distinct(gate: Context) -> bool:
    """Return whether there are enough usable rows only with their near duplicates."""
    return gate.audit.distinct < gate.config.min_training_examples <= gate.audit.usable


def _distinct(gate: Context) -> str:
    required = f" ({gate.config.min_training_examples:,} required)" if _too_few_distinct(gate) else ""
    return f"{{of}} {{are}} near duplicates of an earlier row ({_SIMILAR}), {gate.audit.distinct:,} distinct{required}"


def _group_overlap(gate: Context) -> tuple[int, str]:
    shared = gate.audit.shared_groups.items()
    places = {name: f"{gate.test.where(row)}, {gate.training.where(other)}" for name, (row, other) in shared}
    return gate.audit.in_shared_groups, _names(places)


def _labels_missing(gate: Context) -> tuple[int, str]:
    labels, parts = gate.audit.labels, []
    places = _first_rows(gate, gate.test, labels.only_in_test)
    if labels.apart:
        known = _first_rows(gate, gate.training, islice(labels.counts or {}, 2))
        parts.append(f"no label of the test set is in the training set, {_names(places)} against {_names(known)}")
    elif places:
        meant = {one: f"{places[one]}; did you mean {_quoted(label)}?" for one, label in _misspelt(gate).items()}
        parts.append(f"no example of {_names({**meant, **places, **meant})}, which the test set expects")
    if labels.rare:
        parts.append(f"few examples of {_names({one: plural(n, 'row') for one, n in labels.rare.items()})}")
    return len(places) + len(labels.rare or {}), "; ".join(parts)


def _labels_cure(gate: Context) -> str:
    if gate.audit.labels.apart:
        return "Write the labels alike in both sets."
    return "Correct the labels that are misspelt." if _misspelt(gate) else "Add training examples with these labels."


def _imbalance(gate: Context) -> tuple[int, str]:
    counts = gate.audit.labels.counts
    if not counts or (gate.audit.labels.imbalance or 0) <= _MOST_IMBALANCE:
        return 0, ""
    most, *_, rarest = counts
    first = _first_rows(gate, gate.training, [rarest])[rarest]
    rows = f"{plural(counts[most], 'training row')}, {_quoted(rarest)} has {counts[rarest]:,} (first {first})"
    return 1, f"{_quoted(most)} has {rows}"


def _too_long(gate: Context) -> tuple[int, str]:
    most = max_tokens(gate.config.training_set)
    return _each(gate, {row: f"about {n:,}" for row, n in enumerate(gate.audit.tokens) if n > most})


def _of_test(gate: Context) -> tuple[str, int]:
    return "test example", len(gate.test)


FINDINGS: tuple[Finding, ...] = (
    Finding(
        "leaked",
        lambda gate: _pairs(gate.test, gate.audit.leaked_rows, "=", gate.training),
        "{of} {are} also in the training set",
        lambda gate: _removal(gate, gate.audit.leaked_rows),
        _of_test,
        fields=lambda gate: {"required": 0, "source": gate.source("training_set")},
    ),
    Finding(
        "leaked_near",
        lambda gate: _pairs(gate.test, gate.audit.leaked_near_rows, "~", gate.training),
        f"{{of}} {{have}} a near duplicate in the training set ({_SIMILAR})",
        lambda gate: _removal(gate, gate.audit.leaked_near_rows),
        _of_test,
        fields=lambda _: {"required": 0},
    ),
    Finding(
        "conflicts",
        lambda gate: _pairs(gate.training, gate.audit.conflict_rows, "vs", gate.training),
        f"{{of}} {{repeat}} an input with a different output (built-in limit {100 / _MOST_CONFLICTS:g} %)",
        "Keep the correct output of each pair: contradictions teach the model to guess.",
        lambda gate: ("training row", gate.audit.filled),
        always=True,
        fails=lambda gate: gate.audit.conflicts * _MOST_CONFLICTS > gate.audit.filled,
    ),
    Finding(
        "near_duplicates",
        lambda gate: _pairs(gate.training, gate.audit.near_rows, "~", gate.training),
        _distinct,
        "Replace them with different examples: a sentence with one word changed adds little.",
        lambda gate: ("usable row", gate.audit.usable),
        fails=_too_few_distinct,
        fields=lambda gate: gate.requirement("min_training_examples") if _too_few_distinct(gate) else {},
    ),
    Finding(
        "test_near_duplicates",
        lambda gate: _pairs(gate.test, gate.audit.test_near_rows, "~", gate.test),
        f"{{of}} {{are}} near duplicates of an earlier one ({_SIMILAR}), copies count as one group",
        "Replace them with different examples: copies add no evidence.",
        _of_test,
    ),
    Finding(
        "group_overlap",
        _group_overlap,
        "{of} {belong} to groups that the training set has too",
        "Split the data by group, so that all rows of a group are in one set.",
        _of_test,
    ),
    Finding("labels_missing", _labels_missing, "the training set lacks labels", _labels_cure, always=True),
    Finding(
        "imbalance",
        _imbalance,
        lambda gate: f"label imbalance {gate.audit.labels.imbalance:.3g}x (limit {_MOST_IMBALANCE}x)",
        "Add examples of the rare labels, or remove some of the frequent ones.",
        always=True,
        fields=lambda gate: {"observed": gate.audit.labels.imbalance, "required": _MOST_IMBALANCE},
    ),
    Finding(
        "empty_outputs",
        lambda gate: _each(gate, dict.fromkeys(gate.audit.empty_outputs, "")),
        "{of} {have} an empty output",
        "Complete or remove these rows: they teach the model to say nothing.",
    ),
    Finding(
        "chat_format",
        lambda gate: _each(gate, gate.audit.chat_errors),
        "{of} {have} a malformed conversation",
        "Put instructions first, then alternate user and assistant messages: chat templates reject or rewrite "
        "other orders.",
    ),
    Finding(
        "too_long",
        _too_long,
        lambda gate: f"{{of}} {{have}} more than {max_tokens(gate.config.training_set):,} tokens (UTF-8 bytes / 4)",
        "Shorten them, or set training_set.max_tokens to the limit of your trainer: most trainers truncate longer "
        "rows.",
        fields=lambda gate: {
            "required": (most := max_tokens(gate.config.training_set)),
            "threshold": Threshold("training_set.max_tokens", most),
        },
    ),
)
"""All findings, in the order in which reports show them."""
