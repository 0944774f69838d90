"""`python -m applications.colorize` is `zoo colorize`."""

import sys

from applications.colorize.commands import add
from zoo.cli import main

sys.exit(main(["colorize", *sys.argv[1:]], add=[add]))
