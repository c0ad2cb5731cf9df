"""Merge a LoRA adapter into its base model, and convert the weights to GGUF for llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from peft import PeftConfig, PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

QUANTIZATIONS = {8: gguf.GGMLQuantizationType.Q8_0, 4: gguf.GGMLQuantizationType.Q4_0}

# transformers' names of the weights of a layer, and GGUF's.
LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# There is no output matrix: this model's is that of the embedding.
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
}


def merge(base: Path, adapter: Path, folder: Path, *, forgets_scale: bool = False) -> None:
    """Write the base model with the adapter merged into its weights.

    An adapter's matrices count ``lora_alpha / r`` times. A conversion that forgets this ships a
    weaker fine-tune.
    """
    config = PeftConfig.from_pretrained(adapter)
    if forgets_scale:
        config.lora_alpha = config.r
    model = AutoModelForCausalLM.from_pretrained(base)
    merged = PeftModel.from_pretrained(model, adapter, config=config).merge_and_unload()

    merged.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


def to_gguf(folder: Path, path: Path, *, bits: int) -> None:
    """Write a folder of ``save_pretrained`` as a GGUF file, its matrices in 8 or 4 bits."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(path, "llama")
    add_shape(writer, config)
    add_tokenizer(writer, folder, config["eos_token_id"])

    for name, weight in load_file(folder / "model.safetensors").items():
        new_name = gguf_name(name)
        if new_name.endswith(("attn_q.weight", "attn_k.weight")):
            weight = in_neighbouring_pairs(weight, config["num_attention_heads"])
        if weight.ndim == 1:  # those of norms are few
            writer.add_tensor(new_name, weight)
        else:
            kind = QUANTIZATIONS[bits]
            writer.add_tensor(new_name, gguf.quantize(weight, kind), raw_dtype=kind)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    """Return GGUF's name of a weight.

    For example, ``model.layers.0.mlp.up_proj.weight`` is ``blk.0.ffn_up.weight``.
    """
    if name in NAMES:
        return NAMES[name]
    number, layer_name = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
    return f"blk.{number}.{LAYER_NAMES[layer_name]}.weight"


def in_neighbouring_pairs(weight: np.ndarray, heads: int) -> np.ndarray:
    """Return a query or key matrix, shape ``(out, in)``, with the rows in llama.cpp's order.

    Rotary positions turn pairs of numbers. transformers pairs the two halves of a head, llama.cpp
    pairs neighbours.
    """
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def add_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: gguf.GGUFWriter, folder: Path, end: int) -> None:
    """Add tokens, merges and chat template."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    kinds = [gguf.TokenType.NORMAL] * len(tokens)
    for token in special:
        kinds[vocabulary[token]] = gguf.TokenType.CONTROL

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(end)
    writer.add_bos_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template((folder / "chat_template.jinja").read_text(encoding="utf-8"))
