"""A session as Markdown for a pull request or a job summary: verdicts are visible, details are folded."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.json import Session
from pytest_ftgate.reports.table import Table
from pytest_ftgate.result import RED, Check, GateResult
from pytest_ftgate.text import plural, printable

MOST_BYTES = 60_000
"""The most bytes of a report: a comment on GitHub takes 65,536 characters, some of them for the user's own text."""

_SYMBOLS = {"pass": "✅", "fail": "❌", "inconclusive": "❓", "error": "⛔", "warning": "⚠️", "note": "ℹ️"}
_NAME_WIDTH = 200
_CELL_WIDTH = 500
_OBLIGATIONS_SHOWN = 30
_ROWS_SHOWN = 50
_EXAMPLES_SHOWN = 3

# Hosts look for people, issues and links in the rendered text, so escaping is not enough: a zero-width space breaks
# them apart. Within <code> and <pre> hosts look for none.
_REFERENCE = re.compile(
    r"[@#](?=\w)|[!&](?=\d)|[~%](?=[\w\"'])|:(?=//)|:(?!(?<=\d\d:)\d\d:\d\d)(?=[\w+-]+:)|"  # a time is no emoji
    r"\bwww(?=\.)|\bGH(?=-\d)|\bmailto(?=:)|\bxmpp(?=:)",
    re.IGNORECASE,
)
_BREAK = "\u200b"
_BEGINS_A_BLOCK = re.compile(r"^(\d*)([-+.)=/])")
_LONE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {ord(char): f"&#{ord(char)};" for char in f"\\`*[]<>|~&$#@^{_BREAK}"}


class _Part(NamedTuple):
    """One gate: the visible part and the folded part."""

    red: bool
    open: str
    folded: str


