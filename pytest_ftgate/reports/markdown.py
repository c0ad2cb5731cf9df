"""A session as Markdown for a pull request or a job summary: verdicts are visible, details are folded."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from pytest_ftgate.reports import json, sentences, tables
from pytest_ftgate.result import RED, Check, GateResult
from pytest_ftgate.text import plural, printable

MOST_BYTES = 60_000
"""The most bytes of a report: a comment on GitHub takes 65,536 characters, some of them for the user's own text."""
_SYMBOLS = {
    "pass": "✅",
    "fail": "❌",
    "inconclusive": "❓",
    "error": "⛔",
    "warning": "⚠️",
    "note": "ℹ️",
}
_NAME_WIDTH, _CELL_WIDTH = 200, 500
_OBLIGATIONS_SHOWN, _ROWS_SHOWN, _EXAMPLES_SHOWN = 30, 50, 3

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


def document(
    results: Iterable[GateResult], session: json.Session, *, most_bytes: int = MOST_BYTES
) -> str:
    """Return all gates, red ones first, in at most ``most_bytes`` of UTF-8.

    A report that is too long omits the folded details of gates first, then whole gates, the green
    ones before the red ones, and says so.
    """
    gates = sorted(results, key=lambda result: result.passed)
    head = _joined(_head(gates, session))
    visible = [_joined(_open(result)) for result in gates]
    folded = [_joined(_folded(result)) for result in gates]

    # The most important pieces first: the head, what is visible of each gate, then the details.
    pieces = [head, *visible, *folded]
    sizes = list(accumulate(len(piece.encode()) for piece in pieces))
    fitting = len(pieces)
    if sizes[-1] > most_bytes:
        fitting = sum(size <= most_bytes - _NOTE_BYTES for size in sizes)
    pieces[fitting:] = [""] * (len(pieces) - fitting)

    text = pieces[0]
    for i in range(1, len(gates) + 1):
        text += pieces[i] + pieces[i + len(gates)]
    if fitting < len(pieces):
        text += _left_out(gates, fitting - 1)
    return text if len(text.encode()) <= most_bytes else ""


def _left_out(gates: Sequence[GateResult], pieces: int) -> str:
    """Return the note on a report that holds so many pieces: what is visible of each gate, then its details."""
    hidden = gates[max(pieces, 0) :]
    unfolded = len(gates) - max(pieces - len(gates), 0)
    note = f"\nThe report is too long: the details of {plural(unfolded, 'gate')} are left out"
    if hidden:
        red = sum(not result.passed for result in hidden)
        note += f", and all of {plural(len(hidden), 'gate')}, {red:,} of which did not pass"
    return f"{note}. The JSON report is complete.\n"


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _head(results: Sequence[GateResult], session: json.Session) -> Iterator[str]:
    yield f"## {_SYMBOLS['pass' if session.passed(results) else 'fail']} ftgate: {session.counted(results)}"
    yield ""
    symbol = _SYMBOLS["warning" if session.waived_by else "fail"]
    if session.waived_by:
        yield f"- {symbol} `{session.waived_by}`: required gates are listed here but not enforced"
    for name, reason in session.unjudged[:_OBLIGATIONS_SHOWN]:
        why = inline(reason, _CELL_WIDTH)
        yield f"- {symbol} required gate **{inline(name, _NAME_WIDTH)}** did not pass: {why}"
    if len(session.unjudged) > _OBLIGATIONS_SHOWN:
        yield f"- {symbol} and {len(session.unjudged) - _OBLIGATIONS_SHOWN:,} more required gates"
    symbol = _SYMBOLS["fail" if session.forbidden else "warning"]
    for sentence in session.removed[:_OBLIGATIONS_SHOWN]:
        yield f"- {symbol} {item(sentence)}"
    yield from (f"- {item(remark)}" for remark in session.remarks[:_OBLIGATIONS_SHOWN])


