"""The answers of the models: whether all arrived, and whether they are answers."""

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
_ID_CHARACTERS = 40


def check_complete(gate: Context) -> list[Check]:
    """Check that every answer arrived."""
    roles = [role for role in gate.measured if role != ABLATED]
    return [
        complete_check(role, gate.measured[role], forgiven=role in gate.forgiven)
        for role in sorted(roles, key=lambda role: gate.runs[role].fatal is None)  # the cause comes first
    ]


_NO_ANSWERS = (
    ("n_unknown", "unknown_labels", "without a known label"),
    ("n_refused", "refusals", "refused or filtered"),
    ("n_cut_off", "cut_off", "cut off at the length limit"),
    ("n_empty", "empty", "empty"),
)


def check(gate: Context) -> Iterator[Check]:
    """Note for each model how many answers are unusable, and whether recorded ones are verified.

    Unusable answers are scored as wrong. Recorded predictions without a hash of their input cannot be verified.
    """
    for role, one in gate.scored.items():
        model, name = called(role, one.facts.name), called(role)
        for attribute, kind, what in _NO_ANSWERS:
            if count := getattr(one.facts, attribute):
                message = f"{model}: {plural(count, 'answer')} {what}, scored as wrong"
                yield Check(f"{name}_{kind}", "note", message, observed=count)
        if one.facts.verified is False:
            message = f"{model}: recorded predictions are attested, not verified (they have no input_sha256)"
            yield Check(f"{name}_recording", "note", message)


MOST_LABELS = 200
"""The most labels in a report; the worst are kept."""


def facts(gate: Context) -> dict[str, tuple[LabelResult, ...]]:
    """Return the share of right answers for each expected label, the worst change first; empty without labels."""
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
    missing_ids = [one.id for one in gaps]
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
    ids = ", ".join(printable(id_, _ID_CHARACTERS) for id_ in missing_ids[:_IDS_SHOWN])
    ids += ", ..." if len(missing_ids) > _IDS_SHOWN else ""
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
