"""Build what the page shows of one gate; a section without facts is empty, and left out of the page."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.checks.advice import most_to_try
from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.html.evidence import Change, Evidence
from pytest_ftgate.reports.html.plots import interval_plot, interval_words, script_data
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.result import PROBLEMS_FIRST, GateResult
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import (
    is_share,
    show_change,
    show_difference,
    show_p_value,
    show_percent,
    show_value,
)


def view(result: GateResult, evidence: Evidence, number: int) -> dict[str, Any]:
    """Return everything that the page shows of one gate, by the names in its template.

    ``number`` is the gate's place on the page, from 1.
    """
    remarks = [
        *sentences.price_sentences(result),
        sentences.age_sentence(result),
        sentences.detectable_sentence(result),
    ]
    near = tuple(table for table in _row_pairs(result, evidence) if table)
    sections = [*tables.sections(result), *([("Near duplicates", near)] if near else [])]
    examples = _examples(evidence, result) if evidence.rows else None
    links = {"checks": result.checks, **dict(sections), "prompts": evidence.prompts, "examples": examples}
    return {
        "anchor": f"gate-{number}",
        "result": result,
        "deciding": [] if result.passed else list(sentences.advised_once(sentences.deciding_checks(result), set())),
        "stage": sentences.stage_sentence(result),
        "headline": _headline(result),
        "hypothesis": sentences.hypothesis_sentence(result),
        "numbers": list(_numbers(result)),
        "advice": most_to_try(result),
        "interval": _interval(result),
        "models": tables.models(result),
        "remarks": [text for text in (*remarks, sentences.detectable_sentence(result)) if text],
        "checks": sorted(result.checks, key=lambda check: PROBLEMS_FIRST.index(check.status)),
        "sections": sections,
        "links": [title for title, content in links.items() if content],
        "prompts": evidence.prompts,
        "inputs": list(_inputs(result)),
        "examples": examples,
    }


def summary(result: GateResult) -> Mapping[str, str]:
    """Return a gate's row in the table at the top of the page."""
    share = is_share(result.metric_range)
    return {
        "name": result.name,
        "verdict": result.verdict,
        "gain": "-" if result.gain is None else show_difference(result.gain, share=share),
        "lower": show_change(result.lower_bound, share=share),
        "asked": sentences.required(result).removeprefix("needs "),
        "baseline": show_value(result.baseline.value, share=share),
        "candidate": show_value(result.candidate.value, share=share),
        "metric": result.metric or "-",
    }


def _headline(result: GateResult) -> str:
    """Return the gain of a gate that passed, and what else had to be reached; empty for others."""
    gain = sentences.gain_sentence(result)
    if not result.passed or gain is None:
        return ""
    facts = [check.message for check in result.checks if check.kind == "cost" and check.status == "pass"]
    return "; ".join([gain, *sentences.champion_sentences(result), *facts])


def _numbers(result: GateResult) -> Iterator[tuple[str, str, str]]:
    """Yield the headline numbers: a name, a value and a remark."""
    share = is_share(result.metric_range)
    for role, model in (("Baseline", result.baseline), ("Candidate", result.candidate)):
        if model.value is not None:
            yield f"{role}, {result.metric or ''}", show_value(model.value, share=share), model.name
    if result.gain is not None:
        yield "Gain", show_difference(result.gain, share=share), sentences.changed(result)


def _interval(result: GateResult) -> dict[str, Any] | None:
    """Return the gain over each baseline as a chart and in words; None where it was not measured."""
    if result.gain is None:
        return None
    share = is_share(result.metric_range)
    compared: Mapping[str, Comparison] = {"": result}
    if len(result.gains) > 1:
        drops = {role: " (max_drop)" if (one.required or 0) < 0 else "" for role, one in result.gains.items()}
        compared = {f"over {role}{drops[role]}": one for role, one in result.gains.items()}
    limit = (result.margin or 0.0) if result.max_drop is None else -result.max_drop
    words = [f"{name} {interval_words(one, share=share)}".strip() for name, one in compared.items()]
    words.append(f"each bound one-sided at {show_percent(result.confidence or 0)}")
    method = [f"method: {result.method}"]
    method += [show_p_value(result.p_value)] if result.p_value is not None else []
    method += [f"based on {result.note}"] if result.note else []
    drawn = interval_plot(compared, limit, sentences.required(result), share=share)
    return {"drawn": drawn, "words": "; ".join(words), "method": "; ".join(method)}


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
        yield Table(f"{title} ({len(rows):,})", columns((names[0], "input", names[1], "input")), rows, folds=True)


def _inputs(result: GateResult) -> Iterator[tuple[str, str]]:
    """Yield what identifies this run, to compare it with another."""
    facts = {
        "test": result.nodeid,
        "marker": result.location,
        "gate in the file": result.gate,
        "stage": result.stage,
        "metric": result.metric,
    }
    yield from ((name, value) for name, value in facts.items() if value is not None)
    for sentence in sentences.data_sentences(result):
        name, _, value = sentence.partition(": ")
        yield name, value
    yield from (("looser than the gate file", where) for where in result.loosened)


_PLAIN_ROWS = 200
_PLAIN_OTHERS = 20
_ORDER: tuple[Change, ...] = ("broken", "fixed", "wrong", "right", "same")
_WORDS = (
    ("broken", "fixed", "both wrong", "both right", "the same"),
    " Fixed: only the candidate got it right. Broken: only the baseline got it right.",
)
_GRADED = (
    ("worse", "better", "both poor", "both good", "the same"),
    " Better and worse: the candidate scores higher or lower than the baseline.",
)
_ALONE = ("broken", "fixed", "wrong", "right", "the same"), ""


def _examples(answers: Evidence, result: GateResult) -> dict[str, Any]:
    """Return the examples of one gate, those that changed first; without a script only ``plain`` ones are shown.

    ``data`` are all rows as JSON for a ``<script>``: short lists, since there may be many, and without ``<``.
    """
    rows = sorted(answers.rows, key=lambda row: _ORDER.index(row.change))
    expected = any(row.expected for row in rows)
    found = Counter(row.change for row in rows)
    words, legend = _ALONE if answers.alone else _GRADED if answers.graded else _WORDS
    data = [[one.id, one.input, one.expected if expected else None, one.change, one.baseline, one.candidate]
            for one in rows]  # fmt: skip
    return {
        "answers": answers,
        "labels": result.diagnosis is not None and bool(result.diagnosis.labels),
        "rows": rows,
        "expected": expected,
        "words": dict(zip(_ORDER, words, strict=True)),
        "legend": legend,
        "counts": {change: found[change] for change in _ORDER if found[change]},
        "plain": rows[: min(found["broken"] + found["fixed"], _PLAIN_ROWS) or _PLAIN_OTHERS],
        "data": script_data(json.dumps(data, separators=(",", ":"), allow_nan=False)),
    }
