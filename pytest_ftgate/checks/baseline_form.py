"""The rule that a gain must not be the form of the baseline's answers alone.

A baseline that answers "The intent is refund." or runs into its own length limit loses by its form. A fine-tune that
only answers shorter then looks better, although a line in the prompt would do. Both models are scored once more
without such differences; a gate whose gain is then gone is not green.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pytest_ftgate.checks.drop import gain_status
from pytest_ftgate.checks.identical_outputs import mistakes_in
from pytest_ftgate.checks.readings import (
    FENCE,
    REASONING,
    Reading,
    Reread,
    against,
    can_be_reread,
    changed_run,
    cut_off,
    example_of,
    form_is_the_skill,
    named_label,
    option_readings,
    reread,
    strip_line,
    written_metric,
)
from pytest_ftgate.config.model_keys import OUTPUT_LIMITS
from pytest_ftgate.data import expected_text
from pytest_ftgate.result import Check, Status, opponent
from pytest_ftgate.runs.measure import gains
from pytest_ftgate.text import show_difference

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import ModelSpec

MOSTLY = 0.5
"""From such a share of its mistakes, or of those that the candidate fixes, a baseline loses by form."""

_WHOLE = Reading("answers that are cut off", whole=True)
_WORDS = {REASONING.ignores: "behind reasoning", FENCE.ignores: "in a code fence"}
_NAMED = "with the right label in another form"
_LIMIT = 1_000
_RAISED = 4
_MOST_LABELS = 20


@dataclass(frozen=True)
class Finding:
    """Hold a gain that is gone once answers are read without their form.

    Attributes:
        gate: the gate, with this baseline alone.
        lenient: the gate read without form; None where no comparison is left.
        cut_off: examples to which the baseline's answers are cut off.
        forms: the examples that each form costs the baseline.
    """

    gate: Context
    role: str
    lenient: Reread | None
    cut_off: frozenset[int]
    forms: Mapping[Reading, frozenset[int]]
    status: Status

    @property
    def rows(self) -> frozenset[int]:
        """Return the examples that the baseline loses by form."""
        return self.cut_off.union(*self.forms.values())


def check(gate: Context) -> list[Check]:
    """Check that each gain is more than the form of the baseline's answers."""
    return [_check(one) for one in _findings(gate)]


def _findings(gate: Context) -> tuple[Finding, ...]:
    """Return the gains that the gate accepts, and that are gone without the form of the baseline's answers."""
    if not can_be_reread(gate) or form_is_the_skill(gate):
        return ()
    accepted = [role for role, one in gate.comparisons.items() if gain_status(gate, one) == "pass"]
    return tuple(found for role in accepted if (found := _finding(against(gate, role), role)) is not None)


def _finding(gate: Context, role: str) -> Finding | None:
    named = named_label(gate)
    steps = [REASONING, FENCE, *([] if named is None else [named])]
    lenient = reread(gate, reduce(Reading.also, [*steps, _WHOLE]))
    status: Status = "fail" if lenient is None else gain_status(lenient.gate, lenient.gate.comparisons[role])
    if status == "pass":
        return None
    forms: dict[Reading, frozenset[int]] = {}
    known = frozenset[int]()
    for number, step in enumerate(steps, 1):
        one = reread(gate, reduce(Reading.also, steps[:number]))
        new = one.improved[role] - known if one is not None else frozenset()
        forms |= {step: new} if new else {}
        known |= new
    found = Finding(gate, role, lenient, cut_off(changed_run(gate.scored[role].run, REASONING)), forms, status)
    return found if _is_mostly_form(found) else None


def _is_mostly_form(found: Finding) -> bool:
    """Return whether form costs the baseline most of its mistakes, or most of those that the candidate fixes."""
    gate, name = found.gate, found.gate.deciding.name
    baseline, candidate = gate.scored[found.role], gate.scored["candidate"]
    fixed = frozenset((gains(baseline, candidate, name).round(12) > 0).nonzero()[0].tolist())
    wrong = mistakes_in(baseline.scores[name])
    return bool(found.rows) and (
        len(found.rows) >= MOSTLY * wrong or len(found.rows & fixed) >= max(1, MOSTLY * len(fixed))
    )


