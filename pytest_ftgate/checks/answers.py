"""The answers of the two models: whether all arrived, whether they are answers, and how they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import ABLATED
from pytest_ftgate.result import Check, ModelResult, called
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


def check(gate: Context) -> list[Check]:
    """Say of each model how many of its answers are none, and whether recorded ones are verified."""
    found: list[Check] = []
    for role, one in gate.scored.items():
        found += answer_checks(role, one.facts)
        attested = attested_check(role, one.facts)
        found += [attested] if attested else []
    return found


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


def answer_checks(role: str, model: ModelResult) -> list[Check]:
    """Answers that are no answer to the question: counted, scored wrong, and said."""
    counted = (
        ("n_unknown", "unknown_labels", "no known label"),
        ("n_refused", "refusals", "a refusal or filtered"),
        ("n_cut_off", "cut_off", "cut off at the length limit"),
        ("n_empty", "empty", "empty"),
    )
    model_called = called(role, model.name)
    return [
        Check(
            f"{called(role)}_{name}",
            "note",
            f"{model_called}: {plural(count, 'answer')} {'is' if count == 1 else 'are'} {what}, scored wrong",
            observed=count,
        )
        for attribute, name, what in counted
        if (count := getattr(model, attribute))
    ]


def attested_check(role: str, model: ModelResult) -> Check | None:
    """Recorded predictions without a hash of their input are taken on trust, and that is said."""
    if model.verified is not False:
        return None
    return Check(
        f"{called(role)}_recording",
        "note",
        f"{called(role, model.name)}: the recorded predictions are attested, not verified (no input_sha256)",
    )
