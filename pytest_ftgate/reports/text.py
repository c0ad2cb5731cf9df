"""A result as text of 80 columns: the block of a gate, which is the failure of a red test."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from pytest_ftgate.check_names import described
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.result import RED, Check, Flip, GateResult
from pytest_ftgate.text import middle, plural, printable, wrapped

WIDTH = 80
_NAME_WIDTHS = (300, 24, 16)  # of the names of models, the widest that fits
_EXAMPLES_SHOWN = 3
_WARNINGS_SHOWN = 3  # of those that do not question the result
_PLACE, _EXCERPT, _WHY, _PAIR = 40, 60, 150, 100  # characters of texts
_BELOW = " " * 6  # as wide as a check's status
_DOCS = "reference/metrics-and-checks#check-"
_COLOURS = {"error": "red", "fail": "red", "inconclusive": "red", "pass": "green"}
_COLOURS["warning"] = "yellow"


class Line(NamedTuple):
    """A line of text and its colour ("" for none)."""

    text: str
    colour: str = ""


def title(result: GateResult) -> Line:
    """Return ``ftgate intents: PASS``."""
    return Line(heading(result.name, result.verdict.upper()), _COLOURS[result.verdict])


def heading(name: str, outcome: str) -> str:
    """Return a gate and its outcome; a long name is cut, so that a rule of 80 columns holds it."""
    room = WIDTH - len(f"- ftgate : {outcome} -")
    return f"ftgate {middle(printable(name), room)}: {outcome}"


def failure_text(result: GateResult, verbosity: int = 0) -> str:
    """Return the title and the block as one text: the failure of a red test."""
    lines = [title(result), *block(result, verbosity=verbosity)]
    return "\n".join(line.text for line in lines)


def block(result: GateResult, *, verbosity: int = 0) -> list[Line]:
    """Return the lines of the gate's block, each safe to print and of at most 80 columns.

    A red gate begins with the checks that do not hold and with examples of what they found; one in
    error shows nothing else. Unless ``verbosity``, that of pytest, is above 0, passed checks and
    notes are only counted, a warning has no cure, and details are left out.
    """
    is_full = verbosity > 0
    cures_shown: set[str] = set()
    red = sentences.red_checks(result)
    others = sentences.with_status(result.checks, "warning", "pass", "note")
    examples = _examples(result, is_full=is_full)
    counted = []
    if others:
        counted.append(f"{sentences.counted(others)} (-v shows them)")

    # What failed is read first, and is what a CI log shows of a long block.
    lines: list[Line] = []
    for check in red:
        lines += _checks([check], cures_shown, sentences.facts_of(result, check), is_full=is_full)
    # Numbers of a gate that could not be judged would only distract.
    if result.verdict == "error" and not is_full:
        return [*lines, *_lines([*sentences.stage_sentence(result), *counted], "red")]
    if red:
        if examples:
            lines += [Line(""), *examples]
        lines.append(Line(""))

    lines += _lines(sentences.outcome_sentences(result), "bold")
    lines += _lines(sentences.stage_sentence(result), title(result).colour)
    models = _model_table(result, is_full=is_full)
    # Above a table of recorded answers this would read as a contradiction.
    if not result.models_called and not models:
        lines.append(Line("no model was called"))
    lines += _lines([*models, *_remarks(result, is_full=is_full)])

    if is_full:
        lines += _lines(_details(result))
        if not red:
            lines += examples
        lines += _checks(others, cures_shown, is_full=True)
        if others:
            lines.append(Line(f"docs of each check: {_DOCS}NAME"))
        return [*lines, *_lines(_last_details(result))]

    # A red check of costs has said it.
    if result.economics is not None and not any(check.kind == "cost" for check in red):
        lines += _lines([result.economics.sentence])
    warnings = sentences.with_status(others, "warning")
    if result.stage == "ready":  # whose first line says the power
        warnings = [check for check in warnings if check.name != "power"]
    lines += _warnings(warnings)
    return [*lines, *_lines(counted)]


def _remarks(result: GateResult, *, is_full: bool) -> Iterator[str]:
    """Yield the hypothesis, and what more training data brought.

    The latter is said by the cure of a red gate, and by a note of its own if ``is_full``.
    """
    yield from sentences.hypothesis_sentence(result)
    if result.passed and not is_full:
        yield from sentences.doubling_sentence(result)


def _lines(texts: Iterable[str], colour: str = "", indent: str = "    ") -> list[Line]:
    """Return the texts as lines, wrapped between words; ``indent`` begins their further lines."""
    lines = []
    for text in texts:
        lines += [Line(row, colour) for row in _fold(text, indent)]
    return lines


def _fold(text: str, indent: str) -> list[str]:
    return wrapped(text, indent=indent, width=WIDTH, break_words=False) or [""]


# --- checks ---------------------------------------------------------------------------------------


def finding(message: str, *facts: str, cure: str | None = None) -> Iterator[list[str]]:
    """Yield the wrapped lines of a finding with its status, of further facts, and of the cure."""
    yield _fold(message, _BELOW)
    for fact in facts:
        if fact:
            yield _fold(f"{_BELOW}{fact}", _BELOW)
    if cure:
        yield _fold(f"fix:  {cure}", _BELOW)


def _checks(
    checks: Iterable[Check], cures_shown: set[str], facts: str = "", *, is_full: bool = False
) -> Iterator[Line]:
    """Yield checks, each with further facts, and with its cure unless that is in ``cures_shown``.

    ``is_full`` adds its rule, and where it is documented, to each that does not hold.
    """
    for check in sentences.advised_once(checks, cures_shown):
        status = check.status.upper() if check.status in RED else check.status
        message = f"{status:<5} {check.name}: {sentences.with_source(check)}"
        rule = _rule(check) if is_full else ()
        first, *details = finding(message, facts, *rule, cure=check.cure)
        for row in first:
            yield Line(row, _colour(check))
        for rows in details:
            for row in rows:
                yield Line(row)


def _colour(check: Check) -> str:
    """Return the colour of a check.

    A weakened gate passes by its own weaker threshold, so warnings of the review must be seen.
    """
    if (check.kind, check.status) == ("review", "warning"):
        return "red"
    return _COLOURS.get(check.status, "")


def _rule(check: Check) -> list[str]:
    """Return the sentence of the rule that a check does not hold, and where it is documented."""
    entry = described(check.name)
    if entry is None or check.status not in (*RED, "warning"):
        return []
    return [f"rule: {entry.rule}", f"docs: {_DOCS}{entry.name}"]


def finding_lines(checks: Iterable[Check]) -> Iterator[Line]:
    """Return what is not in order of a gate that is not judged, problems first."""
    return _checks(sentences.with_status(checks, *RED, "warning"), set())


def _warnings(checks: Sequence[Check]) -> Iterator[Line]:
    """Yield warnings without cures: all that question the result, and the first others."""
    doubts: list[Check] = []
    others: list[Check] = []
    for check in checks:
        # A check of a hook is the project's own rule, which it wants to see.
        entry = described(check.name)
        if entry is None or entry.questions_result:
            doubts.append(replace(check, cure=None))
        else:
            others.append(replace(check, cure=None))

    yield from _checks([*doubts, *others[:_WARNINGS_SHOWN]], set())
    if len(others) > _WARNINGS_SHOWN:
        yield Line(f"{plural(len(others) - _WARNINGS_SHOWN, 'more warning')} (-v)", "yellow")


# --- models, answers and details ------------------------------------------------------------------


def _model_table(result: GateResult, *, is_full: bool) -> list[str]:
    """Return the table of models, with tokens if ``is_full``.

    If it is wider than 80 columns, return two, scores first.
    """
    table = tables.models(result)
    if not is_full:
        table = table.without(tables.TOKENS)
    name_widths: Sequence[int] = _NAME_WIDTHS
    if is_full:
        name_widths = name_widths[:1]
    lines = []
    for name_width in name_widths:
        lines = _joined(table, name_width).lines()
        if max(map(len, lines), default=0) <= WIDTH:
            return lines

    # Two tables that repeat the roles are easier to read than lines that a terminal breaks.
    scores = table.without(*tables.RUN_COLUMNS)
    runs = table.without(*scores.headings[1:])
    return [*_joined(scores, name_width).lines(), *runs.lines()]


def _joined(table: tables.Table, name_width: int) -> tables.Table:
    """Return the table with role and model in one column; ``name_width`` limits the model's."""
    width = max((len(row[0]) for row in table.rows), default=0)
    rows = []
    for role, name, *cells in table.rows:
        rows.append((f"{role:<{width}} {middle(name, name_width)}", *cells))
    return replace(table, columns=(*tables.columns([""]), *table.columns[2:]), rows=tuple(rows))


