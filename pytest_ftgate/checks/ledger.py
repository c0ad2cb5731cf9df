"""Read and append the ledger of attempts: one line for each candidate and its answers on a test set."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal

from pytest_ftgate.data import Example, canonical_json, expected_text, normalized_input
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.plain import from_plain
from pytest_ftgate.runs.jobs import Run

_HEX = 8
_MOST = 400
"""The most hashes that a line keeps. Of a larger test set it keeps the smallest, which are a random sample."""


def hash_of(text: str, digits: int = _HEX) -> str:
    """Return the first hex digits of the SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _hash_of_example(example: Example) -> str:
    return hash_of(f"{normalized_input(example.input)}\n{expected_text(example.expected)}")


def fingerprint(examples: Iterable[Example]) -> str:
    """Return what identifies a test set: the hashes of its inputs with their expected outputs, sorted and joined."""
    return "".join(sorted({_hash_of_example(example) for example in examples})[:_MOST])


def same_test_set(now: str, then: str) -> bool:
    """Return whether at least half of the examples were there before, as far as both kept their hashes."""
    own, known = _hashes(now), _hashes(then)
    if len(known) == _MOST:
        own = [one for one in own if one <= known[-1]]
    return bool(own) and 2 * len(set(own) & set(known)) >= len(own)


def _hashes(joined: str) -> list[str]:
    return [joined[at : at + _HEX] for at in range(0, len(joined), _HEX)]


@dataclass(frozen=True)
class Answers:
    """Hold a candidate's answers: for each example its hash, and its input with the answers to it as a text."""

    rows: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, run: Run) -> "Answers":
        """Return the answers of a run; a missing one differs from all others."""
        found = []
        for example, *given in zip(run.test_set, *run.predictions, strict=True):
            texts = [None if one.completion is None else one.completion.text for one in given]
            found.append((_hash_of_example(example), canonical_json([normalized_input(example.input), *texts])))
        return cls(tuple(found))

    def hash_for(self, test_set: str) -> str:
        """Return 16 hex digits of the hash of the answers: to a test set's examples if all are here, else of all.

        So the answers stay the same when examples are added, or when expected outputs are corrected.
        """
        wanted = set(_hashes(test_set))
        whole = len(wanted) < _MOST and wanted <= {example for example, _ in self.rows}
        return hash_of("\n".join(sorted({text for one, text in self.rows if not whole or one in wanted})), 16)


@dataclass(frozen=True)
class Entry:
    """Hold one line of the ledger.

    Attributes:
        gate: its name.
        candidate: its spelling, and after a blank the hashes that identify it, of which any one is enough.
        answers: the hash of its answers.
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
        if re.fullmatch(f"([0-9a-f]{{{_HEX}}})+", entry.test_set) is None:
            raise ValueError(f"test_set is not hashes of {_HEX} hex digits")
        return entry


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
