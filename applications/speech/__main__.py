"""`python -m applications.speech` is `zoo speech`."""

import sys

from applications.speech.commands import add
from zoo.cli import main

sys.exit(main(["speech", *sys.argv[1:]], add=[add]))
