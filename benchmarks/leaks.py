"""How many leaks the audit finds in public data, and how many it reports that are none.

Test rows of Banking77 and CLINC150 are planted into their training sets as real data hides them: behind an instruction,
in a template, as an earlier turn, escaped, with other ids. Both sets are split by hand first: rows are shuffled, and
test rows with a near duplicate in either set are left out.

    python benchmarks/leaks.py                    # downloads both sets
    python benchmarks/leaks.py --folder FOLDER    # with train.csv and test.csv of Banking77, data_full.json of CLINC150
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import json
import random
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pytest_ftgate.checks.training_set import TrainingAudit, audit_training_set
from pytest_ftgate.data import examples_from

BANKING = "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/master/banking_data"
CLINC = "https://raw.githubusercontent.com/clinc/oos-eval/master/data"
TRAINING, TEST, PLANTED = 6_000, 2_000, 500
INSTRUCTION = (
    "You are the assistant of a bank. Read the message of the customer below carefully, think about what is wanted, "
    "and answer with exactly one of the categories that you were taught, in lower case, on one line, without any "
    "explanation, quotes or punctuation, because another program reads your answer and forwards the customer to the "
    "right team. "
)

Row = tuple[str, str]
Write = Callable[[str, random.Random], Any]


def numbered(text: str, rng: random.Random) -> str:
    day = f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return f"Ticket #{rng.randint(10_000, 99_999)} of {day}: {text} (order AB-{rng.randint(1000, 9999)})"


def conversation(text: str, rng: random.Random) -> list[dict[str, str]]:
    later = f"and another thing, number {rng.random()}"
    turns = [("user", text), ("assistant", "{label}"), ("user", later)]
    return [{"role": role, "content": content} for role, content in turns]


def behind(frame: str) -> Write:
    return lambda text, _: frame.replace("{}", text)


PLANTS: dict[str, Write] = {
    "as it is": behind("{}"),
    "instruction of 60 words": behind(INSTRUCTION + "{}"),
    "template": behind("### Question:\n{}\n\n### Answer:"),
    "instruction and template": behind(INSTRUCTION + "\n\nMessage: {}\n\nCategory:"),
    "signature": behind("{}\n\nKind regards, sent from my phone with the mobile app"),
    "earlier turn with its answer": conversation,
    "HTML": lambda text, _: "".join(
        f"&#{ord(letter)};" if letter in "aeo'" else html.escape(letter) for letter in text
    ),
    "URL": lambda text, _: quote(text),
    "form": lambda text, _: quote_plus(text),
    "other ticket, date and order": numbered,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the files are; otherwise they are downloaded")
    folder = parser.parse_args().folder
    for name, rows in (("Banking77", banking(folder)), ("CLINC150", clinc(folder))):
        measure(name, list(rows))


def banking(folder: Path | None) -> Iterator[Row]:
    for name in ("train.csv", "test.csv"):
        yield from ((row["text"], row["category"]) for row in csv.DictReader(io.StringIO(read(folder, BANKING, name))))


def clinc(folder: Path | None) -> Iterator[Row]:
    for part in json.loads(read(folder, CLINC, "data_full.json")).values():
        yield from ((text, label) for text, label in part)


def read(folder: Path | None, url: str, name: str) -> str:
    if folder is not None:
        return (folder / name).read_text(encoding="utf-8")
    with urllib.request.urlopen(f"{url}/{name}") as answer:
        return answer.read().decode()


def measure(name: str, rows: list[Row]) -> None:
    """Print how many planted rows are found in each form, and how many others are reported, with all rows in that form
    (``everywhere``) or only the planted ones (``rare``)."""
    random.Random(1).shuffle(rows)
    training, test = rows[:TRAINING], rows[TRAINING : TRAINING + TEST]
    plain = audit(training, test)
    dirty = reported(plain) | {row for pair in plain.test_near_rows for row in pair}
    print(f"{name}: {len(training):,} training rows, {len(test):,} test rows, {plain.leaked:,} leaked and")
    print(f"  {len(dirty):,} with a near duplicate in either set by the split itself; these are left out")
    test = [row for number, row in enumerate(test) if number not in dirty]
    pairs = len(training) * (len(test) + len(training) / 2)
    base = len(audit(training, test).near_rows)
    print(f"  {'planted':<32}{'rows in this form':<19}{'leaked':>8}{'or near':>9}{'false':>7}{'pairs':>14}")
    for form, write in PLANTS.items():
        for where in ("all", "planted only", "test set"):
            rng = random.Random(2)
            planted = set(rng.sample(range(len(test)), PLANTED))
            copies = [(test[row] if where == "test set" else written(write, test[row], rng)) for row in sorted(planted)]
            others = [written(write, row, rng) for row in training] if where == "all" else training
            asked = [written(write, row, rng) for row in test] if where == "test set" else test
            if where == "test set" and form.startswith("earlier"):
                continue
            found = audit([*others, *copies], asked)
            leaked, near = {row for row, _ in found.leaked_rows}, reported(found)
            wrong = len(near - planted) + max(len(found.near_rows) - base - PLANTED, 0)
            print(
                f"  {form:<32}{where:<19}{len(leaked & planted) / PLANTED:>8.1%}{len(near & planted) / PLANTED:>9.1%}"
                f"{len(near - planted):>7}{wrong / pairs:>14.5%}"
            )


def written(write: Write, row: Row, rng: random.Random) -> tuple[Any, str]:
    text, label = row
    form = write(text, rng)
    if isinstance(form, list):
        form[1]["content"] = label
    return form, label


def audit(training: Sequence[tuple[Any, str]], test: Sequence[tuple[Any, str]]) -> TrainingAudit:
    return audit_training_set(*(examples_from(rows, origin="benchmark") for rows in (training, test)))


def reported(found: TrainingAudit) -> set[int]:
    return {row for row, _ in (*found.leaked_rows, *found.leaked_near_rows)}


if __name__ == "__main__":
    main()
