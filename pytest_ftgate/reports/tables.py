"""The tables of a result. Each report formats them itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_ftgate.reports import sentences
from pytest_ftgate.reports.table import Bars, Column, Table, columns
from pytest_ftgate.result import RED, BreakdownResult, GateResult, ModelResult, PartResult
from pytest_ftgate.text import is_share, plural, printable, show_change, show_count, show_seconds, show_usd, show_value

_NAME_WIDTH = 40
_ANSWER_WIDTH = 100
_LABELS_SHOWN = 200
_LEAST = 10
"""The fewest examples of a part whose numbers are more than noise."""
UPPER = "upper"
"""The heading of the upper bounds, which a terminal has no room for."""

TOKENS = "tokens in/out"
RUN_COLUMNS = ("answered", "stored", "retries", "p50", "p95", TOKENS, "cost")
"""Headings of the columns about a model's run, next to its scores."""


def models(result: GateResult) -> Table:
    """Return a row per model: its metrics, answers, latencies, tokens and cost; no rows if nothing was measured."""
    names = list(result.candidate.metrics or result.baseline.metrics) or ([result.metric] if result.metric else [])
    headings = columns(("", "model"), (*map(printable, names), "gain", *RUN_COLUMNS))
    several = dict(result.baselines) if result.stage == "ready" else result.models
    measured = result.models_called or result.scored
    rows = tuple(_model(result, role, model, names) for role, model in several.items()) if measured else ()
    return Table("Models on the test set", headings, rows).compact()


def _model(result: GateResult, role: str, model: ModelResult, names: Sequence[str]) -> tuple[str, ...]:
    share, gain, tokens = is_share(result.metric_range), "-", "-"
    shares = [share if name == result.metric else 0 <= (model.metrics.get(name) or 0) <= 1 for name in names]
    if len(result.gains) > 1 and role in result.gains:  # the gain over a single baseline has its own line
        gain = show_change(result.gains[role].gain, share=share)
    if model.input_tokens is not None and model.output_tokens is not None:
        tokens = f"{model.input_tokens:,}/{model.output_tokens:,}"
    return (
        printable(role),
        printable(model.model or model.name if model.name == role else model.name),
        *(show_value(model.metrics.get(name), share=share) for name, share in zip(names, shares, strict=True)),
        gain,
        f"{show_count(model.n_scored)}/{show_count(model.n_expected)}",
        show_count(model.n_stored or None),
        show_count(model.n_retries or None),
        show_seconds(model.latency_p50_s),
        show_seconds(model.latency_p95_s),
        tokens,
        show_usd(model.cost_usd),
    )


def sections(
    result: GateResult, breakdown: Iterable[Table] | None = None
) -> Iterator[tuple[str, tuple[Table | str, ...]]]:
    """Yield what all reports tell below the checks: titles, each with sentences and tables; empty ones are left out.

    ``breakdown`` replaces the tables of the parts of metrics.
    """
    economics = result.economics
    told: dict[str, Iterable[Table | str]] = {
        "Breakdown": (*parts(result), *(breakdowns(result) if breakdown is None else breakdown)),
        "Mistakes": (mistakes(result), confusions(result)),
        "Economics": () if economics is None else (economics.sentence, *economics.costs),
        "Judges": sentences.judge_sentences(result),
    }
    for title, several in told.items():
        if content := tuple(one for one in several if one):
            yield title, content


def parts(result: GateResult) -> tuple[Table, ...]:
    """Return the guards, the slices and the labels."""
    guards = [replace(one, name=f"{one.name} ({one.metric})", note="not measured") for one in result.guards]
    title = "Guards: other test sets that must not get worse"
    return _parts(title, "guard", guards), _slices(result.slices), _labels(result)


def red_parts(result: GateResult, most: int) -> Table:
    """Return at most so many slices that do not hold."""
    return _slices([one for one in result.slices if one.verdict in (*RED, "warning")][:most])


