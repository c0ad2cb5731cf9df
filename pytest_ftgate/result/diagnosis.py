"""What the answers are like: mistakes, what was fixed and broken, what a metric's value is made of, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flip:
    """An example that one model gets right and the other does not; ``why``: what the metric says of the candidate's."""

    id: str
    input: str
    expected: str
    baseline: str
    candidate: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class BreakdownResult:
    """What the value of one metric of one model is made of: see :class:`pytest_ftgate.metrics.Breakdown`.

    ``role`` is ``baseline``, for the one in the headline, or ``candidate``.
    """

    metric: str
    role: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    shares: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each model answers a label where another is expected."""

    expected: str
    answered: str
    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Of the answers to examples of one label, how many each model gets right; ``None`` without a candidate."""

    label: str
    answers: int
    baseline: int
    candidate: int | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the answers are like: see :func:`pytest_ftgate.diagnosis.mistakes.diagnose`.

    ``baseline`` (the best one) and ``candidate`` count answers: ``right``, and each kind of mistake that was made.
    ``confusions`` and ``labels`` are empty where the outputs are no labels. ``fixed`` and ``broken`` are the ids of all
    examples that the candidate answers better or worse. ``wrong_in_both`` counts examples that neither model ever gets
    right, ``recalled`` fixed ones whose output is told by the training set and not by their input.
    """

    baseline: Mapping[str, int]
    candidate: Mapping[str, int] | None = None
    confusions: tuple[Confusion, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    fixed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    wrong_in_both: int | None = None
    recalled: int | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a gate that is not green.

    Attributes:
        action: ``measure_again``, ``fix_data``, ``add_examples``, ``better_prompt``, ``retrieval``, ``another_model``,
            ``cut_costs``, ``stop``.
        text: what to do.
        fact: what that rests on.
    """

    action: str
    text: str
    fact: str
