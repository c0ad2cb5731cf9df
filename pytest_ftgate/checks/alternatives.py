"""Whether one of the alternatives that the gate makes would nearly do in place of a fine-tune."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import ModelSpec

MOST_OF_THE_GAP = 0.8
"""The share of the gap between prompt and candidate from which an alternative is said to close most of it."""
_DECIMALS = 12
_WAYS = {
    "few_shot": ("few-shot with {}", "with {} in it"),
    "retrieval": ("retrieval of {}", "with the {} before each question that are most like it"),
}
"""What a way of showing examples is called, and what a prompt is like that does so."""


def check(gate: Context) -> list[Check]:
    """Say so where examples in the prompt bring most of what the candidate brings over the prompt alone.

    With ``match`` no gain is weighed against a fine-tune's cost.
    """
    config, sign = gate.config, 1 if gate.deciding.greater_is_better else -1
    if config.objective != "beat" or not gate.accepts:
        return []
    scored = {role: sign * one.facts.value for role, one in gate.scored.items() if one.facts.value is not None}
    ways = {role: way for role in config.alternatives if (way := _way(config.baselines[role])) and role in scored}
    prompt = next((role for role in config.alternatives if role in scored and role not in ways), None)
    if prompt is None or not ways:
        return []
    best = max(ways, key=lambda role: scored[role])
    gap = scored["candidate"] - scored[prompt]
    closed = round((scored[best] - scored[prompt]) / gap, _DECIMALS) if gap > 0 else 0.0
    if closed < MOST_OF_THE_GAP:
        return []
    share = f"{floor(100 * closed)} %" if closed < 1 else "all"
    return [
        Check(
            "alternative_closes_gap",
            "warning",
            f"{ways[best][0]} closes {share} of the gap between the prompt and the candidate: it may be enough",
            observed=closed,
            required=MOST_OF_THE_GAP,
            source=str(config.baselines[best].source),
            advice=f"Keep the prompt {ways[best][1]}, unless what is left of the gain is worth training, "
            "hosting and training again: examples in a prompt change with an edit.",
            action="better_prompt",
        )
    ]


def _way(spec: ModelSpec) -> tuple[str, str] | None:
    """How it shows the model examples, by name and as a prompt; None where it does not."""
    for key, (name, prompt) in _WAYS.items():
        if key in spec.options:
            shown = plural(spec.options[key]["k"], "example")
            return name.format(shown), prompt.format(shown)
    return None
