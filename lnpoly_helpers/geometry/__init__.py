"""Exact partitions of circle, sphere and plane, and the identity of activation patterns. It knows no LayerNorm."""
