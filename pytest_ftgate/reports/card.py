"""A section for the model card of a fine-tune: purpose, data, results, and what was not measured.

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
    lines = ["No candidate was scored.", ""]
    if judged:
        index = {"model-index": _index(judged)}
        header = yaml.safe_dump(index, sort_keys=False, allow_unicode=True)
        lines = ["---", header.rstrip(), "---", ""]
    for result in judged:
        lines += _section(result)

    versions = ", ".join(f"{name} {version}" for name, version in json.environment().items())
    judge = "pytest-ftgate"
    if written_at is not None:
        judge += f" on {timestamp(written_at)}"
    return "\n".join([*lines, markdown.item(f"Judged by {judge} with {versions}."), ""])


def _index(judged: Iterable[GateResult]) -> list[Mapping[str, Any]]:
    """Return an entry of ``model-index`` for each candidate, with the results of its gates."""
    results: dict[str, list[Mapping[str, Any]]] = {}
    for result in judged:
        results.setdefault(result.candidate.name, []).append(_result(result))
    entries: list[Mapping[str, Any]] = []
    for name, of_model in results.items():
        entries.append({"name": name, "results": of_model})
    return entries


def _result(result: GateResult) -> Mapping[str, Any]:
    """Return the results of a gate as an entry of ``model-index`` has them."""
    file = PurePath(result.test_set.path or "test set").name
    metrics = []
    for name, value in result.candidate.metrics.items():
        if value is not None:
            metrics.append({"type": name, "name": name, "value": value})
    return {
        "task": {"type": _TASK, "name": result.name},
        "dataset": {"name": file, "type": file, "revision": result.test_set.sha256},
        "metrics": metrics,
    }


def _section(result: GateResult) -> Iterator[str]:
    yield from (f"## Evaluation: {markdown.inline(result.name)}, {result.verdict}", "")
    yield from _facts("Purpose", _purpose(result))
    yield from _facts("Data", sentences.data_sentences(result, digits=64))
    yield from _facts("Models", _models(result))

    yield from ("### Results", "", *markdown.table(tables.models(result)))
    outcome = (
        *sentences.gain_sentence(result),
        *sentences.agreement_sentence(result),
        *sentences.champion_sentences(result),
        *sentences.upper_bound_sentence(result),
        *sentences.method_sentence(result),
    )
    yield from _facts("", outcome)
    for table in tables.parts(result):
        if table:
            yield from (f"### {table.title}", "", *markdown.table(table))

    costs = list(sentences.price_sentences(result))
    if result.economics is not None:
        costs = [result.economics.sentence, *costs]
    yield from _facts("Cost", costs)
    yield from _facts("What was not measured", _unmeasured(result))
    findings = []
    for check in result.checks:
        if check.status not in ("pass", "note"):
            findings.append(f"{check.name}: {check.message}")
    yield from _facts("Findings", findings)


def _purpose(result: GateResult) -> Iterator[str]:
    if result.goal is not None:
        yield f"Goal: {result.goal}"
    if result.hypothesis is not None:
        outcomes = {None: "", True: ": reached", False: ": not reached"}
        yield f"Hypothesis: {result.hypothesis}{outcomes[result.hypothesis_reached]}"
    if result.max_drop is not None:
        yield f"The candidate may be worse by {result.max_drop:g} in {result.metric} (proven)."
    elif result.margin is not None:
        margin = f"{result.margin:g} in {result.metric} ({result.evidence})"
        yield f"The candidate must beat the baseline by {margin}."
    agreement = result.agreement
    if agreement is not None:
        share = f"{show_percent(agreement.min)} of its answers"
        yield f"At least {share} must be those of {agreement.baseline} (proven)."


def _models(result: GateResult) -> Iterator[str]:
    for role, model in result.models.items():
        revision = f"revision {model.revision}" if model.revision else "revision not named"
        yield f"{called(role, model.name)}: {model.model}, {revision}"


def _unmeasured(result: GateResult) -> Iterator[str]:
    if not result.guards:
        yield (
            "Other tasks: no guards were configured, so what the fine-tune may have unlearned is "
            "unknown."
        )
    if not result.slices:
        yield "Parts of the test set: none were configured."
    if result.candidate.latency_p50_s is None:
        yield "Latency of the candidate."
    if result.candidate.cost_usd is None:
        yield "Cost of the candidate's answers."
    if result.candidate.n_errors:
        yield f"Missing answers of the candidate: {result.candidate.n_errors}."


def _facts(title: str, facts: Iterable[str]) -> Iterator[str]:
    """Yield a heading and a list; nothing without facts."""
    items = [f"- {markdown.item(fact)}" for fact in facts]
    if not items:
        return
    if title:
        yield from (f"### {title}", "")
    yield from (*items, "")
