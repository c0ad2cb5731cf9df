"""Read and append the ledger of attempts: one line for each candidate and its answers on a test set."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal

from pytest_ftgate.data import canonical_json, expected_text, normalized_input
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import DataError, Where, shown_path

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from pytest_ftgate.data import Example
    from pytest_ftgate.runs.runner import Run

_STRICT = {"strict": True, "extra": "forbid", "allow_inf_nan": False}
_HEX = 8
_MOST = 400
"""The most hashes that a line keeps. Of a larger test set it keeps the smallest, which are a random sample."""


def hash_of(text: str, digits: int = _HEX) -> str:
    """Return the first hex digits of the SHA-256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _hash_of_example(example: Example) -> str:
    return hash_of(f"{normalized_input(example.input)}\n{expected_text(example.expected)}")


@dataclass(frozen=True)
class Fingerprint:
    """Identify a test set, so that its overlap with another one can be measured.

    Attributes:
        examples: how many different examples it has.
        hashes: the first 8 hex digits of the hash of each input with its expected output, sorted and joined; the
            smallest 400 of more.
    """

    __pydantic_config__: ClassVar[object] = _STRICT

    examples: int
    hashes: str

    @classmethod
    def of(cls, examples: Iterable[Example]) -> Fingerprint:
        """Return the fingerprint of examples. Other expected outputs on the same inputs are another test set."""
        hashes = sorted({_hash_of_example(example) for example in examples})
        return cls(len(hashes), "".join(hashes[:_MOST]))

    @property
    def parts(self) -> list[str]:
        """Return the hashes that are kept."""
        return [self.hashes[at : at + _HEX] for at in range(0, len(self.hashes), _HEX)]

    def is_seen_in(self, other: Fingerprint) -> bool:
        """Return whether at least half of the examples are in the other test set, as far as both kept their hashes."""
        own, known = self.parts, other.parts
        if len(known) < other.examples:
            own = [one for one in own if one <= known[-1]]
        return bool(own) and 2 * len(set(own) & set(known)) >= len(own)


@dataclass(frozen=True)
class Answers:
    """Hold a candidate's answers: for each example its hash, and its input with the answers to it as a text."""

    rows: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, run: Run) -> Answers:
        """Return the answers of a run; a missing one differs from all others."""
        found = []
        for example, *given in zip(run.test_set, *run.predictions, strict=True):
            texts = [None if one.completion is None else one.completion.text for one in given]
            found.append((_hash_of_example(example), canonical_json([normalized_input(example.input), *texts])))
        return cls(tuple(found))

    def hash_for(self, test_set: Fingerprint) -> str:
        """Return 16 hex digits of the hash of the answers: to a test set's examples if all are here, else of all.

        So the answers stay the same when examples are added, or when expected outputs are corrected.
        """
        kept = set(test_set.parts)
        known = dict.fromkeys(row for row in self.rows if row[0] in kept)
        whole = test_set.examples == len({example for example, _ in known})
        return hash_of("\n".join(sorted({text for _, text in (known if whole else self.rows)})), 16)


@dataclass(frozen=True)
class Entry:
    """Hold one line of the ledger.

    Attributes:
        gate: its name.
        candidate: its spelling, and after a blank the hashes that identify it, of which any one is enough.
        answers: the hash of its answers.
        test_set: the test set it was judged on.
        gain: the measured gain, in the metric's unit.
        verdict: of the complete judgement.
        level: the probability of a false pass that the attempt was allowed, such as 0.0125.
        at: when it was judged, as ``2026-08-01T14:05:09Z``.
    """

    __pydantic_config__: ClassVar[object] = _STRICT

    gate: str
    candidate: str
    answers: str
    test_set: Fingerprint
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
    def from_line(cls, text: str) -> Entry:
        """Return the entry in a line. Raises :class:`ValueError` if the line is not one."""
        parse_json(text)  # refuses duplicate keys and NaN
        entry = _adapter().validate_json(text)
        parts, examples = entry.test_set.parts, entry.test_set.examples
        if parts != sorted(set(parts)) or any(len(part) != _HEX for part in parts) or not parts:
            raise ValueError("test_set.hashes are not sorted hashes of 8 hex digits")
        if len(parts) != min(examples, _MOST):
            raise ValueError(f"test_set has {examples:,} examples and {len(parts):,} hashes")
        return entry


@cache
def _adapter() -> TypeAdapter[Entry]:
    from pydantic import TypeAdapter

    return TypeAdapter(Entry)


def read_ledger(path: Path) -> list[Entry]:
    """Return all lines of a ledger; none if the file does not exist.

    Raise :class:`DataError` if it cannot be read, or a line is damaged.
    """
    try:
        return list(_entries(path.read_bytes() if path.exists() else b"", path))
    except OSError as error:
        what = f"the ledger of attempts cannot be read: {error.strerror}"
        raise DataError(what, where=Where(shown_path(path))) from None


def _entries(content: bytes, path: Path) -> Iterator[Entry]:
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n") if content.strip() else (), 1):
        try:
            yield Entry.from_line(line.decode("utf-8"))
        except ValueError as error:
            raise DataError(
                "the line is not an attempt: the ledger was damaged or edited",
                where=Where(shown_path(path), number),
                evidence=_reason(error),
                cure="Restore the file from git: lines are only added at its end, by pytest-ftgate.",
            ) from None


def _reason(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


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
        entry = decide(list(_entries(content, path)))
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
