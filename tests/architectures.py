"""Tiny transformers of many architectures, with noise on every weight, and what `mlp_block` makes of each.

A table for tests and for notebooks: of each architecture its class and config, where the norm stands, what the layer
computes, and by which names the norm and the MLP's last map can be hooked; or in which words it is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import transformers
from tiny import random_weights, seeded

N_TOKENS, N_LAYERS = 40, 2
VOCABULARY = {"vocab_size": N_TOKENS, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
BASE = {"num_hidden_layers": N_LAYERS, "hidden_size": 32, "num_attention_heads": 4}
PICTURE = BASE | {"image_size": 32, "patch_size": 8}
WIDE = BASE | {"intermediate_size": 48, "max_position_embeddings": 64}
GROUPED = WIDE | {"num_key_value_heads": 2}
HEADS = GROUPED | {"head_dim": 8}
GPT = {"n_layer": N_LAYERS, "n_embd": 32, "n_head": 4, "n_positions": 64}
T5 = {"d_model": 32, "num_layers": N_LAYERS, "num_decoder_layers": N_LAYERS, "d_ff": 48, "d_kv": 8, "num_heads": 4}
BART = {"d_model": 32, "max_position_embeddings": 64} | {
    f"{part}_{what}": n
    for part in ("encoder", "decoder")
    for what, n in {"layers": N_LAYERS, "ffn_dim": 48, "attention_heads": 4}.items()
}
LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8}
EXPERTS = {"num_experts": 2, "num_local_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}


@dataclass(frozen=True)
class Architecture:
    """One row.

    ``place`` says where the norm stands that the MLP reads: "before" the MLP, "beside" it (attention and MLP side by
    side), or "behind" attention, where it makes the stream (post-norm). ``norm`` and ``last`` are names with {} for
    the number of the layer; two of each for an encoder and its decoder. ``refused`` is a pattern of the error.
    """

    kind: str
    config: dict = field(repr=False)
    place: str = ""
    norm: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    norm_kind: str = ""
    activation: str = ""
    gated: bool = False
    eps: float = 0.0
    refused: str = ""
    change: Callable | None = None

    @property
    def n_layers(self):
        return N_LAYERS * max(1, len(self.norm))

    def build(self, dtype=torch.float32):
        """The model, for evaluation."""
        cls = getattr(transformers, self.kind)
        known = {} if "image_size" in self.config or "n_words" in self.config else VOCABULARY
        with seeded():
            model = cls(cls.config_class(**known | self.config))
            if self.change:
                self.change(model)
        return random_weights(model).to(dtype)

    def parts(self, model, layer):
        """Norm and last map of a layer, and which call of them in a run is the layer's."""
        at, k = divmod(layer, N_LAYERS)
        names = self.norm[at], self.last[at]
        shared = "{}" not in names[0]  # one layer's weights, used for all
        return *(model.get_submodule(name.format(k)) for name in names), k if shared else 0


def inputs(model, seed=0):
    """What a model is run on, by the names under which it takes it: 11 tokens, or one picture."""
    if model.main_input_name == "pixel_values":
        return {
            "pixel_values": torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)).to(model.dtype)
        }
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(N_TOKENS, size=(1, 11)))
    return {"input_ids": tokens} | ({"decoder_input_ids": tokens} if model.config.is_encoder_decoder else {})


def before(kind, config, norm, last, *block, place="before"):
    """A row that is read; block: kind of norm, activation, eps, and True for a gated MLP."""
    norm_kind, activation, eps, *gated = block
    pair = ((name,) if isinstance(name, str) else tuple(name) for name in (norm, last))
    return Architecture(kind, config, place, *pair, norm_kind, activation, bool(gated), eps)


def beside(*row):
    return before(*row, place="beside")


def behind(*row):
    return before(*row, place="behind")


def llama(kind, config, *block, norm="post_attention_layernorm"):
    block = block or ("rmsnorm", "silu", 1e-6, True)
    return before(kind, config, f"model.layers.{{}}.{norm}", "model.layers.{}.mlp.down_proj", *block)


def bert(kind, *block, config=WIDE, root="bert", norm="attention.output.LayerNorm", place="behind"):
    block = block or ("layernorm", "gelu", 1e-12)
    names = f"{root}.encoder.layer.{{}}.{norm}", f"{root}.encoder.layer.{{}}.output.dense"
    return before(kind, config, *names, *block, place=place)


