"""Turn the findings of the training audit into checks. Each check names the rows that it is about."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

from pytest_ftgate.checks.audit.audit import labels_in
from pytest_ftgate.checks.audit.content import differing
from pytest_ftgate.checks.audit.near import NEAR
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config.data import max_tokens
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.result import Action, Check, Status, Threshold
from pytest_ftgate.text import nearest, plural, printable

_MOST_CONFLICTS = 100
"""The gate fails if more than one row in this many contradicts an earlier one."""

_MOST_IMBALANCE = 10
"""Highest ratio of the rows of the most frequent label to those of the rarest that is not reported."""

_NEAR = f"at least {100 * NEAR:g} % similar text"
_NAMED = 3
"""Rows, pairs or labels that a message names; the rest is counted."""

_DIGITS, _WORDS = re.compile(r"\d+"), re.compile(r"[^\W_]+")
_MISSPELT = 0.8  # least similarity, from 0 to 1, of a label to the one that was meant
_REMOVED = 5
"""Rows to remove that an advice names."""


class Finding(NamedTuple):
    """What the audit may find: a row of the table of findings.

    Attributes:
        default: its level where the gate says nothing; ``limit``: a warning up to a built-in limit.
        count: how many rows, pairs or labels it is about; 0 if nothing was found.
        words: the message about them.
        beyond: whether its built-in limit is exceeded.
        fields: further fields of its check.
        rows: how many rows were looked at, of which fewer than 1 % are a note; 0: any number is a warning.
    """

    name: str
    default: Literal["fail", "limit", "warn"]
    count: Callable[[_Audited], int]
    words: Callable[[_Audited, int], str]
    advice: str | Callable[[_Audited], str]
    beyond: Callable[[_Audited], bool] = lambda _: False
    fields: Callable[[_Audited], Mapping[str, Any]] = lambda _: {}
    rows: Callable[[_Audited], int] = lambda _: 0


def check(gate: Context) -> Iterator[Check]:
    """Yield the checks of the audit: usable examples and leaks always, other findings where there are any."""
    audited = _Audited(gate)
    yield audited.usable()
    for one in FINDINGS:
        if count := one.count(audited):
            beyond = one.beyond(audited)
            few = 100 * count < one.rows(audited) and one.name not in gate.config.checks
            status: Status = "fail" if beyond or one.default == "fail" else "note" if few else "warning"
            action: Action | None = "fix_data" if beyond or gate.config.level(one.name) == "fail" else None
            advice = one.advice if isinstance(one.advice, str) else one.advice(audited)
            if status == "fail" and not gate.config.accepts(one.name):
                advice += f" To accept this, write checks: {{{one.name}: warn}}."
            fields = {"observed": count, **one.fields(audited)}
            yield Check(one.name, status, one.words(audited, count), **fields, advice=advice, action=action)
        elif one.name == "leaked":
            exact_only = gate.audit.leaked_near_rows or gate.config.level("leaked_near") == "ignore"
            message = f"no {'exact' if exact_only else 'exact or near'} duplicate of a test example in the training set"
            yield Check(one.name, "pass", message, observed=0, required=0)


class _Audited:
    """The audit of a gate, and how its rows are told."""

    def __init__(self, gate: Context) -> None:
        self.gate, self.audit, self.training, self.test = gate, gate.audit, gate.training, gate.test
        self.needed, self.max_tokens = gate.config.min_training_examples, max_tokens(gate.config.training_set)
        self.long_rows = {row: n for row, n in enumerate(self.audit.tokens) if n > self.max_tokens}

    def usable(self) -> Check:
        """Check that there are enough usable training examples."""
        audit, needed = self.audit, self.needed
        enough = audit.usable >= needed
        message = f"{plural(audit.usable, 'usable training example')}, {needed:,} required"
        if audit.rows != audit.usable:
            left_out = [plural(audit.duplicates, "repeated input")] if audit.duplicates else []
            unusable = audit.rows - audit.usable - audit.duplicates
            left_out += [plural(unusable, "blank row")] if unusable else []
            message += f" ({audit.rows:,} rows minus {' and '.join(left_out)})"
        return Check(
            "min_training_examples",
            "pass" if enough else "fail",
            message,
            observed=audit.usable,
            **self.gate.requirement("min_training_examples"),
            advice=None
            if enough
            else f"Add {plural(needed - audit.usable, 'distinct example')}; "
            "with fewer, few-shot prompting is probably enough.",
            action="add_examples",
        )

    @property
    def too_few_distinct(self) -> bool:
        """Return whether there are enough usable rows only with their near duplicates."""
        return self.audit.distinct < self.needed <= self.audit.usable

    @property
    def misspelt(self) -> dict[str, str]:
        """Return the labels of the test set that look like a misspelt one, each with the label that was meant."""
        counts, found = self.audit.labels.counts or {}, dict[str, str]()
        for label in () if self.audit.labels.apart else self.audit.labels.only_in_test:
            meant = nearest(label, counts)
            if meant is not None and _is_slip(label.casefold(), meant.casefold()):
                found[label] = meant
        return found

    def share(self, count: int, singular: str, several: str) -> str:
        """Return how many test examples, with the verb."""
        return f"{count:,} of {plural(len(self.test), 'test example')} {singular if count == 1 else several}"

    def removal(self, pairs: Sequence[tuple[int, int]]) -> str:
        """Return the advice to remove all training rows of these pairs."""
        rows = sorted({row for _, row in pairs})
        named = ", ".join(str(self.training.where(row)) for row in rows[:_REMOVED])
        more = f" and {len(rows) - _REMOVED:,} more; -v lists them" if len(rows) > _REMOVED else ""
        these = "this training row" if len(rows) == 1 else f"these {len(rows):,} training rows"
        return f"Remove {these} and train again: {named}{more}."

    def pairs(self, data: DataSet, pairs: Sequence[tuple[int, int]], sign: str, others: DataSet | None = None) -> str:
        """Return the first rows of a set with their counterparts in the ``others``, by default the training set.

        Of near pairs it is one, with its texts.
        """
        others = others or self.training
        place = others.row_name if data is others else others.where
        count = 1 if sign == "~" else _NAMED
        named = [f"{data.where(row)} {sign} {place(first)}" for row, first in pairs[:count]]
        if sign == "~" and pairs:
            (row, first), *_ = pairs
            texts = differing(data.examples[row].input, others.examples[first].input)
            named[0] += f" ({_quoted(texts[0])} and {_quoted(texts[1])})"
        return ", ".join(named) + _more(len(pairs), count)

    def each(self, remarks: Mapping[int, str]) -> str:
        """Return the first rows of the training set, each with its remark unless that is empty."""
        named = (
            f"{self.training.where(row)}{f' ({text})' if text else ''}" for row, text in islice(remarks.items(), _NAMED)
        )
        return ", ".join(named) + _more(len(remarks))

    def first_rows(self, data: DataSet, labels: Iterable[str]) -> dict[str, str]:
        """Return the place of the first row with each label."""
        wanted, found = set(labels), dict[str, str]()
        for row, example in enumerate(data):
            labels = labels_in(expected_text(example.expected).strip(), self.gate.deciding.separator) or ()
            found |= {label: str(data.where(row)) for label in labels if label in wanted and label not in found}
        return found


def _is_slip(label: str, meant: str) -> bool:
    """Return whether a label differs by its order, its separators, a plural or a few letters, but by no digits."""
    words = sorted(_WORDS.findall(label))
    if _DIGITS.findall(label) != _DIGITS.findall(meant) or not words:
        return False
    one, other = (text.removesuffix("s") or text for text in (label, meant))
    alike = difflib.SequenceMatcher(None, one, other).ratio() >= _MISSPELT
    return words == sorted(_WORDS.findall(meant)) or (alike and (one[0], one[-1]) == (other[0], other[-1]))


def _more(count: int, named: int = _NAMED) -> str:
    """Return how many of ``count`` are not named."""
    return f" and {count - named:,} more" if count > named else ""


def _quoted(label: str) -> str:
    return repr(printable(label, 60))


def _names(labels: Sequence[str], remarks: Mapping[str, str] | None = None) -> str:
    named = (
        _quoted(label) + (f" ({remarks[label]})" if remarks and label in remarks else "") for label in labels[:_NAMED]
    )
    return ", ".join(named) + _more(len(labels))


def _conflicts(a: _Audited, count: int) -> str:
    share = 100 * count / max(a.audit.filled, 1)
    limit = f" ({share:.1f} % of {plural(a.audit.filled, 'row')}, limit {100 / _MOST_CONFLICTS:g} %)"
    return (
        f"{plural(count, 'training row')} {'repeats' if count == 1 else 'repeat'} an input with a different output"
        f"{limit if a.gate.config.level('conflicts') == 'limit' else ''}: "
        f"{a.pairs(a.training, a.audit.conflict_rows, 'vs')}"
    )


def _near_duplicates(a: _Audited, count: int) -> str:
    return (
        f"{count:,} of {plural(a.audit.usable, 'usable row')} "
        f"{'is a near duplicate' if count == 1 else 'are near duplicates'} of an earlier row "
        f"({_NEAR}), {a.audit.distinct:,} {'is' if a.audit.distinct == 1 else 'are'} distinct"
        f"{f' ({a.needed:,} required)' if a.too_few_distinct else ''}: {a.pairs(a.training, a.audit.near_rows, '~')}"
    )


def _group_overlap(a: _Audited, count: int) -> str:
    shared = a.audit.shared_groups
    places = {name: f"{a.test.where(row)}, {a.training.where(other)}" for name, (row, other) in shared.items()}
    groups = f"{plural(len(shared), 'group')} that the training set has too: {_names(list(shared), places)}"
    return f"{a.share(count, 'belongs', 'belong')} to {groups}"


def _labels_missing(a: _Audited, _count: int) -> str:
    missing, rare = a.audit.labels.only_in_test, a.audit.labels.rare or {}
    if a.audit.labels.apart:
        first = " and ".join(f"{_quoted(one)} ({place})" for one, place in a.first_rows(a.test, missing[:2]).items())
        known = [*(a.audit.labels.counts or {})][:2]
        other = " and ".join(f"{_quoted(one)} ({place})" for one, place in a.first_rows(a.training, known).items())
        return f"no label of the test set is in the training set: {first} against {other}"
    parts = []
    if missing:
        places = a.first_rows(a.test, missing)
        for label, meant in a.misspelt.items():
            places[label] += f"; did you mean {_quoted(meant)}?"
        parts.append(f"no example of {_names(sorted(missing, key=lambda one: one not in a.misspelt), places)}")
        parts[0] += ", which the test set expects"
    if rare:
        parts.append(f"few examples of {_names(list(rare), {k: plural(n, 'row') for k, n in rare.items()})}")
    return f"the training set has {', and '.join(parts)}"


def _imbalance(a: _Audited, _count: int) -> str:
    counts = a.audit.labels.counts or {}
    most, rarest = next(iter(counts)), next(reversed(list(counts)))
    return (
        f"label imbalance {a.audit.labels.imbalance:.3g}x (limit {_MOST_IMBALANCE}x): {_quoted(most)} has "
        f"{plural(counts[most], 'training row')}, {_quoted(rarest)} has {counts[rarest]:,} "
        f"(first {a.first_rows(a.training, [rarest])[rarest]})"
    )


def _chat_format(a: _Audited, count: int) -> str:
    rows = a.audit.chat_errors
    kinds = Counter(rows.values())
    counted, alike = plural(count, "malformed training conversation"), len(kinds) == 1
    if alike or count > _NAMED:
        counted += f" ({', '.join(kind if alike else f'{n:,} {kind}' for kind, n in kinds.most_common())})"
    return f"{counted}: {a.each(dict.fromkeys(rows, '') if alike else rows)}"


FINDINGS: tuple[Finding, ...] = (
    Finding(
        "leaked",
        "fail",
        lambda a: a.audit.leaked,
        lambda a, n: f"{a.share(n, 'is', 'are')} also in the training set: {a.pairs(a.test, a.audit.leaked_rows, '=')}",
        lambda a: a.removal(a.audit.leaked_rows),
        fields=lambda a: {"required": 0, "source": a.gate.source("training_set")},
    ),
    Finding(
        "leaked_near",
        "fail",
        lambda a: a.audit.leaked_near,
        lambda a, n: (
            f"{a.share(n, 'has', 'have')} a near duplicate in the training set ({_NEAR}): "
            f"{a.pairs(a.test, a.audit.leaked_near_rows, '~')}"
        ),
        lambda a: a.removal(a.audit.leaked_near_rows),
        fields=lambda _: {"required": 0},
    ),
    Finding(
        "conflicts",
        "limit",
        lambda a: a.audit.conflicts,
        _conflicts,
        "Keep the correct output of each pair: contradictions teach the model to guess.",
        beyond=lambda a: a.audit.conflicts * _MOST_CONFLICTS > a.audit.filled,
    ),
    Finding(
        "near_duplicates",
        "limit",
        lambda a: len(a.audit.near_rows),
        _near_duplicates,
        "Replace them with different examples: a sentence with one word changed adds little.",
        beyond=lambda a: a.too_few_distinct,
        fields=lambda a: a.gate.requirement("min_training_examples") if a.too_few_distinct else {},
        rows=lambda a: a.audit.usable,
    ),
    Finding(
        "test_near_duplicates",
        "warn",
        lambda a: len({row for row, _ in a.audit.test_near_rows}),
        lambda a, n: (
            f"{plural(n, 'test example')} {'is a near duplicate' if n == 1 else 'are near duplicates'} of an earlier "
            f"one ({_NEAR}); copies count as one group: {a.pairs(a.test, a.audit.test_near_rows, '~', a.test)}"
        ),
        "Replace them with different examples: copies add no evidence.",
        rows=lambda a: len(a.test),
    ),
    Finding(
        "group_overlap",
        "warn",
        lambda a: a.audit.in_shared_groups,
        _group_overlap,
        "Split the data by group, so that all rows of a group are in one set.",
        rows=lambda a: len(a.test),
    ),
    Finding(
        "labels_missing",
        "warn",
        lambda a: len(a.audit.labels.only_in_test) + len(a.audit.labels.rare or {}),
        _labels_missing,
        lambda a: (
            "Write the labels alike in both sets."
            if a.audit.labels.apart
            else "Correct the labels that are misspelt."
            if a.misspelt
            else "Add training examples with these labels."
        ),
    ),
    Finding(
        "imbalance",
        "warn",
        lambda a: (a.audit.labels.imbalance or 0) > _MOST_IMBALANCE,
        _imbalance,
        "Add examples of the rare labels, or remove some of the frequent ones.",
        fields=lambda a: {"observed": a.audit.labels.imbalance, "required": _MOST_IMBALANCE},
    ),
    Finding(
        "empty_outputs",
        "warn",
        lambda a: len(a.audit.empty_outputs),
        lambda a, n: (
            f"{plural(n, 'training output')} {'is' if n == 1 else 'are'} empty: "
            f"{a.each(dict.fromkeys(a.audit.empty_outputs, ''))}"
        ),
        "Complete or remove these rows: they teach the model to say nothing.",
        rows=lambda a: a.audit.rows,
    ),
    Finding(
        "chat_format",
        "warn",
        lambda a: len(a.audit.chat_errors),
        _chat_format,
        "Put instructions first, then alternate user and assistant messages: chat templates reject or rewrite "
        "other orders.",
        rows=lambda a: a.audit.rows,
    ),
    Finding(
        "too_long",
        "warn",
        lambda a: len(a.long_rows),
        lambda a, n: (
            f"{plural(n, 'training row')} {'has' if n == 1 else 'have'} more than {a.max_tokens:,} tokens "
            f"(estimated as UTF-8 bytes / 4): "
            f"{a.each({row: f'about {tokens:,}' for row, tokens in a.long_rows.items()})}"
        ),
        "Shorten them, or set training_set.max_tokens to the limit of your trainer: most trainers truncate longer "
        "rows.",
        fields=lambda a: {
            "required": a.max_tokens,
            "threshold": Threshold("training_set.max_tokens", a.max_tokens),
        },
        rows=lambda a: a.audit.rows,
    ),
)
"""All findings, in the order in which reports show them; their levels and keys are those of ``config/checks.py``."""
