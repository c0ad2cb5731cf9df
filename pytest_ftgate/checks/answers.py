"""The answers of the models: whether all arrived, and whether they are answers."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics.labels import LabelSet
from pytest_ftgate.metrics.reading import holds, read_leniently, renamed
from pytest_ftgate.result import Check, called
from pytest_ftgate.runs.measure import Measured
from pytest_ftgate.text import plural, printable, quoted, shortened

_PLACES_SHOWN, _ID_CHARACTERS, _CAUSE_CHARACTERS = 3, 40, 1_000
_NO_ANSWERS = {"n_unknown": "without a known label", "n_refused": "refused or filtered"}
_NO_ANSWERS |= {"n_cut_off": "cut off", "n_empty": "empty"}
_MANY = 0.05
"""The share of retried calls, and of a baseline's answers without text, from which measures may be wrong."""
_FEWEST, _BETTER, _SAME, _FEW_LABELS = 20, 1.5, 0.9, 0.15
"""The fewest examples, how many times as many answers must fit another row, the share that fits in any order or under
other names, and the share that is right by chance from which on labels are few: then answers of another row are right
by chance, or wrong alike."""


def answers_of(role: str) -> str:
    """Return the name of the checks of a model's answers: one for all baselines, which their messages name."""
    return "candidate_answers" if role == "candidate" else "baseline_answers"


def complete_checks(measured: Mapping[str, Measured], forgiven: Collection[str]) -> list[Check]:
    """Check that every answer arrived, and list the model that ended the run first.

    What other models were not asked because of its error is a note, and so is the same error of another model.
    """
    roles = sorted(measured, key=lambda role: measured[role].run.fatal is None)
    checks, causes = list[Check](), set[str]()
    for role in roles:
        check = _complete(role, measured[role], forgiven=role in forgiven)
        if check.status == "error":
            failures = [one.failure for one in measured[role].run.all_predictions if one.failure]
            told = causes and {one.kind for one in failures} == {"stopped"} and measured[role].run.fatal is None
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
        message += "; attested, not verified (they have no input_sha256)" if model.verified is False else ""
        return Check(name, "pass", message, n, n)
    failure = run.failure
    cause = shortened(failure.cause, _CAUSE_CHARACTERS) if failure else "no cause is known"
    names = [printable(one, _ID_CHARACTERS) for one in dict.fromkeys(example.name for example in run.unanswered)]
    shown = [*names[:_PLACES_SHOWN], *(["..."] if len(names) > _PLACES_SHOWN else [])]
    places = f" ({', '.join(shown)})" if missing < n else ""
    message = f"{called(role, model.name)}: {cause}; {missing:,} of {plural(n, 'answer')} missing{places}"
    if forgiven:
        return Check(name, "warning", f"{message}, counted as wrong (missing_answers: wrong)", n - missing, n)
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


def check(gate: Context) -> Iterator[Check]:
    """Note how many answers are unusable, and so wrong; many of a baseline that have no text are a warning."""
    for role, one in gate.scored.items():
        model = called(role, one.facts.name)
        for attribute, what in _NO_ANSWERS.items():
            if count := getattr(one.facts, attribute):
                message = f"{model}: {plural(count, 'answer')} {what}, scored as wrong"
                many = count >= _MANY * (one.facts.n_expected or 0) and attribute != "n_unknown"
                prompt = "Correct the baseline's prompt, or raise its max_tokens"
                cure = prompt if gate.asked(role).has_prompt else "Check how the baseline was asked"
                weak = many and role in gate.config.baselines
                advice = f"{cure}: a gain over answers without text proves little." if weak else None
                yield Check("unusable_answers", "warning" if weak else "note", message, count, advice=advice)
        labels = gate.deciding.label_set
        if labels is not None and (several := labels.reading.count_ambiguous(one.answers)):
            message = f"{model}: pattern finds different labels in {plural(several, 'answer')}; the first one counts"
            advice = "Write a pattern that only the final answer matches, such as 'Label: (.*)$'."
            yield Check("unusable_answers", "warning", message, several, advice=advice)


