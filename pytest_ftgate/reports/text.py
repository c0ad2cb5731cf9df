"""A result as text for a terminal or a CI log: one block per gate, and the text of its failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.table import Table
from pytest_ftgate.result import PROBLEMS_FIRST, RED, Check, Economics, GateResult
from pytest_ftgate.text import plural, printable, shortened, wrapped

_NAME_WIDTH = 300
_TABLE_WIDTH = 80
_NARROW_MODEL_WIDTH = 16
_EXAMPLES_SHOWN = 3
_SLICES_SHOWN = 5
_FEW_ROWS, _MANY_ROWS = 5, 30  # of the parts of a metric
_WARNINGS_SHOWN = 3
_FEW_WARNINGS = 2  # so many of one training set are not repeated for each gate
_EXCERPT, _ALIKE_SHOWN = 60, 20
_PAIR = 100  # characters of each text
_BELOW = " " * 10  # as wide as a check's status
_BELOW_ADVICE = " " * 5  # as wide as its number
_HIDDEN = ("pass", "note")
_COLOURS: dict[str, str] = {**dict.fromkeys(RED, "red"), "pass": "green", "warning": "yellow", "note": ""}


class Line(NamedTuple):
    """A line of text and its colour ("" for none)."""

    text: str
    colour: str = ""


class AuditsShown:
    """The warnings of training audits that the blocks of a session have shown, so that each is shown once."""

    def __init__(self) -> None:
        self._gates: dict[tuple[Check, ...], str] = {}

    def repeated(self, result: GateResult) -> tuple[list[Check], list[Line]]:
        """Return the warnings that the block of an earlier gate has shown, and the line that replaces them."""
        found = [check for check in result.checks if check.status == "warning" and check.kind == "data"]
        gate = self._gates.setdefault(tuple(replace(check, source=None) for check in found), result.name)
        if gate == result.name or len(found) < _FEW_WARNINGS:
            return [], []
        return found, [Line(f"training set: {plural(len(found), 'warning')}, as for gate {gate}", "yellow")]


def block(
    result: GateResult,
    *,
    verbosity: int = 0,
    width: int = _TABLE_WIDTH,
    audits: AuditsShown | None = None,
) -> list[Line]:
    """Return the lines of the gate's block. All of them are safe to print.

    A red gate begins with the checks that decide its verdict and wrong answers of the candidate. Unless ``verbosity``
    is above 0, passed checks and notes are only counted, a warning is one line, and details are left out.

    Args:
        verbosity: that of pytest.
        width: the columns that lines are wrapped into.
        audits: what the blocks before have shown.
    """
    full = verbosity > 0
    details = full or not result.passed
    deciding = [] if result.passed else sentences.deciding_checks(result)
    repeated, as_before = (audits or AuditsShown()).repeated(result)
    apart = [*deciding, *_on_calls(result), *repeated]
    rest = (one for one in result.checks if one not in apart)
    others = sorted(rest, key=lambda one: PROBLEMS_FIRST.index(one.status))
    shown = [one for one in others if full or one.status not in _HIDDEN]

    said: set[str] = set()

    def checks(several: Iterable[Check]) -> list[Line]:
        lines = (line for check in sentences.advised_once(several, said) for line in check_lines(check))
        return _wrapped(lines, width, _BELOW)

    advice = [Line(text, "bold") for text in _advice(result)]
    short = [one for one in shown if not full and one.status == "warning" and one.kind != "review"]
    answers = [*map(Line, _examples(result, None if full else _EXAMPLES_SHOWN))] if details else []
    lines = [
        *checks(deciding),
        *(answers if deciding else ()),
        *_models(result, full=full, width=width),
        *_lines(sentences.gain_sentence(result), colour="bold"),
        *_lines(sentences.changed(result) if result.gain is not None else None),
        *map(Line, sentences.champion_sentences(result)),
        *(Line(f"  {text}") for text in sentences.method_sentences(result) if full),
        *map(Line, sentences.judge_sentences(result) if details else ()),
        *map(Line, economics_lines(result.economics, full=full) if result.economics is not None else ()),
        *map(Line, part_lines(result, full=full)),
        *map(Line, breakdown_lines(result, full=full) if details else ()),
        *map(Line, sentences.mistake_sentences(result, full=full)),
        *_wrapped(advice, width, _BELOW_ADVICE),
        *(() if deciding else answers),
        *([Line(f"{'other' if deciding else 'all'} checks, problems first:")] if full and shown else ()),
        *checks(one for one in shown if one not in short),
        *_warnings(short, width),
        *as_before,
        *map(Line, _leaks(result) if full else ()),
        *map(Line, _inputs(result) if full else _counted(others)),
    ]
    return _wrapped((Line(printable(text), colour) for text, colour in lines), width, "    ")


def title(result: GateResult) -> Line:
    """Return ``ftgate intents: PASS``."""
    return Line(f"ftgate {printable(result.name, _NAME_WIDTH)}: {result.verdict.upper()}", _COLOURS[result.verdict])


def _models(result: GateResult, *, full: bool, width: int) -> Iterator[Line]:
    yield from _lines(sentences.stage_sentence(result), colour="green" if result.passed else "red")
    yield from _lines(result.hypothesis and f"hypothesis: {result.hypothesis}")
    yield from _lines("no model was called" if result.verdict == "fail" and not result.models_called else None)
    yield from (Line(check.message) for check in _on_calls(result))
    yield from map(Line, model_table(result, full=full, width=width))
    yield from _lines(sentences.age_sentence(result))
    if result.passed and not full:
        return
    if full or any(model.cost_usd is not None for model in result.models.values()):
        yield from map(Line, sentences.price_sentences(result))


def _lines(text: str | None, colour: str = "") -> list[Line]:
    """Return the line of a text, none without a text."""
    return [Line(text, colour)] if text else []


def _on_calls(result: GateResult) -> list[Check]:
    """Return the notes on calls that say what to do, which are always shown: answers are not kept."""
    return [check for check in result.checks if (check.kind, check.status) == ("models", "note") and check.advice]


def model_table(result: GateResult, *, full: bool = False, width: int = _TABLE_WIDTH) -> list[str]:
    """Return the table of models, with tokens if ``full``. If it is wider than ``width``, return two, metrics first."""
    whole = tables.models(result) if full else _without(tables.models(result), tables.TOKENS)
    fitted = whole if full else _narrowed(whole, width)
    if _width_of(fitted) <= width:
        return fitted.lines()
    run = [number for number, column in enumerate(whole.columns) if number > 1 and column.heading in tables.RUN_COLUMNS]
    scores = whole.only(number for number in range(len(whole.columns)) if number not in run)
    return [*(scores if full else _narrowed(scores, width)).lines(), *whole.only([0, *run]).lines()]


def _without(table: Table, heading: str) -> Table:
    return table.only(number for number, column in enumerate(table.columns) if column.heading != heading)


def _width_of(table: Table) -> int:
    return max(map(len, table.lines()), default=0)


def _narrowed(table: Table, width: int) -> Table:
    """Return the table with the names of models shortened to fit ``width``, but not below a readable length."""
    others = _width_of(table.only(number for number in range(len(table.columns)) if number != 1))
    most = max(width - others - 2, _NARROW_MODEL_WIDTH)
    half = (most - 3) // 2  # both ends are kept: models of one family may differ in either
    names = [name if len(name) <= most else f"{name[:half]}...{name[-half:]}" for _, name, *_ in table.rows]
    rows = [(row[0], name, *row[2:]) for row, name in zip(table.rows, names, strict=True)]
    return replace(table, rows=tuple(rows))


def economics_lines(economics: Economics, *, full: bool = True) -> list[str]:
    """Return the sentence on the economics; with ``full`` after the costs that it is based on."""
    if not full:
        return [economics.sentence]
    first, *others = sentences.economics_sentences(economics)
    return [
        f"economics: {first}",
        *(f"  {text}" for text in others),
        economics.sentence,
    ]


def part_lines(result: GateResult, *, full: bool) -> list[str]:
    """Return the parts of a result; unless ``full`` only those of the test set that do not hold, at most five."""
    parts = tables.parts(result) if full else (tables.red_parts(result, _SLICES_SHOWN),)
    return [line for table in parts for line in _without(table, tables.UPPER).lines("  ")]


def breakdown_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """Yield the parts of all metrics; unless ``full`` the worst parts of the deciding metric and of those that miss a
    threshold."""
    failed = [check.threshold.key for check in result.checks if check.status == "fail" and check.threshold is not None]
    explained = {one.metric for one in result.breakdowns}
    missed = {name for name in explained if any(key.startswith(f"thresholds.{name}") for key in failed)}
    metrics = None if full else {result.metric or "", *missed}
    for table in tables.worst_rows(result, metrics, _MANY_ROWS if full else _FEW_ROWS):
        yield table.title
        yield from table.lines("  ")


def check_lines(check: Check) -> Iterator[Line]:
    """Yield a check and its cure."""
    status = check.status.upper() if check.status in RED else check.status
    # A weakened gate passes by its own weaker threshold: make sure that warnings of the review are seen.
    red = (check.kind, check.status) == ("review", "warning")
    yield Line(f"  {status:<7} {check.name}: {sentences.with_source(check)}", "red" if red else _COLOURS[check.status])
    if check.advice:
        yield Line(f"  {'fix:':<7} {check.advice}")


def _warnings(checks: Sequence[Check], width: int) -> Iterator[Line]:
    """Yield the first warnings, a line each, and how many more there are."""
    for check in checks[:_WARNINGS_SHOWN]:
        yield Line(shortened(printable(f"  warning {check.name}: {sentences.with_source(check)}"), width), "yellow")
    if len(checks) > _WARNINGS_SHOWN:
        yield Line(f"  {plural(len(checks) - _WARNINGS_SHOWN, 'more warning')} (-v)", "yellow")


def finding_lines(checks: Iterable[Check]) -> Iterator[Line]:
    """Yield what is not in order of a gate that is not judged, problems first; all lines are safe to print."""
    for check in sorted(checks, key=lambda one: one.status not in RED):
        if check.status in (*RED, "warning"):
            yield from (Line(printable(line.text), line.colour) for line in check_lines(check))


def _wrapped(lines: Iterable[Line], width: int, indent: str) -> list[Line]:
    """Wrap lines between words; continued lines are indented. An empty line stays."""
    return [
        Line(part, line.colour)
        for line in lines
        for part in wrapped(line.text, then=indent, width=width, break_words=False)
    ]


def _counted(checks: Iterable[Check]) -> Iterator[str]:
    """Yield one line that counts the other checks: ``14 checks passed, 1 warning, 2 notes (-v shows them)``."""
    statuses = [one.status for one in checks]
    passed, warnings, notes = (statuses.count(one) for one in ("pass", "warning", "note"))
    counts = [f"{plural(passed, 'check')} passed"] if passed else []
    counts += [plural(warnings, "warning")] if warnings else []
    counts += [plural(notes, "note")] if notes else []
    if counts:
        yield f"{', '.join(counts)} (-v shows them)"


def _leaks(result: GateResult) -> Iterator[str]:
    """Yield all test examples in the training set with their training rows, and near duplicates, with both texts."""
    training = result.training
    for title, sign, pairs in (
        ("test examples in the training set", "=", training.leaked_pairs),
        ("near duplicates of test examples in the training set", "~", training.near_pairs),
        ("near duplicates in the test set", "~", result.test_set.near_pairs),
    ):
        if pairs:
            yield f"{title}:"
        for one in pairs:
            texts = dict.fromkeys(repr(printable(text, _PAIR)) for text in (one.text, one.other_text))
            yield f"  {one.row} {sign} {one.other}: {' and '.join(texts)}"


def _inputs(result: GateResult) -> Iterator[str]:
    """Yield the models, data and marker that the verdict is based on."""
    facts = [*sentences.data_sentences(result)]
    facts += [f"marker: {result.location}"] if result.location else []
    if facts:
        yield "inputs:"
    yield from (f"  {fact}" for fact in facts)


def _advice(result: GateResult) -> Iterator[str]:
    """Yield further advice, each with the fact behind it, at most three; the cures of checks are not repeated."""
    shown = most_to_try(result)
    if shown:
        yield "more advice:"
    for number, one in enumerate(shown, start=1):
        yield f"  {number}. {one.action.replace('_', ' ')}: {one.text}"
        yield f"     because {one.fact}"


def _examples(result: GateResult, most: int | None) -> Iterator[str]:
    heading, examples = sentences.examples(result, most)
    if examples:
        yield f"{heading}:"
    labeled = any(one.expected for one in examples)  # else the test set has no expected outputs
    for one in examples:
        yield f"  {printable(one.where or one.id, 100)}: {printable(one.input, 100)}"
        expected, baseline, candidate = _from_where_they_differ(one.expected, one.baseline, one.candidate)
        yield f"    {f'expected {expected!r}, ' if labeled else ''}baseline {baseline!r}, candidate {candidate!r}"
        if one.why:
            yield f"    {printable(one.why, 150)}"


def _from_where_they_differ(expected: str, baseline: str, candidate: str) -> list[str]:
    """Return excerpts of all three; if long texts begin alike, from where the candidate departs from the expected."""
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(expected, candidate, strict=False))))
    start = max(same - _ALIKE_SHOWN, 0) if max(len(expected), len(candidate)) > _EXCERPT else 0
    cut = [text[start:] if text[:start] == expected[:start] else text for text in (expected, baseline, candidate)]
    return [
        printable(f"...{part}" if part is not text and start else part, _EXCERPT)
        for part, text in zip(cut, (expected, baseline, candidate), strict=True)
    ]
