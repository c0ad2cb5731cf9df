"""What a fine-tune is for: goals that training serves, and those that something else serves better. Free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.result import Action, Check

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

SERVED = {
    "style": "training teaches how to say things",
    "format": "training teaches a form that a prompt drifts away from",
    "classification": "training teaches the labels of a domain",
    "extraction": "training teaches which fields to find",
    "latency": "a smaller model can be taught to answer as a larger one does",
    "cost": "a smaller model can be taught to answer as a larger one does",
}
NOT_SERVED: Mapping[str, tuple[str, str, Action]] = {
    "knowledge": (
        "training teaches behaviour, and facts are recalled unreliably",
        "Use retrieval (RAG): give the model the facts with each question.",
        "retrieval",
    ),
    "reasoning": (
        "training on examples makes no model more intelligent",
        "Use a better model.",
        "another_model",
    ),
    "one_off": (
        "collecting examples and training costs more than a task that is done once is worth",
        "Use a few-shot prompt.",
        "stop",
    ),
    "safety": (
        "training weakens a model's alignment more easily than it improves it",
        "Use guardrails: filters of input and output, and a system prompt.",
        "stop",
    ),
    "new_modality": (
        "training does not change what kinds of input a model can take",
        "Use a multimodal model, or one made for this kind of input.",
        "another_model",
    ),
}
_ADVICE = 'Or say why it is tried all the same: goal_override: "..."'


def not_served(goal: str | None) -> bool:
    """Return whether something else than training serves this goal."""
    return goal in NOT_SERVED


def check(gate: Context) -> list[Check]:
    """Check that fine-tuning serves the goal; nothing where none is given."""
    goal, reason = gate.config.goal, gate.config.goal_override
    if goal in NOT_SERVED:
        why, instead, action = NOT_SERVED[goal]
        message = f"fine-tuning does not serve the goal {goal}: {why}"
        if reason is None:
            return [Check("goal", "fail", message, goal, None, gate.source("goal"), f"{instead} {_ADVICE}", action)]
        source = gate.source("goal_override")
        return [Check("goal", "warning", f"{message} (allowed: {reason})", goal, None, source, instead)]
    checks = []
    if goal is not None:
        message = f"fine-tuning serves the goal {goal}: {SERVED[goal]}"
        checks.append(Check("goal", "pass", message, goal, None, gate.source("goal")))
    if reason is not None:
        why = "there is no goal" if goal is None else f"the goal {goal} needs none"
        checks.append(Check("goal_override", "note", f"{why}: {reason}", source=gate.source("goal_override")))
    return checks
