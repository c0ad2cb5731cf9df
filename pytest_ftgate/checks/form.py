"""The rules for the form of answers.

A baseline that answers "The intent is refund." or runs into its own length limit loses by its form.
A fine-tune that only answers in the right form then looks better, although a line in the prompt
would do. So the malformed answers of a baseline count as ties, and as right for ``max_drop``: a
champion in whole sentences may know more than its score says.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from pytest_ftgate.checks.context import Context, Excused
from pytest_ftgate.metrics import Answers, Metric, Scored
from pytest_ftgate.models import Completion
from pytest_ftgate.result import RED, Check, Status, opponent
from pytest_ftgate.runs.measure import score_known, shown_answer
from pytest_ftgate.runs.mistakes import RIGHT, WRONG, malformed_answers
from pytest_ftgate.statistics.arrays import Bools
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import (
    EXCERPT,
    NAMED,
    plural,
    printable,
    show_change,
    show_difference,
    show_needed,
)

_LABEL_NUMBER = re.compile(r"(LABEL_)?\d+")
"""What an encoder or Transformers writes in place of a label."""

_ORDER: tuple[Status, ...] = ("pass", "inconclusive", "fail")


def excused_gains(gate: Context) -> dict[str, Excused]:
    """Return the gains over baselines whose malformed answers do them no harm, by role.

    For a margin they count as ties. For ``max_drop`` they count as right, or as ties where the
    candidate's answer is malformed, too.
    """
    metric = gate.deciding
    excused: dict[str, Excused] = {}
    if gate.config.goal == "format" or metric.judged or metric.of_form:
        return excused

    for role in gate.comparisons:
        flags = malformed_answers(metric, gate.gain_runs[role], gate.gain_set.expected)
        if flags.any():
            excused[role] = Excused(_excused_gain(gate, role, flags), flags)
    return excused


def check(gate: Context) -> Iterator[Check]:
    """Check that the gate passes where malformed answers of a baseline do it no harm."""
    for role, excused in gate.excused.items():
        yield _checked(gate, role, excused.gain, excused.malformed)


def decides(gate: Context) -> bool:
    """Return whether the form of a baseline decides, so that its value says nothing more."""
    return any(gate.at_level(finding).status in RED for finding in check(gate))


def _checked(gate: Context, role: str, excused: Comparison, flags: Bools) -> Check:
    """Return the check of the gain over a baseline, by the worse of both verdicts."""
    written = gate.comparisons[role].status
    is_worse = _ORDER.index(excused.status) > _ORDER.index(written)
    # A baseline without any answer in the right form has not shown that its prompt is weak.
    decides = is_worse or (bool(flags.all()) and excused.status != "pass")

    malformed = []
    for repeat, row in np.argwhere(flags).tolist():
        malformed.append(gate.gain_runs[role].run.predictions[repeat][row].completion)

    status: Status = "note"
    cure = None
    if decides:
        status = excused.status
        cure = _cure(gate, role, malformed)
    message = _message(gate, role, excused, malformed)
    required = gate.config.standard_of(role).gain
    return Check(
        "formatting_gain", status, message, observed=excused.gain, required=required, cure=cure
    )


def _excused_gain(gate: Context, role: str, flags: Bools) -> Comparison:
    """Return the gain over a baseline whose malformed answers are ties, or right ones."""
    metric = gate.deciding
    candidate = gate.gain_runs["candidate"]
    expected = gate.gain_set.expected
    ties = flags
    if gate.config.standard_of(role).drops:
        ties = flags & malformed_answers(metric, candidate, expected)

    answers = []
    for repeat, repeated in enumerate(gate.gain_runs[role].answers):
        tied = list(repeated)
        for row in np.flatnonzero(ties[repeat]):
            tied[row] = candidate.answers[repeat][row]
        answers.append(tied)

    scored = _with_right_answers(metric, expected, answers, flags & ~ties)
    return gate.compare(scored, candidate.scores[metric.name], role)


def _with_right_answers(
    metric: Metric, expected: Sequence[Any], answers: Answers, right: Bools
) -> Scored:
    """Return the score where some answers, by repeat and example, get the best score."""
    scored = score_known(metric, expected, answers)
    if not right.any():
        return scored

    if scored.statistic is not None:
        # all answers as they are read, so that right ones can stand among them
        repeats = []
        for flags, repeat in zip(right, answers, strict=True):
            texts = list(metric.answers_read(repeat))
            for row in np.flatnonzero(flags).tolist():
                texts[row] = metric.right_answer(expected[row])
            repeats.append(texts)
        return replace(scored, statistic=metric.bare().score(expected, repeats).statistic)

    scores = []
    for repeat in answers:
        of_repeat = score_known(metric, expected, [repeat]).per_example
        # without a statistic there is a score for each example
        assert of_repeat is not None
        scores.append(of_repeat)
    return replace(scored, per_example=np.where(right, metric.best, scores).mean(axis=0))


def _message(
    gate: Context, role: str, excused: Comparison, malformed: Sequence[Completion | None]
) -> str:
    """Return how many answers are malformed, both gains, and the most frequent of these answers."""
    share = gate.share
    standard = gate.config.standard_of(role)
    answers = plural(len(gate.gain_runs[role].run.all_predictions), "answer")
    counted = "right" if standard.drops else "ties"
    gain = show_difference(excused.gain, share=share)
    needed = show_needed(standard.gain, share=share)
    written = show_change(gate.comparisons[role].gain, share=share)

    texts = Counter(printable(shown_answer(completion), EXCERPT) for completion in malformed)
    named = []
    for text, count in texts.most_common(NAMED):
        named.append(f"{count:,} x '{text}'" if count > 1 else f"'{text}'")
    return (
        f"{len(malformed):,} of {answers} of {opponent(role)} are malformed; "
        f"counted as {counted}: gain {gain}, needs {needed}; as written: gain {written}; "
        f"{', '.join(named)}"
    )


def _cure(gate: Context, role: str, malformed: Sequence[Completion | None]) -> str:
    """Return how to get answers in the form of the task, and what to write if that is the goal."""
    metric = gate.deciding
    baseline = opponent(role)
    cures = [f"tell {baseline} to answer with {metric.form}"]
    cures.append("constrain its output (response_format)")
    if metric.uses_labels or metric.of_numbers:
        cures.append("let the metric read it (pattern, json_field)")
    # answers do not tell whether their form is what the fine-tune is for
    cures.append("or, if the form is what you train, write goal: format")
    cure = ", ".join(cures)
    if any(map(_is_at_limit, malformed)):
        cure = f"raise the length limit of {baseline} ({gate.asked(role).source}), {cure}"
    return f"{cure[0].upper()}{cure[1:]}."


def _is_at_limit(completion: Completion | None) -> bool:
    # an ending that nobody knows may have another reason
    if completion is None or completion.finish_reason is not None:
        return False
    return completion.finish == "cut_off"


def cure_of_candidate(gate: Context) -> str | None:
    """Return the cure where most wrong answers of the candidate are malformed, of any kind."""
    counts = dict(gate.diagnosis.candidate or {})
    counts.pop(RIGHT, None)
    wrong = sum(counts.values())
    malformed = wrong - counts.pop(WRONG, 0)
    if 2 * malformed <= wrong:
        return None

    metric = gate.deciding
    cure = f"train the form, {metric.form}"
    if metric.uses_labels or metric.of_numbers:
        cure = f"let the metric read them (pattern, json_field), or {cure}"
    cures = {
        "cut_off": "they are cut off, so raise its limit of tokens (max_tokens)",
        "empty": "they are empty, so send it one of these inputs by hand",
        "missing": "make the failed calls succeed (candidate_answers)",
        "refusal": "find out what refuses or filters these",
    }
    most_frequent = max(counts, key=counts.__getitem__)
    answers = set(chain(*gate.scored["candidate"].answers))
    if metric.uses_labels and all(map(_LABEL_NUMBER.fullmatch, filter(None, answers))):
        cure = "they are numbers of labels, so record the text: encoder.inverse_transform([n])[0]"
    if most_frequent not in cures and len(answers) == 1:
        return None  # the same text to every example has no output to be read

    return (
        f"{malformed:,} of {plural(wrong, 'wrong answer')} of the candidate are malformed: "
        f"{cures.get(most_frequent, cure)}."
    )


def check_free(gate: Context) -> Iterator[Check]:
    """Warn before any call of a gate whose metrics all look at the form of answers alone."""
    if all(metric.of_form for metric in gate.metrics.values()):
        message = f"{gate.deciding.name} only checks the form of an answer: no metric checks "
        message += "whether answers are right"
        cure = "Add a metric that compares with the expected output, such as exact_match."
        yield Check("formatting_gain", "warning", message, cure=cure)
