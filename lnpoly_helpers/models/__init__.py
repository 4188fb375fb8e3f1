"""From a model's name to a loaded model, one MLP block as arrays, and the residual vectors of text.

torch, transformers and transformer_lens live here alone, and are imported when a function is called.
"""
