"""The note that says in which format the data was read, where that is not the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.data.row import told_left_out
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.data import DataSet


def check(gate: Context) -> Iterator[Check]:
    """Note the format that was recognised by the keys of the rows, and how many rows hold no output."""
    sets = {"test_set": gate.test, "training_set": gate.training}
    sets |= {f"guard {name}": guard.test for name, guard in gate.guards.items()}
    told = {key: f"{key.replace('_', ' ')}: {_described(data)}" for key, data in sets.items() if data.recognised}
    if told:
        left_out = sum(sum(sets[key].left_out.values()) for key in told)
        yield Check("recognised", "note", "; ".join(told.values()), left_out)


def _described(data: DataSet) -> str:
    left_out = f" ({told_left_out(data.left_out)})" if data.left_out else ""
    return f"{data.recognised}, {plural(len(data), 'row')}{left_out}"
