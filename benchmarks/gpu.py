"""Images per second on one device under JAX, inference and training, and the part of its matrix rate that they reach.

    KERAS_BACKEND=jax python benchmarks/gpu.py
    KERAS_BACKEND=jax python benchmarks/gpu.py --models resnet50 --batch-size 256 --peer torchvision
    KERAS_BACKEND=jax python benchmarks/gpu.py --models resnet20 --batch-size 4 --matrix 512 --steps 2

Everything is one compiled function in bfloat16 (weights and their update in float32, `mixed_bfloat16`), on data that is
on the device already. The matrix rate is measured in the same run: a square product in bfloat16, two operations for
each multiply-accumulate. A network's operations are twice its multiply-accumulates for a picture, six times in
training: forward, and backward to the inputs and to the weights. The peer is torchvision's network through
`torch.compile` with channels last and autocast to bfloat16. All take turns, medians of rounds. The first device counts,
be it a GPU, a TPU or the processor.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

MODELS = ("resnet50", "densenet121", "mobilenet_v2", "inception_v3", "vgg16")
PEERS = ("torchvision",)
LEARNING_RATE, MOMENTUM = 1e-3, 0.9

# Operations for each multiply-accumulate.
INFERENCE, TRAINING = 2, 6


def matrix_call(size: int) -> Callable[[], Any]:
    """A product of square matrices in bfloat16."""
    import jax
    import jax.numpy as jnp

    left, right = (jax.random.normal(jax.random.key(seed), (size, size), jnp.bfloat16) for seed in (0, 1))
    product = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(product(left, right))


def calls(model: Any, batch_size: int) -> dict[str, Callable[[], Any]]:
    """What runs a Keras model once on a batch: "inference", and "training" for a step.

    Args:
        model: A classifier that gives probabilities, built under JAX.
        batch_size: Pictures at once.
    """
    import jax
    import keras

    optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    pictures = jax.random.normal(jax.random.key(0), (batch_size, *model.input_shape[1:]))
    labels = jax.random.randint(jax.random.key(1), (batch_size,), 0, model.output_shape[-1])

    def loss(trainable: Any, others: Any) -> tuple[Any, Any]:
        answer, others = model.stateless_call(trainable, others, pictures, training=True)
        return loss_of(labels, answer), others

    @jax.jit
    def predict(trainable: Any, others: Any) -> Any:
        return model.stateless_call(trainable, others, pictures, training=False)[0]

    @jax.jit
    def step(trainable: Any, others: Any, state: Any) -> tuple[Any, ...]:
        (value, others), gradients = jax.value_and_grad(loss, has_aux=True)(trainable, others)
        trainable, state = optimizer.stateless_apply(state, gradients, trainable)
        return trainable, others, state, value

    values = [[variable.value for variable in group] for group in (
        model.trainable_variables, model.non_trainable_variables, optimizer.variables)]  # fmt: skip

    def train() -> Any:
        *values[:], value = step(*values)
        return jax.block_until_ready(value)

    return {"inference": lambda: jax.block_until_ready(predict(*values[:2])), "training": train}


def torch_calls(model: str, shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """The same of torchvision, on its GPU where it has one."""
    import torch

    from zoo.deploy.benchmark import peers

    peers.check("torchvision", model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch_size, height, width, channels = shape
    net = peers.network("torchvision", model, "float32").to(device, memory_format=torch.channels_last)
    compiled = torch.compile(net, dynamic=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
    pictures = torch.randn(batch_size, channels, height, width, device=device)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (batch_size,), device=device)

    def finish() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def predict() -> None:
        net.eval()
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            compiled(pictures)
        finish()

    def train() -> None:
        net.train()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            logits = compiled(pictures)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        finish()

    return {"inference": predict, "training": train}


def seconds(functions: dict[Any, Callable[[], Any]], rounds: int, steps: int) -> dict[Any, float]:
    """Median seconds of a call of each; they take turns, and what compiles or warms up does not count."""
    times: dict[Any, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        for _ in range(2):
            function()
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            for _ in range(steps):
                function()
            times[name].append((time.perf_counter() - began) / steps)
    return {name: statistics.median(found) for name, found in times.items()}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[Any, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), help=f"(default: {' '.join(MODELS)})")
    parser.add_argument("--batch-size", type=int, default=256, help="pictures at once (default: 256)")
    parser.add_argument("--matrix", type=int, default=8192, help="rows of the product's matrices (default: 8192)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--steps", type=int, default=10, help="calls of a round (default: 10)")
    parser.add_argument("--peer", action="append", choices=PEERS, default=[], help="measured in the same run")
    options = parser.parse_args(arguments)
    for name in ("batch_size", "matrix", "rounds", "steps"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1. Received: {getattr(options, name)}")
    import keras

    if keras.backend.backend() != "jax":
        parser.error(f"this measures Keras on JAX: set KERAS_BACKEND=jax. Received: {keras.backend.backend()}")
    import jax

    import zoo

    keras.config.set_dtype_policy("mixed_bfloat16")
    device = jax.devices()[0]
    print(f"{device.device_kind} ({device.platform}), JAX {jax.__version__}, Keras {keras.__version__}; batches of "
          f"{options.batch_size}, bfloat16\n")  # fmt: skip
    print("| network | work | images/s | operations/s, 1e12 | of the matrix rate | torchvision, images/s | times |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    found = {}
    for name in options.models:
        model = zoo.create_model(name)
        functions: dict[Any, Callable[[], Any]] = {"matrix": matrix_call(options.matrix)}
        functions |= {("zoo", work): call for work, call in calls(model, options.batch_size).items()}
        for peer in options.peer:
            theirs = torch_calls(name, (options.batch_size, *model.input_shape[1:]))
            functions |= {(peer, work): call for work, call in theirs.items()}
        times = found[name] = seconds(functions, options.rounds, options.steps)
        peak = 2 * options.matrix**3 / times["matrix"]
        for work, operations in (("inference", INFERENCE), ("training", TRAINING)):
            rate = options.batch_size / times["zoo", work]
            done = operations * zoo.count_macs(model) * rate
            peer_time = times.get(("torchvision", work))
            beside = (
                f"{options.batch_size / peer_time:,.1f} | {peer_time / times['zoo', work]:.2f}" if peer_time else " | "
            )
            print(f"| {name} | {work} | {rate:,.1f} | {done / 1e12:.3f} | {100 * done / peak:.1f} % | {beside} |",
                  flush=True)  # fmt: skip
        print(f"| matrix product | {options.matrix} rows | | {peak / 1e12:.3f} | 100 % | | |", flush=True)
    return found


if __name__ == "__main__":
    main()
