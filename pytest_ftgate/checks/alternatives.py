"""What may do instead of the fine-tune: examples in the prompt, or retrieval of memorised facts.

``docs/verdict.md`` explains the thresholds.
"""

from collections.abc import Iterator
from math import floor

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.result import Check
from pytest_ftgate.runs.mistakes import diagnose
from pytest_ftgate.text import plural

_FEWEST_FIXED = 5
_RECALLED_SHARE = 0.5
_RAG = (
    "Use RAG: give the model these facts with each question. A model recalls trained facts "
    "unreliably, and they age."
)
_MOST_OF_THE_GAP = 0.8
"""The share of the gap between prompt and candidate from which examples may be enough."""
_DECIMALS = 12
_WAYS = {
    "few_shot": ("few-shot with {}", "with {} in it"),
    "retrieval": ("retrieval of {}", "with the {} most similar to each question"),
}
"""The name of each way to show examples, and the description of a prompt that does so."""


def check_examples(gate: Context) -> Iterator[Check]:
    """Warn where examples bring most of the candidate's gain over the same model's prompt alone."""
    config = gate.config
    values = {}
    for role, measured in gate.scored.items():
        if measured.facts.value is not None:
            values[role] = gate.deciding.sign * measured.facts.value
    ways = {}
    for role, spec in config.decisive.items():
        way = _way(spec)
        if role in values and way is not None:
            ways[role] = way
    if not ways:
        return

    # the best examples are held against the same model without any
    best = max(ways, key=values.__getitem__)
    model = config.baselines[best].spelling
    prompts = []
    for role, spec in config.decisive.items():
        if role in values and role not in ways and spec.spelling == model:
            prompts.append(values[role])
    if not prompts:
        return

    prompt_alone = max(prompts)
    gap = values["candidate"] - prompt_alone
    closed = round((values[best] - prompt_alone) / gap, _DECIMALS) if gap > 0 else 0.0
    if closed < _MOST_OF_THE_GAP:
        return

    name, prompt = ways[best]
    share = f"{floor(100 * closed)} %" if closed < 1 else "all"
    message = f"{name} closes {share} of the gap between the prompt and the candidate, so it may "
    message += "be enough"
    advice = f"Keep the prompt {prompt}, unless the rest of the gain is worth training, hosting "
    advice += "and retraining a model: examples in a prompt can be edited."
    source = str(config.baselines[best].source)
    yield Check("alternatives", "warning", message, closed, _MOST_OF_THE_GAP, source, advice)


def _way(spec: ModelSpec) -> tuple[str, str] | None:
    """Return the name and the description of how a model is shown examples; None if it is not."""
    for key, (name, prompt) in _WAYS.items():
        if key in spec.options:
            examples = plural(spec.options[key], "example")
            return name.format(examples), prompt.format(examples)
    return None


def diagnosis(gate: Context) -> Found:
    """Find the kinds of mistakes; none for a pairwise metric: no single answer is right."""
    if gate.deciding.pairwise:
        return Found({})

    scored = gate.scored
    diagnosis = diagnose(
        gate.deciding,
        gate.test.examples,
        gate.training.examples,
        scored[gate.best],
        scored.get("candidate"),
    )
    return Found({"diagnosis": diagnosis})


def check_knowledge(gate: Context) -> Iterator[Check]:
    """Warn where most fixed examples expect outputs that training knows and the input lacks."""
    diagnosis = gate.facts.get("diagnosis")
    if diagnosis is None or not gate.comparisons:
        return

    recalled = diagnosis.recalled or 0
    fixed = gate.comparisons[gate.best].wins or 0
    if fixed >= _FEWEST_FIXED and recalled >= _RECALLED_SHARE * fixed:
        message = f"the gain looks like memorised facts: {recalled:,} of "
        message += f"{plural(fixed, 'fixed example')} expect an output that is in the training set "
        message += "and not in the input"
        yield Check("knowledge", "warning", message, recalled, None, None, _RAG)
