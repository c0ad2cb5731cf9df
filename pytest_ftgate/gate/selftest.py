"""Judge sabotaged candidates made from stored answers: a gate that passes one of them cannot block a bad fine-tune."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.early_stopping import expected_looks, looked
from pytest_ftgate.checks.gain import gain_checks
from pytest_ftgate.checks.guards import guard_jobs
from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.candidates import read_each
from pytest_ftgate.gate.run import check_answers, read_gate
from pytest_ftgate.gate.state import Judged, Services
from pytest_ftgate.metrics.custom import CustomMetric, ExampleMetric
from pytest_ftgate.models import Completion
from pytest_ftgate.result import RED, Check, error_check
from pytest_ftgate.runs.measure import compare_scored, rightness
from pytest_ftgate.runs.runner import Run, sample_job, stored_runs
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import Example
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.models import Prediction

RESAMPLES = 200
_SEED = 20260101
_ALTERED = " (another question)"


@dataclass(frozen=True)
class Sabotage:
    """Hold what became of one sabotaged candidate or data set: the red checks, none of which means that it passed."""

    name: str
    checks: tuple[Check, ...]

    @property
    def refused(self) -> bool:
        return bool(self.checks)


@dataclass(frozen=True)
class PassRate:
    """Hold how often the gate passes resampled data whose real gain is ``gain``; null where no data has this gain."""

    gain: float
    passed: float | None


@dataclass(frozen=True)
class Selftest:
    """Hold the self-test of one gate, or the ``checks`` because of which it could not be tested.

    ``verdict`` is that on the stored answers as they are; ``rates`` are for no gain, the margin and twice the margin.
    """

    name: str
    checks: tuple[Check, ...] = ()
    verdict: str | None = None
    share: bool = False
    sabotages: tuple[Sabotage, ...] = ()
    rates: tuple[PassRate, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether the gate could not be tested, or passed a sabotage."""
        return not self.sabotages or not all(one.refused for one in self.sabotages)


def selftest_gate(config: GateKeys, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = ()) -> Selftest:
    """Test whether a gate can block, without a call. Of several candidates the first that holds so far is taken."""
    for _, gate in read_each(config, services, nodeid=nodeid, reviewed=reviewed):
        if isinstance(gate, Judged) or gate.holds:
            break
    name = gate.result.name
    if isinstance(gate, Judged) or not gate.holds:
        return Selftest(name, _red(gate))
    try:
        answered = _with_stored(gate, services)
        problem = _problem(answered)
        if problem is not None:
            return Selftest(name, (problem,))
        verdict = check_answers(answered, None).result.verdict
        sabotages = tuple(_sabotages(answered, services))
        return Selftest(name, (), verdict, gate.share, sabotages, tuple(_rates(answered)))
    except FtgateError as error:
        return Selftest(name, (error_check(error),))


def _with_stored(gate: Context, services: Services) -> Context:
    """Return the gate with its stored answers in place of calls."""
    stored = partial(stored_runs, stores=services.stores)
    guards = guard_jobs(gate)
    samples = {role: job for role, model in gate.models.items() if (job := sample_job(model, gate.test)) is not None}
    runs = iter(stored([*guards.values(), *samples.values()]))
    return replace(
        looked(gate, stored),
        guard_runs={place: next(runs) for place in guards},
        samples={role: next(runs) for role in samples},
    )


def _problem(gate: Context) -> Check | None:
    """Return why a gate cannot be tested; None if it can."""
    if not gate.accepts:
        return Check("selftest", "error", "stage ready has no candidate, so there is nothing that could be refused")
    if gate.judging.judges or gate.judging.people or gate.deciding.pairwise:
        return Check("selftest", "error", "judges would have to be asked about the sabotaged answers")
    missing = sum(len(run.unanswered) for run in (*gate.runs.values(), *gate.guard_runs.values()))
    if missing:
        advice = (
            "Run the gate once, so that its answers are stored or recorded, then test it. Answers of a callable are "
            "stored only under a cache_key."
        )
        return Check("selftest", "error", f"{plural(missing, 'answer')} of the models are not stored", advice=advice)
    return None


# --- sabotages -----------------------------------------------------------------------------------------------


