"""Kernels of a training step in bfloat16 beside those of float32 with the casts that they need.

    python benchmarks/bfloat16_kernels.py
    python benchmarks/bfloat16_kernels.py --repeats 51

Gradients of depthwise convolutions for their inputs and kernels, and batch norm forwards and backwards, for tensors of
bfloat16, by TensorFlow on the processor. `zoo.training.kernels` takes float32's for some of them. Both are in one
process and take turns, call by call. Prints the median milliseconds as a table in Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

# examples, side, channels, kernel, stride
CONVOLUTIONS = (
    (16, 112, 32, 3, 1), (16, 113, 96, 3, 2), (16, 57, 144, 3, 2), (16, 29, 192, 3, 2), (16, 15, 576, 3, 2),
    (16, 28, 192, 3, 1), (16, 57, 72, 5, 2), (16, 28, 120, 5, 1), (16, 14, 672, 5, 1),
)  # fmt: skip
# examples, side, channels
BATCH_NORMS = ((16, 56, 32), (16, 56, 24), (16, 28, 40), (16, 28, 120), (16, 28, 128), (128, 32, 12), (128, 32, 16))


def convolution(examples: int, side: int, channels: int, kernel: int, stride: int) -> dict[str, Callable]:
    """What is computed to a function of the type that it is computed in."""
    strides = (1, stride, stride, 1)
    out = -(-side // stride) if stride == 1 else (side - kernel) // stride + 1
    padding = "SAME" if stride == 1 else "VALID"
    shape, kernel_shape = (examples, side, side, channels), (kernel, kernel, channels, 1)
    inputs, weights, upstream = (
        tf.cast(tf.random.normal(shape, seed=1), tf.bfloat16)
        for shape in (shape, kernel_shape, (examples, out, out, channels))
    )

    @tf.function
    def for_inputs(dtype: tf.DType) -> tf.Tensor:
        gradient = tf.nn.depthwise_conv2d_backprop_input(
            shape, tf.cast(weights, dtype), tf.cast(upstream, dtype), strides, padding
        )
        return tf.cast(gradient, tf.bfloat16)

    @tf.function
    def for_kernel(dtype: tf.DType) -> tf.Tensor:
        gradient = tf.nn.depthwise_conv2d_backprop_filter(
            tf.cast(inputs, dtype), kernel_shape, tf.cast(upstream, dtype), strides, padding
        )
        return tf.cast(gradient, tf.bfloat16)

    text = f"{examples}x{side}x{side}x{channels}, {kernel}x{kernel}, stride {stride}"
    return {
        f"depthwise {text}, for inputs": for_inputs,
        f"depthwise {text}, for kernel": for_kernel,
    }


def batch_norm(examples: int, side: int, channels: int) -> dict[str, Callable]:
    shape = examples, side, side, channels
    inputs, upstream = (tf.cast(tf.random.normal(shape, seed=seed), tf.bfloat16) for seed in (1, 2))
    ones, zeros, none = tf.ones(channels), tf.zeros(channels), tf.zeros(0)

    @tf.function
    def both_ways(dtype: tf.DType) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, *_ = tf.raw_ops.FusedBatchNormV3(
                x=tf.cast(inputs, dtype), scale=ones, offset=zeros, mean=none, variance=none, is_training=True
            )
            outputs = tf.cast(outputs, tf.bfloat16)
        return tape.gradient(outputs, inputs, upstream)

    return {f"batch norm {examples}x{side}x{side}x{channels}": both_ways}


def measured(function: Callable, repeats: int) -> list[float]:
    """Median seconds in bfloat16 and by float32, after a first call of each."""
    times: dict[tf.DType, list[float]] = {tf.bfloat16: [], tf.float32: []}
    for turn in range(repeats + 1):
        for dtype, taken in times.items():
            began = time.perf_counter()
            function(dtype).numpy()
            if turn:
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times.values()]


def main(arguments: Sequence[str] | None = None) -> list[tuple[str, float, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="calls of each (default: 15)")
    options = parser.parse_args(arguments)
    print("| kernel, tensors of bfloat16 | bfloat16, ms | float32 and casts, ms | times |")
    print("| --- | ---: | ---: | ---: |")
    rows = []
    for made, cases in ((convolution, CONVOLUTIONS), (batch_norm, BATCH_NORMS)):
        for case in cases:
            for name, function in made(*case).items():
                low, full = measured(function, options.repeats)
                rows.append((name, low, full))
                print(f"| {name} | {1e3 * low:.2f} | {1e3 * full:.2f} | {low / full:.2f} |", flush=True)
    return rows


if __name__ == "__main__":
    main()
