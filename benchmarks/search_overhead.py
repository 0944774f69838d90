"""What a search adds to its trials, and whether its memory grows.

    python benchmarks/search_overhead.py
    python benchmarks/search_overhead.py --trials 5 --tuner hyperband

Trials of one epoch of a small network. The overhead of a trial is the time from the end of one training to the start of
the next: keeping the log, leaderboard and recipe, asking the tuner, freeing the network. Its processor time, of all
threads, says what it is where other processes keep the machine busy. Prints a table in Markdown.
"""

import argparse
import io
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence

import rich.console

import tuning
from tuning import trials as trials_module
from zoo import runs


def resident_megabytes() -> float:
    """Memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="number of trials (default: 100)")
    parser.add_argument("--tuner", default="random", help="tuner (default: random)")
    parser.add_argument("--space", default="model", help="space (default: model)")
    parser.add_argument("--epochs", type=int, default=1, help="epochs of a trial (default: 1)")
    arguments = parser.parse_args(argv)
    spans: list[tuple[float, float]] = []
    processor: list[tuple[float, float]] = []
    memory: list[float] = []
    train = runs.train

    def timed(*args, **options):
        memory.append(resident_megabytes())
        began, used = time.perf_counter(), time.process_time()
        try:
            return train(*args, **options)
        finally:
            spans.append((began, time.perf_counter()))
            processor.append((used, time.process_time()))

    trials_module.runs.train = timed
    with tempfile.TemporaryDirectory() as folder:
        tuning.search(
            "simple_cnn", out=folder, space=arguments.space, tuner=arguments.tuner, trials=arguments.trials, seed=1,
            epochs=arguments.epochs, console=rich.console.Console(file=io.StringIO()),
        )  # fmt: skip
    memory.append(resident_megabytes())
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(spans)]
    busy = [after[0] - before[1] for before, after in itertools.pairwise(processor)]
    trainings = [end - began for began, end in spans]
    print(f"# {' '.join(sys.argv)}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("| trials | training, median s | overhead, median s | overhead, 90th percentile s | largest s | "
          "its processor time, median s |")  # fmt: skip
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    ninetieth = statistics.quantiles(gaps, n=10)[-1]
    print(f"| {len(spans)} | {statistics.median(trainings):.2f} | {statistics.median(gaps):.3f} | {ninetieth:.3f} | "
          f"{max(gaps):.3f} | {statistics.median(busy):.3f} |")  # fmt: skip
    marks = sorted({min(mark, len(memory) - 1) for mark in (1, 5, 10, 20, 40, 60, 80, 100)})
    print("\n| before trial | " + " | ".join(str(mark) for mark in marks) + " |")
    print("| --- | " + " | ".join("---:" for _ in marks) + " |")
    print("| resident memory, MB | " + " | ".join(f"{memory[mark]:.0f}" for mark in marks) + " |")


if __name__ == "__main__":
    main()
