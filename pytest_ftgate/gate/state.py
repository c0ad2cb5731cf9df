"""What a session provides to a gate, and what a judged gate returns."""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_ftgate import clock
from pytest_ftgate.checks.audit import TrainingAudit
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import DataSet
from pytest_ftgate.result import GateResult
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import Run, Stores, TimeLimit
from pytest_ftgate.runs.progress import ProgressDisplay


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn Python's cyclic garbage collection off: of large data it takes a fifth of the time, and finds nothing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


SIGNS_OF_CI = (
    "CI", "BUILD_NUMBER", "JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID", "GITHUB_ACTIONS",
    "GITLAB_CI", "BUILDKITE", "CIRCLECI", "TRAVIS", "APPVEYOR", "DRONE", "BITBUCKET_BUILD_NUMBER", "bamboo_buildKey",
    "GO_PIPELINE_NAME", "CIRRUS_CI", "SEMAPHORE",
)  # fmt: skip


def sign_of_ci() -> str | None:
    """Return the environment variable that shows that this is a CI job: one that is set and not empty."""
    return next((name for name in SIGNS_OF_CI if os.environ.get(name)), None)


@dataclass(frozen=True)
class Judged:
    """Hold a judged gate: its facts, and the context they come from, which is None where inputs could not be used.

    For recordings these are all ``runs`` by name, and ``notes`` on the last green verdict.
    """

    result: GateResult
    gate: Context | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Services:
    """Hold what a session provides to its gates.

    Attributes:
        stores: the stores of predictions.
        load: reads a data source, given with its origin, into a data set, once per session. With ``labeled=False``
            examples need no expected output.
        hook: pluggy's hook callers; None outside pytest.
        offline: whether no endpoint may be called.
        progress: displays the progress of the models.
        committed: notes on last green verdicts from committed recordings.
        tell: adds a message to the end of the session that is not about a gate.
        budget: the money that may be spent in this session; None: no limit.
        ci: whether this is a CI job, whose files may be lost.
        audit: audits a training set for a test set, once per session.
    """

    stores: Stores
    load: Callable[..., DataSet]
    hook: Any | None = None
    offline: bool = False
    progress: ProgressDisplay | None = None
    committed: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] | None = None
    budget: Budget | None = None
    audit: Callable[..., TrainingAudit] | None = None
    ci: bool = field(default_factory=lambda: sign_of_ci() is not None)

    @contextmanager
    def calling(self, gate: Context) -> Iterator[dict[str, Any]]:
        """Yield the options of all runs of a gate, whose time limit starts here; at the end wipe the progress."""
        options: dict[str, Any] = {
            "stores": self.stores,
            "offline": self.offline,
            "progress": self.progress,
            "budget": self.budget,
        }
        if (limit_s := gate.config.timeout_s) is not None:
            options["limit"] = TimeLimit(limit_s, gate.source("timeout_s"), clock.monotonic() + limit_s)
        try:
            yield options
        finally:
            if self.progress is not None:
                self.progress.wipe()
