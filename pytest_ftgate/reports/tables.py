"""The tables of a result, and their layout as lines of text.

Reports escape the cells themselves.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pytest_ftgate.reports import sentences
from pytest_ftgate.result import PROBLEMS_FIRST, RED, Diagnosis, GateResult, ModelResult, PartResult
from pytest_ftgate.runs.mistakes import KINDS
from pytest_ftgate.text import (
    is_share,
    plural,
    printable,
    show_change,
    show_count,
    show_seconds,
    show_usd,
    show_value,
)

UPPER, TOKENS = "upper", "tokens in/out"
"""Headings of the upper bounds and of the tokens, for which a terminal has no room."""
RUN_COLUMNS = ("answered", "stored", "retries", "p50", "p95", TOKENS, "cost")
"""Headings of the columns about a model's run, next to its scores."""
_EMPTY = {"", "-", "unknown"}
_NAME_WIDTH, _LABEL_WIDTH, _ANSWER_WIDTH = 40, 74, 100
_LABELS_SHOWN = 200
_LEAST = 10
"""The fewest examples of a part whose numbers are more than noise."""


class Column(NamedTuple):
    """The heading of a column and the kind of its cells: text is aligned left, numbers right, a status may be one."""

    heading: str
    kind: Literal["text", "number", "status"] = "number"


