"""The tables of a result, and their layout as lines of text.

Reports escape the cells themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pytest_ftgate.reports import sentences
from pytest_ftgate.result import (
    Check,
    Diagnosis,
    GateResult,
    LabelScore,
    ModelResult,
    PartResult,
)
from pytest_ftgate.text import (
    is_share,
    printable,
    show_change,
    show_count,
    show_seconds,
    show_usd,
    show_value,
)

UPPER, TOKENS = "upper", "tokens in/out"
"""Headings of the upper bounds and of the tokens, for which a terminal has no room."""
RUN_COLUMNS = ("answered", "length", "stored", "retries", "p50", "p95", TOKENS, "cost")
"""Headings of the columns about a model's run, next to its scores."""
_EMPTY = {"", "-", "unknown"}
_NAME_WIDTH, _ANSWER_WIDTH = 40, 100
_LABELS_SHOWN = 200
_LEAST = 10
"""The fewest examples of a part whose numbers are more than noise."""


class Column(NamedTuple):
    """The heading of a column and the kind of its cells: numbers are aligned right."""

    heading: str
    kind: Literal["text", "number", "status"] = "number"


def columns(texts: Iterable[str], numbers: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return columns of text followed by columns of numbers."""
    return (*(Column(text, "text") for text in texts), *map(Column, numbers))


@dataclass(frozen=True)
class Table:
    """Rows of one-line cells. A table without rows is false and is not shown.

    ``noise``, whether a row has too few examples, is empty or has one entry per row.
    """

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    noise: tuple[bool, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def headings(self) -> tuple[str, ...]:
        """Return the headings of the columns."""
        return tuple(column.heading for column in self.columns)

    def compact(self) -> "Table":
        """Return the table without empty columns; the first two columns stay."""
        filled = [0, 1]
        for number in range(2, len(self.columns)):
            if not {row[number] for row in self.rows} <= _EMPTY:
                filled.append(number)
        return self.only(filled)

    def only(self, numbers: Sequence[int]) -> "Table":
        """Return the table with only these columns."""
        rows = []
        for row in self.rows:
            rows.append(tuple(row[number] for number in numbers))
        chosen = tuple(self.columns[number] for number in numbers)
        return replace(self, columns=chosen, rows=tuple(rows))

    def without(self, *headings: str) -> "Table":
        """Return the table without the columns that have these headings."""
        numbers = []
        for number, heading in enumerate(self.headings):
            if heading not in headings:
                numbers.append(number)
        return self.only(numbers)

    def lines(self, indent: str = "") -> list[str]:
        """Return a line of headings and a line per row, with aligned columns, if there are rows."""
        if not self:
            return []

        widths = [len(heading) for heading in self.headings]
        for row in self.rows:
            widths = [max(width, len(cell)) for width, cell in zip(widths, row, strict=True)]

        lines = []
        for row in (self.headings, *self.rows):
            aligned = []
            for cell, column, width in zip(row, self.columns, widths, strict=True):
                if column.kind == "number":
                    aligned.append(cell.rjust(width))
                else:
                    aligned.append(cell.ljust(width))
            lines.append(f"{indent}{'  '.join(aligned)}".rstrip())
        return lines


Section = tuple[str, Sequence[Table | str]]
"""A title with sentences and tables."""


def sections(result: GateResult) -> Iterator[Section]:
    """Yield what all reports show below the checks, without what is empty."""
    costs: list[str] = []
    if result.economics is not None:
        costs = [result.economics.sentence]

    yield from _filled("Breakdown", parts(result))
    yield from _filled("Economics", costs)


def _filled(title: str, content: Sequence[Table | str]) -> Iterator[Section]:
    pieces = [piece for piece in content if piece]
    if pieces:
        yield title, pieces


def checks(checks: Sequence[Check]) -> Table:
    """Return a row per check with its cure."""
    rows = []
    for check in checks:
        message = sentences.with_source(check)
        rows.append((check.status, check.name, message, check.cure or ""))
    headings = (Column("", "status"), *columns(("check", "finding", "cure")))
    return Table(sentences.counted(checks), headings, tuple(rows)).compact()


def examples(group: sentences.Examples) -> Table:
    """Return a row per example to look at."""
    names = ["id", "input", "expected", "baseline", "candidate"]
    # A test set for a judge has no expected outputs.
    if not any(flip.expected for flip in group.flips):
        names.remove("expected")

    rows = []
    for flip in group.flips:
        named = replace(flip, id=flip.where or flip.id)
        cells = [printable(getattr(named, name).strip(), _ANSWER_WIDTH) for name in names]
        rows.append(tuple(cells))
    return Table(group.title, columns(names), tuple(rows))


# --- models ---------------------------------------------------------------------------------------


def models(result: GateResult) -> Table:
    """Return a row per model that was measured: metrics, answers, latencies, tokens, cost."""
    names = list(result.candidate.metrics or result.baseline.metrics)
    if not names and result.metric:
        names = [result.metric]
    measured: Mapping[str, ModelResult] = {}
    if result.models_called or result.scored:
        measured = result.models
    if result.stage == "ready":  # there is no candidate yet
        measured = result.baselines if measured else {}

    rows = []
    for role, model in measured.items():
        rows.append(_model(result, role, model, names))
    headings = columns(("", "model"), (*map(printable, names), "gain", *RUN_COLUMNS))
    table = Table("Models on the test set", headings, tuple(rows)).compact()
    # Of recordings this column would repeat that of the answers.
    if all(model.n_stored == model.n_scored for model in measured.values()):
        table = table.without("stored")
    return table


def _model(
    result: GateResult, role: str, model: ModelResult, names: Sequence[str]
) -> tuple[str, ...]:
    name = model.name
    if name == role and model.model:
        name = model.model

    share = is_share(result.metric_range)
    values = []
    for metric in names:
        in_percent = metric in result.shares or (share and metric == result.metric)
        values.append(show_value(model.metrics.get(metric), share=in_percent))

    # The gain over a single baseline has its own line.
    gain = "-"
    if len(result.gains) > 1 and role in result.gains:
        gain = show_change(result.gains[role].gain, share=share)

    tokens = "-"
    if model.input_tokens is not None and model.output_tokens is not None:
        tokens = f"{model.input_tokens:,}/{model.output_tokens:,}"

    return (
        printable(role),
        printable(name),
        *values,
        gain,
        f"{show_count(model.n_scored)}/{show_count(model.n_expected)}",
        "-" if model.mean_length is None else f"{model.mean_length:,.0f} chars",
        show_count(model.n_stored or None),
        show_count(model.n_retries or None),
        show_seconds(model.latency_p50_s),
        show_seconds(model.latency_p95_s),
        tokens,
        show_usd(model.cost_usd),
    )


# --- guards, slices and labels --------------------------------------------------------------------


def parts(result: GateResult) -> tuple[Table, ...]:
    """Return the guards, the slices, and of labels their recall and what is confused."""
    guards = []
    # Of guards the names do not say what is measured; one without a verdict was not measured.
    for guard in result.guards:
        guards.append(replace(guard, name=f"{guard.name} ({guard.metric})", note="not measured"))
    title = "Guards: other test sets that must not get worse"
    slices = _parts("Slices of the test set, worst change first", "slice", result.slices)
    return _parts(title, "guard", guards), slices, _labels(result), _confusions(result)


def _confusions(result: GateResult) -> Table:
    """Return the labels that the candidate answers most often in place of another one."""
    diagnosis = result.diagnosis or Diagnosis({})
    rows = []
    for confusion in diagnosis.confusions:
        row = (
            printable(confusion.expected, _NAME_WIDTH),
            printable(confusion.answered, _NAME_WIDTH),
            show_count(confusion.baseline),
            show_count(confusion.candidate),
        )
        rows.append(row)
    title = "Most frequent confusions of the candidate"
    return Table(title, columns(("expected", "answered"), ("baseline", "candidate")), tuple(rows))


def _labels(result: GateResult) -> Table:
    """Return the recall of each expected label, the worst change first."""
    diagnosis = result.diagnosis or Diagnosis({})
    labels = [_label(score) for score in diagnosis.labels if score.candidate is not None]
    # Rounded, so that labels with the same change stay in their order.
    labels.sort(key=lambda label: round(label.gain or 0.0, 12))
    title = "Labels: recall, worst change first"
    return _parts(title, "label", labels[:_LABELS_SHOWN], n="answers")


def _label(score: LabelScore) -> PartResult:
    """Return the recall of a label as a part of the test set."""
    old = score.baseline / score.answers
    new = (score.candidate or 0) / score.answers
    return PartResult(
        score.label,
        "recall",
        max_drop=0.0,
        n=score.answers,
        baseline=old,
        candidate=new,
        gain=new - old,
        metric_range=(0.0, 1.0),
    )


def _parts(title: str, subject: str, parts: Sequence[PartResult], *, n: str = "n") -> Table:
    rows = []
    noise = []
    for part in parts:
        share = is_share(part.metric_range)
        cells = [part.name, show_count(part.n)]
        for value in (part.baseline, part.candidate):
            cells.append(show_value(value, share=share))
        for change in (part.gain, part.lower_bound, part.upper_bound):
            cells.append(show_change(change, share=share))
        cells.append(part.verdict or part.note or "")
        rows.append(tuple(printable(cell, _NAME_WIDTH) for cell in cells))
        noise.append(part.n is not None and part.n < _LEAST)

    numbers = (n, "baseline", "candidate", "change", "lower", UPPER)
    headings = (*columns([subject], numbers), Column("", "status"))
    return Table(title, columns=headings, rows=tuple(rows), noise=tuple(noise)).compact()
