"""Ask the judges, with the same storage, limits and costs as for any model, and turn their replies into scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_ftgate.judges import JudgeRun
from pytest_ftgate.judges.agreement import agreement, calibration_check
from pytest_ftgate.judges.pairs import (
    Answers,
    agreed_side,
    bias_checks,
    compared,
    majority,
    pair_questions,
    paired_metrics,
)
from pytest_ftgate.judges.people import judged_by_people
from pytest_ftgate.judges.questions import (
    PROMPT_VERSION,
    grade_question,
    question_set,
    questions_about,
    read_better,
    read_score,
)
from pytest_ftgate.metrics.judged import HUMAN_PREFERENCE, Graded, ModelJudged
from pytest_ftgate.result import Check, JudgeResult, PairResult
from pytest_ftgate.text import excerpt, plural, printable

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.judges import Judge, Judging
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Completion, Prediction
    from pytest_ftgate.runs.runner import Run

_SHOWN = 40
_VOTES = {"a": 1.0, "tie": 0.5, "b": 0.0}
_COUNTED = ("n_questions", "n_stored", "input_tokens", "output_tokens", "cost_usd")

_Questions = Iterable[tuple[str, "Example"]]  # the subject of each question in messages, and the question


@dataclass(frozen=True)
class _Replies:
    """One judge's replies by question id, and errors if some are missing or unreadable."""

    run: Run | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Sequence[Check] = ()

    @property
    def stopped(self) -> bool:
        """Return whether the failure of another judge ended the run."""
        return self.run is not None and self.run.failure is not None and self.run.failure.kind == "stopped"


def calibrate(judging: Judging, options: Mapping[str, Any]) -> JudgeRun:
    """Ask the judges about the calibration items first; ``options`` are those of ``runner.run_models``."""
    questions = {
        name: [
            (f"line {item.example.id}", question)
            for item in judge.items
            for question in questions_about(judge.metric, item.example, item.outputs)
        ]
        for name, judge in judging.judges.items()
    }
    asked = _ask(judging.judges, questions, options)
    checks = _errors(asked)
    runs: dict[str, Run] = {}
    results: dict[str, JudgeResult] = {}
    for metric, of_metric in _by_metric(judging.judges, asked):
        labels: list[list[Any]] = []
        for name, judge, replies in of_metric:
            if replies.run is None:
                continue
            decided = _facts(judge, replies.run)
            if not replies.errors:
                labels.append(_labels(judge, replies))
                decided = _with_kappa(decided, judge, labels[-1])
            results[name] = decided
            runs[f"judge_{name}_calibration"] = replies.run
        if len(labels) < len(of_metric):
            continue
        if len(labels) > 1:
            together = [_settled_label(metric, of_item) for of_item in zip(*labels, strict=True)]
            results[_together(metric)] = decided = _with_kappa(_of_several(metric, len(labels)), judge, together)
        names = [one.metric.judge.name for _, one, _ in of_metric]
        checks.append(calibration_check(metric, decided, f"the judge{'s' * (len(names) > 1)} {', '.join(names)}"))
    return JudgeRun({}, tuple(checks), runs, results)


def _labels(judge: Judge, replies: _Replies) -> list[Any]:
    """Return the judge's label of each calibration item."""
    labels = []
    for item in judge.items:
        values = [replies.values[one.id] for one in questions_about(judge.metric, item.example, item.outputs)]
        labels.append(agreed_side(*values) if judge.metric.pairwise else values[0])
    return labels


def _with_kappa(facts: JudgeResult, judge: Judge, labels: Sequence[Any]) -> JudgeResult:
    kappa, kind = agreement(judge.metric, [item.label for item in judge.items], labels)
    return replace(facts, kappa=kappa, kappa_kind=kind, n_kappa=len(labels))


# --- several judges ------------------------------------------------------------------------------------------


def _by_metric(
    judges: Mapping[str, Judge], replies: Mapping[str, _Replies]
) -> Iterator[tuple[ModelJudged, list[tuple[str, Judge, _Replies]]]]:
    """Yield each judged metric with its judges, by name, and their replies."""
    for _, names in groupby(judges, key=lambda name: judges[name].metric.name):
        of_metric = [(name, judges[name], replies[name]) for name in names]
        yield of_metric[0][1].metric, of_metric


def _settled_label(metric: ModelJudged, labels: Sequence[Any]) -> Any:
    """Return the label that several judges give to a calibration item together."""
    if not metric.pairwise:
        return median(labels)
    return {1.0: "a", 0.5: "tie", 0.0: "b"}[majority([_VOTES[label] for label in labels])]


