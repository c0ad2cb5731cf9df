"""What moved since the last green verdict: two-sided, paired, and by methods that know noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pytest_ftgate.checks.freshness.drift import drift_check, incomparable, measure_drift
from pytest_ftgate.checks.freshness.last_green import KeptModel, LastGreen, pack_scores
from pytest_ftgate.metrics import Scored, protocol
from pytest_ftgate.result import Drift

AUGUST = 1_785_542_400.0


@dataclass(frozen=True)
class Metric(protocol.Metric):
    name: str = "m"
    kind: Any = "right_wrong"
    low: float = 0.0
    high: float = 1.0
    greater_is_better: bool = True

    def score(self, *_: Any) -> Any:
        raise NotImplementedError


def drift(then: Any, now: Any, *, confidence: float = 0.95, groups: Any = None, **metric: Any) -> Drift:
    before, after = np.asarray(then, float), np.asarray(now, float)
    kept = KeptModel("m", value=float(before.mean()), scores=pack_scores(before))
    scored = Scored(Metric(**metric), float(after.mean()), per_example=after)
    found = measure_drift("candidate", kept, scored, confidence=confidence, groups=groups or [None] * len(after))
    assert found is not None
    return found


def right(n: int, total: int = 100) -> list[float]:
    return [1.0] * n + [0.0] * (total - n)


@pytest.mark.parametrize(
    ("before", "after", "moved"), [(90, 85, True), (90, 86, False), (85, 90, True), (86, 90, False), (90, 90, False)]
)
def test_two_sided_at_the_gates_confidence(before: int, after: int, moved: bool) -> None:
    """Five of five one way are sure at 97.5 %; four of four at 95 % one-sided alone, which is not enough here."""
    found = drift(right(before), right(after))
    assert (found.beyond_noise, found.worse, found.better) == (moved, max(before - after, 0), max(after - before, 0))


def test_more_confidence_asks_for_more() -> None:
    assert drift(right(90), right(84), confidence=0.99).beyond_noise is False
    assert drift(right(90), right(80), confidence=0.99).beyond_noise is True


def test_grades_and_lower_is_better() -> None:
    random = np.random.default_rng(0)
    before = random.random(200)
    after = np.clip(before + 0.1, 0, 1)
    assert drift(before, after, kind="graded", greater_is_better=False).beyond_noise is True
    found = drift(before, after, kind="graded", greater_is_better=False)
    assert (found.worse > 0, found.better) == (True, 0)
    assert drift(before, before, kind="graded") == Drift(
        "candidate", found.then, found.then, 0.0, 0, 0, beyond_noise=False
    )


def test_a_score_that_only_lost_digits_has_not_moved() -> None:
    scores = np.random.default_rng(1).random(50)
    found = drift(scores, scores, kind="graded", low=-5.0, high=5.0)
    assert (found.worse, found.better, found.beyond_noise) == (0, 0, False)


def test_groups_count_once() -> None:
    groups = [f"g{i // 10}" for i in range(100)]
    assert drift(right(90), right(84), groups=groups).beyond_noise is not True
    few = drift(right(90), right(80), groups=[f"g{i // 50}" for i in range(100)])
    assert few.beyond_noise is None
    assert "too few groups" in (few.note or "")


def test_nothing_kept_is_none() -> None:
    scored = Scored(Metric(), 1.0, per_example=np.ones(3))  # type: ignore[arg-type]
    assert measure_drift("x", KeptModel("m", value=1.0), scored, confidence=0.9, groups=[None] * 3) is None


def said(found: Drift, **how: bool) -> tuple[str, str]:
    scored = Scored(Metric(), found.now)  # type: ignore[arg-type]
    check = drift_check(found, AUGUST, scored, **{"asked_alike": True, "asked_anew": True, **how})
    return check.status, check.message


def test_what_is_said() -> None:
    moved = Drift("candidate", 0.93, 0.87, -0.06, 12, 3, beyond_noise=True)
    status, message = said(moved)
    assert status == "warning"
    assert all(fact in message for fact in ("candidate", "-6.0 points", "2026-08-01", "12 examples worse", "3 better"))
    few = Drift("b", 0.9, 0.8, -0.1, 10, 0, beyond_noise=None, note="too few groups: 2, 5 are needed")
    status, message = said(few, asked_anew=False)
    assert status == "note"
    facts = ("baseline b", "-10.0 points", "2026-08-01", "10 examples worse", "0 better", "too few groups", "stored")
    assert all(fact in message for fact in facts)


def test_what_cannot_be_compared() -> None:
    last = LastGreen(AUGUST, None, "ab", 3, "accuracy {}", {})
    assert incomparable(last, "ab", 3, "accuracy {}") is None
    assert "no earlier green verdict" in (incomparable(None, "ab", 3, "accuracy {}") or "")
    assert (incomparable(last, "cd", 3, "accuracy {}") or "").startswith("the test set")
    assert (incomparable(last, "ab", 4, "accuracy {}") or "").startswith("4 examples")  # another look, or limit
    assert (incomparable(last, "ab", 3, "f1 {}") or "").startswith("the metric")
