"""What the audit of a training set costs, what it finds, and what it reports that is nothing.

python benchmarks/training_set.py time --rows 10000 100000 1000000
python benchmarks/training_set.py time --rows 10000 100000 1000000 --instruction 80    # words that all rows share
python benchmarks/training_set.py leaks                    # downloads Banking77 and CLINC150
python benchmarks/training_set.py leaks --folder FOLDER    # with train.csv, test.csv, data_full.json
python benchmarks/training_set.py copies tweets.txt reviews.txt
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pytest_ftgate.checks.audit import TrainingAudit, audit_training_set
from pytest_ftgate.checks.audit.content import Wording, resemblance
from pytest_ftgate.data import examples_from, load_examples, normalized_input


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = parser.add_subparsers(dest="measure", required=True)
    timed = measures.add_parser("time")
    timed.add_argument("--rows", type=int, nargs="+", default=[10_000])
    timed.add_argument("--instruction", type=int, default=0, help="words of an instruction before each input")
    timed.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    leaks = measures.add_parser("leaks")
    leaks.add_argument("--folder", type=Path, help="where the files are; otherwise they are downloaded")
    measures.add_parser("copies").add_argument("texts", nargs="*", type=Path, help="one text a line")
    arguments = parser.parse_args()
    if arguments.measure == "time" and arguments.one:
        measure_time(arguments.one)
    elif arguments.measure == "time":
        for rows in arguments.rows:
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), rows, " ".join(["instruction"] * arguments.instruction))
                subprocess.run([sys.executable, __file__, "time", "--one", folder], check=True)
    elif arguments.measure == "leaks":
        for name, rows in (("Banking77", banking(arguments.folder)), ("CLINC150", clinc(arguments.folder))):
            measure_leaks(name, list(rows))
    else:
        measure_copies(arguments.texts)


# --- time and memory: made-up sentences with planted copies, each size in a process of its own ----------------------

LABELS = [f"intent {number}" for number in range(20)]
WORDS = 30_000
TEST_ROWS = 1_000
NEAR_SHARE = 0.02


def sentences(rows: int, rng: random.Random) -> Iterator[str]:
    """Return sentences with word frequencies of Zipf's law; every fiftieth is an earlier one with an extra word."""
    words = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(WORDS)]
    weights = [1 / (rank + 3) for rank in range(WORDS)]
    drawn = iter(rng.choices(words, weights, k=rows * 14))
    last = "nothing was said before this"
    for _ in range(rows):
        if rng.random() < NEAR_SHARE:
            yield f"{last} please"
            continue
        last = " ".join(next(drawn) for _ in range(rng.randint(6, 14)))
        yield last


def write(folder: Path, rows: int, instruction: str) -> None:
    rng = random.Random(1)
    for name, count in (("train", rows), ("test", TEST_ROWS)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for sentence in sentences(count, rng):
                label = LABELS[len(sentence.split()[0]) % len(LABELS)]
                file.write(json.dumps({"input": f"{instruction} {sentence}", "expected": label}) + "\n")


def measure_time(folder: Path) -> None:
    """Print the CPU seconds of loading the file and of the audit, without imports, and the process's peak memory."""
    import numpy  # noqa: F401
    import scipy.sparse  # noqa: F401

    start = time.process_time()
    test, training = (load_examples(folder / f"{name}.jsonl") for name in ("test", "train"))
    loaded = time.process_time()
    audit = audit_training_set(training, test, max_tokens=65_536)
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(training):>9,} rows: load {loaded - start:.2f} s, audit {done - loaded:.2f} s, peak {peak:,.0f} MiB, "
        f"{len(audit.near_rows):,} near copies"
    )


# --- leaks: test rows of public data, planted into their training sets as real data hides them -----------------------
# Both sets are split by hand first: rows are shuffled, and test rows with a near duplicate in either set are left out.

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
SPEAKERS = ["Anna", "Boris", "Clara", "Dmitri", "Emine", "Farid", "Greta", "Hector", "Ingrid", "Jamal"]
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
    "number": lambda text, rng: f"{rng.randint(1, 99)}. {text}",
    "Q and number": lambda text, rng: f"Q{rng.randint(1, 99)}: {text}",
    "date": lambda text, rng: f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02} {text}",
    "time": lambda text, rng: f"[{rng.randint(10, 23)}:{rng.randint(10, 59)}] {text}",
    "speaker and time": lambda text, rng: f"[{rng.choice(SPEAKERS)} 14:{rng.randint(10, 59)}] {text}",
    "JSON": lambda text, _: json.dumps({"text": text}),
    "Markdown": behind("**Question:** _{}_"),
    "thanks": behind("{} Thanks!"),
    "varied text": lambda text, rng: f"{' '.join(rng.choices(SPEAKERS, k=8))} met and wrote: {text}",
    "reasoning": lambda text, rng: (f"input {rng.random()}", f"<think>They ask: {text}\nIt is clear.</think> done"),
    "reverse task": lambda text, rng: (f"write message {rng.random()}", text),
    "system message": lambda text, rng: [
        {"role": "system", "content": f"Example: {text} -> done"},
        {"role": "user", "content": f"input {rng.random()}"},
    ],
    "upper case": lambda text, _: text.upper(),
}


