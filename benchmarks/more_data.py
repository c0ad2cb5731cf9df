"""How often ``candidate_half`` says rightly whether another doubling of the training data will do.

    nice python benchmarks/more_data.py                              simulated curves (ten minutes)
    nice python benchmarks/more_data.py --quick                      a few, to see that it runs
    nice python benchmarks/more_data.py --data Banking77 CLINC150    real curves (three minutes)
    nice python benchmarks/more_data.py --data Banking77 --folder FOLDER
    nice python benchmarks/more_data.py --lora                       LoRA adapters (three minutes)

A simulated gate failed by a margin that its candidate may reach with twice the rows. A model has
the accuracy that the learning curve has at its number of rows, give or take its seed's luck; two
models of one curve are right on the same examples, but for a third of them. "Wrong yes" is said
where twice the rows do not bring what is missing, in the mean over seeds on the same test set, and
"wrong no" where they do; both are shares of all gates that failed. "Right yes" is the share of
those that twice the rows would turn green.

Real curves are those of a linear model on TF-IDF of words and characters, trained on 160 to 2,500
rows and once more on twice as many. The half and the candidate answer 400 test rows, as in a gate;
what came is measured on all test rows. It shows what was said where 2, 5 and 10 points are missing.

Those of ``--lora`` are of the adapters of ``examples/shipped``, whose packages it needs, each
trained with its seed on 50 to 800 of the rows. All of its test rows count, in their groups.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from evidence import head, percent, row
from leaks import DATA

from pytest_ftgate.checks.more_data import answer
from pytest_ftgate.statistics.compare import compare_right_wrong
from pytest_ftgate.statistics.evidence import Comparison

ASKED: dict[str, Any] = {"margin": 0.0, "confidence": 0.95, "evidence": "significant"}
SHARED = 2 / 3
"""The share of the examples on which two models of one curve are right or wrong together."""

Curve = Callable[[float], float]
"""Return the accuracy of a model that is trained on so many rows."""


# --- simulated curves -----------------------------------------------------------------------------


def power_law(rng: np.random.Generator) -> Curve:
    """Return a curve whose error falls as a power of the rows, down to a floor."""
    floor, exponent = rng.uniform(0.02, 0.2), rng.uniform(0.15, 0.7)
    at_200 = rng.uniform(0.1, 0.5)
    return lambda rows: 1 - floor - at_200 * (rows / 200) ** -exponent


def saturating(rng: np.random.Generator) -> Curve:
    """Return a curve whose error falls exponentially, down to a floor that is near."""
    return exponential(rng, rng.uniform(100, 350))


def late(rng: np.random.Generator) -> Curve:
    """Return a curve that is still in its slow start, so that each doubling brings more."""
    return exponential(rng, rng.uniform(500, 1_500))


def exponential(rng: np.random.Generator, scale: float) -> Curve:
    floor, height = rng.uniform(0.02, 0.2), rng.uniform(0.1, 0.6)
    return lambda rows: 1 - floor - height * float(np.exp(-rows / scale))


def flat(rng: np.random.Generator) -> Curve:
    accuracy = rng.uniform(0.5, 0.95)
    return lambda _: accuracy


def jump(rng: np.random.Generator) -> Curve:
    """Return a curve that jumps at some size, anywhere from the half to twice the rows."""
    before, height = rng.uniform(0.4, 0.7), rng.uniform(0.05, 0.25)
    size = 500 * 2 ** rng.uniform(-1, 1)
    return lambda rows: before + height * (rows > size)


@dataclass(frozen=True)
class Design:
    """Hold a kind of curves, and the gates on them.

    Attributes:
        seed: the standard deviation of the accuracy of models that differ in the seed alone.
        n: test examples.
    """

    draw: Callable[[np.random.Generator], Curve]
    n: int = 200
    seed: float = 0.0


DESIGNS = {
    "power laws, 100 examples": Design(power_law, 100),
    "power laws, 200 examples": Design(power_law),
    "power laws, 500 examples": Design(power_law, 500),
    "power laws, a seed's luck of 1 point": Design(power_law, seed=0.01),
    "power laws, a seed's luck of 2 points": Design(power_law, seed=0.02),
    "saturating, 200 examples": Design(saturating),
    "saturating, 500 examples": Design(saturating, 500),
    "flat, 200 examples": Design(flat),
    "flat, a seed's luck of 1 point": Design(flat, seed=0.01),
    "a slow start, 200 examples": Design(late),
    "with a jump, 200 examples": Design(jump),
    "with a jump, 500 examples": Design(jump, 500),
}


def said(design: Design, rng: np.random.Generator) -> tuple[str, bool] | None:
    """Return what a failed gate says of another doubling, and the truth; None where it passes.

    It has 250 rows in the half and 500 in all, and the baseline is below the candidate by less than
    the margin, or above it.
    """
    curve = design.draw(rng)
    half, whole = curve(250), curve(500)
    twice = curve(1_000)
    margin = 0.05
    # From a margin that is nearly reached to one that three doublings would not reach.
    baseline = whole - margin + rng.uniform(0.0, 1.0) * max(0.06, 3 * (whole - half))

    easy = rng.random(design.n)
    half_right = right_at(half, design, easy, rng)
    candidate_right = right_at(whole, design, easy, rng)
    baseline_right = right_at(baseline, design, rng.random(design.n), rng, seed=0.0)

    gain = float(candidate_right.mean() - baseline_right.mean())
    if gain >= margin:
        return None
    missing = round(margin - gain, 12)
    doubling = compare_right_wrong(half_right, candidate_right, **ASKED)
    expected = SHARED * (easy < twice).mean() + (1 - SHARED) * twice
    return answer(doubling, missing), bool(expected - candidate_right.mean() >= missing)


def right_at(
    accuracy: float,
    design: Design,
    easy: np.ndarray,
    rng: np.random.Generator,
    *,
    seed: float | None = None,
) -> np.ndarray:
    """Return on which examples a model is right, by how easy they are, or by chance."""
    luck = rng.normal(0, design.seed if seed is None else seed)
    own = rng.random(design.n)
    places = np.where(rng.random(design.n) < SHARED, easy, own)
    return places < np.clip(accuracy + luck, 0, 1)


def simulated_table(repetitions: int) -> None:
    """Print how often each answer is wrong."""
    title = f"whether another doubling will do, {repetitions:,} gates a row"
    columns = ("gates failed", "wrong yes", "wrong no", "right yes", "right no", "cannot tell")
    head(title, "curves", *columns)
    for name, design in DESIGNS.items():
        rng = np.random.default_rng(1)
        counts: Counter[tuple[str, bool]] = Counter()
        for _ in range(repetitions):
            result = said(design, rng)
            if result is not None:
                counts[result] += 1
        n = max(1, counts.total())
        reached = max(1, sum(counts[key, True] for key in ("yes", "no", "cannot tell")))
        missed = max(1, n - reached)
        open_ = counts["cannot tell", True] + counts["cannot tell", False]
        shares = percent(
            counts["yes", False] / n,
            counts["no", True] / n,
            counts["yes", True] / reached,
            counts["no", False] / missed,
            open_ / n,
        )
        row(name, counts.total(), *shares)


# --- real curves ----------------------------------------------------------------------------------

SIZES = (160, 320, 640, 1_280, 2_500)
TESTED = 400
MISSING = (0.02, 0.05, 0.1)


def right_answers(training: Sequence[Any], test: Sequence[Any]) -> np.ndarray:
    """Return on which test rows a linear model is right that is trained on these rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    model = make_pipeline(
        make_union(words, characters), LogisticRegression(C=30, max_iter=200, tol=1e-3)
    )
    texts, labels = zip(*training, strict=True)
    model.fit(texts, labels)
    test_texts, expected = zip(*test, strict=True)
    return np.asarray(model.predict(test_texts) == np.array(expected))


