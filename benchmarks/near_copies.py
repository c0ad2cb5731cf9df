"""From which resemblance on two texts are near copies: planted copies that are found, and other pairs that are.

Copies are planted into the commands of examples/voice_commands and into each file that is named (one text a line); then
all pairs between the example's training and test set are held against each threshold: they were made from different
templates, so that each is a false alarm.

    python benchmarks/near_copies.py tweets.txt reviews.txt
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_ftgate.checks.training_set.wording import Wording, resemblance

ROOT = Path(__file__).parents[1]
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
PLANTED = 400

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", type=Path)
    sys.path.insert(0, str(ROOT / "examples" / "voice_commands"))
    import data

    training, test = ([row["input"] for row in rows] for rows in data.examples())
    header = "".join(f"{threshold:>7}" for threshold in THRESHOLDS)
    planted(f"voice commands{header}", training)
    for path in parser.parse_args().texts:
        planted(f"{path.name:<14}{header}", path.read_text(encoding="utf-8", errors="replace").splitlines())
    print(f"\ntest commands that resemble a training command{header}")
    for name, shingles in MEASURES.items():
        best = [max((pair for one in training if (pair := alike(one, text, shingles))), default=0) for text in test]
        counts = [sum(value >= threshold for value in best) for threshold in THRESHOLDS]
        print(f"  {name:<44}" + "".join(f"{count:>7}" for count in counts))


def planted(title: str, texts: Sequence[str]) -> None:
    """Return the percentage of planted copies that are found."""
    rng = random.Random(5)
    long = [text for text in texts if len(text.split()) >= 3]
    vocabulary = [word for text in long for word in text.split() if len(word) > 2]
    chosen = rng.sample(long, min(PLANTED, len(long)))
    print(f"\n{title}")
    for kind, change in CHANGES.items():
        pairs = [(text, " ".join(change(text.split(), rng, vocabulary))) for text in chosen]
        for name, shingles in MEASURES.items():
            values = [alike(one, other, shingles) for one, other in pairs]
            found = [100 * sum(value >= threshold for value in values) / len(values) for threshold in THRESHOLDS]
            print(f"  {kind:<10} {name:<14}" + "".join(f"{share:>7.0f}" for share in found))


def alike(one: str, other: str, shingles: Shingles) -> float:
    first, second = Wording.of(one, ""), Wording.of(other, "")
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
