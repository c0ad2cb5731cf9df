"""Facts about single answers: examples with both answers, kinds of mistakes, and parts of metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pytest_ftgate.plain import about

# The docstrings of these classes are descriptions in the JSON Schema of the report: plain text without mark-up.


@dataclass(frozen=True, slots=True)
class Flip:
    """An example with the answers of both models."""

    id: str
    input: str
    expected: str
    baseline: str
    candidate: str
    why: Annotated[str | None, about("what the metric says of the candidate's answer")] = None
    where: Annotated[str | None, about("file and line of the example, or the item of an iterable")] = None


@dataclass(frozen=True, slots=True)
class BreakdownResult:
    """The parts that make up the value of one metric of one model."""

    metric: str
    role: Annotated[str, about("baseline (the best one) or candidate")]
    title: Annotated[str, about("what a row stands for")]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int | float | None, ...]], ...]
    shares: Annotated[tuple[str, ...], about("the columns with numbers between 0 and 1")] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each model answers one label where another is expected."""

    expected: str
    answered: str
    baseline: int
    candidate: int


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The answers to examples of one label, and how many of them each model gets right."""

    label: str
    answers: int
    baseline: int
    candidate: Annotated[int | None, about("null if there is no candidate")]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Kinds of mistakes in the answers of both models."""

    baseline: Annotated[
        Mapping[str, int], about("answers of the best baseline by kind: right, and each kind of mistake")
    ]
    candidate: Mapping[str, int] | None = None
    confusions: Annotated[tuple[Confusion, ...], about("empty if outputs are not labels")] = ()
    labels: Annotated[tuple[LabelScore, ...], about("empty if outputs are not labels")] = ()
    wrong_in_both: Annotated[int | None, about("examples that neither model gets right in any repeat")] = None
    recalled: Annotated[
        int | None, about("fixed examples whose output is in the training set but does not follow from their input")
    ] = None
