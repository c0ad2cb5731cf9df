"""What is remembered of earlier verdicts: the last green one, and the attempts on a test set, with their ledger.

The ledger has one line for each candidate and its answers on a test set. Without ``max_attempts`` the same lines are
notes of this machine.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

from pytest_ftgate.config import GateKeys
from pytest_ftgate.data import DataSet, Example, canonical_json, expected_text, normalized_input
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.metrics import Metric
from pytest_ftgate.plain import from_plain
from pytest_ftgate.result import AttemptResult
from pytest_ftgate.runs.jobs import Run

_HEX = 8
_MOST = 400
"""The most hashes that a line keeps. Of a larger test set it keeps the smallest, which are a random sample."""
_SHOWN_ONE_IN = 10
_LATEST = 1e11  # seconds since the epoch


def hash_of(text: str, digits: int = _HEX) -> str:
    """Return the first hex digits of the SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def fingerprint(examples: Iterable[Example]) -> str:
    """Return what identifies a test set: the hashes of its inputs with their expected outputs."""
    return joined({hash_of(f"{normalized_input(one.input)}\n{expected_text(one.expected)}") for one in examples})


def joined(hashes: Iterable[str]) -> str:
    """Return hashes as a line of the ledger has them: sorted, and the smallest ones of many."""
    return "".join(sorted(hashes)[:_MOST])


def same_test_set(now: str, then: str) -> bool:
    """Return whether at least half of the examples were there before, as far as both kept their hashes."""
    own, known = _hashes(now), _hashes(then)
    if len(known) == _MOST:
        own = [one for one in own if one <= known[-1]]
    return bool(own) and 2 * len(set(own) & set(known)) >= len(own)


def _hashes(text: str) -> list[str]:
    return [text[at : at + _HEX] for at in range(0, len(text), _HEX)]


def may_be_shown(example: Example) -> bool:
    """Return whether an example is in the tenth that may be shown. Examples of one group stay together."""
    text = normalized_input(example.input) if example.group is None else f"group {example.group}"
    return int(hash_of(text), 16) % _SHOWN_ONE_IN == 0


def answers_of(run: Run) -> frozenset[str]:
    """Return what identifies a candidate's answers: a hash of each input with the answers to it.

    A missing answer differs from all others.
    """
    found = set()
    for example, *given in zip(run.test_set, *run.predictions, strict=True):
        texts = [None if one.completion is None else one.completion.text for one in given]
        found.add(hash_of(canonical_json([normalized_input(example.input), *texts])))
    return frozenset(found)


