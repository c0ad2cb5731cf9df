"""A section for the model card of a fine-tune: what was asked, on which data, what was measured, and what was not.

The header is Hugging Face's ``model-index`` (https://huggingface.co/docs/hub/model-cards), which the Hub and
``huggingface_hub.ModelCard`` read; the text is for an auditor.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pytest_ftgate.reports import sentences, tables
from pytest_ftgate.reports.json import environment
from pytest_ftgate.reports.markdown import inline, item, table
from pytest_ftgate.result import GateResult, ModelResult, called
from pytest_ftgate.text import plural, timestamp

_TASK = "text-generation"  # the Hub's name for models that answer text with text


def card(results: Iterable[GateResult], *, written_at: float | None = None) -> str:
    """Return a model card of the judged gates: the YAML header, then a section for each gate."""
    import yaml

    judged = [result for result in results if result.candidate.metrics]
    header = yaml.safe_dump({"model-index": list(_index(judged))}, sort_keys=False, allow_unicode=True)
    lines = ["---", header.rstrip(), "---", ""] if judged else ["No candidate was scored.", ""]
    for result in judged:
        lines += _section(result)
    versions = ", ".join(f"{name} {version}" for name, version in environment().items())
    when = f" on {timestamp(written_at)}" if written_at is not None else ""
    return "\n".join([*lines, item(f"Judged by pytest-ftgate{when} with {versions}."), ""])


def _index(results: Sequence[GateResult]) -> Iterator[Mapping[str, Any]]:
    """Yield one entry of ``model-index`` for each candidate, with the results of its gates."""
    for name in dict.fromkeys(result.candidate.name for result in results):
        of_model = [_result(result) for result in results if result.candidate.name == name]
        yield {"name": name, "results": of_model}


def _result(result: GateResult) -> Mapping[str, Any]:
    data = result.test_set
    file = PurePath(data.path).name if data.path else "test set"
    measured = {name: value for name, value in result.candidate.metrics.items() if value is not None}
    return {
        "task": {"type": _TASK, "name": result.name},
        "dataset": {"name": file, "type": file, "revision": data.sha256},
        "metrics": [{"type": name, "name": name, "value": value} for name, value in measured.items()],
    }


def _section(result: GateResult) -> Iterator[str]:
    yield from (f"## Evaluation: {inline(result.name)}, {result.verdict}", "")
    yield from _facts("Purpose", _purpose(result))
    yield from _facts("Data", sentences.data_sentences(result, digits=64))
    yield from _facts("Models", (_model(role, one) for role, one in result.models.items()))
    yield from ("### Results", "", *table(tables.models(result)))
    gain = sentences.gain_sentence(result)
    gains = (*(() if gain is None else (gain,)), *sentences.champion_sentences(result))
    yield from _facts("", (*gains, *sentences.method_sentences(result)))
    for part in tables.parts(result):
        if part:
            yield from (f"### {part.title}", "", *table(part))
    economics = () if result.economics is None else result.economics.costs
    yield from _facts("Cost", (*economics, *sentences.price_sentences(result)))
    yield from _facts("What was not measured", _unmeasured(result))
    red = (f"{one.name}: {one.message}" for one in result.checks if one.status not in ("pass", "note"))
    yield from _facts("Findings", red)


def _model(role: str, model: ModelResult) -> str:
    revision = f", revision {model.revision}" if model.revision else ", revision not named"
    return f"{called(role, model.name)}: {model.model}{revision}"


def _purpose(result: GateResult) -> Iterator[str]:
    if result.goal is not None:
        yield f"Goal: {result.goal}"
    if (hypothesis := sentences.hypothesis_sentence(result)) is not None:
        yield hypothesis[0].upper() + hypothesis[1:]
    if result.max_drop is not None:
        yield f"The candidate may be worse by {result.max_drop:g} in {result.metric} (proven)."
    else:
        yield f"The candidate must beat the baseline by {result.margin:g} in {result.metric} ({result.evidence})."


def _unmeasured(result: GateResult) -> Iterator[str]:
    others, parts, _ = tables.parts(result)
    if not others:
        yield "Other tasks: no guards were configured, so what the fine-tune may have unlearned is unknown."
    if not parts:
        yield "Parts of the test set: none were configured."
    if result.candidate.latency_p50_s is None:
        yield "Latency of the candidate."
    if result.candidate.cost_usd is None:
        yield "Cost of the candidate's answers."
    if result.candidate.n_errors:
        yield f"{plural(result.candidate.n_errors, 'answer')} of the candidate, which did not arrive."


def _facts(title: str, facts: Iterable[str]) -> Iterator[str]:
    """Yield a heading and a list; nothing without facts."""
    found = [f"- {item(fact)}" for fact in facts]
    if found:
        yield from ((f"### {title}", "") if title else ())
        yield from (*found, "")
