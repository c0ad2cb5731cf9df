"""The examples side by side: some as HTML, and all of them as data for the page's script."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_ftgate.reports.html.plots import Drawn
from pytest_ftgate.runs.answer_rows import Answers, Change, Reply, Row
from pytest_ftgate.text import plural, show_seconds

_PLAIN_ROWS = 200
_PLAIN_OTHERS = 20
_ORDER: tuple[Change, ...] = ("broken", "fixed", "wrong", "right", "same")
_WORDS = ("broken", "fixed", "both wrong", "both right", "the same")
_GRADED = ("worse", "better", "both poor", "both good", "the same")
_ALONE = ("broken", "fixed", "wrong", "right", "the same")
_FINISHES = {"refusal": "refused", "filtered": "filtered", "cut_off": "cut off", "missing": "no answer"}


@dataclass(frozen=True)
class Examples:
    """All examples of one gate, in the order of what is to be looked at first."""

    answers: Answers

    @property
    def alone(self) -> bool:
        """Whether there is no candidate."""
        return self.answers.candidate is None

    @cached_property
    def rows(self) -> Sequence[Row]:
        """What was broken, then what was fixed, then the others."""
        return sorted(self.answers.rows, key=lambda row: _ORDER.index(row.change))

    @cached_property
    def expected(self) -> bool:
        """Whether some example says what output is expected; else no row has a place for it."""
        return any(row.expected for row in self.answers.rows)

    @property
    def words(self) -> Mapping[Change, str]:
        """What each change is called."""
        words = _ALONE if self.alone else _GRADED if self.answers.graded else _WORDS
        return dict(zip(_ORDER, words, strict=True))

    @cached_property
    def counts(self) -> Mapping[Change, int]:
        """How many there are of each change; of those that there are."""
        found = Counter(row.change for row in self.answers.rows)
        return {change: found[change] for change in _ORDER if found[change]}

    @property
    def plain(self) -> Sequence[Row]:
        """Rows that are readable without a script: what was broken and fixed, up to a limit."""
        changed = self.counts.get("broken", 0) + self.counts.get("fixed", 0)
        return self.rows[: min(changed, _PLAIN_ROWS) or _PLAIN_OTHERS]

    @property
    def data(self) -> Drawn:
        """All rows as JSON that may stand in a ``<script>``: lists, since there may be many, and no ``<``."""
        rows = []
        for row in self.rows:
            candidate = None if row.candidate is None else self.reply(row.candidate)
            expected = row.expected if self.expected else None
            rows.append([row.id, row.input, expected, row.change, self.reply(row.baseline), candidate])
        text = json.dumps(rows, separators=(",", ":"), allow_nan=False)
        return Drawn(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))

    def reply(self, reply: Reply) -> tuple[str, str, str]:
        """Return an answer, ``right``, ``wrong`` or ``open``, and what there is to say of it."""
        mark = "open" if reply.right is None else "right" if reply.right else "wrong"
        said = [] if mark == "open" else [mark]
        said += [f"score {reply.score:.3g}"] if self.answers.graded or self.answers.repeats > 1 else []
        said += [_FINISHES[reply.finish]] if reply.finish in _FINISHES else []
        said += [show_seconds(reply.latency_s)] if reply.latency_s is not None else []
        said += [plural(reply.output_tokens, "token")] if reply.output_tokens is not None else []
        said += [reply.why] if reply.why is not None and mark != "right" else []
        return reply.text.strip() or "(empty)", mark, " · ".join(said)
