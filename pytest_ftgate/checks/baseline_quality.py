"""A fair chance for the baseline: it is another model, and is given as much as the candidate.

It is unfair where the candidate has few-shot or retrieval examples, template fields, tools or
request parameters that the best baseline has not (or less of), a system message more than twice as
long, or a higher limit of tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from pytest_ftgate.checks import context, judging
from pytest_ftgate.config import ModelSpec, model_keys
from pytest_ftgate.data import INSTRUCTIONS, texts_in
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.result import Check, called
from pytest_ftgate.text import EXCERPT, listed, plural, printable

_LONGER = 2
_LIMITS = (*model_keys.OUTPUT_LIMITS, "max_new_tokens")
"""The parameters that limit the tokens of an answer."""
_ACCEPT = "or accept it: checks: {baseline_prompt: warn}"


def check(gate: context.Context) -> Iterator[Check]:
    """Check that the candidate is another model than each baseline, and is given no more."""
    compared = _compared(gate)
    for role, spec in _beaten(gate).items():
        prompt = _prompt_of(gate.models[role])
        if prompt is not None and not _says_anything(prompt, _system_of(gate, role)):
            message = f"{called(role, spec.name)} has no prompt: no system message, template or few-shot examples"
            advice = "Give it the best prompt you have (system_file, few_shot: 8): "
            advice += "that is what the candidate has to beat."
            source = str(spec.source)
            yield Check("baseline_prompt", "warning", message, None, None, source, advice)

    if "candidate" in gate.models:
        yield from _same_model(gate, compared)
        advantages = {role: list(_advantages(gate, role)) for role in compared}
        if advantages and all(advantages.values()):
            yield _unfair(gate, *next(iter(advantages.items())))


def check_best(gate: context.Context) -> Iterator[Check]:
    """Check once the baselines are scored that the candidate is given no more than the best one."""
    if gate.best not in _compared(gate):
        return

    advantages = list(_advantages(gate, gate.best))
    if advantages:
        yield _unfair(gate, gate.best, advantages)


def _compared(gate: context.Context) -> Mapping[str, ModelSpec]:
    """Return the baselines that must be beaten: those without a max_drop of their own."""
    standards = gate.config.standards
    return {
        role: spec
        for role, spec in _beaten(gate).items()
        if role not in standards or not standards[role].max_drop
    }


def _beaten(gate: context.Context) -> Mapping[str, ModelSpec]:
    """Return the baselines that decide; none of a gate that asks for agreement alone."""
    return {} if gate.config.asked_by == "agreement" else gate.config.decisive


def _unfair(gate: context.Context, role: str, advantages: Sequence[str]) -> Check:
    baseline = called(role, gate.config.baselines[role].name)
    source = str(gate.config.candidate.source)
    message = f"candidate {gate.config.candidate.name} is given more than {baseline}: {'; '.join(advantages)}"
    advice = f"Give the baseline the same, {_ACCEPT}."
    return Check("baseline_prompt", "fail", message, None, None, source, advice)


def _same_model(gate: context.Context, compared: Mapping[str, ModelSpec]) -> Iterator[Check]:
    """Refuse a baseline that is the candidate.

    The same models with the same prompt give the first example the same prediction key.
    """
    candidate = gate.config.candidate
    source = str(candidate.source)
    example = gate.test.examples[0]
    candidate_key = key_of(gate.models["candidate"], example)
    advice = "Set the fine-tuned model as candidate, and the prompted one as baseline"
    for role, spec in gate.config.baselines.items():
        message = f"{called(role)} and candidate are the same model"
        if key_of(gate.models[role], example) == candidate_key and not _is_equal_copy(gate, role):
            message += " with the same prompt"
            yield Check("identical_outputs", "fail", message, source=source, advice=f"{advice}.")
        elif role in compared and judging.is_one_model(spec, candidate):
            message += (
                f" ({candidate.spelling}), so the gain is that of the prompt or of the parameters"
            )
            yield Check(
                "baseline_prompt", "fail", message, source=source, advice=f"{advice}, {_ACCEPT}."
            )


def _is_equal_copy(gate: context.Context, role: str) -> bool:
    """Return whether a baseline that need not be beaten is another recording, whose answers may be the same."""
    standard = gate.config.standard_of(role)
    spec = gate.config.baselines[role]
    is_other_file = (
        gate.models[role].ids is not None and spec.identity != gate.config.candidate.identity
    )
    return is_other_file and standard.key != "margin"


# --- what a model is given
# -----------------------------------------------------------------------------------


def _prompt_of(model: Model) -> Prompt | None:
    """Return the prompt of a model; None of a recording or a function, which do not show theirs."""
    return model.prompt if model.ids is None else None


def _system_of(gate: context.Context, role: str) -> str:
    """Return the instructions that a model is sent with the first test example."""
    messages = gate.models[role].sent(gate.test.examples[0])["messages"]
    instructions = [turn for turn in messages if turn["role"] in INSTRUCTIONS]
    return "\n".join(text for turn in instructions for text in texts_in(turn.get("content")))


def _says_anything(prompt: Prompt, system: str) -> bool:
    return bool(system or prompt.template or prompt.shots or prompt.neighbours)


def _advantages(gate: context.Context, role: str) -> Iterator[str]:
    """Yield in words what the candidate is given beyond a baseline."""
    candidate, baseline = gate.models["candidate"], gate.models[role]
    prompt, other_prompt = _prompt_of(candidate), _prompt_of(baseline)
    if prompt is None or other_prompt is None:
        return

    yield from _more_examples(gate.asked("candidate").options, gate.asked(role).options)

    fields = [name for name in prompt.fields if name not in other_prompt.fields]
    if fields:
        yield f"the template has {listed(fields)}"

    length, other_length = len(_system_of(gate, "candidate")), len(_system_of(gate, role))
    if length > _LONGER * other_length:
        yield f"system message of {plural(length, 'character')} (baseline: {other_length:,})"

    if gate.asked("candidate").kind is gate.asked(role).kind:
        yield from _other_params(candidate.params, baseline.params)

    limit, other_limit = _limit_of(candidate), _limit_of(baseline)
    if limit > other_limit:
        most = "no limit of tokens" if limit == inf else f"answers of up to {limit:g} tokens"
        yield f"{most} (baseline: {other_limit:g})"


def _more_examples(options: Mapping[str, Any], other_options: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words which examples are more: all of them, or those chosen for each input."""
    chosen, other_chosen = options.get("retrieval") or 0, other_options.get("retrieval") or 0
    total = chosen + (options.get("few_shot") or 0)
    other_total = other_chosen + (other_options.get("few_shot") or 0)
    if total > other_total:
        yield f"{plural(total, 'example')} in the prompt (baseline: {other_total:,})"
    if chosen > other_chosen:
        yield f"{plural(chosen, 'example')} chosen for each input (baseline: {other_chosen:,})"


def _other_params(params: Mapping[str, Any], other_params: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words each value that the baseline is not sent. An adapter makes the candidate."""
    for name, value in params.items():
        other_value = other_params.get(name)
        if not (name in _LIMITS or judging.ADAPTER.search(name) or value in (None, other_value)):
            yield f"{name}: {_written(value)} (baseline: {_written(other_value)})"


def _written(value: Any) -> str:
    return "not set" if value is None else printable(str(value), EXCERPT)


def _limit_of(model: Model) -> float:
    """Return the most tokens of an answer."""
    limits = [model.params[name] for name in _LIMITS if type(model.params.get(name)) is int]
    return min(limits, default=inf)
