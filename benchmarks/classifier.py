"""What a gate's classifier costs beside a plain batched loop, on one model with random weights.

    python benchmarks/classifier.py                       # needs the extra "local"
    python benchmarks/classifier.py --layers 12 --texts 256 --rounds 5

``loop`` tokenizes and classifies batch by batch, as a script by hand does; ``gate`` asks the model
of ``provider: transformers, task: text-classification`` through the runner. Texts have equal
lengths, so that neither gains by sorting them; both answer in turn, and the printed ratios of texts
per second are medians over the rounds.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import DataSet, Example
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.runs.jobs import Job, Stores
from pytest_ftgate.runs.runner import run_models
from pytest_ftgate.runs.store import Store

LABELS = ("refund", "invoice", "shipping", "other")
WORDS = tuple(f"word{i}" for i in range(1000))


def make_model(folder: Path, layers: int) -> None:
    """Save a BERT of the base size, with so many layers, whose tokenizer knows our words."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    (folder / "vocab.txt").write_text(
        "\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))
    )
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    names = dict(enumerate(LABELS))
    config = BertConfig(
        num_hidden_layers=layers, id2label=names, label2id={name: i for i, name in names.items()}
    )
    BertForSequenceClassification(config).save_pretrained(folder)


def loop(folder: Path, texts: list[str], batch_size: int) -> Callable[[], list[str]]:
    """Return a plain loop over batches."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def classify() -> list[str]:
        labels: list[str] = []
        for start in range(0, len(texts), batch_size):
            encoded = tokenizer(
                texts[start : start + batch_size],
                return_tensors="pt",
                padding=True,
                truncation=True,
            )
            with torch.inference_mode():
                scores = model(**encoded).logits
            labels += [model.config.id2label[i] for i in scores.argmax(dim=-1).tolist()]
        return labels

    return classify


def gate(folder: Path, texts: list[str], batch_size: int) -> Callable[[], list[str]]:
    """Return the same by this package."""
    options = {"model": str(folder), "task": "text-classification", "batch_size": batch_size}
    spec = ModelSpec("transformers", options, "bert", "bert", Source("file", "benchmark", Path()))
    test = DataSet(
        tuple(Example(str(i), text, LABELS[0]) for i, text in enumerate(texts)),
        None,
        "",
        "benchmark",
    )
    model = build_model(spec, Surroundings(asked=test))

    def classify() -> list[str]:
        (run,) = run_models([Job(model, test)], stores=Stores(None, Store(None)))
        return [
            prediction.completion.text
            for prediction in run.predictions[0]
            if prediction.completion is not None
        ]

    return classify


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=4, help="of 768 units; BERT-base has 12")
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--words", type=int, default=32, help="of each text")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=args.words)) for _ in range(args.texts)]
    with tempfile.TemporaryDirectory() as name:
        make_model(Path(name), args.layers)
        ways = {way.__name__: way(Path(name), texts, args.batch_size) for way in (loop, gate)}
        assert ways["loop"]() == ways["gate"]()  # and warms both up
        rounds = []
        for _ in range(args.rounds):
            rate = {}
            for way, classify in ways.items():
                start = time.perf_counter()
                classify()
                rate[way] = len(texts) / (time.perf_counter() - start)
            rounds.append(rate)
    for way in ways:
        print(f"{way}: {statistics.median(rate[way] for rate in rounds):,.0f} texts/s")
    print(
        f"gate beside loop: {statistics.median(rate['gate'] / rate['loop'] for rate in rounds):.2f}"
    )


if __name__ == "__main__":
    main()
