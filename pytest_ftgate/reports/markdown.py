"""A session as Markdown, for a pull request or a job summary: the verdicts open, the details folded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.table import Table
from pytest_ftgate.reports.text import breakdown_lines, economics_lines
from pytest_ftgate.result import GateResult, Session
from pytest_ftgate.text import plural, printable

MOST_BYTES = 60_000
"""Of a report. A comment on GitHub takes 65,536 characters, and a user may want to write a word before it."""

_SYMBOLS = {"pass": "✅", "fail": "❌", "inconclusive": "❓", "error": "⛔", "warning": "⚠️", "note": "ℹ️"}
_RED = ("error", "fail", "inconclusive")
_NAME_WIDTH = 200
_CELL_WIDTH = 500
_OBLIGATIONS_SHOWN = 30
_ROWS_SHOWN = 50

# Hosts look for people, issues and links in the text that is shown, so that escaping alone does not hide them: a space
# of no width breaks them apart. They look for none within <code> and <pre>.
_REFERENCE = re.compile(
    r"[@#](?=\w)|[!&](?=\d)|[~%](?=[\w\"'])|:(?=//)|:(?=[\w+-]+:)|\bwww(?=\.)|\bGH(?=-\d)|\bmailto(?=:)|\bxmpp(?=:)",
    re.IGNORECASE,
)
_BREAK = "\u200b"
_BEGINS_A_BLOCK = re.compile(r"^(\d*)([-+.)=/])")
_LONE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {ord(char): f"&#{ord(char)};" for char in f"\\`*[]<>|~&$#@^{_BREAK}"}


class _Part(NamedTuple):
    """One gate: what is always said, and what is folded."""

    red: bool
    open: str
    folded: str


def document(results: Iterable[GateResult], session: Session, *, most_bytes: int = MOST_BYTES) -> str:
    """All gates, the red ones first, in at most so many bytes of UTF-8.

    Where that is too long, the folded details of green gates are left out first, then those of red ones, then whole
    gates, and a sentence says so.
    """
    known = sorted(results, key=lambda result: result.passed)
    head = "\n".join(_head(known, session)) + "\n"
    parts = [
        _Part(
            not one.passed, "".join(f"{line}\n" for line in _open(one)), "".join(f"{line}\n" for line in _folded(one))
        )
        for one in known
    ]
    full, shown = _fitted(parts, most_bytes - _size(head) - _size(_left_out(parts, set(), set())) - 1)
    text = head + "".join(f"{one.open}{one.folded if i in full else ''}" for i, one in enumerate(parts) if i in shown)
    if len(full) < len(parts):
        text += _left_out(parts, full, shown)
    return _cut(text, most_bytes)


def _fitted(parts: Sequence[_Part], most_bytes: int) -> tuple[set[int], set[int]]:
    """The gates shown in full, and those shown at all; what is of least use goes first."""
    full, shown = set(range(len(parts))), set(range(len(parts)))
    size = sum(_size(part.open + part.folded) for part in parts)
    dispensable = sorted(range(len(parts)), key=lambda index: (parts[index].red, -index))
    for kept, sizes in ((full, [_size(one.folded) for one in parts]), (shown, [_size(one.open) for one in parts])):
        for index in dispensable:
            if size <= most_bytes:
                return full, shown
            kept.discard(index)
            size -= sizes[index]
    return full, shown


def _left_out(parts: Sequence[_Part], full: set[int], shown: set[int]) -> str:
    missing = [part for index, part in enumerate(parts) if index not in shown]
    text = f"\nThis report would be too long: the details of {plural(len(parts) - len(full), 'gate')} are left out"
    if missing:
        red = sum(part.red for part in missing)
        text += f", and {plural(len(missing), 'gate')} altogether, {red:,} of which did not pass"
    return f"{text}. The JSON report has all.\n"


def _cut(text: str, most_bytes: int) -> str:
    """The last resort, where even the head is too long."""
    if _size(text) <= most_bytes:
        return text
    note = "\n\nThis report is cut off here: it would be too long. The JSON report has all.\n"
    kept = text.encode()[: max(most_bytes - _size(note), 0)].decode(errors="ignore")
    return kept.rpartition("\n")[0] + note if most_bytes >= _size(note) else ""


def _size(text: str) -> int:
    return len(text.encode())


def _head(results: Sequence[GateResult], session: Session) -> Iterator[str]:
    passed = sum(result.passed for result in results)
    green = passed == len(results) and not (session.unjudged and not session.partial)
    told = f"{passed:,} of {plural(len(results), 'gate')} passed" if results else "no gate was judged"
    yield f"## {_SYMBOLS['pass' if green and results else 'fail']} ftgate: {told}"
    yield ""
    if session.partial:
        yield f"- {_SYMBOLS['warning']} `--ftgate-partial`: required gates are listed here, and not enforced"
    symbol = _SYMBOLS["warning" if session.partial else "fail"]
    for name, reason in session.unjudged[:_OBLIGATIONS_SHOWN]:
        yield f"- {symbol} required gate **{_text(name, _NAME_WIDTH)}** was not met: {_text(reason)}"
    if len(session.unjudged) > _OBLIGATIONS_SHOWN:
        yield f"- {symbol} and {len(session.unjudged) - _OBLIGATIONS_SHOWN:,} more required gates"
    yield from (f"- {_SYMBOLS['warning']} {_item(sentence)}" for sentence in session.removed[:_OBLIGATIONS_SHOWN])
    yield from (f"- {_item(remark)}" for remark in session.remarks[:_OBLIGATIONS_SHOWN])


def _open(result: GateResult) -> Iterator[str]:
    places = [place for place in (result.nodeid, result.location) if place and place != result.name]
    yield from ("", f"### {_SYMBOLS[result.verdict]} {_text(result.name, _NAME_WIDTH)}: {result.verdict.upper()}", "")
    yield from (_sentence(result), "", " at ".join(f"<code>{_text(place)}</code>" for place in places), "")
    if result.hypothesis:
        yield from (f"Hypothesis: {_text(result.hypothesis)}", "")
    yield from _table(tables.models(result))
    if result.candidates:
        yield from (f"- {_item(sentences.candidate_sentence(result, one))}" for one in result.candidates)
        yield ""
    yield from _not_held(result)
    yield from _advice(result)


def _sentence(result: GateResult) -> str:
    """What a reader needs, who reads one sentence."""
    gained = _text("; ".join(sentences.gain_sentences(result)))
    if not result.passed:
        return f"**{_text(sentences.reason(result))}**" + (f"\n\n{gained}" if gained else "")
    if result.stage == "ready":
        return f"**{sentences.stage_sentence(result)}**"
    return f"**{gained}**" if gained else "**passed**"


def _not_held(result: GateResult) -> Iterator[str]:
    """What does not hold, each with what to do; and warnings, which nobody looks for in what is folded."""
    open_ = [check for check in result.checks if check.status in (*_RED, "warning")]
    for check in sorted(open_, key=lambda check: (*_RED, "warning").index(check.status)):
        found = f"{_SYMBOLS[check.status]} {check.status}: **{_text(check.name)}**"
        yield f"- {found}: {_text(tables.with_source(check))}"
        if check.advice:
            yield f"  - {_item(check.advice)}"
    if open_:
        yield ""


def _advice(result: GateResult) -> Iterator[str]:
    shown = most_to_try(result)
    if shown:
        yield from ("What to do, in this order:", "")
        for number, one in enumerate(shown, start=1):
            action = _text(one.action.replace("_", " "))
            yield f"{number}. **{action}**: {_text(one.text)}<br>because {_text(one.fact)}"
        yield ""


def _folded(result: GateResult) -> Iterator[str]:
    checks = tables.checks(result, _SYMBOLS)
    yield from _fold(checks.title, _table(checks))
    for what in (tables.guards, tables.slices, tables.labels):
        part = what(result)
        if part:
            yield from _fold(plural(len(part.rows), part.columns[0].heading), _table(part))
    yield from _told("what the metrics are made of", breakdown_lines(result, full=True))
    yield from _told("judges", sentences.judge_sentences(result))
    yield from _told("economics", economics_lines(result.economics) if result.economics is not None else ())
    yield from _told("earlier runs", sentences.clock_sentences(result, full=True))
    broken = tables.broken(result)
    if broken:
        yield from _fold(broken.title, _table(broken))
    yield from _told("mistakes", sentences.mistake_sentences(result, full=True))
    age = sentences.age_sentence(result)
    ground = (
        *sentences.method_sentences(result),
        *sentences.price_sentences(result),
        *(() if age is None else (age,)),
        *sentences.job_sentences(result),
        *sentences.data_sentences(result),
    )
    yield from _told("method and data", ground)


def _told(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines that keep their columns, folded; nothing without lines."""
    kept = [printable(line) for line in lines]
    if kept:
        yield from _fold(title, ["<pre>" + "\n".join(map(_entities, kept)) + "</pre>", ""])