@dataclass(frozen=True)
class Entry:
    """Hold one line of the ledger.

    Attributes:
        gate: its name.
        candidate: its spelling, and after a blank the hashes that identify it, of which any one is enough.
        answers: the hashes of its answers.
        test_set: the fingerprint of the test set it was judged on.
        gain: the measured gain, in the metric's unit.
        verdict: of the complete judgement.
        level: the probability of a false pass that the attempt was allowed, such as 0.0125.
        at: when it was judged, as ``2026-08-01T14:05:09Z``.
    """

    __pydantic_config__: ClassVar[object] = {"extra": "forbid"}

    gate: str
    candidate: str
    answers: str
    test_set: str
    gain: float
    verdict: Literal["pass", "fail", "inconclusive"]
    level: float
    at: str

    @property
    def identity(self) -> frozenset[str]:
        """Return the hashes that identify the candidate."""
        return frozenset(self.candidate.rpartition(" ")[2].split(","))

    def to_line(self) -> str:
        """Return the line, without its end."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_line(cls, text: str) -> "Entry":
        """Return the entry in a line. Raises :class:`ValueError` if the line is not one."""
        entry = from_plain(cls, parse_json(text))
        for name in ("answers", "test_set"):
            if re.fullmatch(f"([0-9a-f]{{{_HEX}}})+", getattr(entry, name)) is None:
                raise ValueError(f"{name} is not hashes of {_HEX} hex digits")
        return entry


@dataclass(frozen=True)
class Attempt:
    """Hold which attempt on its test set a candidate is.

    Attributes:
        asked: the keys of the gate, before the level of the attempt.
        whole: the test set with the examples that do not count.
        metric: the deciding metric, for any part of the test set.
        identity: hashes that identify the candidate: two with a common one are the same.
        seen: the fingerprint of the test set.
        number: which attempt on the test set this was expected to be, from 1.
        before: the distinct attempts on the same test set, in their order.
        answers: the hashes of the candidate's; None: unknown.
        runs: those over the whole test set, by role.
    """

    asked: GateKeys
    whole: DataSet
    metric: Metric
    identity: tuple[str, ...]
    seen: str
    number: int = 1
    before: tuple[Entry, ...] = ()
    answers: frozenset[str] | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)

    def among(self, entries: Iterable[Entry]) -> "Attempt":
        """Return this attempt after others: those of one candidate with the same answers are one."""
        found = list[Entry]()
        for entry in entries:
            known = any(one.answers == entry.answers and one.identity & entry.identity for one in found)
            if not known and same_test_set(self.seen, entry.test_set):
                found.append(entry)
        following = len(found) + 1
        own = [(place, one) for place, one in enumerate(found, 1) if self.is_of(one)]
        if self.answers is None:  # a known candidate may be asked, since it may give the answers that were judged
            number = min(following, self.most or following) if own else following
        else:
            number = next((place for place, one in own if self.answers.issuperset(_hashes(one.answers))), following)
        return replace(self, before=tuple(found), number=number)

    def is_of(self, entry: Entry) -> bool:
        """Return whether an attempt is of the same candidate."""
        return not entry.identity.isdisjoint(self.identity)

    @property
    def is_known(self) -> bool:
        """Return whether it was judged before."""
        return self.answers is not None and self.number <= len(self.before)

    @property
    def most(self) -> int | None:
        """Return ``max_attempts``; None where it is not set."""
        return self.asked.max_attempts

    @property
    def facts(self) -> AttemptResult | None:
        """Return the facts for the result; None without ``max_attempts``."""
        if self.most is None:
            return None
        before, confidence = (_confidence(self.asked.confidence, k) for k in (self.number - 1, self.number))
        return AttemptResult(self.number, self.most, before, confidence)

    @property
    def config(self) -> GateKeys:
        """Return the keys that this attempt is judged by. They have no ``max_attempts``, so that it counts once."""
        if self.facts is None:
            return self.asked
        return self.asked.model_copy(update={"confidence": self.facts.confidence, "max_attempts": None})

    @property
    def counted(self) -> DataSet:
        """Return the examples that count: with ``max_attempts`` from the second attempt on none that may be shown."""
        if self.most is None or self.number == 1:
            return self.whole
        examples = tuple(example for example in self.whole if not may_be_shown(example))
        if not examples:
            raise DataError(
                "no test example counts: all of them may be shown, and these do not count after the first attempt",
                where=self.asked.sources["test_set"].where(),
                cure="Add examples, or groups of examples, to the test set.",
            )
        return replace(self.whole, examples=examples)

    @property
    def shown(self) -> DataSet | None:
        """Return the examples that may be shown, perhaps none; None: all of them, since attempts are not limited."""
        if self.most is None:
            return None
        return replace(self.whole, examples=tuple(filter(may_be_shown, self.whole)))


def _confidence(asked: float, attempt: int) -> float:
    """Return the confidence of attempt k: the level is that of the gate, times 2^-k, so that all sum up to less."""
    return 1 - (1 - asked) * 2.0**-attempt


@dataclass(frozen=True)
class LastGreen:
    """Hold what is remembered of the last green verdict of a gate.

    Attributes:
        judged_at: seconds since the epoch.
        test_set: SHA-256 of its bytes, in hex.
        examples: number of test examples.
        models: by role, the name that must not change: see :func:`~pytest_ftgate.checks.freshness.keep_green`.
    """

    __pydantic_config__: ClassVar[Any] = {"strict": True, "extra": "forbid"}

    judged_at: float
    test_set: str
    examples: int
    models: dict[str, str]

    def to_text(self) -> str:
        """Return the verdict as the JSON text of a note."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_text(cls, text: str | None) -> "LastGreen | None":
        """Return the verdict in a note; None if there is none, or its text is something else."""
        from pydantic import TypeAdapter

        with suppress(ValueError):
            green = TypeAdapter(cls).validate_json(text or "")
            return green if 0 <= green.judged_at < _LATEST else None
        return None


# --- the file ------------------------------------------------------------------------------------------------


def read_ledger(path: Path) -> list[Entry]:
    """Return all lines of a ledger; none if the file does not exist.

    Raise :class:`DataError` if it cannot be read, or a line is damaged.
    """
    try:
        return _entries(path.read_bytes() if path.exists() else b"", path)
    except OSError as error:
        what = f"the ledger of attempts cannot be read: {error.strerror}"
        raise DataError(what, where=Where(shown_path(path))) from None


def _entries(content: bytes, path: Path) -> list[Entry]:
    found: list[Entry] = []
    for line in content.removesuffix(b"\n").split(b"\n") if content.strip() else ():
        try:
            found.append(Entry.from_line(line.decode("utf-8")))
        except ValueError as error:
            raise DataError(
                "the line is not an attempt: the ledger was damaged or edited",
                where=Where(shown_path(path), len(found) + 1),
                evidence=" ".join(str(error).partition(" [type=")[0].split()),
                cure="Restore the file from git: lines are only added at its end, by pytest-ftgate.",
            ) from None
    return found


def append(path: Path, decide: Callable[[list[Entry]], Entry | None]) -> Entry | None:
    """Add the line that ``decide`` makes of the lines that are there, and return it; None: nothing is added.

    Other processes wait meanwhile, so that two of them cannot both take the same attempt.

    Raise :class:`DataError` if a line is damaged, and :class:`OSError` if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _lock(file)
        file.seek(0)
        content = file.read()
        entry = decide(_entries(content, path))
        if entry is not None:
            start = "\n" if content and not content.endswith(b"\n") else ""
            file.write(f"{start}{entry.to_line()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        return entry


def _lock(file: BinaryIO) -> None:
    """Lock a file until it is closed."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
