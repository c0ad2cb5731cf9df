"""Say what a gate costs and what it can show, without a verdict; a preview also asks its models a few examples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, NamedTuple

from pytest_ftgate import errors, result
from pytest_ftgate.checks import context, prospects
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, Example, expected_text
from pytest_ftgate.gate.run import read_gate
from pytest_ftgate.gate.state import Services
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.models import Model
from pytest_ftgate.models.price import price_of, tokens_usd
from pytest_ftgate.models.protocol import output_limit
from pytest_ftgate.runs import jobs, measure, runner
from pytest_ftgate.statistics.groups import MIN_GROUPS, group_counts
from pytest_ftgate.statistics.planning import Chances, detectable_gain

_MARGINS, _MARGIN = (0.0, 1.0, 2.0), 0.05  # the gains in margins; what stands for a margin of 0
_BROKEN = 0.03  # the share of the examples that is assumed where no answers are stored
CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4  # what a chat template writes around a message
_UNKNOWN = "no answer is stored (--ftgate-preview=3)"
_OF_JUDGES = "a judge is asked about the answers, which are not known yet"

Prompt = tuple[tuple[str, str], ...]
"""What is sent: the text of each message after its role, and further parts such as ``tools``."""


class Calls(NamedTuple):
    """Hold the calls of one model, with their tokens and US dollars.

    They are projected from answers that the model gave before, and estimated from its prompts where
    there are none.

    Attributes:
        calls: the number of answers, of which some may be stored.
        left: the number of answers that are not stored.
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
        return (
            0.0
            if not self.left
            else None
            if self.usd is None
            else self.usd * self.left / self.calls
        )


class Asked(NamedTuple):
    """Hold what a model is sent for the first examples, and in a preview its run over them and their scores.

    ``prompts`` is empty for recorded answers. ``tokens`` estimates the first prompt.
    """

    role: str
    name: str
    prompts: tuple[Prompt, ...]
    tokens: int
    run: jobs.Run | None
    scored: Scored | None


@dataclass(frozen=True)
class Prospects:
    """Hold what a test set can show, for the baseline that asks for most.

    Attributes:
        basis: what the chances rest on, a sentence a line.
        chances: how likely each verdict is, by real gain; None where there is not so much to gain.
        detectable: the real gain that passes 4 times in 5.
        guards: how likely each verdict of each guard is, by name, included in ``chances``; None if
            it is not known.
        groups: of a test set with groups.
    """

    margin: float
    evidence: str
    basis: Sequence[str]
    chances: Mapping[float, Chances | None]
    detectable: float | None = None
    guards: Mapping[str, Chances | None] = field(default_factory=dict)
    groups: "Groups | None" = None