def _slices(shown: Sequence[PartResult]) -> Table:
    """Return a row per slice."""
    return _parts("Slices of the test set, worst change first", "slice", shown)


def _labels(result: GateResult) -> Table:
    """Return a row per expected label, if both models answered and outputs are labels."""
    found = result.diagnosis.labels if result.diagnosis is not None else ()
    rates = [(one, one.baseline / one.answers, one.candidate / one.answers) for one in found
             if one.candidate is not None]  # fmt: skip
    worst = sorted(rates, key=lambda of: round(of[2] - of[1], 12))[:_LABELS_SHOWN]
    parts = [PartResult(one.label, "recall", 0.0, n=one.answers, baseline=old, candidate=new, gain=new - old,
                        metric_range=(0.0, 1.0)) for one, old, new in worst]  # fmt: skip
    return _parts("Labels: recall, worst change first", "label", parts, n="answers")


def _parts(title: str, what: str, parts: Sequence[PartResult], *, n: str = "n") -> Table:
    headings = (n, "baseline", "candidate", "change", "lower", UPPER)
    rows, values = [], [(one.baseline, one.candidate) for one in parts]
    for one in parts:
        share = is_share(one.metric_range)
        scores = [show_value(value, share=share) for value in (one.baseline, one.candidate)]
        changes = [show_change(change, share=share) for change in (one.gain, one.lower_bound, one.upper_bound)]
        cells = (one.name, show_count(one.n), *scores, *changes, one.verdict or one.note or "")
        rows.append(tuple(printable(cell, _NAME_WIDTH) for cell in cells))
    bars = tuple(Bars(*pair, *span(pair, one.metric_range)) for pair, one in zip(values, parts, strict=True))
    noise = tuple(one.n is not None and one.n < _LEAST for one in parts)
    return Table(title, (*columns([what], headings), Column("", "status")), tuple(rows), bars, noise).compact()


def span(values: Iterable[float | None], metric_range: tuple[float, float] | None) -> tuple[float, float]:
    """Return the metric's range if it is finite, else the range of the values and 0."""
    if metric_range is not None and all(abs(end) < float("inf") for end in metric_range):
        return metric_range
    known = [value for value in values if value is not None] or [1.0]
    low, high = min(0.0, *known), max(0.0, *known)
    return (low, high) if high > low else (0.0, 1.0)


_LABEL_WIDTH, _LONG_LABEL_WIDTH = 50, 74

_Cells = Mapping[str, tuple[int | float | None, ...]]
"""The numbers of a row, by the row's label."""


def breakdowns(result: GateResult) -> Iterator[Table]:
    """Yield a table per metric with the numbers of all models side by side."""
    for metric, (first, by_role, rows) in _breakdowns(result).items():
        numbers = [(role, number) for number in range(len(first.columns)) for role in by_role]
        yield Table(
            f"{metric}: {first.title}s, worst first",
            columns([first.title], (f"{first.columns[number]}, {role}" for role, number in numbers)),
            tuple((row, *(_cell(first, by_role[role], row, number) for role, number in numbers)) for row in rows),
        )


def worst_rows(result: GateResult, most: int) -> Iterator[Table]:
    """Yield tables of the ``most`` worst rows of each metric, on one line per model where there are several numbers."""
    for metric, (first, by_role, rows) in _breakdowns(result).items():
        shown = rows[:most]
        title = f"{metric}: {first.title}s"
        if len(shown) < len(rows):
            title += f", worst {len(shown)} of {len(rows):,}"
        if len(first.columns) > 1:
            lines = [line for row in shown for line in _line_a_model(first, by_role, row)]
            yield Table(title, columns([""], first.columns), tuple(lines))
        else:
            cells = tuple(
                (printable(row, _LABEL_WIDTH), *(_cell(first, values, row, 0) for values in by_role.values()))
                for row in shown
            )
            yield Table(f"{title} ({first.columns[0]})", columns([""], by_role), cells)


