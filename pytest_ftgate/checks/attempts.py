"""Several attempts on one test set, which share the probability of a false pass.

The attempts on a test set are the distinct sets of answers, of the candidate and of the baselines.
Each may spend half of what is left of the gate's level, and the last one all of it, so that all of
them together pass a useless candidate no more often than one alone (a union bound). Each has a line
in the ledger. A tenth of the examples, chosen by hash, may be shown. It never counts, because what
is shown can be corrected without any gain elsewhere. ``benchmarks/attempts.py`` measures what this
prevents.

Without ``max_attempts``, other answers than at the last verdict are a warning.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pytest_ftgate import git, plain
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import (
    DataSet,
    Example,
    canonical_json,
    expected_text,
    normalized_input,
    strict_json,
)
from pytest_ftgate.errors import (
    ConfigError,
    DataError,
    HistoryError,
    NoHistoryError,
    StoreError,
    Where,
    shown_path,
)
from pytest_ftgate.metrics import Metric
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.result import AttemptResult, Check, Threshold
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import plural, show_percent

_MOST = 400  # hashes of a test set in a line; the smallest ones of a larger set are a random sample
_SHOWN_ONE_IN = 10
_DECIMALS = 12  # of a level, so that what is spent adds up
_NOTE = "attempt: "


# --- the test set ---------------------------------------------------------------------------------


class Shown(NamedTuple):
    """Hold the examples that may be shown, and the deciding metric for them. They do not count."""

    test: DataSet
    metric: Metric


def hash_of(text: str) -> str:
    """Return the first 8 hex digits of the SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def may_be_shown(example: Example) -> bool:
    """Return whether an example is in the tenth that may be shown, as all of its group are."""
    text = f"group {example.group}"
    if example.group is None:
        text = normalized_input(example.input)

    return int(hash_of(text), 16) % _SHOWN_ONE_IN == 0


def divide(config: GateKeys, test: DataSet) -> tuple[DataSet, DataSet]:
    """Return the examples that count, and those that may be shown and do not count.

    Raises:
        ConfigError: all examples may be shown.
    """
    counting: list[Example] = []
    showing: list[Example] = []
    for example in test:
        if may_be_shown(example):
            showing.append(example)
        else:
            counting.append(example)

    if not counting:
        message = "no test example counts, because all of them are in the tenth that may be shown"
        where = config.sources["test_set"].where()
        raise ConfigError(message, where=where, cure="Add examples of other groups.")

    return replace(test, examples=tuple(counting)), replace(test, examples=tuple(showing))


def fingerprint(examples: Iterable[Example]) -> tuple[str, ...]:
    """Return what identifies a test set: the hashes of its inputs with their expected outputs.

    Those of unlabeled_set are known by their inputs alone.
    """
    hashes = set()
    for example in examples:
        text = normalized_input(example.input)
        if example.expected is not None:
            text += f"\n{expected_text(example.expected)}"
        hashes.add(hash_of(text))

    return tuple(sorted(hashes)[:_MOST])


def same_test_set(current: tuple[str, ...], earlier: tuple[str, ...]) -> bool:
    """Return whether half of the examples were there before, as far as both kept their hashes."""
    # A large test set keeps only its smallest hashes, so larger ones cannot be compared.
    comparable = {example for example in current if len(earlier) < _MOST or example <= earlier[-1]}
    return bool(comparable) and 2 * len(comparable.intersection(earlier)) >= len(comparable)


