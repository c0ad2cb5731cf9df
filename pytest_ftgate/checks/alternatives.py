"""What may do instead of the fine-tune: examples in the prompt, or retrieval of memorised facts.

``docs/verdict.md`` explains the thresholds.
"""

from collections.abc import Iterator
from math import floor

from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import ModelSpec
from pytest_ftgate.result import Check, called
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


def check_examples(gate: Context) -> Iterator[Check]:
    """Warn where examples bring most of the candidate's gain over the same model's prompt alone."""
    baselines = gate.config.decisive
    values = {}
    for role, measured in gate.scored.items():
        values[role] = gate.deciding.sign * measured.scores[gate.deciding.name].value
    with_examples = [role for role, spec in baselines.items() if _shows_examples(spec)]
    if not with_examples:
        return

    # the best examples are held against the same model without any
    best = max(with_examples, key=values.__getitem__)
    prompts = []
    for role, spec in baselines.items():
        if role not in with_examples and spec.spelling == baselines[best].spelling:
            prompts.append(values[role])
    if not prompts:
        return

    prompt_alone = max(prompts)
    gap = values["candidate"] - prompt_alone
    closed = round((values[best] - prompt_alone) / gap, _DECIMALS) if gap > 0 else 0.0
    if closed < _MOST_OF_THE_GAP:
        return

    message = f"{called(best)} closes {floor(100 * closed)} % of the gap between the prompt and "
    message += "the candidate, so its examples may be enough"
    cure = "Keep the prompt with examples, unless the rest of the gain is worth training and "
    cure += "hosting a model: examples in a prompt can be edited."
    source = str(baselines[best].source)
    yield Check(
        "alternatives",
        "warning",
        message,
        observed=closed,
        required=_MOST_OF_THE_GAP,
        source=source,
        cure=cure,
    )


def _shows_examples(spec: ModelSpec) -> bool:
    return bool(spec.options.get("few_shot") or spec.options.get("retrieval"))


def check_knowledge(gate: Context) -> Iterator[Check]:
    """Warn where most fixed examples expect outputs that training knows and the input lacks."""
    if not gate.comparisons:
        return

    recalled = gate.diagnosis.recalled or 0
    fixed = gate.comparisons[gate.best].fixed or 0
    if fixed >= _FEWEST_FIXED and recalled >= _RECALLED_SHARE * fixed:
        message = f"the gain looks like memorised facts: {recalled:,} of "
        message += f"{plural(fixed, 'fixed example')} expect an output that is in the training set "
        message += "and not in the input"
        yield Check(
            "knowledge",
            "warning",
            message,
            observed=recalled,
            cure=_RAG,
        )
