"""Say what a gate costs and can show, without a verdict; a preview asks its models a little."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

from pytest_ftgate.checks import prospects
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, Example, expected_text
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.run import jobs_of, read_gate
from pytest_ftgate.gate.state import Services
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.models import Model
from pytest_ftgate.models.price import price_of, tokens_usd
from pytest_ftgate.models.protocol import output_limit
from pytest_ftgate.result import RED, Check, called, error_check
from pytest_ftgate.runs.jobs import Job, Run, Stores
from pytest_ftgate.runs.measure import answers_of, measure_run, rightness
from pytest_ftgate.runs.names import RunName
from pytest_ftgate.runs.runner import run_models, stored_runs
from pytest_ftgate.statistics.planning import Chances

_MARGINS = (0.0, 1.0, 2.0)
"""The true gains of the table, in margins."""
_MARGIN = 0.05  # what stands for a margin of 0, as a share of the metric's range
_BROKEN = 0.03  # the share of the examples that is assumed where no answers are stored
CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4  # what a chat template writes around a message
_UNKNOWN = "no answer is stored; --ftgate-preview=3 measures it"
_OF_JUDGES = "a judge is asked about the answers, which are not known yet"

Prompt = tuple[tuple[str, str], ...]
"""What is sent: the text of each message after its role, and further parts such as ``tools``."""


class Calls(NamedTuple):
    """Hold the calls of one model, with their tokens and US dollars.

    They are projected from answers that the model gave before, and estimated from its prompts where
    there are none.

    Attributes:
        calls: the number of answers, of which some may be stored.
        left: the number of answers that the run will not find stored.
        unknown: why the cost is unknown.
        most: the numbers are upper limits: a judge is not asked the same question twice.
        outputs: of an estimate, the length of its outputs in words.
    """

    name: str
    calls: int
    left: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    unknown: str | None = None
    most: bool = False
    outputs: str | None = None

    @property
    def left_usd(self) -> float | None:
        """Return the cost of the answers that are not stored, in proportion."""
        if not self.left:
            return 0.0
        if self.usd is None:
            return None
        return self.usd * self.left / self.calls


class Asked(NamedTuple):
    """Hold what a model is sent for the first examples.

    Attributes:
        prompts: empty for recorded answers.
        tokens: an estimate of the first prompt.
        run: over the examples, in a preview.
        scored: the scores of the run.
    """

    role: str
    name: str
    prompts: tuple[Prompt, ...]
    tokens: int
    run: Run | None
    scored: Scored | None


@dataclass(frozen=True)
class Prospects:
    """Hold what a test set can show, for the baseline that asks for most.

    Attributes:
        basis: what the chances rest on.
        chances: how likely each verdict on the gain is, by the true gain; None where there is not
            so much to gain.
        needed: what would decide at twice the margin, or at equal models for ``max_drop``.
    """

    margin: float
    evidence: str
    basis: str
    chances: Mapping[float, Chances | None]
    needed: prospects.Needed | None = None


@dataclass(frozen=True)
class Plan:
    """Hold the plan of one gate; of a gate that could not be read only its name and the ``checks``.

    Attributes:
        checks: the free checks.
        preview: the number of examples that the models were asked about; ``shown``: the first
            examples.
        unscored: why answers are not scored.
    """

    name: str
    checks: tuple[Check, ...]
    gate: Context | None = None
    prospects: Prospects | None = None
    calls: tuple[Calls, ...] = ()
    preview: int = 0
    shown: tuple[Example, ...] = ()
    unscored: str | None = None
    models: tuple[Asked, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether a free check fails, or a call of a preview failed."""
        return self.n_missing > 0 or any(check.status in RED for check in self.checks)

    @property
    def n_missing(self) -> int:
        """Return how many answers of a preview are missing."""
        return sum(len(model.run.unanswered) for model in self.models if model.run is not None)


def plan_gate(
    config: GateKeys,
    services: Services,
    *,
    nodeid: str,
    reviewed: tuple[Check, ...] = (),
    preview: int = 0,
) -> Plan:
    """Plan a gate.

    With ``preview`` each model is first asked about so many examples, also where a free check
    fails.

    Answers are taken from the stores and kept there as in any run. Judges are not asked.
    """
    try:
        gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    except FtgateError as error:
        return Plan(config.name, (*reviewed, *map(error_check, error.problems)))
    try:
        return _plan(gate, services, preview)
    except FtgateError as error:
        return Plan(gate.config.name, (*gate.checks, error_check(error)))


