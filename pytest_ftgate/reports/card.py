"""A section for the model card of a fine-tune: what was asked, on which data, what was measured, and what was not.

The header is Hugging Face's ``model-index`` (https://huggingface.co/docs/hub/model-cards), which
the Hub and ``huggingface_hub.ModelCard`` read; the text is for an auditor.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pytest_ftgate.reports import json, markdown, sentences, tables
from pytest_ftgate.result import GateResult, called
from pytest_ftgate.text import show_percent, timestamp

_TASK = "text-generation"  # the Hub's name for models that answer text with text


def card(results: Iterable[GateResult], *, written_at: float | None = None) -> str:
    """Return a model card of the judged gates: the YAML header, then a section for each gate."""
    import yaml

    judged = [result for result in results if result.candidate.metrics]
    index = [
        {
            "name": name,
            "results": [_result(result) for result in judged if result.candidate.name == name],
        }
        for name in dict.fromkeys(result.candidate.name for result in judged)
    ]
    header = yaml.safe_dump({"model-index": index}, sort_keys=False, allow_unicode=True)
    lines = ["---", header.rstrip(), "---", ""] if judged else ["No candidate was scored.", ""]
    for result in judged:
        lines += _section(result)
    versions = ", ".join(f"{name} {version}" for name, version in json.environment().items())
    when = f" on {timestamp(written_at)}" if written_at is not None else ""
    return "\n".join([*lines, markdown.item(f"Judged by pytest-ftgate{when} with {versions}."), ""])


def _result(result: GateResult) -> Mapping[str, Any]:
    """Return the results of a gate as an entry of ``model-index`` has them."""
    data = result.test_set
    file = PurePath(data.path).name if data.path else "test set"
    measured = {
        name: value for name, value in result.candidate.metrics.items() if value is not None
    }
    return {
        "task": {"type": _TASK, "name": result.name},
        "dataset": {"name": file, "type": file, "revision": data.sha256},
        "metrics": [
            {"type": name, "name": name, "value": value} for name, value in measured.items()
        ],
    }


def _section(result: GateResult) -> Iterator[str]:
    others, parts, labels = tables.parts(result)
    yield from (f"## Evaluation: {markdown.inline(result.name)}, {result.verdict}", "")
    yield from _facts("Purpose", _purpose(result))
    yield from _facts("Data", sentences.data_sentences(result, digits=64))
    revisions = {
        role: one.revision and f"revision {one.revision}" for role, one in result.models.items()
    }
    models = (
        f"{called(role, one.name)}: {one.model}, {revisions[role] or 'revision not named'}"
        for role, one in result.models.items()
    )
    yield from _facts("Models", models)
    yield from ("### Results", "", *markdown.table(tables.models(result)))
    told = (
        sentences.gain_sentence,
        sentences.agreement_sentence,
        sentences.champion_sentences,
        sentences.upper_bound_sentence,
        sentences.method_sentence,
    )
    yield from _facts("", (fact for sentences_of in told for fact in sentences_of(result)))
    for part in (others, parts, labels):
        yield from (f"### {part.title}", "", *markdown.table(part)) if part else ()
    economics = () if result.economics is None else result.economics.costs
    yield from _facts("Cost", (*economics, *sentences.price_sentences(result)))
    unmeasured = {
        "Other tasks: no guards were configured, so what the fine-tune may have unlearned is unknown.": not others,
        "Parts of the test set: none were configured.": not parts,
        "Latency of the candidate.": result.candidate.latency_p50_s is None,
        "Cost of the candidate's answers.": result.candidate.cost_usd is None,
        f"Missing answers of the candidate: {result.candidate.n_errors}.": bool(
            result.candidate.n_errors
        ),
    }
    yield from _facts(
        "What was not measured", (fact for fact, holds in unmeasured.items() if holds)
    )
    red = (
        f"{one.name}: {one.message}" for one in result.checks if one.status not in ("pass", "note")
    )
    yield from _facts("Findings", red)


def _purpose(result: GateResult) -> Iterator[str]:
    if result.goal is not None:
        yield f"Goal: {result.goal}"
    yield from (
        hypothesis[0].upper() + hypothesis[1:]
        for hypothesis in sentences.hypothesis_sentence(result)
    )
    if result.max_drop is not None:
        yield f"The candidate may be worse by {result.max_drop:g} in {result.metric} (proven)."
    elif result.margin is not None:
        yield f"The candidate must beat the baseline by {result.margin:g} in {result.metric} ({result.evidence})."
    if (agreement := result.agreement) is not None:
        yield f"At least {show_percent(agreement.min)} of its answers must be those of {agreement.baseline} (proven)."


def _facts(title: str, facts: Iterable[str]) -> Iterator[str]:
    """Yield a heading and a list; nothing without facts."""
    found = [f"- {markdown.item(fact)}" for fact in facts]
    if found:
        yield from ((f"### {title}", "") if title else ())
        yield from (*found, "")
