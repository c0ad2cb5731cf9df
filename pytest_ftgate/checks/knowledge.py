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


def smells_of_knowledge(diagnosis: Diagnosis) -> bool:
    """Whether most of what was fixed is told by the training set and not by the question."""
    count, fixed = diagnosis.recalled or 0, len(diagnosis.fixed)
    return fixed >= RECALLED_LEAST and count >= RECALLED_SHARE * fixed


def facts(gate: Context) -> dict[str, Diagnosis | None]:
    """Return the kinds of mistakes; none by a metric that compares answers, and calls none of them right."""
    from pytest_ftgate.runs.mistakes import diagnose

    if gate.deciding.pairwise:
        return {"diagnosis": None}
    test, training, scored = gate.test.examples, gate.training.examples, gate.scored
    return {"diagnosis": diagnose(gate.deciding, test, training, scored[gate.best], scored.get("candidate"))}


def check(gate: Context) -> list[Check]:
    """Say where the gain is knowledge, of green gates too: it is bought at the wrong place."""
    diagnosis = gate.result.diagnosis
    return [] if diagnosis is None or not gate.accepts else knowledge_checks(diagnosis)


def knowledge_checks(diagnosis: Diagnosis) -> list[Check]:
    """A gain that is knowledge, said of green gates too: it is bought at the wrong place."""
    if not smells_of_knowledge(diagnosis):
        return []
    message = f"the gain smells of knowledge: {recalled_fact(diagnosis)}"
    return [Check("knowledge", "warning", message, diagnosis.recalled, None, None, RAG, "retrieval")]


def recalled_fact(diagnosis: Diagnosis) -> str:
    """The numbers behind it."""
    return (
        f"of {plural(len(diagnosis.fixed), 'fixed example')} {diagnosis.recalled or 0:,} expect what stands in "
        "training rows and not in the input"
    )