def document(results: Iterable[GateResult], session: Session, *, most_bytes: int = MOST_BYTES) -> str:
    """Return all gates, red ones first, in at most ``most_bytes`` of UTF-8.

    A report that is too long omits the folded details of green gates first, then those of red gates, then whole gates,
    and says so.
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
    """Return the gates shown in full and the gates shown at all; what is last is omitted first."""
    full, shown = set(range(len(parts))), set(range(len(parts)))
    size = sum(_size(part.open + part.folded) for part in parts)
    for kept, texts in ((full, [one.folded for one in parts]), (shown, [one.open for one in parts])):
        for index in reversed(range(len(parts))):
            if size <= most_bytes:
                return full, shown
            kept.discard(index)
            size -= _size(texts[index])
    return full, shown


def _left_out(parts: Sequence[_Part], full: set[int], shown: set[int]) -> str:
    missing = [part for index, part in enumerate(parts) if index not in shown]
    text = f"\nThe report is too long: the details of {plural(len(parts) - len(full), 'gate')} are left out"
    if missing:
        red = sum(part.red for part in missing)
        text += f", and all of {plural(len(missing), 'gate')}, {red:,} of which did not pass"
    return f"{text}. The JSON report is complete.\n"


def _cut(text: str, most_bytes: int) -> str:
    """Cut the text, for the case that even the head is too long."""
    if _size(text) <= most_bytes:
        return text
    note = "\n\nThe report is too long and cut here. The JSON report is complete.\n"
    kept = text.encode()[: max(most_bytes - _size(note), 0)].decode(errors="ignore")
    return kept.rpartition("\n")[0] + note if most_bytes >= _size(note) else ""


def _size(text: str) -> int:
    return len(text.encode())


def _head(results: Sequence[GateResult], session: Session) -> Iterator[str]:
    passed = sum(result.passed for result in results)
    green = passed == len(results) and not (session.unjudged and not session.waived_by)
    counted = f"{passed:,} of {plural(len(results), 'gate')} passed" if results else "no gate was judged"
    yield f"## {_SYMBOLS['pass' if green and results else 'fail']} ftgate: {counted}"
    yield ""
    if session.waived_by:
        yield f"- {_SYMBOLS['warning']} `{session.waived_by}`: required gates are listed here but not enforced"
    symbol = _SYMBOLS["warning" if session.waived_by else "fail"]
    for name, reason in session.unjudged[:_OBLIGATIONS_SHOWN]:
        yield f"- {symbol} required gate **{inline(name, _NAME_WIDTH)}** did not pass: {inline(reason)}"
    if len(session.unjudged) > _OBLIGATIONS_SHOWN:
        yield f"- {symbol} and {len(session.unjudged) - _OBLIGATIONS_SHOWN:,} more required gates"
    yield from (f"- {_SYMBOLS['warning']} {item(sentence)}" for sentence in session.removed[:_OBLIGATIONS_SHOWN])
    yield from (f"- {item(remark)}" for remark in session.remarks[:_OBLIGATIONS_SHOWN])


def _open(result: GateResult) -> Iterator[str]:
    """Yield the visible part in the order of the text block."""
    places = [place for place in (result.nodeid, result.location) if place and place != result.name]
    yield from ("", f"### {_SYMBOLS[result.verdict]} {inline(result.name, _NAME_WIDTH)}: {result.verdict.upper()}", "")
    yield from (" at ".join(f"<code>{inline(place)}</code>" for place in places), "")
    deciding = [] if result.passed else sentences.deciding_checks(result)
    said: set[str] = set()
    if deciding:
        yield from _checks(deciding, said)
        wrong = tables.examples(result, _EXAMPLES_SHOWN)
        yield from (f"{wrong.title}:", "") if wrong else ()
        yield from table(wrong)
    stage, gain = sentences.stage_sentence(result), sentences.gain_sentence(result)
    yield from (f"**{stage}**", "") if stage is not None else ()
    hypothesis = sentences.hypothesis_sentence(result)
    yield from () if hypothesis is None else (inline(hypothesis), "")
    yield from table(tables.models(result))
    yield from (f"**{inline(gain)}**; {inline(sentences.changed(result))}", "") if gain is not None else ()
    for text in (sentences.detectable_sentence(result), *sentences.champion_sentences(result)):
        yield from (inline(text), "") if text else ()
    yield from _advice(result)
    others = [check for check in result.checks if check.status in (*RED, "warning") and check not in deciding]
    yield from _checks(sorted(others, key=lambda check: (*RED, "warning").index(check.status)), said)


def _checks(checks: Sequence[Check], said: set[str]) -> Iterator[str]:
    """Yield a list of checks, each with its advice unless it was ``said``; nothing without checks."""
    for check in sentences.advised_once(checks, said):
        status = f"{_SYMBOLS[check.status]} {check.status}"
        yield f"- {status}: **{inline(check.name)}**: {inline(sentences.with_source(check))}"
        if check.advice:
            yield f"  - {item(check.advice)}"
    if checks:
        yield ""


def _advice(result: GateResult) -> Iterator[str]:
    shown = most_to_try(result)
    if shown:
        yield from ("More advice:", "")
        for number, one in enumerate(shown, start=1):
            action = inline(one.action.replace("_", " "))
            yield f"{number}. **{action}**: {inline(one.text)}<br>because {inline(one.fact)}"
        yield ""


def _folded(result: GateResult) -> Iterator[str]:
    checks, examples, age = tables.checks(result, _SYMBOLS), tables.examples(result), sentences.age_sentence(result)
    inputs = (
        *sentences.method_sentences(result),
        *sentences.price_sentences(result),
        *(() if age is None else (age,)),
        *sentences.data_sentences(result),
    )
    told = [*tables.sections(result), (examples.title, (examples,)), ("Method and inputs", inputs)]
    yield from _fold(checks.title, table(checks))
    for title, content in told:
        lines = [line for one in content for line in _content(one, title)]
        yield from _fold(title, [*lines, *([""] if lines[-1] else [])]) if lines else ()


def _content(one: Table | str, title: str) -> Iterator[str]:
    """Yield a sentence as an item, or a table under its own title."""
    if isinstance(one, str):
        yield f"- {item(one)}"
    elif one:
        yield from ((f"**{inline(one.title)}**", "") if one.title != title else ())
        yield from table(one)


def _fold(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("<details>", f"<summary>{inline(title)}</summary>", "")
    yield from lines
    yield from ("</details>", "")


def table(table: Table) -> Iterator[str]:
    """Yield the first rows of a table; nothing without rows."""
    if not table:
        return
    yield _row([column.heading for column in table.columns])
    yield "|" + "|".join(" ---: " if column.kind == "number" else " --- " for column in table.columns) + "|"
    yield from map(_row, table.rows[:_ROWS_SHOWN])
    yield ""
    if len(table.rows) > _ROWS_SHOWN:
        yield f"and {len(table.rows) - _ROWS_SHOWN:,} more in the JSON report"
        yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(inline(cell, _CELL_WIDTH) for cell in cells) + " |"


def inline(text: str, most: int = 2000) -> str:
    """Return one line without markup: Markdown and HTML render no link, mention, emoji or formatting in it."""
    text = printable(text.strip(), most)
    return _LONE_UNDERSCORE.sub("&#95;", _entities(_REFERENCE.sub(rf"\g<0>{_BREAK}", text)))


def item(text: str) -> str:
    """Return the text for the beginning of a line, where a dash or "1." would begin a list."""
    return _BEGINS_A_BLOCK.sub(r"\1&#8203;\2", inline(text))


def _entities(text: str) -> str:
    return text.translate(_ENTITIES)
