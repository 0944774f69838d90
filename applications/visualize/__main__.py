"""`python -m applications.visualize` is `zoo visualize`."""

import sys

from applications.visualize.commands import add
from zoo.cli import main

sys.exit(main(["visualize", *sys.argv[1:]], add=[add]))
