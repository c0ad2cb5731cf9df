"""The answers of the models: whether all arrived, and whether they are answers."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from math import inf
from typing import NamedTuple

from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics.labels import LabelSet
from pytest_ftgate.metrics.reading import holds, read_leniently, renamed
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import Measured
from pytest_ftgate.text import plural, printable, quoted, shortened

_PLACES_SHOWN = 3
_ID_CHARACTERS = 40
_CAUSE_CHARACTERS = 1000


def answers_of(role: str) -> str:
    """Return the name of the checks of a model's answers: one for all baselines, which their messages name."""
    return "candidate_answers" if role == "candidate" else "baseline_answers"


def check_complete(gate: Context) -> list[Check]:
    """Check that every answer arrived."""
    return complete_checks(gate.measured, gate.forgiven)


def complete_checks(measured: Mapping[str, Measured], forgiven: Collection[str]) -> list[Check]:
    """Check that every answer arrived, and list the model that ended the run first.

    Where its failure is an error, what other models were not asked because of it is a note, and so is the same failure
    of another model, which the error names.
    """
    roles = sorted(measured, key=lambda role: measured[role].run.fatal is None)
    checks = {role: _complete(role, measured[role], forgiven=role in forgiven) for role in roles}
    ended = any(measured[role].run.fatal and check.status == "error" for role, check in checks.items())
    for role, check in checks.items():
        failures = [one.failure for one in measured[role].run.all_predictions if one.failure]
        stopped = measured[role].run.fatal is None and {one.kind for one in failures} == {"stopped"}
        checks[role] = replace(check, status="note", advice=None) if ended and stopped else check
    errors = [role for role, check in checks.items() if check.status == "error"]
    alike = [role for role in errors if _cause_of(measured[role]) == _cause_of(measured[errors[0]])]
    if len(alike) > 1:
        names = ", ".join(called(role, measured[role].facts.name) for role in alike)
        checks[alike[0]] = _complete(alike[0], measured[alike[0]], forgiven=False, who=names)
        checks |= {role: replace(checks[role], status="note", advice=None) for role in alike[1:]}
    return list(checks.values())


def _cause_of(one: Measured) -> tuple[str, str | None] | Measured:
    """Return what ended a run or forbade its calls, without the place; the run itself where anything else failed."""
    failure, recorded = one.run.failure, one.run.model.verified is not None  # in a file of its own
    if failure is None or recorded or not (failure.fatal or failure.kind == "offline"):
        return one
    return (failure.what, failure.advice) if one.facts.n_errors == one.facts.n_expected else one


_NO_ANSWERS = (
    ("n_unknown", "without a known label"),
    ("n_refused", "refused or filtered"),
    ("n_cut_off", "cut off"),
    ("n_empty", "empty"),
)


_MANY = 0.05
"""The share of a baseline's answers without usable text from which the gain may say nothing about its prompt."""


def check(gate: Context) -> Iterator[Check]:
    """Note how many answers are unusable, and so wrong; many of a baseline that have no text are a warning."""
    for role, one in gate.scored.items():
        model = called(role, one.facts.name)
        for attribute, what in _NO_ANSWERS:
            if count := getattr(one.facts, attribute):
                message = f"{model}: {plural(count, 'answer')} {what}, scored as wrong"
                many = role in gate.config.baselines and attribute != "n_unknown"
                if not many or count < _MANY * (one.facts.n_expected or 0):
                    yield Check("unusable_answers", "note", message, observed=count)
                    continue
                prompt = "Correct the baseline's prompt, or raise its max_tokens"
                cure = prompt if gate.asked(role).has_prompt else "Check how the baseline was asked"
                cure += ": a gain over answers without text proves"
                yield Check("unusable_answers", "warning", message, observed=count, advice=f"{cure} little.")
        labels = gate.deciding.label_set
        if labels is not None and (several := labels.reading.count_ambiguous(one.answers)):
            yield Check(
                "unusable_answers",
                "warning",
                f"{model}: pattern finds different labels in {plural(several, 'answer')}, and the first one counts",
                observed=several,
                advice="Write a pattern that only the final answer matches, such as 'Label: (.*)$'.",
            )


def check_order(gate: Context) -> Iterator[Check]:
    """Warn of answers that fit other examples, those of the next or previous row or in any order, or other labels.

    From some row on, perhaps the first, no more of them are right than by chance, which is the number that is expected
    if the same answers were dealt to the examples at random.
    """
    metric, n = gate.deciding, len(gate.test)
    if metric.judged or not metric.compares or n < _FEWEST:
        return
    expected = metric.bare().answers_read([metric.right_answer(value) for value in gate.expected])
    for role, one in gate.scored.items():
        read = metric.answers_read(one.answers[0])
        tails = {place: _tail(read, expected, by) for place, by in _NEIGHBOURS.items()}
        place = max(tails, key=lambda place: tails[place].fitting)
        tail, whole = tails[place], _Tail(0, read, expected, expected)
        cure = "how these answers were joined to the examples, by id or in order"
        if tail.by_chance and tail.fitting >= tail.enough:
            start = f" from {gate.test.where(tail.start)} on" if tail.start else ""
            found, fit = f"{tail.fitting:,} answers{start} fit the {place} row", tail.fitting
        elif whole.by_chance and whole.many and whole.dealt >= _SAME * n:
            found, fit = f"{whole.dealt:,} answers fit the examples in another order", whole.dealt
        elif names := _other_names(metric.label_set, one.answers[0], read, expected):
            (answer, label), fit = next(iter(names.items())), sum(text in names for text in one.answers[0])
            found = f"{fit:,} answers are other names of labels, such as {quoted(answer)} for {quoted(label)}"
            cure = "the names of the labels"
        else:
            continue
        yield Check(
            answers_of(role),
            "warning",
            f"{called(role, one.facts.name)} is right on {whole.right:,} of {plural(n, 'example')}, but {found}",
            observed=fit,
            advice=f"Check {cure} ({gate.asked(role).source}).",
            action="measure_again",
        )


