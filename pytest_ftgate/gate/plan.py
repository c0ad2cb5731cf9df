"""Say what a gate costs and what it can show, without a verdict; a preview also asks its models a few examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_ftgate.checks.context import RunName, jobs
from pytest_ftgate.checks.shown import may_show, part_of
from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.calls import calling
from pytest_ftgate.gate.run import read_gate
from pytest_ftgate.gate.state import Judged, Services
from pytest_ftgate.models.price import price_of, tokens_usd
from pytest_ftgate.result import RED, AttemptResult, Check, called, error_check
from pytest_ftgate.runs.measure import answers_of, is_right, measure_run, rightness
from pytest_ftgate.runs.runner import Job, Run, run_models, stored_runs
from pytest_ftgate.statistics.groups import group_counts
from pytest_ftgate.statistics.planning import Chances, chances, fewest_wins

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model
DISAGREEMENTS = (0.1, 0.2, 0.3)
_LOSSES = (0, 4, 8)
_MARGINS = (0.0, 1.0, 1.5, 2.0)
_CHARACTERS_PER_TOKEN = 4
_UNKNOWN = "no answer is stored (--ftgate-preview=3)"
_OF_JUDGES = "a judge is asked about the answers, which are not known yet"

Prompt = tuple[tuple[str, str], ...]
"""What is sent: the text of each message after its role, and further parts such as ``tools``."""


@dataclass(frozen=True)
class Calls:
    """Hold the calls of one model, with tokens and US dollars projected from answers that it gave before.

    Attributes:
        purposes: what the answers are needed for, with their number; those that are stored already are counted.
        left: the number of answers that are not stored.
        unknown: why the cost is unknown.
        most: the numbers are upper limits: a judge is not asked the same question twice.
    """

    name: str
    purposes: tuple[tuple[str, int], ...]
    left: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    unknown: str | None = None
    most: bool = False

    @property
    def calls(self) -> int:
        return sum(count for _, count in self.purposes)

    @property
    def left_usd(self) -> float | None:
        """Return the cost of the answers that are not stored, in proportion."""
        return 0.0 if not self.left else None if self.usd is None else self.usd * self.left / self.calls


class Chance(NamedTuple):
    """Hold how likely each verdict is at a real gain; None where so large a gain needs more disagreement.

    ``disagreement`` is the share of the examples on which only one of the models is right.
    """

    gain: float
    disagreement: float
    verdicts: Chances | None


@dataclass(frozen=True)
class Answer:
    """Hold one answer of a model, or why the call failed.

    ``score`` is None if the deciding metric does not score single examples, ``right`` if the score is neither right nor
    wrong. ``why`` is what the metric says of a wrong answer.
    """

    completion: Completion | None
    failure: FtgateError | None
    score: float | None = None
    right: bool | None = None
    why: str | None = None


@dataclass(frozen=True)
class Asked:
    """Hold what a model is sent for the first examples, and in a preview what it answered.

    ``prompts`` is empty for recorded answers, ``answers`` without a preview. ``tokens`` estimates the first prompt.
    """

    role: str
    name: str
    prompts: tuple[Prompt, ...]
    tokens: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Plan:
    """Hold the plan of one gate; of a gate that could not be read only the ``checks``.

    Attributes:
        preview: the number of examples that the models were asked about; ``shown``: the first examples.
        unscored: why answers are not scored.
        examples: the size of the test set; ``units``: independent ones, which is groups where there are any.
        attempt: which attempt this is, with the confidence at which it is judged; None without ``max_attempts``.
        approximate: the metric does not score answers as right or wrong, so that the chances are approximate.
        measured: the disagreement of the models is that of stored answers, and not assumed.
        fewest_wins: by number of losses: how many examples must be fixed; None if no number is enough.
        checks: the free checks.
    """

    name: str
    checks: tuple[Check, ...] = ()
    metric: str | None = None
    share: bool = False
    margin: float = 0.0
    evidence: str = ""
    confidence: float = 0.0
    attempt: AttemptResult | None = None
    examples: int = 0
    units: int = 0
    approximate: bool = False
    measured: bool = False
    chances: tuple[Chance, ...] = ()
    fewest_wins: Mapping[int, int | None] = field(default_factory=dict)
    calls: tuple[Calls, ...] = ()
    preview: int = 0
    shown: tuple[Example, ...] = ()
    unscored: str | None = None
    models: tuple[Asked, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether a free check fails, so that the gate would call no model, or a call of a preview failed."""
        return self.n_missing > 0 or any(check.status in RED for check in self.checks)

    @property
    def n_missing(self) -> int:
        """Return how many answers of a preview are missing."""
        return sum(answer.completion is None for model in self.models for answer in model.answers)


