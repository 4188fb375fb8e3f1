"""python -m lnpoly_helpers.classroom."""

import sys

from .command import main

sys.exit(main())
