"""Several attempts on one test set: each is judged at half the level of the one before, and has a line in the ledger.

Other answers are another attempt, and so is another candidate until its answers are known. A tenth of the examples,
chosen by hash, may be shown; it does not count from the second attempt on, because it can be mended without any gain
elsewhere. ``benchmarks/attempts.py`` measures what this prevents. Without ``max_attempts`` attempts are only noted.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

from pytest_ftgate import git, plain
from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, Example, canonical_json, expected_text, normalized_input, strict_json
from pytest_ftgate.errors import ConfigError, DataError, HistoryError, StoreError, Where, shown_path
from pytest_ftgate.metrics import Metric
from pytest_ftgate.models import Model, key_of
from pytest_ftgate.result import AttemptResult, Check, Threshold
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.store import Store
from pytest_ftgate.text import ordinal, plural

_MOST = 400  # hashes in a line; the smallest ones of a larger test set are a random sample
_SHOWN_ONE_IN = 10
_NOTE = "attempt: "


def hash_of(text: str) -> str:
    """Return the first 8 hex digits of the SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def fingerprint(examples: Iterable[Example]) -> tuple[str, ...]:
    """Return what identifies a test set: the hashes of its inputs with their expected outputs."""
    hashes = {hash_of(f"{normalized_input(one.input)}\n{expected_text(one.expected)}") for one in examples}
    return tuple(sorted(hashes)[:_MOST])


def same_test_set(now: tuple[str, ...], then: tuple[str, ...]) -> bool:
    """Return whether at least half of the examples were there before, as far as both kept their hashes."""
    own = {one for one in now if len(then) < _MOST or one <= then[-1]}
    return bool(own) and 2 * len(own.intersection(then)) >= len(own)


def may_be_shown(example: Example) -> bool:
    """Return whether an example is in the tenth that may be shown. Examples of one group stay together."""
    text = normalized_input(example.input) if example.group is None else f"group {example.group}"
    return int(hash_of(text), 16) % _SHOWN_ONE_IN == 0


class MovedError(Exception):
    """Report that this is another attempt than it was judged as: by its answers, or since another process took it."""


@dataclass(frozen=True)
class Entry:
    """Hold one line of the ledger.

    Attributes:
        candidate: its spelling, and a hash of the key of its first answer.
        answers: the hashes of its answers.
        test_set: the fingerprint of the test set.
        gain: the measured gain, in the metric's unit.
        level: the probability of a false pass that the attempt was allowed, such as 0.0125.
        at: when it was judged, as ``2026-08-01T14:05:09Z``.
    """

    __pydantic_config__: ClassVar[object] = {"extra": "forbid"}

    gate: str
    candidate: str
    answers: plain.Hashes
    test_set: plain.Hashes
    gain: float
    verdict: Literal["pass", "fail", "inconclusive"]
    level: float
    at: str