def plan_gate(
    config: GateKeys, services: Services, *, nodeid: str, reviewed: tuple[Check, ...] = (), preview: int = 0
) -> Plan:
    """Plan a gate. With ``preview`` each model is first asked about so many examples, also where a free check fails.

    Answers are taken from the stores and kept there as in any run. Judges are not asked.
    """
    gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    if isinstance(gate, Judged):
        return Plan(gate.result.name, gate.result.checks)
    try:
        return _plan(gate, services, preview)
    except FtgateError as error:
        return Plan(gate.config.name, (*gate.checks, error_check(error)))


def _plan(gate: Context, services: Services, preview: int) -> Plan:
    asked = replace(gate, test=may_show(gate))
    first = replace(asked.test, examples=asked.test.examples[: max(1, preview)])
    answered: dict[str, Run] = {}
    if preview:
        with calling(gate, services) as options:
            few = {role: Job(model, first) for role, model in gate.models.items()}
            answered = dict(zip(few, run_models(list(few.values()), **options), strict=True))
        if not any(run.unanswered for run in answered.values()):
            services.stores.finish(answered.values())
    unscored = None
    if gate.deciding.judged or gate.deciding.pairwise:
        unscored = f"{gate.deciding.name} is not scored in a preview, because its judges are not asked"
    wanted = jobs(gate)
    stored = dict(zip(wanted, stored_runs(list(wanted.values()), services.stores), strict=True))
    config, counts = gate.config, group_counts(gate.groups, len(gate.test))
    units = len(gate.test) if counts is None else counts[1]  # unequal groups count as fewer
    plan = Plan(
        gate.config.name,
        gate.checks,
        gate.deciding.name,
        gate.share,
        config.asked_gain,
        config.evidence,
        config.confidence,
        gate.facts.get("attempt"),
        len(gate.test),
        units,
        gate.deciding.kind != "right_wrong",
        calls=(*_calls(gate, wanted, stored), *_calls_of_judges(gate)),
        preview=len(first) if preview else 0,
        shown=first.examples,
        unscored=unscored,
        models=tuple(
            _asked(asked, role, model, first.examples, answered.get(role), scored=unscored is None)
            for role, model in gate.models.items()
        ),
    )
    return replace(plan, **_chances(gate, units, _disagreement(gate, stored)))


# --- costs ---------------------------------------------------------------------------------------------------


def _calls(gate: Context, wanted: Mapping[RunName, Job], stored: Mapping[RunName, Run]) -> Iterator[Calls]:
    """Yield the calls of each model whose answers are not recorded."""
    for role, model in gate.models.items():
        if model.verified is not None:
            continue
        own = {name: job for name, job in wanted.items() if name.role == role}
        found = Calls(
            called(role, model.name),
            tuple((name.words, len(job.test_set) * job.repeats) for name, job in own.items()),
            sum(len(stored[name].unanswered) for name in own),
        )
        known = max((_answered(stored[name]) for name in own), key=lambda run: len(run.test_set))
        yield _projected(found, list(own.values()), known) if len(known.test_set) else replace(found, unknown=_UNKNOWN)


def _answered(run: Run) -> Run:
    """Return the first answers of a run without the missing ones."""
    pairs = zip(run.test_set.examples, run.predictions[0], strict=True)
    known = [(example, one) for example, one in pairs if one.completion is not None]
    examples, predictions = tuple(zip(*known, strict=True)) or ((), ())
    return replace(run, test_set=replace(run.test_set, examples=examples), predictions=(predictions,))


def _projected(found: Calls, wanted: Sequence[Job], known: Run) -> Calls:
    """Return calls with their tokens and cost: input tokens by characters sent, output tokens and time by answer."""
    facts, n = measure_run(found.name, known).facts, len(known.test_set)
    characters = sum(map(known.model.characters, known.test_set))
    inputs = outputs = usd = None
    if characters and facts.input_tokens is not None:
        all_characters = sum(job.repeats * sum(map(job.model.characters, job.test_set)) for job in wanted)
        inputs = ceil(facts.input_tokens / characters * all_characters)
    if facts.output_tokens is not None:
        outputs = ceil(facts.output_tokens / n * found.calls)
    price = price_of(known.model)
    if price.gpu_hour_usd is not None and facts.cost_usd is not None:
        usd = facts.cost_usd / n * found.calls
    elif facts.cost_usd is not None and inputs is not None and outputs is not None:
        usd = tokens_usd(replace(price, most_input_tokens=None), inputs, outputs)
    return replace(found, input_tokens=inputs, output_tokens=outputs, usd=usd, unknown=facts.cost_unknown)


