"""The examples side by side: some as HTML, and all of them as data for the page's script."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from pytest_ftgate.reports.html.plots import Drawn
from pytest_ftgate.runs.answer_rows import Answers, Change, Reply, Row
from pytest_ftgate.text import plural, show_seconds

_PLAIN_ROWS = 200
_PLAIN_OTHERS = 20
_ORDER: tuple[Change, ...] = ("broken", "fixed", "wrong", "right", "same")
_WORDS: dict[Change, str] = {
    "broken": "broken",
    "fixed": "fixed",
    "wrong": "both wrong",
    "right": "both right",
    "same": "the same",
}
_GRADED: dict[Change, str] = {
    "broken": "worse",
    "fixed": "better",
    "wrong": "both poor",
    "right": "both good",
    "same": "the same",
}
_ALONE: dict[Change, str] = {**_WORDS, "wrong": "wrong", "right": "right"}
_FINISHES = {"refusal": "refused", "filtered": "filtered", "cut_off": "cut off", "missing": "no answer"}


@dataclass(frozen=True)
class Shown:
    """An answer as it is shown: ``mark`` is ``right``, ``wrong`` or ``open``, ``said`` what there is to say of it."""

    text: str
    mark: str
    said: str


@dataclass(frozen=True)
class ShownRow:
    """An example as it is shown."""

    id: str
    input: str
    expected: str | None
    change: Change
    baseline: Shown
    candidate: Shown | None


@dataclass(frozen=True)
class Examples:
    """All examples of one gate.

    Attributes:
        counts: what there is, as ``(change, its words, how many)``.
        plain: the rows that are readable without a script: what was broken and fixed, up to a limit.
        data: all rows as JSON that may stand in a ``<script>``.
        total: how many there are.
        expected: some example says what output is expected; else no row has a place for it.
        labels: the expected outputs are labels.
        repeats: answers of each model to an example, of which the first is shown.
        alone: there is no candidate.
    """

    counts: tuple[tuple[Change, str, int], ...]
    plain: tuple[ShownRow, ...]
    data: Drawn
    total: int
    expected: bool
    labels: bool
    repeats: int
    alone: bool


def examples_of(answers: Answers) -> Examples:
    """In the order of what is to be looked at first."""
    words = _ALONE if answers.candidate is None else _GRADED if answers.graded else _WORDS
    found = Counter(row.change for row in answers.rows)
    rows = sorted(answers.rows, key=lambda row: _ORDER.index(row.change))
    numbers = answers.graded or answers.repeats > 1
    expected = any(row.expected for row in rows)
    shown = [_shown(row, numbers=numbers, expected=expected) for row in rows]
    changed = found["broken"] + found["fixed"]
    return Examples(
        counts=tuple((change, words[change], found[change]) for change in _ORDER if found[change]),
        plain=tuple(shown[: min(changed, _PLAIN_ROWS) or _PLAIN_OTHERS]),
        data=_data(shown),
        total=len(rows),
        expected=expected,
        labels=bool(answers.labels),
        repeats=answers.repeats,
        alone=answers.candidate is None,
    )


def _shown(row: Row, *, numbers: bool, expected: bool) -> ShownRow:
    return ShownRow(
        row.id,
        row.input,
        row.expected if expected else None,
        row.change,
        _reply(row.baseline, numbers=numbers),
        _reply(row.candidate, numbers=numbers) if row.candidate is not None else None,
    )


def _reply(reply: Reply, *, numbers: bool) -> Shown:
    mark = "open" if reply.right is None else "right" if reply.right else "wrong"
    said = [] if mark == "open" else [mark]
    said += [f"score {reply.score:.3g}"] if numbers else []
    said += [_FINISHES[reply.finish]] if reply.finish in _FINISHES else []
    said += [show_seconds(reply.latency_s)] if reply.latency_s is not None else []
    said += [plural(reply.output_tokens, "token")] if reply.output_tokens is not None else []
    said += [reply.why] if reply.why is not None and mark != "right" else []
    return Shown(reply.text.strip() or "(empty)", mark, " · ".join(said))


def _data(rows: list[ShownRow]) -> Drawn:
    """Lists in place of objects, since there may be many; ``<`` is written so that no answer can end the script."""
    plain = [
        [row.id, row.input, row.expected, row.change, *(
            [one.text, one.mark, one.said] if one is not None else None for one in (row.baseline, row.candidate)
        )]
        for row in rows
    ]  # fmt: skip
    text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    return Drawn(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
