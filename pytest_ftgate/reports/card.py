"""A section for the model card of a fine-tune: results, models, data, and what was found.

The header is Hugging Face's ``model-index`` (https://huggingface.co/docs/hub/model-cards), which
the Hub and ``huggingface_hub.ModelCard`` read; the text is for an auditor.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pytest_ftgate.reports import json, markdown, sentences, tables
from pytest_ftgate.result import RED, GateResult, called
from pytest_ftgate.text import timestamp

# the Hub's names for models that answer text with text, and with a label
_TASK = "text-generation"
_TASK_OF_LABELS = "text-classification"


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
    has_labels = result.diagnosis is not None and result.diagnosis.labels
    task = _TASK_OF_LABELS if has_labels else _TASK
    return {
        "task": {"type": task, "name": result.name},
        "dataset": {"name": file, "type": file, "revision": result.test_set.sha256},
        "metrics": metrics,
    }


def _section(result: GateResult) -> Iterator[str]:
    """Yield the title, the tables and the facts of one gate."""
    yield from (f"## Evaluation: {markdown.inline(result.name)}, {result.verdict}", "")
    yield from markdown.table(tables.models(result))
    for table in tables.parts(result):
        if table:
            yield from (f"### {table.title}", "", *markdown.table(table))
    for fact in _facts(result):
        yield f"- {markdown.item(fact)}"
    yield ""


def _facts(result: GateResult) -> Iterator[str]:
    """Yield what was asked and found, of which models and data, and the checks that do not hold."""
    if result.goal is not None:
        yield f"goal: {result.goal}"
    yield from sentences.hypothesis_sentence(result)
    yield from sentences.gain_sentence(result)
    yield from sentences.agreement_sentence(result)
    yield from sentences.upper_bound_sentence(result)
    yield from sentences.doubling_sentence(result)
    yield from sentences.method_sentence(result)

    for role, model in result.models.items():
        revision = f"revision {model.revision}" if model.revision else "revision not named"
        yield f"{called(role, model.name)}: {model.model}, {revision}"
    yield from sentences.data_sentences(result, digits=64)
    for check in sentences.with_status(result.checks, *RED, "warning"):
        yield f"{check.name}: {check.message}"
