"""From a model's name to a loaded model, one MLP block as arrays, and the residual vectors of text.

torch, transformers and transformer_lens live here alone, and are imported when a function is called.
"""

from .capture import Captured, Trace, capture, residuals, trace
from .load import EMBEDDED, load_model, model_card, model_name, untrained
from .patch import patched_logits
from .read import mlp_block, token_embeddings
from .text import context_windows, distinct_contexts, encode, positions

__all__ = [
    "Captured",
    "EMBEDDED",
    "Trace",
    "capture",
    "context_windows",
    "distinct_contexts",
    "encode",
    "load_model",
    "mlp_block",
    "model_card",
    "model_name",
    "patched_logits",
    "positions",
    "residuals",
    "token_embeddings",
    "trace",
    "untrained",
]
