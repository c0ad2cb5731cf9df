"""Turn the findings of the training audit into checks. Each check names the rows that it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.audit.near import NEAR
from pytest_ftgate.checks.audit.wording import differing
from pytest_ftgate.config.checks import CHANGEABLE
from pytest_ftgate.config.data import max_tokens
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import Action, Check, Status, Threshold
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import DataSet

MOST_CONFLICTS = 100
"""The gate fails if more than one row in this many contradicts an earlier one."""

MOST_IMBALANCE = 10
"""Highest ratio of the rows of the most frequent label to those of the rarest that is not reported."""

_NEAR = f"at least {100 * NEAR:g} % similar text"
_NAMED = 3
"""Rows, pairs or labels that a message names; the rest is counted."""

_REMOVED = 5
"""Rows to remove that an advice names."""


def check(gate: Context) -> list[Check]:
    """Return the checks of the audit: usable examples and leaks always, other findings where there are any."""
    rules = _Rules(gate)
    return [rules.usable(), rules.leaked(), *rules.findings()]


class _Rules:
    """The checks of one audit."""

    def __init__(self, gate: Context) -> None:
        self._gate, self._audit, self._training, self._test = gate, gate.audit, gate.training, gate.test

    def usable(self) -> Check:
        """Check that there are enough usable training examples."""
        audit, needed = self._audit, self._gate.config.min_training_examples
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
            **self._gate.requirement("min_training_examples"),
            advice=None
            if enough
            else f"Add {plural(needed - audit.usable, 'distinct example')}; "
            "with fewer, few-shot prompting is probably enough.",
            action="add_examples",
        )

    def leaked(self) -> Check:
        """Check that no test example is in the training set."""
        audit = self._audit
        if not audit.leaked:
            exact_only = audit.leaked_near_rows or self._gate.config.level("leaked_near") == "ignore"
            kind = "exact" if exact_only else "exact or near"
            message = f"no {kind} duplicate of a test example in the training set"
            return Check("leaked", "pass", message, observed=0, required=0)
        return Check(
            "leaked",
            "fail",
            f"{audit.leaked:,} of {plural(len(self._test), 'test example')} "
            f"{'is' if audit.leaked == 1 else 'are'} also in the training set: "
            f"{self._pairs(self._test, audit.leaked_rows, '=')}",
            observed=audit.leaked,
            required=0,
            source=self._gate.source("training_set"),
            advice=self._removal(audit.leaked_rows),
            action="fix_data",
        )

    def findings(self) -> Iterator[Check]:
        """Yield a check for each kind of finding."""
        yield from self._leaked_near()
        yield from self._conflicts()
        yield from self._near_duplicates()
        yield from self._test_near_duplicates()
        yield from self._group_overlap()
        yield from self._labels_missing()
        yield from self._imbalance()
        yield from self._empty_outputs()
        yield from self._chat_format()
        yield from self._too_long()

    # --- duplicates ---------------------------------------------------------------------------------------------

    def _leaked_near(self) -> Iterator[Check]:
        pairs, count = self._audit.leaked_near_rows, self._audit.leaked_near
        accepted = self._gate.config.accepts("leaked_near")
        accept = "" if accepted else " If they are no copies, write checks: {leaked_near: warn}."
        yield from self._finding(
            "leaked_near",
            count,
            f"{count:,} of {plural(len(self._test), 'test example')} "
            f"{'has' if count == 1 else 'have'} a near duplicate in the training set ({_NEAR}): "
            f"{self._pairs(self._test, pairs, '~')}",
            self._removal(pairs) + accept,
            required=0,
        )

    def _removal(self, pairs: Sequence[tuple[int, int]]) -> str:
        """Return the advice to remove all training rows of these pairs."""
        rows = sorted({row for _, row in pairs})
        named = ", ".join(str(self._training.where(row)) for row in rows[:_REMOVED])
        more = f" and {len(rows) - _REMOVED:,} more; -v lists them" if len(rows) > _REMOVED else ""
        these = "this training row" if len(rows) == 1 else f"these {len(rows):,} training rows"
        return f"Remove {these} and train again: {named}{more}."

    def _conflicts(self) -> Iterator[Check]:
        audit = self._audit
        too_many = audit.conflicts * MOST_CONFLICTS > audit.filled
        share = 100 * audit.conflicts / max(audit.filled, 1)
        pairs = self._pairs(self._training, audit.conflict_rows, "vs")
        limit = f" ({share:.1f} % of {plural(audit.filled, 'row')}, limit {100 / MOST_CONFLICTS:g} %)"
        yield from self._finding(
            "conflicts",
            audit.conflicts,
            f"{plural(audit.conflicts, 'training row')} {'repeats' if audit.conflicts == 1 else 'repeat'} an input "
            f"with a different output{limit if self._gate.config.level('conflicts') == 'limit' else ''}: {pairs}",
            "Keep the correct output of each pair: contradictions teach the model to guess.",
            beyond=too_many,
        )

    def _near_duplicates(self) -> Iterator[Check]:
        audit, needed = self._audit, self._gate.config.min_training_examples
        count = len(audit.near_rows)
        too_few = audit.distinct < needed <= audit.usable
        pairs = self._pairs(self._training, audit.near_rows, "~")
        yield from self._finding(
            "near_duplicates",
            count,
            f"{count:,} of {plural(audit.usable, 'usable row')} "
            f"{'is a near duplicate' if count == 1 else 'are near duplicates'} of an earlier row "
            f"({_NEAR}), {audit.distinct:,} {'is' if audit.distinct == 1 else 'are'} distinct"
            f"{f' ({needed:,} required)' if too_few else ''}: {pairs}",
            "Replace them with different examples: a sentence with one word changed adds little.",
            beyond=too_few,
            **(self._gate.requirement("min_training_examples") if too_few else {}),
        )

    def _test_near_duplicates(self) -> Iterator[Check]:
        pairs = self._audit.test_near_rows
        count = len({row for row, _ in pairs})
        what = "is a near duplicate" if count == 1 else "are near duplicates"
        yield from self._finding(
            "test_near_duplicates",
            count,
            f"{plural(count, 'test example')} {what} of an earlier one ({_NEAR}); copies count as one group: "
            f"{self._pairs(self._test, pairs, '~', self._test)}",
            "Replace them with different examples: copies add no evidence.",
        )

    def _group_overlap(self) -> Iterator[Check]:
        shared, count = self._audit.shared_groups, self._audit.in_shared_groups
        places = {
            name: f"{self._test.where(row)}, {self._training.where(other)}" for name, (row, other) in shared.items()
        }
        yield from self._finding(
            "group_overlap",
            count,
            f"{count:,} of {plural(len(self._test), 'test example')} {'belongs' if count == 1 else 'belong'} to "
            f"{plural(len(shared), 'group')} that the training set has too: {_names(list(shared), places)}",
            "Split the data by group, so that all rows of a group are in one set.",
        )

    # --- labels ------------------------------------------------------------------------------------------------

    def _labels_missing(self) -> Iterator[Check]:
        labels = self._audit.labels
        rare = labels.rare or {}
        parts = []
        if labels.only_in_test:
            places = self._first_rows(self._test, labels.only_in_test)
            parts.append(f"no example of {_names(labels.only_in_test, places)}, which the test set expects")
        if rare:
            parts.append(f"few examples of {_names(list(rare), {k: plural(n, 'row') for k, n in rare.items()})}")
        yield from self._finding(
            "labels_missing",
            len(labels.only_in_test) + len(rare),
            f"the training set has {', and '.join(parts)}",
            "Add training examples with these labels.",
        )

    def _imbalance(self) -> Iterator[Check]:
        ratio = self._audit.labels.imbalance
        if ratio is None or ratio <= MOST_IMBALANCE:
            return
        counts = self._audit.labels.counts or {}
        most, rarest = next(iter(counts)), next(reversed(list(counts)))
        where = self._first_rows(self._training, [rarest])[rarest]
        yield from self._finding(
            "imbalance",
            1,
            f"label imbalance {ratio:.3g}x (limit {MOST_IMBALANCE}x): {_quoted(most)} has "
            f"{plural(counts[most], 'training row')}, {_quoted(rarest)} has {counts[rarest]:,} (first {where})",
            "Add examples of the rare labels, or remove some of the frequent ones.",
            observed=ratio,
            required=MOST_IMBALANCE,
        )

    # --- rows --------------------------------------------------------------------------------------------------

    def _empty_outputs(self) -> Iterator[Check]:
        rows = self._audit.empty_outputs
        yield from self._finding(
            "empty_outputs",
            len(rows),
            f"{plural(len(rows), 'training output')} {'is' if len(rows) == 1 else 'are'} empty: "
            f"{self._each(dict.fromkeys(rows, ''))}",
            "Complete or remove these rows: they teach the model to say nothing.",
        )

    def _chat_format(self) -> Iterator[Check]:
        rows = self._audit.chat_errors
        kinds = Counter(rows.values())
        counted, alike = plural(len(rows), "malformed training conversation"), len(kinds) == 1
        if alike or len(rows) > _NAMED:
            counted += f" ({', '.join(kind if alike else f'{n:,} {kind}' for kind, n in kinds.most_common())})"
        yield from self._finding(
            "chat_format",
            len(rows),
            f"{counted}: {self._each(dict.fromkeys(rows, '') if alike else rows)}",
            "Put instructions first, then alternate user and assistant messages: chat templates reject or rewrite "
            "other orders.",
        )

    def _too_long(self) -> Iterator[Check]:
        rows, limit = self._audit.long_rows, max_tokens(self._gate.config.training_set)
        named = self._each({row: f"about {tokens:,}" for row, tokens in rows.items()})
        yield from self._finding(
            "too_long",
            len(rows),
            f"{plural(len(rows), 'training row')} {'has' if len(rows) == 1 else 'have'} more than {limit:,} tokens "
            f"(estimated as UTF-8 bytes / 4): {named}",
            "Shorten them, or set training_set.max_tokens to the limit of your trainer: most trainers truncate longer "
            "rows.",
            required=limit,
            threshold=Threshold("training_set.max_tokens", limit),
        )

    def _finding(
        self, name: str, count: int, message: str, advice: str, *, beyond: bool = False, **fields: Any
    ) -> Iterator[Check]:
        """Yield the check of a finding unless ``count`` is 0; ``beyond``: it exceeds a built-in limit."""
        if not count:
            return
        status: Status = "fail" if beyond or CHANGEABLE[name].default == "fail" else "warning"
        action: Action | None = "fix_data" if self._gate.config.level(name) == "fail" or beyond else None
        yield Check(name, status, message, **{"observed": count, **fields}, advice=advice, action=action)

    # --- text ---------------------------------------------------------------------------------------------------

    def _pairs(self, data: DataSet, pairs: Sequence[tuple[int, int]], sign: str, others: DataSet | None = None) -> str:
        """Return the first rows of a set with their counterparts in the ``others``, by default the training set.

        Of near pairs it is one, with its texts.
        """
        others = others or self._training
        place = others.row_name if data is others else others.where
        count = 1 if sign == "~" else _NAMED
        named = [f"{data.where(row)} {sign} {place(first)}" for row, first in pairs[:count]]
        if sign == "~" and pairs:
            (row, first), *_ = pairs
            texts = differing(data.examples[row].input, others.examples[first].input)
            named[0] += f" ({_quoted(texts[0])} and {_quoted(texts[1])})"
        return ", ".join(named) + _more(len(pairs), count)

    def _each(self, remarks: Mapping[int, str]) -> str:
        """Return the first rows of the training set, each with its remark unless that is empty."""
        named = (
            f"{self._training.where(row)}{f' ({text})' if text else ''}"
            for row, text in islice(remarks.items(), _NAMED)
        )
        return ", ".join(named) + _more(len(remarks))

    def _first_rows(self, data: DataSet, labels: Iterable[str]) -> dict[str, str]:
        """Return the place of the first row with each label."""
        wanted, found = set(labels), dict[str, str]()
        for row, example in enumerate(data):
            label = expected_text(example.expected).strip()
            if label in wanted and label not in found:
                found[label] = str(data.where(row))
        return found


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
