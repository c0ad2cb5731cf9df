"""Guards, slices and labels as tables, the worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pytest_ftgate.checks.advice import learned_pair, most_to_try
from pytest_ftgate.checks.costs import dollars, show_days, whole_calls
from pytest_ftgate.result import (
    BreakdownResult,
    Check,
    Clock,
    Diagnosis,
    Economics,
    GateResult,
    GuardResult,
    JudgeResult,
    LabelResult,
    PairResult,
    SliceResult,
    Status,
    Volume,
    called,
)
from pytest_ftgate.text import (
    is_share,
    plural,
    printable,
    show_count,
    show_difference,
    show_number,
    show_usd,
    show_value,
)

_NAME_WIDTH = 40

_MOST = 5

_RED: tuple[Status | None, ...] = ("fail", "error", "inconclusive", "warning")

RowT = TypeVar("RowT", GuardResult, SliceResult, LabelResult)


def part_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """A table each of guards, slices and labels; unless ``full`` only the slices that do not hold, at most five."""
    if full:
        yield from _table("guard", result.guards, lambda one: _guard(one))
    share = is_share(result.metric_range)
    shown = result.slices if full else [one for one in result.slices if one.verdict in _RED][:_MOST]
    yield from _table("slice", shown, lambda one: _slice(one, share))
    if full:
        yield from _table("label", result.labels, _label)


def part_cells(result: GateResult) -> dict[str, list[list[str]]]:
    """The same tables in full, as cells below a row of headings, by ``guard``, ``slice`` and ``label``."""
    share = is_share(result.metric_range)
    cells = {
        "guard": _cells("guard", result.guards, _guard),
        "slice": _cells("slice", result.slices, lambda one: _slice(one, share)),
        "label": _cells("label", result.labels, _label),
    }
    return {what: table for what, table in cells.items() if len(table) > 1}


def _guard(one: GuardResult) -> list[str]:
    share = is_share(one.metric_range)
    values = [show_value(value, share=share) for value in (one.baseline, one.candidate)]
    change, lower, upper = (_difference(x, share) for x in (one.gain, one.lower_bound, one.upper_bound))
    return [f"{one.name} ({one.metric})", _count(one.n), *values, change, lower, upper, one.verdict or "not measured"]


def _slice(one: SliceResult, share: bool) -> list[str]:
    values = [show_value(value, share=share) for value in (one.baseline, one.candidate)]
    change, lower, upper = (_difference(x, share) for x in (one.gain, one.lower_bound, one.upper_bound))
    return [f"{one.field}={one.value}", _count(one.n), *values, change, lower, upper, one.verdict or one.note or ""]


def _label(one: LabelResult) -> list[str]:
    values = [show_value(value, share=True) for value in (one.baseline, one.candidate)]
    return [one.label, _count(one.n), *values, _difference(one.change, share=True), "", "", ""]


def _difference(value: float | None, share: bool) -> str:
    return "-" if value is None else show_difference(value, share=share).removesuffix(" points")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(what: str, rows: Sequence[RowT], cells: Callable[[RowT], list[str]]) -> Iterator[str]:
    if not rows:
        return
    table = _cells(what, rows, cells)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    words = {column for column, heading in enumerate(table[0]) if column == 0 or not heading}
    for row in table:
        texts = (cell.ljust(widths[i]) if i in words else cell.rjust(widths[i]) for i, cell in enumerate(row))
        yield ("  " + "  ".join(texts)).rstrip()


def _cells(what: str, rows: Sequence[RowT], cells: Callable[[RowT], list[str]]) -> list[list[str]]:
    """Without the columns that say nothing."""
    header = [what, "n", "baseline", "candidate", "change", "at least", "at most", ""]
    table = [header, *([printable(cell, _NAME_WIDTH) for cell in cells(row)] for row in rows)]
    told = [column for column in range(len(header)) if column < 2 or any(row[column] for row in table[1:])]
    return [[row[column] for column in told] for row in table]


def changed(result: GateResult) -> str:
    """Of all examples: ``40 fixed, 10 broken of 60 examples``."""
    better, worse = ("won", "lost") if _is_of_pairs(result) else ("fixed", "broken")
    return f"{result.wins or 0:,} {better}, {result.losses or 0:,} {worse} of {plural(result.n or 0, 'example')}"


def worse_title(result: GateResult) -> str:
    """What the examples that became worse are called."""
    return f"{'lost' if _is_of_pairs(result) else 'broken'} by the candidate"


def _is_of_pairs(result: GateResult) -> bool:
    """Whether answers were compared with each other, so that each pair is won, lost or a tie."""
    return any(one.metric == result.metric and one.pairs for one in result.judges)


_SPEAKING = ("max_age_days", "alias_", "base_changed_", "shutdown_", "drift")


def clock_lines(result: GateResult, *, full: bool) -> list[str]:
    """``last green 2026-08-01 (115 days ago)``, where the clock has something to say; always where ``full``."""
    clock = result.clock
    if clock is None or not (full or any(_speaks(check.name, check.status) for check in result.checks)):
        return []
    lines = [] if clock.last_green is None else [_last(clock.last_green, clock.last_green_age_days)]
    return lines + ([f"  {_dates(clock)}"] if full and clock.shutdown_dates else [])


def _speaks(name: str, status: str) -> bool:
    return status != "pass" and name.startswith(_SPEAKING)


def _last(at: str, age_days: float | None) -> str:
    ago = "" if age_days is None else f" ({plural(int(age_days), 'day')} ago)" if age_days >= 1 else " (today)"
    return f"last green {at[:10]}{ago}"


def _dates(clock: Clock) -> str:
    return "shutdown dates: " + ", ".join(f"{model} {day}" for model, day in sorted(clock.shutdown_dates.items()))


def economics_lines(economics: Economics) -> list[str]:
    """At most eight lines, and all but the last, the sentence, within 80 columns for any usual amount.

    What is unknown at any number of calls gets no table.
    """
    each = [show_usd(cost) for cost in (economics.baseline_usd_per_1000_calls, economics.candidate_usd_per_1000_calls)]
    return [
        f"economics: 1,000 calls cost {each[0]} (baseline), {each[1]} (candidate)",
        f"  once: training {dollars(economics.training_cost_usd)}, {_declared('data preparation', economics)}",
        f"  by the month: {_declared('hosting', economics)}, {_declared('retraining', economics)}",
        *_volumes(economics.volumes),
        economics.sentence,
    ]


def _declared(name: str, economics: Economics) -> str:
    if name in economics.undeclared:
        return f"{name} not declared"
    if name == "retraining":
        return f"retraining {dollars(economics.retraining_usd_per_month)}"
    amount = economics.data_cost_usd if name == "data preparation" else economics.hosting_usd_per_month
    return f"{name} {dollars(amount)}"


def _volumes(volumes: tuple[Volume, ...]) -> list[str]:
    rows = volume_cells(volumes)
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"  {row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]}" for row in rows]


def volume_cells(volumes: tuple[Volume, ...]) -> list[tuple[str, str, str]]:
    """What each number of calls comes to, below a row of headings; nothing where that is unknown."""
    if all(one.monthly_saving_usd is None and one.breaks_even is None for one in volumes):
        return []
    rows = [("calls a month", "saved a month", "pays for itself after")]
    return rows + [
        (show_number(one.calls_per_month or 0), dollars(one.monthly_saving_usd), _payback(one)) for one in volumes
    ]


def _payback(volume: Volume) -> str:
    if volume.breaks_even is False:
        return "never"
    if volume.break_even_days is None or volume.break_even_calls is None:
        return "unknown"
    calls = plural(whole_calls(volume.break_even_calls), "call")
    return f"{show_days(volume.break_even_days)} ({calls})"


def judge_lines(result: GateResult) -> Iterator[str]:
    """A line a judge, and one for each baseline that the candidate's answers were compared with."""
    for one in result.judges:
        yield _judge(one)
        for pair in one.pairs:
            yield f"  {_pair(pair, of_people=one.model is None)}"