def _fold(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("<details>", f"<summary>{_text(title)}</summary>", "")
    yield from lines
    yield from ("</details>", "")


def _table(table: Table) -> Iterator[str]:
    """Its first rows; nothing without rows."""
    if not table:
        return
    yield _row([column.heading for column in table.columns])
    yield "|" + "|".join(" ---: " if column.kind == "number" else " --- " for column in table.columns) + "|"
    yield from map(_row, table.rows[:_ROWS_SHOWN])
    yield ""
    if len(table.rows) > _ROWS_SHOWN:
        yield f"and {len(table.rows) - _ROWS_SHOWN:,} more, which the JSON report has"
        yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_text(cell, _CELL_WIDTH) for cell in cells) + " |"


def _text(text: str, most: int = 2000) -> str:
    """One line that Markdown and HTML show as it stands: no markup, no link, no mention, no emoji of its own."""
    text = printable(text.strip(), most)
    return _LONE_UNDERSCORE.sub("&#95;", _entities(_REFERENCE.sub(rf"\g<0>{_BREAK}", text)))


def _item(text: str) -> str:
    """The same at the beginning of a line, where a dash or "1." would begin a list of its own."""
    return _BEGINS_A_BLOCK.sub(r"\1&#8203;\2", _text(text))


def _entities(text: str) -> str:
    return text.translate(_ENTITIES)
