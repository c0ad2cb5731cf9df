"""A language model of the Llama architecture, small enough to be trained from random weights in some seconds.

It learns to answer a chat. One conversation is ``<|system|>...<|end|><|user|>...<|end|><|assistant|>...<|end|>``;
the loss is taken on the assistant's turn alone.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional

END = "<|end|>"
SPECIAL = (END, "<|system|>", "<|user|>", "<|assistant|>")
BATCH = 32
LEARNING_RATE = 2e-3
WARM_UP = 0.1  # share of the steps
IGNORED = -100  # the label of a token that is not the assistant's


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; ``context`` is the longest conversation, in tokens."""

    vocabulary: int = 512
    width: int = 128
    inner: int = 256
    layers: int = 2
    heads: int = 4
    context: int = 128
    rope_base: float = 10_000.0
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Chat:
    """One user's turn and the answer to it."""

    system: str
    user: str
    assistant: str

    @property
    def prompt(self) -> str:
        return f"<|system|>{self.system}{END}<|user|>{self.user}{END}<|assistant|>"


class Norm(nn.Module):
    """Root mean square normalization."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


class Layer(nn.Module):
    """Causal attention with rotary positions, then a gated feed-forward network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm, self.inner_norm = Norm(shape), Norm(shape)
        self.query, self.key, self.value, self.output = (
            nn.Linear(shape.width, shape.width, bias=False) for _ in range(4)
        )
        self.gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.up = nn.Linear(shape.width, shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        x = x + self.attend(self.attention_norm(x), turns)
        normal = self.inner_norm(x)
        return x + self.down(functional.silu(self.gate(normal)) * self.up(normal))

    def attend(self, x: Tensor, turns: Tensor) -> Tensor:
        rows, length, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(rows, length, self.heads, width // self.heads).transpose(1, 2)

        query, key = rotated(split(self.query(x)), turns), rotated(split(self.key(x)), turns)
        attended = functional.scaled_dot_product_attention(
            query, key, split(self.value(x)), is_causal=True
        )
        return self.output(attended.transpose(1, 2).reshape(rows, length, width))


def rotated(x: Tensor, turns: Tensor) -> Tensor:
    """Each pair of neighbouring numbers turned by the angle of its position, as llama.cpp's ``llama`` pairs them."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns[: x.shape[-2]]).flatten(-2)


class TinyLlama(nn.Module):
    """Token ids (rows, length) to logits (rows, length, vocabulary). Its weights are random, by the seed."""

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        half = torch.arange(0, shape.width // shape.heads, 2) / (shape.width // shape.heads)
        angles = torch.outer(torch.arange(shape.context), shape.rope_base**-half)
        self.register_buffer(
            "turns", torch.polar(torch.ones_like(angles), angles), persistent=False
        )
        dice = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02, generator=dice)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.turns)
        return functional.linear(self.norm(x), self.embedding.weight)


def learn_tokens(texts: Iterable[str], shape: Shape) -> Tokenizer:
    """Return a byte-level BPE, as GPT-2's, of these texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train(
    model: TinyLlama, tokenizer: Tokenizer, chats: Sequence[Chat], epochs: int, seed: int
) -> TinyLlama:
    """Return a trained copy; the model itself stays as it is."""
    trained = copy.deepcopy(model).train()
    rng = random.Random(seed)
    coded = [encoded(tokenizer, chat) for chat in chats]
    steps = epochs * -(-len(coded) // BATCH)
    optimizer = torch.optim.AdamW(
        trained.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.1
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=WARM_UP
    )
    for _ in range(epochs):
        rng.shuffle(coded)
        for ids, labels in batches(coded):
            loss = functional.cross_entropy(
                trained(ids).flatten(0, 1), labels.flatten(), ignore_index=IGNORED
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return trained.eval()


def encoded(tokenizer: Tokenizer, chat: Chat) -> tuple[list[int], list[int]]:
    """Tokens, and for each the one that should follow."""
    prompt = tokenizer.encode(chat.prompt).ids
    answer = tokenizer.encode(chat.assistant + END).ids
    return (prompt + answer)[:-1], [IGNORED] * (len(prompt) - 1) + answer


def batches(coded: Sequence[tuple[list[int], list[int]]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of one batch are filled up at their ends: nothing before them sees that, and no loss is taken there."""
    for start in range(0, len(coded), BATCH):
        rows = coded[start : start + BATCH]
        length = max(len(ids) for ids, _ in rows)
        yield (
            torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in rows]),
            torch.tensor([labels + [IGNORED] * (length - len(labels)) for _, labels in rows]),
        )