def _examples(result: GateResult, *, is_full: bool) -> list[Line]:
    """Return answers of the candidate: those that the red checks are about, else what it broke.

    Only the first few unless ``is_full``.
    """
    groups = sentences.examples(result)
    if groups and not is_full:
        groups = [groups[0].first(_EXAMPLES_SHOWN)]

    lines = []
    for group in groups:
        lines += _lines([f"{group.title}:"])
        for example in group.flips:
            texts = _example(example, is_change=result.passed)
            lines += _lines(texts, indent=" " * 10)
    return lines


def _example(example: Flip, *, is_change: bool) -> Iterator[str]:
    """Yield an example with all answers, or if ``is_change`` as ``right -> wrong``."""
    place = middle(printable(example.where or example.id), _PLACE)
    yield f"  {place}  {middle(printable(example.input), WIDTH - len(place) - 4)}"

    baseline = _quoted(example.baseline)
    candidate = _quoted(example.candidate)
    if is_change:
        yield f"      {baseline} -> {candidate}"
    elif example.expected:
        expected = _quoted(example.expected)
        yield f"      expected {expected}, baseline {baseline}, candidate {candidate}"
    else:  # of a test set for a judge
        yield f"      baseline {baseline}, candidate {candidate}"
    if example.why:
        yield f"      {printable(example.why, _WHY)}"


