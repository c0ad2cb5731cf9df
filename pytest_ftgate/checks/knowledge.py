"""The rule that warns of a gain that consists of memorised facts, which retrieval provides more reliably.

``docs/advice.md`` explains the thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.runs.mistakes import diagnose

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

from pytest_ftgate.checks.attempts import hides, shown_diagnosis
from pytest_ftgate.result import Check, Diagnosis
from pytest_ftgate.text import plural

RECALLED_LEAST = 5
RECALLED_SHARE = 0.5
RAG = "Use RAG: give the model these facts with each question. A model recalls trained facts unreliably, and they age."


def facts(gate: Context) -> dict[str, Diagnosis | None]:
    """Return the diagnosis of the mistakes; None for a pairwise metric, by which no single answer is right or wrong."""
    if gate.deciding.pairwise:
        return {"diagnosis": None}
    test, training, scored = gate.test.examples, gate.training.examples, gate.scored
    found = diagnose(gate.deciding, test, training, scored[gate.best], scored.get("candidate"))
    return {"diagnosis": shown_diagnosis(gate, found) if hides(gate) else found}


def check(gate: Context) -> list[Check]:
    """Warn where most fixed examples expect an output that is in the training set and not in their own input."""
    diagnosis = gate.result.diagnosis
    if diagnosis is None or not gate.accepts:
        return []
    recalled, fixed = diagnosis.recalled or 0, gate.result.wins or 0
    if fixed < RECALLED_LEAST or recalled < RECALLED_SHARE * fixed:
        return []
    message = f"the gain looks like memorised facts: {recalled:,} of {plural(fixed, 'fixed example')} expect an output "
    message += "that is in the training set and not in the input"
    return [Check("knowledge", "warning", message, diagnosis.recalled, None, None, RAG, "retrieval")]
