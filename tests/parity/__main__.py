"""Command line: `python -m tests.parity FOLDER`; exit code 1 if anything failed."""

import sys

from tests.parity.check import main

sys.exit(main(sys.argv[1:]))
