"""Build what the page shows of one gate; a section without facts is empty, and left out of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.html.evidence import Answers, Evidence
from pytest_ftgate.reports.html.examples import Examples, confusions
from pytest_ftgate.reports.html.plots import Interval, interval_plot, interval_words
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.reports.text import block
from pytest_ftgate.result import PROBLEMS_FIRST, Check, GateResult, ModelResult, called
from pytest_ftgate.text import (
    is_share,
    plural,
    show_age,
    show_amount,
    show_count,
    show_difference,
    show_p_value,
    show_percent,
    show_seconds,
    show_value,
)

_MATCH_CHECKS = ("max_drop", "cheaper_by", "faster_by")


def view(result: GateResult, evidence: Evidence, number: int) -> dict[str, Any]:
    """Return everything that the page shows of one gate, by the names in its template.

    ``number`` is the gate's place on the page, from 1.
    """
    answers = evidence.answers
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
        "checks": sorted(result.checks, key=lambda check: PROBLEMS_FIRST.index(check.status)),
        "parts": [part for part in parts if part],
        "mistakes": tables.mistakes(result),
        "confusions": confusions(answers) if answers is not None else None,
        "spreads": _spreads(result, answers) if answers is not None else None,
        "economics": [] if economics is None else [economics.sentence, *sentences.economics_sentences(economics)],
        "training": list(_training(result)),
        "near": [table for table in _row_pairs(result, evidence) if table],
        "prompts": evidence.prompts,
        "inputs": list(_inputs(result)),
        "examples": Examples(answers) if answers is not None else None,
        "text": [line.text for line in block(result, verbosity=1)],
    }


def summary(result: GateResult) -> Mapping[str, str]:
    """Return a gate's row in the table at the top of the page."""
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
    """Return the required gain, ``-`` where there is none."""
    share = is_share(result.metric_range)
    if result.max_drop is not None:
        return f"{show_difference(-result.max_drop, share=share)} or better"
    if result.margin is None:
        return "-"
    unit_is_known = result.metric_range is not None
    return show_difference(result.margin, share=share) if unit_is_known else f"{result.margin:+g}"


def _headline(result: GateResult) -> str:
    """Return what decided the verdict; with ``max_drop`` both halves, quality and cost or speed."""
    matched = [check for check in result.checks if check.name in _MATCH_CHECKS]
    if result.max_drop is not None and any(check.status == result.verdict for check in matched):
        return ", ".join(_matched(result, check) for check in matched)
    if not result.passed:
        return sentences.reason(result)
    if result.stage == "ready":
        return "ready to train"
    if result.gain is None or result.lower_bound is None:
        return "passed"
    share = is_share(result.metric_range)
    text = f"gain {show_difference(result.gain, share=share)}, {_lower_bound(result)}"
    if result.margin_proven or not result.margin:
        return text
    return f"{text}; a gain of {show_amount(result.margin, share=share)} is not proven"


def _matched(result: GateResult, check: Check) -> str:
    """Return what a check of ``max_drop`` found: ``quality kept (...)``, ``6.3x cheaper (required 2x)``."""
    passed = check.status == "pass"
    if check.name == "max_drop":
        outcome = "kept" if passed else "lost" if check.status == "fail" else "not proven"
        bound = "" if result.lower_bound is None else f", {_lower_bound(result)}"
        gain = show_difference(result.gain, share=is_share(result.metric_range))
        return f"quality {outcome} ({gain}{bound}; {_required(result)})"
    word = check.name.removesuffix("_by")
    if check.observed is None:
        return f"how much {word} is unknown"
    return f"{'' if passed else 'only '}{check.observed:.3g}x {word} (required {check.required:g}x)"


def _lower_bound(result: GateResult) -> str:
    bound = show_difference(result.lower_bound, share=is_share(result.metric_range))
    return f"{show_percent(result.confidence or 0)} lower bound {bound}"


def _numbers(result: GateResult) -> Iterator[tuple[str, str, str]]:
    """Yield the headline numbers: a name, a value and a remark."""
    share = is_share(result.metric_range)
    for role, model in (("Baseline", result.baseline), ("Candidate", result.candidate)):
        if model.value is not None:
            yield f"{role}, {result.metric or ''}", show_value(model.value, share=share), model.name
    if result.gain is not None:
        yield "Gain", show_difference(result.gain, share=share), sentences.changed(result)
    if result.lower_bound is not None:
        lower = show_difference(result.lower_bound, share=share)
        yield f"{show_percent(result.confidence or 0)} lower bound", lower, _required_of_bound(result)


def _required_of_bound(result: GateResult) -> str:
    """Return what the evidence requires of the lower bound; the margin may be required of the gain alone."""
    if result.max_drop is not None:
        return _required(result)
    bound = {"observed": "not required", "significant": "required above 0"}.get(
        result.evidence or "", _required(result)
    )
    reached = ", ".join(sentences.unproven(result))
    return f"{bound} ({result.evidence}){f', {reached}' if reached else ''}"


