"""What the audit of a training set costs, and from which resemblance on rows are near copies.

python benchmarks/training_set.py time --rows 10000 100000 1000000
python benchmarks/training_set.py time --rows 10000 --instruction 80    # shared words
python benchmarks/training_set.py copies tweets.txt reviews.txt
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_ftgate.checks.audit import audit_training_set
from pytest_ftgate.checks.audit.near import rows_of
from pytest_ftgate.checks.audit.wording import all_words_of, masked, resemblance, texts_of
from pytest_ftgate.data import load_examples, normalized_input


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    measures = parser.add_subparsers(dest="measure", required=True)
    timed = measures.add_parser("time")
    timed.add_argument("--rows", type=int, nargs="+", default=[10_000])
    timed.add_argument(
        "--instruction", type=int, default=0, help="words of an instruction before each input"
    )
    timed.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    measures.add_parser("copies").add_argument(
        "texts", nargs="*", type=Path, help="one text a line"
    )
    arguments = parser.parse_args()
    if arguments.measure == "time" and arguments.one:
        measure_time(arguments.one)
    elif arguments.measure == "time":
        for rows in arguments.rows:
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), rows, " ".join(["instruction"] * arguments.instruction))
                subprocess.run([sys.executable, __file__, "time", "--one", folder], check=True)
    else:
        measure_copies(arguments.texts)


# --- time and memory: made-up sentences with planted copies, each size in a process of its own ----

LABELS = [f"intent {number}" for number in range(20)]
WORDS = 30_000
TEST_ROWS = 1_000
NEAR_SHARE = 0.02


def sentences(rows: int, rng: random.Random) -> Iterator[str]:
    """Return sentences with words by Zipf's law; every fiftieth repeats one with an extra word."""
    words = [
        "".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(WORDS)
    ]
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
                file.write(
                    json.dumps({"input": f"{instruction} {sentence}", "expected": label}) + "\n"
                )


def measure_time(folder: Path) -> None:
    """Print CPU seconds of loading and of the audit, without imports, and the peak memory."""
    import numpy  # noqa: F401
    import scipy.sparse  # noqa: F401

    start = time.process_time()
    test, training = (load_examples(folder / f"{name}.jsonl") for name in ("test", "train"))
    loaded = time.process_time()
    audit = audit_training_set(training, test)
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(training):>9,} rows: load {loaded - start:.2f} s, audit {done - loaded:.2f} s, "
        f"peak {peak:,.0f} MiB, "
        f"{len(audit.near_rows):,} near copies"
    )


# --- copies: from which resemblance on two texts are near copies ---------------------------------
# Copies are planted into the commands of examples/voice_commands and into each file that is named.
# Then all pairs between the example's training and test set are held against each threshold: each
# is a false alarm, since they were made from different templates.

ROOT = Path(__file__).parents[1]
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
COPIES = 400

Shingles = Callable[[str], frozenset[str]]


def characters(size: int) -> Shingles:
    return lambda words: frozenset(
        words[start : start + size] for start in range(max(len(words) - size, 0) + 1)
    )


def runs_of_words(size: int) -> Shingles:
    def shingles(words: str) -> frozenset[str]:
        tokens = words.split()
        return frozenset(
            " ".join(tokens[start : start + size])
            for start in range(max(len(tokens) - size, 0) + 1)
        )

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
        print_planted(
            f"{path.name:<14}{header}",
            path.read_text(encoding="utf-8", errors="replace").splitlines(),
        )
    print(f"\ntest commands that resemble a training command{header}")
    for name, shingles in MEASURES.items():
        best = [
            max(
                (pair for trained in training if (pair := alike(trained, text, shingles))),
                default=0,
            )
            for text in test
        ]
        counts = [sum(value >= threshold for value in best) for threshold in THRESHOLDS]
        print(f"  {name:<44}" + "".join(f"{count:>7}" for count in counts))


def print_planted(title: str, texts: Sequence[str]) -> None:
    """Print the percentage of planted copies that are found."""
    rng = random.Random(5)
    long = [text for text in texts if len(text.split()) >= 3]
    vocabulary = [word for text in long for word in text.split() if len(word) > 2]
    chosen = rng.sample(long, min(COPIES, len(long)))
    print(f"\n{title}")
    for kind, change in CHANGES.items():
        pairs = [(text, " ".join(change(text.split(), rng, vocabulary))) for text in chosen]
        for name, shingles in MEASURES.items():
            values = [alike(text, copy, shingles) for text, copy in pairs]
            shares = [
                100 * sum(value >= threshold for value in values) / len(values)
                for threshold in THRESHOLDS
            ]
            print(f"  {kind:<10} {name:<14}" + "".join(f"{share:>7.0f}" for share in shares))


def alike(text: str, copy: str, shingles: Shingles) -> float:
    """Return how similar two texts are; 0 if their numbers differ."""
    words = [all_words_of(normalized_input(version)) for version in (text, copy)]
    texts = texts_of(words, masked)
    original, copied = rows_of(texts, ["", ""])
    if original.numbers != copied.numbers:
        return 0
    return resemblance(shingles(original.words), shingles(copied.words))


def misspelled(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    position = rng.choice([position for position, word in enumerate(words) if len(word) > 2] or [0])
    place = rng.randrange(len(words[position]))
    misspelt = words[position][:place] + words[position][place + 1 :]
    return [*words[:position], misspelt, *words[position + 1 :]]


def changed(words: list[str], rng: random.Random, vocabulary: Sequence[str]) -> list[str]:
    position = rng.randrange(len(words))
    return [*words[:position], rng.choice(vocabulary), *words[position + 1 :]]


def added(words: list[str], rng: random.Random, vocabulary: Sequence[str]) -> list[str]:
    position = rng.randrange(len(words) + 1)
    return [*words[:position], rng.choice(vocabulary), *words[position:]]


def left_out(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    position = rng.randrange(len(words))
    return [*words[:position], *words[position + 1 :]]


def swapped(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    position = rng.randrange(len(words) - 1)
    return [*words[:position], words[position + 1], words[position], *words[position + 2 :]]


def polite(words: list[str], rng: random.Random, _vocabulary: Sequence[str]) -> list[str]:
    return rng.choice(
        [["please", *words], [*words, "please"], ["could", "you", *words], [*words, "thanks"]]
    )


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