def _calls_of_judges(gate: Context) -> Iterator[Calls]:
    """Yield the most calls of each judge: a pair of answers is judged in both orders."""
    for name, judge in gate.judging.judges.items() if gate.judging is not None else ():
        if judge.model.verified is not None:
            continue
        pairwise, answers = judge.metric.pairwise, len(gate.test) * gate.config.repeats
        answers *= 2 * len(gate.config.baselines) if pairwise else len(gate.models)
        purposes = {"calibration": len(judge.items) * (2 if pairwise else 1), "answers to the test set": answers}
        if pairwise and "candidate" not in gate.models:
            del purposes["answers to the test set"]
        counted = tuple((purpose, count) for purpose, count in purposes.items() if count)
        if counted:
            left = sum(count for _, count in counted)
            yield Calls(f"judge {name} ({judge.model.name})", counted, left, unknown=_OF_JUDGES, most=True)


# --- what the test set can show ------------------------------------------------------------------------------


def _disagreement(gate: Context, stored: Mapping[RunName, Run]) -> float | None:
    """Return on which share of the examples only one model is right, from stored answers; None if any is missing."""
    metric = gate.deciding
    runs = {name.role: part_of(run, gate.test) for name, run in stored.items() if name.purpose == "test"}
    if "candidate" not in runs or metric.pairwise or metric.judged or any(run.unanswered for run in runs.values()):
        return None
    try:
        right = {role: rightness(metric.score(gate.expected, answers_of(run))) for role, run in runs.items()}
    except FtgateError:
        return None
    others = [abs(right["candidate"] - scores).mean() for role, scores in right.items() if role != "candidate"]
    return float(max(others)) / (metric.high - metric.low if metric.kind == "graded" else 1.0)


def _chances(gate: Context, units: int, measured: float | None) -> dict[str, Any]:
    """Return the fields of a plan on what ``units`` examples can show, on the scale from 0 to 1."""
    config, widest = gate.config, gate.deciding.high - gate.deciding.low
    asked: dict[str, Any] = {
        "margin": config.asked_gain / widest,
        "confidence": config.confidence,
        "evidence": config.evidence,
    }
    gains = sorted({factor * config.asked_gain for factor in _MARGINS})
    most, rates = gains[-1] / widest, DISAGREEMENTS if measured is None else (measured,)
    if most > max(rates):  # so large a gain needs more disagreement
        rates = (*rates, min(1.0, round(1.25 * most, 2)))

    def chance(gain: float, rate: float) -> Chance:
        possible = abs(gain) / widest <= rate
        return Chance(gain, rate, chances(units, gain=gain / widest, disagreement=rate, **asked) if possible else None)

    return {
        "measured": measured is not None,
        "chances": tuple(chance(gain, rate) for gain in gains for rate in rates),
        "fewest_wins": {losses: fewest_wins(units, losses=losses, **asked) for losses in _LOSSES},
    }


# --- what is sent, and what is answered ----------------------------------------------------------------------


def _asked(
    gate: Context, role: str, model: Model, examples: Sequence[Example], run: Run | None, *, scored: bool
) -> Asked:
    recorded = model.verified is not None
    prompts = () if recorded else tuple(_prompt(model, example) for example in examples)
    answers = [Answer(one.completion, one.failure) for one in run.predictions[0]] if run is not None else []
    found = _scored(gate, run, answers) if run is not None and scored else answers
    tokens = round(model.characters(examples[0]) / _CHARACTERS_PER_TOKEN)
    return Asked(called(role), called(role, model.name), prompts, tokens, tuple(found))


def _scored(gate: Context, run: Run, answers: Sequence[Answer]) -> Iterator[Answer]:
    """Score each answer by itself, so that one that cannot be scored leaves the others."""
    metric = gate.deciding
    for index, (text, answer) in enumerate(zip(answers_of(run)[0], answers, strict=True)):
        if answer.completion is None:
            yield answer
            continue
        try:
            # A set-level metric may have no value for one example alone.
            others: list[str | None] = [None] * (len(gate.test) if metric.kind == "set" else 1)
            at = index if metric.kind == "set" else 0
            expected = gate.expected if metric.kind == "set" else [gate.expected[index]]
            scored = metric.score(expected, [[*others[:at], text, *others[at + 1 :]]])
        except FtgateError as error:
            yield replace(answer, why=str(error))
            continue
        score, notes = float(rightness(scored)[at]), scored.notes
        yield replace(answer, score=score, right=is_right(metric, score), why=notes[at] if notes else None)


def _prompt(model: Model, example: Example) -> Prompt:
    parts: dict[str, Any] = dict(model.sent(example))
    messages: Sequence[Mapping[str, Any]] = parts.pop("messages")
    return (*((name, expected_text(value)) for name, value in parts.items()), *map(_message, messages))


def _message(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the role and the text of a message; what else it holds, such as tool calls, as JSON."""
    content = message.get("content")
    others = {key: value for key, value in message.items() if key not in ("role", "content")}
    texts = [expected_text(part) for part in (content, others or None) if part is not None]
    return str(message.get("role")), "\n".join(texts)
