"""Train a small model and a LoRA adapter for it, merge and convert both: ``python train.py``.

All artifacts are written to ``artifacts/``:

``base``
    a Llama that was trained from random weights for a few seconds. It stands for a model that you
    download.
``adapter``
    a LoRA adapter for it.
``merged``
    the weights of the base model with the adapter merged into them.
``merged.gguf``
    the merged weights for llama.cpp, in 8 bits.
``unscaled.gguf``
    the same, but merged by a script that forgets the scale of the adapter, for test_refused.py.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import convert
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

torch.set_num_threads(1)  # the fastest for a model this small, and the same weights every time

HERE = Path(__file__).parent
LESSONS = HERE.parent / "voice_commands" / "data" / "train.jsonl"
ARTIFACTS = HERE / "artifacts"
SOURCES = (LESSONS, Path(__file__), Path(convert.__file__))

SYSTEM = "Name the intent."
END = "<|end|>"
SPECIAL_TOKENS = [END, "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|{{ message.role }}|>{{ message.content }}" + END + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

SEED = 3
CONTEXT = 128  # tokens of the longest conversation
BATCH = 32
BASE_EPOCHS = 2
ADAPTER_EPOCHS = 8
BASE_LEARNING_RATE = 2e-3
ADAPTER_LEARNING_RATE = 5e-3
NO_LOSS = -100  # the label of tokens that are not the assistant's

Lesson = tuple[list[int], list[int]]  # token ids, and the label of each


def make_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer, as GPT-2's, which llama.cpp reads too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)

    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def make_base(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a Llama with random weights."""
    end = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    return LlamaForCausalLM(config)


def with_adapter(base: LlamaForCausalLM) -> PeftModel:
    """Return the base model with a LoRA adapter that is not trained yet."""
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(base, lora)


def encode(tokenizer: PreTrainedTokenizerFast, row: dict[str, str]) -> Lesson:
    """Return the tokens of a conversation; the loss is taken only on the assistant's turn."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": row["input"]}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer(prompt)["input_ids"]
    answer_ids = tokenizer(row["expected"] + END)["input_ids"]
    return prompt_ids + answer_ids, [NO_LOSS] * len(prompt_ids) + answer_ids


def batches(lessons: Sequence[Lesson], pad: int) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the arguments of the model.

    Lessons of one batch are padded at the end, which changes no loss.
    """
    for start in range(0, len(lessons), BATCH):
        batch = lessons[start : start + BATCH]
        length = max(len(ids) for ids, _labels in batch)
        ids = [ids + [pad] * (length - len(ids)) for ids, _labels in batch]
        labels = [labels + [NO_LOSS] * (length - len(labels)) for _ids, labels in batch]
        yield {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels)}


def fit(
    model: LlamaForCausalLM | PeftModel,
    lessons: Sequence[Lesson],
    *,
    epochs: int,
    learning_rate: float,
) -> None:
    """Train the weights that are not frozen."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, learning_rate, betas=(0.9, 0.98))
    steps = epochs * -(-len(lessons) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        learning_rate,
        total_steps=steps,
        pct_start=0.1,
    )
    order = random.Random(SEED)
    shuffled = list(lessons)

    model.train()
    for _epoch in range(epochs):
        order.shuffle(shuffled)
        for batch in batches(shuffled, model.config.pad_token_id):
            optimizer.zero_grad()
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


def make_artifacts(folder: Path) -> None:
    """Train, merge and convert, each into its own folder or file."""
    rows = [json.loads(line) for line in LESSONS.read_text(encoding="utf-8").splitlines()]
    texts = [SYSTEM]
    for row in rows:
        texts += [row["input"], row["expected"]]
    tokenizer = make_tokenizer(texts)
    lessons = [encode(tokenizer, row) for row in rows]

    torch.manual_seed(SEED)
    base = make_base(tokenizer)
    fit(base, lessons, epochs=BASE_EPOCHS, learning_rate=BASE_LEARNING_RATE)
    base.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")

    tuned = with_adapter(base)
    fit(tuned, lessons, epochs=ADAPTER_EPOCHS, learning_rate=ADAPTER_LEARNING_RATE)
    tuned.save_pretrained(folder / "adapter")

    convert.merge(folder / "base", folder / "adapter", folder / "merged")
    convert.to_gguf(folder / "merged", folder / "merged.gguf", bits=8)

    convert.merge(folder / "base", folder / "adapter", folder / "unscaled", forgets_scale=True)
    convert.to_gguf(folder / "unscaled", folder / "unscaled.gguf", bits=8)


def sources_hash() -> str:
    """Return the SHA-256 (hex) of the files that decide what is trained."""
    contents = b"".join(path.read_bytes() for path in SOURCES)
    return hashlib.sha256(contents).hexdigest()


def train_once() -> None:
    """Make the artifacts, unless they are there, made by these scripts from these data."""
    stamp = ARTIFACTS / "made_from.txt"  # written last, so a run that was stopped begins anew
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == sources_hash():
        return

    shutil.rmtree(ARTIFACTS, ignore_errors=True)
    ARTIFACTS.mkdir()
    make_artifacts(ARTIFACTS)
    stamp.write_text(sources_hash(), encoding="utf-8")


if __name__ == "__main__":
    train_once()