def _together(metric: ModelJudged) -> str:
    return f"{metric.name}_together"


def _of_several(metric: ModelJudged, n: int) -> JudgeResult:
    word = "majority" if metric.pairwise else "median"
    return JudgeResult(metric.name, f"{word} of {plural(n, 'judge')}", raters=n)


def run_judges(
    judging: Judging,
    test: DataSet,
    runs: Mapping[str, Run],
    options: Mapping[str, Any],
    calibrated: Mapping[str, JudgeResult],
) -> JudgeRun:
    """Ask the judges about the models' answers. Equal questions are asked once, and equal answers are a tie.

    ``runs`` are those of the models by role; ``calibrated`` holds the results of the calibration, by judge.
    """
    from pytest_ftgate.runs.measure import answers_of

    answers = {role: answers_of(run) for role, run in runs.items()}
    questions = {name: _questions(judge.metric, test, answers) for name, judge in judging.judges.items()}
    metrics: dict[str, dict[str, Metric]] = {role: {} for role in runs}
    judged: dict[str, Run] = {}
    results: dict[str, JudgeResult] = {}
    asked = _ask(judging.judges, questions, options)
    checks = _errors(asked)
    for metric, of_metric in _by_metric(judging.judges, asked):
        for name, judge, replies in of_metric:
            facts = _merged(calibrated.get(name), _facts(judge, replies.run))
            if not replies.errors:
                facts = replace(facts, pairs=tuple(_scored(metric, test, answers, [replies.values])[1]))
                checks += bias_checks(facts, metric.source)
            results[name] = facts
            if replies.run is not None:
                judged[f"judge_{name}"] = replies.run
        if any(replies.errors for _, _, replies in of_metric):
            continue
        scored, pairs = _scored(metric, test, answers, [replies.values for _, _, replies in of_metric])
        for role, one in scored.items():
            metrics[role][metric.name] = one
        if len(of_metric) > 1:
            facts = calibrated.get(_together(metric), _of_several(metric, len(of_metric)))
            results[_together(metric)] = replace(facts, pairs=tuple(pairs))
    if judging.people is not None:
        scored, found, results[HUMAN_PREFERENCE] = judged_by_people(judging.people, test, runs)
        for role, one in scored.items():
            metrics[role][HUMAN_PREFERENCE] = one
        checks += found
    return JudgeRun(metrics, tuple(checks), judged, results)


def _questions(metric: ModelJudged, test: DataSet, answers: Answers) -> _Questions:
    for index, example in enumerate(test.examples):
        if metric.pairwise:
            made = pair_questions(metric, example, index, answers)
        else:
            made = [grade_question(metric, example, answer) for answer in _distinct(answers, index)]
        yield from ((example.name, question) for question in made)


def _distinct(answers: Answers, index: int) -> list[str]:
    """Return the distinct answers of all models to one example."""
    return sorted({answer for of_role in answers.values() for r in of_role if (answer := r[index]) is not None})


def _scored(
    metric: ModelJudged, test: DataSet, answers: Answers, said: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Metric], list[PairResult]]:
    """Return the scores by role, and the counts of pairs by baseline, from the replies of each judge."""
    if not metric.pairwise:
        grades = {
            (index, answer): median(values[grade_question(metric, example, answer).id] for values in said)
            for index, example in enumerate(test.examples)
            for answer in _distinct(answers, index)
        }
        return dict.fromkeys(answers, Graded(metric.low, metric.high, grades)), []
    preferred, pairs = {}, []
    for role in [role for role in answers if role != "candidate"]:
        preferred[role], pair = compared(metric, role, test, answers, said)
        pairs.append(pair)
    return paired_metrics(metric.name, preferred, means=len(answers["candidate"]) > 1), pairs


# --- a judge's run -------------------------------------------------------------------------------------------


def _ask(
    judges: Mapping[str, Judge], questions: Mapping[str, _Questions], options: Mapping[str, Any]
) -> dict[str, _Replies]:
    """Ask every judge its questions; equal questions are asked once."""
    from pytest_ftgate.runs.runner import Job, run_models

    jobs: dict[str, Job] = {}
    about: dict[str, dict[str, str]] = {}
    for name, judge in judges.items():
        asked = list(questions[name])
        about[name] = {question.id: what for what, question in asked}
        made = question_set((question for _, question in asked), name)
        if made is not None:
            jobs[name] = Job(judge.model, made, usable=partial(_is_readable, judge.metric))
    runs = run_models(list(jobs.values()), **options) if jobs else []
    replies = {name: _read(judges[name].metric, about[name], run) for name, run in zip(jobs, runs, strict=True)}
    return {name: replies.get(name, _Replies()) for name in judges}


