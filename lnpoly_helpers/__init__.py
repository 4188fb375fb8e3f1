"""LayerNorm, spheres and polytopes: the helpers of the lnpoly notebooks.

The maths rooms are NumPy alone and are imported here. `lnpoly_helpers.plotting` needs matplotlib,
`lnpoly_helpers.widgets` ipywidgets too, and the functions of `lnpoly_helpers.models` need torch and transformer_lens
when they are called; importing this package loads none of them.
"""

from .circle import CirclePartition, partition_circle
from .layernorm import (
    FoldedMLP,
    NormedMLP,
    RayCrossings,
    fold_layer_norm,
    jacobian,
    normalize,
    ray_crossings,
)
from .models import (
    EMBEDDED,
    Trace,
    context_windows,
    encode,
    load_model,
    mlp_block,
    model_card,
    model_name,
    positions,
    prompts,
    residuals,
    token_embeddings,
    trace,
    untrained,
)
from .paths import PathProfile, TangentRange, path_profile, tangent_range
from .patterns import (
    PatternCounter,
    activation_pattern,
    affine_map,
    boundary_height,
    boundary_margin,
    count_patterns,
    hamming_distance,
    meets_sphere,
    pattern_hash,
)
from .plane import PlanePartition, partition_plane
from .results import published, save_results
from .rotation import (
    Crossings,
    angle_between,
    at_length,
    coherence,
    crossings,
    flip_weights,
    rotate,
    split_change,
    tangent_change,
)
from .slices import Arrangement, cap_share, expected_crossings, lift, restrict, slice_basis
from .sphere import SpherePartition, count_faces, n_regions, partition_sphere

__version__ = "0.1.0"
