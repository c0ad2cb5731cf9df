"""What the page shows of one gate; a part without facts is empty, and absent from the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.html.examples import Examples, confusions
from pytest_ftgate.reports.html.plots import Interval, interval_plot, interval_words
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.reports.text import block
from pytest_ftgate.result import GateResult, ModelResult, called
from pytest_ftgate.runs.answer_rows import Answers
from pytest_ftgate.text import (
    is_share,
    plural,
    show_age,
    show_amount,
    show_count,
    show_difference,
    show_percent,
    show_seconds,
    show_value,
)

_FIRST = ("error", "fail", "inconclusive", "warning", "pass", "note")


def view(result: GateResult, answers: Answers | None, number: int) -> dict[str, Any]:
    """Return everything that the page shows of one gate, by the names that its template knows.

    ``answers`` is None where the models were not scored; ``number`` is the gate's place on the page.
    """
    parts = (tables.guards(result), tables.slices(result), tables.labels(result), *tables.breakdowns(result))
    economics = result.economics
    return {
        "anchor": f"gate-{number}",
        "result": result,
        "stage": sentences.stage_sentence(result),
        "headline": _headline(result),
        "others": [] if result.passed else [text.strip() for text in sentences.more_reasons(result)],
        "numbers": list(_numbers(result)),
        "advice": most_to_try(result),
        "interval": _interval(result),
        "models": tables.models(result),
        "remarks": list(_remarks(result)),
        "candidates": tables.candidates(result),
        "checks": sorted(result.checks, key=lambda check: _FIRST.index(check.status)),
        "parts": [part for part in parts if part],
        "mistakes": tables.mistakes(result),
        "confusions": confusions(answers) if answers is not None else None,
        "spreads": _spreads(result, answers) if answers is not None else None,
        "economics": [] if economics is None else [economics.sentence, *sentences.economics_sentences(economics)],
        "volumes": None if economics is None else tables.volumes(economics),
        "training": list(_training(result)),
        "ground": list(_ground(result)),
        "examples": Examples(answers) if answers is not None else None,
        "text": [line.text for line in block(result, verbosity=1)],
    }


def summary(result: GateResult) -> Mapping[str, str]:
    """Return one row at the top of the page."""
    share = is_share(result.metric_range)
    bounds = (result.gain, result.lower_bound)
    gain, lower = ("-" if value is None else show_difference(value, share=share) for value in bounds)
    return {
        "name": result.name,
        "verdict": result.verdict,
        "metric": result.metric or "-",
        "baseline": show_value(result.baseline.value, share=share),
        "candidate": show_value(result.candidate.value, share=share),
        "gain": gain,
        "lower": lower,
        "asked": asked(result),
    }


def asked(result: GateResult) -> str:
    """Return the gain that is asked for, ``-`` where none is."""
    share = is_share(result.metric_range)
    if result.max_drop is not None:
        return f"{show_difference(-result.max_drop, share=share)} or better"
    if result.margin is None:
        return "-"
    unit_is_known = result.metric_range is not None
    return show_difference(result.margin, share=share) if unit_is_known else f"{result.margin:+g}"


def _headline(result: GateResult) -> str:
    if not result.passed:
        return sentences.reason(result)
    if result.stage == "ready":
        return "train now: a candidate can show here that it is worth it"
    sure = sentences.sure_sentence(result)
    return "passed" if sure is None else f"passed: {sure}"


def _numbers(result: GateResult) -> Iterator[tuple[str, str, str]]:
    """What a meeting looks at: each with its name and what it is made of."""
    share = is_share(result.metric_range)
    for role, model in (("Baseline", result.baseline), ("Candidate", result.candidate)):
        if model.value is not None:
            yield f"{role}, {result.metric or ''}", show_value(model.value, share=share), model.name
    if result.gain is not None:
        yield "Gain", show_difference(result.gain, share=share), sentences.changed(result)
    if result.lower_bound is not None:
        lower = show_difference(result.lower_bound, share=share)
        evidence = f" ({result.evidence})" if result.max_drop is None else ""
        yield f"{show_percent(result.confidence or 0)} sure of at least", lower, _required(result) + evidence


def _required(result: GateResult) -> str:
    if result.max_drop is None:
        return f"asked for {asked(result)}"
    return f"allowed drop: {show_amount(result.max_drop, share=is_share(result.metric_range))}"


def _interval(result: GateResult) -> dict[str, Any] | None:
    """The gain over each baseline, drawn and in words."""
    if result.gain is None:
        return None
    share = is_share(result.metric_range)
    gains = result.gains.items() if len(result.gains) > 1 else ()
    intervals = [Interval(f"over {role}", one.gain, one.lower_bound, one.upper_bound) for role, one in gains]
    intervals = intervals or [Interval("", result.gain, result.lower_bound, result.upper_bound)]
    limit = (result.margin or 0.0) if result.max_drop is None else -result.max_drop
    words = [f"{one.name} {interval_words(one, share=share)}".strip() for one in intervals]
    level = f"each bound at {show_percent(result.confidence or 0)}"
    method = sentences.method_sentences(result)[1:]
    note = [f"it rests on {result.note}"] if result.note else []
    drawn = interval_plot(intervals, limit, _required(result), share=share)
    return {"drawn": drawn, "words": "; ".join([*words, level, *method, *note])}


def _remarks(result: GateResult) -> Iterator[str]:
    """What belongs to the table of models."""
    models = {called(role): model for role, model in result.models.items()}
    if result.bare is not None:
        models["bare"] = result.bare
        yield "bare is the candidate without its own prompt and examples: shown, never decisive."
    for name, model in models.items():
        remarks = [f"price: {model.price}"] if model.price is not None else []
        if model.cost_unknown is not None and model.cost_unknown not in (model.price or ""):
            remarks.append(f"cost unknown: {model.cost_unknown}")
        if model.oldest_age_s is not None:
            remarks.append(f"the oldest stored prediction is {show_age(model.oldest_age_s)} old")
        if model.verified is False:
            remarks.append("attested, not verified")
        if model.job is not None:
            remarks.append(sentences.job_words(model))
        if remarks:
            yield f"{name}: {'; '.join(remarks)}"
    yield from (text.strip() for text in sentences.judge_sentences(result))
    yield from (text.strip() for text in sentences.clock_sentences(result, full=True))


def _spreads(result: GateResult, answers: Answers) -> Table:
    """How long answers took, and how many tokens they have."""
    models = [("baseline", result.baseline, answers.baseline)]
    models += [("candidate", result.candidate, answers.candidate)] if answers.candidate is not None else []
    sampled = " (of the latency sample)" if any(spread.sampled for *_, spread in models) else ""
    rows = [_spread(f"latency{sampled}", role, one.latencies_s, facts) for role, facts, one in models]
    rows += [_spread("input tokens", role, one.input_tokens) for role, _, one in models]
    rows += [_spread("output tokens", role, one.output_tokens) for role, _, one in models]
    headings = columns(("time or tokens", "model"), ("answers", "least", "p50", "p95", "most"))
    return Table("Of each answer", headings, tuple(row for row in rows if row[2] != "0"))


def _spread(what: str, role: str, values: Sequence[float], timed: ModelResult | None = None) -> tuple[str, ...]:
    """Of latencies p50 and p95 are those of the table of models."""
    ordered = sorted(values) or [0.0]
    middle, late = (ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.95))
    if timed is None:
        shown = [f"{value:,.0f}" for value in (ordered[0], middle, late, ordered[-1])]
    else:
        shown = [show_seconds(value) for value in (ordered[0], timed.latency_p50_s, timed.latency_p95_s, ordered[-1])]
    return (what, role, show_count(len(values)), *shown)


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


def _ground(result: GateResult) -> Iterator[tuple[str, str]]:
    """What the verdict rests on, to be compared with another run's."""
    test = result.test_set
    examples = None if test.examples is None else plural(test.examples, "example")
    needed = result.examples_needed if result.verdict == "inconclusive" else None
    facts = {
        "test": result.nodeid,
        "mark": result.location,
        "gate in the file": result.gate,
        "stage": result.stage,
        "objective": result.objective,
        "metric": result.metric,
        "test set": None if examples is None else f"{test.path or 'iterable'}, {examples}",
        "sha256 of the test set": test.sha256,
        "examples that would settle it": None if needed is None else show_count(needed),
    }
    yield from ((name, value) for name, value in facts.items() if value is not None)
    yield from (("asks for less than the file", where) for where in result.loosened)
