"""A result for a terminal or a CI log: one block a gate, and the text of its failure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.table import Table
from pytest_ftgate.result import Check, Economics, GateResult
from pytest_ftgate.text import printable

_NAME_WIDTH = 300
_TABLE_WIDTH = 80
_NARROW_MODEL_WIDTH = 16
_BROKEN_SHOWN = 3
_SLICES_SHOWN = 5
_FEW_ROWS, _MANY_ROWS = 5, 30  # of what a metric is made of
_EXCERPT, _ALIKE_SHOWN = 60, 20
_BELOW = " " * 10  # as wide as a check's status
_BELOW_ADVICE = " " * 5  # as wide as its number
_RED = ("fail", "error", "inconclusive")
_COLOURS = {**dict.fromkeys(_RED, "red"), "pass": "green", "warning": "yellow", "note": ""}


class Line(NamedTuple):
    """A line of text and the colour it is meant to have ("" for none)."""

    text: str
    colour: str = ""


def block(result: GateResult, *, verbosity: int = 0, width: int = _TABLE_WIDTH, wrap: bool = False) -> list[Line]:
    """Return the gate's block: models, gain, checks, the examples that the candidate broke. Every line is harmless.

    Tables are fitted into ``width`` columns; with ``wrap`` checks are, too, each of which stays on one line of a log,
    where it is searched for. Above a verbosity of 0 every row, check and method is there in full.
    """
    full = verbosity > 0
    # That git does not know a file is a note for whoever asks for all.
    shown = [one for one in result.checks if full or (one.name, one.status) != ("untracked", "note")]
    checks = [line for check in sorted(shown, key=lambda one: one.status not in _RED) for line in _check(check)]
    advice = [Line(text, "bold") for text in _advice(result)]
    ground = [*sentences.job_sentences(result), *sentences.data_sentences(result)]
    ground += [f"mark: {result.location}"] if result.location else []
    lines = [
        *_models(result, full=full, width=width),
        *(Line(text, "" if number else "bold") for number, text in enumerate(sentences.gain_sentences(result))),
        *(Line(f"  {text}") for text in (sentences.method_sentences(result) if full else ())),
        *map(Line, sentences.judge_sentences(result)),
        *map(Line, economics_lines(result.economics) if result.economics is not None else ()),
        *map(Line, sentences.clock_sentences(result, full=full)),
        *(_wrapped(checks, width, _BELOW) if wrap else checks),
        *map(Line, part_lines(result, full=full)),
        *map(Line, breakdown_lines(result, full=full)),
        *map(Line, ground if full else ()),
        *map(Line, _broken(result, len(result.broken) if full else _BROKEN_SHOWN)),
        *map(Line, sentences.mistake_sentences(result, full=full)),
        *(_wrapped(advice, width, _BELOW_ADVICE) if wrap else advice),
    ]
    return [Line(printable(text), colour) for text, colour in lines]


def title(result: GateResult) -> Line:
    """Return ``ftgate intents: PASS``."""
    return Line(f"ftgate {_name(result)}: {result.verdict.upper()}", _COLOURS[result.verdict])


def failure_text(result: GateResult) -> str:
    """Return why the gate is not green. The first line stands alone: the short summary shows no more than that."""
    lines = [f"gate {_name(result)}: {sentences.reason(result)}"]
    lines += [f"  {text}" for text in sentences.more_reasons(result)]
    return "\n".join(map(printable, lines))


def _name(result: GateResult) -> str:
    """Short enough that the verdict after it is seen."""
    return printable(result.name, _NAME_WIDTH)


def _models(result: GateResult, *, full: bool, width: int) -> Iterator[Line]:
    stage = sentences.stage_sentence(result)
    if stage is not None:
        yield Line(stage, "green" if result.passed else "red")
    if result.hypothesis:
        yield Line(f"hypothesis: {result.hypothesis}")
    yield from map(Line, model_table(result, full=full, width=width))
    for one in result.candidates:
        yield Line(sentences.candidate_sentence(result, one), _COLOURS[one.verdict or "note"])
    known = any(model.cost_usd is not None for model in result.models.values())
    if full or known or any(check.name.endswith(".cost_usd") for check in result.checks):
        yield from map(Line, sentences.price_sentences(result))
    age = sentences.age_sentence(result)
    if age is not None:
        yield Line(age)


def model_table(result: GateResult, *, full: bool = False, width: int = _TABLE_WIDTH) -> list[str]:
    """Return the table of models; where it is wider than the terminal it becomes two, the metrics first."""
    whole = tables.models(result)
    fitted = whole if full else _narrowed(whole, width)
    if _width_of(fitted) <= width:
        return fitted.lines()
    run = [number for number, column in enumerate(whole.columns) if number > 1 and column.heading in tables.RUN_COLUMNS]
    scores = whole.only(number for number in range(len(whole.columns)) if number not in run)
    return [*(scores if full else _narrowed(scores, width)).lines(), *whole.only([0, *run]).lines()]


def _width_of(table: Table) -> int:
    return max(map(len, table.lines()), default=0)


def _narrowed(table: Table, width: int) -> Table:
    """The same with the models' names so short that it fits a terminal, as far as that leaves them readable."""
    others = _width_of(table.only(number for number in range(len(table.columns)) if number != 1))
    most = max(width - others - 2, _NARROW_MODEL_WIDTH)
    half = (most - 3) // 2  # of each end, which tell the models of one family apart
    names = [name if len(name) <= most else f"{name[:half]}...{name[-half:]}" for _, name, *_ in table.rows]
    rows = [(row[0], name, *row[2:]) for row, name in zip(table.rows, names, strict=True)]
    return replace(table, rows=tuple(rows))


