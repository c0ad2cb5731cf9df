"""What ``provider: transformers`` costs beyond ``generate``: examples a second, on one model and one CPU.

    pip install -e '.[test,local]'
    python benchmarks/local.py                     # 320 examples, batches of 16, 16 tokens each, 5 rounds

``plain``     ``generate`` in a loop, one example at a time
``batched``   the same in batches
``provider``  this package: prompt, key, queue, thread, store

The rounds of the three follow one another, so that each is measured beside the others. Printed are medians, and the
ratio of ``provider`` to ``batched`` as the median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "local"))

import torch
from small_model import make_llama, make_tokenizer, rows, write_rows
from transformers import GenerationConfig, LlamaForCausalLM

from pytest_ftgate.config import ModelSpec, Source
from pytest_ftgate.data import load_examples
from pytest_ftgate.models import Surroundings, build_model
from pytest_ftgate.runs.runner import Job, Stores, run_models
from pytest_ftgate.runs.store import Store


def make_model(folder: Path) -> None:
    """Write an untrained Llama of 30 MB that never ends an answer by itself: every one takes the same work."""
    tokenizer = make_tokenizer()
    model = make_llama(tokenizer, width=384, layers=4)
    with torch.no_grad():
        model.lm_head.weight[2] = 0  # the end: never the likeliest token
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def looped(folder: Path, inputs: list[str], batch: int, tokens: int) -> Callable[[], None]:
    """Return what somebody would write by hand."""
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    tokenizer = make_tokenizer()
    tokenizer.padding_side = "left"
    config = GenerationConfig(do_sample=False, max_new_tokens=tokens, pad_token_id=0, eos_token_id=2)

    def run() -> None:
        for start in range(0, len(inputs), batch):
            chats = [[{"role": "user", "content": text}] for text in inputs[start : start + batch]]
            encoded = tokenizer.apply_chat_template(
                chats, add_generation_prompt=True, return_dict=True, return_tensors="pt", padding=True
            )
            with torch.inference_mode():
                made = model.generate(**encoded, generation_config=config)
            tokenizer.batch_decode(made[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)

    return run


def provided(folder: Path, batch: int, tokens: int) -> Callable[[], None]:
    """Return the same by this package; every round asks anew."""
    options = {"model": str(folder), "batch_size": batch, "max_new_tokens": tokens}
    test = load_examples(folder / "test.jsonl")
    spec = ModelSpec("transformers", options, "transformers:model", "model", Source("file", "benchmark", folder))
    model = build_model(spec, Surroundings())

    def run() -> None:
        with tempfile.TemporaryDirectory() as state:
            (done,) = run_models(
                [Job(model, test)], stores=Stores(Store(Path(state) / "predictions.sqlite"), Store(None))
            )
        assert all(one.completion is not None for one in done.all_predictions), done.fatal

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder)
        written = rows(args.examples, 1000)
        write_rows(folder / "test.jsonl", written)
        inputs = [row["input"] for row in written]
        contenders = {
            "plain": looped(folder, inputs, 1, args.tokens),
            "batched": looped(folder, inputs, args.batch, args.tokens),
            "provider": provided(folder, args.batch, args.tokens),
        }
        took: dict[str, list[float]] = {name: [] for name in contenders}
        for run in contenders.values():
            run()  # loads the model, and warms up
        for _ in range(args.rounds):
            for contender, run in contenders.items():
                start = time.perf_counter()
                run()
                took[contender].append(time.perf_counter() - start)
    for contender, seconds in took.items():
        print(f"{contender:9} {args.examples / statistics.median(seconds):8.1f} examples/s")
    ratio = statistics.median(b / p for b, p in zip(took["batched"], took["provider"], strict=True))
    print(f"provider / batched: {ratio:.2f}")


if __name__ == "__main__":
    main()
