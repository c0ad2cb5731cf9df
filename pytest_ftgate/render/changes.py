"""How many examples the candidate answers better and worse, in the words that suit the metric."""

from __future__ import annotations

from pytest_ftgate.numbers import plural
from pytest_ftgate.result import GateResult


def changed(result: GateResult) -> str:
    """Of all examples: ``40 fixed, 10 broken of 60 examples``."""
    better, worse = ("won", "lost") if _is_of_pairs(result) else ("fixed", "broken")
    return f"{result.wins or 0:,} {better}, {result.losses or 0:,} {worse} of {plural(result.n or 0, 'example')}"


def worse_title(result: GateResult) -> str:
    """What the examples that became worse are called."""
    return f"{'lost' if _is_of_pairs(result) else 'broken'} by the candidate"


def _is_of_pairs(result: GateResult) -> bool:
    """Whether answers were compared with each other, so that each pair is won, lost or a tie."""
    return any(one.metric == result.metric and one.pairs for one in result.judges)
