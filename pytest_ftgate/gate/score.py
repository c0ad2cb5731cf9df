"""Turn complete runs into scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import ABLATED, Context
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.result import ModelResult, error_check
from pytest_ftgate.runs.measure import breakdown_results, measure_run, score_run

if TYPE_CHECKING:
    from pytest_ftgate.runs.measure import Measured


def score(gate: Context) -> Context:
    """Measure all runs, and score them if no answer and no judgement is missing."""
    measured = {role: _measure(gate, role) for role in gate.runs}
    gate = _with_models(gate, measured)
    if not _complete(gate):
        return gate
    try:
        gate = _with_models(gate, {role: _score(gate, role, one) for role, one in measured.items()})
    except FtgateError as error:
        return gate.with_checks([error_check(error)])
    reported = {"baseline": gate.scored[gate.best]}
    reported |= {"candidate": gate.scored["candidate"]} if gate.accepts else {}
    return gate.with_facts(breakdowns=breakdown_results(reported))


def _measure(gate: Context, role: str) -> Measured:
    if role == ABLATED:
        return measure_run(f"{gate.config.candidate.name} bare", gate.runs[role])
    name, sample = gate.config.asked[role].name, gate.samples.get(role)
    one = measure_run(name, gate.runs[role], sample, forgiven=role in gate.forgiven)
    return replace(one, facts=gate.described(role, one.facts))


def _complete(gate: Context) -> bool:
    """Return whether no answer is missing that would make the gate an error."""
    decisive = [one for role, one in gate.measured.items() if role not in (*gate.forgiven, ABLATED)]
    return gate.holds and not any(one.facts.n_errors for one in decisive)


def _score(gate: Context, role: str, measured: Measured) -> Measured:
    """Score one model; the candidate without its prompt, which decides nothing, only if it can be scored."""
    if role == ABLATED and measured.facts.n_errors:
        return measured
    try:
        return score_run(measured, gate.metrics_of(role), gate.deciding.name, gate.expected)
    except FtgateError:
        if role == ABLATED:
            return measured
        raise


def _with_models(gate: Context, measured: Mapping[str, Measured]) -> Context:
    """Add the facts of all models; ``baseline`` in the result is the best one."""
    facts: dict[str, ModelResult] = {role: one.facts for role, one in measured.items()}
    gate = replace(gate, measured=measured)
    gate = gate.with_facts(
        baselines={role: facts[role] for role in gate.result.baselines},
        candidate=facts.get("candidate", gate.result.candidate),
        bare=facts.get(ABLATED),
    )
    return gate.with_facts(baseline=gate.result.baselines[gate.best])
