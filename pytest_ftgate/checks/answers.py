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
    """Return the name of the checks of a model's answers: one for all baselines, which their messages name."""
    return "candidate_answers" if role == "candidate" else "baseline_answers"


def complete_checks(measured: Mapping[str, Measured], forgiven: Collection[str]) -> list[Check]:
    """Check that every answer arrived, and list the model that ended the run first.

    What other models were not asked because of its error is a note, and so is the same error of
    another model.
    """
    roles = sorted(measured, key=lambda role: measured[role].run.fatal is None)
    checks, causes = list[Check](), set[str]()
    for role in roles:
        check = _complete(role, measured[role], forgiven=role in forgiven)
        if check.status == "error":
            failures = [one.failure for one in measured[role].run.all_predictions if one.failure]
            told = (
                causes
                and {one.kind for one in failures} == {"stopped"}
                and measured[role].run.fatal is None
            )
            cause = f"{failures[0].what} {failures[0].advice}" if failures else role
            check = replace(check, status="note", advice=None) if told or cause in causes else check
            causes |= {cause} if measured[role].run.fatal else set()
        checks.append(check)
    return checks


def _complete(role: str, measured: Measured, *, forgiven: bool) -> Check:
    """Check one model. A missing answer is an error, unless the gate scores it as wrong."""
    model, run = measured.facts, measured.run
    n, missing, name = model.n_expected or 0, model.n_errors or 0, answers_of(role)
    if not missing:
        message = f"{called(role)}: all {plural(n, 'answer')} arrived"
        message += (
            "; attested, not verified (they have no input_sha256)"
            if model.verified is False
            else ""
        )
        return Check(name, "pass", message, n, n)
    failure = run.failure
    cause = shortened(failure.cause, LONGEST // 2) if failure else "no cause is known"
    names = [
        printable(one, EXCERPT) for one in dict.fromkeys(example.name for example in run.unanswered)
    ]
    shown = [*names[:NAMED], *(["..."] if len(names) > NAMED else [])]
    places = f" ({', '.join(shown)})" if missing < n else ""
    message = (
        f"{called(role, model.name)}: {cause}; {missing:,} of {plural(n, 'answer')} missing{places}"
    )
    if forgiven:
        return Check(
            name, "warning", f"{message}, counted as wrong (missing_answers: wrong)", n - missing, n
        )
    return Check(name, "error", message, n - missing, n, advice=failure.advice if failure else None)


def check_retries(gate: Context) -> Iterator[Check]:
    """Warn of each model more than 5 % of whose calls failed and were made again."""
    for role, one in gate.measured.items():
        retries = one.facts.n_retries or 0
        calls = retries + (one.facts.n_expected or 0) - (one.facts.n_stored or 0)
        if retries > _MANY * calls:
            message = f"{called(role, one.facts.name)}: {retries:,} of {plural(calls, 'call')} failed and were retried"
            cure = "Lower concurrency, or set requests_per_minute, so that latencies and costs are those of normal use."
            yield Check("retries", "warning", message, retries, advice=cure)


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
    orders = _orders(gate.test).items()
    for role, model in gate.scored.items():
        answers = metric.answers_read(model.answers[0])
        count, start, words = max(
            (*_misplaced(answers, expected, rows), words) for words, rows in orders
        )
        if count >= max(_FEWEST, len(expected) / _ONE_IN):
            right = sum(map(eq, answers, expected))
            message = (
                f"{called(role, model.facts.name)}: from {gate.test.where(start)} on, {count:,} "
            )
            message += f"more answers fit the {words} than their own; "
            message += f"{right:,} of {plural(len(expected), 'answer')} are right"
            cure = "Correct the ids of these answers, or how they were joined to the examples"
            cure += f" ({gate.asked(role).source})."
            yield Check("recording_order", "fail", message, count, 0, None, cure)


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
    """Return how many more answers fit ``rows`` than their own row, and from which row on most do."""
    counts = Counter(expected)
    most = excess = start = 0
    for row in reversed(range(len(answers))):
        answer = answers[row]
        other = expected[rows[row]]
        if answer is None or expected[row] == other:
            continue
        if answer == expected[row]:
            excess -= 1
        elif answer == other and _ONE_IN * counts[other] <= len(expected):
            excess += 1
        if excess > most:
            most = excess
            start = row
    return most, start
