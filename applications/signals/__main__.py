"""`python -m applications.signals` is `zoo signals`."""

import sys

from applications.signals.commands import add
from zoo.cli import main

sys.exit(main(["signals", *sys.argv[1:]], add=[add]))
