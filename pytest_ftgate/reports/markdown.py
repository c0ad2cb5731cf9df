"""A session as Markdown for a pull request or a job summary, with details folded."""

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_ftgate.reports import json, sentences, tables
from pytest_ftgate.result import Check, GateResult
from pytest_ftgate.text import printable

MOST_BYTES = 60_000
"""The most bytes of a report.

A comment on GitHub takes 65,536 characters, some of them for the user's own text.
"""
_SYMBOLS = {
    "pass": "✅",
    "fail": "❌",
    "inconclusive": "❓",
    "error": "⛔",
    "warning": "⚠️",
    "note": "ℹ️",
}
_NAME_WIDTH = 200
_CELL_WIDTH = 500
_LINES_SHOWN = 30  # of each kind at the head of the report
_ROWS_SHOWN = 50
_EXAMPLES_SHOWN = 3

# Hosts look for people, issues and links in the rendered text, so escaping is not enough: a
# zero-width space breaks them apart. Within <code> and <pre> hosts look for none.
_REFERENCE = re.compile(
    # a time is no emoji
    r"[@#](?=\w)|[!&](?=\d)|[~%](?=[\w\"'])|:(?=//)|:(?!(?<=\d\d:)\d\d:\d\d)(?=[\w+-]+:)|"
    r"\bwww(?=\.)|\bGH(?=-\d)|\bmailto(?=:)|\bxmpp(?=:)",
    re.IGNORECASE,
)
_BREAK = "\u200b"
_BEGINS_A_BLOCK = re.compile(r"^(\d*)([-+.)=/])")
_LONE_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = {ord(char): f"&#{ord(char)};" for char in f"\\`*[]<>|~&$#@^{_BREAK}"}
_NOTE_BYTES = 200  # of the note that something is left out


def document(results: Iterable[GateResult], session: json.Session) -> str:
    """Return all gates, red ones first, in at most :data:`MOST_BYTES` of UTF-8.

    A report that is too long has no details, and one that still is too long ends where it must.
    """
    gates = sorted(results, key=lambda result: result.passed)
    lines = list(_head(gates, session))
    short = list(lines)
    for result in gates:
        visible = list(_open(result))
        short += visible
        lines += [*visible, *_folded(result)]

    whole = _joined(lines)
    if len(whole.encode()) <= MOST_BYTES:
        return whole

    left = MOST_BYTES - _NOTE_BYTES
    fitting = []
    for line in short:
        left -= len(_joined([line]).encode())
        if left < 0:
            break
        fitting.append(line)
    return _joined([*fitting, "", "The report is too long: all of it is in the JSON report."])


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _head(results: Sequence[GateResult], session: json.Session) -> Iterator[str]:
    symbols = {True: _SYMBOLS["pass"], False: _SYMBOLS["fail"]}
    yield f"## {symbols[session.passed(results)]} ftgate: {session.counted(results)}"
    yield ""
    symbol = _SYMBOLS["fail"]
    if session.waived_by:
        symbol = _SYMBOLS["warning"]
        yield f"- {symbol} `{session.waived_by}`: required gates are listed here but not enforced"
    missing = session.missing(results)
    for name, reason in missing[:_LINES_SHOWN]:
        message = inline(reason, _CELL_WIDTH)
        yield f"- {symbol} required gate **{inline(name, _NAME_WIDTH)}** did not pass: {message}"
    if len(missing) > _LINES_SHOWN:
        yield f"- {symbol} and {len(missing) - _LINES_SHOWN:,} more required gates"
    symbol = _SYMBOLS["fail" if session.forbidden else "warning"]
    for sentence in session.removed[:_LINES_SHOWN]:
        yield f"- {symbol} {item(sentence)}"
    for failure in session.failures[:_LINES_SHOWN]:
        yield f"- {_SYMBOLS['fail']} {item(failure)}"
    for remark in session.remarks[:_LINES_SHOWN]:
        yield f"- {item(remark)}"


