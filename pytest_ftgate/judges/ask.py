"""The judges are asked, like any other model: stored, limited, paid for. What they say becomes scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.judges.calibration import Item, agreement, calibration_check
from pytest_ftgate.judges.pairs import (
    Answers,
    agreed_side,
    baselines_of,
    bias_checks,
    both_orders,
    compared,
    pair_questions,
    paired_metrics,
)
from pytest_ftgate.judges.people import Ratings, people_result, settled, stale_check
from pytest_ftgate.judges.questions import PROMPT_VERSION, grade_question, question_set
from pytest_ftgate.judges.replies import read_better, read_score
from pytest_ftgate.metrics.judged import HUMAN_PREFERENCE, Graded, Rubric
from pytest_ftgate.result import Check, JudgeResult, PairResult
from pytest_ftgate.text import cure_of, excerpt, one_line, plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.judges.prepare import Judge, Judging
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Completion
    from pytest_ftgate.runs.runner import Run

_SHOWN = 40


@dataclass(frozen=True)
class Opinion:
    """What the judges said.

    Attributes:
        metrics: with their scores, by role and name.
        checks: what is to be said of the judges; an ``error`` where one has not judged everything.
        runs: of the judges, by what recordings call them.
        results: the facts, by the name of the metric.
    """

    metrics: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    results: Mapping[str, JudgeResult] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asked:
    """What a judge is asked for one metric: all its questions by id, and what each is about, for messages."""

    judge: Judge
    questions: DataSet
    about: Mapping[str, str]


# --- the calibration -----------------------------------------------------------------------------------------


def calibrate(judging: Judging, options: Mapping[str, Any]) -> Opinion:
    """Ask the judges what people have judged already, before anything else is paid for.

    Args:
        judging: of the gate.
        options: see :func:`~pytest_ftgate.runs.runner.run_models`.
    """
    asked: dict[str, _Asked] = {}
    for name, judge in judging.judges.items():
        about = {one.id: f"line {item.example.id}" for item in judge.items for one in _item_questions(judge, item)}
        questions = question_set((one for item in judge.items for one in _item_questions(judge, item)), name)
        if questions is not None:
            asked[name] = _Asked(judge, questions, about)
    runs = _run(asked, options)
    checks: list[Check] = []
    results: dict[str, JudgeResult] = {}
    for name, one in asked.items():
        said, faults = _read(one, runs[name])
        results[name], found = _calibrated(one.judge, _facts(name, one.judge, runs[name]), said, faults)
        checks += found
    return Opinion({}, tuple(checks), {f"judge_{name}_calibration": run for name, run in runs.items()}, results)


def _item_questions(judge: Judge, item: Item) -> list[Example]:
    if isinstance(judge.asked, Rubric):
        return [grade_question(judge.asked, item.example, item.outputs[0])]
    first, second = item.outputs
    return both_orders(judge.asked, item.example, first, second)


def _calibrated(
    judge: Judge, facts: JudgeResult, said: Mapping[str, Any], faults: list[Check]
) -> tuple[JudgeResult, list[Check]]:
    if faults:
        return facts, faults
    labels = []
    for item in judge.items:
        values = [said[one.id] for one in _item_questions(judge, item)]
        labels.append(values[0] if isinstance(judge.asked, Rubric) else agreed_side(*values))
    kappa, kind = agreement(judge.asked, [item.label for item in judge.items], labels)
    result = replace(facts, kappa=kappa, kappa_kind=kind, n_kappa=len(labels))
    return result, [calibration_check(judge.asked, kappa, kind, len(labels))]


# --- the answers of the models -------------------------------------------------------------------------------


def judge_answers(
    judging: Judging,
    test: DataSet,
    runs: Mapping[str, Run],
    options: Mapping[str, Any],
    calibrated: Mapping[str, JudgeResult],
) -> Opinion:
    """Ask the judges about what the models answered. Equal questions are asked once, and equal answers are a tie.

    Args:
        judging: of the gate.
        test: the test set.
        runs: of the models over it, by role; no answer is missing that would make the gate an error.
        options: see :func:`~pytest_ftgate.runs.runner.run_models`.
        calibrated: what the calibration has found, by the name of the metric.
    """
    from pytest_ftgate.runs.measure import answers_of

    if not judging.judges and judging.people is None:
        return Opinion()
    answers = {role: answers_of(run) for role, run in runs.items()}
    asked: dict[str, _Asked] = {}
    for name, judge in judging.judges.items():
        about, questions = _questions(judge, test, answers)
        made = question_set(questions, name)
        if made is not None:
            asked[name] = _Asked(judge, made, about)
    judged = _run(asked, options)
    metrics: dict[str, dict[str, Metric]] = {role: {} for role in runs}
    checks: list[Check] = []
    results: dict[str, JudgeResult] = {}
    for name, judge in judging.judges.items():
        said, faults = _read(asked[name], judged[name]) if name in asked else ({}, [])
        facts = _merged(calibrated.get(name), _facts(name, judge, judged.get(name)))
        if not faults:
            scored, pairs = _scored(judge, test, answers, said)
            for role, metric in scored.items():
                metrics[role][name] = metric
            facts = replace(facts, pairs=tuple(pairs))
            checks += bias_checks(facts, judge.asked.source)
        checks += faults
        results[name] = facts
    if judging.people is not None:
        scored, found, result = _by_people(judging.people, test, runs)
        for role, metric in scored.items():
            metrics[role][HUMAN_PREFERENCE] = metric
        checks += found
        results[HUMAN_PREFERENCE] = result
    return Opinion(metrics, tuple(checks), {f"judge_{name}": run for name, run in judged.items()}, results)


def _questions(judge: Judge, test: DataSet, answers: Answers) -> tuple[dict[str, str], list[Example]]:
    asked = judge.asked
    found: list[Example] = []
    about: dict[str, str] = {}
    for index, example in enumerate(test.examples):
        if isinstance(asked, Rubric):
            made = [grade_question(asked, example, answer) for answer in _given(answers, index)]
        else:
            made = pair_questions(asked, example, index, answers)
        about.update((question.id, example.id) for question in made)
        found += made
    return about, found


def _given(answers: Answers, index: int) -> list[str]:
    """All different answers of all models to one example."""
    return sorted({answer for of_role in answers.values() for r in of_role if (answer := r[index]) is not None})


def _scored(
    judge: Judge, test: DataSet, answers: Answers, said: Mapping[str, Any]
) -> tuple[dict[str, Metric], list[PairResult]]:
    if isinstance(judge.asked, Rubric):
        asked = judge.asked
        grades = {
            (index, answer): said[grade_question(asked, example, answer).id]
            for index, example in enumerate(test.examples)
            for answer in _given(answers, index)
        }
        return dict.fromkeys(answers, Graded(asked, grades)), []
    preferred, pairs = {}, []
    for role in baselines_of(answers):
        preferred[role], pair = compared(judge.asked, role, test, answers, said)
        pairs.append(pair)
    return paired_metrics(judge.asked.name, preferred, means=len(answers["candidate"]) > 1), pairs


def _by_people(
    ratings: Ratings, test: DataSet, runs: Mapping[str, Run]
) -> tuple[dict[str, Metric], list[Check], JudgeResult]:
    (role,) = [role for role in runs if role != "candidate"]
    both = {"baseline": runs[role], "candidate": runs["candidate"]}
    found = stale_check(HUMAN_PREFERENCE, ratings, test, both)
    said = people_result(HUMAN_PREFERENCE, ratings, role)
    ratings, moved = settled(HUMAN_PREFERENCE, ratings, both)
    result = replace(said, pairs=people_result(HUMAN_PREFERENCE, ratings, role).pairs)
    several = len(ratings.raters) > 1
    return paired_metrics(HUMAN_PREFERENCE, {role: ratings.values()}, means=several), [found, *moved], result


# --- a judge's run -------------------------------------------------------------------------------------------


def _run(asked: Mapping[str, _Asked], options: Mapping[str, Any]) -> dict[str, Run]:
    from pytest_ftgate.runs.runner import Job, run_models

    if not asked:
        return {}
    jobs = [Job(one.judge.model, one.questions, usable=_is_readable(one.judge)) for one in asked.values()]
    runs = run_models(jobs, **options)
    return dict(zip(asked, runs, strict=True))


def _read(asked: _Asked, run: Run) -> tuple[dict[str, Any], list[Check]]:
    """What the judge said, by question; an answer that is missing or cannot be read makes the gate an error."""
    from pytest_ftgate.runs.run_state import UselessError

    read = _reader(asked.judge)
    said: dict[str, Any] = {}
    missing, unread = [], []
    for prediction in run.predictions[0]:
        if prediction.completion is None:
            missing.append(prediction)
        elif (value := read(prediction.completion)) is None:
            unread.append(prediction)
        else:
            said[prediction.id] = value
    name, judge, n = asked.judge.asked.name, asked.judge.asked.judge.name, len(run.test_set)
    if isinstance(run.fatal, UselessError):
        return said, [_unread_check(asked, unread, n, stopped=len(missing))]
    found = []
    if missing:
        reason = str(run.fatal) if run.fatal else missing[0].error or ""
        about = printable(asked.about[missing[0].id], _SHOWN)
        found.append(
            Check(
                f"judge.{name}",
                "error",
                f"judge {judge}: {len(missing):,} of {plural(n, 'answer')} missing (first about {about}): "
                f"{one_line(reason)}",
                observed=n - len(missing),
                required=n,
                source=asked.judge.asked.source,
                advice=cure_of(offline=any(one.offline for one in missing)),
            )
        )
    if unread:
        found.append(_unread_check(asked, unread, n))
    return said, found


def _reader(judge: Judge) -> Callable[[Completion], Any]:
    """What reads a judgement out of an answer; it gives None where that is not what was asked for."""
    asked = judge.asked

    def read(completion: Completion) -> Any:
        if completion.finish != "stop":
            return None
        if isinstance(asked, Rubric):
            return read_score(completion.text, asked.low, asked.high)
        return read_better(completion.text)

    return read


def _is_readable(judge: Judge) -> Callable[[Completion], bool]:
    read = _reader(judge)
    return lambda completion: read(completion) is not None


def _unread_check(asked: _Asked, unread: Sequence[Any], n: int, *, stopped: int = 0) -> Check:
    """Some answers cannot be read; where the first ones cannot, ``stopped`` others were not waited for."""
    metric, first = asked.judge.asked, unread[0]
    wanted = f'{{"score": {metric.high:g}}}' if isinstance(metric, Rubric) else '{"better": "A"}'
    said = excerpt(first.completion.text, width=80) if first.completion.text.strip() else "nothing"
    counted = f"{len(unread):,} of {plural(n, 'answer')} cannot be read"
    if stopped:
        counted = f"the first {len(unread):,} of {plural(n, 'answer')} cannot be read (no other was waited for)"
    how = "" if first.completion.finish == "stop" else f" ({first.completion.finish})"
    return Check(
        f"judge.{metric.name}",
        "error",
        f"judge {metric.judge.name}: {counted}, the first about "
        f"{printable(asked.about[first.id], _SHOWN)}{how}: {said}",
        observed=n - len(unread) - stopped,
        required=n,
        source=metric.source,
        advice=f"A judge answers {wanted} and nothing else. Take a judge that can (params: {{response_format: {{type: "
        "json_object}} helps where the endpoint has it); to ask this one anew, --ftgate-cache=refresh: answers that "
        "cannot be read are kept like all others.",
    )


def _facts(name: str, judge: Judge, run: Run | None) -> JudgeResult:
    """Who judged, how often, and what it cost; nothing where no question was left to ask."""
    from pytest_ftgate.runs.measure import measure_run

    shown = judge.asked.judge.name
    if run is None:
        return JudgeResult(name, shown, judge.model.spelling, PROMPT_VERSION, 0, 0, 0, 0, 0.0)
    seen = measure_run(shown, run).facts
    return JudgeResult(
        name,
        shown,
        judge.model.spelling,
        PROMPT_VERSION,
        n_questions=seen.n_expected,
        n_stored=seen.n_stored,
        input_tokens=seen.input_tokens,
        output_tokens=seen.output_tokens,
        cost_usd=seen.cost_usd,
        cost_unknown=seen.cost_unknown,
    )


def _merged(calibrated: JudgeResult | None, judged: JudgeResult) -> JudgeResult:
    """What was asked for the calibration counts too."""
    if calibrated is None:
        return judged
    cost = _sum(calibrated.cost_usd, judged.cost_usd)
    return replace(
        judged,
        n_questions=_sum(calibrated.n_questions, judged.n_questions),
        n_stored=_sum(calibrated.n_stored, judged.n_stored),
        input_tokens=_sum(calibrated.input_tokens, judged.input_tokens),
        output_tokens=_sum(calibrated.output_tokens, judged.output_tokens),
        cost_usd=None if cost is None else round(cost, 12),
        cost_unknown=judged.cost_unknown or calibrated.cost_unknown,
        kappa=calibrated.kappa,
        kappa_kind=calibrated.kappa_kind,
        n_kappa=calibrated.n_kappa,
    )


def _sum(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other