def economics_lines(economics: Economics) -> list[str]:
    """Return at most eight lines, and all but the last, the sentence, within 80 columns for any usual amount."""
    first, *others = sentences.economics_sentences(economics)
    return [
        f"economics: {first}",
        *(f"  {text}" for text in others),
        *tables.volumes(economics).lines("  "),
        economics.sentence,
    ]


def part_lines(result: GateResult, *, full: bool) -> list[str]:
    """Return guards, slices and labels; unless ``full`` only the slices that do not hold, at most five."""
    if full:
        parts = [tables.guards(result), tables.slices(result), tables.labels(result)]
    else:
        red = [one for one in result.slices if one.verdict in (*_RED, "warning")]
        parts = [tables.slices(result, red[:_SLICES_SHOWN])]
    return [line for table in parts for line in table.lines("  ")]


def breakdown_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """Yield what metrics are made of: the worst rows of the deciding one and of those that miss a bound; with ``full``
    all of all."""
    failed = {check.name for check in result.checks if check.status == "fail"}
    explained = {one.metric for one in result.breakdowns}
    missed = {name for name in explained if failed & {f"require.candidate.{name}", f"require.baseline.{name}"}}
    metrics = None if full else {result.metric or "", *missed}
    for table in tables.worst_rows(result, metrics, _MANY_ROWS if full else _FEW_ROWS):
        yield table.title
        yield from table.lines("  ")


def _check(check: Check) -> Iterator[Line]:
    status = check.status.upper() if check.status in _RED else check.status
    # A gate that was weakened is green by its own word alone: that is not passed over.
    red = check.name == "weakened" and check.status == "warning"
    yield Line(f"  {status:<7} {check.name}: {tables.with_source(check)}", "red" if red else _COLOURS[check.status])
    if check.advice:
        yield Line(f"{_BELOW}{check.advice}")


def _wrapped(lines: Iterable[Line], width: int, indent: str) -> Iterator[Line]:
    """Broken between words; what follows the first part is indented."""
    for line in lines:
        parts = textwrap.wrap(printable(line.text), width, subsequent_indent=indent, break_long_words=False,
                              break_on_hyphens=False)  # fmt: skip
        yield from (Line(part, line.colour) for part in parts)


def _advice(result: GateResult) -> Iterator[str]:
    """At most three things to try, each with the fact that it rests on."""
    shown = most_to_try(result)
    if shown:
        yield "what to do, in this order:"
    for number, one in enumerate(shown, start=1):
        yield f"  {number}. {one.action.replace('_', ' ')}: {one.text}"
        yield f"     because {one.fact}"


def _broken(result: GateResult, most: int) -> Iterator[str]:
    shown = result.broken[:most]
    if not shown:
        return
    told = any(flip.expected for flip in shown)  # else the test set does not say what is expected
    yield f"{sentences.worse_title(result)} ({len(shown)} of {result.losses or 0:,}):"
    for flip in shown:
        yield f"  {printable(flip.where or flip.id, 100)}: {printable(flip.input, 100)}"
        expected, baseline, candidate = _from_where_they_differ(flip.expected, flip.baseline, flip.candidate)
        yield f"    {f'expected {expected!r}, ' if told else ''}baseline {baseline!r}, candidate {candidate!r}"
        if flip.why:
            yield f"    {printable(flip.why, 150)}"


def _from_where_they_differ(expected: str, baseline: str, candidate: str) -> list[str]:
    """Short excerpts; of a long expected text and an answer that is like it at first, from where they part."""
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(expected, candidate, strict=False))))
    start = max(same - _ALIKE_SHOWN, 0) if max(len(expected), len(candidate)) > _EXCERPT else 0
    cut = [text[start:] if text[:start] == expected[:start] else text for text in (expected, baseline, candidate)]
    return [
        printable(f"...{part}" if part is not text and start else part, _EXCERPT)
        for part, text in zip(cut, (expected, baseline, candidate), strict=True)
    ]
