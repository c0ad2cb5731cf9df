"""The rule that fine-tuning serves the goal of the gate."""

from collections.abc import Iterator, Mapping

from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import Check

NOT_SERVED: Mapping[str, tuple[str, str]] = {
    "knowledge": (
        "training teaches behavior, and a model recalls trained facts unreliably",
        "Use retrieval (RAG): give the model the facts with each question.",
    ),
    "reasoning": ("training on examples does not improve general reasoning", "Use a better model."),
    "one_off": (
        "for a task that is done once, collecting examples and training cost more than they save",
        "Use a few-shot prompt.",
    ),
    "safety": (
        "training weakens a model's alignment more easily than it improves it",
        "Use guardrails: filter inputs and outputs, and use a system prompt.",
    ),
    "new_modality": (
        "training does not add kinds of input to a model",
        "Use a multimodal model, or another one made for this kind of input.",
    ),
}


def check(gate: Context) -> Iterator[Check]:
    """Check that fine-tuning serves the goal, if one is set."""
    goal = gate.config.goal
    if goal is None:
        return

    source = gate.source("goal")
    if goal not in NOT_SERVED:
        yield Check(
            "goal",
            "pass",
            f"fine-tuning serves the goal {goal}",
            observed=goal,
            source=source,
        )
        return

    reason, cure = NOT_SERVED[goal]
    message = f"fine-tuning does not serve the goal {goal}: {reason}"
    if not gate.config.accepts("goal"):
        cure += " To fine-tune all the same, write checks: {goal: warn}."
    yield Check("goal", "fail", message, observed=goal, source=source, cure=cure)
