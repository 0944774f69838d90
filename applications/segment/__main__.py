"""`python -m applications.segment` is `zoo segment`."""

import sys

from applications.segment.commands import add
from zoo.cli import main

sys.exit(main(["segment", *sys.argv[1:]], add=[add]))
