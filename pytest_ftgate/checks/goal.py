"""What a fine-tune is for: goals that training serves, and those that something else serves better. Free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_ftgate.result import Action, Check

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys

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
    """Whether something else than training serves this goal."""
    return goal in NOT_SERVED


def check(gate: Context) -> list[Check]:
    """Check that fine-tuning serves the goal; nothing where none is given."""
    config = gate.config
    goal, reason, source = config.goal, config.goal_override, str(config.sources["goal"])
    if goal is not None and goal in NOT_SERVED:
        why, instead, action = NOT_SERVED[goal]
        message = f"fine-tuning does not serve the goal {goal}: {why}"
        if reason is None:
            return [Check("goal", "fail", message, goal, None, source, f"{instead} {_ADVICE}", action)]
        override = str(config.sources["goal_override"])
        return [Check("goal", "warning", f"{message} (allowed: {reason})", goal, None, override, instead)]
    found = []
    if goal is not None:
        message = f"fine-tuning serves the goal {goal}: {SERVED[goal]}"
        found.append(Check("goal", "pass", message, goal, None, source))
    if reason is not None:
        found.append(_idle(config))
    return found


def _idle(config: GateKeys) -> Check:
    why = "there is no goal" if config.goal is None else f"the goal {config.goal} needs none"
    return Check("goal_override", "note", f"{why}: {config.goal_override}", source=str(config.sources["goal_override"]))