@dataclass(frozen=True)
class Attempt:
    """Hold which attempt on its test set a candidate is.

    Attributes:
        asked: the keys of the gate, before the level of the attempt.
        whole: the test set with the examples that do not count.
        metric: the deciding metric, for any part of the test set.
        candidate, test_set: as in the ledger.
        number, before: which attempt on the test set this is, from 1, and the distinct ones before, in their order.
        answers: the hashes of its answers; empty: not known yet, and expected to be those that were judged last.
        runs: those over the whole test set, by role.
    """

    asked: GateKeys
    whole: DataSet
    metric: Metric
    candidate: str
    test_set: tuple[str, ...]
    number: int = 1
    answers: frozenset[str] = frozenset()
    before: tuple[Entry, ...] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)

    def among(self, entries: Iterable[Entry]) -> "Attempt":
        """Return this attempt after others: the same answers are one, and before they are known one candidate's."""
        before = {(one.candidate, one.answers): one for one in entries if same_test_set(self.test_set, one.test_set)}
        known, answers = len(before) + 1, tuple(sorted(self.answers)[:_MOST])
        for number, one in enumerate(before.values(), 1):
            own = one.candidate == self.candidate and self.answers.issuperset(one.answers if answers else ())
            known = number if own or one.answers == answers else known
        return replace(self, before=tuple(before.values()), number=known)

    def answered(self, runs: Mapping[str, Run]) -> "Attempt":
        """Return this attempt with its answers known: a hash of each input with the answers to it."""
        answers = set()
        for example, *given in zip(self.whole, *runs["candidate"].predictions, strict=True):
            texts = [one.completion and one.completion.text for one in given]
            answers.add(hash_of(canonical_json([normalized_input(example.input), *texts])))
        found = replace(self, runs=runs, answers=frozenset(answers))
        return found if self.facts else found.among(self.before)

    @property
    def is_known(self) -> bool:
        """Return whether it was judged before: this candidate, by these answers, as this attempt."""
        return bool(self.answers) and self.among(self.before).number == self.number <= len(self.before)

    @property
    def facts(self) -> AttemptResult | None:
        """Return the facts for the result; None without ``max_attempts``. Attempt k has the gate's level times 2^-k."""
        most, level = self.asked.max_attempts, 1 - self.asked.confidence
        levels = (1 - level * 2.0**-k for k in (self.number - 1, self.number))
        return None if most is None else AttemptResult(self.number, most, *levels)

    @property
    def config(self) -> GateKeys:
        """Return the keys that this attempt is judged by. They have no ``max_attempts``, so that it counts once."""
        level = {} if self.facts is None else {"confidence": self.facts.confidence, "max_attempts": None}
        return self.asked.model_copy(update=level) if level else self.asked

    @property
    def counted(self) -> DataSet:
        """Return the examples that count: with ``max_attempts`` from the second attempt on none that may be shown."""
        if self.facts is None or self.number == 1:
            return self.whole
        if counted := tuple(example for example in self.whole if not may_be_shown(example)):
            return replace(self.whole, examples=counted)
        what = "no test example counts: all may be shown, and such examples count in the first attempt only"
        raise ConfigError(what, where=self.asked.sources["test_set"].where(), cure="Add examples of other groups.")

    @property
    def shown(self) -> DataSet | None:
        """Return the examples that may be shown, perhaps none; None: all of them, since attempts are not limited."""
        return None if self.facts is None else replace(self.whole, examples=tuple(filter(may_be_shown, self.whole)))

    def check(self) -> Iterator[Check]:
        """Check before any call that the attempt is none beyond ``max_attempts``."""
        if (facts := self.facts) is None:
            return
        threshold = Threshold("max_attempts", facts.most)
        limit = facts.number, facts.most, str(self.asked.sources["max_attempts"])
        if facts.number <= facts.most:
            spared = len(self.whole) - len(self.counted)
            message = f"{facts}; {spared:,} of {plural(len(self.whole), 'example')} may be shown and do not count"
            yield Check("max_attempts", "pass", message if spared else str(facts), *limit, threshold=threshold)
            if self.asked.evidence == "observed":
                message = "evidence: observed has no level, so max_attempts only limits the number of attempts"
                source = str(self.asked.sources["evidence"])
                yield Check("attempts", "warning", message, source=source, advice="Set evidence: significant.")
            return
        message = f"attempt {facts.number:,} of {facts.most:,} on this test set ({shown_path(_path(self.asked))})"
        cure = "Label a fresh test set, of which less than half is known, or take another approach."
        yield Check("max_attempts", "fail", message, *limit, cure, "stop", threshold)

    def check_again(self) -> Iterator[Check]:
        """Without ``max_attempts``, warn of other answers than it was judged by before, and note a later candidate."""
        if self.facts is not None or self.number == 1:
            return
        limit = 1, str(self.asked.sources["max_attempts"])
        cure = "Set max_attempts, which judges each attempt at a stricter level, or label a fresh test set."
        if again := sum(one.candidate == self.candidate for one in self.before[: self.number - 1]):
            message = f"judged again with other answers: {ordinal(again + 1)} time"
            yield Check("attempts", "warning", message, again + 1, *limit, cure)
        else:
            message = f"this is attempt {self.number:,} on this test set: each one makes a lucky pass more likely"
            yield Check("attempts", "note", message, self.number, *limit, cure)

    def keep(self, gain: float, verdict: Any, at: str, notes: Store, tell: Callable[[str], None] | None) -> list[Check]:
        """Add a verdict to the ledger, or ``tell`` the line that is to be committed; without a limit only note it.

        Raise :class:`MovedError`, or :class:`DataError` if the ledger is damaged or cannot be written.
        """
        answers, level = tuple(sorted(self.answers)[:_MOST]), round(1 - self.config.confidence, 12)
        name = self.asked.gate or self.asked.name
        line = json.dumps(asdict(Entry(name, self.candidate, answers, self.test_set, gain, verdict, level, at)))
        if self.facts is None:
            with suppress(StoreError):
                if not self.is_known:
                    notes.keep_note(f"{_NOTE}{hash_of(line)}", line)
            return []
        shown = shown_path(path := _path(self.asked))
        with nullcontext() if tell else _locked(path) as file:
            now = self.among(_ledger(path))
            if now.number != self.number:
                raise MovedError
            if now.is_known:
                return []
            if file is not None:
                file.write(f"{line}\n".encode())
        if not tell:
            return [Check("attempts", "note", f"the attempt was added to {shown}", advice=f"Commit {shown}.")]
        tell(f"commit this line to {shown}:\n{line}")
        message = f"this verdict is not in the committed {shown}, so that later attempts would not count it"
        return [Check("attempts", "error", message, advice=f"Commit the line printed after the session to {shown}.")]


