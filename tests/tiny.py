"""Tiny transformers of random weights, in folders as transformers writes them."""

from contextlib import contextmanager

import torch
import transformers

END = "<|endoftext|>"
GPT2 = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 32}


@contextmanager
def seeded(seed=0):
    """Whatever a library draws for a new model is the same in every run, and nobody else's random numbers change."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def random_weights(model, seed=0):
    """In place; no bias at 0 and no scale at 1, where a mistake would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def small_tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = [END, *"the cat sat on a mat and ate".split()]
    tokenizer = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token=END))
    tokenizer.pre_tokenizer = Whitespace()
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def saved(folder, kind, **config):
    """A random model of a transformers class in a folder, by its own save_pretrained; returns the model."""
    sizes = {"vocab_size": 40, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    cls = getattr(transformers, kind)
    with seeded():
        model = random_weights(cls(cls.config_class(**sizes | config)))
    model.save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    return model


def gguf_of_llama(model, path, split="smollm", architecture="llama", packed=(), without=()):
    """Write a transformers Llama as llama.cpp would: its names, its order of the rows of queries and keys, its tokens.

    ``packed``: tensors that are rounded to 4 bits (Q4_1). The tokens are all bytes and a few pairs of them.
    """
    import gguf

    config, state = model.config, {name: value.detach().float().numpy() for name, value in model.state_dict().items()}
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    tokens = [END, *sorted(byte_letters()), "ĠĠ", "Ġc", "at", "Ġcat"]
    writer.add_tokenizer_model("gpt2")
    if split:
        writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL, *[gguf.TokenType.NORMAL] * (len(tokens) - 1)])
    writer.add_token_merges(["Ġ Ġ", "Ġ c", "a t", "Ġc at"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, value in state.items():
        stem, _, ending = name.rpartition(".")
        theirs = f"{names.get_name(stem)}.{ending}"
        if "q_proj" in name or "k_proj" in name:
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            value = value.reshape(heads, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        kind = gguf.GGMLQuantizationType.Q4_1 if name in packed else None
        if theirs not in without:
            writer.add_tensor(theirs, value if kind is None else gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def byte_letters():
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()
