"""The state of one gate on its way to a verdict: its keys, inputs, runs, scores and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from pytest_ftgate.check_names import CHANGEABLE
from pytest_ftgate.checks.attempts import Attempt, Shown
from pytest_ftgate.checks.audit import TrainingAudit
from pytest_ftgate.checks.parts import Parts
from pytest_ftgate.config import GateKeys, ModelSpec, keys
from pytest_ftgate.data import DataSet
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.metrics import Metric, Scored
from pytest_ftgate.models import Model
from pytest_ftgate.result import (
    STATUS_AT,
    Check,
    Diagnosis,
    GateResult,
    ModelResult,
    MoreData,
    Threshold,
    Unanswered,
    UnlabeledResult,
    Verdict,
    merged_by_name,
    verdict_of,
)
from pytest_ftgate.runs import measure
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.judging import Judging
from pytest_ftgate.runs.names import Purpose, RunName
from pytest_ftgate.statistics.arrays import Bools
from pytest_ftgate.statistics.evidence import Comparison


class Unadvised(NamedTuple):
    """Hold a check whose cure rests on what all rules find, so that it is given last."""

    check: Check
    cure: Callable[[Context], str | None]


Finding = Check | Unadvised


class Found(NamedTuple):
    """Hold what a rule finds: facts of the result, by their names there, and checks."""

    facts: Mapping[str, Any]
    checks: Iterable[Finding] = ()


class Unlabeled(NamedTuple):
    """Hold the inputs of ``unlabeled_set``.

    Attributes:
        data: the inputs with the labels that are known; those of other inputs are None.
        to_label: the rows that need a label and have none; None until all models have answered.
        runs: the runs over the test set and these inputs together, with their gains, by role; empty
            while a label is missing.
    """

    data: DataSet
    to_label: tuple[int, ...] | None = None
    runs: Mapping[str, measure.Measured] = {}

    @property
    def facts(self) -> UnlabeledResult:
        """Return the facts of the inputs that are known so far."""
        rows = [self.data.examples[row] for row in self.to_label or ()]
        return UnlabeledResult(
            path=self.data.path,
            sha256=self.data.sha256,
            inputs=len(self.data),
            to_label=None if self.to_label is None else len(rows),
            rows=tuple(Unanswered(example.id, example.input) for example in rows),
        )


class Half(NamedTuple):
    """Hold the model that was trained on half of the training set, and its usable rows."""

    model: Model
    rows: int


@dataclass(frozen=True)
class Excused:
    """Hold the gain over a baseline whose malformed answers do it no harm.

    Attributes:
        gain: with malformed answers as ties; for ``max_drop`` as right, or as ties.
        malformed: whether each answer of the baseline is, shape ``(repeats, examples)``.
    """

    gain: Comparison
    malformed: Bools


@dataclass(frozen=True)
class Context:
    """Hold everything that rules use.

    It grows from inputs through runs to scores; no rule changes it.

    Attributes:
        config: the keys of the gate.
        audit: the counts and findings in the training set.
        metrics: the metrics by name, the deciding one first.
        models: the models by role: the baselines' names, then "candidate", which the stage ready
            leaves out.
        now: the time of judgement, in seconds since the epoch.
        parts: what else must not get worse: other test sets, and parts of this one.
        judging: the judges and the human labels.
        attempt: which attempt on its test set the candidate is; None before training.
        shown: the examples that may be shown, where attempts are limited; None: all may be shown,
            and count.
        unlabeled: the inputs that count in the gain, and whose labels may be missing.
        half: the model of ``candidate_half``, which is none of ``models`` and decides nothing.
        runs: the runs of all models by name.
        measured: the runs with their facts, by role, and with scores if all could be scored.
        diagnosis: the kinds of mistakes; none for a pairwise metric.
        excused: the gains over baselines that have malformed answers, by role.
        more_data: what the last doubling of the training set brought; the error if it could not be
            judged.
        facts: fields of the result that are known so far, by name.
        found: the findings so far.
    """

    config: GateKeys
    test: DataSet
    training: DataSet
    audit: TrainingAudit
    metrics: Mapping[str, Metric]
    models: Mapping[str, Model]
    now: float
    parts: Parts = field(default_factory=Parts)
    judging: Judging | None = None
    attempt: Attempt | None = None
    shown: Shown | None = None
    unlabeled: Unlabeled | None = None
    half: Half | None = None
    runs: Mapping[RunName, Run] = field(default_factory=dict)
    measured: Mapping[str, measure.Measured] = field(default_factory=dict)
    diagnosis: Diagnosis = field(default_factory=lambda: Diagnosis({}))
    excused: Mapping[str, Excused] = field(default_factory=dict)
    more_data: MoreData | FtgateError | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    found: tuple[Finding, ...] = ()

    # --- copies with more in them -----------------------------------------------------------------

    def with_facts(self, **facts: Any) -> Context:
        """Return the context with more facts of the result."""
        return self.with_found(Found(facts))

    def with_checks(self, checks: Iterable[Check]) -> Context:
        """Return the context with more checks."""
        return self.with_found(Found({}, checks))

    def with_found(self, findings: Found) -> Context:
        """Return the context with what a rule found."""
        found = list(self.found)
        for finding in findings.checks:
            if isinstance(finding, Unadvised):
                found.append(finding._replace(check=self.at_level(finding.check)))
            else:
                found.append(self.at_level(finding))
        return self.with_measures(facts={**self.facts, **findings.facts}, found=tuple(found))

    def with_measures(self, **fields: Any) -> Context:
        """Return the context with other fields, and the cached values of runs and scores."""
        # dataclasses.replace would drop these.
        changed = copy(self)
        for name, value in fields.items():
            object.__setattr__(changed, name, value)
        return changed

    def advised(self) -> Context:
        """Return the context with the cures that rest on what all rules found."""
        found = []
        for finding in self.found:
            if isinstance(finding, Unadvised):
                finding = replace(finding.check, cure=finding.cure(self))
            found.append(finding)
        return self.with_measures(found=tuple(found))

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks so far, one for each name."""
        checks = []
        for finding in self.found:
            checks.append(finding.check if isinstance(finding, Unadvised) else finding)
        return merged_by_name(checks)

    def at_level(self, check: Check) -> Check:
        """Return a check with the status that the gate sets for its name under ``checks``."""
        level = self.config.checks.get(check.name)
        if level is None or level == CHANGEABLE[check.name].default:
            return check
        # A level weighs what a rule found; it changes no error, pass or note.
        if check.status not in ("fail", "inconclusive", "warning"):
            return check

        source = str(self.config.sources[f"checks.{check.name}"])
        return replace(check, status=STATUS_AT[level], source=source)

    @property
    def holds(self) -> bool:
        """Return whether all checks so far allow a green verdict."""
        return self.verdict == "pass"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict of all checks so far."""
        return verdict_of(self.checks)

    @property
    def result(self) -> GateResult:
        """Return the result of all facts and checks so far; its ``baseline`` is the best one."""
        baselines = {role: self.facts_of(role) for role in self.config.baselines}
        facts = {
            "baselines": baselines,
            "baseline": baselines[self.best],
            "candidate": self.facts_of("candidate"),
            **self.facts,
        }
        return result_of(self.config, facts, self.checks)

    # --- inputs -----------------------------------------------------------------------------------

    @property
    def deciding(self) -> Metric:
        """Return the metric that decides."""
        return self.metrics[self.config.decided_by.name]

    def asked(self, role: str) -> ModelSpec:
        """Return the keys of a model."""
        return _spec(self.config, role)

    @property
    def test_sets(self) -> dict[str, DataSet]:
        """Return the test set and those of guards, by what messages call them."""
        test_sets = {"test set": self.test}
        for guard in self.parts.guards:
            test_sets[f"guard {guard.name}"] = guard.test
        return test_sets

    @property
    def expected(self) -> list[Any]:
        """Return the expected output of each test example."""
        return self.test.expected

    @cached_property
    def gain_set(self) -> DataSet:
        """Return the examples of which the gain is: the test set, then those of unlabeled_set."""
        if self.unlabeled is None:
            return self.test
        return self.test.and_more(self.unlabeled.data)

    @property
    def share(self) -> bool:
        """Return whether the deciding metric is a share, whose differences are shown in points."""
        return self.deciding.share

    # --- thresholds -------------------------------------------------------------------------------

    def source(self, path: str) -> str:
        """Return where a key of the gate was written, as ``ftgate.yaml:14``."""
        mapping, key = self._at(path)
        return str(mapping.sources.get(key, keys.BUILT_IN))

    def requirement(self, path: str, **instead: Any) -> dict[str, Any]:
        """Return the fields of a check of a key: the required value, its source, and the threshold.

        ``path`` is that of the key, such as ``baselines.champion.max_drop``; ``instead`` replaces
        some of these fields.
        """
        mapping, key = self._at(path)
        value = getattr(mapping, key)
        return {
            "required": value,
            "source": self.source(path),
            "threshold": Threshold(path, value),
            **instead,
        }

    def _at(self, path: str) -> tuple[Any, str]:
        """Return the mapping that holds the key at the end of a path, and the key."""
        section, _, rest = path.partition(".")
        if not rest:
            return self.config, path

        # The name of a baseline or guard may contain dots, a key does not.
        name, _, key = rest.rpartition(".")
        # In the keys of a merged gate, ``baselines`` has the models only.
        mapping = getattr(self.config, "standards" if section == "baselines" else section)
        return (mapping[name] if name else mapping), key

    # --- answers ----------------------------------------------------------------------------------

    @property
    def is_answered(self) -> bool:
        """Return whether no answer is missing that the verdict needs."""
        for role, run in self.answers_of_gain.items():
            if run.unanswered and role not in self.forgiven:
                return False
        return True

    @cached_property
    def forgiven(self) -> tuple[str, ...]:
        """Return the roles whose missing answers count as wrong (``missing_answers: wrong``)."""
        runs = self.answers_of_gain.values()
        return measure.forgiven_roles(self.config.missing_answers, runs)

    @property
    def answers_of_gain(self) -> dict[str, Run]:
        """Return the runs over the examples of which the gain is, by role."""
        runs = self.runs_of("test")
        for role, run in self.runs_of("unlabeled").items():
            runs[role] = runs[role].with_more(run)
        return runs

    @property
    def gain_runs(self) -> Mapping[str, measure.Measured]:
        """Return the scored models over the examples of which the gain is, by role.

        Empty if they could not be scored, or while a label is missing.
        """
        if self.unlabeled is None:
            return self.scored
        return self.unlabeled.runs

    @property
    def scored(self) -> Mapping[str, measure.Measured]:
        """Return the scored models by role; empty if they could not be scored."""
        return {role: measured for role, measured in self.measured.items() if measured.scores}

    @cached_property
    def best(self) -> str:
        """Return the role of the best deciding baseline; the first one if none was scored."""
        sign = self.deciding.sign
        return max(self.config.decisive, key=lambda role: sign * (self.facts_of(role).value or 0.0))

    def facts_of(self, role: str) -> ModelResult:
        """Return what is known of a model."""
        if role in self.measured:
            return self.measured[role].facts
        return _described(self.config, role)

    @cached_property
    def comparisons(self) -> Mapping[str, Comparison]:
        """Return the gain over each baseline that has a margin or a ``max_drop``, by role."""
        scores = {role: run.scores[self.deciding.name] for role, run in self.gain_runs.items()}
        comparisons: dict[str, Comparison] = {}
        if "candidate" not in scores:
            return comparisons

        for role in self.config.baselines:
            if self.config.standard_of(role).key != "agreement":
                comparisons[role] = self.compare(scores[role], scores["candidate"], role)
        return comparisons

    def compare(self, baseline: Scored, candidate: Scored, role: str) -> Comparison:
        """Compare two scores of one metric, by the standard of a baseline.

        They are those of the test set, or also of unlabeled_set, whose examples come after it.
        """
        groups = self.gain_set.groups
        if candidate.per_example is not None:
            groups = groups[: len(candidate.per_example)]
        return measure.compare_scored(
            baseline,
            candidate,
            margin=self.config.standard_of(role).gain,
            evidence=self.evidence_of(role),
            confidence=self.config.confidence,
            groups=groups,
        )

    def evidence_of(self, role: str) -> str:
        """Return how surely a gain must be shown; that it drops no further must be proven."""
        if self.config.standard_of(role).drops:
            return "proven"
        return self.config.evidence

    def runs_of(self, purpose: Purpose, guard: str = "") -> dict[str, Run]:
        """Return the runs for one purpose, over the test set of a guard, if named, by role."""
        runs = {}
        for name, run in self.runs.items():
            if (name.purpose, name.guard) == (purpose, guard):
                runs[name.role] = run
        return runs

    def all_runs(self) -> Iterator[tuple[str, Run]]:
        """Yield every run with the role of its model or the name of its judge."""
        for name, run in self.runs.items():
            yield name.role, run
        yield from self.judge_runs.items()

    @property
    def judge_runs(self) -> Mapping[str, Run]:
        """Return the runs of the judges by their names in recordings."""
        if self.judging is None:
            return {}
        return self.judging.runs


def result_of(config: GateKeys, facts: Mapping[str, Any], checks: Iterable[Check]) -> GateResult:
    """Return the result of a gate from its keys, the facts that were found, and its checks."""
    baselines = {role: _described(config, role) for role in config.baselines}
    merged = merged_by_name(checks)
    values: dict[str, Any] = {
        "metric": config.decided_by.name,
        "margin": config.margin,
        "max_drop": config.max_drop if config.matches else None,
        "evidence": config.evidence,
        "confidence": config.confidence,
        "goal": config.goal,
        "gate": config.gate,
        "stage": config.stage,
        "baseline": next(iter(baselines.values())),
        "baselines": baselines,
        "candidate": _described(config, "candidate"),
        "hypothesis": config.expectation,
        **facts,
    }
    return GateResult(config.name, verdict=verdict_of(merged), checks=merged, **values)


def _spec(config: GateKeys, role: str) -> ModelSpec:
    if role == "candidate":
        return config.candidate
    return config.baselines[role]


def _described(config: GateKeys, role: str) -> ModelResult:
    """Return what is known of a model before it is asked."""
    spec = _spec(config, role)
    is_given = role != "candidate" or config.has_candidate
    return ModelResult(spec.name, spec.spelling if is_given else None)
