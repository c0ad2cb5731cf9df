"""The answers of the models: whether all arrived, each at its own row."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import eq

from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import Measured, measure_run
from pytest_ftgate.text import EXCERPT, LONGEST, NAMED, plural, printable, shortened

_MANY = 0.05
"""The share of retried calls from which latencies and costs may be wrong."""
_ONE_IN = 0.001
"""The chance from which on answers are called moved."""
_STEPS = {"next row": 1, "previous row": -1}
_WAYS = 4
"""Both steps, and both chances of each."""


def answers_of(role: str) -> str:
    """Return the name of the checks of a model's answers: one for all baselines."""
    return "candidate_answers" if role == "candidate" else "baseline_answers"


def check_complete(gate: Context) -> list[Check]:
    """Check that every answer arrived of which the gain is made."""
    measured = gate.measured
    if gate.unlabeled is not None and gate.measured:
        measured = {}
        for role, run in gate.answers_of_gain.items():
            measured[role] = measure_run(gate.asked(role).name, run)
    return complete_checks(measured, gate.forgiven)


def complete_checks(measured: Mapping[str, Measured], forgiven: Collection[str]) -> list[Check]:
    """Check that every answer arrived, and list the model that ended the run first.

    What other models were not asked because of its error is a note, and so is the error for which
    another model has no answer, too.
    """
    checks: list[Check] = []
    causes: set[str] = set()
    for role in sorted(measured, key=lambda role: measured[role].run.fatal is None):
        check = _complete(role, measured[role], forgiven=role in forgiven)
        run = measured[role].run
        failure = run.failure
        if check.status == "error" and failure is not None:
            # a model that was not asked because of another one has no cause of its own
            if failure.cause in causes or (causes and failure.kind == "stopped"):
                check = replace(check, status="note", cure=None)
            # otherwise each model lacks rows of its own
            if run.fatal is not None or not check.observed:
                causes.add(failure.cause)
        checks.append(check)
    return checks


