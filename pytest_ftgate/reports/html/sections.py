"""What the page says of one gate, part by part; a part without facts is absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports.html.confusion import Confusions, confusions
from pytest_ftgate.reports.html.examples import Examples, examples_of
from pytest_ftgate.reports.html.plots import (
    Drawn,
    Interval,
    Series,
    histogram,
    in_words,
    interval_plot,
    pair_bars,
    span_of,
)
from pytest_ftgate.reports.html.plots import in_words_interval as interval_words
from pytest_ftgate.reports.tables import (
    breakdown_cells,
    changed,
    clock_lines,
    economics_lines,
    judge_lines,
    mistake_words,
    part_cells,
    volume_cells,
)
from pytest_ftgate.reports.text import block, failure_text, model_cells
from pytest_ftgate.result import Advice, Check, GateResult, GuardResult, LabelResult, ModelResult, SliceResult, called
from pytest_ftgate.runs.answer_rows import Answers
from pytest_ftgate.text import (
    is_share,
    plural,
    show_age,
    show_amount,
    show_count,
    show_difference,
    show_seconds,
    show_usd,
    show_value,
    sure_of_drop,
)

_SMALLEST_P = 1e-6
_FIRST = ("error", "fail", "inconclusive", "warning", "pass", "note")

Facts = tuple[tuple[str, str], ...]
"""Names and what is to be said of them."""


@dataclass(frozen=True)
class Plot:
    """A picture and the same in words; without a picture the words say all."""

    title: str
    drawn: Drawn | None
    words: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A row of headings, and rows of cells; ``bars`` holds a picture a row, or nothing."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class GateView:
    """One gate as the page shows it; what is ``None`` or empty is not there."""

    anchor: str
    result: GateResult
    headline: str
    others: tuple[str, ...]
    numbers: tuple[tuple[str, str, str], ...]
    interval: Plot | None
    models: Table | None
    remarks: tuple[str, ...]
    candidates: Table | None
    checks: tuple[Check, ...]
    parts: tuple[Table, ...]
    mistakes: Table | None
    confusions: Confusions | None
    spreads: tuple[Plot, ...]
    training: Facts
    economics: Table | None
    economics_said: tuple[str, ...]
    advice: tuple[Advice, ...]
    evidence: Facts
    examples: Examples | None
    text: tuple[str, ...]


def gate_view(result: GateResult, answers: Answers | None, number: int) -> GateView:
    """Everything that is known of one gate.

    Args:
        result: its facts.
        answers: of its models to every example; ``None`` where they were not scored.
        number: its place on the page.
    """
    headline, *others = _said(result)
    return GateView(
        anchor=f"gate-{number}",
        result=result,
        headline=headline,
        others=tuple(others),
        numbers=tuple(_numbers(result)),
        interval=_interval(result),
        models=_models(result),
        remarks=tuple(_remarks(result)),
        candidates=_candidates(result),
        checks=tuple(sorted(result.checks, key=lambda check: _FIRST.index(check.status))),
        parts=tuple(_parts(result)),
        mistakes=_mistakes(result),
        confusions=confusions(answers) if answers is not None else None,
        spreads=tuple(_spreads(result, answers)) if answers is not None else (),
        training=tuple(_training(result)),
        economics=_economics(result),
        economics_said=tuple(_said_of_costs(result)),
        advice=tuple(most_to_try(result)),
        evidence=tuple(_evidence(result)),
        examples=examples_of(answers) if answers is not None else None,
        text=tuple(line.text for line in block(result, verbosity=1)),
    )


# --- the top -------------------------------------------------------------------------------------------------


def _said(result: GateResult) -> list[str]:
    """Why the gate is what it is; the first sentence stands alone."""
    if not result.passed:
        first, *others = failure_text(result).splitlines()
        start = f"gate {result.name}: "
        return [first.removeprefix(start), *(line.strip() for line in others)]
    if result.stage == "ready":
        return ["train now: a candidate can show here that it is worth it"]
    return [f"passed: {_sure(result)}" if result.lower_bound is not None else "passed"]


def _sure(result: GateResult) -> str:
    share = is_share(result.metric_range)
    assert result.lower_bound is not None  # the caller has looked
    confidence = result.confidence or 0.0
    if result.max_drop is not None:
        return f"we can be {sure_of_drop(result.lower_bound, confidence, share=share)}"
    shown = show_difference(result.lower_bound, share=share)
    return f"we can be {100 * confidence:g} % sure that the real gain is at least {shown}"


def _numbers(result: GateResult) -> Iterator[tuple[str, str, str]]:
    """What a meeting looks at: each with its name and what it is made of."""
    share = is_share(result.metric_range)
    metric = result.metric or ""
    for role, model in (("Baseline", result.baseline), ("Candidate", result.candidate)):
        if model.value is not None:
            yield f"{role}, {metric}", show_value(model.value, share=share), model.name
    if result.gain is not None:
        yield "Gain", show_difference(result.gain, share=share), changed(result)
    if result.lower_bound is not None:
        lower = show_difference(result.lower_bound, share=share)
        yield f"{100 * (result.confidence or 0):g} % sure of at least", lower, _asked(result)


def _asked(result: GateResult) -> str:
    share = is_share(result.metric_range)
    if result.max_drop is not None:
        return f"allowed drop: {show_amount(result.max_drop, share=share)}"
    return f"asked for {show_difference(result.margin, share=share)} ({result.evidence})"


def _interval(result: GateResult) -> Plot | None:
    if result.gain is None:
        return None
    share = is_share(result.metric_range)
    gains = result.gains.items() if len(result.gains) > 1 else ()
    intervals = [Interval(f"over {role}", one.gain, one.lower_bound, one.upper_bound) for role, one in gains]
    intervals = intervals or [Interval("", result.gain, result.lower_bound, result.upper_bound)]
    asked = result.margin if result.max_drop is None else -result.max_drop
    drawn = interval_plot(intervals, asked or 0.0, _asked(result).partition(" (")[0], share=share)
    words = [f"{one.name} {interval_words(one, share=share)}".strip() for one in intervals]
    return Plot("The gain with its interval", drawn, (*words, *_method(result)))


def _method(result: GateResult) -> Iterator[str]:
    confidence = f"each bound at {100 * (result.confidence or 0):g} %"
    p_value = "" if result.p_value is None else f", {_p_value(result.p_value)}"
    note = f" ({result.note})" if result.note else ""
    yield f"{confidence}, by {result.method}{p_value}{note}"
    if result.tango_interval is not None:
        low, high = (show_difference(end, share=is_share(result.metric_range)) for end in result.tango_interval)
        level = f"{100 * (2 * (result.confidence or 0) - 1):g} %"
        yield f"Tango's two-sided {level} interval, for comparison: {low} to {high}"


def _p_value(p: float) -> str:
    return f"p = {p:.2g}" if p >= _SMALLEST_P else f"p < {_SMALLEST_P:g}"


# --- models --------------------------------------------------------------------------------------------------


def _models(result: GateResult) -> Table | None:
    cells = model_cells(result)
    return _table("Every model over the test set", cells) if cells else None


def _table(caption: str, cells: Sequence[Sequence[str]], bars: Sequence[Drawn] = ()) -> Table:
    header, *rows = (tuple(row) for row in cells)
    return Table(caption, header, tuple(rows), tuple(bars))


def _roles(result: GateResult) -> list[tuple[str, ModelResult]]:
    models = [*result.baselines.items(), ("candidate", result.candidate)]
    return models if result.bare is None else [*models, ("bare", result.bare)]


def _remarks(result: GateResult) -> Iterator[str]:
    """What belongs to the table of models."""
    if result.bare is not None:
        yield "bare is the candidate without its own prompt and examples: shown, never decisive."
    for role, model in _roles(result):
        told = [f"price: {model.price}"] if model.price is not None else []
        unknown = model.cost_unknown
        told += [f"cost unknown: {unknown}"] if unknown is not None and unknown not in (model.price or "") else []
        age = model.oldest_age_s
        told += [f"the oldest stored prediction is {show_age(age)} old"] if age is not None else []
        told += ["attested, not verified"] * (model.verified is False)
        told += [_job(model)] if model.job is not None else []
        if told:
            yield f"{role if role == 'bare' else called(role)}: {'; '.join(told)}"
    yield from (line.strip() for line in (*judge_lines(result), *clock_lines(result, full=True)))


def _job(model: ModelResult) -> str:
    step = "" if model.checkpoint is None else f", step {model.checkpoint}"
    base = f", from {model.base_model}" if model.base_model else ""
    tokens = "" if model.trained_tokens is None else f", {model.trained_tokens:,} trained tokens"
    settings = "".join(f", {name} {value}" for name, value in (model.hyperparameters or {}).items())
    return f"{model.model}, made by job {model.job}{step}{base}{tokens}{settings}"


def _candidates(result: GateResult) -> Table | None:
    if not result.candidates:
        return None
    share = is_share(result.metric_range)
    rows = tuple(
        (
            one.name,
            one.model,
            one.verdict or "not asked",
            show_value(one.value, share=share),
            "-" if one.gain is None else show_difference(one.gain, share=share),
            "-" if one.lower_bound is None else show_difference(one.lower_bound, share=share),
            "-" if one.cost_usd is None else show_usd(one.cost_usd),
        )
        for one in result.candidates
    )
    headings = ("candidate", "model", "verdict", result.metric or "value", "gain", "at least", "cost")
    return Table("Candidates, in the order in which they were tried", headings, rows)


# --- parts of the data ---------------------------------------------------------------------------------------


_PARTS = {
    "guard": "Guards: other test sets, on which nothing may be lost",
    "slice": "Slices of the test set, the worst change first",
    "label": "Labels: how many of their examples are answered right, the worst change first",
}


def _parts(result: GateResult) -> Iterator[Table]:
    rows: dict[str, Sequence[GuardResult] | Sequence[SliceResult] | Sequence[LabelResult]]
    rows = {"guard": result.guards, "slice": result.slices, "label": result.labels}
    for what, cells in part_cells(result).items():
        yield _table(_PARTS[what], cells, [_pair(one, result) for one in rows[what]])
    for title, cells in breakdown_cells(result):
        yield _table(f"{title}, the worst first", cells)


def _pair(one: GuardResult | SliceResult | LabelResult, result: GateResult) -> Drawn:
    own = one.metric_range if isinstance(one, GuardResult) else result.metric_range
    span = (0.0, 1.0) if isinstance(one, LabelResult) else span_of([one.baseline, one.candidate], own)
    return pair_bars(one.baseline, one.candidate, span)


def _mistakes(result: GateResult) -> Table | None:
    """Kinds of mistakes, the most frequent first."""
    found = result.diagnosis
    if found is None:
        return None
    after = found.candidate or {}
    words = mistake_words(found)
    most = {kind: max(found.baseline.get(kind, 0), after.get(kind, 0)) for kind in words}
    kinds = sorted((kind for kind in words if most[kind]), key=lambda kind: -most[kind])
    if not kinds:
        return None
    counts = [(found.baseline.get(kind, 0), after.get(kind, 0)) for kind in kinds]
    span = (0.0, float(most[kinds[0]]))
    if found.candidate is None:
        alone = tuple((words[kind], f"{old:,}") for kind, (old, _) in zip(kinds, counts, strict=True))
        bars = tuple(pair_bars(old, None, span) for old, _ in counts)
        return Table("Kinds of mistakes", ("answers that are", "baseline"), alone, bars)
    rows = tuple(
        (words[kind], f"{old:,}", f"{new:,}", f"{new - old:+,}") for kind, (old, new) in zip(kinds, counts, strict=True)
    )
    bars = tuple(pair_bars(old, new, span) for old, new in counts)
    return Table("Kinds of mistakes", ("answers that are", "baseline", "candidate", "change"), rows, bars)


# --- distributions -------------------------------------------------------------------------------------------


def _spreads(result: GateResult, answers: Answers) -> Iterator[Plot]:
    models = [("baseline", "base", result.baseline, answers.baseline)]
    if answers.candidate is not None:
        models.append(("candidate", "cand", result.candidate, answers.candidate))
    sampled = " (of the latency sample)" if any(spread.sampled for *_, spread in models) else ""
    timed = [Series(name, spread.latencies_s, _quantiles(facts), kind) for name, kind, facts, spread in models]
    yield from _plot(f"Latency{sampled}", timed, show_seconds)
    read = [Series(name, one.input_tokens, _middle(one.input_tokens), kind) for name, kind, _, one in models]
    yield from _plot("Input tokens of each answer", read, _whole)
    written = [Series(name, one.output_tokens, _middle(one.output_tokens), kind) for name, kind, _, one in models]
    yield from _plot("Output tokens of each answer", written, _whole)


def _whole(count: float) -> str:
    return f"{count:,.0f}"


def _plot(title: str, series: Sequence[Series], show: Callable[[float], str]) -> Iterator[Plot]:
    known = [one for one in series if one.values]
    if known:
        yield Plot(title, histogram(title, known, show), tuple(in_words(one, show) for one in series))


def _quantiles(model: ModelResult) -> list[tuple[str, float]]:
    marks = (("p50", model.latency_p50_s), ("p95", model.latency_p95_s))
    return [(name, value) for name, value in marks if value is not None and isfinite(value)]


def _middle(values: Sequence[int]) -> list[tuple[str, float]]:
    if not values:
        return []
    ordered = sorted(values)
    return [(name, float(ordered[min(int(share * len(ordered)), len(ordered) - 1)]))
            for name, share in (("p50", 0.5), ("p95", 0.95))]  # fmt: skip


# --- what it rests on ----------------------------------------------------------------------------------------


def _training(result: GateResult) -> Iterator[tuple[str, str]]:
    audit = result.training
    if audit.rows is None:
        return
    yield "file", audit.path or "iterable"
    counts = {
        "rows": audit.rows,
        "usable": audit.usable,
        "duplicates": audit.duplicates,
        "near duplicates": audit.near_duplicates,
        "contradictions": audit.conflicts,
        "leaked from the test set": audit.leaked,
        "nearly leaked": audit.leaked_near,
        "unfinished outputs": audit.truncated,
        "turns out of order": audit.chat_errors,
        "too long": audit.too_long,
        "contradicted by their neighbours": audit.suspicious,
    }
    yield from ((name, show_count(count)) for name, count in counts.items() if count is not None)
    if audit.imbalance is not None:
        yield "most frequent label by the rarest", f"{audit.imbalance:.3g}"
    if audit.sha256 is not None:
        yield "sha256", audit.sha256


def _economics(result: GateResult) -> Table | None:
    rows = volume_cells(result.economics.volumes) if result.economics is not None else []
    return _table("By the volume", rows) if rows else None


def _said_of_costs(result: GateResult) -> Iterator[str]:
    """The sentence first, then what it is made of."""
    if result.economics is not None:
        yield result.economics.sentence
        yield from (line.strip().removeprefix("economics: ") for line in economics_lines(result.economics)[:3])


def _evidence(result: GateResult) -> Iterator[tuple[str, str]]:
    """What the verdict rests on, to be compared with another run's."""
    test = result.test_set
    yield "test", result.nodeid
    if result.location is not None:
        yield "mark", result.location
    if result.gate is not None:
        yield "gate in the file", result.gate
    if result.stage is not None:
        yield "stage", result.stage
    if result.objective is not None:
        yield "objective", result.objective
    if result.metric is not None:
        yield "metric", result.metric
    if test.examples is not None:
        yield "test set", f"{test.path or 'iterable'}, {plural(test.examples, 'example')}"
    if test.sha256 is not None:
        yield "sha256 of the test set", test.sha256
    for loosened in result.loosened:
        yield "asks for less than the file", loosened
    if result.examples_needed is not None and result.verdict == "inconclusive":
        yield "examples that would settle it", show_count(result.examples_needed)
