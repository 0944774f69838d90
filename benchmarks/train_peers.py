"""Images per second of training: the Trainer beside torchvision, eager and compiled, and `model.fit`.

    python benchmarks/train_peers.py
    python benchmarks/train_peers.py --models mobilenet_v2 --precisions float32 --forms zoo torchvision

The same network of each library, batches of the same size, SGD with momentum, cross entropy. bfloat16 is Keras's
`mixed_bfloat16` and PyTorch's autocast: weights and their update stay float32. Each form has a process of its own; they
take turns round by round. Prints medians as a table in Markdown.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zoo.deploy.benchmark import peers
from zoo.deploy.benchmark.process import MeasurementError, Process, serve

TORCH_FORMS = ("eager", "eager, channels last", "compiled", "compiled, channels last")
FORMS = (
    ("zoo", "Trainer"),
    ("keras.applications", "model.fit"),
    *(("torchvision", form) for form in TORCH_FORMS),
)
PRECISIONS = ("float32", "bfloat16")
CLASSES, LEARNING_RATE, MOMENTUM = 1000, 0.01, 0.9


def compared(
    model: str,
    precision: str,
    forms: Sequence[tuple[str, str]],
    *,
    batch: int = 16,
    repeats: int = 5,
    steps: int = 3,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """What each form does; one that a library does not have is left out, one that fails says why.

    Returns:
        Dicts with who, form, precision, batch, first_step_s, images_per_s and peak_mb; or failed.
    """
    rows, running = [], []
    for who, form in forms:
        if who != "zoo" and not peers.NETWORKS[model][who]:
            continue
        progress(f"{model}, {precision}: {who}, {form}: first step")
        row: dict[str, Any] = {"who": who, "form": form, "precision": precision, "batch": batch}
        process = Process((__file__, "--work"), {"model": model, **row})
        try:
            row |= process.ask("first")
        except MeasurementError as error:
            row["failed"] = str(error)
            process.close()
        except BaseException:
            process.close()
            raise
        else:
            running.append((row, process, []))
        rows.append(row)
    try:
        for round_ in range(repeats):
            start = round_ % len(running) if running else 0
            for row, process, times in running[start:] + running[:start]:
                progress(f"{model}, {precision}: round {round_ + 1} of {repeats}: {row['who']}, {row['form']}")
                times.append(process.ask("measure", steps=steps))
    finally:
        for _, process, _ in running:
            process.close()
    for row, _, times in running:
        row["images_per_s"] = batch / statistics.median(times)
    return rows


def table(model: str, rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| network | form | precision | first step s | images/s | peak MB |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        told = (
            f"failed: {row['failed']} | |"
            if "failed" in row
            else f"{row['first_step_s']:.1f} | {row['images_per_s']:.2f} | {row['peak_mb']:.0f}"
        )
        lines.append(f"| {model} | {row['who']}, {row['form']} | {row['precision']} | {told} |")
    return "\n".join(lines)


def prepare(task: dict[str, Any], processors: int) -> dict[str, Callable[..., Any]]:
    """In the process of a form: what takes the first step, and what measures later ones."""
    from zoo.deploy.benchmark.process import peak_bytes

    make = _torch if task["who"] == "torchvision" else _keras
    state: dict[str, Any] = {}

    def first() -> dict[str, float]:
        prepared = make(task, processors)
        began = time.perf_counter()
        state["run"] = prepared()
        state["run"](0)
        return {"first_step_s": time.perf_counter() - began, "peak_mb": peak_bytes() / 1e6}

    def measure(steps: int) -> float:
        """Seconds of a step; the first after the others' turn does not count."""
        return state["run"](steps)

    return {"first": first, "measure": measure}


def _pictures(task: dict[str, Any]) -> tuple[Any, Any]:
    import numpy as np

    import zoo

    rng = np.random.default_rng(0)
    shape = (task["batch"], *zoo.model_card(task["model"]).input_shape)
    return rng.normal(size=shape).astype("float32"), rng.integers(0, CLASSES, task["batch"]).astype("int32")


def _keras(task: dict[str, Any], processors: int) -> Callable[[], Callable[[int], float]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(processors)
    tf.config.threading.set_inter_op_parallelism_threads(processors)
    import keras
    from train_step import clock

    import zoo
    from zoo import training

    if task["precision"] == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    if task["who"] == "zoo":
        model = zoo.create_model(task["model"])
    else:
        name = peers.NETWORKS[task["model"]]["keras.applications"]
        model = getattr(keras.applications, str(name))(weights=None, **peers.KERAS_ARGUMENTS.get(str(name), {}))
    images, labels = map(tf.constant, _pictures(task))
    optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM)

    def start() -> Callable[[int], float]:
        loss = "sparse_categorical_crossentropy"
        if task["who"] == "zoo":
            trainer = training.Trainer(model, optimizer=optimizer, loss=loss)

            def fit(data: Any, callback: Any) -> None:
                trainer.fit(data, epochs=1, callbacks=[callback])
        else:
            model.compile(optimizer, loss, metrics=["accuracy"])

            def fit(data: Any, callback: Any) -> None:
                model.fit(data, verbose=0, callbacks=[callback])

        def run(steps: int) -> float:
            callback = clock()
            fit(tf.data.Dataset.from_tensors((images, labels)).repeat(steps + 1), callback)
            return (callback.times[-1] - callback.times[0]) / max(steps, 1)

        return run

    return start


def _torch(task: dict[str, Any], processors: int) -> Callable[[], Callable[[int], float]]:
    import torch

    torch.set_num_threads(processors)
    net = peers.network("torchvision", task["model"], "float32").train()
    pictures, classes = _pictures(task)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(classes).long()
    if "channels last" in task["form"]:
        net = net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
    is_low = task["precision"] == "bfloat16"

    def start() -> Callable[[int], float]:
        called = torch.compile(net, dynamic=False) if task["form"].startswith("compiled") else net

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=is_low):
                logits = called(images)
            torch.nn.functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()

        def run(steps: int) -> float:
            step()
            began = time.perf_counter()
            for _ in range(steps):
                step()
            return (time.perf_counter() - began) / max(steps, 1)

        return run

    return start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    have = [name for name, row in peers.NETWORKS.items() if row["torchvision"]]
    parser.add_argument("--models", nargs="+", choices=have, default=["resnet50", "mobilenet_v2"], metavar="MODEL",
                        help=f"of {', '.join(have)} (default: resnet50 mobilenet_v2)")  # fmt: skip
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS, help="(default: both)")
    libraries = list(dict.fromkeys(who for who, _ in FORMS))
    parser.add_argument("--forms", nargs="+", choices=libraries, default=libraries, help="whose forms (default: all)")
    parser.add_argument("--batch-size", type=int, default=16, help="pictures of a batch (default: 16)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--steps", type=int, default=3, help="steps of a round (default: 3)")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    results = {}
    for model in options.models:
        for precision in options.precisions:
            rows = compared(
                model, precision, [row for row in FORMS if row[0] in options.forms], batch=options.batch_size,
                repeats=options.repeats, steps=options.steps, progress=lambda text: print(text, file=sys.stderr),
            )  # fmt: skip
            results[f"{model} {precision}"] = rows
            print(table(model, rows), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        serve(prepare)
    else:
        main()
