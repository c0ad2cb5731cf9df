"""A baseline that nobody tried to make good, as far as it shows before any call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_ftgate.models import key_of
from pytest_ftgate.result import Check, called

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.models import Model
    from pytest_ftgate.models.openai_api.tuning import Tuned

_INSTRUCTIONS = ("system", "developer")
_PROMPTS = ("system", "system_file", "few_shot", "retrieval", "template")
_LIMITS = ("max_completion_tokens", "max_tokens")
_FORMATS = ("text", "json_object", "json_schema")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_CONSTRAINTS = ("guided_json", "guided_choice", "guided_regex", "guided_grammar", "structured_outputs", "grammar")
_DEFAULT_TEMPERATURE = 1.0
_SHOWN = 60


def check(gate: Context) -> list[Check]:
    """Check that the baseline is what would be used without the fine-tune, and as well prompted."""
    config = gate.config
    if not gate.accepts:
        return prompt_checks(config, gate.test)
    return [
        *(same_model(gate) if gate.checkpoints is None else ()),
        *prompt_checks(config, gate.test),
        *params_checks(config),
        *swapped_checks(config),
        *base_model_checks(config, gate.tuned),
    ]


def same_model(gate: Context) -> list[Check]:
    """Check that baseline and candidate are not one model with one prompt."""
    return same_model_checks(gate.config, gate.models, gate.test)


def same_model_checks(config: GateKeys, models: Mapping[str, Model], test: DataSet) -> list[Check]:
    """One model under two names gives one answer twice: their answers to the first example have the same key.

    Args:
        config: the gate.
        models: by role: the baselines' names, and "candidate".
        test: the test set.
    """
    first = test.examples[0]
    key = key_of(models["candidate"], first)
    return [
        Check(
            "same_model",
            "fail",
            f"{called(role)} and candidate are the same model with the same prompt",
            source=str(config.candidate.source),
            advice="Name the fine-tuned model as candidate, and the prompted one as baseline.",
        )
        for role in config.baselines
        if key_of(models[role], first) == key
    ]


def prompt_checks(config: GateKeys, test: DataSet) -> list[Check]:
    """Call out a base model that is asked without a word of instruction: fine-tuning beats that for free."""
    if any(_instructed(example.input) for example in test):
        return []
    return [
        Check(
            "baseline_prompt",
            "warning",
            f"{called(role, spec.name)} has no prompt: no system message, no template and no few-shot examples",
            source=str(spec.source),
            advice="Give it the best prompt you have (system_file, few_shot: {k: 8}): that is what the candidate "
            "has to replace.",
            action="better_prompt",
        )
        for role, spec in config.baselines.items()
        if spec.provider == "openai" and not any(spec.options.get(key) for key in _PROMPTS)
    ]


def _instructed(given: Any) -> bool:
    return not isinstance(given, str) and any(message["role"] in _INSTRUCTIONS for message in given)


def params_checks(config: GateKeys) -> list[Check]:
    """Call out a baseline that is asked with weaker parameters than the candidate."""
    found = []
    for role, spec in config.baselines.items():
        weaker = list(_weaker(_params(spec), _params(config.candidate))) if _both_openai(spec, config) else []
        if weaker:
            found.append(
                Check(
                    "baseline_params",
                    "warning",
                    f"{called(role, spec.name)} has weaker parameters than the candidate: {'; '.join(weaker)}",
                    source=str(spec.source),
                    advice="Give both models the same params, unless one of them does not take them.",
                )
            )
    return found


def _both_openai(spec: ModelSpec, config: GateKeys) -> bool:
    return spec.provider == config.candidate.provider == "openai"


def _params(spec: ModelSpec) -> Mapping[str, Any]:
    return spec.options.get("params") or {}


def _weaker(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Iterator[str]:
    """Each parameter that is weaker for the baseline, as ``name: baseline's against candidate's``."""
    yield from _lower_limit(baseline, candidate)
    yield from _less_constrained(baseline, candidate)
    warm, cool = (_number(params.get("temperature"), _DEFAULT_TEMPERATURE) for params in (baseline, candidate))
    if warm > cool:
        yield _against("temperature", baseline, candidate)
    efforts = [params.get("reasoning_effort") for params in (baseline, candidate)]
    if all(effort in _EFFORTS for effort in efforts) and _EFFORTS.index(efforts[0]) < _EFFORTS.index(efforts[1]):
        yield _against("reasoning_effort", baseline, candidate)
    if baseline.get("stop") and not candidate.get("stop"):
        yield _against("stop", baseline, candidate)


def _lower_limit(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Iterator[str]:
    """Both keys say how long an answer may be; no limit is the highest."""
    name, few = _limit(baseline)
    _, many = _limit(candidate)
    if few < many:
        yield f"{name}: {few:g} against {'no limit' if many == float('inf') else f'{many:g}'}"


def _limit(params: Mapping[str, Any]) -> tuple[str, float]:
    limits = [(name, _number(params[name], float("inf"))) for name in _LIMITS if name in params]
    return min(limits, key=lambda limit: limit[1], default=("", float("inf")))


def _less_constrained(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Iterator[str]:
    """An answer that cannot have the wrong form is half of a right one."""
    if _format(baseline) < _format(candidate):
        yield _against("response_format", baseline, candidate)
    for name in _CONSTRAINTS:
        if candidate.get(name) and not baseline.get(name):
            yield _against(name, baseline, candidate)


def _format(params: Mapping[str, Any]) -> int:
    written = params.get("response_format")
    kind = written.get("type") if isinstance(written, Mapping) else None
    return _FORMATS.index(kind) if kind in _FORMATS else 0


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _against(name: str, baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> str:
    return f"{name}: {_written(baseline.get(name))} against {_written(candidate.get(name))}"


def _written(value: Any) -> str:
    if value is None:
        return "not set"
    return str(value["type"]) if isinstance(value, Mapping) and "type" in value else str(value)[:_SHOWN]


def base_model_checks(config: GateKeys, tuned: Mapping[str, Tuned]) -> list[Check]:
    """Say where a baseline is another model than the one that was tuned: fair, and easily forgotten."""
    base = tuned["candidate"].job.base_model if "candidate" in tuned else None
    if base is None or config.objective == "match":  # that the baseline is another, larger model is the point of it
        return []
    return [
        Check(
            "base_model",
            "note",
            f"{called(role)} {model} is not {base}, from which the candidate was tuned: it may be the model that you "
            "would prompt instead",
            observed=model,
            required=base,
            source=str(spec.source),
        )
        for role, spec in config.baselines.items()
        if spec.provider == "openai" and _undated(model := _model_of(role, spec, tuned)) != _undated(base)
    ]


def _model_of(role: str, spec: ModelSpec, tuned: Mapping[str, Tuned]) -> str:
    return str(tuned[role].spec.options["model"] if role in tuned else spec.options["model"])


def _undated(model: str) -> str:
    """A model's name and that of its dated snapshot mean one model."""
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)


def swapped_checks(config: GateKeys) -> list[Check]:
    """Call out a fine-tuned model as baseline of one that is none: the two may have been mixed up."""
    candidate = config.candidate.options.get("model")
    if not isinstance(candidate, str) or _is_tuned(config.candidate):
        return []
    return [
        Check(
            "swapped",
            "warning",
            f"{called(role, spec.name)} is a fine-tuned model ({_sign(spec)}), "
            f"and candidate {config.candidate.name} is not",
            source=str(spec.source),
            advice="Look whether the two are swapped.",
        )
        for role, spec in config.baselines.items()
        if _is_tuned(spec)
    ]


def _is_tuned(spec: ModelSpec) -> bool:
    return _sign(spec) is not None


def _sign(spec: ModelSpec) -> str | None:
    """By what a model is known as a fine-tuned one."""
    if "job" in spec.options:
        return "job"
    return "ft:" if str(spec.options.get("model", "")).startswith("ft:") else None
