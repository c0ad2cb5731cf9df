"""The answers of the two models: whether all arrived, whether they are answers, and how they are written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_ftgate.result import Check, ModelResult, called
from pytest_ftgate.text import cure_of, one_line, plural, printable, show_difference

if TYPE_CHECKING:
    from pytest_ftgate.runs.runner import Run

_IDS_SHOWN = 5
_ID_CHARACTERS = 40


def forgiven_roles(errors: str, runs: Iterable[Run]) -> Collection[str]:
    """The models whose missing answers count as wrong, by the gate's ``errors``.

    Nobody's where the asking was stopped: what nobody asked for is not missing after all retries. But a model that only
    hangs has stopped it by not answering.
    """
    from pytest_ftgate.runs.run_state import AbandonedError

    stopped = any(run.fatal is not None and not isinstance(run.fatal, AbandonedError) for run in runs)
    return ("candidate",) if errors == "score_zero" and not stopped else ()


def complete_check(
    role: str, model: ModelResult, *, missing_ids: Sequence[str], error: str | None, forgiven: bool, offline: bool
) -> Check:
    """Every answer arrived. A missing one is an error, unless the gate scores it as wrong."""
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


def identical_check(baseline: str, *, identical: bool, n: int) -> Check | None:
    """Two models that answer everything alike are one model, or one of them was never called."""
    if not identical:
        return None
    return Check(
        "identical_outputs",
        "fail",
        f"the candidate gave the same {plural(n, 'answer')} as {baseline}, word for word",
        observed=n,
        advice="Look whether both names reach one model; a fine-tune that changes no answer is not worth shipping.",
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


def normalization_check(
    *, verdict: str, lenient_verdict: str, gain: float, lenient_gain: float, share: bool
) -> Check | None:
    """A prompted "Refund." against a fine-tuned "refund" is no better model: said where it changes the verdict."""
    if verdict == lenient_verdict:
        return None
    return Check(
        "normalization",
        "warning",
        f"ignoring case and punctuation the gain is {show_difference(lenient_gain, share=share)} instead of "
        f"{show_difference(gain, share=share)}, and the verdict on it {lenient_verdict} instead of {verdict}",
        observed=lenient_gain,
        advice="If they do not matter to you, say so: metric: {name: ..., normalize: [case, punctuation]}.",
    )
