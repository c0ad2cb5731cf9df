"""The answers of the two models: whether all arrived, whether they are answers, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import ABLATED
from pytest_ftgate.result import Check, LabelResult, called
from pytest_ftgate.text import cure_of, one_line, plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.runs.measure import Measured

_IDS_SHOWN = 5
_ID_CHARACTERS = 100


def check_complete(gate: Context) -> list[Check]:
    """Check that every answer arrived."""
    roles = [role for role in gate.measured if role != ABLATED]
    return [
        complete_check(role, gate.measured[role], forgiven=role in gate.forgiven)
        for role in sorted(roles, key=lambda role: gate.runs[role].fatal is None)  # the cause comes first
    ]


_NO_ANSWERS = (
    ("n_unknown", "unknown_labels", "no known label"),
    ("n_refused", "refusals", "a refusal or filtered"),
    ("n_cut_off", "cut_off", "cut off at the length limit"),
    ("n_empty", "empty", "empty"),
)


def check(gate: Context) -> Iterator[Check]:
    """Say of each model how many of its answers are none, and whether recorded ones are verified.

    What is no answer to the question is scored wrong. Recorded predictions without a hash of their input are taken on
    trust.
    """
    for role, one in gate.scored.items():
        model, name = called(role, one.facts.name), called(role)
        for attribute, kind, what in _NO_ANSWERS:
            if count := getattr(one.facts, attribute):
                message = f"{model}: {plural(count, 'answer')} {'is' if count == 1 else 'are'} {what}, scored wrong"
                yield Check(f"{name}_{kind}", "note", message, observed=count)
        if one.facts.verified is False:
            message = f"{model}: the recorded predictions are attested, not verified (no input_sha256)"
            yield Check(f"{name}_recording", "note", message)


MOST_LABELS = 200
"""Labels kept for reports, the worst first."""


def facts(gate: Context) -> dict[str, tuple[LabelResult, ...]]:
    """Return how many answers are right for each expected label, the worst change first; none without labels."""
    import numpy as np

    labels = gate.deciding.label_set
    if labels is None or not gate.accepts:
        return {}
    gold = labels.gold(gate.deciding.name, gate.expected)
    models = gate.scored[gate.best], gate.scored["candidate"]
    right = [(labels.predicted(one.answers)[0] == gold).mean(axis=0) for one in models]
    results = []
    for code, text in enumerate(labels.texts):
        rows = np.flatnonzero(gold == code)
        before, after = (float(one[rows].mean()) for one in right)
        results.append(LabelResult(text, len(rows), before, after, round(after - before, 12)))
    results.sort(key=lambda one: one.change)
    return {"labels": tuple(results[:MOST_LABELS])}


def complete_check(role: str, measured: Measured, *, forgiven: bool) -> Check:
    """Check one model. A missing answer is an error, unless the gate scores it as wrong."""
    model, run = measured.facts, measured.run
    gaps = [one for repeat in run.predictions for one in repeat if one.completion is None]
    error = str(run.fatal) if run.fatal else gaps[0].error if gaps else None
    offline = any(one.offline for one in gaps)
    missing = model.n_errors or 0
    if not missing:
        return Check(
            f"{role}_predictions",
            "pass",
            f"{called(role)}: all {plural(model.n_expected or 0, 'answer')} arrived",
            observed=model.n_expected,
            required=model.n_expected,
        )
    ids = ", ".join(printable(one.name, _ID_CHARACTERS) for one in run.unanswered[:_IDS_SHOWN])
    ids += ", ..." if len(gaps) > _IDS_SHOWN else ""
    message = f"{called(role, model.name)}: {missing:,} of {plural(model.n_expected or 0, 'answer')} missing ({ids}): "
    message += one_line(error or "")
    return Check(
        f"{role}_predictions",
        "warning" if forgiven else "error",
        message + (" (counted as wrong: errors is score_zero)" if forgiven else ""),
        observed=(model.n_expected or 0) - missing,
        required=model.n_expected,
        advice=None if forgiven or model.verified is not None else cure_of(offline=offline),
    )
