"""The rules for the training set: what was counted in, checks out. Pure; each finding names the rows it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.result import STATUS_AT, Check
from pytest_ftgate.text import plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.checks.training_set.audit import TrainingAudit
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import DataSet

MOST_USEFUL = 2_000
"""Beyond so many examples better ones help more than further ones."""

MOST_CONFLICTS = 100
"""One row in so many may contradict another before the gate fails."""

MOST_IMBALANCE = 10
"""Rows of the most frequent label by rows of the rarest."""

_SHOWN = 5


def check(gate: Context) -> list[Check]:
    """Check what the audit found. Findings that the gate ignores are left out, but for the two that always count."""
    rules = _Rules(gate.config, gate.audit, gate.training, gate.test)
    return [rules.usable(), rules.leaked(), *rules.findings()]


class _Rules:
    """The rules on one audit."""

    def __init__(self, config: GateKeys, audit: TrainingAudit, training: DataSet, test: DataSet) -> None:
        self._config, self._audit, self._training, self._test = config, audit, training, test
        self._levels = config.audit.levels

    def usable(self) -> Check:
        audit, needed = self._audit, self._config.min_training_examples
        held = audit.usable >= needed
        message = f"{plural(audit.usable, 'usable training example')}, {needed:,} needed"
        if audit.rows != audit.usable:
            left_out = [plural(audit.duplicates, "repeated input")] if audit.duplicates else []
            unusable = audit.rows - audit.usable - audit.duplicates
            left_out += [plural(unusable, "blank row")] if unusable else []
            message += f" ({audit.rows:,} rows, less {' and '.join(left_out)})"
        return Check(
            "min_training_examples",
            "pass" if held else STATUS_AT[self._levels["usable"]],
            message,
            observed=audit.usable,
            required=needed,
            source=str(self._config.sources["min_training_examples"]),
            advice=None
            if held
            else f"Write {plural(needed - audit.usable, 'more distinct example')}; "
            "with fewer, few-shot prompting is likely enough.",
            action="add_examples",
        )

    def leaked(self) -> Check:
        audit = self._audit
        if not audit.leaked:
            nearly = "" if audit.leaked_near_rows or self._levels["leaked_near"] == "ignore" else ", not even nearly"
            message = f"no test example stands in the training set{nearly}"
            return Check("leaked", "pass", message, observed=0, required=0)
        return Check(
            "leaked",
            STATUS_AT[self._levels["leaked"]],
            f"{audit.leaked:,} of {plural(len(self._test), 'test example')} "
            f"{'stands' if audit.leaked == 1 else 'stand'} in the training set: "
            f"{self._pairs(self._test, audit.leaked_rows, '=')}",
            observed=audit.leaked,
            required=0,
            source=str(self._config.sources["training_set"]),
            advice="Take them out of the training set and train again: a model is not tested on what it was taught.",
            action="fix_data",
        )

    def findings(self) -> Iterator[Check]:
        """Yield the findings that are there."""
        yield from self._leaked_near()
        yield from self._conflicts()
        yield from self._near_duplicates()
        yield from self._labels_missing()
        yield from self._labels_untested()
        yield from self._imbalance()
        yield from self._rows(
            "truncated",
            self._audit.unfinished,
            "output",
            "unfinished",
            "Complete or remove these rows: a model that is taught to stop early stops early.",
        )
        yield from self._rows(
            "chat_format",
            self._audit.chat_errors,
            "conversation",
            "not in order",
            "Instructions come first, then user and assistant in turn: a chat template refuses or mends what does not.",
        )
        yield from self._too_long()
        yield from self._doubts()
        yield from self._size()
        yield from self._loosened()

    # --- what the training set shares with itself and the test set ---------------------------------------------

    def _leaked_near(self) -> Iterator[Check]:
        pairs = self._audit.leaked_near_rows
        yield from self._finding(
            "leaked_near",
            len(pairs),
            f"{len(pairs):,} of {plural(len(self._test), 'test example')} "
            f"{'has' if len(pairs) == 1 else 'have'} a near copy in the training set ({_near()}): "
            f"{self._pairs(self._test, pairs, '~')}",
            "Take the near copies out of the training set and train again; where they are different questions, say so: "
            "audit: {leaked_near: warn}.",
            required=0,
        )

    def _conflicts(self) -> Iterator[Check]:
        audit = self._audit
        too_many = audit.conflicts * MOST_CONFLICTS > audit.filled
        share = 100 * audit.conflicts / max(audit.filled, 1)
        pairs = self._pairs(self._training, audit.conflict_rows, "against")
        limit = f" ({share:.1f} % of {plural(audit.filled, 'row')}, at most {100 / MOST_CONFLICTS:g} % is tolerated)"
        yield from self._finding(
            "conflicts",
            audit.conflicts,
            f"{plural(audit.conflicts, 'training row')} {'repeats' if audit.conflicts == 1 else 'repeat'} an input "
            f"with another output{limit if self._levels['conflicts'] == 'limit' else ''}: {pairs}",
            "Decide which output is right: contradictions teach the model to guess.",
            beyond=too_many,
        )

    def _near_duplicates(self) -> Iterator[Check]:
        audit, needed = self._audit, self._config.min_training_examples
        count = len(audit.near_rows)
        too_few = audit.distinct < needed <= audit.usable
        pairs = self._pairs(self._training, audit.near_rows, "~")
        yield from self._finding(
            "near_duplicates",
            count,
            f"{count:,} of {plural(audit.usable, 'usable row')} "
            f"{'is a near copy' if count == 1 else 'are near copies'} of an earlier one "
            f"({_near()}): without them {audit.distinct:,} are left"
            f"{f', {needed:,} needed' if too_few else ''}: {pairs}",
            "Write other examples in their place: a sentence with one word changed teaches nothing new.",
            beyond=too_few,
            required=needed if too_few else None,
        )

    # --- labels ------------------------------------------------------------------------------------------------

    def _labels_missing(self) -> Iterator[Check]:
        labels = self._audit.labels
        rare = labels.rare or {}
        parts = []
        if labels.only_in_test:
            names = _names(labels.only_in_test, self._first_rows(self._test, labels.only_in_test))
            parts.append(f"no example of {names}, which the test set expects")
        if rare:
            names = _names(
                list(rare), {label: f"{count:,} rows" if count > 1 else "1 row" for label, count in rare.items()}
            )
            parts.append(f"hardly any of {names}")
        yield from self._finding(
            "labels_missing",
            len(labels.only_in_test) + len(rare),
            f"the training set has {', and '.join(parts)}",
            "Add training examples of these labels.",
        )

    def _labels_untested(self) -> Iterator[Check]:
        labels = self._audit.labels.only_in_training
        if labels:
            yield Check(
                "labels_untested",
                "note",
                f"the test set has no example of {_names(labels)}, which the training set teaches",
                observed=len(labels),
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
            f"label {_quoted(most)} has {plural(counts[most], 'training row')}, {_quoted(rarest)} has "
            f"{counts[rarest]:,} ({where}): {ratio:.3g} times as many, more than {MOST_IMBALANCE} is out of balance",
            "Add examples of the rare labels, or leave out some of the frequent ones.",
            observed=ratio,
            required=MOST_IMBALANCE,
        )

    def _doubts(self) -> Iterator[Check]:
        doubts = self._audit.doubts
        if not doubts.rows:
            return
        told = self._each(
            {row: f"{_quoted(self._output(row))}, they say {_quoted(label)}" for row, label in doubts.rows}
        )
        count = len(doubts.rows)
        looked = "" if doubts.compared == self._audit.usable else f" of {doubts.compared:,} that were compared"
        yield Check(
            "label_quality",
            "note",
            f"{plural(count, 'training row')}{looked}: all 5 nearest rows carry one other label: {told}",
            observed=count,
            advice="Look at these first: their labels may be wrong.",
        )

    # --- rows --------------------------------------------------------------------------------------------------

    def _rows(self, name: str, rows: Mapping[int, str], noun: str, what: str, advice: str) -> Iterator[Check]:
        kinds = Counter(rows.values())
        of_kind = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()) if len(rows) > _SHOWN else ""
        yield from self._finding(
            name,
            len(rows),
            f"{plural(len(rows), noun)} of the training set {'is' if len(rows) == 1 else 'are'} {what}"
            f"{f' ({of_kind})' if of_kind else ''}: {self._each(rows)}",
            advice,
        )

    def _too_long(self) -> Iterator[Check]:
        rows, limit = self._audit.long_rows, self._config.audit.max_tokens
        told = self._each({row: f"about {tokens:,}" for row, tokens in rows.items()})
        yield from self._finding(
            "too_long",
            len(rows),
            f"{plural(len(rows), 'training row')} {'has' if len(rows) == 1 else 'have'} more than {limit:,} tokens "
            f"(estimated as UTF-8 bytes / 4): {told}",
            "Shorten them, or say what your training takes: audit: {max_tokens: N}. Most trainers cut what is longer.",
            required=limit,
        )

    def _size(self) -> Iterator[Check]:
        if self._audit.usable > MOST_USEFUL:
            yield Check(
                "training_size",
                "note",
                f"{self._audit.usable:,} usable training examples, more than {MOST_USEFUL:,}: "
                "quality beats quantity, better examples help more than further ones",
                observed=self._audit.usable,
            )

    # --- what the gate makes of a finding ----------------------------------------------------------------------

    def _loosened(self) -> Iterator[Check]:
        """Yield a warning of findings that should fail and do not, in every run, whether they are there or not."""
        loosened = self._config.audit.loosened
        if loosened:
            told = ", ".join(f"{name}: {level}" for name, level in loosened.items())
            yield Check(
                "audit",
                "warning",
                f"the training audit is loosened: {told}",
                observed=len(loosened),
                source=str(self._config.sources["audit"]),
                advice="Look whether that is meant: what it would have failed passes.",
            )

    def _finding(
        self,
        name: str,
        count: int,
        message: str,
        advice: str,
        *,
        beyond: bool = False,
        observed: float | None = None,
        required: int | None = None,
    ) -> Iterator[Check]:
        """Yield the check of a finding that is there and not ignored. ``beyond``: it passes its own limit."""
        level = self._levels[name]
        if not count or level == "ignore":
            return
        if level == "limit":
            level = "fail" if beyond else "warn"
        yield Check(
            name,
            STATUS_AT[level],
            message,
            observed=count if observed is None else observed,
            required=required,
            source=str(self._config.sources["audit"]) if level == "fail" else None,
            advice=advice,
            action="fix_data" if level == "fail" else None,
        )

    # --- words -------------------------------------------------------------------------------------------------

    def _pairs(self, data: DataSet, pairs: Sequence[tuple[int, int]], sign: str) -> str:
        """Return rows of a set, each with its counterpart in the training set."""
        shown = (
            f"{_place(data, row, number)} {sign} {_place(self._training, first, number)}"
            for number, (row, first) in enumerate(pairs[:_SHOWN])
        )
        return ", ".join(shown) + _more(len(pairs))

    def _each(self, remarks: Mapping[int, str]) -> str:
        """Return rows of the training set, each with a remark."""
        shown = (
            f"{_place(self._training, row, number)} ({remarks[row]})"
            for number, row in enumerate(list(remarks)[:_SHOWN])
        )
        return ", ".join(shown) + _more(len(remarks))

    def _output(self, row: int) -> str:
        from pytest_ftgate.data import expected_text

        return expected_text(self._training.examples[row].expected).strip()

    def _first_rows(self, data: DataSet, labels: Iterable[str]) -> dict[str, str]:
        """Return where each label stands first."""
        from pytest_ftgate.data import expected_text

        wanted, found = set(labels), dict[str, str]()
        for row, example in enumerate(data):
            label = expected_text(example.expected).strip()
            if label in wanted and label not in found:
                found[label] = str(data.where(row))
        return found


def _near() -> str:
    """Return the published measure and its threshold, in words."""
    from pytest_ftgate.checks.training_set.near import NEAR
    from pytest_ftgate.checks.training_set.wording import SHINGLE

    return f"resemblance of {SHINGLE}-character shingles at least {NEAR:g}"


def _place(data: DataSet, row: int, number: int) -> str:
    """Return where a row stands; the first of several with its file, the others without."""
    return str(data.where(row)) if number == 0 else data.row_name(row)


def _more(count: int) -> str:
    return ", ..." if count > _SHOWN else ""


def _quoted(label: str) -> str:
    return repr(printable(label, 60))


def _names(labels: Sequence[str], remarks: Mapping[str, str] | None = None) -> str:
    shown = ", ".join(
        _quoted(label) + (f" ({remarks[label]})" if remarks and label in remarks else "") for label in labels[:_SHOWN]
    )
    return shown + (f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
