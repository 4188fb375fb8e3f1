"""What students call: whether a function has the properties that its task asks for; if not, which is missing, and why.

Every check runs the student's function on inputs of its own and looks at properties of what comes back; none compares
with a solution. NumPy alone: a solved notebook checks itself wherever this package is installed. The ``expect_``
functions hold for any input, so that hidden tests can use them on others. Tasks are the assignment's; the exercises of
notebooks 1 to 8 are for a reader alone, whose stub is no failure.
"""

from .._answers import Answer, CheckFailed, NotAnswered, borrowed, exercise, expect, kind, near
from .points import (
    check_fold,
    check_normalize,
    check_shared_point,
    expect_apart,
    expect_fold,
    expect_rows,
    expect_shared,
    sphere_points,
)
from .regions import (
    check_crossings,
    check_faces,
    check_rays,
    check_region,
    expect_crossings,
    expect_faces,
    expect_flips,
    expect_region,
)
from .toys import (
    check_next_map,
    check_patterns_around,
    check_pieces,
    check_preimage,
    check_regions,
    check_share_on,
    check_size_needed,
)
from .trained import check_common_share, check_derivative, check_margin, check_rest, check_strength

__all__ = [
    "Answer",
    "CheckFailed",
    "NotAnswered",
    "borrowed",
    "check_common_share",
    "check_crossings",
    "check_derivative",
    "check_faces",
    "check_fold",
    "check_margin",
    "check_next_map",
    "check_normalize",
    "check_patterns_around",
    "check_pieces",
    "check_preimage",
    "check_rays",
    "check_region",
    "check_regions",
    "check_rest",
    "check_share_on",
    "check_shared_point",
    "check_size_needed",
    "check_strength",
    "exercise",
    "expect",
    "expect_apart",
    "expect_crossings",
    "expect_faces",
    "expect_flips",
    "expect_fold",
    "expect_region",
    "expect_rows",
    "expect_shared",
    "kind",
    "near",
    "sphere_points",
]