BESIDE = ("reasoning", "reverse task", "system message")


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


def measure_leaks(name: str, rows: list[Row]) -> None:
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
            if where == "test set" and form in ("earlier turn with its answer", *BESIDE):
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
    if isinstance(form, list) and form[1]["role"] == "assistant":
        form[1]["content"] = label
    return form if isinstance(form, tuple) else (form, label)


def audit(training: Sequence[tuple[Any, str]], test: Sequence[tuple[Any, str]]) -> TrainingAudit:
    return audit_training_set(*(examples_from(rows, origin="benchmark") for rows in (training, test)))


def reported(found: TrainingAudit) -> set[int]:
    return {row for row, _ in (*found.leaked_rows, *found.leaked_near_rows)}


# --- copies: from which resemblance on two texts are near copies -----------------------------------------------------
# Copies are planted into the commands of examples/voice_commands and into each file that is named. Then all pairs
# between the example's training and test set are held against each threshold: each is a false alarm, since they were
# made from different templates.

ROOT = Path(__file__).parents[1]
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
COPIES = 400

Shingles = Callable[[str], frozenset[str]]


def characters(size: int) -> Shingles:
    return lambda words: frozenset(words[at : at + size] for at in range(max(len(words) - size, 0) + 1))


def runs_of_words(size: int) -> Shingles:
    def shingles(words: str) -> frozenset[str]:
        parts = words.split()
        return frozenset(" ".join(parts[at : at + size]) for at in range(max(len(parts) - size, 0) + 1))

    return shingles


MEASURES = {
    **{f"{size} words": runs_of_words(size) for size in (1, 2, 3)},
    **{f"{size} characters": characters(size) for size in (3, 4, 5)},
}


def measure_copies(paths: Sequence[Path]) -> None:
    sys.path.insert(0, str(ROOT / "examples" / "voice_commands"))
    import data

    training, test = ([row["input"] for row in rows] for rows in data.examples())
    header = "".join(f"{threshold:>7}" for threshold in THRESHOLDS)
    print_planted(f"voice commands{header}", training)
    for path in paths:
        print_planted(f"{path.name:<14}{header}", path.read_text(encoding="utf-8", errors="replace").splitlines())
    print(f"\ntest commands that resemble a training command{header}")
    for name, shingles in MEASURES.items():
        best = [max((pair for one in training if (pair := alike(one, text, shingles))), default=0) for text in test]
        counts = [sum(value >= threshold for value in best) for threshold in THRESHOLDS]
        print(f"  {name:<44}" + "".join(f"{count:>7}" for count in counts))


def print_planted(title: str, texts: Sequence[str]) -> None:
    """Return the percentage of planted copies that are found."""
    rng = random.Random(5)
    long = [text for text in texts if len(text.split()) >= 3]
    vocabulary = [word for text in long for word in text.split() if len(word) > 2]
    chosen = rng.sample(long, min(COPIES, len(long)))
    print(f"\n{title}")
    for kind, change in CHANGES.items():
        pairs = [(text, " ".join(change(text.split(), rng, vocabulary))) for text in chosen]
        for name, shingles in MEASURES.items():
            values = [alike(one, other, shingles) for one, other in pairs]
            found = [100 * sum(value >= threshold for value in values) / len(values) for threshold in THRESHOLDS]
            print(f"  {kind:<10} {name:<14}" + "".join(f"{share:>7.0f}" for share in found))


def alike(one: str, other: str, shingles: Shingles) -> float:
    first, second = (Wording.of(normalized_input(text), "") for text in (one, other))
    return resemblance(shingles(first.words), shingles(second.words)) if first.numbers == second.numbers else 0


def misspelled(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    at = rng.choice([at for at, word in enumerate(words) if len(word) > 2] or [0])
    place = rng.randrange(len(words[at]))
    return [*words[:at], words[at][:place] + words[at][place + 1 :], *words[at + 1 :]]


def changed(words: list[str], rng: random.Random, vocabulary: Sequence[str]) -> list[str]:
    at = rng.randrange(len(words))
    return [*words[:at], rng.choice(vocabulary), *words[at + 1 :]]


def added(words: list[str], rng: random.Random, vocabulary: Sequence[str]) -> list[str]:
    at = rng.randrange(len(words) + 1)
    return [*words[:at], rng.choice(vocabulary), *words[at:]]


def left_out(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    at = rng.randrange(len(words))
    return [*words[:at], *words[at + 1 :]]


def swapped(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    at = rng.randrange(len(words) - 1)
    return [*words[:at], words[at + 1], words[at], *words[at + 2 :]]


def polite(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    return rng.choice([["please", *words], [*words, "please"], ["could", "you", *words], [*words, "thanks"]])


CHANGES = {
    "misspelled": misspelled,
    "changed": changed,
    "added": added,
    "left out": left_out,
    "swapped": swapped,
    "polite": polite,
}


if __name__ == "__main__":
    main()
