"""LayerNorm, spheres and polytopes: the helpers of the lnpoly notebooks.

What stands here needs NumPy and SciPy alone, and is imported here. `lnpoly_helpers.plotting` needs matplotlib,
`lnpoly_helpers.widgets` ipywidgets too, and the functions that run a model need torch and transformer_lens when they
are called; importing this package loads none of them.
"""

from .activations import gate
from .boundaries import (
    RayCrossings,
    boundary_height,
    boundary_margin,
    cap_share,
    expected_crossings,
    meets_sphere,
    ray_crossings,
)
from .changes import (
    Coherence,
    ContextEffect,
    affine_map,
    coherence,
    context_effect,
    context_share,
    jacobian,
    opposition,
    output_in_region,
    own_share,
    rest_weights,
    split_change,
    tangent_change,
)
from .geometry.arrangement import Arrangement
from .geometry.circle import CirclePartition, partition_circle
from .geometry.patterns import PatternCounter, activation_pattern, count_patterns, hamming_distance, pattern_hash
from .geometry.plane import PlanePartition, partition_plane
from .geometry.sphere import SpherePartition, count_faces, n_regions, partition_sphere
from .layer import FoldedMLP, NormedMLP, fold_layer_norm, normalize
from .logit_paths import growth_exponents, kl_divergence, logit_path, logit_survey, steepness
from .models.capture import Captured, Trace, capture, residuals, trace
from .models.load import EMBEDDED, load_model, model_card, model_name, untrained
from .models.patch import patched_logits
from .models.read import mlp_block, token_embeddings
from .models.text import context_windows, distinct_contexts, encode, positions
from .nulls import (
    WideReLU,
    jostle,
    look_alikes,
    matched_layer,
    rice_factor,
    wide_relu,
    wide_relu_range,
    wide_relu_share,
)
from .output_paths import PathProfile, TangentRange, path_profile, path_speed, tangent_range
from .rotation import Crossings, angle_between, at_length, crossings, rotate, rotate_residual, steering_angle
from .series import (
    compare_predictions,
    coverage,
    predictions,
    prompts,
    published,
    published_neurons,
    save_results,
    seed_results,
)
from .slices import lift, restrict, slice_basis
from .stats import bootstrap_interval, mean_interval, median_interval, plus_minus, table
from .surveys import (
    NetworkReading,
    compare_surveys,
    read_network,
    survey,
    survey_beside_nulls,
    survey_interval,
    survey_network,
)

__version__ = "0.1.0"

__all__ = [
    "Arrangement",
    "Captured",
    "CirclePartition",
    "Coherence",
    "ContextEffect",
    "Crossings",
    "EMBEDDED",
    "FoldedMLP",
    "NetworkReading",
    "NormedMLP",
    "PathProfile",
    "PatternCounter",
    "PlanePartition",
    "RayCrossings",
    "SpherePartition",
    "TangentRange",
    "Trace",
    "WideReLU",
    "activation_pattern",
    "affine_map",
    "angle_between",
    "at_length",
    "bootstrap_interval",
    "boundary_height",
    "boundary_margin",
    "cap_share",
    "capture",
    "coherence",
    "compare_predictions",
    "compare_surveys",
    "context_effect",
    "context_share",
    "context_windows",
    "count_faces",
    "count_patterns",
    "coverage",
    "crossings",
    "distinct_contexts",
    "encode",
    "expected_crossings",
    "fold_layer_norm",
    "gate",
    "growth_exponents",
    "hamming_distance",
    "jacobian",
    "jostle",
    "kl_divergence",
    "lift",
    "load_model",
    "logit_path",
    "logit_survey",
    "look_alikes",
    "matched_layer",
    "mean_interval",
    "median_interval",
    "meets_sphere",
    "mlp_block",
    "model_card",
    "model_name",
    "n_regions",
    "normalize",
    "opposition",
    "output_in_region",
    "own_share",
    "partition_circle",
    "partition_plane",
    "partition_sphere",
    "patched_logits",
    "path_profile",
    "path_speed",
    "pattern_hash",
    "plus_minus",
    "positions",
    "predictions",
    "prompts",
    "published",
    "published_neurons",
    "ray_crossings",
    "read_network",
    "residuals",
    "rest_weights",
    "restrict",
    "rice_factor",
    "rotate",
    "rotate_residual",
    "save_results",
    "seed_results",
    "slice_basis",
    "split_change",
    "steepness",
    "steering_angle",
    "survey",
    "survey_beside_nulls",
    "survey_interval",
    "survey_network",
    "table",
    "tangent_change",
    "tangent_range",
    "token_embeddings",
    "trace",
    "untrained",
    "wide_relu",
    "wide_relu_range",
    "wide_relu_share",
]


def __dir__():
    return __all__