def _judge(one: JudgeResult) -> str:
    if one.model is None:
        kappa = f", {one.kappa_kind}'s kappa {one.kappa:.2f}" if one.kappa is not None else ""
        return f"{one.metric} by {plural(one.raters or 0, 'rater')}{kappa}"
    kappa = f", kappa {one.kappa:.2f} with people ({one.kappa_kind})" if one.kappa is not None else ""
    asked = f"{plural(one.n_questions or 0, 'question')}, {show_count(one.n_stored)} of them stored"
    known = one.input_tokens is not None and one.output_tokens is not None
    tokens = f", {show_count(one.input_tokens)}/{show_count(one.output_tokens)} tokens" if known else ""
    cost = f", {show_usd(one.cost_usd)}" if one.cost_usd is not None else f", cost unknown: {one.cost_unknown}"
    return f"{one.metric} by judge {one.judge}{kappa}: {asked}{tokens}{cost}"


def _pair(pair: PairResult, *, of_people: bool) -> str:
    counted = f"{pair.wins:,} won, {plural(pair.ties, 'tie')}, {pair.losses:,} lost"
    text = (
        f"candidate against {called(pair.baseline)}: {counted} of {plural(pair.n, 'example' if of_people else 'pair')}"
    )
    if pair.disagreements is None or not pair.n_asked:
        return text
    share = f"{100 * pair.disagreements / pair.n_asked:.0f} %"
    first = f", {pair.first_preferred or 0:,} of them for whichever came first" if pair.disagreements else ""
    disagreed = f"{pair.disagreements:,} of the {pair.n_asked:,} that differ ({share})"
    return f"{text}; the two orders disagreed in {disagreed}{first}"


