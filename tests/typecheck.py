"""The checker of annotations that every test runs under: a result of another type or shape than it says is an error.

What is passed in is not its business: the package's own checks look at that, and their tests pass wrong things on
purpose.
"""

from functools import wraps
from inspect import isclass
from typing import get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray


class WrongArgument(UserWarning):
    """An argument of another type than the signature says."""


# as type checkers have it, an int will do for a float
check = beartype(conf=BeartypeConf(violation_param_type=WrongArgument, is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped


def checked(*, typechecker):
    """What `jaxtyping.jaxtyped` does, for half the time: it looks at arguments twice, and keeps letters where none are.

    A function without annotations has nothing to check: those, which are all that run millions of times, stay as they
    are.
    """

    def wrap(thing):
        if isclass(thing):
            return _jaxtyped(typechecker=typechecker)(thing)
        if not thing.__annotations__:
            return thing
        function = typechecker(thing)
        if not any(map(_names_an_array, thing.__annotations__.values())):
            return function

        @wraps(thing)
        def lettered(*args, **kwargs):
            with _jaxtyped("context"):  # in which a letter stands for one length
                return function(*args, **kwargs)

        return lettered

    return wrap


def _names_an_array(annotation):
    return (
        isclass(annotation) and issubclass(annotation, AbstractArray) or any(map(_names_an_array, get_args(annotation)))
    )


def install():
    """Have the package checked from its first import on."""
    jaxtyping.jaxtyped = checked  # the name that the hook writes above each function
    jaxtyping.install_import_hook("lnpoly_helpers", "typecheck.check")
