"""examples/style_preference: its files. Its gates are run for its page, in test_docs.py. Offline."""

from __future__ import annotations

import csv
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from example_copies import ROOT, modules_of

FOLDER = ROOT / "examples" / "style_preference"
CANDIDATES = ("terse", "curt")
RATERS = ("anna", "boris", "chiara")


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    """Return the example's modules, and nothing left behind."""
    return modules_of(FOLDER, "make_train")


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / path).read_text(encoding="utf-8").splitlines()]


def ratings(name: str) -> list[dict[str, str]]:
    with (FOLDER / "preferences" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# files


@pytest.mark.parametrize("name", CANDIDATES)
def test_three_people_rate_every_question_and_do_not_always_agree(name):
    found = ratings(name)
    assert Counter(row["rater"] for row in found) == dict.fromkeys(RATERS, 60)
    said = {(row["id"], row["rater"]): row["preferred"] for row in found}
    disputed = [row["id"] for row in rows("test.jsonl") if len({said[row["id"], rater] for rater in RATERS}) > 1]
    assert 10 <= len(disputed) <= 40


# make_train.py


def test_training_set_is_what_its_script_writes(example):
    assert (FOLDER / "train.jsonl").read_text(encoding="utf-8") == example.make_train.text()