def bart(kind, activation="gelu", *, norms=("self_attn_layer_norm", "encoder_attn_layer_norm"), place="behind"):
    norms = [f"model.{part}.layers.{{}}.{norm}" for part, norm in zip(("encoder", "decoder"), norms, strict=True)]
    last = "model.encoder.layers.{}.fc2", "model.decoder.layers.{}.fc2"
    return before(kind, BART | {"decoder_start_token_id": 0}, norms, last, "layernorm", activation, 1e-5, place=place)


def norm_first(kind, activation="gelu"):
    return bart(kind, activation, norms=("final_layer_norm",) * 2, place="before")


def t5(kind, activation, *gated):
    norms = "encoder.block.{}.layer.1.layer_norm", "decoder.block.{}.layer.2.layer_norm"
    last = "encoder.block.{}.layer.1.DenseReluDense.wo", "decoder.block.{}.layer.2.DenseReluDense.wo"
    return before(kind, T5, norms, last, "rmsnorm", activation, 1e-6, *gated)


def refused(kind, config, words, change=None):
    return Architecture(kind, config, refused=words, change=change)


class DynamicTanh(torch.nn.Module):
    """weight * tanh(alpha x) + bias in place of a norm (Zhu et al. 2025, arXiv:2503.10622): the length stays."""

    def __init__(self, d):
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.tensor(0.5))
        self.weight, self.bias = torch.nn.Parameter(torch.ones(d)), torch.nn.Parameter(torch.zeros(d))

    def forward(self, x):
        return self.weight * torch.tanh(self.alpha * x) + self.bias


def without_norms(model):
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = torch.nn.Identity(), torch.nn.Identity()


def with_dynamic_tanh(model):
    for block in model.transformer.h:
        block.ln_1, block.ln_2 = DynamicTanh(32), DynamicTanh(32)


LN, NEW, GELU = "layernorm", ("layernorm", "gelu_new", 1e-5), ("layernorm", "gelu", 1e-5)
GPT2_NAMES = "transformer.h.{}.ln_2", "transformer.h.{}.mlp.c_proj"
GPTJ_NAMES = "transformer.h.{}.ln_1", "transformer.h.{}.mlp.fc_out"
NEOX_NAMES = "gpt_neox.layers.{}.post_attention_layernorm", "gpt_neox.layers.{}.mlp.dense_4h_to_h"
FALCON_NAMES = "transformer.h.{}.input_layernorm", "transformer.h.{}.mlp.dense_4h_to_h"
COHERE_NAMES = "model.layers.{}.input_layernorm", "model.layers.{}.mlp.down_proj"
FAIRSEQ_NAMES = "{}.layers.{{}}.final_layer_norm", "{}.layers.{{}}.fc2"
OPT = BASE | {"ffn_dim": 48, "max_position_embeddings": 64}
NEO = {"num_layers": N_LAYERS, "hidden_size": 32, "num_heads": 4, "intermediate_size": 48}
BLOOM = {"n_layer": N_LAYERS, "hidden_size": 32, "n_head": 4}
XLM = {"emb_dim": 32, "n_layers": N_LAYERS, "n_heads": 4, "n_words": N_TOKENS, "max_position_embeddings": 64}
RAW = "an MLP that reads what a norm puts out, got one whose .*gate_proj reads the raw residual stream, with what"
MIXTURE = "got a mixture of experts"
NO_MLP = "expected one MLP in a layer, .* got none in"