def _open(result: GateResult) -> Iterator[str]:
    """Yield the visible part in the order of the text block."""
    places = [place for place in (result.nodeid, result.location) if place and place != result.name]
    yield from (
        "",
        f"### {_SYMBOLS[result.verdict]} {inline(result.name, _NAME_WIDTH)}: {result.verdict.upper()}",
        "",
    )
    yield from (" at ".join(f"<code>{inline(place)}</code>" for place in places), "")
    deciding, said = sentences.deciding_checks(result), set[str]()
    yield from _checks(deciding, said)
    if deciding and (wrong := tables.examples(result, _EXAMPLES_SHOWN)):
        yield from (f"{wrong.title}:", "", *table(wrong))
    yield from _paragraphs(sentences.stage_sentence(result), "**")
    yield from _paragraphs(sentences.hypothesis_sentence(result))
    yield from table(tables.models(result))
    for gain in sentences.gain_sentence(result):
        yield from (f"**{inline(gain)}**; {inline(sentences.changed(result))}", "")
    yield from _paragraphs(sentences.agreement_sentence(result), "**")
    yield from _paragraphs(
        (*sentences.detectable_sentence(result), *sentences.champion_sentences(result))
    )
    others = [
        check
        for check in result.checks
        if check.status in (*RED, "warning") and check not in deciding
    ]
    yield from _checks(
        sorted(others, key=lambda check: (*RED, "warning").index(check.status)), said
    )


def _paragraphs(texts: Iterable[str], mark: str = "") -> Iterator[str]:
    for text in texts:
        yield from (f"{mark}{inline(text)}{mark}", "")


def _checks(checks: Sequence[Check], said: set[str]) -> Iterator[str]:
    """Yield a list of checks, each with its advice unless it was ``said``; nothing without checks."""
    for check in sentences.advised_once(checks, said):
        status = f"{_SYMBOLS[check.status]} {check.status}"
        yield f"- {status}: **{inline(check.name)}**: {inline(sentences.with_source(check))}"
        if check.advice:
            yield f"  - {item(check.advice)}"
    yield from [""] if checks else ()


def _folded(result: GateResult) -> Iterator[str]:
    """Yield the details, each part under its title."""
    checks, examples = tables.checks(result).without("advice"), tables.examples(result)
    facts = (sentences.method_sentences, sentences.price_sentences, sentences.data_sentences)
    inputs = [fact for sentences_of in facts for fact in sentences_of(result)]
    told = [(checks.title, [checks]), *tables.sections(result), (examples.title, [examples])]
    for title, content in (*told, ("Method and inputs", inputs)):
        lines = [line for one in content for line in _content(one, title)]
        if lines:
            yield from ("<details>", f"<summary>{inline(title)}</summary>", "", *lines)
            yield from ([""] if lines[-1] else [])
            yield from ("</details>", "")


def _content(one: tables.Table | str, title: str) -> Iterator[str]:
    """Yield a sentence as an item, or a table under its own title."""
    if isinstance(one, str):
        yield f"- {item(one)}"
    elif one:
        yield from ((f"**{inline(one.title)}**", "") if one.title != title else ())
        yield from table(one)


def table(table: tables.Table) -> Iterator[str]:
    """Yield the first rows of a table; nothing without rows."""
    if not table:
        return
    yield _row(table, [column.heading for column in table.columns])
    yield (
        "|"
        + "|".join(" ---: " if column.kind == "number" else " --- " for column in table.columns)
        + "|"
    )
    yield from (_row(table, row) for row in table.rows[:_ROWS_SHOWN])
    yield ""
    if len(table.rows) > _ROWS_SHOWN:
        yield from (f"and {len(table.rows) - _ROWS_SHOWN:,} more in the JSON report", "")


def _row(table: tables.Table, cells: Sequence[str]) -> str:
    shown = (
        f"{_SYMBOLS[cell]} {cell}"
        if column.kind == "status" and cell in _SYMBOLS
        else inline(cell, _CELL_WIDTH)
        for column, cell in zip(table.columns, cells, strict=False)
    )
    return f"| {' | '.join(shown)} |"


def inline(text: str, most: int = 2000) -> str:
    """Return one line without markup: Markdown and HTML render no link, mention, emoji or formatting in it."""
    text = _REFERENCE.sub(rf"\g<0>{_BREAK}", printable(text.strip(), most))
    return _LONE_UNDERSCORE.sub("&#95;", text.translate(_ENTITIES))


def item(text: str) -> str:
    """Return the text for the beginning of a line, where a dash or "1." would begin a list."""
    return _BEGINS_A_BLOCK.sub(r"\1&#8203;\2", inline(text))
