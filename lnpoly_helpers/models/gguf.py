"""GGUF files, as transformers reads them: once, in silence, and split into tokens as their model was trained."""

import functools
import re
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._inputs import require_installed
from .hub import is_gguf

# how llama.cpp splits a text before it joins bytes, by the name that a file states; the file does not say more
_AS_GPT2 = {"gpt-2", "gpt2", "mpt", "olmo", "jais", "trillion", "granite-docling"}
_DIGITS_FIRST = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}


def files(path):
    """What transformers' from_pretrained is told: the folder, the options that keep it to that path, and in words."""
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if is_gguf(path):
        return str(path.parent), local | {"gguf_file": path.name}, "a GGUF file"
    return str(path), local, "a config.json"


@contextmanager
def read_once(path):
    """While this holds, transformers reads a GGUF file once and shows nothing; other files it reads as ever.

    Left alone it reads the file for the config, for the tokenizer and for the weights, some seconds each, cuts each of
    some 100,000 words out of a memmap, which takes as long as all the rest, makes a map of all names for every single
    module, and leaves a progress bar behind in notebooks.
    """
    if not is_gguf(path):
        yield
        return
    require_installed("load_model of a GGUF file", "models", "gguf")
    import gguf
    from transformers import modeling_gguf_pytorch_utils as theirs

    class Reader(gguf.GGUFReader):
        def _get(self, *args, **options):
            self.data = self.data.view(np.ndarray)  # the same bytes, still in the file
            return super()._get(*args, **options)

    room: Any = theirs
    before = gguf.GGUFReader, gguf.get_tensor_name_map, room.tqdm
    gguf.GGUFReader, gguf.get_tensor_name_map = functools.cache(Reader), functools.cache(before[1])
    room.tqdm = lambda tensors, **options: tensors
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map, room.tqdm = before


def unpacking(path):
    """What tells a transformers that can keep a GGUF file's weights packed not to; older ones never do."""
    try:
        from transformers import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)} if is_gguf(path) else {}


def read_tokenizer(path):
    """The tokenizer of a GGUF file. Drops what the file's reader holds of it, so only the weights are left to read.

    transformers knows some names of ways to split a text, and otherwise splits as GPT-2 does without a word; here the
    model's way is known or the file is refused.
    """
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder, options, _ = files(path)
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder, **options)
    fields = GGUFReader(str(path)).fields
    stated = [key for key in ("tokenizer.ggml.pre", "general.architecture") if key in fields]
    way = fields[stated[0]].contents()
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if fields["tokenizer.ggml.model"].contents() == "gpt2" and way not in _AS_GPT2:
        if way in _DIGITS_FIRST:
            digits = pre_tokenizers.Digits(individual_digits=True)
            tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, gpt2])
        elif re.fullmatch(r"ByteLevel\(.*use_regex=True\)", str(tokenizer.backend_tokenizer.pre_tokenizer)):  # as GPT-2
            raise ValueError(
                f"a GGUF file that splits a text in a way called {way!r}, which is not known here. "
                f"load_model(..., tokenizer=NAME) takes another model's tokenizer"
            )
    for key, field in fields.items():
        if len(field.data) > 1000:  # an array for every token and every merge: 100 MB
            fields[key] = field._replace(parts=field.parts[: field.data[0] + 1], data=field.data[:1])
    # else transformer_lens would load it again, by itself, to have it put a token before each text
    tokenizer.init_kwargs["add_bos_token"] = True
    return tokenizer
