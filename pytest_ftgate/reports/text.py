"""A result for a terminal or a CI log: one block a gate, and the text of its failure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from pytest_ftgate.reports.tables import (
    advice_lines,
    breakdown_lines,
    changed,
    clock_lines,
    diagnosis_lines,
    economics_lines,
    judge_lines,
    part_lines,
    worse_title,
)
from pytest_ftgate.result import Check, GateResult, ModelResult, Verdict, called
from pytest_ftgate.text import (
    is_share,
    printable,
    show_age,
    show_amount,
    show_count,
    show_difference,
    show_seconds,
    show_usd,
    show_value,
    sure_of_drop,
)

_NAME_WIDTH = 300
_TABLE_WIDTH = 80
_NARROW_MODEL_WIDTH = 16
_RUN_COLUMNS = ("answered", "stored", "p50", "p95", "tokens in/out", "cost")
_BROKEN_SHOWN = 3
_EXCERPT, _ALIKE_SHOWN = 60, 20
_BELOW = " " * 10  # as wide as a check's status
_BELOW_ADVICE = " " * 5  # as wide as its number
_UNTOLD = {"-", "unknown"}  # a column with nothing else in it is left out
_COLOURS = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "red",
    "error": "red",
    "warning": "yellow",
    "note": "",
}


class Line(NamedTuple):
    """A line of text and the colour it is meant to have ("" for none)."""

    text: str
    colour: str = ""


def block(result: GateResult, *, verbosity: int = 0, width: int = _TABLE_WIDTH, wrap: bool = False) -> list[Line]:
    """The gate's block: models, gain, checks, the examples that the candidate broke. Every line is harmless.

    Args:
        result: a judged gate.
        verbosity: pytest's; above 0 every row, check and method is there in full.
        width: columns of the terminal, into which tables are fitted.
        wrap: checks are fitted, too; in a log, where one is searched for, each stays on its line.
    """
    lines = _stage(result)
    lines += [Line(f"hypothesis: {result.hypothesis}")] if result.hypothesis else []
    lines += [Line(text) for text in model_table(result, full=verbosity > 0, width=width)]
    lines += _candidates(result)
    lines += _prices(result, verbosity)
    lines += _ages(result)
    lines += _gain(result, verbosity)
    lines += [Line(text) for text in judge_lines(result)]
    lines += [Line(text) for text in economics_lines(result.economics)] if result.economics else []
    lines += [Line(text) for text in clock_lines(result, full=verbosity > 0)]
    for check in sorted(_told(result, verbosity), key=_held):
        lines += _wrapped(_check(check), width, _BELOW) if wrap else _check(check)
    lines += [Line(text) for text in part_lines(result, full=verbosity > 0)]
    lines += [Line(text) for text in breakdown_lines(result, full=verbosity > 0)]
    if verbosity > 0:
        lines += _jobs(result)
        lines += _data(result)
        lines += [Line(f"mark: {result.location}")] if result.location else []
    lines += _broken(result, len(result.broken) if verbosity > 0 else _BROKEN_SHOWN)
    lines += [Line(text) for text in diagnosis_lines(result, full=verbosity > 0)]
    advice = [Line(text, "bold") for text in advice_lines(result)]
    lines += _wrapped(advice, width, _BELOW_ADVICE) if wrap else advice
    return [Line(printable(text), colour) for text, colour in lines]


def _stage(result: GateResult) -> list[Line]:
    """What green means before training."""
    if result.stage != "ready":
        return []
    return [Line("READY: train now", "green") if result.passed else Line("NOT READY: do not train yet", "red")]


def title(result: GateResult) -> Line:
    """``ftgate intents: PASS``."""
    return Line(f"ftgate {_name(result)}: {result.verdict.upper()}", _COLOURS[result.verdict])


def failure_text(result: GateResult) -> str:
    """Why the gate is not green. The first line stands alone: the short summary shows no more than that."""
    held = [check for check in result.checks if check.status == result.verdict]
    first, *others = held
    lines = [f"gate {_name(result)}: {_word(result.verdict)}: {first.message}"]
    lines += [f"  advice: {first.advice}"] if first.advice else []
    for check in others:
        lines.append(f"  and {check.name}: {check.message}")
        lines += [f"    advice: {check.advice}"] if check.advice else []
    return "\n".join(map(printable, lines))


def _name(result: GateResult) -> str:
    """Short enough that the verdict after it is seen."""
    return printable(result.name, _NAME_WIDTH)


def _word(verdict: Verdict) -> str:
    return {
        "pass": "passed",
        "fail": "failed",
        "inconclusive": "inconclusive",
        "error": "could not be judged",
    }[verdict]


# --- the table -----------------------------------------------------------------------------------------------


def model_table(result: GateResult, *, full: bool = False, width: int = _TABLE_WIDTH) -> list[str]:
    """A row per model: its metrics, the answers it gave, its time, tokens and cost. Empty where none was called.

    Where that is wider than the terminal it becomes two tables, the metrics first.
    """
    whole = model_cells(result)
    if not whole:
        return []
    run = [column for column, title in enumerate(whole[0]) if title in _RUN_COLUMNS and column > 1]
    scores = [column for column in range(len(whole[0])) if column not in run]
    fitted = whole if full else _narrowed(whole, width)
    if _width_of(fitted) <= width:
        return _aligned(fitted)
    first, second = ([[row[column] for column in columns] for row in whole] for columns in (scores, [0, *run]))
    return [*_aligned(first if full else _narrowed(first, width)), *_aligned(second, texts=1)]


def model_cells(result: GateResult) -> list[list[str]]:
    """The same as cells, below a row of headings; a column that says nothing is left out."""
    if not result.models_called:
        return []
    rows = [*result.baselines.items(), *([] if result.stage == "ready" else [("candidate", result.candidate)])]
    rows += [("bare", result.bare)] if result.bare is not None else []
    names = list(result.candidate.metrics or result.baseline.metrics) or ([result.metric] if result.metric else [])
    header = ["", "model", *map(printable, names), "gain", "answered", "stored", "p50", "p95", "tokens in/out", "cost"]
    body = [[printable(role), printable(_own_name(role, model)), *_cells(result, role, model, names)]
            for role, model in rows]  # fmt: skip
    told = [column for column in range(len(header)) if {row[column] for row in body} - _UNTOLD or column < 2]
    return [[row[column] for column in told] for row in (header, *body)]


def _own_name(role: str, model: ModelResult) -> str:
    """What the model is, where it goes by no other name than the role's."""
    return model.model or model.name if model.name == role else model.name


