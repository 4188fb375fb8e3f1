"""The checker of annotations that every test runs under: a result of another type or shape than it says is an error.

What is passed in is not its business: the package's own checks look at that, and their tests pass wrong things on
purpose.
"""

from beartype import BeartypeConf, beartype


class WrongArgument(UserWarning):
    """An argument of another type than the signature says."""


# as type checkers have it, an int will do for a float
check = beartype(conf=BeartypeConf(violation_param_type=WrongArgument, is_pep484_tower=True))
