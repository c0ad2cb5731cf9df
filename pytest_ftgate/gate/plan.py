"""Say before any call what a gate will cost, and what its test set can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.planned_calls import Planned, jobs_over_test_set, planned_calls
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.projection import Cost, Habits, projected, total
from pytest_ftgate.gate.run import read_gate
from pytest_ftgate.gate.state import Judged, Services
from pytest_ftgate.result import RED, AttemptResult, Check, called, error_check
from pytest_ftgate.runs.measure import answers_of, measure_run, rightness
from pytest_ftgate.runs.runner import Run, stored_runs

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys

DISAGREEMENTS = (0.1, 0.2, 0.3)
_LOSSES = (0, 4, 8)
_MARGINS = (0.0, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Chance:
    """Hold how likely each verdict is at a real gain; null where so large a gain needs more disagreement.

    Attributes:
        gain: the real gain, in the metric's unit.
        disagreement: the share of examples on which only one of the models is right.
    """

    gain: float
    disagreement: float
    p_pass: float | None = None
    p_fail: float | None = None
    p_inconclusive: float | None = None


@dataclass(frozen=True)
class Plan:
    """Hold the plan of one gate. Unknown values are null.

    Attributes:
        calls: all answers that the gate needs from models; ``stored``: of these are stored already.
        tokens, cost_usd: of all calls, projected from stored answers.
        left_tokens, left_cost_usd: likewise of the calls that are not stored.
        confidence: at which this attempt is judged; ``attempt``: which one it is, null without ``max_attempts``.
        examples: of the test set; ``units``: independent ones, which is groups where there are any.
        approximate: the metric does not score answers as right or wrong, so that the chances are approximate.
        disagreement: of the rows ``p_pass``, ``p_fail`` and ``p_inconclusive``, which belong to ``gains``.
        measured: the disagreement is that of stored answers.
        chances: the same for every disagreement.
        fewest_wins: by number of losses: how many examples must be fixed; null if no number is enough.
        checks: the free checks.
        projected: the calls by model.
    """

    name: str
    nodeid: str
    calls: int = 0
    stored: int = 0
    tokens: int | None = None
    cost_usd: float | None = None
    left_tokens: int | None = None
    left_cost_usd: float | None = None
    metric: str | None = None
    share: bool = False
    margin: float | None = None
    evidence: str | None = None
    confidence: float | None = None
    attempt: AttemptResult | None = None
    examples: int = 0
    units: int = 0
    approximate: bool = False
    disagreement: float | None = None
    measured: bool = False
    gains: tuple[float, ...] = ()
    p_pass: tuple[float | None, ...] = ()
    p_fail: tuple[float | None, ...] = ()
    p_inconclusive: tuple[float | None, ...] = ()
    chances: tuple[Chance, ...] = ()
    fewest_wins: Mapping[str, int | None] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    projected: tuple[Cost, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether a free check fails, so that the gate would call no model."""
        return any(check.status in RED for check in self.checks)


def plan_gate(config: GateKeys, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()) -> Plan:
    """Plan a gate without a call."""
    gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    if isinstance(gate, Judged):
        return Plan(gate.result.name, nodeid, checks=gate.result.checks)
    try:
        return _plan(gate, services)
    except FtgateError as error:
        return Plan(gate.result.name, nodeid, checks=(*gate.result.checks, error_check(error)))


def _plan(gate: Context, services: Services) -> Plan:
    planned = [one for one in planned_calls(gate) if one.calls]
    asked = [one for one in planned if one.job is not None]
    runs = stored_runs([one.job for one in asked if one.job is not None], services.stores)
    names = {one.role: called(one.role, one.name) for one in asked}
    costs = _costs(gate, planned, _by_role(asked, runs), names)
    missing = [min(one.calls, len(run.unanswered)) for one, run in zip(asked, runs, strict=True)]
    whole, left = total(tuple(costs.values())), total(tuple(_left(asked, missing, costs)))
    stored = sum(one.calls for one in asked) - sum(missing)
    config, n, units = gate.config, len(gate.test), _units(gate)
    plan = Plan(
        gate.result.name,
        gate.result.nodeid,
        whole.calls,
        stored,
        whole.tokens,
        whole.usd,
        left.tokens,
        left.usd,
        gate.deciding.name,
        gate.share,
        config.asked_gain,
        config.evidence,
        config.confidence,
        gate.result.attempt,
        n,
        units,
        gate.deciding.kind != "right_wrong",
        checks=gate.result.checks,
        projected=tuple(costs.values()),
    )
    return replace(plan, **_chances(gate, units, _disagreement(gate, services)))


# --- costs ---------------------------------------------------------------------------------------------------


def _by_role(planned: Sequence[Planned], runs: Sequence[Run]) -> dict[str, Run]:
    """Return for each role the stored answers of the run that has the most, if it has any."""
    found: dict[str, Run] = {}
    for one, run in zip(planned, map(_answered, runs), strict=True):
        if len(run.test_set) > (len(found[one.role].test_set) if one.role in found else 0):
            found[one.role] = run
    return found


