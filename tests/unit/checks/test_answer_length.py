"""The warning that length alone decides as well: who wins a pair, and whose answer is longer."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_ftgate.checks.judging import check_length


def model(values: list[float], lengths: list[int]) -> Any:
    scored = SimpleNamespace(per_example=np.array(values), metric=SimpleNamespace(sign=1))
    answers = [["x" * length or None for length in lengths]]
    return SimpleNamespace(scores={"m": scored}, answers=answers)


def finding(pairs: dict[str, int]) -> tuple[Any, Any] | None:
    """Return the numbers of the warning of such pairs: who wins (+, -, =), whose answer is longer."""
    signs = [pair for pair, count in pairs.items() for _ in range(count)]
    values = [{"+": 1.0, "-": -1.0, "=": 0.0}[won] for won, _ in signs]
    lengths = [{"+": 9, "-": 1, "=": 5}[longer] for _, longer in signs]
    gate: Any = SimpleNamespace(
        deciding=SimpleNamespace(judged=True, name="m"),
        config=SimpleNamespace(confidence=0.95),
        best="baseline",
        scored={
            "baseline": model([0.0] * len(signs), [5] * len(signs)),
            "candidate": model(values, lengths),
        },
    )
    checks = list(check_length(gate))
    assert [(check.name, check.status) for check in checks] == [("answer_length", "warning")] * len(
        checks
    )
    return (checks[0].observed, checks[0].required) if checks else None


@pytest.mark.parametrize(
    ("pairs", "numbers"),
    [
        ({"++": 120}, (120, 120)),
        ({"++": 5}, (5, 5)),
        ({"++": 4}, None),
        ({"++": 40, "--": 10, "+=": 9, "=+": 30}, (50, 50)),
        # the shorter answers win
        ({"+-": 60}, None),
        # either model is as often the longer one
        ({"++": 30, "--": 30}, None),
        # one model is longer, and the judge does not care
        ({"++": 31, "-+": 29}, None),
        # the baseline wins by length
        ({"--": 40, "++": 4}, (44, 44)),
        ({"==": 60}, None),
    ],
    ids=str,
)
def test_length_alone_decides_as_well(pairs: dict[str, int], numbers: Any) -> None:
    assert finding(pairs) == numbers
