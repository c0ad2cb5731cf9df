"""All facts of one gate, and how it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.money.economics import Economics
from pytest_ftgate.plain import from_plain, to_plain
from pytest_ftgate.result.check import Check, Verdict, verdict_of
from pytest_ftgate.result.clock import Clock
from pytest_ftgate.result.data import TestSetResult, TrainingResult
from pytest_ftgate.result.diagnosis import Advice, BreakdownResult, Diagnosis, Flip
from pytest_ftgate.result.judging import JudgeResult
from pytest_ftgate.result.model import CandidateResult, ModelResult
from pytest_ftgate.result.noninferiority import GuardResult, LabelResult, SliceResult
from pytest_ftgate.safe import one_line, printable

if TYPE_CHECKING:
    from pytest_ftgate.errors import FtgateError


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain over one baseline, in the metric's unit, with its one-sided bounds."""

    gain: float
    lower_bound: float | None = None
    upper_bound: float | None = None


@dataclass(frozen=True)
class GateResult:
    """Everything known about one gate after it was judged. ``None`` where it was not measured; never NaN.

    ``gain``, ``lower_bound`` and ``upper_bound`` are in the metric's unit, the sign turned where lower is better;
    both bounds are one-sided at ``confidence``. ``baseline`` is the best of ``baselines`` by value.
    ``tango_interval`` is two-sided, for display: at either end it leaves out what a one-sided bound does. ``note`` says
    what the bounds rest on, such as the number of groups. ``gate`` is the gate's name in the file; ``loosened`` says
    where a mark asks for less than the file. ``gains`` are over each baseline, by name. ``bare`` is the candidate
    without its prompt and examples, where it has any. ``candidates`` are those of several, in the written order;
    ``candidate`` is the chosen one, or, where none passed, the one that came nearest. ``slices`` and ``labels`` are
    against ``baseline``, the worst first. At the ``stage`` ``ready`` there is no candidate yet. Under the objective
    ``match`` there is no margin, and ``max_drop`` says how much worse the candidate may be. ``breakdowns`` are of the
    metrics that can tell what their value is made of, the deciding one first. ``judges`` has one for each metric that
    a model or people judge. ``location`` is the line of the mark, as ``tests/test_intents.py:12``, relative to
    pytest's rootdir.
    """

    name: str
    nodeid: str
    verdict: Verdict
    metric: str | None = None
    margin: float | None = None
    evidence: str | None = None
    confidence: float | None = None
    baseline: ModelResult = field(default_factory=lambda: ModelResult("baseline"))
    baselines: Mapping[str, ModelResult] = field(default_factory=dict)
    candidate: ModelResult = field(default_factory=lambda: ModelResult("candidate"))
    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    tango_interval: tuple[float, float] | None = None
    margin_proven: bool | None = None
    method: str | None = None
    p_value: float | None = None
    n: int | None = None
    wins: int | None = None
    losses: int | None = None
    examples_needed: int | None = None
    note: str | None = None
    training: TrainingResult = field(default_factory=TrainingResult)
    test_set: TestSetResult = field(default_factory=TestSetResult)
    checks: tuple[Check, ...] = ()
    hypothesis: str | None = None
    gate: str | None = None
    loosened: tuple[str, ...] = ()
    metric_range: tuple[float, float] | None = None
    models_called: bool = False
    broken: tuple[Flip, ...] = ()
    stage: str | None = None
    diagnosis: Diagnosis | None = None
    advice: tuple[Advice, ...] = ()
    objective: str | None = None
    max_drop: float | None = None
    economics: Economics | None = None
    gains: Mapping[str, Gain] = field(default_factory=dict)
    bare: ModelResult | None = None
    candidates: tuple[CandidateResult, ...] = ()
    guards: tuple[GuardResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()
    judges: tuple[JudgeResult, ...] = ()
    breakdowns: tuple[BreakdownResult, ...] = ()
    clock: Clock | None = None
    location: str | None = None

    @property
    def passed(self) -> bool:
        """True for the verdict ``pass`` alone."""
        return self.verdict == "pass"

    @property
    def scored(self) -> bool:
        """Each model that is asked has a value, so that a test body has something to look at."""
        candidate = self.stage == "ready" or self.candidate.value is not None
        return self.baseline.value is not None and candidate

    def __repr__(self) -> str:
        return f"<GateResult {printable(self.name)}: {self.verdict}>"

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values; a number that JSON cannot say becomes ``None``, and long text is cut."""
        facts = {"name": self.name, "nodeid": self.nodeid, "verdict": self.verdict, "passed": self.passed}
        return to_plain({**facts, **asdict(self)})

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> GateResult:
        """The inverse of :meth:`to_dict`."""
        return from_plain(cls, {item.name: facts[item.name] for item in fields(cls) if item.name in facts})


def closed(result: GateResult, checks: tuple[Check, ...]) -> GateResult:
    """The result with all its checks, and the verdict that they add up to."""
    return replace(result, checks=checks, verdict=verdict_of(checks))


def failed_result(result: GateResult, error: FtgateError) -> GateResult:
    """The verdict ``error`` with what is wrong, where, and the cure."""
    head, *rest = str(error).splitlines() or [type(error).__name__]
    check = Check("configuration", "error", head, advice=one_line("\n".join(rest)) or None)
    return closed(result, (*result.checks, check))
