"""`python -m applications.go` is `zoo go`."""

import sys

from zoo.cli import main

sys.exit(main(["go", *sys.argv[1:]]))
