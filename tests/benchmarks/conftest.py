"""Benchmarks run when they are asked for (``make bench``), not with the tests."""

import sys

collect_ignore_glob = [] if "--benchmark-only" in sys.argv else ["test_bench_*.py"]
