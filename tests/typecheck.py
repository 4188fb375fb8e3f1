"""The checker of annotations that every test runs under: a result of another type or shape than it says is an error.

What is passed in is not its business: the package's own checks look at that, and their tests pass wrong things on
purpose.
"""

from inspect import isclass

import jaxtyping
from beartype import BeartypeConf, beartype


class WrongArgument(UserWarning):
    """An argument of another type than the signature says."""


# as type checkers have it, an int will do for a float
check = beartype(conf=BeartypeConf(violation_param_type=WrongArgument, is_pep484_tower=True))


def install():
    """Have the package checked from its first import on.

    jaxtyping's hook wraps every function, and a call through its wrapper takes 30 microseconds. One without annotations
    has nothing to check: those, which are all that run millions of times, stay as they are.
    """
    wrap = jaxtyping.jaxtyped

    def where_annotated(*, typechecker):
        wrapped = wrap(typechecker=typechecker)
        return lambda thing: wrapped(thing) if isclass(thing) or thing.__annotations__ else thing

    jaxtyping.jaxtyped = where_annotated  # the name that the hook writes above each function
    jaxtyping.install_import_hook("lnpoly_helpers", "typecheck.check")
