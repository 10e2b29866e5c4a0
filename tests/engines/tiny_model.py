"""Makes tiny language models with random weights, in two files' formats: C{tiny_model.py FOLDER FILE.gguf [letters]}.

It talks nonsense, but tokenizes, computes, samples and counts like a large one.  Its vocabulary has visible ASCII and
space only, so that whatever it says is text.  With C{letters} each character is a token, so that the text says which
tokens it is of.  Run by an interpreter that has torch, transformers, tokenizers and gguf.
"""

from __future__ import annotations

import json
import random
import string
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END, START, UNKNOWN = "<|end|>", "<|start|>", "<|unknown|>"

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: "
    "{% if message.content is string %}{{ message.content }}"
    "{% elif message.content %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}"
    " <|end|> {% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def a_tokenizer(*, letters: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE over visible ASCII, trained on words by lot; or on nothing."""
    lot = random.Random(3)
    letters = string.ascii_lowercase
    words = ["".join(lot.choices(letters, k=lot.randrange(2, 7))) for _ in range(400)]
    lines = [" ".join(lot.choices(words, k=12)) for _ in range(2000)]
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = [*string.printable[:94], "\u0120"]  # the space, as byte-level BPE has it
    trainer = trainers.BpeTrainer(
        vocab_size=99 if letters else 1000,
        special_tokens=[UNKNOWN, START, END],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(["~~"] if letters else lines, trainer)  # llama.cpp wants one merge at least
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, unk_token=UNKNOWN, pad_token=END
    )
    fast.chat_template = TEMPLATE
    return fast


def a_model(size: int) -> LlamaForCausalLM:
    """Random weights, scaled up so that greedy decoding is stable."""
    torch.manual_seed(11)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(20)
        model.lm_head.weight.mul_(8)
        model.lm_head.weight[:3] = 0  # neither end nor the unknown: replies run to their limit, nearly always
    return model.eval()


def write_gguf(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, path: Path) -> None:
    """The same model for llama.cpp, its tensors and keys named as llama.cpp wants them."""
    config = model.config
    heads = config.num_attention_heads
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // heads)
    writer.add_vocab_size(config.vocab_size)
    words = tokenizer.convert_ids_to_tokens(list(range(config.vocab_size)))
    control = gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([control if number < 3 else gguf.TokenType.NORMAL for number in range(len(words))])
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in state])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    inner = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, tensor in model.state_dict().items():
        array = tensor.to(torch.float32).numpy()
        stem = name.removesuffix(".weight")
        if stem in outer:
            target = outer[stem]
        else:
            _, _, layer, rest = stem.split(".", 3)
            target = f"blk.{layer}.{inner[rest]}"
            if rest.endswith(("q_proj", "k_proj")):  # rotary pairs lie side by side there, half a head apart here
                half = array.shape[0] // heads // 2
                array = array.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(f"{target}.weight", np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Both."""
    folder, file = Path(sys.argv[1]), Path(sys.argv[2])
    letters = sys.argv[3:] == ["letters"]
    tokenizer = a_tokenizer(letters=letters)
    model = a_model(len(tokenizer))
    if letters:
        with torch.no_grad():
            model.lm_head.weight[tokenizer.convert_tokens_to_ids("~~")] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_gguf(model, tokenizer, file)
    print(f"{sum(weight.numel() for weight in model.parameters())} weights, {len(tokenizer)} tokens")


if __name__ == "__main__":
    main()
