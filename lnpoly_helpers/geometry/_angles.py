"""Angles of a circle, and where a neuron is on along one. What `circle`, `sphere` and `rotation` are built on."""

import numpy as np

TURN = 2 * np.pi


def on_arcs(A, B, b):
    """Where A cos(theta) + B sin(theta) + b > 0: within ``half`` of ``centre``; NaN if its sign is constant.

    With R = sqrt(A^2 + B^2) the sum is R cos(theta - atan2(B, A)) + b, so it crosses 0 at atan2(B, A) -+ arccos(-b/R)
    iff |b| < R. The arccos is taken as atan2(sqrt(R - b) sqrt(R + b), -b), which keeps its digits where the line is
    almost tangent. Elementwise, arrays of any shape that broadcast.
    """
    R = np.hypot(A, B)
    with np.errstate(invalid="ignore"):
        half = np.arctan2(np.sqrt(R - b) * np.sqrt(R + b), -b)
    return np.arctan2(B, A), np.where(np.abs(b) < R, half, np.nan)


def turn(angle):
    """The angle in [0, 2 pi), also where it rounds to 2 pi itself. np.mod takes ten times as long."""
    angle = angle - TURN * np.floor(angle / TURN)
    return np.where(angle >= TURN, 0.0, angle)
