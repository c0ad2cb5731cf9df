"""A trained model as a GGUF file, which llama.cpp loads: weights, tokens, and how a chat becomes one text."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
from tiny_llama import END, SPECIAL, TinyLlama
from tokenizers import Tokenizer

# As ``Chat.prompt`` writes it.
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    + END
    + "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Ours to GGUF's. Both pair neighbouring numbers for rotary positions, so that no weight needs to change its place.
LAYER = {
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "output": "attn_output",
    "inner_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def export(model: TinyLlama, tokenizer: Tokenizer, path: Path) -> Path:
    """Write the file, in 32 bit floats."""
    writer = gguf.GGUFWriter(path, "llama")
    add_shape(writer, model)
    add_tokens(writer, tokenizer)
    for name, weight in model.state_dict().items():
        writer.add_tensor(tensor_name(name), weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_shape(writer: gguf.GGUFWriter, model: TinyLlama) -> None:
    shape = model.shape
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocabulary)


def add_tokens(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    end = tokenizer.token_to_id(END)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens]
    )
    writer.add_token_merges([" ".join(pair) for pair in learned["merges"]])
    writer.add_eos_token_id(end)
    writer.add_bos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def tensor_name(name: str) -> str:
    """GGUF's name for a weight: ``layers.0.query.weight`` is ``blk.0.attn_q.weight``."""
    head, *tail = name.split(".")
    if head == "layers":
        number, inner, kind = tail
        return f"blk.{number}.{LAYER[inner]}.{kind}"
    return {"embedding": "token_embd.weight", "norm": "output_norm.weight"}[head]
