"""examples/style_preference: its files and rating sheets. Its gates are run for its page, in test_docs.py. Offline."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from example_copies import ROOT, modules_of, ran

FOLDER = ROOT / "examples" / "style_preference"
CANDIDATES = ("terse", "curt")
RATERS = ("anna", "boris", "chiara")


@pytest.fixture
def copy(tmp_path) -> Path:
    """Return the example as somebody copies it, without what earlier runs left."""
    target = tmp_path / "style_preference"
    return Path(shutil.copytree(FOLDER, target, ignore=shutil.ignore_patterns(".ftgate", "__pycache__")))


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
    said = {(row["id"], row["rater"]): row.get(row["preferred"], "tie") for row in found}
    disputed = [row["id"] for row in rows("test.jsonl") if len({said[row["id"], rater] for rater in RATERS}) > 1]
    assert 10 <= len(disputed) <= 40
    assert 70 <= sum(row["a"] == "candidate" for row in found) <= 110  # nobody can tell the models by their places


# make_train.py


def test_training_set_is_what_its_script_writes(example):
    assert (FOLDER / "train.jsonl").read_text(encoding="utf-8") == example.make_train.text()


def test_training_set_is_varied(example):
    pairs = [[message["content"] for message in row["messages"]] for row in rows("train.jsonl")]
    assert len(pairs) == example.make_train.N >= 200
    assert len({question for question, _reply in pairs}) == len(pairs)
    assert len({reply for _question, reply in pairs}) >= 120
    assert not [text for pair in pairs for text in pair if "{" in text or " a A" in text]
    assert max(len(reply.split()) for _question, reply in pairs) <= 20  # terse


# rating sheets


def test_sheets_hide_the_models_and_come_back_as_preferences(copy):
    """As README says: make, fill in, judge. Whoever prefers the shorter answer prefers the candidate."""
    command = [sys.executable, "-m", "pytest_ftgate", "sheet", "replies", "--out", "ratings"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=True, timeout=60)
    with (copy / "ratings" / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        sheet = list(csv.DictReader(file))
    for name in ("dora", "emil"):
        for row in sheet:
            row["preferred"] = "a" if len(row["answer_a"]) < len(row["answer_b"]) else "b"
        with (copy / "ratings" / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, sheet[0])
            writer.writeheader()
            writer.writerows(sheet)
    gates = copy / "ftgate.yaml"
    gates.write_text(gates.read_text(encoding="utf-8").replace("preferences/terse.csv", "ratings", 1), encoding="utf-8")
    printed = ran(copy, "test_gate.py", "-vv", status=0)
    assert "human_preference by 2 raters" in printed
    assert "60 won, 0 ties, 0 lost of 60 examples; the longer answer won 0 of 60 (0 %)" in printed
    assert "about the current outputs" in printed


def test_a_letter_that_nobody_read_is_an_error(copy):
    answers = copy / "answers" / "terse.jsonl"
    answers.write_text(answers.read_text(encoding="utf-8").replace("Four to six", "Five to six"), encoding="utf-8")
    printed = ran(copy, "test_gate.py", status=1)
    assert "3 preferences in preferences/terse.csv are about other outputs" in printed
