"""`python -m applications.style` is `zoo style`."""

import sys

from applications.style.commands import add
from zoo.cli import main

sys.exit(main(["style", *sys.argv[1:]], add=[add]))