def _complete(role: str, measured: Measured, *, forgiven: bool) -> Check:
    """Check one model. A missing answer is an error, unless the gate scores it as wrong."""
    model = measured.facts
    run = measured.run
    name = answers_of(role)
    n = model.n_expected or 0
    missing = model.n_errors or 0
    if not missing:
        message = f"{called(role)}: all {plural(n, 'answer')} arrived"
        if model.verified is False:
            message += "; not verified (no input_sha256)"
        return Check(name, "pass", message, observed=n, required=n)

    failure = run.failure
    cause = "no cause is known" if failure is None else shortened(failure.cause, LONGEST // 2)
    cause = cause.removeprefix(f"{model.name}: ")  # of a file that names its model
    message = f"{cause}; {called(role, model.name)}: {missing:,} of {plural(n, 'answer')} missing"
    if missing < n:
        names = list(dict.fromkeys(printable(row.name, EXCERPT) for row in run.unanswered))
        if len(names) > NAMED:
            names[NAMED:] = ["..."]
        message += f" ({', '.join(names)})"
    if forgiven:
        message += ", counted as wrong (missing_answers: wrong)"
        return Check(name, "warning", message, observed=n - missing, required=n)
    cure = None if failure is None else failure.next_step
    return Check(name, "error", message, observed=n - missing, required=n, cure=cure)


def check_retries(gate: Context) -> Iterator[Check]:
    """Warn of each model more than 5 % of whose calls failed and were made again."""
    for role, measured in gate.measured.items():
        model = measured.facts
        retries = model.n_retries or 0
        calls = retries + (model.n_expected or 0) - (model.n_stored or 0)
        if retries > _MANY * calls:
            message = f"{called(role, model.name)}: {retries:,} of {plural(calls, 'call')} failed "
            message += "and were retried"
            cure = "Lower concurrency, or set requests_per_minute, so that latencies and costs are "
            cure += "those of normal use."
            yield Check("retries", "warning", message, observed=retries, cure=cure)


def check_order(gate: Context) -> Iterator[Check]:
    """Check that answers do not fit better when they are moved by one row, from some row on.

    Better means that chance shows it in 1 of 1,000 recordings, with all places tried counted.
    """
    metric = gate.deciding
    if metric.judged or not metric.compares:
        return

    expected = metric.bare().answers_read(map(metric.right_answer, gate.expected))
    for role, model in gate.scored.items():
        answers = metric.answers_read(model.answers[0])
        moves = []
        for name, step in _STEPS.items():
            moves.append((*_moved(answers, expected, step), name))
        chance, start, count, name = min(moves)
        if _WAYS * len(expected) * chance <= _ONE_IN:
            right = sum(map(eq, answers, expected))
            message = f"{called(role, model.facts.name)}: from {gate.test.where(start)} on, "
            message += f"{count:,} more answers fit the {name} than their own; "
            message += f"{right:,} of {plural(len(expected), 'answer')} are right"
            cure = "Correct the ids of these answers, or how they were joined to the examples "
            cure += f"({gate.asked(role).source})."
            yield Check(
                "recording_order",
                "fail",
                message,
                observed=count,
                required=0,
                cure=cure,
            )


Answers = Sequence[str | None]
Rows = Sequence[tuple[str | None, str | None, str | None]]
"""The answer to each row, the row's own expected output, and that of the next or previous row."""


def _moved(answers: Answers, expected: Answers, step: int) -> tuple[float, int, int]:
    """Return by how little chance answers fit moved rows, from which row on, and how many more."""
    moved = [*expected[step:], *expected[:step]]
    rows = list(zip(answers, expected, moved, strict=True))
    # from the end, because answers that slipped by a row stay so to the last one
    rows.reverse()
    chances = map(min, _chances_of_habits(rows), _chances_of_deals(rows))

    least = (1.0, 0, 0)
    n_more = 0
    for place, ((answer, own, other), chance) in enumerate(zip(rows, chances, strict=True), 1):
        if own != other:
            n_more += (answer == other) - (answer == own)
        if n_more > 0 and chance < least[0]:
            least = chance, len(rows) - place, n_more
    return least


def _chances_of_habits(rows: Rows) -> Iterator[float]:
    """Yield the chance of the fits so far of a model that answers each row at least as well.

    Only answers count that fit one of both rows. The chance of the moved one is a half, or more
    where the model has given the same answer to rows that expect the same: such a habit is a
    confusion of two outputs.
    """
    habits: Counter[tuple[str | None, str | None]] = Counter()
    n_moved = n_own = 0
    chances = 0.0
    for answer, own, moved in rows:
        if answer is not None and own != moved and answer in (own, moved):
            habit = habits[own, moved] + 1
            chances += max(0.5, habit / (habit + habits[own, own] + 1))
            n_moved += answer == moved
            n_own += answer == own
        habits[own, answer] += 1
        yield _upper_tail(n_moved, n_moved + n_own, chances)


def _chances_of_deals(rows: Rows) -> Iterator[float]:
    """Yield the chance of the fits so far of answers dealt among the rows that expect the same.

    Deals keep every habit. They tell more than habits where many rows expect the same, because
    answers count that fit neither row, too.
    """
    sizes: Counter[str | None] = Counter()
    answered: Counter[tuple[str | None, str | None]] = Counter()
    followed: Counter[tuple[str | None, str | None]] = Counter()
    # how many answers fit how many moved rows, among those that expect the same
    fits: Counter[str | None] = Counter()
    n = n_moved = 0
    dealt = 0.0
    for answer, own, moved in rows:
        dealt -= fits[own] / max(sizes[own], 1)
        sizes[own] += 1
        answered[own, answer] += 1
        fits[own] += followed[own, answer]
        if own != moved:
            followed[own, moved] += 1
            fits[own] += answered[own, moved]
            n += 1
            n_moved += answer == moved
        dealt += fits[own] / sizes[own]
        yield _upper_tail(n_moved, n, dealt)


def _upper_tail(count: int, n: int, expected: float) -> float:
    """Return a bound of the chance of at least ``count`` of ``n`` where fewer are expected.

    Source: W. Hoeffding, Journal of the American Statistical Association 58 (1963) 13-30, for
    chances that differ, and for deals.
    """
    if count <= expected:
        return 1.0
    log_chance = count * math.log(expected / count)
    if count < n:
        log_chance += (n - count) * math.log((n - expected) / (n - count))
    return math.exp(log_chance)
