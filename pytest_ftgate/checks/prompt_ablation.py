"""The run of the candidate without its own prompt (``ablate_prompt``), which does not affect the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import ABLATED
from pytest_ftgate.config.model_keys import PROMPT_KEYS
from pytest_ftgate.models import build_model
from pytest_ftgate.result import Check
from pytest_ftgate.runs.runner import Job
from pytest_ftgate.text import one_line, plural, show_difference, show_value

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

_USELESS = "Remove it: the fine-tune is as good without it, and cheaper."


def ablated_job(gate: Context) -> list[Job]:
    """Return the additional run for ``ablate_prompt``; none where the candidate has no prompt of its own.

    Not with judged metrics, whose judge would cost money.
    """
    if not (gate.config.ablate_prompt and gate.accepts) or gate.judging.judges or gate.judging.people:
        return []
    candidate = gate.asked("candidate")
    if candidate.provider != "openai" or candidate.options.keys().isdisjoint(PROMPT_KEYS):
        return []
    options = {key: value for key, value in candidate.options.items() if key not in (*PROMPT_KEYS, "latency")}
    bare = replace(candidate, options=options, name=f"{candidate.name} bare")
    return [Job(build_model(bare, gate.surroundings), gate.test, gate.config.repeats)]


def check(gate: Context) -> list[Check]:
    """Note how much the candidate's own prompt improves its score."""
    if ABLATED not in gate.measured:
        return []
    without, value = gate.measured[ABLATED], gate.result.candidate.value
    if without.facts.value is None or value is None:
        missing = [one for one in without.run.all_predictions if one.completion is None]
        reason = str(without.run.fatal or "") or (missing[0].error or "" if missing else "")
        why = (
            f"{plural(len(missing), 'answer')} missing: {reason}"
            if missing
            else "the metric is undefined for these answers"
        )
        return [Check("bare", "note", f"the candidate without its prompt could not be scored: {one_line(why)}")]
    metric, share = gate.deciding, gate.share
    gained = (value - without.facts.value) * metric.sign
    keys = " and ".join(key for key in PROMPT_KEYS if key in gate.config.candidate.options)
    return [
        Check(
            "bare",
            "note",
            f"without {keys} the candidate scores {metric.name} {show_value(without.facts.value, share=share)}; "
            f"with {'them' if ' and ' in keys else 'it'} {show_difference(gained, share=share)}",
            observed=without.facts.value,
            advice=None if round(gained, 12) > 0 else _USELESS,
        )
    ]