# --- in words ------------------------------------------------------------------------------------------------


def _check(found: Finding) -> Check:
    gate, lenient = found.gate, found.lenient
    wrong = mistakes_in(gate.scored[found.role].scores[gate.deciding.name])
    gain = None if lenient is None else lenient.gate.comparisons[found.role].gain
    outcome = "without these answers, no comparison is left"
    if gain is not None:
        strict, other = (show_difference(one, share=gate.share) for one in (gate.comparisons[found.role].gain, gain))
        outcome = f"ignoring it, the gain is {other} instead of {strict} ({found.status} instead of pass)"
    counts = {_WORDS.get(one.ignores, _NAMED): len(rows) for one, rows in found.forms.items()}
    counts |= {"cut off": len(found.cut_off)} if found.cut_off else {}
    forms = dict(sorted(counts.items(), key=lambda one: -one[1]))
    share = f"all {wrong:,} mistakes" if len(found.rows) == wrong else f"{len(found.rows):,} of {wrong:,} mistakes"
    kinds = (
        f"of form: {', '.join(f'{n:,} {form}' for form, n in forms.items())}" if len(forms) > 1 else next(iter(forms))
    )
    whole = found.rows - found.cut_off
    shown = f", such as {example_of(gate, found.role, min(whole))}" if whole else ""
    message = f"the form of {opponent(found.role)}'s answers decides: {outcome}; {share} are {kinds}{shown}"
    return Check(
        "formatting_gain",
        found.status,
        message,
        observed=gain,
        required=gate.config.asked_gain,
        advice=" ".join(_advice(found)),
        action="better_prompt",
    )


def _advice(found: Finding) -> Iterator[str]:
    """Yield a line to paste for each form, and how to say that form is what the candidate was trained for."""
    gate, spec = found.gate, found.gate.asked(found.role)
    if found.cut_off:
        yield _raise_limit(spec, opponent(found.role))
    if REASONING in found.forms:
        yield strip_line(gate, [found.role])
    if found.forms.keys() - {REASONING}:
        yield f"Add to the prompt of {opponent(found.role)}: {_instruction(found)}"
        metric = _metric_line(found)
        if metric is not None:
            yield f"Or, if your application reads such answers, use metric: {metric}."
    yield "If the form itself is what you train, write goal: format."


def _raise_limit(spec: ModelSpec, who: str) -> str:
    params = spec.options.get("params") or {}
    key = next((one for one in OUTPUT_LIMITS if one in params), OUTPUT_LIMITS[0])
    limit = params.get(key)
    if spec.provider == "openai":
        raised = _RAISED * limit if isinstance(limit, int) else _LIMIT
        return f"Raise the length limit of {who} ({spec.source}): params: {{{key}: {max(raised, _LIMIT)}}}."
    if spec.provider == "transformers":
        return f"Raise the length limit of {who} ({spec.source}): max_new_tokens: {_LIMIT}."
    return f"Give {who} a higher length limit ({spec.source}), and ask it again."


def _instruction(found: Finding) -> str:
    labels = sorted({expected_text(value).strip() for value in found.gate.expected})
    if named_label(found.gate) is None:
        return '"Answer with the result alone, without a code fence or any other text."'
    listed = f" of these labels: {', '.join(labels)}" if len(labels) <= _MOST_LABELS else " label"
    return f'"Answer with exactly one{listed}. Write nothing else."'


def _metric_line(found: Finding) -> str | None:
    """Return the simplest metric that reads the baseline's answers as well; None if none of those tried does."""
    rows = frozenset().union(*(rows for one, rows in found.forms.items() if one is not REASONING))
    tried = (reread(found.gate, reading) for reading in option_readings(found.gate))
    return next(
        (written_metric(one.spec) for one in tried if one is not None and rows <= one.improved[found.role]), None
    )