def _open(result: GateResult) -> Iterator[str]:
    """Yield the visible part in the order of the text block."""
    name = inline(result.name, _NAME_WIDTH)
    yield from ("", f"### {_SYMBOLS[result.verdict]} {name}: {result.verdict.upper()}", "")

    cures_shown: set[str] = set()
    red = sentences.red_checks(result)
    yield from _checks(result, red, cures_shown)
    for group in sentences.examples(result)[:1]:
        if red:
            yield from _titled(tables.examples(group.first(_EXAMPLES_SHOWN)))

    outcome = "; ".join(sentences.outcome_sentences(result))
    if outcome:
        yield from (f"**{inline(outcome)}**", "")
    for sentence in sentences.stage_sentence(result):
        yield from (f"**{inline(sentence)}**", "")
    yield from table(tables.models(result))
    for sentence in sentences.hypothesis_sentence(result):
        yield from (inline(sentence), "")
    # The cure of a red gate says it.
    if result.passed:
        for sentence in sentences.doubling_sentence(result):
            yield from (inline(sentence), "")
    warnings = sentences.with_status(result.checks, "warning")
    yield from _checks(result, warnings, cures_shown)


def _checks(result: GateResult, checks: Sequence[Check], cures_shown: set[str]) -> Iterator[str]:
    """Yield a list of checks, each with its cure unless that is in ``cures_shown``."""
    for check in sentences.advised_once(checks, cures_shown):
        message = inline(sentences.with_source(check))
        yield f"- {_SYMBOLS[check.status]} {check.status}: **{inline(check.name)}**: {message}"
        facts = sentences.facts_of(result, check)
        if facts:
            yield f"  - {item(facts)}"
        if check.cure:
            yield f"  - {item(check.cure)}"
    if checks:
        yield ""


def _folded(result: GateResult) -> Iterator[str]:
    """Yield the details, each group under its title, without the checks that are visible."""
    in_order = sentences.with_status(result.checks, "pass", "note")
    checks = tables.checks(in_order).without("cure")
    method = [
        *sentences.upper_bound_sentence(result),
        *sentences.method_sentence(result),
        *sentences.detectable_sentence(result),
        *sentences.price_sentences(result),
        f"test: {result.nodeid}",
        *sentences.input_sentences(result),
    ]

    yield from _details(checks.title, table(checks))
    for title, content in tables.sections(result):
        yield from _details(title, _content(content))
    # Where they are few, the first examples of a red gate are all visible.
    groups = sentences.examples(result)
    if not result.passed and groups and len(groups[0].flips) <= _EXAMPLES_SHOWN:
        groups = groups[1:]
    for group in groups:
        yield from _details(group.title, table(tables.examples(group)))
    yield from _details("Method and inputs", _content(method))


def _details(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines that are folded under a title; nothing without lines."""
    lines = list(lines)
    if lines:
        yield from ("<details>", f"<summary>{inline(title)}</summary>", "", *lines)
        if lines[-1]:
            yield ""
        yield from ("</details>", "")


def _content(content: Iterable[tables.Table | str]) -> Iterator[str]:
    """Yield sentences as items, and tables under their own titles."""
    for piece in content:
        if isinstance(piece, str):
            yield f"- {item(piece)}"
        else:
            yield from _titled(piece)


def _titled(rows: tables.Table) -> Iterator[str]:
    yield from (f"**{inline(rows.title)}**", "", *table(rows))


def table(table: tables.Table) -> Iterator[str]:
    """Yield the first rows of a table; nothing without rows."""
    if not table:
        return

    yield _row(table, table.headings)
    rules = {"text": "---", "number": "---:", "status": "---"}
    yield f"| {' | '.join(rules[column.kind] for column in table.columns)} |"
    for row in table.rows[:_ROWS_SHOWN]:
        yield _row(table, row)
    yield ""
    if len(table.rows) > _ROWS_SHOWN:
        yield from (f"and {len(table.rows) - _ROWS_SHOWN:,} more in the JSON report", "")


def _row(table: tables.Table, row: Sequence[str]) -> str:
    cells = []
    for cell, column in zip(row, table.columns, strict=True):
        if column.kind == "status" and cell in _SYMBOLS:
            cells.append(f"{_SYMBOLS[cell]} {cell}")
        else:
            cells.append(inline(cell, _CELL_WIDTH))
    return f"| {' | '.join(cells)} |"


def inline(text: str, most: int = 2000) -> str:
    """Return one line in which Markdown and HTML see no link, mention, emoji or formatting."""
    text = _REFERENCE.sub(rf"\g<0>{_BREAK}", printable(text.strip(), most))
    return _LONE_UNDERSCORE.sub("&#95;", text.translate(_ENTITIES))


def item(text: str) -> str:
    """Return the text for the beginning of a line, where a dash or "1." would begin a list."""
    return _BEGINS_A_BLOCK.sub(r"\1&#8203;\2", inline(text))
