"""What students call: has a function the properties that its task asks for and, if not, which is missing and why.

Every check runs the student's function on inputs of its own and looks at properties of what comes back; none compares
with a solution. NumPy alone: a solved notebook checks itself wherever this package is installed. The ``expect_``
functions hold for any input, so that hidden tests can use them on others.
"""

from .._answers import Answer, CheckFailed, borrowed, expect, kind, near
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

__all__ = [
    "Answer",
    "CheckFailed",
    "borrowed",
    "check_crossings",
    "check_faces",
    "check_fold",
    "check_normalize",
    "check_rays",
    "check_region",
    "check_shared_point",
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
