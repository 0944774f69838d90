"""What a training step takes with feature maps kept and with feature maps computed again: memory and time.

    python benchmarks/recompute.py
    python benchmarks/recompute.py --models resnet50 densenet121 --batch-size 16

Each training has a process of its own; the two kinds take turns. Memory is the highest resident size of the process
less that before the training, which holds the network already; time is the median step after the first. Prints a table
in Markdown, in MB and seconds.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

MODELS = ("densenet_bc100_k12", "densenet121", "resnet110", "resnet50", "inception_v3", "vgg16")


def peak() -> int:
    """Highest resident size of this process in KB. `getrusage` would count that of the process that started it too."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None, "Linux has it"
    return int(found[1])


def train(model_name: str, batch_size: int, recompute: bool, steps: int) -> dict[str, float]:
    """Some steps in this process."""
    import keras
    import numpy as np
    import tensorflow as tf

    import zoo

    class Clock(keras.callbacks.Callback):
        ignores_batch_logs = True

        def on_train_begin(self, logs: object = None) -> None:
            self.times = [time.perf_counter()]

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.times.append(time.perf_counter())

    model = zoo.create_model(model_name)
    trainer = zoo.training.Trainer(
        model, optimizer=keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy", recompute=recompute
    )
    pictures = tf.constant(np.zeros((batch_size, *model.input_shape[1:]), "float32"))
    data = tf.data.Dataset.from_tensors((pictures, tf.zeros(batch_size, tf.int32))).repeat(steps)
    clock = Clock()
    before = peak()
    trainer.fit(data, epochs=1, callbacks=[clock])
    megabytes = (peak() - before) / 1024
    times = [later - earlier for earlier, later in zip(clock.times[1:], clock.times[2:], strict=False)]
    return {"megabytes": megabytes, "seconds": statistics.median(times)}


def measured(model: str, batch_size: int, recompute: bool, steps: int) -> dict[str, float]:
    """The same in a new process."""
    command = [sys.executable, __file__, "--work", model, "--batch-size", str(batch_size), "--steps", str(steps)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command += ["--recompute"] if recompute else []
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> list[dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="MODEL", help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, help="examples (default: 64 for CIFAR's size, else 8)")
    parser.add_argument("--steps", type=int, default=6, help="steps of each training (default: 6)")
    parser.add_argument("--repeats", type=int, default=1, help="trainings of each kind (default: 1)")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--recompute", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        print(json.dumps(train(options.work, options.batch_size, options.recompute, options.steps)))
        return []
    import zoo

    print("| model | batch | kept, MB | again, MB | ratio | kept, s | again, s | ratio |")
    print("| --- | ---: |" + " ---: |" * 6)
    rows = []
    for model in options.models:
        batch_size = options.batch_size or (64 if zoo.model_card(model).input_shape[0] <= 32 else 8)
        runs: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for _ in range(options.repeats):
            for recompute in runs:
                runs[recompute].append(measured(model, batch_size, recompute, options.steps))
        row: dict[str, float] = {}
        for key in ("megabytes", "seconds"):
            kept, again = (statistics.median(run[key] for run in runs[kind]) for kind in (False, True))
            row |= {f"kept {key}": kept, f"again {key}": again, f"{key} ratio": again / kept}
        rows.append(row)
        print(
            f"| {model} | {batch_size} | {row['kept megabytes']:.0f} | {row['again megabytes']:.0f} | "
            f"{row['megabytes ratio']:.2f} | {row['kept seconds']:.2f} | {row['again seconds']:.2f} | "
            f"{row['seconds ratio']:.2f} |",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
