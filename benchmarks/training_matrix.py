"""Training by several devices, feature by feature: the weights of the Trainer and of `model.fit` against one device.

    python benchmarks/training_matrix.py

Each cell trains a small network for three epochs on the same 50 pictures, batches of 16, so that the last batch has 2
examples: with 4 devices two of them get none. A number is the largest difference of any weight from the same training
on one device; the exception stands where there are no weights. Devices are logical ones of the processor, workers are
processes on this machine. Adam and its kin have an epsilon of 0.01: with Keras's own, gradients that are zero but for
rounding decide whole steps, which also two orders of adding the same numbers then show.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACEMENTS = {"one": (1, 1), "mirrored 2": (2, 1), "mirrored 4": (4, 1), "workers 2": (1, 2), "workers 3": (1, 3)}
EPOCHS, BATCH, EXAMPLES, CLASSES = 3, 16, 50, 4

# By how much rounding changes a number at most, relative to it: half a unit in the last place. Weights are float32 and
# cannot hold half of theirs.
ROUNDOFF = {"float32": 2.0**-23, "bfloat16": 2.0**-8, "float16": 2.0**-11}


@dataclass(frozen=True)
class Cell:
    """One training: what differs from SGD with momentum, a synchronised batch norm, whole numbers as labels."""

    optimizer: str = "SGD"
    options: dict[str, Any] = field(default_factory=dict)
    rate: float | str = 0.05
    synchronized: bool = True
    policy: str = "float32"
    l2: float = 0.0
    activity: float = 0.0
    steps_per_call: int = 1
    class_weight: dict[int, float] | None = None
    sample_weight: bool = False
    loss: str = "sparse_categorical_crossentropy"
    metrics: tuple[str, ...] = ("accuracy",)
    callbacks: tuple[str, ...] = ()
    jit: bool = False
    recompute: bool = False
    small_last: bool = True


HEAVY: dict[int, float] = {0: 0.5, 2: 3.0}
FEATURES: dict[str, Cell] = {
    "SGD, all batches full": Cell(small_last=False),
    "last batch of 2": Cell(),
    "several steps a call": Cell(steps_per_call=3),
    "gradient accumulation": Cell(options={"gradient_accumulation_steps": 2}),
    "EMA": Cell(options={"use_ema": True, "ema_momentum": 0.9}),
    "EMA that overwrites": Cell(options={"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}),
    "clipping by value": Cell(options={"clipvalue": 0.02}),
    "clipping by norm": Cell(options={"clipnorm": 0.05}),
    "clipping by global norm": Cell(options={"global_clipnorm": 0.1}),
    "mixed_bfloat16": Cell(policy="mixed_bfloat16"),
    "mixed_float16": Cell(policy="mixed_float16"),
    "XLA": Cell(jit=True),
    "class weights": Cell(class_weight=HEAVY),
    "sample weights": Cell(sample_weight=True),
    "L2 regularisation": Cell(l2=0.01),
    "activity regularisation": Cell(activity=1e-3),
    "recomputed feature maps": Cell(recompute=True),
    "local batch norm": Cell(synchronized=False),
    "cosine schedule": Cell(rate="cosine"),
    "Adam": Cell("Adam", {"epsilon": 1e-2}, rate=1e-3),
    "AdamW": Cell("AdamW", {"weight_decay": 0.01, "epsilon": 1e-2}, rate=1e-3),
    "Nadam": Cell("Nadam", {"epsilon": 1e-2}, rate=1e-3),
    "Lamb": Cell("Lamb", {"epsilon": 1e-2}, rate=1e-3),
    "Lion": Cell("Lion", rate=1e-3),
    "RMSprop": Cell("RMSprop", rate=1e-3),
    "Adafactor": Cell("Adafactor", rate=1e-3),
    "Muon": Cell("Muon", rate=1e-3),
    "binary crossentropy, AUC, top 2": Cell(loss="binary_crossentropy", metrics=("auc", "top2")),
    "mean squared error": Cell(loss="mean_squared_error", metrics=("mae",)),
    "callbacks of Keras": Cell(callbacks=("plateau", "schedule")),
    "everything at once": Cell(
        "AdamW",
        {"use_ema": True, "ema_momentum": 0.9, "global_clipnorm": 0.1, "gradient_accumulation_steps": 2,
         "weight_decay": 0.01},
        rate="cosine", l2=1e-3, steps_per_call=3, class_weight=HEAVY, sample_weight=True, metrics=("accuracy", "xe"),
    ),
}  # fmt: skip


def network(cell: Cell) -> Any:
    import keras
    from keras import layers

    keras.config.set_dtype_policy(cell.policy)
    regularizer = keras.regularizers.L2(cell.l2) if cell.l2 else None
    activity = keras.regularizers.L2(cell.activity) if cell.activity else None
    source = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", kernel_regularizer=regularizer, activity_regularizer=activity)(source)
    x = layers.BatchNormalization(synchronized=cell.synchronized, momentum=0.9)(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", kernel_regularizer=regularizer)(layers.ReLU()(x))
    outputs = layers.Dense(CLASSES, activation="softmax", dtype="float32")(layers.Flatten()(x))
    return keras.Model(source, outputs)


def optimizer(cell: Cell) -> Any:
    import keras

    rate: Any = cell.rate
    if rate == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(0.05 if cell.optimizer == "SGD" else 1e-3, 12)
    options = dict(cell.options)
    if cell.optimizer == "SGD":
        options["momentum"] = 0.9
    return getattr(keras.optimizers, cell.optimizer)(learning_rate=rate, **options)


def metrics(cell: Cell) -> list[Any]:
    import keras

    made: dict[str, Callable[[], Any]] = {
        "auc": lambda: keras.metrics.AUC(name="auc"),
        "top2": lambda: keras.metrics.TopKCategoricalAccuracy(2, name="top2"),
        "xe": lambda: keras.metrics.SparseCategoricalCrossentropy(name="xe"),
    }
    return [made[name]() if name in made else name for name in cell.metrics]


def callbacks(cell: Cell) -> list[Any]:
    import keras

    made = {
        "plateau": lambda: keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=100),
        "schedule": lambda: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
    }
    return [made[name]() for name in cell.callbacks]


def pictures(cell: Cell) -> Any:
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(5)
    count = EXAMPLES if cell.small_last else EXAMPLES // BATCH * BATCH
    images = rng.normal(0, 1, (count, 8, 8, 1)).astype("float32")
    labels: Any = rng.integers(0, CLASSES, count).astype("int32")
    if not cell.loss.startswith("sparse"):
        labels = np.eye(CLASSES, dtype="float32")[labels]
    arrays: tuple[Any, ...] = (images, labels)
    if cell.sample_weight:
        arrays += (rng.uniform(0, 2, count).astype("float32"),)
    return tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH)


def arrays(model: Any) -> list[Any]:
    import keras

    return [keras.ops.convert_to_numpy(weight) for weight in model.weights]


def nudged(model: Any, nudge: int) -> Any:
    """The model with each weight changed as rounding might; 0 for not, other numbers are seeds."""
    import numpy as np

    if nudge:
        chance, roundoff = np.random.default_rng(nudge), ROUNDOFF[model.layers[1].compute_dtype]
        signs = [chance.choice([-1, 1], weight.shape) for weight in model.weights]
        weights = zip(model.get_weights(), signs, strict=True)
        model.set_weights([weight * (1 + roundoff * sign) for weight, sign in weights])
    return model


def noting(weights: dict[str, list[Any]]) -> Any:
    """A callback that notes the weights before and after the first step."""
    import keras

    class Noting(keras.callbacks.Callback):
        ignores_batch_logs = True

        def on_train_begin(self, logs: Any = None) -> None:
            weights["start"] = arrays(self.model)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            weights.setdefault("first", arrays(self.model))

    return Noting()


def train_ours(
    cell: Cell, strategy: Any, nudge: int, noted: dict[str, list[Any]]
) -> tuple[Any, list[dict[str, float]]]:
    from zoo import training

    trainer = training.Trainer(
        lambda: nudged(network(cell), nudge), optimizer=optimizer(cell), loss=cell.loss, metrics=metrics(cell),
        strategy=strategy, steps_per_call=cell.steps_per_call, class_weight=cell.class_weight, jit_compile=cell.jit,
        recompute=cell.recompute,
    )  # fmt: skip
    history = trainer.fit(pictures(cell), epochs=EPOCHS, callbacks=[*callbacks(cell), noting(noted)])
    return trainer.model, history


def train_fit(cell: Cell, strategy: Any) -> tuple[Any, list[dict[str, float]]]:
    if cell.recompute:
        raise NotImplementedError("model.fit recomputes nothing")
    with strategy.scope():
        model = network(cell)
        model.compile(optimizer(cell), cell.loss, metrics=metrics(cell), steps_per_execution=cell.steps_per_call,
                      jit_compile=cell.jit)  # fmt: skip
    fitted = model.fit(
        pictures(cell),
        epochs=EPOCHS,
        callbacks=callbacks(cell),
        class_weight=cell.class_weight,
        verbose=0,
        shuffle=False,
    )
    return model, [{"loss": value} for value in fitted.history["loss"]]


def work(who: str, devices: int, names: list[str], nudges: list[int], out: Path | None) -> None:
    """Train some cells in this process; one JSON line each, weights into a folder."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    import keras
    import numpy as np

    from zoo import training

    strategy = training.make_strategy(devices if devices > 1 else "auto")
    for name, nudge in [(name, nudge) for name in names for nudge in nudges]:
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        line: dict[str, Any] = {"feature": name, "nudge": nudge}
        noted: dict[str, list[Any]] = {}
        try:
            if who == "ours":
                model, history = train_ours(FEATURES[name], strategy, nudge, noted)
            else:
                model, history = train_fit(FEATURES[name], strategy)
            line["history"] = history
            if out is not None:
                stored = {**noted, "weights": arrays(model)}
                np.savez(
                    weights_file(out, name, nudge),
                    **{
                        f"{kind}/{index:03d}": item
                        for kind, items in stored.items()
                        for index, item in enumerate(items)
                    },
                )
        except Exception as error:  # any, for a cell's answer may be that it fails
            line["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        keras.config.set_dtype_policy("float32")
        print(json.dumps(line), flush=True)


def weights_file(folder: Path, name: str, nudge: int) -> Path:
    return folder / f"{list(FEATURES).index(name)}-{nudge}.npz"


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def run_placement(
    who: str, placement: str, names: list[str], folder: Path, timeout: float, nudges: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Train cells in processes of their own.

    Returns:
        For each feature its line, with the weights under "weights", of the Trainer also those before and after the
        first step under "start" and "first"; with further nudges also for (feature, nudge).
    """
    import numpy as np

    devices, workers = PLACEMENTS[placement]
    out = folder / f"{who}-{placement.replace(' ', '')}-{len(list(folder.iterdir()))}"
    out.mkdir(parents=True)
    command = [sys.executable, __file__, "--work", who, "--devices", str(devices), "--features", *names]
    command += ["--nudges", *map(str, nudges)]
    hosts = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        environment = dict(os.environ)
        if workers > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
        options = ["--out", str(out)] if index == 0 else []
        errors_to = subprocess.PIPE if index == 0 else subprocess.DEVNULL
        processes.append(
            subprocess.Popen([*command, *options], env=environment, stdout=subprocess.PIPE, stderr=errors_to, text=True)
        )
    try:
        text, errors = processes[0].communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        text, errors = "", "no answer in time"
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            if process.stderr is not None:
                process.stderr.close()
    lines = {(line["feature"], line["nudge"]): line for line in map(json.loads, text.splitlines())}
    for name, nudge in [(name, nudge) for name in names for nudge in nudges]:
        line = lines.setdefault((name, nudge), {"error": f"the process ended: {errors.strip()[-300:]}"})
        if "error" not in line:
            with np.load(weights_file(out, name, nudge)) as stored:
                for kind in {key.partition("/")[0] for key in stored.files}:
                    line[kind] = [stored[key] for key in sorted(stored.files) if key.startswith(f"{kind}/")]
    return {name if nudge == 0 else (name, nudge): line for (name, nudge), line in lines.items()}


def difference(one: dict[str, Any], other: dict[str, Any]) -> float | str:
    """Largest difference of any weight, or the error."""
    if "error" in other:
        return other["error"]
    if "error" in one:
        return "no weights of one device"
    return max(float(abs(a - b).max()) for a, b in zip(one["weights"], other["weights"], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", nargs="*", default=list(FEATURES), help="rows (default: all)")
    parser.add_argument("--placements", nargs="*", default=list(PLACEMENTS)[1:4], help="columns (default: %(default)s)")
    parser.add_argument("--peer", choices=("fit", "none"), default="fit", help="the other column (default: fit)")
    parser.add_argument("--timeout", type=float, default=1200, help="seconds for one column (default: 1200)")
    parser.add_argument("--work", choices=("ours", "fit"), help=argparse.SUPPRESS)
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--nudges", type=int, nargs="*", default=[0], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.devices, arguments.features, arguments.nudges, arguments.out)
        return
    whos = ["ours", "fit"] if arguments.peer == "fit" else ["ours"]
    with tempfile.TemporaryDirectory() as folder:
        results = {
            (who, placement): run_placement(who, placement, arguments.features, Path(folder), arguments.timeout)
            for who in whos
            for placement in ["one", *arguments.placements]
        }
    columns = [(who, placement) for placement in arguments.placements for who in whos]
    titles = [f"{placement}, {'Trainer' if who == 'ours' else 'model.fit'}" for who, placement in columns]
    print("| feature | " + " | ".join(titles) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in arguments.features:
        cells = [difference(results[who, "one"][name], results[who, placement][name]) for who, placement in columns]
        texts = [f"{cell:.1e}" if isinstance(cell, float) else cell.split(":")[0] for cell in cells]
        print(f"| {name} | " + " | ".join(texts) + " |")


if __name__ == "__main__":
    main()
