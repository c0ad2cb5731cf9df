"""A gain that is knowledge: it is bought at the wrong place.

Where a threshold comes from stands in ``docs/advice.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

from pytest_ftgate.result import Check, Diagnosis
from pytest_ftgate.text import plural

RECALLED_LEAST = 5
RECALLED_SHARE = 0.5
RAG = "Use RAG: give the model these facts with each question. Training recalls them unreliably, and they grow old."


def facts(gate: Context) -> dict[str, Diagnosis | None]:
    """Return the kinds of mistakes; none by a metric that compares answers, and calls none of them right."""
    from pytest_ftgate.runs.mistakes import diagnose

    if gate.deciding.pairwise:
        return {"diagnosis": None}
    test, training, scored = gate.test.examples, gate.training.examples, gate.scored
    return {"diagnosis": diagnose(gate.deciding, test, training, scored[gate.best], scored.get("candidate"))}


def check(gate: Context) -> list[Check]:
    """Say where most of what was fixed is told by the training set and not by the question, of green gates too."""
    diagnosis = gate.result.diagnosis
    if diagnosis is None or not gate.accepts:
        return []
    recalled, fixed = diagnosis.recalled or 0, len(diagnosis.fixed)
    if fixed < RECALLED_LEAST or recalled < RECALLED_SHARE * fixed:
        return []
    message = f"the gain smells of knowledge: of {plural(fixed, 'fixed example')} {recalled:,} expect what stands in "
    message += "training rows and not in the input"
    return [Check("knowledge", "warning", message, diagnosis.recalled, None, None, RAG, "retrieval")]