def _sabotages(gate: Context, services: Services) -> Iterator[Sabotage]:
    """Yield each sabotage with the checks that refuse it."""
    baseline, candidate = gate.runs[next(iter(gate.config.baselines))], gate.runs["candidate"]
    own = candidate.predictions
    answers = {
        "a copy of the baseline": baseline.predictions,
        "answers of other examples": [_shuffled(repeat) for repeat in own],
        "answers that are missing": [_dropped(repeat) for repeat in own],
        "one answer to everything": [_constant(gate, repeat) for repeat in own],
    }
    for name, predictions in answers.items():
        yield _judged(name, replace(gate, runs={**gate.runs, "candidate": _answering(candidate, predictions)}))
    swapped = {**gate.runs, **dict.fromkeys(gate.config.baselines, candidate), "candidate": baseline}
    yield _judged("baseline and candidate swapped", replace(gate, runs=swapped))
    broken = ExampleMetric(gate.deciding.name, CustomMetric("nan", lambda *_: math.nan, 0, 1, greater_is_better=True))
    yield _judged("scores that are NaN", replace(gate, metrics={**gate.metrics, gate.deciding.name: broken}))
    test, training, config = gate.test, gate.training, gate.config
    other = services.reading(config.test_set, replace(test, examples=tuple(_other(test.examples))))
    yield _reread("another test set under the same ids", gate, other)
    few = max(1, config.min_training_examples // 2)
    copies = tuple(training.examples[index % few] for index in range(max(len(training), 2 * few)))
    padded = services.reading(config.training_set, replace(training, examples=copies))
    yield _reread("a training set padded with copies", gate, padded)
    leaky = replace(training, examples=(*training.examples, *test.examples))
    yield _reread("the test set inside the training set", gate, services.reading(config.training_set, leaky))


def _judged(name: str, gate: Context) -> Sabotage:
    try:
        return Sabotage(name, _red(check_answers(gate, None)))
    except FtgateError as error:
        return Sabotage(name, (error_check(error),))


def _reread(name: str, gate: Context, services: Services) -> Sabotage:
    """Judge the gate anew with the data of these services, with the answers that are stored for them."""
    reread = read_gate(gate.config, replace(services, audit=None), nodeid=gate.result.nodeid)
    if isinstance(reread, Judged) or not reread.holds:
        return Sabotage(name, _red(reread))
    try:
        answered = _with_stored(reread, services)
    except FtgateError as error:  # such as a recording of another input
        return Sabotage(name, (error_check(error),))
    return _judged(name, answered)


def _red(gate: Context | Judged) -> tuple[Check, ...]:
    return tuple(check for check in gate.result.checks if check.status in RED)


def _answering(run: Run, predictions: Sequence[Sequence[Prediction]]) -> Run:
    """Return the run with other answers to the same examples."""
    own = [
        tuple(replace(other, id=one.id, key=one.key) for one, other in zip(repeat, others, strict=True))
        for repeat, others in zip(run.predictions, predictions, strict=True)
    ]
    return replace(run, predictions=tuple(own))


def _shuffled(answers: Sequence[Prediction]) -> list[Prediction]:
    shuffled = list(answers)
    Random(_SEED).shuffle(shuffled)
    return shuffled


def _dropped(answers: Sequence[Prediction]) -> list[Prediction]:
    return [replace(one, completion=None) if index % 10 == 0 else one for index, one in enumerate(answers)]


def _constant(gate: Context, answers: Sequence[Prediction]) -> list[Prediction]:
    texts = [expected_text(expected) for expected in gate.expected]
    most = Completion(max(sorted(set(texts)), key=texts.count))
    return [replace(one, completion=most) for one in answers]


def _other(examples: Sequence[Example]) -> Iterator[Example]:
    """Yield examples under the ids of these, with altered inputs and the expected outputs of others."""
    for one, other in zip(examples, (*examples[1:], examples[0]), strict=True):
        yield replace(one, input=_altered(one.input), expected=other.expected)


def _altered(given: Any) -> Any:
    if isinstance(given, str):
        return given + _ALTERED
    *before, last = given
    return (*before, {**last, "content": f"{last.get('content')}{_ALTERED}"})


# --- how often the gate passes -------------------------------------------------------------------------------


def _rates(gate: Context) -> Iterator[PassRate]:
    """Yield how often the gate's rule on the gain passes at no gain, the margin and twice the margin.

    The candidate is made from the best baseline's answers: as many are corrected and spoilt as the real candidate
    differs, and further ones corrected until its value is higher by the gain. Groups of examples are drawn with
    replacement (the bootstrap), and each draw is judged.

    Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 24.
    """
    metric, margin = gate.deciding, gate.config.asked_gain
    scored = check_answers(gate, None)
    if not scored.scored:
        return
    before = scored.scored[scored.best].answers[0]
    gains = sorted({0.0, margin, 2 * margin} if margin > 0 else {margin, 0.0, abs(margin)})
    if gate.look is not None:
        yield from _rates_of_looks(scored, gains)
        return
    changed = _changes(scored, metric)
    for gain in gains:
        after = _improved(gate, before, changed, gain)
        yield PassRate(gain, None if after is None else _share_passed(gate, metric, before, after))


def _rates_of_looks(gate: Context, gains: Sequence[float]) -> Iterator[PassRate]:
    """Yield how often all looks together pass, if the models disagree as often as on the examples looked at."""
    found = gate.comparisons[gate.best]
    rate = ((found.wins or 0) + (found.losses or 0)) / found.n
    for gain in gains:
        yield PassRate(gain, expected_looks(gate, gain, rate).passed if abs(gain) <= rate else None)


def _changes(gate: Context, metric: Metric) -> int:
    """Return how many answers the candidate and the best baseline score differently, halved: as many each way."""
    name = metric.name
    one, other = (rightness(gate.scored[role].scores[name]) for role in (gate.best, "candidate"))
    return int((abs(one - other) > 0).sum()) // 2


def _improved(gate: Context, answers: Sequence[str | None], changes: int, gain: float) -> list[str | None] | None:
    """Return answers whose value is higher by the gain than that of the given ones; None if there are none."""
    metric, random = gate.deciding, Random(_SEED)
    scores = rightness(metric.score(gate.expected, [list(answers)]))
    best = float(scores.max()) if metric.greater_is_better else float(scores.min())
    right = [index for index, score in enumerate(scores) if abs(score - best) < 1e-12]
    flawed = [index for index in range(len(answers)) if index not in set(right)]
    random.shuffle(right)
    random.shuffle(flawed)
    sign = 1 if metric.greater_is_better else -1
    start = metric.score(gate.expected, [list(answers)]).value
    changes = min(changes, len(right), len(flawed))

    def made(corrected: int, spoilt: int) -> list[str | None]:
        found = list(answers)
        for index in flawed[:corrected]:
            found[index] = expected_text(gate.expected[index])
        for index in right[:spoilt]:
            found[index] = None
        return found

    def gained(corrected: int) -> float:
        value = metric.score(gate.expected, [made(corrected, changes)]).value
        return sign * (value - start)

    low, high = 0, len(flawed)
    if round(gained(high) - gain, 12) < 0:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if round(gained(middle) - gain, 12) < 0 else (low, middle)
    return made(low, changes)


def _share_passed(gate: Context, metric: Metric, before: Sequence[str | None], after: Sequence[str | None]) -> float:
    """Return the share of resampled test sets on which the gain passes."""
    random, members = Random(_SEED), _members(gate)
    passed = 0
    for _ in range(RESAMPLES):
        drawn = random.choices(members, k=len(members))
        rows = [row for group in drawn for row in group]
        groups = [str(number) for number, group in enumerate(drawn) for _ in group] if gate.grouped else None
        expected = [gate.expected[row] for row in rows]
        scored = [metric.score(expected, [[answers[row] for row in rows]]) for answers in (before, after)]
        passed += _passes(gate, scored, groups)
    return passed / RESAMPLES


def _members(gate: Context) -> list[list[int]]:
    """Return the rows of each group; an example without a group is one of its own."""
    if not gate.grouped:
        return [[row] for row in range(len(gate.test))]
    found: dict[Any, list[int]] = {}
    for row, group in enumerate(gate.groups):
        found.setdefault((row,) if group is None else group, []).append(row)
    return list(found.values())


def _passes(gate: Context, scored: Sequence[Scored], groups: Sequence[str] | None) -> bool:
    asked = gate.config
    comparison = compare_scored(
        *scored, margin=asked.asked_gain, confidence=gate.confidence, evidence=asked.evidence, groups=groups
    )
    return not any(check.status in RED for check in gain_checks(gate, gate.best, comparison))