def real_rows(name: str, folder: Path | None) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield each size with the right answers of the half, of all rows, and of twice as many."""
    training, test = (list(rows) for rows in DATA[name](folder))
    random.Random(1).shuffle(training)
    random.Random(1).shuffle(test)
    wanted = sorted({count for size in SIZES for count in (size // 2, size, 2 * size)})
    right = {count: right_answers(training[:count], test) for count in wanted}
    for size in SIZES:
        yield size, [right[count] for count in (size // 2, size, 2 * size)]


def real_table(name: str, folder: Path | None) -> None:
    """Print what was said at each size of a data set, and what came."""
    curve_head(f"{name}, {TESTED} test rows")
    for size, (half, whole, twice) in real_rows(name, folder):
        doubling = compare_right_wrong(half[:TESTED], whole[:TESTED], **ASKED)
        curve_row(size, doubling, whole, twice)


def curve_head(title: str) -> None:
    said_of = [f"{100 * missing:.0f} missing" for missing in MISSING]
    columns = ("rows", "accuracy", "last doubling", "bounds", *said_of, "came", "wrong")
    head(title, *columns)


def curve_row(size: int, doubling: Comparison, whole: np.ndarray, twice: np.ndarray) -> None:
    """Print what was said at one size, and what came with twice the rows."""
    came = twice.mean() - whole.mean()
    answers = [answer(doubling, missing) for missing in MISSING]
    wrong = sum(map(partial(is_wrong, came), answers, MISSING))
    row(f"{size:,}", f"{whole.mean():.1%}", *shown(doubling), *answers, points(came), wrong)


EXAMPLES = Path(__file__).parent.parent / "examples"
LORA_SIZES = (100, 200, 400)
SEEDS = (3, 4, 5)


def lora_table(seed: int) -> None:
    """Print what was said of the adapters of examples/shipped, and what came."""
    sys.path.insert(0, str(EXAMPLES / "shipped"))
    import torch
    import train

    from pytest_ftgate.data import load_examples

    train.SEED = seed
    test = load_examples(EXAMPLES / "voice_commands" / "data" / "test.jsonl")
    texts = train.LESSONS.read_text(encoding="utf-8").splitlines()
    lessons = [json.loads(text) for text in texts]
    random.Random(seed).shuffle(lessons)

    tokenizer = train.make_tokenizer([text for row in lessons for text in row.values()])
    encoded = [train.encode(tokenizer, row) for row in lessons]
    right = {}
    for size in (50, 100, 200, 400, 800):
        torch.manual_seed(seed)
        # The base model has seen all rows a little, as a downloaded one has seen the language.
        model = train.make_base(tokenizer)
        train.fit(model, encoded, epochs=train.BASE_EPOCHS, learning_rate=train.BASE_LEARNING_RATE)
        model = train.with_adapter(model)
        train.fit(
            model,
            encoded[:size],
            epochs=train.ADAPTER_EPOCHS,
            learning_rate=train.ADAPTER_LEARNING_RATE,
        )
        rights = []
        for example in test:
            answered = lora_answer(model, tokenizer, train.SYSTEM, example.input)
            rights.append(answered == example.expected)
        right[size] = np.array(rights)

    curve_head(f"LoRA adapters, seed {seed}, {len(test)} test rows in groups")
    for size in LORA_SIZES:
        half, whole, twice = (right[count] for count in (size // 2, size, 2 * size))
        doubling = compare_right_wrong(half, whole, groups=test.groups, **ASKED)
        curve_row(size, doubling, whole, twice)


def lora_answer(model: Any, tokenizer: Any, system: str, text: str) -> str:
    """Return the greedy answer of a model to one input."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    answered = written[0, inputs["input_ids"].shape[1] :]
    return str(tokenizer.decode(answered, skip_special_tokens=True)).strip()


def is_wrong(came: float, answered: str, missing: float) -> bool:
    """Return whether a yes or a no was not what came."""
    return answered != "cannot tell" and (answered == "yes") != (came >= missing)


def shown(gain: Comparison) -> tuple[str, str]:
    """Return a gain and its bounds in points."""
    bounds = f"{points(gain.lower_bound)} to {points(gain.upper_bound)}"
    return points(gain.gain), bounds


def points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", nargs="+", choices=("Banking77", "CLINC150"), default=())
    parser.add_argument("--folder", type=Path, help="where the files are; else they are downloaded")
    parser.add_argument("--lora", action="store_true", help="train adapters")
    options = parser.parse_args(arguments)
    for name in options.data:
        real_table(name, options.folder)
    if options.lora:
        for seed in SEEDS:
            lora_table(seed)
    elif not options.data:
        simulated_table(20 if options.quick else 1_000)


if __name__ == "__main__":
    main()