# --- attempts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """Hold one line of the ledger.

    Attributes:
        candidate: its spelling, and a hash of the key of its first answer.
        answers: a hash of all answers of the candidate, then of those of each baseline, which are
            sorted.
        test_set: the fingerprint of the test set.
        gain: the measured gain, in the metric's unit; None where the gate asks for agreement alone.
        level: the probability of a false pass that the attempt was allowed, such as 0.0125.
        at: when it was judged, as ``2026-08-01T14:05:09Z``.
    """

    __pydantic_config__: ClassVar[object] = {"extra": "forbid"}

    gate: str
    candidate: str
    answers: plain.Hashes
    test_set: plain.Hashes
    gain: float | None
    verdict: Literal["pass", "fail", "inconclusive"]
    level: float
    at: str


@dataclass(frozen=True)
class Attempt:
    """Hold which attempt on its test set a gate judges.

    Attributes:
        config: the keys of the gate, before the level of the attempt.
        candidate, answers, test_set: as in the ledger; ``answers`` is empty until all answers are
            known.
        before: the attempts on this test set in the ledger, in their order; none without
            ``max_attempts``.
    """

    config: GateKeys
    candidate: str
    test_set: tuple[str, ...]
    answers: tuple[str, ...] = ()
    before: tuple[Entry, ...] = ()

    def answered(self, runs: Mapping[str, Run]) -> "Attempt":
        """Return the attempt with the answers of its runs, among those of the ledger as it is now.

        Raises:
            DataError: the ledger is damaged.
        """
        candidate = _hash_of_answers(runs["candidate"])
        baselines = [_hash_of_answers(run) for role, run in runs.items() if role != "candidate"]
        # The names and the order of baselines make no new attempt.
        answers = (candidate, *sorted(baselines))
        return replace(self, answers=answers, before=_attempts_on(self.test_set, self.config))

    @property
    def number(self) -> int:
        """Return which attempt this is, from 1; before its answers, the last of its candidate."""
        numbers = [number for number, entry in enumerate(self.before, 1) if self._is_like(entry)]
        return numbers[-1] if numbers else len(self.before) + 1

    def _is_like(self, entry: Entry) -> bool:
        if self.answers:
            return entry.answers == self.answers
        return entry.candidate == self.candidate

    @property
    def is_known(self) -> bool:
        """Return whether the ledger has this attempt, by its answers."""
        return bool(self.answers) and self.number <= len(self.before)

    @property
    def level(self) -> float:
        """Return the probability of a false pass that the attempt may spend; 0 if none is left.

        Half of what the attempts before left of the gate's, and the last one all of it. A known
        attempt keeps the level of its line.
        """
        # The levels of all attempts add up to no more than that of the gate (a union bound).
        spent = sum(entry.level for entry in self.before[: self.number - 1])
        left = max(0.0, round(1 - self.config.confidence - spent, _DECIMALS))
        if self.number <= len(self.before):
            return min(left, self.before[self.number - 1].level)
        if self.config.max_attempts in (None, self.number):
            return left
        return round(left / 2, _DECIMALS)

    @property
    def _is_allowed(self) -> bool:
        most = self.config.max_attempts
        return most is None or (self.number <= most and self.level > 0)

    @property
    def facts(self) -> AttemptResult | None:
        """Return the facts for the result; None without ``max_attempts``."""
        if self.config.max_attempts is None:
            return None

        confidence = 1 - self.level if self._is_allowed else None
        return AttemptResult(self.number, self.config.max_attempts, confidence)

    @property
    def levelled(self) -> GateKeys:
        """Return the keys of the gate at the confidence of this attempt, if it may be judged."""
        facts = self.facts
        if facts is None or facts.confidence is None:
            return self.config

        return self.config.model_copy(update={"confidence": facts.confidence})

    def check_number(self) -> Iterator[Check]:
        """Check that the attempt is none beyond ``max_attempts``, and that it has a level."""
        facts = self.facts
        if facts is None or self._is_allowed:
            return

        message = f"attempt {facts.number:,} on this test set, "
        if facts.number > facts.most:
            message += f"and {facts.most:,} are allowed"
        else:
            level = show_percent(1 - self.config.confidence)
            message += f"and nothing is left of the {level} chance of a false pass: the attempts "
            message += "before spent all of it, and raising max_attempts adds nothing"
        message += f" ({shown_path(_ledger_path(self.config))})"
        cure = "Keep the baseline, or label a fresh test set, which shares less than half of its "
        cure += "examples with this one."
        yield self._check("fail", message, cure)

    def check(self) -> Iterator[Check]:
        """Check which attempt the answers are, once they are known."""
        yield from self.check_number()

        facts = self.facts
        if facts is not None and self._is_allowed:
            yield self._check("pass", str(facts))

    def _check(
        self, status: Literal["pass", "fail"], message: str, cure: str | None = None
    ) -> Check:
        max_attempts = self.config.max_attempts
        source = str(self.config.sources["max_attempts"])
        threshold = Threshold("max_attempts", max_attempts)
        return Check(
            "max_attempts",
            status,
            message,
            observed=self.number,
            required=max_attempts,
            source=source,
            cure=cure,
            threshold=threshold,
        )

    def check_last(self, notes: Store) -> Iterator[Check]:
        """Without ``max_attempts``, warn of other answers than at the last verdict."""
        if self.config.max_attempts is not None:
            return

        last = self._last_verdict(notes)
        if last is None or last.answers == self.answers:
            return
        if not same_test_set(self.test_set, last.test_set):
            return

        models = "a baseline"
        if last.answers[0] != self.answers[0]:
            models = "the candidate"
        message = f"the answers of {models} are not those of the last verdict ({last.at[:10]}): "
        message += "each new set of answers makes a lucky pass more likely"
        source = str(self.config.sources["max_attempts"])
        cure = "Set max_attempts, which gives each attempt a share of the chance of a false pass, "
        cure += "or label a fresh test set."
        yield Check("attempts", "warning", message, source=source, cure=cure)

    def _last_verdict(self, notes: Store) -> Entry | None:
        """Return the last verdict of this gate on this machine, if there is one to be read."""
        with suppress(StoreError, ValueError):
            text = notes.note(self._note)
            if text is not None:
                return plain.from_plain(Entry, strict_json.parse_json(text))

        return None

    @property
    def _name(self) -> str:
        return self.config.gate or self.config.name

    @property
    def _note(self) -> str:
        return f"{_NOTE}{self._name}"

    def keep(
        self,
        gain: float | None,
        verdict: Literal["pass", "fail", "inconclusive"],
        at: str,
        notes: Store,
        tell: Callable[[str], None] | None,
    ) -> Iterator[Check]:
        """Add a new attempt to the ledger; without ``max_attempts`` only note its answers.

        Args:
            gain: the measured gain, in the metric's unit; None where none is asked for.
            verdict: of the gate.
            at: when it was judged.
            notes: the notes of this machine.
            tell: in a CI job, tells people the line that they have to commit; None: it is written.

        Raises:
            DataError: the ledger cannot be written.
        """
        entry = Entry(
            gate=self._name,
            candidate=self.candidate,
            answers=self.answers,
            test_set=self.test_set,
            gain=gain,
            verdict=verdict,
            level=self.level,
            at=at,
        )
        line = json.dumps(asdict(entry))

        if self.config.max_attempts is None:
            with suppress(StoreError):  # the verdict does not depend on it
                notes.keep_note(self._note, line)
            return
        # The same answers are the same attempt, judged again.
        if self.is_known:
            return

        path = _ledger_path(self.config)
        if tell is None:
            _add_line(path, line)
            message = f"the attempt was added to {shown_path(path)}"
            yield Check("attempts", "note", message, cure=f"Commit {shown_path(path)}.")
            return

        tell(f"commit this line to {shown_path(path)}:\n{line}")
        message = f"the committed {shown_path(path)} has no line for this verdict, "
        message += "so later attempts would not count it"
        cure = f"Commit the line that is printed at the end of the session to {shown_path(path)}."
        yield Check("attempts", "error", message, cure=cure)


def find_attempt(config: GateKeys, model: Model, test: DataSet) -> Attempt:
    """Return which attempt a candidate is, as far as that is known before its answers.

    It is known by the key of its first answer, a callable by its spelling.

    Raises:
        DataError: the ledger is damaged.
    """
    # A callable without a revision may answer otherwise next time.
    name = config.candidate.spelling
    if model.persistent or model.function is None:
        name += f" {hash_of(key_of(model, test.examples[0]))}"

    test_set = fingerprint(test)
    return Attempt(config, name, test_set, before=_attempts_on(test_set, config))


def _hash_of_answers(run: Run) -> str:
    """Return a hash of all answers of a model, whatever the order of the examples."""
    answers = []
    for example, *predictions in zip(run.test_set, *run.predictions, strict=True):
        texts = [prediction.completion and prediction.completion.text for prediction in predictions]
        answers.append([normalized_input(example.input), *texts])

    answers.sort(key=itemgetter(0))
    return hash_of(canonical_json(answers))


# --- the ledger -----------------------------------------------------------------------------------


def check_history(config: GateKeys, ref: str | None) -> Iterator[Check]:
    """Check that the ledger begins with its lines at the merge base, if there is git."""
    if config.max_attempts is None:
        return

    path = _ledger_path(config)
    try:
        base = git.find_base(path.parent, ref)
        base_ledger = base.content(path)
        ledger = path.read_bytes() if path.exists() else b""
    except NoHistoryError:
        return
    except (HistoryError, OSError) as error:
        message = f"the ledger of attempts cannot be compared with its earlier version: {error}"
        yield Check("attempts", "note", message)
        return

    # Lines may be added, but none may be changed or removed.
    lines = (base_ledger or b"").splitlines()
    if ledger.splitlines()[: len(lines)] != lines:
        count = plural(len(lines), "line")
        message = f"{shown_path(path)} does not begin with its {count} at the merge base"
        cure = "Restore them from git, and add new lines after them."
        yield Check("attempts", "error", message, cure=cure)


def _ledger_path(config: GateKeys) -> Path:
    """Return the path of the ledger: beside the gate file, or else beside the marker."""
    of_file = (source for source in config.sources.values() if source.kind in ("file", "defaults"))
    return next(of_file, config.sources["max_attempts"]).absolute("ftgate-attempts.jsonl")


def _attempts_on(test_set: tuple[str, ...], config: GateKeys) -> tuple[Entry, ...]:
    """Return the first line of each set of answers to a test set; none without ``max_attempts``."""
    if config.max_attempts is None:
        return ()

    attempts: dict[tuple[str, ...], Entry] = {}
    for entry in _read_ledger(_ledger_path(config)):
        if same_test_set(test_set, entry.test_set):
            attempts.setdefault(entry.answers, entry)

    return tuple(attempts.values())


def _read_ledger(path: Path) -> list[Entry]:
    """Return the lines of the ledger. Raise :class:`DataError` if one cannot be read."""
    entries: list[Entry] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            entries.append(plain.from_plain(Entry, strict_json.parse_json(line)))
    except (OSError, ValueError) as error:
        message = "the line is not an attempt: the ledger was damaged or edited"
        where = Where(shown_path(path), len(entries) + 1)
        evidence = " ".join(str(error).partition(" [type=")[0].split())
        cure = "Restore the file from git: lines are only added at its end, by pytest-ftgate."
        raise DataError(message, where=where, evidence=evidence, cure=cure) from None

    return entries


def _add_line(path: Path, line: str) -> None:
    try:
        ends_whole = not path.exists() or path.read_bytes()[-1:] in (b"", b"\n")
        with path.open("a", encoding="utf-8", newline="\n") as file:
            if not ends_whole:  # somebody cut or merged the file
                file.write("\n")
            file.write(f"{line}\n")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> DataError:
    message = f"the attempt could not be written: {error.strerror}"
    return DataError(message, where=Where(shown_path(path)))


@contextmanager
def locked(config: GateKeys) -> Iterator[None]:
    """Let other processes wait that judge attempts of the same ledger: each has its own place.

    Raises:
        DataError: the ledger cannot be opened.
    """
    path = _ledger_path(config)
    try:
        # Opening it for appending creates the ledger, which the lock needs.
        file = path.open("ab")
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 40)  # the locked byte cannot be read
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise _unwritable(path, error) from None

    with file:  # closing it ends the lock
        yield
