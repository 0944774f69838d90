"""What `zoo benchmark` does; its options are in `zoo.cli`."""

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from zoo.deploy.benchmark import measuring, tables
from zoo.deploy.benchmark.process import MeasurementError
from zoo.files import write_atomic, write_json


def benchmark(arguments: argparse.Namespace) -> None:
    """`zoo benchmark MODEL…`."""
    wanted = {
        model: measuring.forms(model, arguments.engine, arguments.precision, arguments.peer)
        for model in arguments.models
    }
    out = None if arguments.out is None else Path(arguments.out)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    machine = measuring.machine()
    command = shlex.join(["zoo", *sys.argv[1:]])
    done = []
    with _status() as progress:
        for number, (model, rows) in enumerate(wanted.items()):
            try:
                done.append(measuring.compare(
                    model, rows, batch_sizes=arguments.batch, threads=arguments.threads, repeats=arguments.repeats,
                    seconds=arguments.seconds, progress=progress,
                ))  # fmt: skip
            except MeasurementError as error:
                raise ValueError(str(error)) from None
            if out is not None:
                write_atomic(out / "benchmark.md", tables.page(done, machine, command))
                write_json(out / "benchmark.json", {"machine": machine, "comparisons": [one.to_dict() for one in done]})
                name = Path(model).name
                is_repeated = any(Path(other).name == name for other in list(wanted)[:number])
                picture = f"{name}-{number + 1}.png" if is_repeated else f"{name}.png"
                write_atomic(out / picture, tables.picture(done[-1]))
    if arguments.json:
        print(json.dumps({"machine": machine, "comparisons": [one.to_dict() for one in done]}))
    else:
        print(tables.page(done, machine, command), end="")


@contextlib.contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """What is being done, on the standard error output, if that is a terminal."""
    import rich.console

    console = rich.console.Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield status.update