def _plan(gate: Context, services: Services, preview: int) -> Plan:
    metric = gate.deciding
    is_judged = metric.judged or metric.pairwise
    test = gate.test
    if gate.shown is not None and len(gate.shown.test):
        test = gate.shown.test  # the examples that count are not shown
    first = replace(test, examples=test.examples[: max(1, preview)])
    runs = _preview(gate, services, first) if preview else {}

    # After the preview, whose answers are stored now.
    planned = jobs_of(gate)
    known = stored_runs(list(planned.values()), services.stores)
    stored = dict(zip(planned, known, strict=True))
    chances = None
    if gate.config.asked_by != "agreement":
        chances = _prospects(gate, {} if is_judged else _stored_scores(gate, stored))

    unscored = None
    if is_judged:
        unscored = f"{metric.name} is not scored in a preview, because its judges are not asked"
    models = []
    for role, model in gate.models.items():
        run = runs.get(role)
        scored = None
        if run is not None and not is_judged:
            scored = _score(metric, test, run)
        models.append(_asked(role, model, first, run, scored))

    return Plan(
        gate.config.name,
        gate.checks,
        gate,
        prospects=chances,
        calls=(*_calls(gate, services.stores, planned, stored), *_calls_of_judges(gate)),
        preview=len(first) if preview else 0,
        shown=first.examples,
        unscored=unscored,
        models=tuple(models),
    )


def _preview(gate: Context, services: Services, first: DataSet) -> dict[str, Run]:
    """Ask each model about the first examples."""
    questions = []
    for role, model in gate.models.items():
        questions.append(Job(model, first, of_candidate=role == "candidate"))
    # No run is finished by a preview, so that the next one takes up its answers.
    with services.calling(gate) as options:
        runs = run_models(questions, **options)
    return dict(zip(gate.models, runs, strict=True))


# --- costs ----------------------------------------------------------------------------------------


def _calls(
    gate: Context,
    stores: Stores,
    planned: Mapping[RunName, Job],
    stored: Mapping[RunName, Run],
) -> Iterator[Calls]:
    """Yield the calls of each model whose answers are not recorded."""
    for role, model in gate.models.items():
        if model.verified is not None:
            continue

        role_jobs = {name: job for name, job in planned.items() if name.role == role}
        runs = [stored[name] for name in role_jobs]
        calls = Calls(
            called(role, model.name),
            sum(len(job.test_set) * job.repeats for job in role_jobs.values()),
            sum(map(stores.not_kept, runs)),
        )
        # The largest run tells most about tokens and time.
        answered = max(map(_answered, runs), key=lambda run: len(run.test_set))
        if len(answered.test_set):
            yield _projected(calls, model, role_jobs.values(), answered)
        else:
            yield _estimated(calls, model, role_jobs.values())


def _projected(calls: Calls, model: Model, planned: Iterable[Job], answered: Run) -> Calls:
    """Return the calls of a model with tokens and cost in proportion to those of stored answers.

    Input tokens are projected by the characters that are sent, output tokens and time by the number
    of answers.
    """
    facts = measure_run(calls.name, answered).facts
    factor = calls.calls / len(answered.test_set)
    inputs = facts.input_tokens
    outputs = facts.output_tokens
    if inputs is not None:
        answered_characters = sum(map(model.characters, answered.test_set))
        sent = sum(job.repeats * sum(map(model.characters, job.test_set)) for job in planned)
        inputs = ceil(inputs * sent / max(1, answered_characters))
    if outputs is not None:
        outputs = ceil(outputs * factor)

    # A surcharge for long prompts depends on each call, and is left out of a sum.
    price = price_of(model)
    usd = None
    if price.gpu_hour_usd is not None and facts.cost_usd is not None:
        usd = facts.cost_usd * factor
    elif facts.cost_usd is not None and inputs is not None and outputs is not None:
        usd = tokens_usd(replace(price, most_input_tokens=None), inputs, outputs)
    calls = calls._replace(input_tokens=inputs, output_tokens=outputs, usd=usd)
    if facts.cost_unknown:
        calls = calls._replace(unknown=facts.cost_unknown.why)
    return calls


def _estimated(calls: Calls, model: Model, planned: Iterable[Job]) -> Calls:
    """Return the calls of a model that is paid by tokens with an estimate from its prompts.

    An output is as long as the limit of the model's requests, or else as the expected one.
    """
    price = price_of(model)
    if price.gpu_hour_usd is not None or not (model.endpoint or price.known):
        return calls._replace(unknown=_UNKNOWN)

    # Before any answer the limit of the request is the best guess at its length.
    limit = output_limit(model)
    inputs = 0.0
    outputs = 0.0
    for job in planned:
        for example in job.test_set:
            expected = 0 if example.expected is None else len(expected_text(example.expected))
            inputs += job.repeats * _tokens_sent(model, example)
            outputs += job.repeats * (limit or max(1, expected / CHARACTERS_PER_TOKEN))

    words = "outputs as long as the expected ones"
    if limit is not None:
        words = f"outputs of at most {limit:,} tokens"
    usd = tokens_usd(replace(price, most_input_tokens=None), ceil(inputs), ceil(outputs))
    return calls._replace(
        input_tokens=ceil(inputs),
        output_tokens=ceil(outputs),
        usd=usd,
        unknown=price.unknown,
        outputs=words,
    )


def _tokens_sent(model: Model, example: Example) -> float:
    """Estimate the tokens that a model is sent for an example, with its chat template."""
    messages = model.sent(example)["messages"]
    return model.characters(example) / CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE * len(messages)


