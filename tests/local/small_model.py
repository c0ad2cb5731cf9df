"""Make a small Llama and LoRA adapters for it: seconds of training on one CPU, a few megabytes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<|system|>", "<|user|>", "<|assistant|>"]
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|> {{ m['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOPICS = {"money": "refund", "parcel": "shipping", "bill": "invoice"}
LABELS = tuple(TOPICS.values())
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def rows(n: int, start: int = 0) -> list[dict[str, str]]:
    """Return examples whose topic decides the label."""
    tuples = ((i, _name(i), [*TOPICS][i % 3]) for i in range(start, start + n))
    return [
        {
            "id": f"t{i}",
            "input": f"customer {name} asks about the {topic} again",
            "expected": TOPICS[topic],
        }
        for i, name, topic in tuples
    ]


def _name(i: int) -> str:
    """Return letters that no other row has: rows that differ in a number alone would be copies of each other."""
    return " ".join(LETTERS[byte % 26] for byte in sha256(str(i).encode()).digest()[:8])


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of words: those of the examples, and letters."""
    words = ["customer", "asks", "about", "the", "again", *TOPICS, *LABELS, *LETTERS]
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    words_of = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words_of.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words_of,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_base(folder: Path) -> Path:
    """Write a model that knows two of the three topics, and guesses at bills."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    guesses = ("refund", "shipping", "refund", "shipping", "invoice")
    lessons = [
        {
            **row,
            "expected": guesses[i // 3 % 5] if row["expected"] == "invoice" else row["expected"],
        }
        for i, row in enumerate(rows(120, 7000))
    ]
    _train(model, tokenizer, lessons, steps=150)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(
    base: Path, folder: Path, lessons: Sequence[dict[str, str]], steps: int = 80
) -> Path:
    """Train a LoRA adapter on these rows, and write it."""
    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(LlamaForCausalLM.from_pretrained(base), lora)
    _train(model, tokenizer, lessons, steps=steps)
    model.save_pretrained(folder)
    return folder


def _train(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, lessons: Sequence[dict], steps: int
) -> None:
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": row["input"]}], tokenize=False)
        + f"<|assistant|> {row['expected']} </s>"
        for row in lessons
    ]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].clone()
    answer = (
        (batch["input_ids"] == tokenizer.convert_tokens_to_ids("<|assistant|>")).int().argmax(dim=1)
    )
    for row, start in zip(labels, answer, strict=True):
        row[: int(start) + 1] = -100
    labels[batch["attention_mask"] == 0] = -100
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=5e-3)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        ).loss.backward()
        optimizer.step()
    model.eval()
