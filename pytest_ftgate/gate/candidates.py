"""Judge several candidates in order, and choose the first that passes; later ones are not called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.gate.run import check_free, judge_answers, read_gate, run_gate
from pytest_ftgate.gate.state import Judged, Services
from pytest_ftgate.result import CandidateResult, Check, GateResult, Verdict
from pytest_ftgate.text import show_percent

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.runs.runner import Run

_NEAREST_FIRST: tuple[Verdict, ...] = ("error", "pass", "inconclusive", "fail")


def judge_gate(config: GateKeys, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()) -> Judged:
    """Judge one gate, with its only candidate or the first of several that passes. See :func:`run_gate`.

    Several are judged in the order in which they are written. The confidence of each is corrected, so that the gate's
    confidence holds for all of them together (Bonferroni). The free checks of all candidates come first. An error ends
    the choice. Where none passes, the closest is shown: ``inconclusive`` before ``fail``, and the earlier of two.
    """
    if not config.candidates:
        return run_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    reviewed = (*reviewed, *_remarks(config))
    gates = {name: check_free(one, services, nodeid=nodeid, reviewed=reviewed) for name, one in one_by_one(config)}
    judged = _judge_in_turn(gates, services, reviewed)
    chosen = min(judged, key=lambda name: _NEAREST_FIRST.index(judged[name].result.verdict))
    results = {name: one.result for name, one in judged.items()}
    checks = (*results[chosen].checks, _outcome(config, results, chosen))
    result = replace(results[chosen], candidates=tuple(_listed(config, results)), checks=checks)
    runs: dict[str, Run] = {}
    for name, found in judged.items():
        for role, run in (found.gate.recordings(name) if found.gate else {}).items():
            if role not in runs or len(run.test_set) >= len(runs[role].test_set):  # early stopping asks for a part
                runs[role] = run
    notes = {name: note for one in judged.values() for name, note in one.notes.items()}
    return Judged(result, judged[chosen].gate, runs, notes)


def one_by_one(config: GateKeys) -> Iterator[tuple[str, GateKeys]]:
    """Yield the name of each candidate, and the gate with it alone at the corrected confidence."""
    from pytest_ftgate.statistics import corrected_confidence

    confidence = corrected_confidence(config.confidence, len(config.candidates))
    for name, spec in config.candidates.items():
        yield name, config.model_copy(update={"candidate": spec, "confidence": confidence})


def read_each(config: GateKeys, services: Services, **asked: Any) -> Iterator[tuple[str, Context | Judged]]:
    """Read the gate with each of several candidates alone, by name; the name is empty if there is only one."""
    ways = one_by_one(config) if config.candidates and config.stage == "accept" else [("", config)]
    return ((name, read_gate(one, services, **asked)) for name, one in ways)


def _judge_in_turn(
    gates: Mapping[str, Context | Judged], services: Services, reviewed: tuple[Check, ...]
) -> dict[str, Judged]:
    """Return the judged candidates up to the first that passes or is in error; free errors come before any call."""
    for name, gate in gates.items():
        if isinstance(gate, Judged) and gate.result.verdict == "error":
            return {name: gate}
    judged: dict[str, Judged] = {}
    for name, gate in gates.items():
        judged[name] = gate if isinstance(gate, Judged) else judge_answers(gate, services, reviewed=reviewed)
        if judged[name].result.verdict in ("pass", "error"):
            break
    return judged


def _remarks(config: GateKeys) -> Iterator[Check]:
    """Yield a note on the corrected confidence, or a warning where there is no correction."""
    from pytest_ftgate.statistics import corrected_confidence

    count = len(config.candidates)
    if count == 1:
        return
    if config.evidence == "observed":
        yield Check(
            "choice",
            "warning",
            f"the first of {count:,} candidates that passes is chosen, but evidence: observed does not correct for "
            "this: with enough candidates one passes by luck",
            source=str(config.sources["evidence"]),
            advice="Set evidence: significant.",
        )
        return
    each = corrected_confidence(config.confidence, count)
    yield Check(
        "choice",
        "note",
        f"the first of {count:,} candidates that passes is chosen (confidence {show_percent(each)} each, "
        f"{show_percent(config.confidence)} together)",
        observed=count,
        source=str(config.sources["candidates"]),
    )


def _outcome(config: GateKeys, results: Mapping[str, GateResult], chosen: str) -> Check:
    verdicts = ", ".join(f"{name} {result.verdict}" for name, result in results.items())
    uncalled = [name for name in config.candidates if name not in results]
    verdicts += f"; not called: {', '.join(uncalled)}" if uncalled else ""
    outcome = {
        "pass": f"{chosen} is the first candidate that passes",
        "error": f"{chosen} could not be judged, so no further candidate was called",
    }.get(results[chosen].verdict, f"no candidate passed; showing the closest, {chosen}")
    return Check("candidates", "note", f"{outcome} ({verdicts})", source=str(config.sources["candidates"]))


def _listed(config: GateKeys, results: Mapping[str, GateResult]) -> Iterator[CandidateResult]:
    for name, spec in config.candidates.items():
        if name not in results:
            yield CandidateResult(name, spec.spelling)
            continue
        one = results[name]
        yield CandidateResult(
            name,
            one.candidate.model or spec.spelling,
            one.verdict,
            one.candidate.value,
            one.gain,
            one.lower_bound,
            one.candidate.cost_usd,
        )
