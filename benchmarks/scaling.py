"""What several machines are expected to give: from the measured step of one and the bytes of its gradient.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --model resnet50 --batch-size 256 --step-ms 105
    python benchmarks/scaling.py --model vgg16 --gbits 10 100 400
    python benchmarks/scaling.py --model resnet50 --batch-size 256 --step-ms 105 --devices 8

Each worker computes its part of the batch, then all sum their gradients in one collective operation, before which the
whole backward pass must be done: the Trainer hides none of it behind the other. A ring sends 2 (N - 1) / N of the
gradient through each link, in 2 (N - 1) messages (P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms
for clusters of workstations", 2009). The part of one machine's rate that each of N keeps is therefore

    step / (step + 2 (N - 1) / N * bytes / bandwidth + 2 (N - 1) * latency)

for batches that grow with the number of workers. With `--devices` D above 1 each worker is a machine of so many
devices: one machine is MirroredStrategy, several are MultiWorkerMirroredStrategy. The devices of a machine sum by a
ring of their own links while each machine's sum goes around the network once, so the two take

    2 (D - 1) / D * bytes / device bandwidth + 2 (N - 1) / N * bytes / bandwidth

and the latencies of both rings. Reading and decoding scale with the workers, as each reads its part.
The step is measured here, or given by `--step-ms` where it was measured on the machines in question.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence

WORKERS = (2, 4, 8, 16, 32, 64)


def ring_seconds(gradient_bytes: int, members: int, gbits: float, latency_seconds: float) -> float:
    """How long a ring takes to sum the gradients of its members; nothing with one member."""
    sent = 2 * (members - 1) / members * gradient_bytes / (gbits * 1e9 / 8)
    return sent + 2 * (members - 1) * latency_seconds


def kept(
    step_seconds: float,
    gradient_bytes: int,
    workers: int,
    gbits: float,
    latency_seconds: float,
    devices: int = 1,
    device_gbits: float = 1.0,
) -> float:
    """The part of its rate that each device keeps, 0 to 1.

    Args:
        step_seconds: Seconds of a step on one device.
        gradient_bytes: Bytes that each device adds to the sum.
        workers: Machines.
        gbits: Gbit/s of a machine's link to the others.
        latency_seconds: Seconds that a message takes.
        devices: Devices of a machine.
        device_gbits: Gbit/s of the links between those.
    """
    within = ring_seconds(gradient_bytes, devices, device_gbits, latency_seconds)
    between = ring_seconds(gradient_bytes, workers, gbits, latency_seconds)
    return step_seconds / (step_seconds + within + between)


def gradient_bytes(name: str) -> int:
    """Bytes that each worker adds to the sum in a step: all trainable weights, in float32."""
    import zoo

    return 4 * zoo.count_params(zoo.create_model(name))[0]


def measured_step(name: str, batch_size: int, steps: int) -> float:
    """Median seconds of a training step on this machine, after the first one."""
    import keras
    import numpy as np
    import tensorflow as tf

    import zoo

    model = zoo.create_model(name)
    random = np.random.default_rng(0)
    images = random.normal(0, 1, (batch_size, *model.input_shape[1:])).astype("float32")
    labels = random.integers(0, model.output_shape[-1], batch_size).astype("int32")
    data = tf.data.Dataset.from_tensors((tf.constant(images), tf.constant(labels))).repeat(steps + 1)
    times: list[float] = []

    class Clock(keras.callbacks.Callback):
        ignores_batch_logs = True

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            times.append(time.perf_counter())

    trainer = zoo.training.Trainer(
        model, optimizer=keras.optimizers.SGD(1e-3, momentum=0.9), loss="sparse_categorical_crossentropy"
    )
    trainer.fit(data, epochs=1, callbacks=[Clock()])
    return statistics.median(after - before for before, after in itertools.pairwise(times))


def main(arguments: Sequence[str] | None = None) -> dict[int, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50", help="registered name (default: resnet50)")
    parser.add_argument("--batch-size", type=int, default=8, help="examples of one worker's part (default: 8)")
    parser.add_argument("--steps", type=int, default=5, help="steps that are measured (default: 5)")
    parser.add_argument("--step-ms", type=float, help="milliseconds of a step, in place of measuring")
    parser.add_argument("--gbits", type=float, nargs="+", default=[10, 100, 400], help="Gbit/s of a link (%(default)s)")
    parser.add_argument(
        "--devices", type=int, default=1, metavar="D", help="devices of a worker's machine (default: 1)"
    )
    parser.add_argument("--device-gbits", type=float, default=2400,
                        help="Gbit/s between those, one way (default: 2400, NVLink 3)")  # fmt: skip
    parser.add_argument("--latency-us", type=float, default=50, help="microseconds of a message (default: 50)")
    options = parser.parse_args(arguments)
    for name in ("batch_size", "steps", "step_ms", "latency_us", "devices", "device_gbits"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0. Received: {value:g}")
    if not all(value > 0 for value in options.gbits):
        parser.error(f"--gbits must be above 0. Received: {options.gbits}")
    size = gradient_bytes(options.model)
    given = options.step_ms is not None
    step = options.step_ms / 1e3 if given else measured_step(options.model, options.batch_size, options.steps)
    print(
        f"{options.model}: gradient {size / 1e6:.1f} MB; step of {options.batch_size} examples {1e3 * step:.0f} ms "
        f"({'given' if given else 'measured'}), {options.batch_size / step:.1f} images/s; latency "
        f"{options.latency_us:g} us"
    )
    print()
    devices = options.devices
    heading = "workers" if devices == 1 else f"machines of {devices} devices"
    print(f"| {heading} | " + " | ".join(f"images/s at {value:g} Gbit/s" for value in options.gbits) + " |")
    print("| ---: |" + " ---: |" * len(options.gbits))
    rows = {}
    for workers in WORKERS if devices == 1 else (1, *WORKERS):
        rows[workers] = [
            kept(step, size, workers, value, options.latency_us / 1e6, devices, options.device_gbits)
            for value in options.gbits
        ]
        alone = workers * devices * options.batch_size / step
        rates = [f"{alone * part:,.0f} ({100 * part:.0f} %)" for part in rows[workers]]
        print(f"| {workers} | " + " | ".join(rates) + " |")
    return rows


if __name__ == "__main__":
    main()
