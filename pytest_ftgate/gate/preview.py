"""Ask the models of a gate for a few examples: their prompts, answers and scores, and what the whole gate will cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.attempts import may_show
from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.planned_calls import planned_calls
from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.calls import calling
from pytest_ftgate.gate.projection import Cost, Habits, projected, total
from pytest_ftgate.gate.run import read_gate
from pytest_ftgate.gate.state import Judged, Services
from pytest_ftgate.result import Check, ModelResult, called, error_check
from pytest_ftgate.runs.measure import answers_of, is_right, measure_run, rightness
from pytest_ftgate.runs.runner import Job, Run, run_models

if TYPE_CHECKING:
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.data import Example
    from pytest_ftgate.models import Completion, Model

Prompt = tuple[tuple[str, str], ...]
"""What is sent: the text of each message after its role, and further parts such as ``tools``."""


@dataclass(frozen=True)
class Answer:
    """Hold one answer of a model, or why the call failed.

    ``same``: the prompt is that of the first example apart from its last message. ``score`` is None if the deciding
    metric does not score single examples, ``right`` if the score is neither right nor wrong. ``why`` is what the metric
    says of a wrong answer.
    """

    prompt: Prompt
    same: bool
    completion: Completion | None
    failure: FtgateError | None
    score: float | None = None
    right: bool | None = None
    why: str | None = None


@dataclass(frozen=True)
class Previewed:
    """Hold the preview of one model; ``recorded``: its answers come from a file.

    ``label`` is its role, or ``candidate small`` where there are several; ``name`` adds the model's name.
    """

    label: str
    name: str
    facts: ModelResult
    recorded: bool
    answers: tuple[Answer, ...]

    @property
    def failed(self) -> bool:
        """Return whether an answer is missing."""
        return any(one.completion is None for one in self.answers)


@dataclass(frozen=True)
class Preview:
    """Hold the preview of one gate.

    ``examples`` are those that were asked about, ``total`` counts the test set. ``share``: scores are shown in percent;
    ``unscored`` says why there are none. An error among the free ``checks`` may be why no model was asked.
    ``projected`` are the calls of the whole gate.
    """

    name: str
    examples: tuple[Example, ...] = ()
    total: int = 0
    metric: str | None = None
    share: bool = False
    unscored: str | None = None
    checks: tuple[Check, ...] = ()
    models: tuple[Previewed, ...] = ()
    projected: tuple[Cost, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether a call failed, or the gate could not be read, so that no model was asked."""
        return not self.models or any(model.failed for model in self.models)

    @property
    def known_usd(self) -> float:
        """Return the projected US dollars as far as they are known."""
        return sum(one.usd or 0.0 for one in self.projected)

    @property
    def whole(self) -> Cost:
        """Return the sum of all projected calls."""
        return total(self.projected)


def preview_gate(
    config: GateKeys, services: Services, *, nodeid: str, examples: int, reviewed: tuple[Check, ...] = ()
) -> Preview:
    """Ask each model of a gate for the first examples of the test set; nothing is judged.

    Failed free checks are in the preview and do not end it: its few calls were asked for. Answers are taken from the
    stores and kept there as in any run. Judges are not asked.
    """
    gate = read_gate(config, services, nodeid=nodeid, reviewed=reviewed)
    if isinstance(gate, Judged):
        return Preview(gate.result.name, checks=gate.result.checks)
    try:
        return _preview(gate, services, examples)
    except FtgateError as error:
        return Preview(gate.result.name, checks=(*gate.result.checks, error_check(error)))


def _preview(gate: Context, services: Services, examples: int) -> Preview:
    asked = replace(gate, test=may_show(gate))
    first = replace(asked.test, examples=asked.test.examples[:examples])
    with calling(gate, services) as options:
        runs = dict(
            zip(gate.models, run_models([Job(model, first) for model in gate.models.values()], **options), strict=True)
        )
    if not any(run.unanswered for run in runs.values()):
        services.stores.finish(runs.values())
    names = {role: called(role, model.name) for role, model in gate.models.items()}
    unscored = None
    if gate.deciding.judged or gate.deciding.pairwise:
        unscored = f"{gate.deciding.name} is not scored in a preview, because its judges are not asked"
    previewed = tuple(
        Previewed(called(role), names[role], *_previewed(asked, role, run, scored=unscored is None))
        for role, run in runs.items()
    )
    habits = {role: Habits.of(run, one.facts) for (role, run), one in zip(runs.items(), previewed, strict=True)}
    planned = [one for one in planned_calls(gate) if one.role in habits or one.job is None]
    return Preview(
        gate.result.name,
        first.examples,
        len(gate.test),
        gate.deciding.name,
        gate.share,
        unscored,
        gate.result.checks,
        previewed,
        tuple(projected(planned, habits, names, unknown="judges are not asked in a preview").values()),
    )


# --- answers -------------------------------------------------------------------------------------------------


def _previewed(gate: Context, role: str, run: Run, *, scored: bool) -> tuple[ModelResult, bool, tuple[Answer, ...]]:
    """Return the facts of a model, whether its answers are recorded, and these."""
    facts = measure_run(gate.config.asked[role].name, run).facts
    prompts = [_prompt(run.model, example) for example in run.test_set]
    answers = [
        Answer(prompt, number > 0 and _is_like(prompts[0], prompt), one.completion, one.failure)
        for number, (prompt, one) in enumerate(zip(prompts, run.predictions[0], strict=True))
    ]
    return facts, run.model.verified is not None, tuple(_scored(gate, run, answers) if scored else answers)


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


def _is_like(first: Prompt, other: Prompt) -> bool:
    """Return whether two prompts differ in nothing but the text of their last message."""
    return len(first) == len(other) and first[:-1] == other[:-1] and first[-1][0] == other[-1][0]
