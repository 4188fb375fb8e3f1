"""Tiny transformers of random weights, in folders as transformers writes them."""

import torch
import transformers

END = "<|endoftext|>"
GPT2 = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": 32}


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
    model = random_weights(cls(cls.config_class(**sizes | config)))
    model.save_pretrained(folder)
    small_tokenizer().save_pretrained(folder)
    return model