class Groups(NamedTuple):
    """Hold what the groups of a test set can show.

    Attributes:
        gain: the largest real gain of the plan.
        needed: the number of groups like these with which it passes 4 times in 5; None if it is not
            known.
    """

    n: int
    counted: int
    gain: float
    needed: int | None


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
    checks: tuple[result.Check, ...]
    gate: context.Context | None = None
    prospects: Prospects | None = None
    calls: tuple[Calls, ...] = ()
    preview: int = 0
    shown: tuple[Example, ...] = ()
    unscored: str | None = None
    models: tuple[Asked, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether a free check fails, so that the gate would call no model, or a call of a preview failed."""
        return self.n_missing > 0 or any(check.status in result.RED for check in self.checks)

    @property
    def n_missing(self) -> int:
        """Return how many answers of a preview are missing."""
        return sum(len(model.run.unanswered) for model in self.models if model.run is not None)


def plan_gate(
    config: GateKeys,
    services: Services,
    *,
    nodeid: str,
    reviewed: tuple[result.Check, ...] = (),
    preview: int = 0,
) -> Plan:
    """Plan a gate.

    With ``preview`` each model is first asked about so many examples, also where a free check
    fails.

    Answers are taken from the stores and kept there as in any run. Judges are not asked.
    """
    try:
        gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    except errors.FtgateError as error:
        return Plan(config.name, (*reviewed, *map(result.error_check, error.problems)))
    try:
        return _plan(gate, services, preview)
    except errors.FtgateError as error:
        return Plan(gate.config.name, (*gate.checks, result.error_check(error)))


def _plan(gate: context.Context, services: Services, preview: int) -> Plan:
    metric, wanted = gate.deciding, context.jobs(gate)
    shown = gate.shown.test if gate.shown is not None and len(gate.shown.test) else gate.test
    first, answered = (
        replace(shown, examples=shown.examples[: max(1, preview)]),
        dict[str, jobs.Run](),
    )
    if preview:
        with services.calling(gate) as options:
            few = {
                role: jobs.Job(model, first, of_candidate=role == "candidate")
                for role, model in gate.models.items()
            }
            answered = dict(zip(few, runner.run_models(list(few.values()), **options), strict=True))
        if not any(run.unanswered for run in answered.values()):
            services.stores.finish(answered.values())
    unscored = None
    if metric.judged or metric.pairwise:
        unscored = f"{metric.name} is not scored in a preview, because its judges are not asked"
    stored = dict(
        zip(wanted, runner.stored_runs(list(wanted.values()), services.stores), strict=True)
    )
    return Plan(
        gate.config.name,
        gate.checks,
        gate,
        None
        if gate.config.asked_by == "agreement"
        else _prospects(gate, _stored_scores(gate, stored)),
        (*_calls(gate, wanted, stored), *_calls_of_judges(gate)),
        len(first) if preview else 0,
        first.examples,
        unscored,
        tuple(
            _asked(metric, role, model, shown, first, answered.get(role))
            for role, model in gate.models.items()
        ),
    )


# --- costs
# ---------------------------------------------------------------------------------------------------


def _calls(
    gate: context.Context,
    wanted: Mapping[context.RunName, jobs.Job],
    stored: Mapping[context.RunName, jobs.Run],
) -> Iterator[Calls]:
    """Yield the calls of each model whose answers are not recorded.

    Input tokens are projected by the characters that are sent, output tokens and time by the number
    of answers.
    """
    for role, model in gate.models.items():
        if model.verified is not None:
            continue
        own = {name: job for name, job in wanted.items() if name.role == role}
        calls = sum(len(job.test_set) * job.repeats for job in own.values())
        found = Calls(
            result.called(role, model.name),
            calls,
            sum(len(stored[name].unanswered) for name in own),
        )
        known = max((_answered(stored[name]) for name in own), key=lambda run: len(run.test_set))
        n = len(known.test_set)
        if not n:
            yield _estimated(found, model, own.values())
            continue
        facts, price = measure.measure_run(found.name, known).facts, price_of(model)
        inputs, outputs, usd = facts.input_tokens, facts.output_tokens, None
        if inputs is not None:
            sent = sum(
                job.repeats * sum(map(job.model.characters, job.test_set)) for job in own.values()
            )
            inputs = ceil(inputs * sent / max(1, sum(map(model.characters, known.test_set))))
        if outputs is not None:
            outputs = ceil(outputs / n * found.calls)
        if price.gpu_hour_usd is not None and facts.cost_usd is not None:
            usd = facts.cost_usd / n * found.calls
        elif facts.cost_usd is not None and inputs is not None and outputs is not None:
            usd = tokens_usd(replace(price, most_input_tokens=None), inputs, outputs)
        why = facts.cost_unknown and facts.cost_unknown.why
        yield found._replace(input_tokens=inputs, output_tokens=outputs, usd=usd, unknown=why)


def _estimated(calls: Calls, model: Model, asked: Iterable[jobs.Job]) -> Calls:
    """Return the calls of a model that is paid by tokens with an estimate from its prompts.

    An output is as long as the limit of the model's requests, or else as the expected one.
    """
    price = price_of(model)
    if price.gpu_hour_usd is not None or not (model.endpoint or price.known):
        return calls._replace(unknown=_UNKNOWN)

    limit = output_limit(model)
    inputs = 0.0
    outputs = 0.0
    for job in asked:
        for example in job.test_set:
            expected = 0 if example.expected is None else len(expected_text(example.expected))
            inputs += job.repeats * _tokens_sent(model, example)
            outputs += job.repeats * (limit or max(1, expected / CHARACTERS_PER_TOKEN))

    words = (
        "outputs as long as the expected ones"
        if limit is None
        else f"outputs of at most {limit:,} tokens"
    )
    usd = tokens_usd(replace(price, most_input_tokens=None), ceil(inputs), ceil(outputs))
    return calls._replace(
        input_tokens=ceil(inputs),
        output_tokens=ceil(outputs),
        usd=usd,
        unknown=price.unknown,
        outputs=words,
    )


def _tokens_sent(model: Model, example: Example) -> float:
    """Return an estimate of the tokens that a model is sent for an example, with those of its chat template."""
    messages = model.sent(example)["messages"]
    return model.characters(example) / CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE * len(messages)


def _answered(run: jobs.Run) -> jobs.Run:
    """Return the first answers of a run without the missing ones."""
    pairs = zip(run.test_set.examples, run.predictions[0], strict=True)
    known = tuple(example for example, one in pairs if one.completion is not None)
    return replace(run, predictions=run.predictions[:1]).over(replace(run.test_set, examples=known))


def _calls_of_judges(gate: context.Context) -> Iterator[Calls]:
    """Yield the most calls of each judge: a pair of answers is judged in both orders."""
    for name, judge in gate.judging.judges.items() if gate.judging is not None else ():
        pairwise, answers = judge.metric.pairwise, len(gate.test) * gate.config.repeats
        answers *= 2 * len(gate.config.baselines) if pairwise else len(gate.models)
        calls = answers + len(judge.items) * (2 if pairwise else 1)
        if judge.model.verified is None:
            yield Calls(
                f"judge {name} ({judge.model.name})", calls, calls, unknown=_OF_JUDGES, most=True
            )


# --- what the test set can show
# ------------------------------------------------------------------------------


def _stored_scores(
    gate: context.Context, stored: Mapping[context.RunName, jobs.Run]
) -> dict[str, Scored]:
    """Return the scores by role of those models whose answers are all stored."""
    runs = {name.role: run for name, run in stored.items() if name.purpose == "test"}
    runs = {role: run for role, run in runs.items() if not run.unanswered}
    if gate.deciding.pairwise or gate.deciding.judged:
        return {}
    try:
        return {
            role: gate.deciding.score(gate.expected, measure.answers_of(run))
            for role, run in runs.items()
        }
    except errors.FtgateError:
        return {}


def _prospects(gate: context.Context, scored: dict[str, Scored]) -> Prospects:
    """Return how likely each verdict on the gain and the guards is, by the real gain."""
    config = gate.config
    metric = gate.deciding
    standards = {role: config.standard_of(role).gain for role in config.decisive}
    role = max(standards, key=lambda name: standards[name])
    margin = standards[role]
    unit = margin or _MARGIN * (metric.high - metric.low)
    gains = sorted({factor * unit for factor in _MARGINS})

    candidate = scored.pop("candidate", None)
    baselines = sorted(scored.values(), key=lambda score: metric.sign * score.value)
    broken = _BROKEN
    source = "assumed"
    if candidate is not None and baselines:
        broken = max(_share_broken(candidate, baseline) for baseline in baselines)
        source = "as in the stored answers"
    baseline = baselines[-1] if baselines else prospects.assumed(metric, gate.expected)

    guards = {
        guard.name: prospects.chances_of_guard(guard, broken=broken, repeats=config.repeats)
        for guard in gate.parts.others
    }
    of_guards = [chance for chance in guards.values() if chance is not None]
    of_gains: dict[float, Chances | None] = {}
    for gain in gains:
        chance = prospects.chances_of_gain(gate, role, gain, baseline, broken=broken)
        of_gains[gain] = None if chance is None else prospects.all_of([chance, *of_guards])

    grouped = group_counts(gate.groups, len(gate.test))
    exact = metric.kind == "right_wrong" and config.repeats == 1 and grouped is None
    if metric.pairwise:
        basis = ["if no pair is a tie"]
    else:
        basis = [f"for a candidate that breaks {100 * broken:.2g} % of the examples ({source})"]
        if not exact:
            start = "with the baseline's stored answers"
            if not baselines:
                start = f"for a baseline at {100 * prospects.ASSUMED_VALUE:.0f} % (assumed)"
            basis.append(f"simulated {start}")
    return Prospects(
        margin,
        gate.evidence_of(role),
        basis,
        of_gains,
        detectable=_detectable(gate, role, broken) if exact and not guards else None,
        guards=guards,
        groups=_of_groups(gate, role, gains[-1], baseline, broken, grouped) if grouped else None,
    )


def _share_broken(candidate: Scored, baseline: Scored) -> float:
    """Return the share of the examples that the candidate answers worse."""
    change = candidate.metric.sign * (measure.rightness(candidate) - measure.rightness(baseline))
    return float((change < 0).mean())


def _detectable(gate: context.Context, role: str, broken: float) -> float | None:
    """Return the real gain in right answers that passes 4 times in 5."""
    margin = gate.config.standard_of(role).gain
    if margin < 0:
        return None
    confidence = gate.config.confidence
    evidence = gate.evidence_of(role)
    n = len(gate.test)
    return detectable_gain(
        n, broken=broken, margin=margin, confidence=confidence, evidence=evidence
    )


def _of_groups(
    gate: context.Context,
    role: str,
    gain: float,
    baseline: Scored | None,
    broken: float,
    counts: tuple[int, int],
) -> Groups:
    candidate = None if baseline is None else prospects.improved(baseline, gain, broken=broken)
    needed = None
    if candidate is not None:
        examples = gate.compare(baseline, candidate, role).examples_needed
        needed = (
            None
            if examples is None
            else max(MIN_GROUPS, ceil(examples / len(gate.test) * counts[0]))
        )
    return Groups(*counts, gain, needed)


# --- what is sent, and what is answered
# ----------------------------------------------------------------------


def _asked(
    metric: Metric, role: str, model: Model, shown: DataSet, first: DataSet, run: jobs.Run | None
) -> Asked:
    """Return what a model is sent and has answered; a set-level metric is scored with all others missing."""
    prompts = (
        () if model.verified is not None else tuple(_prompt(model, example) for example in first)
    )
    scored = None
    if run is not None and not (metric.judged or metric.pairwise):
        rest = len(shown) - len(first) if metric.kind == "set" else 0
        with suppress(errors.FtgateError):  # the answers are shown without scores
            scored = metric.score(
                shown.expected[: len(first) + rest], [[*measure.answers_of(run)[0], *[None] * rest]]
            )
    tokens = round(_tokens_sent(model, first.examples[0]))
    return Asked(result.called(role), result.called(role, model.name), prompts, tokens, run, scored)


def _prompt(model: Model, example: Example) -> Prompt:
    parts: dict[str, Any] = dict(model.sent(example))
    messages: Sequence[Mapping[str, Any]] = parts.pop("messages")
    return (
        *((name, expected_text(value)) for name, value in parts.items()),
        *map(_message, messages),
    )


def _message(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the role and the text of a message; what else it holds, such as tool calls, as JSON."""
    content = message.get("content")
    others = {key: value for key, value in message.items() if key not in ("role", "content")}
    texts = [expected_text(part) for part in (content, others or None) if part is not None]
    return str(message.get("role")), "\n".join(texts)