def _errors(replies: Mapping[str, _Replies]) -> list[Check]:
    """Return the errors of all judges, those of judges that another's failure stopped last."""
    causes_first = sorted(replies.values(), key=lambda one: one.stopped)
    return [error for one in causes_first for error in one.errors]


def _read(metric: ModelJudged, about: Mapping[str, str], run: Run) -> _Replies:
    """Parse the judge's replies; a missing or unreadable one makes the gate an error."""
    from pytest_ftgate.runs.run_state import UselessError

    values: dict[str, Any] = {}
    missing, unread = [], []
    for prediction in run.predictions[0]:
        if prediction.completion is None:
            missing.append(prediction)
        elif (value := _value(metric, prediction.completion)) is None:
            unread.append(prediction)
        else:
            values[prediction.id] = value
    n = len(run.test_set)
    if isinstance(run.fatal, UselessError):
        return _Replies(run, values, [_unread_check(metric, about, unread, n, stopped=len(missing))])
    errors = []
    if missing:
        failure = run.failure
        first = printable(about[missing[0].id], _SHOWN)
        counted = f"{len(missing):,} of {plural(n, 'answer')} missing (first about {first})"
        message = f"judge {metric.judge.name}: {failure.cause if failure else ''}; {counted}"
        advice = failure.advice if failure else None
        errors.append(Check(f"judge.{metric.name}", "error", message, n - len(missing), n, metric.source, advice))
    if unread:
        errors.append(_unread_check(metric, about, unread, n))
    return _Replies(run, values, errors)


def _value(metric: ModelJudged, completion: Completion) -> Any:
    """Return the judgement in a reply; None if it is unreadable."""
    if completion.finish != "stop":
        return None
    return read_better(completion.text) if metric.pairwise else read_score(completion.text, metric.low, metric.high)


def _is_readable(metric: ModelJudged, completion: Completion) -> bool:
    return _value(metric, completion) is not None


def _unread_check(
    metric: ModelJudged, about: Mapping[str, str], unread: Sequence[Prediction], n: int, *, stopped: int = 0
) -> Check:
    """Return an error about unreadable replies, because of which ``stopped`` calls were cancelled."""
    first, completion = unread[0], unread[0].completion
    assert completion is not None  # missing replies are not in ``unread``
    wanted = '{"better": "A"}' if metric.pairwise else f'{{"score": {metric.high:g}}}'
    quoted = excerpt(completion.text, width=80) if completion.text.strip() else "nothing"
    counted = f"cannot read {len(unread):,} of {plural(n, 'reply', 'replies')}"
    counted += " (the others were cancelled)" if stopped else ""
    how = "" if completion.finish == "stop" else f" ({completion.finish})"
    subject = printable(about[first.id], _SHOWN)
    message = f"judge {metric.judge.name}: {counted}; the first, about {subject}{how}: {quoted}"
    advice = (
        f"The judge must reply with {wanted} and nothing else. Use another judge, or, if the endpoint supports it, "
        "params: {response_format: {type: json_object}}. Unreadable replies are stored too: "
        "--ftgate-cache=refresh asks again."
    )
    read = n - len(unread) - stopped
    return Check(f"judge.{metric.name}", "error", message, read, n, metric.source, advice)


def _facts(judge: Judge, run: Run | None) -> JudgeResult:
    """Return the judge, its number of calls and their cost; ``run`` is None if no question was left to ask."""
    from pytest_ftgate.runs.measure import measure_run

    shown = judge.metric.judge.name
    facts = JudgeResult(judge.metric.name, shown, judge.model.spelling, PROMPT_VERSION, 0, 0, 0, 0, 0.0)
    if run is None:
        return facts
    seen = measure_run(shown, run).facts
    counted: dict[str, Any] = {one: getattr(seen, one) for one in (*_COUNTED[1:], "cost_unknown")}
    return replace(facts, n_questions=seen.n_expected, **counted)


def _merged(calibrated: JudgeResult | None, judged: JudgeResult) -> JudgeResult:
    """Return the facts of the judgements with the counts of the calibration added."""
    if calibrated is None:
        return judged
    both = {name: (getattr(calibrated, name), getattr(judged, name)) for name in _COUNTED}
    sums: dict[str, Any] = {name: None if None in pair else round(sum(pair), 12) for name, pair in both.items()}
    unknown = judged.cost_unknown or calibrated.cost_unknown
    agreement = {name: getattr(calibrated, name) for name in ("kappa", "kappa_kind", "n_kappa")}
    return replace(judged, **sums, **agreement, cost_unknown=unknown)
