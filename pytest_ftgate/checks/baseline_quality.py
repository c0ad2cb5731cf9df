"""A fair chance for the baseline: it is another model, and is given as much as the candidate.

It is unfair where the candidate has few-shot or retrieval examples, template fields, tools or
request parameters that the best baseline lacks (or has less of), or a higher limit of tokens, or
where all that it is sent with the first example is more than twice as long.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.prompt_mismatch import system_of
from pytest_ftgate.config import ModelSpec, model_keys
from pytest_ftgate.data import texts_in
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.models.prompt import Prompt
from pytest_ftgate.result import Check, called
from pytest_ftgate.text import EXCERPT, listed, plural, printable

_LONGER = 2
_LIMITS = (*model_keys.OUTPUT_LIMITS, "max_new_tokens")
"""The parameters that limit the tokens of an answer."""
_HARMLESS = ("seed", "user", "metadata")
"""The parameters that help no model to a better answer."""


def check(gate: Context) -> Iterator[Check]:
    """Check that the candidate is another model than each baseline, and is given no more."""
    for role, spec in _beaten(gate).items():
        prompt = _prompt_of(gate.models[role])
        # what a recording or a function was asked is not known
        if prompt is None or prompt.template or prompt.shots or prompt.neighbours:
            continue
        if not _system_of(gate, role):
            message = f"{called(role, spec.name)} has no prompt: no system message, template or "
            message += "few-shot examples"
            cure = "Give it the best prompt you have (system_file, few_shot: 8): "
            cure += "that is what the candidate has to beat."
            source = str(spec.source)
            yield Check(
                "baseline_prompt",
                "warning",
                message,
                source=source,
                cure=cure,
            )

    if "candidate" not in gate.models:
        return

    yield from _same_model(gate)
    advantages = {role: list(_advantages(gate, role)) for role in _compared(gate)}
    if advantages and all(advantages.values()):
        role = next(iter(advantages))
        yield _unfair(gate, role, advantages[role])


def check_best(gate: Context) -> Iterator[Check]:
    """Check once the baselines are scored that the candidate is given no more than the best one."""
    if gate.best not in _compared(gate):
        return

    advantages = list(_advantages(gate, gate.best))
    if advantages:
        yield _unfair(gate, gate.best, advantages)


def _beaten(gate: Context) -> Mapping[str, ModelSpec]:
    """Return the baselines that decide; none of a gate that asks for agreement alone."""
    return {} if gate.config.asked_by == "agreement" else gate.config.decisive


def _compared(gate: Context) -> Mapping[str, ModelSpec]:
    """Return the baselines that must be beaten: those without a max_drop of their own."""
    compared = {}
    for role, spec in _beaten(gate).items():
        standard = gate.config.standards.get(role)
        if standard is None or not standard.max_drop:
            compared[role] = spec
    return compared


def _unfair(gate: Context, role: str, advantages: Sequence[str]) -> Check:
    """Return the check of an unfair comparison, with its cure, and the way to accept it."""
    candidate = gate.config.candidate
    baseline = called(role, gate.config.baselines[role].name)
    message = f"candidate {candidate.name} is given more than {baseline}: {'; '.join(advantages)}"
    cure = "Give the baseline the same"
    if not gate.config.accepts("baseline_prompt"):
        cure += ", or accept it: checks: {baseline_prompt: warn}"
    source = str(candidate.source)
    return Check(
        "baseline_prompt",
        "fail",
        message,
        source=source,
        cure=f"{cure}.",
    )


def _same_model(gate: Context) -> Iterator[Check]:
    """Refuse a baseline that is the candidate.

    The same models with the same prompt give the first example the same prediction key.
    """
    candidate = gate.config.candidate
    example = gate.test.examples[0]
    candidate_key = key_of(gate.models["candidate"], example)
    for role, spec in gate.config.baselines.items():
        # another recording may hold equal answers
        is_same = spec.identity == candidate.identity
        if is_same and key_of(gate.models[role], example) == candidate_key:
            message = f"{called(role)} and candidate are the same model with the same prompt"
            cure = "Set the fine-tuned model as candidate, and the prompted one as baseline."
            source = str(candidate.source)
            yield Check("identical_outputs", "fail", message, source=source, cure=cure)


# --- what a model is given ------------------------------------------------------------------------


def _prompt_of(model: Model) -> Prompt | None:
    """Return the prompt of a model; None of a recording or a function, which do not show theirs."""
    return model.prompt if model.ids is None else None


def _system_of(gate: Context, role: str) -> str:
    """Return the instructions that a model is sent with the first test example."""
    return system_of(gate.models[role].sent(gate.test.examples[0])["messages"])


def _length_sent(gate: Context, role: str) -> int:
    """Return the number of characters that a model is sent with the first example, all messages."""
    length = 0
    for message in gate.models[role].sent(gate.test.examples[0])["messages"]:
        texts = texts_in([message.get("content"), message.get("tool_calls")])
        length += sum(map(len, texts))
    return length


def _advantages(gate: Context, role: str) -> Iterator[str]:
    """Yield in words what the candidate is given beyond a baseline."""
    candidate = gate.models["candidate"]
    baseline = gate.models[role]
    prompt = _prompt_of(candidate)
    baseline_prompt = _prompt_of(baseline)
    if prompt is None or baseline_prompt is None:
        return

    spec = gate.asked("candidate")
    baseline_spec = gate.asked(role)
    yield from _more_examples(spec.options, baseline_spec.options)

    fields = [name for name in prompt.fields if name not in baseline_prompt.fields]
    if fields:
        yield f"the template has {listed(fields)}"

    length = _length_sent(gate, "candidate")
    baseline_length = _length_sent(gate, role)
    if length > _LONGER * baseline_length:
        sent = f"{plural(length, 'character')} with the first example"
        yield f"{sent} (baseline: {baseline_length:,})"

    if spec.kind is baseline_spec.kind:
        yield from _other_params(candidate.params, baseline.params)

    limit = _limit_of(candidate)
    baseline_limit = _limit_of(baseline)
    if limit > baseline_limit:
        words = "no limit of tokens" if limit == inf else f"answers of up to {limit:g} tokens"
        yield f"{words} (baseline: {baseline_limit:g})"


def _more_examples(options: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words which examples are more: all of them, or those chosen for each input."""
    chosen = options.get("retrieval") or 0
    baseline_chosen = baseline.get("retrieval") or 0
    total = chosen + (options.get("few_shot") or 0)
    baseline_total = baseline_chosen + (baseline.get("few_shot") or 0)
    if total > baseline_total:
        yield f"{plural(total, 'example')} in the prompt (baseline: {baseline_total:,})"
    if chosen > baseline_chosen:
        yield f"{plural(chosen, 'example')} chosen for each input (baseline: {baseline_chosen:,})"


def _other_params(params: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words each value that the baseline is not sent. An adapter makes the candidate."""
    for name, value in params.items():
        # limits are compared below, and an adapter is what makes the candidate
        if name in (*_LIMITS, *_HARMLESS) or model_keys.ADAPTER.search(name):
            continue
        baseline_value = baseline.get(name, "not set")
        if value not in (None, baseline_value):
            shown = printable(str(value), EXCERPT)
            yield f"{name}: {shown} (baseline: {printable(str(baseline_value), EXCERPT)})"


def _limit_of(model: Model) -> float:
    """Return the largest number of tokens of an answer."""
    limits = [model.params[name] for name in _LIMITS if type(model.params.get(name)) is int]
    return min(limits, default=inf)