def _line_a_model(first: BreakdownResult, by_role: Mapping[str, _Cells], row: str) -> Iterator[tuple[str, ...]]:
    yield (printable(row, _LONG_LABEL_WIDTH),)
    for role, values in by_role.items():
        yield f"  {role}", *(_cell(first, values, row, number) for number in range(len(first.columns)))


def _breakdowns(result: GateResult) -> dict[str, tuple[BreakdownResult, dict[str, _Cells], list[str]]]:
    """Return by metric: one of its breakdowns, all numbers by role, and the labels of the rows.

    The rows of the candidate come first, the worst at the top, because the candidate is judged.
    """
    by_metric: dict[str, list[BreakdownResult]] = {}
    for one in result.breakdowns:
        by_metric.setdefault(one.metric, []).append(one)
    found: dict[str, tuple[BreakdownResult, dict[str, _Cells], list[str]]] = {}
    for metric, several in by_metric.items():
        rows = list(dict.fromkeys(label for one in reversed(several) for label, _ in one.rows))
        if rows:
            found[metric] = (several[0], {one.role: dict(one.rows) for one in several}, rows)
    return found


def _cell(first: BreakdownResult, values: _Cells, row: str, number: int) -> str:
    share = first.columns[number] in first.shares
    if row not in values:
        return "-" if share else "0"
    value = values[row][number]
    return show_count(value) if isinstance(value, int) and not share else show_value(value, share=share)


def mistakes(result: GateResult) -> Table:
    """Return a row per kind of mistake, most frequent first."""
    found = result.diagnosis
    if found is None:
        return Table("", (), ())
    after, words = found.candidate or {}, sentences.mistake_words(found)
    counts = {kind: (found.baseline.get(kind, 0), after.get(kind, 0)) for kind in words}
    kinds = sorted((kind for kind in words if any(counts[kind])), key=lambda kind: -max(counts[kind]))
    most = float(max((count for kind in kinds for count in counts[kind]), default=0))
    several = [(words[kind], *counts[kind]) for kind in kinds]
    rows = tuple((what, f"{old:,}", f"{new:,}", f"{new - old:+,}") for what, old, new in several)
    bars = tuple(Bars(old, new, 0.0, most) for _, old, new in several)
    table = Table("Kinds of mistakes", columns(["mistakes"], ("baseline", "candidate", "change")), rows, bars)
    if found.candidate is not None:
        return table
    return replace(table.only((0, 1)), bars=tuple(one._replace(candidate=None) for one in table.bars))


def confusions(result: GateResult) -> Table:
    """Return a row per pair of labels that were confused, most often first."""
    found = result.diagnosis
    pairs = found.confusions if found is not None else ()
    rows = tuple(
        (one.expected, one.answered, *map(show_count, (old, new)), f"{new - old:+,}")
        for one in pairs for old, new in [(one.baseline, one.candidate)]
    )  # fmt: skip
    headings = columns(("expected", "answered"), ("baseline", "candidate", "change"))
    table = Table("Labels that were confused", headings, rows)
    return table if found is None or found.candidate is not None else table.only((0, 1, 2))


def examples(result: GateResult, most: int | None = None) -> Table:
    """Return a row per example to look at, at most ``most``: wrong answers of a red gate, else the broken ones."""
    title, flips = sentences.examples(result, most)
    names = ["id", "input", "expected", "baseline", "candidate"]
    if not any(one.expected for one in flips):
        names.remove("expected")  # the test set has no expected outputs
    named = [replace(one, id=one.where or one.id) for one in flips]
    rows = [tuple(printable(getattr(one, name).strip(), _ANSWER_WIDTH) for name in names) for one in named]
    return Table(title, columns(names), tuple(rows))


def checks(result: GateResult, symbols: Mapping[str, str]) -> Table:
    """Return a row per check, with a symbol for its status."""
    rows = tuple((f"{symbols[one.status]} {one.status}", one.name, sentences.with_source(one)) for one in result.checks)
    return Table(plural(len(rows), "check"), (Column("", "status"), *columns(("check", "finding"))), rows)
