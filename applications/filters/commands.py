"""The subcommand `zoo filters`."""

import argparse
from pathlib import Path
from typing import Any

# Said here again, as help comes before NumPy is imported.
DEFAULT_PICTURES = ("camera", "astronaut")


def add(commands: Any) -> None:
    """Add `filters` to the command line."""
    parser = commands.add_parser("filters", help="set kernels by hand; convolution step by step, on one HTML page")
    parser.add_argument("pictures", metavar="PICTURE", nargs="*", default=list(DEFAULT_PICTURES),
        help="picture files, or names of scikit-image's pictures (default: camera astronaut)")  # fmt: skip
    parser.add_argument("--kernel", metavar='"A B; C D"', action="append", default=[],
        help="another kernel, rows apart by a semicolon; may be repeated (default: none)")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE.html", default=Path("filters.html"),
        help="page to write (default: filters.html)")  # fmt: skip
    parser.add_argument("--smoke", action="store_true", help="small pictures, to see that it works")
    parser.set_defaults(run=_filters)


def _filters(arguments: argparse.Namespace) -> None:
    from applications.filters import config, kernels, page, pictures

    if not arguments.out.parent.is_dir():
        raise ValueError(f"--out must lie in a folder that is there. Received: {arguments.out}")
    chosen = config.SMOKE if arguments.smoke else config.DEFAULT
    own = {f"own: {text}": kernels.parse(text) for text in arguments.kernel}
    loaded = [pictures.load(name, chosen.side) for name in arguments.pictures]
    words = ["zoo", "filters", *arguments.pictures, "--out", str(arguments.out)]
    for text in arguments.kernel:
        words += ["--kernel", text]
    print(
        page.write_page(
            loaded, arguments.out, own=own, config=chosen, command=words + ["--smoke"] * arguments.smoke
        )
    )  # fmt: skip
