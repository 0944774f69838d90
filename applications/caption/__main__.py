"""`python -m applications.caption` is `zoo caption`."""

import sys

from applications.caption.commands import add
from zoo.cli import main

sys.exit(main(["caption", *sys.argv[1:]], add=[add]))
