"""`python -m applications.classify` is `zoo finetune`."""

import sys

from applications.classify.commands import add
from zoo.cli import main

sys.exit(main(["finetune", *sys.argv[1:]], add=[add]))
