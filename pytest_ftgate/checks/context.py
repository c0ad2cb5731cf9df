"""What a gate's models are called with: its data, its metrics, its models, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.judges import Judging
from pytest_ftgate.result import ModelResult

if TYPE_CHECKING:
    from pytest_ftgate.checks.checkpoint import Shared
    from pytest_ftgate.checks.guards import Guard
    from pytest_ftgate.checks.slices import Slices
    from pytest_ftgate.checks.training_set import TrainingAudit
    from pytest_ftgate.config import GateConfig, ModelSpec
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.gate.checkpoints import Contest
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.models import Model
    from pytest_ftgate.models.openai_api.tuning import JobFile, Tuned


@dataclass(frozen=True)
class Prepared:
    """All that can be known before a model is called.

    Attributes:
        tuned: the models that are named by their job, by role.
        trained_on: the file that the candidate's job was trained on.
        trained_on_content: its bytes, where the training set is not that file.
        shared: what the test set shares with the examples on which a checkpoint is chosen.
        contest: the checkpoints of which the best is yet to be found; the last of them stands for the candidate.
        judging: the judges, and what people have said.
        judged: metrics that were judged, by role and name; in the place of those in ``metrics``.
    """

    config: GateConfig
    test: DataSet
    training: DataSet
    audit: TrainingAudit
    metrics: Mapping[str, Metric]
    models: Mapping[str, Model]  # by role: the baselines' names, then "candidate", which the stage ready leaves out
    tuned: Mapping[str, Tuned] = field(default_factory=dict)
    trained_on: JobFile | None = None
    trained_on_content: bytes | None = None
    shared: Shared | None = None
    contest: Contest | None = None
    guards: Mapping[str, Guard] = field(default_factory=dict)
    slices: Slices | None = None
    judging: Judging = field(default_factory=Judging)
    judged: Mapping[str, Mapping[str, Metric]] = field(default_factory=dict)

    def metrics_of(self, role: str) -> Mapping[str, Metric]:
        """The metrics by which a model is scored."""
        return {**self.metrics, **self.judged.get(role, {})}

    def asked(self, role: str) -> ModelSpec:
        """The model that is asked: as written, with its name at the endpoint in place of a job."""
        written = {**self.config.baselines, "candidate": self.config.candidate}[role]
        return self.tuned[role].spec if role in self.tuned else written

    def described(self, role: str, facts: ModelResult) -> ModelResult:
        """The facts of a model with those of the job that made it."""
        return replace(facts, **self.tuned[role].facts()) if role in self.tuned else facts

    @property
    def deciding(self) -> Metric:
        return self.metrics[self.config.metric.name]

    @property
    def groups(self) -> list[str | None]:
        return [example.group for example in self.test.examples]

    @property
    def grouped(self) -> bool:
        """Some examples belong together."""
        from pytest_ftgate.statistics import group_codes

        return group_codes(self.groups, len(self.test)) is not None

    @property
    def expected(self) -> list[Any]:
        return [example.expected for example in self.test.examples]