def _answered(run: Run) -> Run:
    """Return the first answers of a run without the missing ones."""
    pairs = zip(run.test_set.examples, run.predictions[0], strict=True)
    examples = tuple(example for example, prediction in pairs if prediction.completion is not None)
    test_set = replace(run.test_set, examples=examples)
    return replace(run, predictions=run.predictions[:1]).over(test_set)


def _calls_of_judges(gate: Context) -> Iterator[Calls]:
    """Yield the most calls of each judge: a pair of answers is judged in both orders."""
    if gate.judging is None:
        return

    answers = len(gate.test) * gate.config.repeats
    for name, judge in gate.judging.judges.items():
        if judge.model.verified is not None:
            continue
        if judge.metric.pairwise:
            calls = 2 * (answers * len(gate.config.baselines) + len(judge.items))
        else:
            calls = answers * len(gate.models) + len(judge.items)
        title = f"judge {name} ({judge.model.name})"
        yield Calls(title, calls, calls, unknown=_OF_JUDGES, most=True)


# --- what the test set can show -------------------------------------------------------------------


def _stored_scores(gate: Context, stored: Mapping[RunName, Run]) -> dict[str, Scored]:
    """Return the scores by role of those models whose answers are all stored."""
    scored = {}
    # A metric may have no value for these answers.
    with suppress(FtgateError):
        for name, run in stored.items():
            if name.purpose == "test" and not run.unanswered:
                answers = answers_of(run)
                scored[name.role] = gate.deciding.score(gate.expected, answers)
        return scored
    return {}


def _prospects(gate: Context, scored: dict[str, Scored]) -> Prospects:
    """Return how likely each verdict on the gain is, by the true gain."""
    config = gate.config
    metric = gate.deciding
    # A candidate that meets the largest requirement meets all.
    role = max(config.decisive, key=lambda name: config.standard_of(name).gain)
    margin = config.standard_of(role).gain
    # A margin of 0 would make all gains of the table 0.
    unit = margin or _MARGIN * (metric.high - metric.low)

    candidate = scored.pop("candidate", None)
    baselines = sorted(scored.values(), key=lambda score: metric.sign * score.value)
    if baselines:
        baseline: Scored | None = baselines[-1]
    else:
        baseline = prospects.assumed(metric, gate.expected)
    broken = _BROKEN
    source = "assumed"
    if candidate is not None and baselines:
        broken = max(_share_broken(candidate, baseline) for baseline in baselines)
        source = "as in the stored answers"

    chances = {}
    for gain in sorted({factor * unit for factor in _MARGINS}):
        chances[gain] = prospects.chances_of_gain(gate, role, gain, baseline, broken=broken)

    basis = f"for a candidate that breaks {100 * broken:.2g} % of the examples ({source})"
    if metric.pairwise:
        basis = "if no pair is a tie"
    largest = max(0.0, _MARGINS[-1] * unit)
    needed = prospects.needed_for(gate, role, largest, baseline, broken=broken)
    return Prospects(
        margin, evidence=gate.evidence_of(role), basis=basis, chances=chances, needed=needed
    )


def _share_broken(candidate: Scored, baseline: Scored) -> float:
    """Return the share of the examples that the candidate answers worse."""
    change = candidate.metric.sign * (rightness(candidate) - rightness(baseline))
    return float((change < 0).mean())


# --- what is sent, and what is answered -----------------------------------------------------------


def _asked(
    role: str, model: Model, first: DataSet, run: Run | None, scored: Scored | None
) -> Asked:
    """Return what a model is sent for the first examples, with what it answered."""
    prompts: list[Prompt] = []
    if model.verified is None:
        prompts = [_prompt(model, example) for example in first]
    tokens = round(_tokens_sent(model, first.examples[0]))
    name = called(role, model.name)
    return Asked(
        called(role), name=name, prompts=tuple(prompts), tokens=tokens, run=run, scored=scored
    )


def _score(metric: Metric, test: DataSet, run: Run) -> Scored | None:
    """Return the scores of a preview; for a metric of the set all other answers are missing."""
    answers = list(answers_of(run)[0])
    if metric.kind == "set":
        answers += [None] * (len(test) - len(answers))
    with suppress(FtgateError):  # the answers are shown without scores
        return metric.score(test.expected[: len(answers)], [answers])
    return None


def _prompt(model: Model, example: Example) -> Prompt:
    sent: dict[str, Any] = dict(model.sent(example))
    messages: Sequence[Mapping[str, Any]] = sent.pop("messages")
    settings = [(name, expected_text(value)) for name, value in sent.items()]
    return (*settings, *map(_message, messages))


def _message(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the role and the text of a message; anything else, such as tool calls, as JSON."""
    content = message.get("content")
    extra = {key: value for key, value in message.items() if key not in ("role", "content")}
    texts = [expected_text(value) for value in (content, extra or None) if value is not None]
    return str(message.get("role")), "\n".join(texts)
