"""How long published weights take from a warm cache, beside building the same network without weights.

    python benchmarks/load_weights.py
    python benchmarks/load_weights.py --repeats 3 --models resnet50

The cache is filled with random values in the form that a download leaves there; nothing comes from the network. Each
build has a process of its own; with and without weights take turns. Only the call of `zoo.create_model` is timed, the
proof of the file's SHA-256 included. Prints medians in seconds, and the ratio, as a table in Markdown.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

MODELS = {"resnet50": "timm.a1", "vgg16": "timm.tv"}

_FILL = """
from zoo.builder import build_for_conversion
from zoo.weights import cache, published, store
row = published.find({model!r}, {tag!r})
import zoo
model = zoo.create_model({model!r})
head = build_for_conversion({model!r}, False, {{}})[1]
store.save(model, cache.folder_of(row), **cache.facts(row), conversion=cache.CONVERSION, head=head, knobs={{}})
"""

_BUILD = """
import time
import keras, zoo
import zoo.weights
zoo.list_models()
began = time.perf_counter()
zoo.create_model({model!r}, weights={weights!r})
print(time.perf_counter() - began)
"""


def run(code: str, home: str) -> str:
    """What a new process prints."""
    environment = {**os.environ, "ZOO_HOME": home, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return result.stdout


def compared(model: str, repeats: int, home: str) -> tuple[float, float]:
    """Median time of `zoo.create_model` with weights from the cache, and without."""
    tag = MODELS[model]
    run(_FILL.format(model=model, tag=tag), home)
    loaded, built = [], []
    for _ in range(repeats):
        loaded.append(float(run(_BUILD.format(model=model, weights=tag), home)))
        built.append(float(run(_BUILD.format(model=model, weights=None), home)))
    return statistics.median(loaded), statistics.median(built)


def main(arguments: Sequence[str] | None = None) -> list[tuple[str, float, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="builds of each (default: 5)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL",
                        help=f"of {', '.join(MODELS)} (default: all)")  # fmt: skip
    options = parser.parse_args(arguments)
    print("| model | from the cache, s | without weights, s | ratio |\n| --- | ---: | ---: | ---: |")
    rows = []
    with tempfile.TemporaryDirectory() as home:
        for model in options.models:
            loaded, built = compared(model, options.repeats, home)
            rows.append((model, loaded, built))
            print(f"| {model} | {loaded:.2f} | {built:.2f} | {loaded / built:.2f} |", flush=True)
    return rows


if __name__ == "__main__":
    main()
