"""The checker that all tests run under: it wraps what is annotated, nothing else, and sees a wrong result."""

import numpy as np
import pytest
import typecheck
from beartype.roar import BeartypeCallHintReturnViolation
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


@typecheck.checked(typechecker=typecheck.check)
def lengths(x: Float[np.ndarray, "n d"], rows: bool) -> Float[np.ndarray, "n"]:
    return np.linalg.norm(x, axis=int(rows))


@typecheck.checked(typechecker=typecheck.check)
def count(x: list) -> int:
    return len(x) if x else None


def test_a_result_of_another_shape_or_type_is_an_error():
    assert lengths(np.ones((3, 2)), True).shape == (3,)
    with pytest.raises(BeartypeCallHintReturnViolation, match="lengths"):
        lengths(np.ones((3, 2)), False)
    assert count([1]) == 1
    with pytest.raises(BeartypeCallHintReturnViolation, match="count"):
        count([])


def test_a_letter_is_one_length_within_a_call_and_free_in_the_next():
    for n in (3, 2, 3):
        assert lengths(np.ones((n, 5)), True).shape == (n,)
