"""`python -m applications.text` is `zoo text`."""

import sys

from applications.text.commands import add
from zoo.cli import main

sys.exit(main(["text", *sys.argv[1:]], add=[add]))
