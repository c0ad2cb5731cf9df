"""The answers of the models: whether all arrived, each at its own row."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import eq

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import DataSet
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import Measured
from pytest_ftgate.text import EXCERPT, LONGEST, NAMED, plural, printable, shortened

_MANY = 0.05
"""The share of retried calls from which latencies and costs may be wrong."""
_FEWEST = 5
_ONE_IN = 10
"""At least so many answers, and one in so many, must fit another row than their own."""


def answers_of(role: str) -> str:
    """Return the name of the checks of a model's answers: one for all baselines."""
    return "candidate_answers" if role == "candidate" else "baseline_answers"


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
                check = replace(check, status="note", advice=None)
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
        return Check(name, "pass", message, n, n)

    failure = run.failure
    cause = "no cause is known" if failure is None else shortened(failure.cause, LONGEST // 2)
    cause = cause.removeprefix(f"{model.name}: ")  # of a file that names its model
    message = f"{called(role, model.name)}: {cause}; {missing:,} of {plural(n, 'answer')} missing"
    if missing < n:
        names = list(dict.fromkeys(printable(row.name, EXCERPT) for row in run.unanswered))
        if len(names) > NAMED:
            names[NAMED:] = ["..."]
        message += f" ({', '.join(names)})"
    if forgiven:
        message += ", counted as wrong (missing_answers: wrong)"
        return Check(name, "warning", message, n - missing, n)
    advice = None if failure is None else failure.advice
    return Check(name, "error", message, n - missing, n, advice=advice)


def check_retries(gate: Context) -> Iterator[Check]:
    """Warn of each model more than 5 % of whose calls failed and were made again."""
    for role, measured in gate.measured.items():
        model = measured.facts
        retries = model.n_retries or 0
        calls = retries + (model.n_expected or 0) - (model.n_stored or 0)
        if retries > _MANY * calls:
            message = f"{called(role, model.name)}: {retries:,} of {plural(calls, 'call')} failed "
            message += "and were retried"
            advice = (
                "Lower concurrency, or set requests_per_minute, so that latencies and costs are "
            )
            advice += "those of normal use."
            yield Check("retries", "warning", message, retries, advice=advice)


def check_order(gate: Context) -> Iterator[Check]:
    """Check that no answers fit the rows of others: at least 5 of a model, and a tenth.

    The other row is the next or the previous one, or the one at the same place where the rows are
    sorted by id. What few rows expect counts alone: a label that one in ten rows expects is right
    elsewhere by chance.
    """
    metric = gate.deciding
    if metric.judged or not metric.compares:
        return

    expected = metric.bare().answers_read(map(metric.right_answer, gate.expected))
    orders = _orders(gate.test)
    for role, model in gate.scored.items():
        answers = metric.answers_read(model.answers[0])
        misplaced = [(*_misplaced(answers, expected, rows), name) for name, rows in orders.items()]
        count, start, name = max(misplaced)
        if count >= max(_FEWEST, len(expected) / _ONE_IN):
            right = sum(map(eq, answers, expected))
            message = f"{called(role, model.facts.name)}: from {gate.test.where(start)} on, "
            message += f"{count:,} more answers fit the {name} than their own; "
            message += f"{right:,} of {plural(len(expected), 'answer')} are right"
            advice = "Correct the ids of these answers, or how they were joined to the examples "
            advice += f"({gate.asked(role).source})."
            yield Check("recording_order", "fail", message, count, 0, None, advice)


def _orders(test: DataSet) -> dict[str, list[int]]:
    """Return the row whose answer each row may have got by mistake, by words for it."""
    rows = list(range(len(test)))
    by_id = sorted(rows, key=lambda row: test.examples[row].id)
    places = sorted(rows, key=by_id.__getitem__)
    return {
        "next row": [*rows[1:], *rows[:1]],
        "previous row": [*rows[-1:], *rows[:-1]],
        "row in the order of sorted ids": by_id,
        "row at its place among sorted ids": places,
    }


Answers = Sequence[str | None]


def _misplaced(answers: Answers, expected: Answers, rows: Sequence[int]) -> tuple[int, int]:
    """Return how many more answers fit ``rows`` than their own, and from which row on most do."""
    counts = Counter(expected)
    excess = 0
    largest = (0, 0)
    # from the end, because answers that slipped by a row stay so to the last one
    for row in reversed(range(len(answers))):
        answer = answers[row]
        output = expected[rows[row]]
        if answer is None or expected[row] == output:
            continue
        if answer == expected[row]:
            excess -= 1
        elif answer == output and _ONE_IN * counts[output] <= len(expected):
            excess += 1
        if excess > largest[0]:
            largest = excess, row
    return largest