def check_order(gate: Context) -> Iterator[Check]:
    """Warn of answers that fit other examples, those of the next or previous row or in any order, or other labels.

    No more of them are right than by chance: than if the same answers were dealt to the examples at random.
    """
    metric, n = gate.deciding, len(gate.test)
    if metric.judged or not metric.compares or n < _FEWEST:
        return
    expected = metric.bare().answers_read([metric.right_answer(value) for value in gate.expected])
    for role, one in gate.scored.items():
        read = metric.answers_read(one.answers[0])
        found = _fitting(gate, read, expected)
        cure = "how these answers were joined to the examples, by id or in order"
        if found is None and (names := _other_names(metric.label_set, one.answers[0], read, expected)):
            (answer, label), count = next(iter(names.items())), sum(text in names for text in one.answers[0])
            found = count, f"answers are other names of labels, such as {quoted(answer)} for {quoted(label)}"
            cure = "the names of the labels"
        if found is not None:
            message = f"{called(role, one.facts.name)} is right on {_same(read, expected):,} of {plural(n, 'example')}"
            message += f", but {found[0]:,} {found[1]}"
            advice = f"Check {cure} ({gate.asked(role).source})."
            yield Check(answers_of(role), "warning", message, found[0], advice=advice, action="measure_again")


Answers = Sequence[str | None]


def _fitting(gate: Context, read: Answers, expected: Answers) -> tuple[int, str] | None:
    """Return how many answers fit other examples, with words for them; None unless only chance makes some right."""
    found, n = [], len(read)
    for place, by in (("next", 1), ("previous", -1)):
        other = [*expected[by:], *expected[:by]]
        rows = zip(read, expected, other, strict=True)
        better = [(one is not None) * ((one == there) - (one == here)) for one, here, there in rows]
        sums = list(accumulate(reversed(better)))[_FEWEST - 1 :]
        start = n - _FEWEST - sums.index(max(sums))  # from which on most more answers fit the other row
        fit, right, chance = _same(read[start:], other[start:]), *_by_chance(read[start:], expected[start:])
        few = chance > _FEW_LABELS * (n - start)
        enough = _SAME * n if few else max(_FEWEST / 2, _BETTER * right, _BETTER * chance)
        if right <= chance + 2 * chance**0.5 and fit >= enough and len({*expected[start:]}) > 1:
            where = f" from {gate.test.where(start)} on" if start else ""
            found.append((fit, f"answers{where} fit the {place} row"))
    right, chance = _by_chance(read, expected)
    dealt = (Counter(read) & Counter(expected)).total()
    if not found and right <= chance + 2 * chance**0.5 and chance <= _FEW_LABELS * n and dealt >= _SAME * n:
        found.append((dealt, "answers fit the examples in another order"))
    return max(found, default=None)


def _by_chance(read: Answers, expected: Answers) -> tuple[int, float]:
    """Return how many answers are right, and how many would be if they were dealt to the examples at random."""
    wanted = Counter(expected)
    return _same(read, expected), sum(wanted[one] for one in read if one is not None) / len(read)


def _same(answers: Answers, expected: Answers) -> int:
    return sum(one is not None and one == other for one, other in zip(answers, expected, strict=True))


def _other_names(labels: LabelSet | None, answers: Answers, read: Answers, expected: Answers) -> dict[str, str]:
    """Return the label that each answer stands for, if nearly all wrong ones have one; none that is right somewhere."""
    if labels is None:
        return {}
    rows = list(zip(answers, read, expected, strict=True))
    wrong = [(answer, label) for answer, one, label in rows if one != label and answer and label]
    right = {answer for answer, one, label in rows if one == label}
    names = {
        answer: label
        for answer, label in renamed(wrong, fewest=2).items()
        if answer not in right  # nor one that says a label in whatever form
        and not (read_leniently(answer, "label", labels=labels) == label or holds(answer, label, labels))
    }
    return names if wrong and sum(answer in names for answer, _ in wrong) >= _SAME * len(wrong) else {}