def _quoted(text: str) -> str:
    return repr(middle(printable(text), _EXCERPT))


def _details(result: GateResult) -> Iterator[str]:
    """Yield what only ``-v`` shows, but the checks and the inputs."""
    yield from sentences.detectable_sentence(result)
    # The check that says the gain has both bounds below it.
    if not sentences.tells_gain(result):
        yield from sentences.upper_bound_sentence(result)
    yield from sentences.method_sentence(result)
    yield from sentences.price_sentences(result)
    for _, content in tables.sections(result):
        for piece in content:
            if isinstance(piece, str):
                yield piece
            else:
                yield piece.title
                yield from _table_lines(piece)


def _last_details(result: GateResult) -> Iterator[str]:
    """Yield the rows that are alike, and the inputs."""
    for title, pairs in (
        ("test examples in the training set", result.training.leaked_pairs),
        ("test examples with a near duplicate in the training set", result.training.near_pairs),
    ):
        if pairs:
            yield f"{title} ({len(pairs):,}):"
        for pair in pairs:
            texts = repr(printable(pair.text, _PAIR))
            if pair.other_text != pair.text:
                texts += f" and {printable(pair.other_text, _PAIR)!r}"
            yield f"  {pair.row} ~ {pair.other}: {texts}"

    inputs = list(sentences.input_sentences(result))
    if inputs:
        yield "inputs:"
    for sentence in inputs:
        yield f"  {sentence}"


def _table_lines(table: tables.Table) -> list[str]:
    """Return a table without upper bounds, for which a terminal has no room."""
    return table.without(tables.UPPER).lines("  ")
