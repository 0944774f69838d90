"""What convolutions by tiles (`zoo.deploy.winograd`) save in OpenVINO, beside its own of the same networks.

    python benchmarks/winograd.py
    python benchmarks/winograd.py --models vgg16 go_zero_19 --batch-sizes 1 16 --repeats 9

Both compiled networks are in one process and take turns, call by call, on the same random pictures. Prints the median
milliseconds of a call, how many convolutions are by tiles, and how far both answers are from Keras's, as a part of the
largest, as a table in Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import keras

import zoo
from zoo.deploy import engines, example_inputs, fold, winograd
from zoo.deploy.differences import expected_of, flat, relative_difference

MODELS = (
    "alexnet", "vgg16", "resnet18", "resnet50", "resnet152", "wide_resnet28_10", "wide_resnet50_2", "inception_v3",
    "squeezenet1_0", "go_policy_192", "go_zero_19",
)  # fmt: skip


def normalised(model: keras.Model) -> None:
    """Give batch norms the statistics of random pictures, for the answers to depend on all layers."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(example_inputs(model, 16), training=True)


def compared(model: keras.Model, batch_size: int, repeats: int) -> tuple[float, float, int, list[float]]:
    """Median seconds by OpenVINO's own convolutions and by tiles, the number of tiled ones, both differences."""
    engine, shape = engines.ENGINES["openvino"], tuple(model.input_shape[1:])
    graph = engine.graph(fold(model), shape)
    converted, counts = engine.convert(graph), []
    accelerate = winograd.accelerate
    calls: list[Callable] = []
    for used in (lambda _: 0, accelerate):
        winograd.accelerate = lambda network, used=used: counts.append(used(network))
        try:
            run = engine.start(converted, (batch_size, *shape), "float32", None)
        finally:
            winograd.accelerate = accelerate
        calls.append(engines.answering(graph, run))
    pictures = example_inputs(model, batch_size)
    expected = expected_of(model, pictures)
    differences = [relative_difference(flat(call(pictures)), expected) for call in calls]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            began = time.perf_counter()
            call(pictures)
            taken.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1]), counts[1], differences


def main(arguments: Sequence[str] | None = None) -> list[tuple]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL", help="names in the zoo")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=(1, 16), metavar="N", help="(default: 1 16)")
    parser.add_argument("--repeats", type=int, default=9, metavar="N", help="calls of each (default: 9)")
    options = parser.parse_args(arguments)
    print("| network | batch | by tiles | direct, ms | tiles, ms | times | direct from Keras | tiles from Keras |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = []
    for name in options.models:
        keras.utils.set_random_seed(0)
        model = zoo.create_model(name)
        normalised(model)
        for size in options.batch_sizes:
            plain, tiles, count, differences = compared(model, size, options.repeats)
            rows.append((name, size, count, plain, tiles, *differences))
            print(
                f"| {name} | {size} | {count} | {1e3 * plain:.1f} | {1e3 * tiles:.1f} | {plain / tiles:.2f} | "
                f"{differences[0]:.0e} | {differences[1]:.0e} |",
                flush=True,
            )
    return rows


if __name__ == "__main__":
    main()
