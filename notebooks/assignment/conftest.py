"""nbval leaves this folder alone: its notebooks hold answers, and what it would compare is compared elsewhere.

tests/test_classroom.py runs a solved notebook as a student would, compares its targets with those in the source, and
grades it. A release, if one lies here, is for students.
"""

collect_ignore_glob = ["*.ipynb", "*/*.ipynb", "*/*/*.ipynb"]