def _required(result: GateResult) -> str:
    if result.max_drop is None:
        return f"required {asked(result)}"
    return f"allowed drop {show_amount(result.max_drop, share=is_share(result.metric_range))}"


def _interval(result: GateResult) -> dict[str, Any] | None:
    """Return the gain over each baseline as a chart and in words; None where it was not measured."""
    if result.gain is None:
        return None
    share = is_share(result.metric_range)
    gains = result.gains.items() if len(result.gains) > 1 else ()
    intervals = [Interval(f"over {role}", one.gain, one.lower_bound, one.upper_bound) for role, one in gains]
    intervals = intervals or [Interval("", result.gain, result.lower_bound, result.upper_bound)]
    limit = (result.margin or 0.0) if result.max_drop is None else -result.max_drop
    words = [f"{one.name} {interval_words(one, share=share)}".strip() for one in intervals]
    words.append(f"each bound one-sided at {show_percent(result.confidence or 0)}")
    words.append(f"method: {result.method}")
    words += [show_p_value(result.p_value)] if result.p_value is not None else []
    words += [f"based on {result.note}"] if result.note else []
    return {"drawn": interval_plot(intervals, limit, _required(result), share=share), "words": "; ".join(words)}


def _remarks(result: GateResult) -> Iterator[str]:
    """Yield notes to the table of models."""
    models = {called(role): model for role, model in result.models.items()}
    for name, model in models.items():
        remarks = []
        if model.price_unknown is not None:
            remarks.append(f"price unknown: {model.price_unknown}")
        elif model.price is not None:
            remarks.append(f"price: {model.price}")
        if model.cost_unknown not in (None, model.price_unknown):
            remarks.append(f"cost unknown: {model.cost_unknown}")
        if model.oldest_age_s is not None:
            remarks.append(f"the oldest stored prediction is {show_age(model.oldest_age_s)} old")
        if model.verified is False:
            remarks.append("attested, not verified")
        if remarks:
            yield f"{name}: {'; '.join(remarks)}"
    yield from (text.strip() for text in sentences.judge_sentences(result))


def _spreads(result: GateResult, answers: Answers) -> Table:
    """Return the latencies and tokens of single answers."""
    models = [("baseline", result.baseline, answers.baseline)]
    models += [("candidate", result.candidate, answers.candidate)] if answers.candidate is not None else []
    sampled = " (of the latency sample)" if any(spread.sampled for *_, spread in models) else ""
    rows = [_spread(f"latency{sampled}", role, one.latencies_s, facts) for role, facts, one in models]
    rows += [_spread("input tokens", role, one.input_tokens) for role, _, one in models]
    rows += [_spread("output tokens", role, one.output_tokens) for role, _, one in models]
    headings = columns(("measure", "model"), ("answers", "min", "p50", "p95", "max"))
    return Table("Latency and tokens per answer", headings, tuple(row for row in rows if row[2] != "0"))


def _spread(what: str, role: str, values: Sequence[float], timed: ModelResult | None = None) -> tuple[str, ...]:
    """Return a row; p50 and p95 of latencies are those of the table of models, ``timed``."""
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
        "conflicting outputs": audit.conflicts,
        "test examples in the training set": audit.leaked,
    }
    yield from ((name, show_count(count)) for name, count in counts.items() if count is not None)
    if audit.sha256 is not None:
        yield "sha256", audit.sha256


def _row_pairs(result: GateResult, evidence: Evidence) -> Iterator[Table]:
    """Yield tables of equal and similar rows, each with the texts of both."""
    test, row, earlier = "test example", "training row", "earlier row"
    for title, names, pairs in (
        ("Test examples in the training set", (test, row), result.training.leaked_pairs),
        ("Test examples with a near duplicate in the training set", (test, row), result.training.near_pairs),
        ("Test examples with an earlier near duplicate", (test, "earlier example"), result.test_set.near_pairs),
        ("Training rows with an earlier near duplicate", (row, earlier), evidence.near_duplicates),
    ):
        rows = tuple((one.row, one.text, one.other, one.other_text) for one in pairs)
        yield Table(f"{title} ({len(rows):,})", columns((names[0], "input", names[1], "input")), rows)


def _inputs(result: GateResult) -> Iterator[tuple[str, str]]:
    """Yield what identifies this run, to compare it with another."""
    test = result.test_set
    examples = None if test.examples is None else plural(test.examples, "example")
    needed = result.examples_needed if result.verdict == "inconclusive" else None
    facts = {
        "test": result.nodeid,
        "marker": result.location,
        "gate in the file": result.gate,
        "stage": result.stage,
        "metric": result.metric,
        "test set": None if examples is None else f"{test.path or 'iterable'}, {examples}",
        "sha256 of the test set": test.sha256,
        "examples needed": None if needed is None else show_count(needed),
    }
    yield from ((name, value) for name, value in facts.items() if value is not None)
    yield from (("looser than the gate file", where) for where in result.loosened)
