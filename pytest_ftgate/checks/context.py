"""One gate on its way to a verdict: what it asks for, what is known of its inputs, what its models answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ftgate.judges import JudgeRun, Judging
from pytest_ftgate.result import Check, GateResult, ModelResult, closed, verdict_of

if TYPE_CHECKING:
    from pytest_ftgate.checks.checkpoint import Shared
    from pytest_ftgate.checks.freshness.last_green import LastGreen
    from pytest_ftgate.checks.guards import Guard
    from pytest_ftgate.checks.slices import Slices
    from pytest_ftgate.checks.training_set import TrainingAudit
    from pytest_ftgate.config import GateKeys, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model, Surroundings
    from pytest_ftgate.models.openai_api.tuning import JobFile, JobNotes, Tuned
    from pytest_ftgate.runs.checkpoints import CheckpointSelection
    from pytest_ftgate.runs.measure import Measured
    from pytest_ftgate.runs.runner import Run
    from pytest_ftgate.statistics import Comparison

_T = TypeVar("_T")

ABLATED = "candidate_bare"
"""The role of the candidate without its own prompt."""


@dataclass(frozen=True)
class Context:
    """What all rules look at. It grows from inputs through runs to scores; no rule changes it.

    Attributes:
        config: the keys of the gate.
        result: the facts so far, with the checks so far.
        test: the test set.
        training: the training set.
        audit: what was counted in the training set.
        metrics: by name, the deciding one first.
        models: by role: the baselines' names, then "candidate", which the stage ready leaves out.
        surroundings: what models are built with: notes, and whether endpoints may be asked.
        notes: notes on fine-tuning jobs, those that were used among them.
        now: when the gate is judged, in seconds since the epoch.
        tuned: the models that are named by their fine-tuning job, by role.
        trained_on: the file that the candidate's job was trained on.
        trained_on_content: its bytes, where the training set is not that file.
        shared: what the test set shares with the examples on which a checkpoint is chosen.
        checkpoints: those of which the best is yet to be found; the last of them stands for the candidate.
        guards: the guards, by name.
        slices: the slices of the test set.
        judging: the judges, and what people have said.
        last_green: the last green verdict of this gate, where one is known.
        runs: over the test set, by role.
        samples: from which latencies are taken, by role, where a model asks for one.
        guard_runs: over the guards' test sets, by guard and role.
        checkpoint_runs: over the validation set, by ``validation_step_100``.
        judge_run: what the judges said.
        measured: the runs with their facts, by role; with their scores where all could be scored.
    """

    config: GateKeys
    result: GateResult
    test: DataSet
    training: DataSet
    audit: TrainingAudit
    metrics: Mapping[str, Metric]
    models: Mapping[str, Model]
    surroundings: Surroundings
    notes: JobNotes
    now: float
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    trained_on: JobFile | None = None
    trained_on_content: bytes | None = None
    shared: Shared | None = None
    checkpoints: CheckpointSelection | None = None
    guards: Mapping[str, Guard] = field(default_factory=dict)
    slices: Slices | None = None
    judging: Judging = field(default_factory=Judging)
    last_green: LastGreen | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    samples: Mapping[str, Run] = field(default_factory=dict)
    guard_runs: Mapping[tuple[str, str], Run] = field(default_factory=dict)
    checkpoint_runs: Mapping[str, Run] = field(default_factory=dict)
    judge_run: JudgeRun = field(default_factory=JudgeRun)
    measured: Mapping[str, Measured] = field(default_factory=dict)

    # --- what becomes of it ----------------------------------------------------------------------------------

    def with_facts(self, **facts: Any) -> Context:
        """Return the context with further facts in its result. What was computed from runs and scores is kept."""
        changed = copy(self)
        object.__setattr__(changed, "result", replace(self.result, **facts))
        return changed

    def with_checks(self, checks: Iterable[Check]) -> Context:
        """Return the context with further checks, and the verdict that all add up to."""
        result = closed(self.result, (*self.result.checks, *checks))
        return self.with_facts(checks=result.checks, verdict=result.verdict)

    @property
    def holds(self) -> bool:
        """Return whether no check so far stands against a green verdict."""
        return verdict_of(self.result.checks) == "pass"

    # --- inputs ----------------------------------------------------------------------------------------------

    @property
    def accepts(self) -> bool:
        """Return whether a candidate is judged; before training there is none."""
        return self.config.stage == "accept"

    @property
    def deciding(self) -> Metric:
        """Return the metric that decides."""
        return self.metrics[self.config.metric.name]

    def metrics_of(self, role: str) -> Mapping[str, Metric]:
        """Return the metrics by which a model is scored; judged ones hold what the judges said of its answers."""
        return {**self.metrics, **self.judge_run.metrics.get(role, {})}

    def asked(self, role: str) -> ModelSpec:
        """Return a model's keys as it is called: with its name at the endpoint in place of a job."""
        written = {**self.config.baselines, "candidate": self.config.candidate}[role]
        return self.tuned[role].spec if role in self.tuned else written

    def described(self, role: str, facts: ModelResult) -> ModelResult:
        """Return the facts of a model with those of the job that made it."""
        return replace(facts, **self.tuned[role].facts()) if role in self.tuned else facts

    @property
    def expected(self) -> list[Any]:
        """Return the expected output of each test example."""
        return [example.expected for example in self.test.examples]

    @property
    def groups(self) -> list[str | None]:
        """Return the group of each test example."""
        return [example.group for example in self.test.examples]

    @property
    def grouped(self) -> bool:
        """Return whether some test examples belong together."""
        from pytest_ftgate.statistics import group_codes

        return group_codes(self.groups, len(self.test)) is not None

    def source(self, key: str) -> str:
        """Return where a key of the gate was written, as ``ftgate.yaml:14``."""
        return str(self.config.sources[key])

    # --- answers ---------------------------------------------------------------------------------------------

    @cached_property
    def forgiven(self) -> tuple[str, ...]:
        """Return the roles whose missing answers count as wrong, by the key ``errors``."""
        from pytest_ftgate.runs.measure import forgiven_roles

        return forgiven_roles(self.config.errors, self.runs.values())

    @property
    def scored(self) -> Mapping[str, Measured]:
        """Return the models with their scores, by role; empty where they could not be scored."""
        return {role: one for role, one in self.measured.items() if one.scores and role != ABLATED}

    @cached_property
    def best(self) -> str:
        """Return the role of the baseline that is hardest to beat; the first one where none was scored."""
        sign = 1 if self.deciding.greater_is_better else -1
        baselines = self.result.baselines
        return max(baselines, key=lambda role: sign * (baselines[role].value or 0.0))

    @cached_property
    def comparisons(self) -> Mapping[str, Comparison]:
        """Return the candidate's gain over each baseline, by role."""
        scored, name = self.scored, self.deciding.name
        if "candidate" not in scored:
            return {}
        candidate = scored["candidate"].scores[name]
        return {role: self.compare(scored[role].scores[name], candidate) for role in self.config.baselines}

    def compare(self, baseline: Any, candidate: Any) -> Comparison:
        """Compare two scores of one metric on the test set, as the gate asks for it."""
        from pytest_ftgate.runs.measure import compare_scored

        config = self.config
        return compare_scored(
            baseline,
            candidate,
            repeats=config.repeats,
            margin=config.asked_gain,
            confidence=config.confidence,
            evidence=config.evidence,
            groups=self.groups,
        )

    def all_runs(self) -> Iterator[tuple[str, Run]]:
        """Yield every run that the verdict rests on, with the role of its model or the name of its judge."""
        yield from ((role, run) for role, run in self.runs.items() if role != ABLATED)
        yield from self.samples.items()
        yield from ((role, run) for (_, role), run in self.guard_runs.items())
        yield from self.judge_run.runs.items()

    def recordings(self, candidate: str | None = None) -> dict[str, Run]:
        """Return all runs by the names under which recordings keep them; ``candidate``: its name among several."""

        def role(name: str) -> str:
            return f"{name}_{candidate}" if candidate and name in ("candidate", ABLATED) else name

        own = f"_{candidate}" if candidate else ""
        return {
            **{role(name): run for name, run in self.runs.items()},
            **{f"{role(name)}_latency": run for name, run in self.samples.items()},
            **{f"{name}{own}": run for name, run in self.checkpoint_runs.items()},
            **{f"{role(name)} guard {guard}": run for (guard, name), run in self.guard_runs.items()},
            **{f"{name}{own}": run for name, run in self.judge_run.runs.items()},
        }


def once(function: Callable[[Context], _T]) -> Callable[[Context], _T]:
    """Compute a value of runs and scores once for a gate, however many rules ask for it.

    The value must not depend on ``gate.result``, which changes while it is kept.
    """

    @wraps(function)
    def ask(gate: Context) -> _T:
        known: dict[Any, Any] = gate.__dict__.setdefault("_computed", {})
        if function not in known:
            known[function] = function(gate)
        found: _T = known[function]
        return found

    return ask
