"""How long the first training step takes, and those after it: the Trainer against `model.fit`, same network and data.

    python benchmarks/train_step.py

The first step is counted from the call that sets training up (`Trainer(…)`, `model.compile`) to the end of the first
batch, in a fresh process, with the model already built. Images per second are medians of groups of steps afterwards,
taken in turns in one process. The loop's overhead is the Trainer's time over that of its bare compiled step. The last
line is Trainer over `model.fit` with SGD momentum.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

OPTIMIZERS = ("sgd", "adamw")


def make_model(arguments: argparse.Namespace) -> Any:
    import zoo

    return zoo.create_model(arguments.model, input_shape=(arguments.image_size, arguments.image_size, 3))


def make_optimizer(name: str) -> Any:
    import keras

    if name == "sgd":
        return keras.optimizers.SGD(0.01, momentum=0.9)
    return keras.optimizers.AdamW(1e-4, weight_decay=0.05)


def make_data(arguments: argparse.Namespace, steps: int) -> Any:
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    size = arguments.image_size
    images = tf.constant(rng.normal(0, 1, (arguments.batch_size, size, size, 3)).astype("float32"))
    labels = tf.constant(rng.integers(0, 1000, arguments.batch_size).astype("int32"))
    return tf.data.Dataset.from_tensors((images, labels)).repeat(steps)


def clock() -> Any:
    """A callback that notes when each batch ends."""
    import keras

    class Clock(keras.callbacks.Callback):
        ignores_batch_logs = True

        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.times.append(time.perf_counter())

    return Clock()


def start(who: str, optimizer: str, model: Any) -> Any:
    """A function that trains on data with a callback."""
    from zoo import training

    if who == "ours":
        trainer = training.Trainer(model, optimizer=make_optimizer(optimizer), loss="sparse_categorical_crossentropy")
        return trainer, lambda data, callback: trainer.fit(data, epochs=1, callbacks=[callback])
    model.compile(make_optimizer(optimizer), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return None, lambda data, callback: model.fit(data, verbose=0, callbacks=[callback])


def first_step(arguments: argparse.Namespace) -> None:
    """Print the seconds to the end of the first batch."""
    from zoo import training

    assert training
    model, data, callback = make_model(arguments), make_data(arguments, 1), clock()
    began = time.perf_counter()
    _, fit = start(arguments.work, arguments.optimizer, model)
    fit(data, callback)
    print(json.dumps(callback.times[0] - began))


def steps(arguments: argparse.Namespace) -> None:
    """Print the seconds of a step: the Trainer's, that of `model.fit`, and the Trainer's compiled step alone."""
    trainer, ours = start("ours", arguments.optimizer, make_model(arguments))
    _, fit = start("fit", arguments.optimizer, make_model(arguments))
    compiled, inside = trainer._train_call, []

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        answer = compiled(*arguments)
        inside.append(time.perf_counter() - began)
        return answer

    # Within the same steps, so that what else the machine does weighs on both.
    trainer._train_call = timed
    count = arguments.steps
    seconds: dict[str, list[float]] = {"ours": [], "fit": [], "bare": []}
    for round_ in range(arguments.rounds + 1):
        for name, run in (("ours", ours), ("fit", fit)):
            callback = clock()
            inside.clear()
            run(make_data(arguments, count + 1), callback)
            if round_:
                seconds[name].append((callback.times[-1] - callback.times[0]) / count)
            if round_ and name == "ours":
                seconds["bare"].append(sum(inside[1:]) / count)
    print(json.dumps({name: statistics.median(values) for name, values in seconds.items()}))


def in_process(arguments: argparse.Namespace, work: str, optimizer: str) -> Any:
    """The answer of a fresh process."""
    command = [sys.executable, __file__, "--work", work, "--optimizer", optimizer]
    for name in ("model", "image_size", "batch_size", "steps", "rounds"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50", help="registered name (default: resnet50)")
    parser.add_argument("--image-size", type=int, default=224, help="pixels (default: 224)")
    parser.add_argument("--batch-size", type=int, default=8, help="examples of a batch (default: 8)")
    parser.add_argument("--steps", type=int, default=8, help="steps of a group (default: 8)")
    parser.add_argument("--rounds", type=int, default=5, help="groups of each (default: 5)")
    parser.add_argument("--repeats", type=int, default=1, help="first steps of each, median (default: 1)")
    parser.add_argument("--peer", choices=("fit",), default="fit", help="what the Trainer is measured against")
    parser.add_argument("--work", choices=("ours", "fit", "steps"), help=argparse.SUPPRESS)
    parser.add_argument("--optimizer", choices=OPTIMIZERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.work:
        (steps if arguments.work == "steps" else first_step)(arguments)
        return
    print(f"{arguments.model}, {arguments.image_size} pixels, batches of {arguments.batch_size}")
    print(f"{'optimizer':<10}{'first step s: Trainer':>22}{'model.fit':>11}{'images/s: Trainer':>19}{'model.fit':>11}")
    rows = {}
    for optimizer in OPTIMIZERS:
        first = {
            who: statistics.median(in_process(arguments, who, optimizer) for _ in range(arguments.repeats))
            for who in ("ours", "fit")
        }
        later = in_process(arguments, "steps", optimizer)
        rows[optimizer] = first, later
        rates = [arguments.batch_size / later[who] for who in ("ours", "fit")]
        print(
            f"{optimizer:<10}{first['ours']:>22.2f}{first['fit']:>11.2f}{rates[0]:>19.2f}{rates[1]:>11.2f}", flush=True
        )
    first, later = rows["sgd"]
    print(
        f"first_step_ratio={first['ours'] / first['fit']:.3f} "
        f"images_per_s_ratio={later['fit'] / later['ours']:.3f} "
        f"loop_overhead={later['ours'] / later['bare'] - 1:.3f}"
    )


if __name__ == "__main__":
    main()
