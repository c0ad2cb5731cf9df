"""What the rules of advice look at: a judged gate, what it failed for, and whether its answers tell anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_ftgate.checks.bounds import RUN_METRICS
from pytest_ftgate.result import Check, Diagnosis, GateResult
from pytest_ftgate.runs.mistakes import OF_FORM, RIGHT

FORM_LEAST = 5
FORM_SHARE = 0.5

_BY_ANSWERS = (
    "margin",
    "evidence",
    "max_drop",
    "slices",
    "slices_size",
    "hypothesis_from",
    "hypothesis_to",
    "hypothesis_gain",
    "degenerate_candidate",
    "weak_baseline",
    "room",
    "power",
)
_NO_ANSWER = ("cut_off", "refusal", "missing")
_RED = ("fail", "inconclusive")


@dataclass(frozen=True)
class Facts:
    """What rules look at.

    Attributes:
        result: the gate with all its checks.
        training_labels: how often each output stands in the training set.
    """

    result: GateResult
    training_labels: Mapping[str, int]

    @property
    def diagnosis(self) -> Diagnosis:
        """Without answers there is nothing in it."""
        return self.result.diagnosis or Diagnosis({})

    @property
    def candidate(self) -> Mapping[str, int]:
        """The candidate's answers by kind; empty before training."""
        return self.diagnosis.candidate or {}

    def red(self, *names: str) -> Iterator[Check]:
        """The checks of these names that do not hold; ``economics.`` and ``alias_`` stand for all that begin so."""
        return (check for check in self.result.checks if check.status in _RED and _named(check.name, names))

    def said(self, *names: str) -> Iterator[Check]:
        """The checks of these names that do not hold, or warn."""
        return (
            check for check in self.result.checks if check.status in (*_RED, "warning") and _named(check.name, names)
        )

    @cached_property
    def lost(self) -> bool:
        """Whether the test set's answers are what the gate failed for, and not a guard, a cost or a date."""
        return any(self.red(*_BY_ANSWERS)) or any(self.bounds(quality=True))

    @cached_property
    def unmeasured(self) -> tuple[Check, ...]:
        """What says that the scores tell nothing of the candidate: a judge that looks at the order, one model twice."""
        return (*self.said(f"position_bias.{self.result.metric}"), *self.red("identical_outputs"))

    @cached_property
    def taught(self) -> bool:
        """Whether the answers show what training taught, good or bad: they are the candidate's, and have a form."""
        return self.lost and not self.unmeasured and not mostly_form(self.candidate)

    @property
    def unpaid(self) -> bool:
        """Whether the free checks failed, and no model was called."""
        return not self.result.models_called

    def bounds(self, *, quality: bool) -> Iterator[Check]:
        """Bounds on the candidate that do not hold: on how good its answers are, or on all else."""
        for check in self.red("require.candidate."):
            name = check.name.removeprefix("require.candidate.")
            if (name not in RUN_METRICS and name != "format") is quality:
                yield check

    def goal(self, *goals: str) -> Iterator[Check]:
        """That the goal is one of these, which the gate does not accept."""
        return (check for check in self.red("goal") if check.observed in goals)

    def surely_below(self, target: float) -> bool:
        """Whether the real gain is surely below it."""
        upper = self.result.upper_bound
        return upper is not None and upper < target


def _named(name: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(one) if one[-1] in "._" else name == one for one in names)


def mistakes_in(counts: Mapping[str, int]) -> int:
    """How many answers are not right."""
    return sum(counts.values()) - counts.get(RIGHT, 0)


def form_in(counts: Mapping[str, int]) -> int:
    """How many answers are none of those that the task allows."""
    return sum(counts.get(kind, 0) for kind in OF_FORM)


def mostly_form(counts: Mapping[str, int]) -> bool:
    """Whether most mistakes say nothing about what a model knows: of form, cut off, refused, or missing."""
    none = form_in(counts) + sum(counts.get(kind, 0) for kind in _NO_ANSWER)
    return none >= FORM_LEAST and none >= FORM_SHARE * mistakes_in(counts)
