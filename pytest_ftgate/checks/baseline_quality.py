"""Signs of a baseline that is weaker than it need be, or that is the candidate itself, found before any call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.config.model_keys import OUTPUT_LIMITS, PROMPT_KEYS
from pytest_ftgate.data.normalize import INSTRUCTIONS
from pytest_ftgate.models import key_of
from pytest_ftgate.result import Check, called

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import ModelSpec

_FORMATS = ("text", "json_object", "json_schema")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_CONSTRAINTS = ("guided_json", "guided_choice", "guided_regex", "guided_grammar", "structured_outputs", "grammar")
_DEFAULT_TEMPERATURE = 1.0
_SHOWN = 60


def check_pairs(gate: Context) -> Iterator[Check]:
    """Check that the baseline is another model than the candidate, is not held back, and is not swapped with it.

    The same models with the same prompt give the first example the same prediction key.
    """
    key = key_of(gate.models["candidate"], gate.test.examples[0])
    for role in gate.config.baselines:
        if key_of(gate.models[role], gate.test.examples[0]) == key:
            yield Check(
                "identical_outputs",
                "fail",
                f"{called(role)} and candidate are the same model with the same prompt",
                source=str(gate.config.candidate.source),
                advice="Set the fine-tuned model as candidate, and the prompted one as baseline.",
            )
    yield from _weaker_params(gate)
    yield from _swapped(gate)


def check_prompts(gate: Context) -> Iterator[Check]:
    """Warn of a base model without any instruction, which almost any fine-tune beats; a champion needs none."""
    chats = (example.input for example in gate.test if not isinstance(example.input, str))
    if any(message["role"] in INSTRUCTIONS for chat in chats for message in chat):
        return
    for role, spec in gate.config.decisive.items():
        if spec.provider == "openai" and not any(spec.options.get(key) for key in PROMPT_KEYS):
            yield Check(
                "baseline_prompt",
                "warning",
                f"{called(role, spec.name)} has no prompt: no system message, template or few-shot examples",
                source=str(spec.source),
                advice="Give it the best prompt you have (system_file, few_shot: 8): that is what the candidate "
                "has to beat.",
                action="better_prompt",
            )


def _weaker_params(gate: Context) -> Iterator[Check]:
    """Warn of a baseline that has weaker parameters than the candidate."""
    candidate = gate.config.candidate
    for role, spec in gate.config.baselines.items():
        both = spec.provider == candidate.provider == "openai"
        weaker = "; ".join(_weaker(_params(spec), _params(candidate))) if both else ""
        if weaker:
            message = f"{called(role, spec.name)} has weaker parameters than the candidate: {weaker}"
            advice = "Give both models the same params, unless one of them does not support them."
            yield Check("baseline_params", "warning", message, source=str(spec.source), advice=advice)


def _params(spec: ModelSpec) -> Mapping[str, Any]:
    return spec.options.get("params") or {}


def _weaker(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Iterator[str]:
    """Yield each parameter that is weaker for the baseline, as ``max_tokens: 10 (candidate: 500)``."""
    (name, few), (_, many) = _limit(baseline), _limit(candidate)
    if few < many:
        yield f"{name}: {few:g} (candidate: {'no limit' if many == float('inf') else f'{many:g}'})"
    if _format(baseline) < _format(candidate):
        yield _against("response_format", baseline, candidate)
    for name in _CONSTRAINTS:
        if candidate.get(name) and not baseline.get(name):
            yield _against(name, baseline, candidate)
    warm, cool = (_number(params.get("temperature"), _DEFAULT_TEMPERATURE) for params in (baseline, candidate))
    if warm > cool:
        yield _against("temperature", baseline, candidate)
    efforts = [params.get("reasoning_effort") for params in (baseline, candidate)]
    if all(effort in _EFFORTS for effort in efforts) and _EFFORTS.index(efforts[0]) < _EFFORTS.index(efforts[1]):
        yield _against("reasoning_effort", baseline, candidate)
    if baseline.get("stop") and not candidate.get("stop"):
        yield _against("stop", baseline, candidate)


def _limit(params: Mapping[str, Any]) -> tuple[str, float]:
    """Return the limit on the length of an answer, which two keys can set."""
    limits = [(name, _number(params[name], float("inf"))) for name in OUTPUT_LIMITS if name in params]
    return min(limits, key=lambda limit: limit[1], default=("", float("inf")))


def _format(params: Mapping[str, Any]) -> int:
    written = params.get("response_format")
    kind = written.get("type") if isinstance(written, Mapping) else None
    return _FORMATS.index(kind) if kind in _FORMATS else 0


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _against(name: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> str:
    return f"{name}: {_written(baseline.get(name))} (candidate: {_written(candidate.get(name))})"


def _written(value: Any) -> str:
    if value is None:
        return "not set"
    return str(value["type"]) if isinstance(value, Mapping) and "type" in value else str(value)[:_SHOWN]


def _swapped(gate: Context) -> Iterator[Check]:
    """Warn of a fine-tuned baseline whose candidate is not fine-tuned: the two may have been swapped."""
    candidate = gate.config.candidate
    if not isinstance(candidate.options.get("model"), str) or _sign(candidate) is not None:
        return
    for role, spec in gate.config.decisive.items():
        if (sign := _sign(spec)) is not None:
            message = f"{called(role, spec.name)} is a fine-tuned model ({sign}) and candidate {candidate.name} is not"
            yield Check(
                "models",
                "warning",
                message,
                source=str(spec.source),
                advice="Check whether baseline and candidate are swapped.",
            )


def _sign(spec: ModelSpec) -> str | None:
    """Return the sign by which a model is known to be fine-tuned; None where there is none."""
    return "ft:" if str(spec.options.get("model", "")).startswith("ft:") else None
