"""How long the audit of a training set takes, and how much memory: made-up sentences with planted copies.

Each size runs in a process of its own. Seconds of the processor, of loading the file and of the audit, without imports;
peak memory of the whole process.

    python benchmarks/audit.py --rows 10000 100000 1000000
    python benchmarks/audit.py --rows 10000 100000 1000000 --instruction 80    # words that all rows share
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
from collections.abc import Iterator
from pathlib import Path

LABELS = [f"intent {number}" for number in range(20)]
WORDS = 30_000
TEST_ROWS = 1_000
NEAR_SHARE = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000])
    parser.add_argument("--instruction", type=int, default=0, help="words of an instruction before each input")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(arguments.one)
        return
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), rows, " ".join(["instruction"] * arguments.instruction))
            subprocess.run([sys.executable, __file__, "--one", folder], check=True)


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


def measure(folder: Path) -> None:
    import numpy  # noqa: F401
    import scipy.sparse  # noqa: F401

    from pytest_ftgate.checks.training_set import audit_training_set
    from pytest_ftgate.data import load_examples

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


if __name__ == "__main__":
    main()