_FEWEST, _BETTER, _SAME, _FEW_LABELS = 20, 1.5, 0.9, 0.15
"""The fewest examples, how many times as many answers must fit another row, the share that fits in any order or under
other names, and the share that is right by chance from which on labels are few."""
_NEIGHBOURS = {"next": 1, "previous": -1}


class _Tail(NamedTuple):
    """Hold the answers from a row on, with what their examples and other ones expect."""

    start: int
    read: Sequence[str | None]
    expected: Sequence[str | None]
    other: Sequence[str | None]

    @property
    def right(self) -> int:
        return _fitting(self.read, self.expected)

    @property
    def fitting(self) -> int:
        return _fitting(self.read, self.other)

    @property
    def chance(self) -> float:
        wanted = Counter(self.expected)
        return sum(wanted[answer] for answer in self.read if answer is not None) / len(self.read)

    @property
    def by_chance(self) -> bool:
        return self.right <= self.chance + 2 * self.chance**0.5 and len(set(self.expected)) > 1

    @property
    def many(self) -> bool:
        """Return whether labels are many: with few, answers of another row are right by chance, or wrong alike."""
        return self.chance <= _FEW_LABELS * len(self.read)

    @property
    def enough(self) -> float:
        """Return how many answers that fit another row are no chance."""
        if self.many:
            return max(_FEWEST / 2, _BETTER * self.right, _BETTER * self.chance)
        return inf if self.start else _SAME * len(self.read)

    @property
    def dealt(self) -> int:
        return (Counter(self.read) & Counter(self.expected)).total()


def _tail(read: Sequence[str | None], expected: Sequence[str | None], by: int) -> _Tail:
    """Return the rows from that one on from which most more answers fit the row ``by`` places away than their own."""
    other = [*expected[by:], *expected[:by]]
    better = [(one is not None) * ((one == b) - (one == a)) for one, a, b in zip(read, expected, other, strict=True)]
    sums = list(accumulate(reversed(better)))[_FEWEST - 1 :]
    start = len(read) - _FEWEST - sums.index(max(sums))
    return _Tail(start, read[start:], expected[start:], other[start:])


def _other_names(
    labels: LabelSet | None, answers: Sequence[str | None], read: Sequence[str | None], expected: Sequence[str | None]
) -> dict[str, str]:
    """Return the label that each answer stands for, if nearly all wrong ones have one; none that is right somewhere."""
    if labels is None:
        return {}
    rows = list(zip(answers, read, expected, strict=True))
    wrong = [(answer, label) for answer, one, label in rows if one != label and answer and label]
    right = {answer for answer, one, label in rows if one == label}
    names = {a: b for a, b in renamed(wrong, fewest=2).items() if a not in right and not _says(labels, a, b)}
    return names if wrong and sum(answer in names for answer, _ in wrong) >= _SAME * len(wrong) else {}


def _says(labels: LabelSet, answer: str, label: str) -> bool:
    """Return whether an answer says a label in whatever form, which is no other name of it."""
    return read_leniently(answer, "label", labels=labels) == label or holds(answer, label, labels)


def _fitting(answers: Sequence[str | None], expected: Sequence[str | None]) -> int:
    return sum(one is not None and one == other for one, other in zip(answers, expected, strict=True))


_MANY_RETRIES = 0.05


def check_retries(gate: Context) -> Iterator[Check]:
    """Warn of each model more than 5 % of whose calls failed and were made again."""
    for role, one in gate.measured.items():
        retries = one.facts.n_retries or 0
        calls = retries + (one.facts.n_expected or 0) - (one.facts.n_stored or 0)
        if retries > _MANY_RETRIES * calls:
            message = f"{called(role, one.facts.name)}: {retries:,} of {plural(calls, 'call')} failed and were retried"
            cure = "Lower concurrency, or set requests_per_minute, so that latencies and costs are those of normal use."
            yield Check("retries", "warning", message, observed=retries, advice=cure)


def _complete(role: str, measured: Measured, *, forgiven: bool, who: str | None = None) -> Check:
    """Check one model, told as ``who``. A missing answer is an error, unless the gate scores it as wrong."""
    model, run = measured.facts, measured.run
    n, missing = model.n_expected or 0, model.n_errors or 0
    name = answers_of(role)
    if not missing:
        message = f"{called(role)}: all {plural(n, 'answer')} arrived"
        message += "; attested, not verified (they have no input_sha256)" if model.verified is False else ""
        return Check(name, "pass", message, observed=n, required=n)
    failure = run.failure
    cause = shortened(failure.cause, _CAUSE_CHARACTERS) if failure else "no cause is known"
    names = list(dict.fromkeys(example.name for example in run.unanswered))
    shown = [printable(name, _ID_CHARACTERS) for name in names[:_PLACES_SHOWN]]
    shown += ["..."] if len(names) > _PLACES_SHOWN else []
    places = f" ({', '.join(shown)})" if missing < n else ""
    counted = f"{missing:,} of {plural(n, 'answer')} missing{places}"
    counted += ", counted as wrong (missing_answers: wrong)" if forgiven else ""
    return Check(
        name,
        "warning" if forgiven else "error",
        f"{who or called(role, model.name)}: {cause}; {counted}",
        observed=n - missing,
        required=n,
        advice=None if failure is None or forgiven else failure.advice,
    )
