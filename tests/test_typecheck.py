"""The checker that all tests run under: it wraps what is annotated, nothing else, and sees a wrong result."""

import jaxtyping
import numpy as np
import pytest
import typecheck
from jaxtyping import Float

import lnpoly_helpers
from lnpoly_helpers import _inputs


def is_wrapped(function):
    return hasattr(function, "__wrapped__")


def test_every_public_function_is_checked_and_what_has_no_annotations_is_left_as_it_is():
    public = [getattr(lnpoly_helpers, name) for name in lnpoly_helpers.__all__]
    functions = [thing for thing in public if type(thing).__name__ == "function"]
    assert len(functions) > 40 and all(map(is_wrapped, functions))
    assert not _inputs.require_installed.__annotations__ and not is_wrapped(_inputs.require_installed)


def test_a_result_of_another_shape_is_an_error():
    @jaxtyping.jaxtyped(typechecker=typecheck.check)
    def lengths(x: Float[np.ndarray, "n d"], rows: bool) -> Float[np.ndarray, "n"]:
        return np.linalg.norm(x, axis=int(rows))

    assert lengths(np.ones((3, 2)), True).shape == (3,)
    with pytest.raises(jaxtyping.TypeCheckError):
        lengths(np.ones((3, 2)), False)
