"""What a session provides to a gate, with data that are read once, and what a judged gate is."""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_ftgate import clock, errors
from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import DataKeys
from pytest_ftgate.data import DataSet, content_of, examples_from, lines, load_examples
from pytest_ftgate.guarded import guarded
from pytest_ftgate.metrics.labels import LabelSet
from pytest_ftgate.result import GateResult
from pytest_ftgate.runs.budget import Budget
from pytest_ftgate.runs.jobs import Run, Stores, TimeLimit
from pytest_ftgate.runs.progress import ProgressDisplay


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn off Python's cyclic garbage collection.

    It would visit all rows again and again, and find nothing: half a second of seven with 100,000
    examples.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


SIGNS_OF_CI = (
    "CI",
    "BUILD_NUMBER",
    "JENKINS_URL",
    "TF_BUILD",
    "TEAMCITY_VERSION",
    "CODEBUILD_BUILD_ID",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "CIRCLECI",
    "TRAVIS",
    "APPVEYOR",
    "DRONE",
    "BITBUCKET_BUILD_NUMBER",
    "bamboo_buildKey",
    "GO_PIPELINE_NAME",
    "CIRRUS_CI",
    "SEMAPHORE",
)


def sign_of_ci() -> str | None:
    """Return the first environment variable of a CI system that is set and not empty."""
    return next((name for name in SIGNS_OF_CI if os.environ.get(name)), None)


@dataclass(frozen=True)
class Judged:
    """Hold a judged gate.

    Attributes:
        result: its facts.
        gate: the context they come from; None where inputs could not be used.
        runs: all runs by their names in recordings.
        notes: on the last green verdict, for recordings.
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
        load: reads a data source, given with its origin, into a data set, once per session. With
            ``labeled=False`` examples need no expected output.
        hook: pluggy's hook callers; None outside pytest.
        offline: whether no endpoint may be called.
        progress: displays the progress of the models.
        committed: notes on last green verdicts from committed recordings.
        tell: adds a message to the end of the session that is not about a gate.
        budget: the money that may be spent in this session; None: no limit.
        ci: whether this is a CI job, whose files may be lost.
        audit: audits a training set for a test set.
    """

    stores: Stores
    load: Callable[..., DataSet]
    hook: Any | None = None
    offline: bool = False
    progress: ProgressDisplay | None = None
    committed: Mapping[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] | None = None
    budget: Budget | None = None
    audit: Callable[..., TrainingAudit] = audit_training_set
    ci: bool = field(default_factory=lambda: sign_of_ci() is not None)

    @contextmanager
    def calling(self, gate: Context) -> Iterator[dict[str, Any]]:
        """Yield the options of all runs of a gate, whose time limit starts here."""
        options: dict[str, Any] = {
            "stores": self.stores,
            "offline": self.offline,
            "progress": self.progress,
            "budget": self.budget,
        }
        limit_s = gate.config.timeout_s
        if limit_s is not None:
            end = clock.monotonic() + limit_s
            options["limit"] = TimeLimit(limit_s, gate.source("timeout_s"), end)
        try:
            yield options
        finally:
            if self.progress is not None:
                self.progress.wipe()


__tracebackhide__ = True  # tracebacks of a user's iterable show none of our lines


@dataclass(frozen=True)
class _Loaded:
    """A data source as it was read.

    Attributes:
        source: its rows are kept alive, because their id may be its key.
        state: by which a change is seen.
    """

    source: DataKeys
    state: Any
    data: DataSet


class DataSets:
    """The data sets and audits of a session."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[Any, bool], _Loaded] = {}
        self._audits: dict[Any, tuple[DataSet, DataSet, TrainingAudit]] = {}

    def load(
        self,
        source: DataKeys,
        origin: str,
        hook: Any | None = None,
        *,
        name: str = "test_set",
        labeled: bool = True,
    ) -> DataSet:
        """Return a data source, which is read again only if it changed.

        An iterator can be consumed only once.

        Args:
            source: the keys of a data file, or of an iterable of examples.
            origin: what messages call an iterable.
            hook: pytest's hooks, for formats of other plugins.
            name: what messages call the rows of an iterable: ``test_set`` for ``test_set[14]``.
            labeled: every example must have an expected output. A labeled set is reused for
                unlabeled requests.
        """
        rows = source.rows
        options: dict[str, Any] = {
            "fields": source.fields,
            "limit": source.limit,
            "by_turn": source.turns == "each",
        }

        state: Any
        if rows is None:
            place: Any = source.path
            state = _file_state(source.path)
        else:
            place = id(rows)
            state = content_of(rows)
        # An iterator has no rows left for a second name.
        used_for = "" if isinstance(rows, Iterator) else name
        # Two gates may read one file by different fields.
        key = (place, source.format, repr(options), used_for)
        # A set with expected outputs serves requests without them, too.
        for is_labeled in (True, labeled):
            loaded = self._loaded.get((key, is_labeled))
            if loaded is not None and loaded.state == state:
                return loaded.data

        options["labeled"] = labeled
        if rows is None:
            data = _load_file(source, hook, name, options)
        else:
            data = examples_from(rows, origin=origin, name=name, **options)
        self._loaded[key, labeled] = _Loaded(source, state, data)
        return data

    def audit(
        self,
        training: DataSet,
        test: DataSet,
        *,
        separator: str | None = None,
        labels: LabelSet | None = None,
    ) -> TrainingAudit:
        """Return the audit of a training set for a test set, computed once for several gates."""
        key = (training.sha256, training.origin, test.sha256, separator, labels)
        if key in self._audits:
            known_training, known_test, audit = self._audits[key]
            if (
                known_training.examples == training.examples
                and known_test.examples == test.examples
            ):
                return audit

        audit = audit_training_set(training, test, separator=separator, labels=labels)
        self._audits[key] = (training, test, audit)
        return audit


def _file_state(path: Path) -> tuple[object, ...]:
    """Return the stat values of a file that change when it is written."""
    try:
        stat = path.stat()
    except (OSError, ValueError):  # an invalid path: reading it reports the error
        return ()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _load_file(
    source: DataKeys, hook: Any | None, name: str, options: Mapping[str, Any]
) -> DataSet:
    """Load a file with a plugin's hook if one knows the format, else with our own readers."""
    rows = None
    if hook is not None:
        rows = guarded(
            "the hook pytest_ftgate_load_examples",
            hook.pytest_ftgate_load_examples,
            path=source.path,
            options={
                "format": source.format,
                "fields": dict(source.fields),
                "limit": source.limit,
            },
        )
    if rows is None:
        with lines.written_at(source.source.where()):
            return load_examples(source.path, format=source.format, **options)

    path = errors.shown_path(source.path)
    data = examples_from(rows, origin=path, name=name, **options)
    if not source.path.is_file():  # a folder of shards, or a name that only the hook understands
        return replace(data, path=path)
    return replace(data, path=path, sha256=sha256(source.path.read_bytes()).hexdigest())