_LABEL_WIDTH = 50

_LONG_LABEL_WIDTH = 74

_FEW, _MANY = 5, 30

_Rows = Mapping[str, tuple[float | None, ...]]


def breakdown_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """A table a metric: of the deciding one, and of those that miss a bound, the five worst rows by their first number;
    with ``full`` all of all."""
    missed = {check.name.rpartition(".")[2] for check in result.checks if _misses_bound(check)}
    for metric, tables in _by_metric(result).items():
        if full or metric in {result.metric, *missed}:
            yield from _table_breakdowns(metric, tables, full=full)


def _misses_bound(check: Check) -> bool:
    return check.name.startswith("require.") and check.status == "fail"


def breakdown_cells(result: GateResult) -> Iterator[tuple[str, list[list[str]]]]:
    """Every table as its title and its cells, below a row of headings, for pages that have room for them."""
    for metric, tables in _by_metric(result).items():
        first, rows, labels = tables[0], _rows(tables), _labels(tables)
        columns = [(role, column) for column in range(len(first.columns)) for role in rows]
        header = [first.title, *(f"{first.columns[column]}, {role}" for role, column in columns)]
        body = [[label, *(_cell(first, rows[role], label, column) for role, column in columns)] for label in labels]
        if body:
            yield f"{metric}: {first.title}s", [header, *body]


def _by_metric(result: GateResult) -> dict[str, list[BreakdownResult]]:
    found: dict[str, list[BreakdownResult]] = {}
    for one in result.breakdowns:
        found.setdefault(one.metric, []).append(one)
    return found


def _rows(tables: Sequence[BreakdownResult]) -> dict[str, _Rows]:
    return {one.role: dict(one.rows) for one in tables}


def _labels(tables: Sequence[BreakdownResult]) -> list[str]:
    """The candidate's rows come first: they are the worst of what is judged."""
    return list(dict.fromkeys(label for one in reversed(tables) for label, _ in one.rows))


def _table_breakdowns(metric: str, tables: Sequence[BreakdownResult], *, full: bool) -> Iterator[str]:
    rows, labels = _rows(tables), _labels(tables)
    if not labels:
        return
    first = tables[0]
    shown = labels[: _MANY if full else _FEW]
    of_all = "" if len(shown) == len(labels) else f", worst {len(shown)} of {len(labels):,}"
    wide = full and len(first.columns) > 1
    yield f"{metric}: {first.title}s{of_all}" + ("" if wide else f" ({first.columns[0]})")
    lines = _wide(first, rows, shown) if wide else _narrow(first, rows, shown)
    yield from _aligned(lines)


def _narrow(first: BreakdownResult, rows: Mapping[str, _Rows], labels: Sequence[str]) -> list[list[str]]:
    """A line a label, the first number of each model."""
    body = [
        [_label_breakdowns(label, _LABEL_WIDTH), *(_cell(first, rows[role], label, 0) for role in rows)]
        for label in labels
    ]
    return [["", *rows], *body]


def _wide(first: BreakdownResult, rows: Mapping[str, _Rows], labels: Sequence[str]) -> list[list[str]]:
    """A line a label, and below it one a model with all of its numbers."""
    lines = [["", *first.columns]]
    for label in labels:
        lines.append([_label_breakdowns(label, _LONG_LABEL_WIDTH)])
        for role in rows:
            cells = (_cell(first, rows[role], label, column) for column in range(len(first.columns)))
            lines.append([f"  {role}", *cells])
    return lines


