"""Signs of a baseline that is weaker than it need be, or that is the candidate itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import floor
from typing import TYPE_CHECKING, Any

from pytest_ftgate.config.model_keys import OUTPUT_LIMITS, PROMPT_KEYS
from pytest_ftgate.data import expected_text
from pytest_ftgate.data.normalize import INSTRUCTIONS
from pytest_ftgate.models import key_of
from pytest_ftgate.result import Action, Check, Status, called, opponent
from pytest_ftgate.runs.measure import rightness, same_outputs
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import ModelSpec
    from pytest_ftgate.metrics import Scored

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


# --- models with identical answers, and labels that a baseline wrote itself ----------------------------------


MIN_CIRCULAR = 50
"""From so many answers on, a model that is always right is suspicious."""
MOST_SHARED_MISTAKES = 4
"""More identical mistakes are unlikely: two models that share half of their mistakes share 5 of 5 once in 32 times."""


def check_answers(gate: Context) -> Iterator[Check]:
    """Check each baseline whose answers equal those of the candidate, or the labels themselves."""
    for role in gate.comparisons:
        if same_outputs(gate.scored[role].run, gate.scored["candidate"].run):
            yield _identical(gate, role)
        if gate.config.matches and len(gate.test) >= MIN_CIRCULAR:
            yield from _circular(gate, role)


def _identical(gate: Context, role: str) -> Check:
    """Refuse two models whose answers are identical: they are one model, or one of them was not called.

    With ``max_drop`` both may be right everywhere, but different models would make different mistakes.
    """
    n, match = len(gate.test), gate.config.matches
    mistakes = mistakes_in(gate.scored[role].scores[gate.deciding.name]) if match else 0
    message = f"the candidate gave the same {plural(n, 'answer')} as {opponent(role)}"
    status: Status = "fail"
    advice = "Check whether both names refer to the same model"
    if not match:
        advice += "; if not, the fine-tune changed no answer."
    elif mistakes > MOST_SHARED_MISTAKES:
        message += f", including {mistakes:,} identical mistakes: this is one model under two names"
        advice += ", through an alias, a router or a copied recording."
    else:
        status, advice = "warning", f"{advice}; if not, the models are equal on this test set."
    action: Action | None = "measure_again" if status == "fail" else None
    return Check("identical_outputs", status, message, observed=n, advice=advice, action=action)


def _circular(gate: Context, role: str) -> Iterator[Check]:
    """Warn of labels that the baseline wrote itself: they measure agreement with it, not quality.

    This is a warning, because the comparison still holds: a candidate that agrees with its teacher on nearly all
    answers is not much worse. How good either of them is remains unknown.
    """
    n, model = len(gate.test), gate.scored[role]
    right = gate.deciding.uses_labels and not mistakes_in(model.scores[gate.deciding.name])
    labels = [expected_text(value).strip() for value in gate.expected]
    if right or all([(answer or "").strip() for answer in repeat] == labels for repeat in model.answers):
        yield Check(
            "circular",
            "warning",
            f"{called(role, model.facts.name)} is right on all {plural(n, 'example')}, so the labels look like its own "
            "outputs: the test measures agreement with this model, not quality",
            observed=n,
            advice="Have people check the labels of the test set without seeing the model's answers.",
        )


def mistakes_in(scored: Scored) -> int:
    """Return the number of answers below the metric's best score."""
    metric = scored.metric
    best = 1.0 if scored.per_example is None else metric.best
    return int((rightness(scored).round(12) != round(best, 12)).sum())


# --- baselines with examples in their prompt, which may be enough --------------------------------------------


MOST_OF_THE_GAP = 0.8
"""The share of the gap between prompt and candidate from which a prompt with examples may be enough."""
_DECIMALS = 12
_WAYS = {
    "few_shot": ("few-shot with {}", "with {} in it"),
    "retrieval": ("retrieval of {}", "with the {} most similar to each question"),
}
"""The name of each way to show examples, and the description of a prompt that does so."""


def check_alternatives(gate: Context) -> list[Check]:
    """Warn where examples in the prompt bring most of the candidate's gain over the same model's prompt alone."""
    config, sign = gate.config, gate.deciding.sign
    scored = {role: sign * one.facts.value for role, one in gate.scored.items() if one.facts.value is not None}
    ways = {role: way for role, spec in config.baselines.items() if role in scored and (way := _way(spec))}
    if not ways:
        return []
    best = max(ways, key=lambda role: scored[role])
    model = config.baselines[best].spelling
    prompts = [
        scored[role]
        for role, spec in config.baselines.items()
        if role in scored and role not in ways and spec.spelling == model
    ]
    if not prompts:
        return []
    gap = scored["candidate"] - max(prompts)
    closed = round((scored[best] - max(prompts)) / gap, _DECIMALS) if gap > 0 else 0.0
    if closed < MOST_OF_THE_GAP:
        return []
    share = f"{floor(100 * closed)} %" if closed < 1 else "all"
    return [
        Check(
            "alternatives",
            "warning",
            f"{ways[best][0]} closes {share} of the gap between the prompt and the candidate, so it may be enough",
            observed=closed,
            required=MOST_OF_THE_GAP,
            source=str(config.baselines[best].source),
            advice=f"Keep the prompt {ways[best][1]}, unless the rest of the gain is worth training, hosting and "
            "retraining a model: examples in a prompt can be edited.",
            action="better_prompt",
        )
    ]


def _way(spec: ModelSpec) -> tuple[str, str] | None:
    """Return the name and the description of how a model is shown examples; None where it is shown none."""
    for key, (name, prompt) in _WAYS.items():
        if key in spec.options:
            shown = plural(spec.options[key], "example")
            return name.format(shown), prompt.format(shown)
    return None
