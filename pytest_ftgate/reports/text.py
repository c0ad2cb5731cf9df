"""A result as text for a terminal or a CI log of 80 columns: the block of a gate, which is a red test's failure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from pytest_ftgate.check_names import described
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.result import PROBLEMS_FIRST, RED, Check, GateResult
from pytest_ftgate.text import middle, plural, printable, shortened, wrapped

WIDTH = 80
_MODEL_WIDTHS = (300, 24, 16)  # of the names of models, the widest that fits
_EXAMPLES_SHOWN, _SLICES_SHOWN, _WARNINGS_SHOWN, _ROWS_SHOWN = 3, 5, 3, 30
_PLACE, _EXCERPT, _WHY, _PAIR = 40, 60, 150, 100  # characters of texts
_BELOW = " " * 6  # as wide as a check's status
_COLOURS: dict[str, str] = {
    **dict.fromkeys(RED, "red"),
    "pass": "green",
    "warning": "yellow",
    "note": "",
}


class Line(NamedTuple):
    """A line of text and its colour ("" for none)."""

    text: str
    colour: str = ""


def title(result: GateResult) -> Line:
    """Return ``ftgate intents: PASS``."""
    return Line(
        f"ftgate {printable(result.name, 300)}: {result.verdict.upper()}", _COLOURS[result.verdict]
    )


def failure_text(result: GateResult, verbosity: int = 0) -> str:
    """Return the title and the block as one text: the failure of a red test."""
    return "\n".join(line.text for line in (title(result), *block(result, verbosity=verbosity)))


def block(result: GateResult, *, verbosity: int = 0) -> list[Line]:
    """Return the lines of the gate's block, each safe to print and of at most 80 columns.

    A red gate begins with the checks that decide its verdict and wrong answers of the candidate;
    one in error shows nothing else. Unless ``verbosity``, that of pytest, is above 0, passed checks
    and notes are only counted, a warning is one line, and details are left out.
    """
    full, said = verbosity > 0, set[str]()
    deciding = sentences.deciding_checks(result)
    others = sorted(result.checks, key=lambda check: PROBLEMS_FIRST.index(check.status))
    others = [check for check in others if check not in deciding]
    measured = () if result.gain is None else (result.gain, result.lower_bound)
    # what the gain is, too
    told = any(one.kind == "gain" and one.observed in measured for one in deciding[:1])
    facts = "; ".join((*sentences.bounds(result), sentences.changed(result))) if told else ""
    is_agreement_told = any(sentences.is_of_agreement(result, check) for check in deciding[:1])
    if is_agreement_told and result.agreement is not None:
        facts = "; ".join(sentences.agreement_facts(result, result.agreement))
    lines = [
        *_checks(deciding[:1], said, facts, rules=full),
        *_checks(deciding[1:], said, rules=full),
    ]
    red = [check for check in others if check.status in RED]
    if result.verdict == "error" and not full:
        return [
            *lines,
            *_checks(red, said),
            *_lines((*sentences.stage_sentence(result), *_counted(others)), "red"),
        ]
    answers = _lines(_examples(result, None if full else _EXAMPLES_SHOWN), then=" " * 10)
    if deciding:
        lines += [*([Line(""), *answers] if answers else []), Line("")]
    gain = (
        ()
        if told or result.gain is None
        else (*sentences.gain_sentence(result), sentences.changed(result))
    )
    lines += _lines(gain, "bold")
    if not is_agreement_told:
        lines += _lines(sentences.agreement_sentence(result), "bold")
    lines += _lines(
        (
            *sentences.detectable_sentence(result),
            *(sentences.method_sentences(result) if full else ()),
            *sentences.champion_sentences(result),
        )
    )
    lines += _lines(sentences.stage_sentence(result), "green" if result.passed else "red")
    lines += _lines(() if result.models_called else ("no model was called",))
    lines += _lines((*_model_table(result, full=full), *sentences.hypothesis_sentence(result)))
    if full:
        lines += [
            *_lines(_details(result)),
            *(() if deciding else answers),
            *_checks(others, said, rules=full),
        ]
        inputs = [f"  {sentence}" for sentence in sentences.input_sentences(result)]
        return [*lines, *_lines((*_row_pairs(result), *(["inputs:", *inputs] if inputs else [])))]
    lines += _lines(() if result.economics is None else (result.economics.sentence,))
    lines += _lines(_table_lines(tables.red_parts(result, _SLICES_SHOWN)))
    lines += [*_checks(red, said), *_warnings([one for one in others if one.status == "warning"])]
    return [*lines, *_lines(_counted(others))]


def _lines(texts: Iterable[str], colour: str = "", then: str = "    ") -> list[Line]:
    """Return the texts as lines, wrapped between words."""
    return [Line(part, colour) for text in texts for part in _fold(text, then)]


def _fold(text: str, then: str) -> list[str]:
    return wrapped(text, then=then, width=WIDTH, break_words=False) or [""]


# --- checks
# --------------------------------------------------------------------------------------------------


def finding(what: str, *facts: str, cure: str | None = None) -> Iterator[list[str]]:
    """Yield the wrapped lines of a finding, which begins with its status, of further facts, and of the cure."""
    yield _fold(what, _BELOW)
    for fact in facts:
        if fact:
            yield _fold(f"{_BELOW}{fact}", _BELOW)
    if cure:
        yield _fold(f"fix:  {cure}", _BELOW)


def _checks(
    checks: Iterable[Check], said: set[str], facts: str = "", *, rules: bool = False
) -> Iterator[Line]:
    """Yield checks, each with further facts, and with its cure unless that was ``said``.

    ``rules`` adds the sentence of its rule to each that does not hold.
    """
    for check in sentences.advised_once(checks, said):
        status = check.status.upper() if check.status in RED else check.status
        # A weakened gate passes by its own weaker threshold: make sure that warnings of the review
        # are seen.
        colour = (
            "red" if (check.kind, check.status) == ("review", "warning") else _COLOURS[check.status]
        )
        what = f"{status:<5} {check.name}: {sentences.with_source(check)}"
        rule = _rule(check) if rules else ""
        first, *others = finding(what, facts, rule, cure=check.advice)
        yield from (Line(text, colour) for text in first)
        yield from (Line(text) for part in others for text in part)


def _rule(check: Check) -> str:
    """Return the sentence of the rule that a check does not hold, as a line of its own."""
    entry = described(check.name)
    if entry is None or check.status not in (*RED, "warning"):
        return ""
    return f"rule: {entry.rule}"


def finding_lines(checks: Iterable[Check]) -> Iterator[Line]:
    """Yield what is not in order of a gate that is not judged, problems first; all lines are safe to print."""
    shown = [check for check in checks if check.status in (*RED, "warning")]
    return _checks(sorted(shown, key=lambda one: one.status not in RED), set())


def _warnings(checks: Sequence[Check]) -> Iterator[Line]:
    """Yield those of the review in full, then the first others, a line each, and how many more there are."""
    yield from _checks(
        (replace(check, advice=None) for check in checks if check.kind == "review"), set()
    )
    short = [check for check in checks if check.kind != "review"]
    for check in short[:_WARNINGS_SHOWN]:
        yield Line(
            shortened(printable(f"warning {check.name}: {sentences.with_source(check)}"), WIDTH),
            "yellow",
        )
    if len(short) > _WARNINGS_SHOWN:
        yield Line(f"{plural(len(short) - _WARNINGS_SHOWN, 'more warning')} (-v)", "yellow")


def _counted(checks: Iterable[Check]) -> Iterator[str]:
    """Yield one line that counts the other checks: ``14 checks passed, 1 warning, 2 notes (-v shows them)``."""
    statuses = [one.status for one in checks]
    passed, warnings, notes = (statuses.count(one) for one in ("pass", "warning", "note"))
    counts = [f"{plural(passed, 'check')} passed"] if passed else []
    counts += [
        plural(count, noun) for count, noun in ((warnings, "warning"), (notes, "note")) if count
    ]
    if counts:
        yield f"{', '.join(counts)} (-v shows them)"


# --- models, answers and details
# -----------------------------------------------------------------------------


def _model_table(result: GateResult, *, full: bool = False) -> list[str]:
    """Return the table of models, with tokens if ``full``.

    If it is wider than 80 columns, return two, scores first.
    """
    whole = tables.models(result) if full else tables.models(result).without(tables.TOKENS)
    for most in _MODEL_WIDTHS[: 1 if full else None]:
        lines = _joined(whole, most).lines()
        if max(map(len, lines), default=0) <= WIDTH:
            return lines
    others = [
        column.heading for column in whole.columns[1:] if column.heading not in tables.RUN_COLUMNS
    ]
    return [
        *_joined(whole.without(*tables.RUN_COLUMNS), most).lines(),
        *whole.without(*others).lines(),
    ]


def _joined(table: tables.Table, most: int) -> tables.Table:
    """Return the table with role and model in one column, and names of models cut to ``most`` characters."""
    width = max((len(row[0]) for row in table.rows), default=0)
    rows = tuple(
        (f"{role:<{width}} {middle(name, most)}", *rest) for role, name, *rest in table.rows
    )
    return replace(table, columns=(*tables.columns([""]), *table.columns[2:]), rows=rows)


def _examples(result: GateResult, most: int | None) -> Iterator[str]:
    """Yield answers of the candidate: wrong ones of a red gate, else what it broke, as ``right -> wrong``."""
    heading, flips = sentences.examples(result, most)
    if flips:
        yield f"{heading}:"
    for one in flips:
        place = middle(printable(one.where or one.id), _PLACE)
        yield f"  {place}  {middle(printable(one.input), WIDTH - len(place) - 4)}"
        texts = one.expected, one.baseline, one.candidate
        expected, baseline, candidate = (repr(middle(printable(text), _EXCERPT)) for text in texts)
        # else the test set has no expected outputs
        labelled = f"expected {expected}, " if one.expected else ""
        red = f"{labelled}baseline {baseline}, candidate {candidate}"
        yield f"      {f'{baseline} -> {candidate}' if result.passed else red}"
        if one.why:
            yield f"      {printable(one.why, _WHY)}"


def _details(result: GateResult) -> Iterator[str]:
    """Yield what only ``-v`` shows, but the checks and the inputs."""
    yield from sentences.price_sentences(result)
    for _, content in tables.sections(result, _ROWS_SHOWN):
        for part in content:
            yield from (part,) if isinstance(part, str) else (part.title, *_table_lines(part))


def _table_lines(table: tables.Table) -> list[str]:
    """Return a table without upper bounds, for which a terminal has no room."""
    return table.without(tables.UPPER).lines("  ")


def _row_pairs(result: GateResult) -> Iterator[str]:
    for table in tables.row_pairs(result):
        yield f"{table.title}:"
        for row, text, other, other_text in table.rows:
            texts = dict.fromkeys(repr(printable(one, _PAIR)) for one in (text, other_text))
            yield f"  {row} ~ {other}: {' and '.join(texts)}"
