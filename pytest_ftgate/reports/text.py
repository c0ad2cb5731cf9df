"""A result as text for a terminal or a CI log of 80 columns: the block of a gate, which is a red test's failure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.table import Column, Table
from pytest_ftgate.result import PROBLEMS_FIRST, RED, Check, GateResult
from pytest_ftgate.text import middle, plural, printable, shortened, wrapped

WIDTH = 80
_NAME_WIDTH = 300
_NARROW_MODEL_WIDTH = 16
_EXAMPLES_SHOWN = 3
_SLICES_SHOWN = 5
_MANY_ROWS = 30  # of the parts of a metric
_WARNINGS_SHOWN = 3
_PLACE, _EXCERPT, _ALIKE_SHOWN, _WHY = 40, 60, 20, 150
_PAIR = 100  # characters of each text
_BELOW = " " * 6  # as wide as a check's status
_HIDDEN = ("pass", "note")
_COLOURS: dict[str, str] = {**dict.fromkeys(RED, "red"), "pass": "green", "warning": "yellow", "note": ""}


class Line(NamedTuple):
    """A line of text and its colour ("" for none)."""

    text: str
    colour: str = ""


def block(result: GateResult, *, verbosity: int = 0) -> list[Line]:
    """Return the lines of the gate's block, each safe to print and of at most 80 columns.

    A red gate begins with the checks that decide its verdict and wrong answers of the candidate; one in error shows
    nothing else. Unless ``verbosity`` is above 0, passed checks and notes are only counted, a warning is one line, and
    details are left out.

    Args:
        verbosity: that of pytest.
    """
    full = verbosity > 0
    deciding = [] if result.passed else sentences.deciding_checks(result)
    others = sorted(
        (one for one in result.checks if one not in deciding), key=lambda one: PROBLEMS_FIRST.index(one.status)
    )
    said: set[str] = set()
    values = () if result.gain is None else (result.gain, result.lower_bound)
    told = any(one.kind == "gain" and one.observed in values for one in deciding[:1])
    lines: list[Line] = []
    for check in sentences.advised_once(deciding, said):
        facts = (sentences.bounds(result), sentences.changed(result)) if told and check.name == deciding[0].name else ()
        lines += check_lines(check, "; ".join(filter(None, facts)))
    if result.verdict == "error" and not full:
        red = [one for one in others if one.status in RED]
        return [*lines, *_checks(red, said), *_lines((sentences.stage_sentence(result), *_counted(others)), "red")]
    answers = _lines(_examples(result, None if full else _EXAMPLES_SHOWN), then=" " * 10) if full or deciding else []
    if deciding:
        lines += [*_apart(answers), Line("")]
    lines += _lines(() if told else _gain(result), "bold")
    lines += _lines((sentences.detectable_sentence(result),))
    lines += _lines(sentences.method_sentences(result) if full else ())
    lines += _lines(sentences.champion_sentences(result))
    lines += _lines((sentences.stage_sentence(result),), "green" if result.passed else "red")
    lines += _lines((None if result.models_called else "no model was called",))
    lines += _lines(model_table(result, full=full))
    lines += _lines((sentences.hypothesis_sentence(result),))
    lines += _lines((None if full or result.economics is None else result.economics.sentence,))
    if full:
        lines += [*_lines(_details(result)), *(() if deciding else answers), *_checks(others, said)]
        return [*lines, *_lines((*_leaks(result), *_inputs(result)))]
    lines += _lines(_table_lines(tables.red_parts(result, _SLICES_SHOWN)))
    lines += _checks([one for one in others if one.status in RED], said)
    return [*lines, *_warnings([one for one in others if one.status == "warning"]), *_lines(_counted(others))]


def title(result: GateResult) -> Line:
    """Return ``ftgate intents: PASS``."""
    return Line(f"ftgate {printable(result.name, _NAME_WIDTH)}: {result.verdict.upper()}", _COLOURS[result.verdict])


def failure_text(result: GateResult, verbosity: int = 0) -> str:
    """Return the title and the block as one text: the failure of a red test."""
    return "\n".join(line.text for line in (title(result), *block(result, verbosity=verbosity)))


def _lines(texts: Iterable[str | None], colour: str = "", then: str = "    ") -> list[Line]:
    """Return the texts that are not ``None`` as lines, wrapped between words."""
    return [Line(part, colour) for text in texts if text is not None for part in _fold(text, then)]


def _fold(text: str, then: str) -> list[str]:
    return wrapped(text, then=then, width=WIDTH, break_words=False) or [""]


def _apart(lines: Sequence[Line]) -> list[Line]:
    """Return lines after an empty one; nothing without lines."""
    return [Line(""), *lines] if lines else []


# --- checks --------------------------------------------------------------------------------------------------


def check_lines(check: Check, facts: str = "") -> Iterator[Line]:
    """Yield a check, further facts, and its cure."""
    status = check.status.upper() if check.status in RED else check.status
    # A weakened gate passes by its own weaker threshold: make sure that warnings of the review are seen.
    colour = "red" if (check.kind, check.status) == ("review", "warning") else _COLOURS[check.status]
    first, *others = finding(f"{status:<5} {check.name}: {sentences.with_source(check)}", facts, check.advice)
    yield from (Line(text, colour) for text in first)
    yield from (Line(text) for part in others for text in part)


def finding(what: str, facts: str = "", cure: str | None = None) -> Iterator[list[str]]:
    """Yield the wrapped lines of a finding, which begins with its status, of further facts, and of the cure."""
    for text in (what, f"{_BELOW}{facts}" if facts else "", f"fix:  {cure}" if cure else ""):
        if text:
            yield _fold(text, _BELOW)


def _checks(checks: Iterable[Check], said: set[str]) -> list[Line]:
    return [line for check in sentences.advised_once(checks, said) for line in check_lines(check)]


def finding_lines(checks: Iterable[Check]) -> Iterator[Line]:
    """Yield what is not in order of a gate that is not judged, problems first; all lines are safe to print."""
    for check in sorted(checks, key=lambda one: one.status not in RED):
        if check.status in (*RED, "warning"):
            yield from check_lines(check)


def _warnings(checks: Sequence[Check]) -> Iterator[Line]:
    """Yield those of the review in full, then the first others, a line each, and how many more there are."""
    short = [check for check in checks if check.kind != "review"]
    yield from (line for one in checks if one not in short for line in check_lines(replace(one, advice=None)))
    for check in short[:_WARNINGS_SHOWN]:
        yield Line(shortened(printable(f"warning {check.name}: {sentences.with_source(check)}"), WIDTH), "yellow")
    if len(short) > _WARNINGS_SHOWN:
        yield Line(f"{plural(len(short) - _WARNINGS_SHOWN, 'more warning')} (-v)", "yellow")


def _counted(checks: Iterable[Check]) -> Iterator[str]:
    """Yield one line that counts the other checks: ``14 checks passed, 1 warning, 2 notes (-v shows them)``."""
    statuses = [one.status for one in checks]
    passed, warnings, notes = (statuses.count(one) for one in ("pass", "warning", "note"))
    counts = [f"{plural(passed, 'check')} passed"] if passed else []
    counts += [plural(warnings, "warning")] if warnings else []
    counts += [plural(notes, "note")] if notes else []
    if counts:
        yield f"{', '.join(counts)} (-v shows them)"


# --- the gain and the models ---------------------------------------------------------------------------------


def _gain(result: GateResult) -> Iterator[str]:
    gain = sentences.gain_sentence(result)
    yield from () if gain is None else (gain, sentences.changed(result))


def model_table(result: GateResult, *, full: bool = False) -> list[str]:
    """Return the table of models, with tokens if ``full``. If it is wider than 80 columns, return two, scores first."""
    whole = tables.models(result)
    whole = whole if full else whole.only(
        number for number, column in enumerate(whole.columns) if column.heading != tables.TOKENS
    )  # fmt: skip
    fitted = _narrowed(whole)
    if _width_of(fitted) <= WIDTH and not (full and fitted != whole):
        return _joined(fitted).lines()
    run = [number for number, column in enumerate(whole.columns) if number > 1 and column.heading in tables.RUN_COLUMNS]
    scores = whole.only(number for number in range(len(whole.columns)) if number not in run)
    return [*_joined(scores if full else _narrowed(scores)).lines(), *whole.only([0, *run]).lines()]


def _width_of(table: Table) -> int:
    return max(map(len, _joined(table).lines()), default=0)


def _joined(table: Table) -> Table:
    """Return the table with role and model in one column."""
    width = max((len(row[0]) for row in table.rows), default=0)
    rows = tuple((f"{role:<{width}} {name}", *rest) for role, name, *rest in table.rows)
    return replace(table, columns=(Column("", "text"), *table.columns[2:]), rows=rows)


def _narrowed(table: Table) -> Table:
    """Return the table with the names of models shortened to fit, but not below a readable length."""
    others = _width_of(table) - max((len(row[1]) for row in table.rows), default=0)
    most = max(WIDTH - others, _NARROW_MODEL_WIDTH)
    return replace(table, rows=tuple((row[0], middle(row[1], most), *row[2:]) for row in table.rows))


# --- details -------------------------------------------------------------------------------------------------


def _details(result: GateResult) -> Iterator[str]:
    """Yield what only ``-v`` shows, but the checks and the inputs."""
    age = sentences.age_sentence(result)
    yield from () if age is None else (age,)
    yield from sentences.price_sentences(result)
    for _, content in tables.sections(result, tables.worst_rows(result, _MANY_ROWS)):
        for part in content:
            yield from (part,) if isinstance(part, str) else (part.title, *_table_lines(part))
    shown = most_to_try(result)
    yield from ("more advice:",) if shown else ()
    for number, one in enumerate(shown, start=1):
        yield f"  {number}. {one.action.replace('_', ' ')}: {one.text}"
        yield f"     because {one.fact}"


def _table_lines(table: Table) -> list[str]:
    """Return a table without upper bounds, for which a terminal has no room."""
    return table.only(n for n, one in enumerate(table.columns) if one.heading != tables.UPPER).lines("  ")


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


def _examples(result: GateResult, most: int | None) -> Iterator[str]:
    """Yield answers of the candidate: wrong ones of a red gate, else what it broke, as ``right -> wrong``."""
    heading, flips = sentences.examples(result, most)
    if flips:
        yield f"{heading}:"
    for one in flips:
        place = middle(printable(one.where or one.id), _PLACE)
        yield f"  {place}  {middle(printable(one.input), WIDTH - len(place) - 4)}"
        expected, baseline, candidate = _from_where_they_differ(one.expected, one.baseline, one.candidate)
        labelled = f"expected {expected!r}, " if one.expected else ""  # else the test set has no expected outputs
        if result.passed:
            yield f"      {baseline!r} -> {candidate!r}"
        else:
            yield f"      {labelled}baseline {baseline!r}, candidate {candidate!r}"
        if one.why:
            yield f"      {printable(one.why, _WHY)}"


def _from_where_they_differ(expected: str, baseline: str, candidate: str) -> list[str]:
    """Return excerpts of all three; if long texts begin alike, from where the candidate departs from the expected."""
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(expected, candidate, strict=False))))
    start = max(same - _ALIKE_SHOWN, 0) if max(len(expected), len(candidate)) > _EXCERPT else 0
    cut = [text[start:] if text[:start] == expected[:start] else text for text in (expected, baseline, candidate)]
    return [
        printable(f"...{part}" if part is not text and start else part, _EXCERPT)
        for part, text in zip(cut, (expected, baseline, candidate), strict=True)
    ]
