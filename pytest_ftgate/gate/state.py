"""What a session provides to a gate, with data that are read and audited once, and what a judged gate returns."""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pytest_ftgate import clock, errors
from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set
from pytest_ftgate.checks.context import Context
from pytest_ftgate.config import DataKeys, file_of, keys_of
from pytest_ftgate.data import DataSet, content_of, examples_from, lines, load_examples
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
        load: reads a data source, given with its origin, into a data set, once per session. With
            ``labeled=False`` examples need no expected output.
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
        given, limit_s = ("stores", "offline", "progress", "budget"), gate.config.timeout_s
        options: dict[str, Any] = {name: getattr(self, name) for name in given}
        if limit_s is not None:
            options["limit"] = TimeLimit(
                limit_s, gate.source("timeout_s"), clock.monotonic() + limit_s
            )
        try:
            yield options
        finally:
            if self.progress is not None:
                self.progress.wipe()


__tracebackhide__ = True  # tracebacks of a user's iterable show none of our lines


class DataSets:
    """The data sets and audits of a session."""

    def __init__(self) -> None:
        # The source, whose id may be the key, is kept alive; then its state, and the data.
        self._read: dict[tuple[Any, bool], tuple[Any, Any, DataSet]] = {}
        self._audits: dict[
            tuple[str, str, str, str | None], tuple[DataSet, DataSet, TrainingAudit]
        ] = {}

    def load(
        self,
        source: DataKeys | Iterable[Any],
        origin: str,
        hook: Any | None = None,
        *,
        name: str = "test_set",
        labeled: bool = True,
    ) -> DataSet:
        """Return a data source, which is read again only if it changed: an iterator can be consumed only once.

        Args:
            source: the keys of a data file, or an iterable of examples.
            origin: what messages call an iterable.
            hook: pytest's hooks, for formats of other plugins.
            name: what messages call the rows of an iterable: ``test_set`` for ``test_set[14]``.
            labeled: every example must have an expected output. A labeled set is reused for
                unlabeled requests.
        """
        file, keys = file_of(source), keys_of(source)
        rows: Any = source if keys is None else keys.rows
        asked: dict[str, Any] = {} if keys is None else {"fields": keys.fields, "limit": keys.limit}
        key = (file.path if file else id(rows), keys and keys.format, repr(asked), name)
        state: Any = _file_state(file.path) if file else content_of(rows)
        for kept in (self._read.get((key, True)), self._read.get((key, labeled))):
            if kept is not None and kept[1] == state:
                return kept[2]
        asked["labeled"] = labeled
        data = (
            examples_from(rows, origin=origin, name=name, **asked)
            if file is None
            else _load_file(file, hook, name, asked)
        )
        if kept is not None and (kept[2].sha256, kept[2].examples) == (data.sha256, data.examples):
            data = kept[2]  # rewritten with the same content: audits stay valid
        self._read[key, labeled] = source, state, data
        return data

    def audit(
        self, training: DataSet, test: DataSet, *, separator: str | None = None
    ) -> TrainingAudit:
        """Return the audit of a training set and a test set, computed once for equal ones of several gates."""
        key = (training.sha256, training.origin, test.sha256, separator)
        known = self._audits.get(key)
        if known is None or (known[0].examples, known[1].examples) != (
            training.examples,
            test.examples,
        ):
            known = training, test, audit_training_set(training, test, separator=separator)
            self._audits[key] = known
        return known[2]


def _file_state(path: Path) -> tuple[object, ...]:
    """Return the stat values of a file that change when it is written."""
    try:
        one = path.stat()
    except (OSError, ValueError):  # an invalid path: reading it reports the error
        return ()
    return one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino


def _load_file(source: DataKeys, hook: Any | None, name: str, asked: Mapping[str, Any]) -> DataSet:
    """Load a file with a plugin's hook if one knows the format, else with our own readers."""
    options = {"format": source.format, "fields": dict(source.fields), "limit": source.limit}
    called, rows = "the hook pytest_ftgate_load_examples", None
    if hook is not None:
        rows = errors.guarded(
            called, hook.pytest_ftgate_load_examples, path=source.path, options=options
        )
    if rows is None:
        with lines.written_at(source.source.where()):
            return load_examples(source.path, format=source.format, **asked)
    shown = errors.shown_path(source.path)
    data = examples_from(rows, origin=shown, name=name, **asked)
    if not source.path.is_file():  # a folder of shards, or a name that only the hook understands
        return replace(data, path=shown)
    return replace(data, path=shown, sha256=sha256(source.path.read_bytes()).hexdigest())
