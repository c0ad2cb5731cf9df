"""Measure what one model did on the test set: scores, time, tokens and cost."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from os.path import commonprefix
from typing import Any

import numpy as np

from pytest_ftgate import clock
from pytest_ftgate.data import DataSet, Example, expected_text
from pytest_ftgate.data.tool_calls import readable_calls
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.models import Completion, Prediction
from pytest_ftgate.models.price import Cost, cost_of_run, price_of
from pytest_ftgate.models.recorded import RecordedModel
from pytest_ftgate.plain import Unknown
from pytest_ftgate.result import BreakdownResult, Flip, ModelResult
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.statistics.compare import compare_graded, compare_preferences, compare_right_wrong, compare_set
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural, shortened

UNTIMED = "Call the model live, or record latency_s with each answer."
"""How to make a latency known."""

_NO_ANSWER = ("refusal", "filtered", "cut_off")

_short = partial(shortened, most=300)
_SHARED_LEAST = 40
_FEW = 10  # one in so many inputs may begin otherwise than the rest


@dataclass(frozen=True)
class Measured:
    """Hold a run with its facts, its scores by metric name, and the latencies that the facts sum up, in seconds."""

    run: Run
    facts: ModelResult
    scores: Mapping[str, Scored] = field(default_factory=dict)
    seconds: tuple[float | None, ...] = ()

    @cached_property
    def answers(self) -> list[list[str | None]]:
        """Return the answers as metrics take them: see :func:`answers_of`."""
        return answers_of(self.run)


def answers_of(run: Run) -> list[list[str | None]]:
    """Return the answers as metrics take them, ``[repeat][example]``; ``None`` for those that cannot be right.

    A missing prediction, a refusal, a filtered or cut-off answer and an empty text cannot be right.
    """
    answers = [[one.completion for one in repeat] for repeat in run.predictions]
    return [[one.text if one and one.finish not in _NO_ANSWER and one.text.strip() else None for one in repeat]
            for repeat in answers]  # fmt: skip


def measure_run(name: str, run: Run, sample: Run | None = None, *, forgiven: bool = False) -> Measured:
    """Return all facts except the scores; latencies are those of the sample, if there is one.

    ``forgiven``: a missing answer is not an error, and counts with the model's time limit as its latency.
    """
    predictions = run.all_predictions
    completions = [p.completion for p in predictions if p.completion is not None]
    recorded = run.model.verified is not None
    timed = predictions if sample is None else sample.predictions[0]
    longest_s = None if recorded else run.model.timeout_s
    seconds = [
        longest_s if p.completion is None else p.latency_s for p in timed if forgiven or p.completion is not None
    ]
    p50, p95, untimed = _quantiles(seconds)
    stored = [at for p, at in made_at(run) if at is not None and (recorded or p.stored)]
    n_errors = len(predictions) - len(completions)
    price, cost = price_of(run.model), run_cost(run)
    return Measured(
        run,
        ModelResult(
            name=name,
            model=run.model.spelling,
            revision=run.model.revision,
            n_expected=len(predictions),
            n_scored=len(completions),
            n_errors=n_errors,
            n_stored=len(completions) if recorded else sum(p.stored for p in predictions),
            n_retries=sum({p.key: p.retries for p in predictions}.values()),
            n_refused=sum(c.finish in ("refusal", "filtered") for c in completions),
            n_cut_off=sum(c.finish == "cut_off" for c in completions),
            n_empty=sum(c.finish == "stop" and not c.text.strip() for c in completions),
            latency_p50_s=p50,
            latency_p95_s=p95,
            latency_unknown=untimed,
            input_tokens=_total([c.input_tokens for c in completions]),
            output_tokens=_total([c.output_tokens for c in completions]),
            cost_usd=cost.usd,
            price=price.text,
            cost_unknown=cost.unknown,
            oldest_age_s=round(max(clock.wall() - min(stored), 0.0), 3) if stored else None,
            verified=run.model.verified,
        ),
        seconds=tuple(seconds),
    )


def run_cost(run: Run) -> Cost:
    """Return what the answers of a run cost, stored ones too."""
    recorded = run.model.verified is not None  # the time to read a file says nothing about the model's machine
    answers = [(one.completion, None if recorded else one.busy_s) for one in run.all_predictions]
    return cost_of_run(answers, price_of(run.model))


def forgiven_roles(missing_answers: str, runs: Iterable[Run]) -> tuple[str, ...]:
    """Return the roles whose missing answers count as wrong, by the gate's ``missing_answers``.

    There are none if the run was stopped: an answer that was not asked for is not missing after all retries. But a
    model whose calls all hang has stopped the run by not answering.
    """
    stopped = any(run.fatal is not None and run.fatal.kind != "timeout" for run in runs)
    return ("candidate",) if missing_answers == "wrong" and not stopped else ()


def made_at(run: Run) -> Iterator[tuple[Prediction, float | None]]:
    """Yield each answer with the time it was made, in seconds since the epoch; ``None`` if unknown.

    For a recording this is the recorded time, not the time of reading.
    """
    dated = run.model.verified is None or isinstance(run.model, RecordedModel)
    for prediction in run.all_predictions:
        if prediction.completion is not None:
            yield prediction, (prediction.created_at or None) if dated else None


def score_run(measured: Measured, metrics: Mapping[str, Metric], deciding: str, expected: Sequence[Any]) -> Measured:
    """Add the value of every metric. Raises :class:`MetricError` if one is undefined."""
    answers = measured.answers
    try:
        scores = {name: metric.score(expected, answers) for name, metric in metrics.items()}
    except MetricError as error:
        name, test = measured.facts.name, measured.run.test_set
        what, where = f"{error.what} of {name}", error.where
        if error.example is not None:
            what = error.what if error.unsuited else f"{error.what}, answered by {name}"
            where = test.where(error.example)
        raise MetricError(what, **error.parts(where=where)) from error
    facts = replace(
        measured.facts,
        value=scores[deciding].value,
        metrics={name: scored.value for name, scored in scores.items()},
        n_unknown=scores[deciding].n_unknown,
    )
    return replace(measured, facts=facts, scores=scores)


def compare_scored(baseline: Scored, candidate: Scored, **asked: Any) -> Comparison:
    """Return candidate minus baseline, with the sign turned if lower is better.

    The method follows from the metric: right or wrong, graded, or set-level. ``asked`` are margin, confidence,
    evidence, groups: see :mod:`pytest_ftgate.statistics`.
    """
    metric = candidate.metric
    if metric.pairwise:
        assert baseline.per_example is not None
        assert candidate.per_example is not None
        preferred = (candidate.per_example - baseline.per_example + 0.5).round(12)  # see metrics.judged.Preferred
        return compare_preferences(preferred, means=metric.means, **asked)
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    if metric.kind == "set":
        assert worse.statistic is not None  # one of the two is always there
        assert better.statistic is not None
        return compare_set(worse.statistic, better.statistic, low=metric.low, high=metric.high, **asked)
    assert worse.per_example is not None
    assert better.per_example is not None
    if metric.kind == "right_wrong":
        return compare_right_wrong(worse.per_example, better.per_example, **asked)
    return compare_graded(worse.per_example, better.per_example, low=metric.low, high=metric.high, **asked)


def same_outputs(a: Run, b: Run) -> bool:
    """Return whether all answers of two runs are identical."""
    return all(
        x.completion is not None and y.completion is not None and x.completion.text == y.completion.text
        for x, y in zip(a.all_predictions, b.all_predictions, strict=True)
    )


def is_right(metric: Metric, score: float) -> bool | None:
    """Return whether an answer is right: a graded one above the middle of the range, ``None`` without a middle."""
    if metric.kind != "graded":
        return score > 0.5
    if not math.isfinite(metric.high - metric.low):
        return None
    middle = (metric.low + metric.high) / 2
    return score > middle if metric.greater_is_better else score < middle


def count_right(metric: Metric, asked: Sequence[tuple[Example, Completion]]) -> int:
    """Return how many answers are right by a metric that scores each alone."""
    answers = [one.text if one.finish not in _NO_ANSWER and one.text.strip() else None for _, one in asked]
    return int(rightness(metric.score([example.expected for example, _ in asked], [answers])).sum())


def rightness(scored: Scored) -> np.ndarray[Any, Any]:
    """Return how right each answer is, shape ``(examples,)``: the metric's score, or a set-level metric's share."""
    if scored.per_example is not None:
        return scored.per_example
    assert scored.statistic is not None  # one of the two is always there
    return scored.statistic.scores


def rightness_by_repeat(measured: Measured, expected: Sequence[Any], metric: Metric) -> np.ndarray[Any, Any]:
    """Return how right each single answer is, shape ``(repeats, examples)``."""
    return np.stack([rightness(metric.score(expected, [answers])) for answers in measured.answers])


def flips(baseline: Measured, candidate: Measured, metric: str, most: int) -> dict[str, Any]:
    """Return wins and losses, and which examples the candidate broke or answers wrong: the ``most`` worst of each.

    With a graded metric without bounds no answer is wrong.
    """
    scored, change = candidate.scores[metric], gains(baseline, candidate, metric)
    scores, worst = rightness(scored).tolist(), np.argsort(change, kind="stable").tolist()
    wrong = [index for index in worst if is_right(scored.metric, scores[index]) is False]
    rows = {"broken": [index for index in worst[:most] if change[index] < 0], "wrong": wrong[:most]}
    shared = shared_instruction(candidate.run.test_set)
    return {
        "wins": int((change > 0).sum()),
        "losses": int((change < 0).sum()),
        "n_wrong": len(wrong),
        **{
            name: tuple(_flip(index, baseline.run, candidate, metric, shared) for index in some)
            for name, some in rows.items()
        },
    }


def gains(baseline: Measured, candidate: Measured, metric: str) -> np.ndarray[Any, Any]:
    """Return how much better the candidate answers each example, shape ``(examples,)``."""
    gain = rightness(candidate.scores[metric]) - rightness(baseline.scores[metric])
    better: np.ndarray[Any, Any] = gain if candidate.scores[metric].metric.greater_is_better else -gain
    return better


def _flip(index: int, baseline: Run, candidate: Measured, metric: str, shared: str) -> Flip:
    example, scored = candidate.run.test_set.examples[index], candidate.scores[metric]
    readable = readable_calls if scored.metric.calls_tools else str
    return Flip(
        id=_short(example.id),
        where=None if example.place is None else str(example.place),
        input=_short(question(example, shared)),
        expected=_short(readable(expected_text(example.expected))),
        baseline=_short(readable(_shown_answer(baseline, index))),
        candidate=_short(readable(_shown_answer(candidate.run, index))),
        why=scored.notes[index] if scored.notes else None,
    )


def shared_instruction(test_set: DataSet) -> str:
    """Return the beginning that most inputs share, up to a blank; empty where it is short."""
    texts = sorted(map(shown_input, test_set.examples))
    few = len(texts) // _FEW
    shared = commonprefix([texts[few], texts[-1 - few]])  # noqa: RUF071  # of all texts between, as they are sorted
    start = max(shared.rfind(" "), shared.rfind("\n")) + 1
    return shared[:start] if len(texts) > 1 and start > _SHARED_LEAST else ""


def question(example: Example, shared: str) -> str:
    """Return what an example asks, from where it differs from most others: without an instruction that they share."""
    text = shown_input(example)
    return f"...{text[len(shared) :]}" if shared and text.startswith(shared) else text


def shown_input(example: Example) -> str:
    """Return the input of an example for reports: the last message of a conversation."""
    if isinstance(example.input, str):
        return example.input
    content = example.input[-1].get("content")
    return content if isinstance(content, str) else str(content)


def _shown_answer(run: Run, index: int) -> str:
    completion = run.predictions[0][index].completion
    if completion is None:
        return "(no answer)"
    finish = f"({completion.finish.replace('_', ' ')}) " if completion.finish in _NO_ANSWER else ""
    return f"{finish}{completion.text.strip() or '(empty)'}"  # else a right answer seems to be called wrong


def _quantiles(seconds: Sequence[float | None]) -> tuple[float | None, float | None, Unknown | None]:
    """Return p50 and p95 of the seconds; if one of them is unknown, why both are."""
    if not seconds:
        return None, None, Unknown("there is no answer", UNTIMED)
    if untold := sum(one is None for one in seconds):
        has = "has" if untold == 1 else "have"
        return None, None, Unknown(f"{untold:,} of {plural(len(seconds), 'answer')} {has} no latency", UNTIMED)
    p50, p95 = np.quantile(np.array(seconds, dtype=float), (0.5, 0.95))
    return round(float(p50), 6), round(float(p95), 6), None


def _total(counts: Sequence[int | None]) -> int | None:
    return None if not counts or None in counts else sum(count or 0 for count in counts)


MOST_ROWS = 200


def breakdown_results(scored: Mapping[str, Measured]) -> tuple[BreakdownResult, ...]:
    """Return the tables of all metrics that have one, by metric and role, at most 200 rows each."""
    return tuple(
        BreakdownResult(metric, role, table.title, table.columns, table.rows[:MOST_ROWS], table.shares)
        for metric in next(iter(scored.values())).scores
        for role, one in scored.items()
        if (table := one.scores[metric].breakdown) is not None
    )