def find_attempt(
    config: GateKeys, model: Model, metric: Metric, test: DataSet, notes: Store, answers: frozenset[str]
) -> Attempt:
    """Return which attempt on the whole test set a model is; ``answers`` are the hashes of its, empty if unknown.

    It is known by the key of its first answer, a callable by its spelling. :class:`DataError`: the ledger is damaged.
    """
    name, earlier = config.candidate.spelling, list[Entry]()
    if model.persistent or model.function is None:
        name += f" {hash_of(key_of(model, test.examples[0]))}"
    if config.max_attempts is not None:
        earlier = _ledger(_path(config))
    else:
        with suppress(StoreError):
            for text in notes.notes(_NOTE).values():
                with suppress(ValueError):
                    earlier.append(plain.from_plain(Entry, strict_json.parse_json(text)))
        earlier = [one for one in earlier if one.gate == (config.gate or config.name)]
    return Attempt(config, test, metric, name, fingerprint(test), answers=answers).among(earlier)


def check_history(config: GateKeys, ref: str | None) -> Iterator[Check]:
    """Check that the ledger begins with its lines at the merge base with ``ref``; nothing without git."""
    if config.max_attempts is None:
        return
    path = _path(config)
    try:
        base = git.find_base(path.parent, ref)
        then, now = base and base.content(path), path.read_bytes() if path.exists() else b""
    except (HistoryError, OSError) as error:
        yield Check("attempts", "note", f"the ledger of attempts cannot be compared with its earlier version: {error}")
        return
    if now.splitlines()[: len(old := (then or b"").splitlines())] != old:
        message = f"{shown_path(path)} does not begin with its {plural(len(old), 'line')} at the merge base"
        yield Check("attempts", "error", message, advice="Restore them from git, and add new lines after them.")


def _path(config: GateKeys) -> Path:
    """Return the path of the ledger: beside the gate file; for a gate without one, beside its marker."""
    of_file = (one for one in config.sources.values() if one.kind in ("file", "defaults"))
    return next(of_file, config.sources["max_attempts"]).absolute("ftgate-attempts.jsonl")


def _ledger(path: Path) -> list[Entry]:
    """Return the lines of the ledger. Raises :class:`DataError` if it cannot be read, or a line is damaged."""
    found = list[Entry]()
    try:
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            found.append(plain.from_plain(Entry, strict_json.parse_json(line)))
    except (OSError, ValueError) as error:
        what = "the line is not an attempt: the ledger was damaged or edited"
        where, evidence = Where(shown_path(path), len(found) + 1), " ".join(str(error).partition(" [type=")[0].split())
        cure = "Restore the file from git: lines are only added at its end, by pytest-ftgate."
        raise DataError(what, where=where, evidence=evidence, cure=cure) from None
    return found


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Give the ledger for adding to it, while other processes wait, so that no two of them take one attempt."""
    try:
        with path.open("a+b") as file:
            if sys.platform == "win32":
                import msvcrt

                file.seek(1 << 40)  # the locked byte cannot be read
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
            if path.read_bytes()[-1:] not in (b"", b"\n"):
                file.write(b"\n")
            yield file
    except OSError as error:
        raise DataError(f"the attempt could not be written: {error.strerror}", where=Where(shown_path(path))) from None