def _label_breakdowns(label: str, width: int) -> str:
    return printable(label, width)


def _cell(first: BreakdownResult, rows: _Rows, label: str, column: int) -> str:
    share = first.columns[column] in first.shares
    if label not in rows:
        return "-" if share else "0"
    value = rows[label][column]
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not share else show_value(value, share=share)


def _aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns below each other; a line of its label alone takes no part in that."""
    widths = [max(len(line[i]) for line in lines if len(line) > 1) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(line)]
        yield ("  " + "  ".join(cells)).rstrip()


_MISTAKES = {
    "missing": "missing",
    "refusal": "refused",
    "cut_off": "cut off",
    "empty": "empty",
    "wrong_format": "in the wrong format",
    "unknown_label": "without a known label",
    "wrong_label": "wrongly labelled",
    "wrong": "wrong",
}

_IDS_SHOWN = 10

_PAIRS_SHOWN = 3

_ID_WIDTH = 40

_LABEL_WIDTH_ADVICE = 40


def diagnosis_lines(result: GateResult, *, full: bool) -> Iterator[str]:
    """What kinds of mistakes the models make; of a green gate one line, and that only where all is shown.

    Args:
        result: a judged gate.
        full: also which labels are mixed up, and which examples were fixed and broken.
    """
    found = result.diagnosis
    if found is None:
        return
    if result.passed:
        still = _still(found) if full else None
        if still:
            yield still
        return
    yield from _mistakes(found)
    if full:
        yield from _pairs(found)
        yield from _ids("fixed", found.fixed)
        yield from _ids("broken", found.broken)


def mistake_words(found: Diagnosis) -> dict[str, str]:
    """Kinds of mistakes, and what an answer of that kind is; without labels the wrong format is no JSON."""
    return _MISTAKES if found.labels else {**_MISTAKES, "wrong_format": "no JSON"}


def _still(found: Diagnosis) -> str | None:
    counts = found.baseline if found.candidate is None else found.candidate
    kinds = {kind: count for kind, count in counts.items() if kind in _MISTAKES}
    if not kinds:
        return None
    worst = max(kinds, key=lambda kind: kinds[kind])
    who = "baseline" if found.candidate is None else "candidate"
    return f"what still fails most: {plural(kinds[worst], 'answer')} of the {who} {mistake_words(found)[worst]}"


def _mistakes(found: Diagnosis) -> Iterator[str]:
    for role, counts in (("baseline", found.baseline), ("candidate", found.candidate)):
        told = _kinds(counts or {}, mistake_words(found))
        if told:
            yield f"mistakes of the {role}: {told}"


def _kinds(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    kinds = sorted((kind for kind in counts if kind in words), key=lambda kind: -counts[kind])
    return ", ".join(f"{counts[kind]:,} {words[kind]}" for kind in kinds)


def _pairs(found: Diagnosis) -> Iterator[str]:
    cited = learned_pair(found)
    shown = found.confusions[:_PAIRS_SHOWN]
    for pair in (*shown, *((cited,) if cited is not None and cited not in shown else ())):
        labels = (printable(label, _LABEL_WIDTH_ADVICE) for label in (pair.expected, pair.answered))
        after = (
            "" if found.candidate is None else f", candidate {pair.candidate:,} ({pair.candidate - pair.baseline:+,})"
        )
        yield f"mixed up: {' -> '.join(map(repr, labels))}: baseline {pair.baseline:,}{after}"


def _ids(what: str, ids: tuple[str, ...]) -> Iterator[str]:
    if ids:
        shown = ", ".join(printable(id_, _ID_WIDTH) for id_ in ids[:_IDS_SHOWN])
        yield f"{what} ({len(ids):,}): {shown}{', ...' if len(ids) > _IDS_SHOWN else ''}"


def advice_lines(result: GateResult) -> Iterator[str]:
    """At most three things to try, each with the fact that it rests on."""
    shown = most_to_try(result)
    if shown:
        yield "what to do, in this order:"
    for number, one in enumerate(shown, start=1):
        yield f"  {number}. {one.action.replace('_', ' ')}: {one.text}"
        yield f"     because {one.fact}"