def _answered(run: Run) -> Run:
    """Return the first answers of a run without the missing ones."""
    pairs = zip(run.test_set.examples, run.predictions[0], strict=True)
    known = [(example, one) for example, one in pairs if one.completion is not None]
    examples, predictions = tuple(zip(*known, strict=True)) or ((), ())
    return replace(run, test_set=replace(run.test_set, examples=examples), predictions=(predictions,))


def _costs(
    gate: Context, planned: Sequence[Planned], runs: Mapping[str, Run], names: Mapping[str, str]
) -> dict[str, Cost]:
    habits = {role: Habits.of(run, measure_run(gate.config.asked[role].name, run).facts) for role, run in runs.items()}
    unknown = "no answer is stored; --ftgate-preview=3 asks for a few and projects the cost"
    costs = projected(planned, habits, names, unknown=unknown)
    judges = {role: replace(cost, unknown="judges are asked about answers") for role, cost in costs.items()}
    return {role: costs[role] if role in names else judge for role, judge in judges.items()}


def _left(planned: Sequence[Planned], missing: Sequence[int], costs: Mapping[str, Cost]) -> Iterator[Cost]:
    """Yield what is left of each cost once stored answers are subtracted, in proportion to the calls."""
    for role, cost in costs.items():
        own = [count for one, count in zip(planned, missing, strict=True) if one.role == role]
        share = sum(own) / cost.calls if own and cost.calls else 1.0

        def part(value: int | None, share: float = share) -> int | None:
            return 0 if not share else None if value is None else ceil(value * share)

        usd = 0.0 if not share else None if cost.usd is None else cost.usd * share
        yield replace(cost, input_tokens=part(cost.input_tokens), output_tokens=part(cost.output_tokens), usd=usd)


# --- what the test set can show ------------------------------------------------------------------------------


def _units(gate: Context) -> int:
    """Return how many independent examples there are; unequal groups count as fewer."""
    from pytest_ftgate.statistics import group_counts

    counts = group_counts(gate.groups, len(gate.test))
    return len(gate.test) if counts is None else counts[1]


def _disagreement(gate: Context, services: Services) -> float | None:
    """Return on which share of the examples only one model is right, from stored answers; None if any is missing."""
    metric = gate.deciding
    if "candidate" not in gate.models or metric.pairwise or metric.judged:
        return None
    jobs = jobs_over_test_set(gate)
    runs = dict(zip(jobs, stored_runs(list(jobs.values()), services.stores), strict=True))
    if any(run.unanswered for run in runs.values()):
        return None
    try:
        right = {role: rightness(metric.score(gate.expected, answers_of(run))) for role, run in runs.items()}
    except FtgateError:
        return None
    others = [abs(right["candidate"] - scores).mean() for role, scores in right.items() if role != "candidate"]
    return float(max(others)) / (metric.high - metric.low if metric.kind == "graded" else 1.0)


def _chances(gate: Context, units: int, measured: float | None) -> dict[str, Any]:
    """Return the fields of a plan on what ``units`` examples can show, on the scale from 0 to 1."""
    from pytest_ftgate.statistics import fewest_wins

    config, metric = gate.config, gate.deciding
    widest = metric.high - metric.low
    asked: dict[str, Any] = {
        "margin": config.asked_gain / widest,
        "confidence": config.confidence,
        "evidence": config.evidence,
    }
    gains = tuple(sorted({factor * config.asked_gain for factor in _MARGINS}))
    most = gains[-1] / widest
    rates = (measured,) if measured is not None else DISAGREEMENTS
    if most > max(rates):  # so large a gain needs more disagreement
        rates = (*rates, min(1.0, round(1.25 * most, 2)))
    found = [
        Chance(gain, rate, *_verdicts(units, asked, gain=gain / widest, disagreement=rate))
        for rate in rates
        for gain in gains
    ]
    shown = next(rate for rate in rates if rate >= min(most, 1.0))
    rows = [one for one in found if one.disagreement == shown]
    return {
        "disagreement": shown,
        "measured": measured is not None,
        "gains": gains,
        "p_pass": tuple(one.p_pass for one in rows),
        "p_fail": tuple(one.p_fail for one in rows),
        "p_inconclusive": tuple(one.p_inconclusive for one in rows),
        "chances": tuple(found),
        "fewest_wins": {str(losses): fewest_wins(units, losses=losses, **asked) for losses in _LOSSES},
    }


def _verdicts(units: int, asked: Mapping[str, Any], *, gain: float, disagreement: float) -> tuple[float, ...]:
    """Return the probabilities of pass, fail and inconclusive; nothing if so large a gain needs more disagreement."""
    from pytest_ftgate.statistics import chances

    if abs(gain) > disagreement:
        return ()
    one = chances(units, gain=gain, disagreement=disagreement, **asked)
    return one.passed, one.failed, one.inconclusive
