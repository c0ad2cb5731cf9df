"""The data of a gate: the training set as counted, and the test set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The training set as counted: see :class:`pytest_ftgate.training.TrainingAudit`.

    ``imbalance`` is the rows of the most frequent label by those of the rarest, ``None`` where outputs are no labels;
    ``suspicious`` counts rows whose nearest neighbours carry another label; the others are counts of rows.
    """

    path: str | None = None
    sha256: str | None = None
    rows: int | None = None
    usable: int | None = None
    duplicates: int | None = None
    conflicts: int | None = None
    leaked: int | None = None
    near_duplicates: int | None = None
    leaked_near: int | None = None
    truncated: int | None = None
    chat_errors: int | None = None
    too_long: int | None = None
    imbalance: float | None = None
    suspicious: int | None = None


@dataclass(frozen=True, slots=True)
class TestSetResult:
    """The test set: where it came from, the hash of its bytes, the number of examples."""

    __test__ = False  # pytest collects classes by their name

    path: str | None = None
    sha256: str | None = None
    examples: int | None = None
