"""Hand out the assignment, grade what comes back, add marks: python -m lnpoly_helpers.classroom."""