ARCHITECTURES = {
    # decoders, LayerNorm, two matrices
    "GPT-2": before("GPT2LMHeadModel", GPT, *GPT2_NAMES, *NEW),
    "GPT-BigCode": before("GPTBigCodeForCausalLM", GPT, *GPT2_NAMES, *NEW),
    "GPT-Neo": before("GPTNeoForCausalLM", NEO | {"attention_types": [[["global", "local"], 1]]}, *GPT2_NAMES, *NEW),
    "OPT": before(
        "OPTForCausalLM",
        OPT | {"word_embed_proj_dim": 32},
        *(name.format("model.decoder") for name in FAIRSEQ_NAMES),
        LN,
        "relu",
        1e-5,
    ),
    "OPT-350m": behind(
        "OPTForCausalLM",
        OPT | {"word_embed_proj_dim": 16, "do_layer_norm_before": False},
        "model.decoder.layers.{}.self_attn_layer_norm",
        "model.decoder.layers.{}.fc2",
        LN,
        "relu",
        1e-5,
    ),
    "XGLM": before(
        "XGLMForCausalLM",
        {"d_model": 32, "num_layers": N_LAYERS, "ffn_dim": 48, "attention_heads": 4, "max_position_embeddings": 64},
        *(name.format("model") for name in FAIRSEQ_NAMES),
        *GELU,
    ),
    "BioGPT": before("BioGptForCausalLM", WIDE, *(name.format("biogpt") for name in FAIRSEQ_NAMES), *GELU),
    "BLOOM": before(
        "BloomForCausalLM",
        BLOOM,
        "transformer.h.{}.post_attention_layernorm",
        "transformer.h.{}.mlp.dense_4h_to_h",
        *NEW,
    ),
    "MPT": before(
        "MptForCausalLM",
        {"d_model": 32, "n_heads": 4, "n_layers": N_LAYERS, "max_seq_len": 64},
        "transformer.blocks.{}.norm_2",
        "transformer.blocks.{}.ffn.down_proj",
        *GELU,
    ),
    "StarCoder2": before(
        "Starcoder2ForCausalLM",
        GROUPED,
        "model.layers.{}.post_attention_layernorm",
        "model.layers.{}.mlp.c_proj",
        *NEW,
    ),
    "Nemotron": llama("NemotronForCausalLM", HEADS, LN, "relu2", 1e-5),
    "Jais 2": llama("Jais2ForCausalLM", HEADS, LN, "relu2", 1e-5),
    "Persimmon": before(
        "PersimmonForCausalLM",
        WIDE,
        "model.layers.{}.post_attention_layernorm",
        "model.layers.{}.mlp.dense_4h_to_h",
        LN,
        "relu2",
        1e-5,
    ),
    "CTRL": before(
        "CTRLLMHeadModel",
        GPT | {"dff": 48},
        "transformer.h.{}.layernorm2",
        "transformer.h.{}.ffn.2",
        LN,
        "relu",
        1e-6,
    ),
    "GPT": behind("OpenAIGPTLMHeadModel", GPT, GPTJ_NAMES[0], GPT2_NAMES[1], *NEW),
    # decoders, attention and MLP side by side
    "GPT-J": beside("GPTJForCausalLM", GPT | {"rotary_dim": 4}, *GPTJ_NAMES, *NEW),
    "CodeGen": beside("CodeGenForCausalLM", GPT | {"rotary_dim": 4}, *GPTJ_NAMES, *NEW),
    "GPT-NeoX": beside("GPTNeoXForCausalLM", WIDE, *NEOX_NAMES, *GELU),
    "GPT-NeoX, one after the other": before(
        "GPTNeoXForCausalLM", WIDE | {"use_parallel_residual": False}, *NEOX_NAMES, *GELU
    ),
    "Falcon": beside("FalconForCausalLM", BASE, *FALCON_NAMES, *GELU),
    "Falcon with ALiBi": beside("FalconForCausalLM", BASE | {"alibi": True}, *FALCON_NAMES, *GELU),
    "Falcon 40B": beside(
        "FalconForCausalLM",
        BASE | {"new_decoder_architecture": True, "num_kv_heads": 2},
        "transformer.h.{}.ln_mlp",
        FALCON_NAMES[1],
        *GELU,
    ),
    "Phi": beside("PhiForCausalLM", WIDE, COHERE_NAMES[0], "model.layers.{}.mlp.fc2", *NEW),
    "Cohere": beside("CohereForCausalLM", GROUPED, *COHERE_NAMES, LN, "silu", 1e-5, True),
    "Cohere 2": beside("Cohere2ForCausalLM", GROUPED, *COHERE_NAMES, LN, "silu", 1e-5, True),
    "StableLM 2": beside(
        "StableLmForCausalLM", GROUPED | {"use_parallel_residual": True}, *COHERE_NAMES, LN, "silu", 1e-5, True
    ),
    # decoders, RMSNorm, two matrices
    "Arcee": llama("ArceeForCausalLM", GROUPED, "rmsnorm", "relu2", 1e-5),
    "NanoChat": before(
        "NanoChatForCausalLM",
        GROUPED,
        "model.layers.{}.post_attention_layernorm",
        "model.layers.{}.mlp.fc2",
        "rmsnorm",
        "relu2",
        1e-6,
    ),
    # decoders, gated
    "Llama": llama("LlamaForCausalLM", GROUPED),
    "Mistral": llama("MistralForCausalLM", GROUPED),
    "Qwen2": llama("Qwen2ForCausalLM", GROUPED),
    "Qwen3": llama("Qwen3ForCausalLM", HEADS),
    "SmolLM3": llama("SmolLM3ForCausalLM", GROUPED),
    "Seed-OSS": llama("SeedOssForCausalLM", HEADS),
    "Ernie 4.5": llama("Ernie4_5ForCausalLM", HEADS, "rmsnorm", "silu", 1e-5, True),
    "DiffLlama": llama("DiffLlamaForCausalLM", GROUPED, "rmsnorm", "silu", 1e-5, True),
    "MiniCPM3": llama("MiniCPM3ForCausalLM", GROUPED | LATENT, "rmsnorm", "silu", 1e-5, True),
    "Helium": llama("HeliumForCausalLM", HEADS, "rmsnorm", "silu", 1e-8, True),
    "GLM": llama("GlmForCausalLM", HEADS, "rmsnorm", "silu", 1.5625e-7, True),
    "GLM-4": llama("Glm4ForCausalLM", HEADS, "rmsnorm", "silu", 1.5625e-7, True),
    "Phi-3": llama("Phi3ForCausalLM", GROUPED, "rmsnorm", "silu", 1e-5, True),
    "Granite": llama("GraniteForCausalLM", GROUPED | {"residual_multiplier": 0.22}),
    "Gemma": llama("GemmaForCausalLM", HEADS, "rmsnorm", "gelu_new", 1e-6, True),
    "Gemma 2": llama("Gemma2ForCausalLM", HEADS, "rmsnorm", "gelu_new", 1e-6, True, norm="pre_feedforward_layernorm"),
    "Gemma 3": llama("Gemma3ForCausalLM", HEADS, "rmsnorm", "gelu_new", 1e-6, True, norm="pre_feedforward_layernorm"),
    "OLMo": llama("OlmoForCausalLM", GROUPED, LN, "silu", 1e-5, True),
    "StableLM": llama("StableLmForCausalLM", GROUPED, LN, "silu", 1e-5, True),
    "LFM2": before(
        "Lfm2ForCausalLM",
        GROUPED | {"block_ff_dim": 48},
        "model.layers.{}.ffn_norm",
        "model.layers.{}.feed_forward.w2",
        "rmsnorm",
        "silu",
        1e-5,
        True,
    ),
    "DeepSeek-V3, its dense layers": llama(
        "DeepseekV3ForCausalLM", WIDE | LATENT | {"num_key_value_heads": 4, "first_k_dense_replace": 2}
    ),
    # encoders
    "BERT": bert("BertForMaskedLM"),
    "RoBERTa": bert("RobertaForMaskedLM", root="roberta"),
    "RoBERTa, norm first": bert(
        "RobertaPreLayerNormForMaskedLM", root="roberta_prelayernorm", norm="intermediate.LayerNorm", place="before"
    ),
    "XLM-RoBERTa XL": bert("XLMRobertaXLForMaskedLM", *GELU, root="roberta", norm="LayerNorm", place="before"),
    "ALBERT": behind(
        "AlbertModel",
        WIDE | {"embedding_size": 16},
        *(f"encoder.albert_layer_groups.0.albert_layers.0.{name}" for name in ("attention.LayerNorm", "ffn_output")),
        LN,
        "gelu_new",
        1e-12,
    ),
    "ELECTRA": bert("ElectraForMaskedLM", root="electra", config=WIDE | {"embedding_size": 16}),
    "DistilBERT": behind(
        "DistilBertForMaskedLM",
        {"dim": 32, "n_layers": N_LAYERS, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64},
        "distilbert.transformer.layer.{}.sa_layer_norm",
        "distilbert.transformer.layer.{}.ffn.lin2",
        LN,
        "gelu",
        1e-12,
    ),
    "DeBERTa": bert("DebertaForMaskedLM", LN, "gelu", 1e-7, root="deberta"),
    "DeBERTa-v2": bert("DebertaV2ForMaskedLM", LN, "gelu", 1e-7, root="deberta"),
    "MPNet": bert("MPNetForMaskedLM", root="mpnet", norm="attention.LayerNorm"),
    "Megatron-BERT": bert("MegatronBertForMaskedLM", norm="ln", place="before"),
    "RoFormer": bert("RoFormerForMaskedLM", root="roformer"),
    "ESM": bert("EsmForMaskedLM", config=WIDE | {"mask_token_id": 1}, root="esm", norm="LayerNorm", place="before"),
    "FNet": bert(
        "FNetForMaskedLM",
        LN,
        "gelu_new",
        1e-12,
        config={key: n for key, n in WIDE.items() if key != "num_attention_heads"},
        root="fnet",
        norm="fourier.output.LayerNorm",
    ),
    "XLM": behind(
        "XLMWithLMHeadModel", XLM, "transformer.layer_norm1.{}", "transformer.ffns.{}.lin2", LN, "gelu", 1e-12
    ),
    "XLNet": behind(
        "XLNetLMHeadModel",
        {"d_model": 32, "n_layer": N_LAYERS, "n_head": 4, "d_inner": 48},
        "transformer.layer.{}.rel_attn.layer_norm",
        "transformer.layer.{}.ff.layer_2",
        LN,
        "gelu",
        1e-12,
    ),
    "ModernBERT": before(
        "ModernBertForMaskedLM", WIDE, "model.layers.{}.mlp_norm", "model.layers.{}.mlp.Wo", *GELU, True
    ),
    "EuroBERT": llama("EuroBertForMaskedLM", GROUPED, "rmsnorm", "silu", 1e-5, True),
    "Nomic BERT": behind(
        "NomicBertForMaskedLM",
        WIDE | {"head_dim": 8},
        "nomic_bert.layers.{}.post_attention_layernorm",
        "nomic_bert.layers.{}.mlp.down_proj",
        LN,
        "silu",
        1e-12,
        True,
    ),
    "CLIP's text encoder": before(
        "CLIPTextModel", WIDE, "encoder.layers.{}.layer_norm2", "encoder.layers.{}.mlp.fc2", LN, "quick_gelu", 1e-5
    ),
    "ViT": before(
        "ViTModel",
        PICTURE | {"intermediate_size": 48},
        "layers.{}.layernorm_after",
        "layers.{}.mlp.fc2",
        LN,
        "gelu",
        1e-12,
    ),
    "DINOv2": before(
        "Dinov2Model",
        PICTURE | {"mlp_ratio": 2},
        "encoder.layer.{}.norm2",
        "encoder.layer.{}.mlp.fc2",
        LN,
        "gelu",
        1e-6,
    ),
    # encoders with a decoder
    "T5": t5("T5ForConditionalGeneration", "relu"),
    "mT5": t5("MT5ForConditionalGeneration", "gelu_new", True),
    "UMT5": t5("UMT5ForConditionalGeneration", "gelu_new", True),
    "BART": bart("BartForConditionalGeneration"),
    "Marian": bart("MarianMTModel"),
    "mBART": norm_first("MBartForConditionalGeneration"),
    "Pegasus": norm_first("PegasusForConditionalGeneration"),
    "Blenderbot": norm_first("BlenderbotForConditionalGeneration"),
    "M2M-100": norm_first("M2M100ForConditionalGeneration", "relu"),
    # no norm: read, and not scale-invariant
    "GPT-2 without norms": Architecture(
        "GPT2LMHeadModel", GPT, "none", GPT2_NAMES[:1], GPT2_NAMES[1:], "none", "gelu_new", change=without_norms
    ),
    # not covered
    "GPT-2 with DyT": refused("GPT2LMHeadModel", GPT, "norm: expected gamma .* got DynamicTanh", with_dynamic_tanh),
    "OLMo 2": refused("Olmo2ForCausalLM", GROUPED, RAW),
    "OLMo 3": refused("Olmo3ForCausalLM", GROUPED, RAW),
    "EXAONE 4": refused("Exaone4ForCausalLM", GROUPED, RAW),
    "Mixtral": refused("MixtralForCausalLM", GROUPED | EXPERTS, MIXTURE),
    "Qwen2-MoE": refused("Qwen2MoeForCausalLM", GROUPED | EXPERTS | {"shared_expert_intermediate_size": 16}, MIXTURE),
    "Qwen3-MoE": refused("Qwen3MoeForCausalLM", HEADS | EXPERTS, MIXTURE),
    "GPT-OSS": refused("GptOssForCausalLM", HEADS | EXPERTS, MIXTURE),
    "Granite MoE": refused("GraniteMoeForCausalLM", GROUPED | EXPERTS, MIXTURE),
    "BitNet": refused("BitNetForCausalLM", GROUPED, NO_MLP),  # a norm inside the MLP
    "Mamba": refused("MambaForCausalLM", {"hidden_size": 32, "num_hidden_layers": N_LAYERS, "state_size": 4}, NO_MLP),
    "Apertus": refused("ApertusForCausalLM", GROUPED, "activation: expected one of relu, .* whose values are none of"),
    "RWKV": refused(
        "RwkvForCausalLM",
        {"hidden_size": 32, "num_hidden_layers": N_LAYERS, "attention_hidden_size": 32, "context_length": 64},
        "feed_forward.key reads what no module puts out",
    ),
    "MobileBERT": refused(
        "MobileBertForMaskedLM",
        WIDE | {"intra_bottleneck_size": 16, "true_hidden_size": 16, "embedding_size": 32},
        r"expected one MLP in a layer, .* got one that ends with .*ffn\.0.* and one that ends with",
    ),
}
