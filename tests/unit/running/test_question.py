"""What a report quotes of an input: the part that differs from row to row."""

from __future__ import annotations

import pytest

from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.runs.measure import question, shared_instruction

RULE = "You sort questions of customers into refund, invoice or shipping. Answer with one word. Question: "


@pytest.mark.parametrize(
    ("inputs", "index", "shown"),
    [
        ([f"{RULE}where is parcel {i}?" for i in range(20)], 3, "...3?"),
        ([*(f"{RULE}{i}: where is it?" for i in range(19)), "hello"], 3, "...3: where is it?"),
        ([*(f"{RULE}{i}: where is it?" for i in range(19)), "hello"], 19, "hello"),
        ([f"where is parcel {i}?" for i in range(20)], 3, "where is parcel 3?"),
        ([f"{RULE}alone"], 0, f"{RULE}alone"),
    ],
)
def test_an_instruction_that_rows_share_is_left_out(inputs: list[str], index: int, shown: str) -> None:
    test = DataSet(tuple(Example(text, text, "refund") for text in inputs), None, "", "test")
    assert question(test.examples[index], shared_instruction(test)) == shown
