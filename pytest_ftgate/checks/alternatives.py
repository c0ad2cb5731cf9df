"""What may do instead of the fine-tune: examples in the prompt, or retrieval of the facts that it memorised.

``docs/verdict.md`` explains the thresholds.
"""

from math import floor

from pytest_ftgate import result, text
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.runs.mistakes import diagnose

RECALLED_LEAST = 5
RECALLED_SHARE = 0.5
RAG = "Use RAG: give the model these facts with each question. A model recalls trained facts unreliably, and they age."
MOST_OF_THE_GAP = 0.8
"""The share of the gap between prompt and candidate from which a prompt with examples may be enough."""
_DECIMALS = 12
_WAYS = {
    "few_shot": ("few-shot with {}", "with {} in it"),
    "retrieval": ("retrieval of {}", "with the {} most similar to each question"),
}
"""The name of each way to show examples, and the description of a prompt that does so."""


def check_examples(gate: Context) -> list[result.Check]:
    """Warn where examples in the prompt bring most of the candidate's gain over the same model's prompt alone."""
    config, sign = gate.config, gate.deciding.sign
    scored = {
        role: sign * one.facts.value
        for role, one in gate.scored.items()
        if one.facts.value is not None
    }
    prompted = {role: spec for role, spec in config.decisive.items() if role in scored}
    ways = {role: way for role, spec in prompted.items() if (way := _way(spec))}
    if not ways:
        return []
    best = max(ways, key=lambda role: scored[role])
    model = config.baselines[best].spelling
    prompts = [
        scored[role]
        for role, spec in prompted.items()
        if role not in ways and spec.spelling == model
    ]
    if not prompts:
        return []
    gap = scored["candidate"] - max(prompts)
    closed = round((scored[best] - max(prompts)) / gap, _DECIMALS) if gap > 0 else 0.0
    if closed < MOST_OF_THE_GAP:
        return []
    share, (name, prompt) = f"{floor(100 * closed)} %" if closed < 1 else "all", ways[best]
    message = f"{name} closes {share} of the gap between the prompt and the candidate, so it may be enough"
    numbers = closed, MOST_OF_THE_GAP, str(config.baselines[best].source)
    advice = f"Keep the prompt {prompt}, unless the rest of the gain is worth training, hosting and retraining a "
    advice += "model: examples in a prompt can be edited."
    return [result.Check("alternatives", "warning", message, *numbers, advice)]


def _way(spec: ModelSpec) -> tuple[str, str] | None:
    """Return the name and the description of how a model is shown examples; None where it is shown none."""
    for key, (name, prompt) in _WAYS.items():
        if key in spec.options:
            shown = text.plural(spec.options[key], "example")
            return name.format(shown), prompt.format(shown)
    return None


def diagnosis(gate: Context) -> Found:
    """Find the kinds of mistakes; none for a pairwise metric, by which no single answer is right or wrong."""
    if gate.deciding.pairwise:
        return Found({})
    test, training, scored = gate.test.examples, gate.training.examples, gate.scored
    found = diagnose(gate.deciding, test, training, scored[gate.best], scored.get("candidate"))
    return Found({"diagnosis": found})


def check_knowledge(gate: Context) -> list[result.Check]:
    """Warn where most fixed examples expect an output that is in the training set and not in their own input."""
    found = gate.facts.get("diagnosis")
    if found is None or not gate.comparisons:
        return []
    recalled, fixed = found.recalled or 0, gate.comparisons[gate.best].wins or 0
    if fixed < RECALLED_LEAST or recalled < RECALLED_SHARE * fixed:
        return []
    message = f"the gain looks like memorised facts: {recalled:,} of {text.plural(fixed, 'fixed example')} expect an output "
    message += "that is in the training set and not in the input"
    return [result.Check("knowledge", "warning", message, recalled, None, None, RAG)]