def _width_of(table: Sequence[Sequence[str]]) -> int:
    return len(max(_aligned(table), key=len))


def _narrowed(table: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """The same rows with the models' names so short that they fit a terminal, as far as that leaves them readable."""
    others = sum(max(len(row[column]) for row in table) + 2 for column in range(len(table[0])) if column != 1)
    most = max(width - others, _NARROW_MODEL_WIDTH)
    return [[row[0], _shortened_name(row[1], most), *row[2:]] for row in table]


def _shortened_name(name: str, width: int) -> str:
    """With both of its ends, which tell the models of one family apart."""
    if len(name) <= width:
        return name
    half = (width - 3) // 2
    return f"{name[:half]}...{name[-half:]}"


def _cells(result: GateResult, role: str, model: ModelResult, names: Sequence[str]) -> list[str]:
    tokens = "-"
    if model.input_tokens is not None and model.output_tokens is not None:
        tokens = f"{model.input_tokens:,}/{model.output_tokens:,}"
    return [
        *(_metric_cell(result, name, model.metrics.get(name)) for name in names),
        _gain_cell(result, role),
        f"{show_count(model.n_scored)}/{show_count(model.n_expected)}",
        show_count(model.n_stored),
        show_seconds(model.latency_p50_s),
        show_seconds(model.latency_p95_s),
        tokens,
        show_usd(model.cost_usd),
    ]


def _metric_cell(result: GateResult, name: str, value: float | None) -> str:
    share = is_share(result.metric_range) if name == result.metric else 0 <= (value or 0) <= 1
    return show_value(value, share=share)


def _gain_cell(result: GateResult, role: str) -> str:
    """The candidate's gain over a baseline, where there are several; over one it has a line of its own."""
    if len(result.gains) < 2 or role not in result.gains:
        return "-"
    return show_difference(result.gains[role].gain, share=is_share(result.metric_range)).removesuffix(" points")


def _aligned(rows: Sequence[Sequence[str]], texts: int = 2) -> list[str]:
    """Lines in which the first ``texts`` columns begin, and all others end, below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


# --- the gain, the checks, the examples ----------------------------------------------------------------------


def _candidates(result: GateResult) -> Iterator[Line]:
    """What became of each of several candidates."""
    share = is_share(result.metric_range)
    for one in result.candidates:
        if one.verdict is None:
            yield Line(f"candidate {one.name} ({one.model}): not asked")
            continue
        seen = f", {result.metric} {show_value(one.value, share=share)}" if one.value is not None else ""
        seen += f", gain {show_difference(one.gain, share=share)}" if one.gain is not None else ""
        seen += f", {_sure_of(result, one.lower_bound, share)}" if one.lower_bound is not None else ""
        seen += f", {show_usd(one.cost_usd)}" if one.cost_usd is not None else ""
        yield Line(f"candidate {one.name} ({one.model}): {one.verdict}{seen}", _COLOURS[one.verdict])


def _sure_of(result: GateResult, lower: float, share: bool) -> str:
    if result.max_drop is None:
        return f"sure of {show_difference(lower, share=share)}"
    return sure_of_drop(lower, result.confidence or 0, share=share)


def _prices(result: GateResult, verbosity: int) -> Iterator[Line]:
    """Where the prices come from, each said once, where a cost is shown or asked for."""
    models = {**result.baselines, "candidate": result.candidate}
    asked = any(check.name.endswith(".cost_usd") for check in result.checks)
    if not (verbosity > 0 or asked or any(model.cost_usd is not None for model in models.values())):
        return
    sources = dict.fromkeys(model.price for model in models.values() if model.price is not None)
    for source in sources:
        roles = [role for role, model in models.items() if model.price == source]
        yield Line(f"price of {', '.join(roles)}: {source}")


def _ages(result: GateResult) -> Iterator[Line]:
    ages = [model.oldest_age_s for model in (*result.baselines.values(), result.candidate)]
    known = [age for age in ages if age is not None]
    if known:
        yield Line(f"the oldest stored prediction is {show_age(max(known))} old")


def _gain(result: GateResult, verbosity: int) -> Iterator[Line]:
    if result.gain is None:
        return
    share = is_share(result.metric_range)
    over = "" if len(result.baselines) == 1 else f" over {result.baseline.name}"
    gain = f"{show_difference(result.gain, share=share)} {result.metric}"
    yield Line(f"gain{over}: {gain} ({changed(result)})", "bold")
    if result.lower_bound is not None and result.confidence is not None:
        basis = f" ({result.note})" if result.note else ""
        yield Line(_sure(result, result.lower_bound, result.confidence, share=share) + basis)
    if verbosity > 0:
        yield from _method(result, share)


def gain_sentences(result: GateResult) -> list[str]:
    """What was gained over the best baseline, and how sure we are of it; empty where it was not measured."""
    return [printable(line.text) for line in _gain(result, 0)]


def candidate_lines(result: GateResult) -> list[str]:
    """What became of each of several candidates."""
    return [printable(line.text) for line in _candidates(result)]


def ground_lines(result: GateResult) -> list[str]:
    """What the verdict rests on: method, prices, ages, jobs, data."""
    share = is_share(result.metric_range)
    method = _method(result, share) if result.gain is not None else ()
    lines = [*method, *_prices(result, 1), *_ages(result), *_jobs(result), *_data(result)]
    return [printable(line.text).strip() for line in lines]


def _sure(result: GateResult, lower: float, confidence: float, *, share: bool) -> str:
    if result.max_drop is None:
        shown = show_difference(lower, share=share)
        return f"we can be {100 * confidence:g} % sure that the real gain is at least {shown}"
    allowed = show_amount(result.max_drop, share=share)
    return f"it may be worse by at most {allowed}; we can be {sure_of_drop(lower, confidence, share=share)}"


def _method(result: GateResult, share: bool) -> Iterator[Line]:
    upper = show_difference(result.upper_bound, share=share)
    yield Line(f"  and {100 * (result.confidence or 0):g} % sure that it is at most {upper}")
    p_value = "" if result.p_value is None else f", p = {result.p_value:.2g}"
    yield Line(f"  method: {result.method}{p_value}")


def _told(result: GateResult, verbosity: int) -> list[Check]:
    """All checks; that git does not know a file is a note for whoever asks for all."""
    return [one for one in result.checks if verbosity > 0 or (one.name, one.status) != ("untracked", "note")]


def _held(check: Check) -> bool:
    """What does not hold is read first."""
    return check.status not in ("fail", "error", "inconclusive")


def _check(check: Check) -> Iterator[Line]:
    source = f" ({check.source})" if check.source else ""
    status = check.status.upper() if check.status in ("fail", "error", "inconclusive") else check.status
    yield Line(f"  {status:<7} {check.name}: {check.message}{source}", _colour(check))
    if check.advice:
        yield Line(f"{_BELOW}{check.advice}")


def _wrapped(lines: Iterable[Line], width: int, indent: str) -> Iterator[Line]:
    """Broken between words; what follows the first part is indented."""
    for line in lines:
        parts = textwrap.wrap(printable(line.text), width, subsequent_indent=indent, break_long_words=False,
                     break_on_hyphens=False)  # fmt: skip
        yield from (Line(part, line.colour) for part in parts)


def _colour(check: Check) -> str:
    """A gate that was weakened is green by its own word alone: that is not passed over."""
    return "red" if check.name == "weakened" and check.status == "warning" else _COLOURS[check.status]


def _jobs(result: GateResult) -> Iterator[Line]:
    """What made the models that are named by their job."""
    for role, model in [*result.baselines.items(), ("candidate", result.candidate)]:
        if model.job is None:
            continue
        settings = ", ".join(f"{name} {value}" for name, value in (model.hyperparameters or {}).items())
        tokens = "" if model.trained_tokens is None else f", {model.trained_tokens:,} trained tokens"
        step = "" if model.checkpoint is None else f", step {model.checkpoint}"
        base = f", from {model.base_model}" if model.base_model else ""
        settings = f", {settings}" if settings else ""
        yield Line(f"{called(role)}: {model.model}, made by job {model.job}{step}{base}{tokens}{settings}")


def _data(result: GateResult) -> Iterator[Line]:
    """What the verdict rests on, to be compared with another run's."""
    training, test = result.training, result.test_set
    if training.sha256 is None or test.sha256 is None:
        return
    counts = f"{show_count(training.rows)} rows, {show_count(training.usable)} usable"
    yield Line(f"training set: {training.path or 'iterable'}, {counts}, sha256 {training.sha256}")
    examples = f"{show_count(test.examples)} examples"
    yield Line(f"test set: {test.path or 'iterable'}, {examples}, sha256 {test.sha256}")


def _broken(result: GateResult, most: int) -> Iterator[Line]:
    if not result.broken or not most:
        return
    shown = result.broken[:most]
    told = any(flip.expected for flip in shown)  # else the test set does not say what is expected
    yield Line(f"{worse_title(result)} ({len(shown)} of {result.losses or 0:,}):")
    for flip in shown:
        yield Line(f"  {printable(flip.id, 40)}: {printable(flip.input, 100)}")
        expected, baseline, candidate = _from_where_they_differ(flip.expected, flip.baseline, flip.candidate)
        yield Line(f"    {f'expected {expected!r}, ' if told else ''}baseline {baseline!r}, candidate {candidate!r}")
        if flip.why:
            yield Line(f"    {printable(flip.why, 150)}")


def _from_where_they_differ(expected: str, baseline: str, candidate: str) -> list[str]:
    """Short excerpts; of a long expected text and an answer that is like it at first, from where they part."""
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(expected, candidate, strict=False))))
    start = max(same - _ALIKE_SHOWN, 0) if max(len(expected), len(candidate)) > _EXCERPT else 0
    cut = [text[start:] if text[:start] == expected[:start] else text for text in (expected, baseline, candidate)]
    return [
        printable(f"...{part}" if part is not text and start else part, _EXCERPT)
        for part, text in zip(cut, (expected, baseline, candidate), strict=True)
    ]
