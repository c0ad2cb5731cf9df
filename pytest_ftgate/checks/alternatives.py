"""Whether one of the alternatives that the gate makes would nearly do in place of a fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.metrics import Metric

MOST_OF_THE_GAP = 0.8
"""The share of the gap between prompt and candidate from which an alternative is said to close most of it."""
_DECIMALS = 12
_WAYS = {
    "few_shot": ("few-shot with {}", "with {} in it"),
    "retrieval": ("retrieval of {}", "with the {} before each question that are most like it"),
}
"""What a way of showing examples is called, and what a prompt is like that does so."""


def check(gate: Context) -> list[Check]:
    """Check whether an alternative would nearly do; with ``match`` no gain is weighed against a fine-tune's cost."""
    if gate.config.objective != "beat" or not gate.accepts:
        return []
    return gap_checks(gate.config, {role: one.facts.value for role, one in gate.scored.items()}, gate.deciding)


def gap_checks(config: GateKeys, values: Mapping[str, float | None], metric: Metric) -> list[Check]:
    """Say so where examples in the prompt bring most of what the candidate brings over the prompt alone.

    Args:
        config: the gate.
        values: what the models scored, by role: the baselines' names, and "candidate".
        metric: by which they did.
    """
    sign = 1 if metric.greater_is_better else -1
    scored = {role: sign * value for role, value in values.items() if value is not None}
    shown = {role: way for role in config.alternatives if (way := _way(config.baselines[role])) and role in scored}
    prompt = next((role for role in config.alternatives if role in scored and role not in shown), None)
    if prompt is None or not shown:
        return []
    best = max(shown, key=lambda role: scored[role])
    gap = scored["candidate"] - scored[prompt]
    if gap <= 0:
        return []
    closed = round((scored[best] - scored[prompt]) / gap, _DECIMALS)
    if closed < MOST_OF_THE_GAP:
        return []
    share = f"{floor(100 * closed)} %" if closed < 1 else "all"
    return [
        Check(
            "alternative_closes_gap",
            "warning",
            f"{shown[best][0]} closes {share} of the gap between the prompt and the candidate: it may be enough",
            observed=closed,
            required=MOST_OF_THE_GAP,
            source=str(config.baselines[best].source),
            advice=f"Keep the prompt {shown[best][1]}, unless what is left of the gain is worth training, "
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