def columns(texts: Iterable[str], numbers: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return columns of text followed by columns of numbers."""
    return (*(Column(text, "text") for text in texts), *map(Column, numbers))


class Bars(NamedTuple):
    """The two values of a row, drawn on an axis from ``low`` to ``high``."""

    baseline: float | None
    candidate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """Rows of one-line cells. A table without rows is false and is not shown.

    A row with a single cell spans the table. ``bars`` and ``noise``, whether a row has too few
    examples, are empty or have one entry per row. A page may fold a table that ``folds``.
    """

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    bars: tuple[Bars, ...] = ()
    noise: tuple[bool, ...] = ()
    folds: bool = False

    def __bool__(self) -> bool:
        return bool(self.rows)

    def compact(self) -> "Table":
        """Return the table without empty columns; the first two columns stay."""
        filled = (
            any(row[number] not in _EMPTY for row in self.rows)
            for number in range(len(self.columns))
        )
        return self.only(number for number, kept in enumerate(filled) if kept or number < 2)

    def only(self, columns: Iterable[int]) -> "Table":
        """Return the table with only these columns."""
        kept = list(columns)
        rows = tuple(
            tuple(row[column] for column in kept if column < len(row)) for row in self.rows
        )
        return replace(self, columns=tuple(self.columns[column] for column in kept), rows=rows)

    def without(self, *headings: str) -> "Table":
        """Return the table without the columns that have these headings."""
        return self.only(
            number for number, one in enumerate(self.columns) if one.heading not in headings
        )

    def lines(self, indent: str = "") -> list[str]:
        """Return a line of headings and a line per row, with aligned columns; empty without rows."""
        cells: list[Sequence[str]] = (
            [[column.heading for column in self.columns], *self.rows] if self else []
        )
        widths = (
            [max(len(row[i]) for row in cells if len(row) > 1) for i in range(len(self.columns))]
            if self
            else []
        )
        sides = [">" if column.kind == "number" else "<" for column in self.columns]
        aligned = (
            [f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=False)]
            for row in cells
        )
        return [f"{indent}{'  '.join(row)}".rstrip() for row in aligned]


def sections(
    result: GateResult, most: int | None = None
) -> Iterator[tuple[str, tuple[Table | str, ...]]]:
    """Yield what all reports tell below the checks: titles, each with sentences and tables; empty ones are left out.

    ``most`` limits the rows of the parts of metrics.
    """
    economics = result.economics
    told: dict[str, Iterable[Table | str]] = {
        "Breakdown": (*parts(result), *breakdowns(result, most)),
        "Mistakes": (mistakes(result),),
        "Economics": () if economics is None else (economics.sentence, *economics.costs),
        "Judges": sentences.judge_sentences(result),
    }
    for title, several in told.items():
        if content := tuple(one for one in several if one):
            yield title, content


def checks(result: GateResult) -> Table:
    """Return a row per check with its advice, problems first."""
    ordered = sorted(result.checks, key=lambda check: PROBLEMS_FIRST.index(check.status))
    rows = tuple(
        (one.status, one.name, sentences.with_source(one), one.advice or "") for one in ordered
    )
    headings = (Column("", "status"), *columns(("check", "finding", "advice")))
    return Table(plural(len(rows), "check"), headings, rows).compact()


def examples(result: GateResult, most: int | None = None) -> Table:
    """Return a row per example to look at, at most ``most``: wrong answers of a red gate, else the broken ones."""
    title, flips = sentences.examples(result, most)
    names = [
        "id",
        "input",
        *(["expected"] if any(one.expected for one in flips) else []),
        "baseline",
        "candidate",
    ]
    named = [replace(one, id=one.where or one.id) for one in flips]
    rows = [
        tuple(printable(getattr(one, name).strip(), _ANSWER_WIDTH) for name in names)
        for one in named
    ]
    return Table(title, columns(names), tuple(rows))


def row_pairs(result: GateResult) -> Iterator[Table]:
    """Yield tables of equal and similar rows, each with the texts of both."""
    for title, names, pairs in (
        (
            "Test examples in the training set",
            ("test example", "training row"),
            result.training.leaked_pairs,
        ),
        (
            "Test examples with a near duplicate in the training set",
            ("test example", "training row"),
            result.training.near_pairs,
        ),
        (
            "Test examples with an earlier near duplicate",
            ("test example", "earlier example"),
            result.test_set.near_pairs,
        ),
    ):
        if pairs:
            rows = tuple((one.row, one.text, one.other, one.other_text) for one in pairs)
            headings = columns((names[0], "input", names[1], "input"))
            yield Table(f"{title} ({len(rows):,})", headings, rows, folds=True)


# --- models
# --------------------------------------------------------------------------------------------------


def models(result: GateResult) -> Table:
    """Return a row per model: its metrics, answers, latencies, tokens and cost; no rows if nothing was measured."""
    names = list(result.candidate.metrics or result.baseline.metrics) or (
        [result.metric] if result.metric else []
    )
    headings = columns(("", "model"), (*map(printable, names), "gain", *RUN_COLUMNS))
    several = dict(result.baselines) if result.stage == "ready" else result.models
    measured = result.models_called or result.scored
    rows = (
        tuple(_model(result, role, model, names) for role, model in several.items())
        if measured
        else ()
    )
    return Table("Models on the test set", headings, rows).compact()


def _model(
    result: GateResult, role: str, model: ModelResult, names: Sequence[str]
) -> tuple[str, ...]:
    share, gain, tokens = is_share(result.metric_range), "-", "-"
    shares = [name in result.shares or (share and name == result.metric) for name in names]
    # the gain over a single baseline has its own line
    if len(result.gains) > 1 and role in result.gains:
        gain = show_change(result.gains[role].gain, share=share)
    if model.input_tokens is not None and model.output_tokens is not None:
        tokens = f"{model.input_tokens:,}/{model.output_tokens:,}"
    return (
        printable(role),
        printable(model.model or model.name if model.name == role else model.name),
        *(
            show_value(model.metrics.get(name), share=share)
            for name, share in zip(names, shares, strict=True)
        ),
        gain,
        f"{show_count(model.n_scored)}/{show_count(model.n_expected)}",
        show_count(model.n_stored or None),
        show_count(model.n_retries or None),
        show_seconds(model.latency_p50_s),
        show_seconds(model.latency_p95_s),
        tokens,
        show_usd(model.cost_usd),
    )


# --- guards, slices and labels
# -------------------------------------------------------------------------------


def parts(result: GateResult) -> tuple[Table, ...]:
    """Return the guards, the slices, and the expected labels if both models answered with labels."""
    guards = [
        replace(one, name=f"{one.name} ({one.metric})", note="not measured")
        for one in result.guards
    ]
    title = "Guards: other test sets that must not get worse"
    return _parts(title, "guard", guards), _slices(result.slices), _labels(result)


def red_parts(result: GateResult, most: int) -> Table:
    """Return at most so many slices that do not hold."""
    return _slices([one for one in result.slices if one.verdict in (*RED, "warning")][:most])


def _slices(shown: Sequence[PartResult]) -> Table:
    return _parts("Slices of the test set, worst change first", "slice", shown)


def _labels(result: GateResult) -> Table:
    """Return the recall of each expected label, the worst change first."""
    scores = () if result.diagnosis is None else result.diagnosis.labels
    parts: list[PartResult] = []
    for score in scores:
        if score.candidate is None:
            continue
        old = score.baseline / score.answers
        new = score.candidate / score.answers
        part = PartResult(score.label, "recall", 0.0, n=score.answers, baseline=old, candidate=new)
        parts.append(replace(part, gain=new - old, metric_range=(0.0, 1.0)))
    worst = sorted(parts, key=lambda part: round(part.gain or 0.0, 12))
    return _parts("Labels: recall, worst change first", "label", worst[:_LABELS_SHOWN], n="answers")


def _parts(title: str, what: str, parts: Sequence[PartResult], *, n: str = "n") -> Table:
    headings = (n, "baseline", "candidate", "change", "lower", UPPER)
    rows, bars = [], []
    for one in parts:
        share, pair = is_share(one.metric_range), (one.baseline, one.candidate)
        scores = [show_value(value, share=share) for value in pair]
        changes = [
            show_change(change, share=share)
            for change in (one.gain, one.lower_bound, one.upper_bound)
        ]
        cells = (one.name, show_count(one.n), *scores, *changes, one.verdict or one.note or "")
        rows.append(tuple(printable(cell, _NAME_WIDTH) for cell in cells))
        bars.append(Bars(*pair, *_span(pair, one.metric_range)))
    noise = tuple(one.n is not None and one.n < _LEAST for one in parts)
    return Table(
        title, (*columns([what], headings), Column("", "status")), tuple(rows), tuple(bars), noise
    ).compact()


def _span(
    values: Iterable[float | None], metric_range: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the metric's range if it is finite, else the range of the values and 0."""
    if metric_range is not None and all(abs(end) < float("inf") for end in metric_range):
        return metric_range
    known = [value for value in values if value is not None] or [1.0]
    low, high = min(0.0, *known), max(0.0, *known)
    return (low, high) if high > low else (0.0, 1.0)


# --- what the values are made of
# -----------------------------------------------------------------------------


def breakdowns(result: GateResult, most: int | None = None) -> Iterator[Table]:
    """Yield a table per metric: below the label of each part the numbers of each model, those of the worst first.

    The parts of the candidate come before those that only the baseline has, because the candidate
    is judged.
    """
    for metric in dict.fromkeys(one.metric for one in result.breakdowns):
        several = [one for one in result.breakdowns if one.metric == metric]
        first, by_role = several[0], {one.role: dict(one.rows) for one in several}
        labels = list(dict.fromkeys(label for one in reversed(several) for label, _ in one.rows))
        rows: list[tuple[str, ...]] = []
        for label in labels[:most]:
            rows.append((printable(label, _LABEL_WIDTH),))
            for role, values in by_role.items():
                numbers = values.get(
                    label, [None if name in first.shares else 0 for name in first.columns]
                )
                cells = (
                    show_count(number)
                    if isinstance(number, int) and name not in first.shares
                    else show_value(number, share=name in first.shares)
                    for name, number in zip(first.columns, numbers, strict=True)
                )
                rows.append((f"  {role}", *cells))
        title = f"{metric}: {first.title}s, worst first"
        title += f", {len(labels[:most])} of {len(labels):,}" if labels[:most] != labels else ""
        yield Table(title, columns([first.title], first.columns), tuple(rows))


def mistakes(result: GateResult) -> Table:
    """Return a row per kind of mistake, most frequent first."""
    diagnosis = result.diagnosis or Diagnosis({})
    old = diagnosis.baseline
    new = diagnosis.candidate
    most = {kind: max(old.get(kind, 0), (new or {}).get(kind, 0)) for kind in KINDS}
    rows: list[tuple[str, ...]] = []
    bars: list[Bars] = []
    for kind in sorted(filter(most.get, KINDS), key=most.__getitem__, reverse=True):
        counts = old.get(kind, 0), None if new is None else new.get(kind, 0)
        rows.append((kind.replace("_", " "), *_counts(*counts)))
        bars.append(Bars(*counts, 0.0, float(max(most.values()))))
    headings = columns(["mistakes"], ("baseline", "candidate", "change"))
    return Table("Kinds of mistakes", headings, tuple(rows), tuple(bars)).compact()


def _counts(old: int, new: int | None) -> tuple[str, str, str]:
    """Return both counts and the change; dashes before training, when there is no candidate."""
    return f"{old:,}", show_count(new), "-" if new is None else f"{new - old:+,}"
