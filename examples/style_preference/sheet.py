"""Make blind rating sheets, and join filled-in sheets into preferences.

    python sheet.py make answers/terse.jsonl anna.csv boris.csv   # one sheet each; fill in "preferred": a, b or tie
    python sheet.py join anna.csv boris.csv > preferences/terse.csv

The order of the two answers is random for each question and rater. The hashes of the answers let the gate detect that a
model has changed since it was rated.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

FOLDER = Path(__file__).parent
ROLES = ("baseline", "candidate")
ASKED = ("id", "question", "a", "b", "preferred")
KNOWN = ("id", "rater", "a", "b", "preferred", "baseline_sha256", "candidate_sha256")


def sides(id_: str, rater: str) -> tuple[str, ...]:
    """Return the roles of answers a and b: random, but always the same for one question and rater."""
    return tuple(random.Random(f"{id_} {rater}").sample(ROLES, 2))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(rows: Iterator[dict[str, str]], columns: Sequence[str], out: TextIO) -> None:
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def make(baseline: Path, candidate: Path, rater: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a rater's sheet, not filled in."""
    answers = {
        role: {row["id"]: row["output"] for row in read_jsonl(path)}
        for role, path in zip(ROLES, (baseline, candidate), strict=True)
    }
    for example in read_jsonl(FOLDER / "test.jsonl"):
        a, b = (answers[role][example["id"]] for role in sides(example["id"], rater))
        yield {"id": example["id"], "question": example["input"], "a": a, "b": b, "preferred": ""}


def join(sheets: Sequence[Path]) -> Iterator[dict[str, str]]:
    """Yield the rows that ``human_preference`` reads. The rater is the name of the sheet."""
    for sheet in sheets:
        with sheet.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                models = dict(zip("ab", sides(row["id"], sheet.stem), strict=True))
                hashes = {f"{models[side]}_sha256": hashlib.sha256(row[side].encode()).hexdigest() for side in "ab"}
                yield {"id": row["id"], "rater": sheet.stem, **models, "preferred": row["preferred"], **hashes}


def main(command: str, *names: str) -> None:
    if command == "make":
        candidate, *sheets = map(Path, names)
        for sheet in sheets:
            with sheet.open("x", encoding="utf-8", newline="") as file:  # never overwrite a filled-in sheet
                write(make(FOLDER / "answers" / "prompted.jsonl", candidate, sheet.stem), ASKED, file)
    elif command == "join":
        write(join([Path(name) for name in names]), KNOWN, sys.stdout)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [""]))
