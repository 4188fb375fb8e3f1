"""Numbers in sentences, for titles, alternative texts and messages."""


def count(n, one, many=None):
    """How many things, with their plural.

    >>> count(1, "arc"), count(1200, "arc"), count(2.5, "arc"), count(2, "boundary", "boundaries")
    ('1 arc', '1,200 arcs', '2.5 arcs', '2 boundaries')
    """
    return f"{n:,.12g} {one if n == 1 else many or one + 's'}"
