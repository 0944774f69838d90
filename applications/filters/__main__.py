"""`python -m applications.filters` is `zoo filters`."""

import sys

from applications.filters.commands import add
from zoo.cli import main

sys.exit(main(["filters", *sys.argv[1:]], add=[add]))
