"""The rule that warns of a gain that consists of memorised facts, which retrieval provides more reliably.

``docs/advice.md`` explains the thresholds.
"""

from __future__ import annotations

from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.shown import hides, shown_diagnosis
from pytest_ftgate.result import Check
from pytest_ftgate.runs.mistakes import diagnose
from pytest_ftgate.text import plural

RECALLED_LEAST = 5
RECALLED_SHARE = 0.5
RAG = "Use RAG: give the model these facts with each question. A model recalls trained facts unreliably, and they age."


def diagnosis(gate: Context) -> Found:
    """Find the kinds of mistakes; none for a pairwise metric, by which no single answer is right or wrong."""
    if gate.deciding.pairwise:
        return Found({})
    test, training, scored = gate.test.examples, gate.training.examples, gate.scored
    found = diagnose(gate.deciding, test, training, scored[gate.best], scored.get("candidate"))
    return Found({"diagnosis": shown_diagnosis(gate, found) if hides(gate) else found})


def check(gate: Context) -> list[Check]:
    """Warn where most fixed examples expect an output that is in the training set and not in their own input."""
    found = gate.facts.get("diagnosis")
    if found is None:
        return []
    recalled, fixed = found.recalled or 0, gate.comparisons[gate.best].wins or 0
    if fixed < RECALLED_LEAST or recalled < RECALLED_SHARE * fixed:
        return []
    message = f"the gain looks like memorised facts: {recalled:,} of {plural(fixed, 'fixed example')} expect an output "
    message += "that is in the training set and not in the input"
    return [Check("knowledge", "warning", message, recalled, None, None, RAG, "retrieval")]
