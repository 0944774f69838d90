"""What `zoo.deploy.Predictor` adds to the bare compiled call of its engine, and what `model.predict` adds.

    python benchmarks/predictor_overhead.py [--models resnet20,mobilenet_v2] [--engines all] [--calls 40]

Bare call and predictor take turns, and turns in who comes first, so that whatever else the machine does falls on both
alike; the times are lower quartiles, those of a machine that is left alone. `model.predict` is timed by itself.
"""

import argparse
import statistics
import time

import numpy as np

import zoo
from zoo.deploy import Predictor, engines, example_inputs


def quartiles(calls, images, times):
    """Lower quartile of the seconds of each call, in turns."""
    for call in calls:
        call(images)
    seconds = {call: [] for call in calls}
    for turn in range(times):
        for call in calls if turn % 2 else calls[::-1]:
            start = time.perf_counter()
            call(images)
            seconds[call].append(time.perf_counter() - start)
    return [statistics.quantiles(seconds[call], n=4)[0] for call in calls]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="lenet5,resnet20,mobilenet_v2", help="registered names, by commas")
    parser.add_argument("--engines", default="all", help="names by commas (default: all that are installed)")
    parser.add_argument("--batch-sizes", default="1,16", help="by commas")
    parser.add_argument("--calls", type=int, default=100, help="calls of each kind")
    arguments = parser.parse_args()
    names = engines.installed() if arguments.engines == "all" else arguments.engines.split(",")
    print("| network | batch | engine | bare call ms | predictor | ratio | model.predict |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for name in arguments.models.split(","):
        model = zoo.create_model(name)
        for size in map(int, arguments.batch_sizes.split(",")):
            images = example_inputs(model, size)
            (keras,) = quartiles((lambda images, model=model: model.predict(images, verbose=0),), images, 8)
            for engine in names:
                bare = engines.compile(model, engine, batch_size=size)
                predictor = Predictor(model, engine=engine, batch_sizes=(size,))
                np.testing.assert_allclose(predictor(images), bare(images), atol=1e-5)
                one, other = quartiles((bare, predictor), images, arguments.calls)
                print(
                    f"| {name} | {size} | {engine} | {1000 * one:.3g} | {1000 * other:.3g} | {other / one:.3f} | "
                    f"{1000 * keras:.3g} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
