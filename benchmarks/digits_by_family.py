"""The smallest network of every image family learns scikit-learn's digits from scratch.

    python benchmarks/digits_by_family.py
    python benchmarks/digits_by_family.py --families vgg resnet --seconds 60 --out table.md

Networks that have it get `stem="cifar"` and the digits as they are, 8x8, MobileNets enlarged to 32x32; LeNet and the
network of rows get them at their own size. Pictures are shifted by up to a pixel in training, and the learning rate
falls when the validation loss does not. Training ends at the given validation accuracy, or when the time is up; then
the test split is looked at once. Prints a table in Markdown.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras

import zoo

# Published batch norms average over up to 100 steps, and an epoch here has 37: they would evaluate with the statistics
# of the start of the training.
BATCH_NORM_MOMENTUM = 0.9
BATCH_SIZE = 32
# Without batch norm the deeper networks need smaller steps. MobileNets at their narrowest overfit with small ones, and
# need positions for their depthwise kernels: at 8x8 their last maps are single points.
LEARNING_RATE, LEARNING_RATE_WITHOUT_BATCH_NORM = 1e-3, 3e-4
LEARNING_RATES = {"mobilenet": 3e-3, "mobilenet_v2": 3e-3, "mobilenet_v3": 3e-3}
SIZES = {"mobilenet": (32, 32), "mobilenet_v2": (32, 32), "mobilenet_v3": (32, 32)}
# Epochs without a lower validation loss after which the learning rate falls.
PATIENCE = 6
# A dense head of 4096 units on one position would be 90 % of the network, and of its time.
KNOBS: dict[str, dict] = {
    "alexnet": {"hidden_units": 256},
    "vgg": {"hidden_units": 256, "head_size": 1},
}
COLUMNS = ("family", "model", "input", "parameters", "epochs", "seconds", "validation %", "test %")


def smallest_by_family() -> dict[str, str]:
    """The network with the fewest multiply-accumulates of each image family."""
    cheapest: dict[str, str] = {}
    for name in sorted(zoo.list_models(modality="image"), key=lambda name: zoo.model_card(name).num_macs):
        cheapest.setdefault(zoo.model_card(name).family, name)
    return dict(sorted(cheapest.items()))


def build(name: str, seed: int, data: zoo.data.Dataset) -> keras.Model:
    """The network for ten classes, its batch norms made quick."""
    zoo.training.seed_everything(seed)
    card = zoo.model_card(name)
    knobs = dict(KNOBS.get(card.family, {}))
    size = card.input_shape[:2]
    if card.family not in ("lenet", "plain_cnn"):
        size, knobs["stem"] = SIZES.get(card.family, data.image_shape[:2]), "cifar"
    model = zoo.create_model(name, input_shape=(*size, data.image_shape[-1]), classes=len(data.classes), **knobs)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, BATCH_NORM_MOMENTUM)
    return model


def learn(name: str, *, seconds: float, target: float, seed: int, data: zoo.data.Dataset) -> dict[str, str | float]:
    """Train one network; one row of the table, accuracies in percent."""
    model = build(name, seed, data)
    options = {"batch_size": BATCH_SIZE, "image_size": model.input_shape[1:3],
               "value_range": zoo.model_card(name).value_range}  # fmt: skip
    normalised = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    rate = LEARNING_RATE if normalised else LEARNING_RATE_WITHOUT_BATCH_NORM
    rate = LEARNING_RATES.get(zoo.model_card(name).family, rate)
    trainer = zoo.training.Trainer(model, optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
    rule = zoo.training.any_of(zoo.training.Target("val_accuracy", target), zoo.training.TimeBudget(seconds))
    began = time.perf_counter()
    history = trainer.fit(
        data.pipeline("train", training=True, seed=seed, augmentation=zoo.data.Augmentation(shift=1), **options),
        epochs=1000,
        validation=data.pipeline("validation", **options),
        callbacks=[
            zoo.training.StopTraining(rule),
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=PATIENCE),
        ],
    )
    elapsed = time.perf_counter() - began
    test = trainer.evaluate(data.pipeline("test", **options))
    height, width, channels = model.input_shape[1:]
    return {
        "family": zoo.model_card(name).family,
        "model": name,
        "input": f"{height}x{width}x{channels}",
        "parameters": f"{zoo.count_params(model)[0]:,}",
        "epochs": len(history),
        "seconds": round(elapsed),
        "validation %": round(100 * history[-1]["val_accuracy"], 2),
        "test %": round(100 * test["accuracy"], 2),
    }


def main(arguments: Sequence[str] | None = None) -> list[dict[str, str | float]]:
    networks = smallest_by_family()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=networks, default=list(networks), metavar="FAMILY",
                        help=f"of {', '.join(networks)} (default: all)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=300, help="longest training of one network (default: 300)")
    parser.add_argument("--target", type=float, default=0.975, help="validation accuracy to end at (default: 0.975)")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and order (default: 1)")
    parser.add_argument("--out", type=Path, help="file for the table, besides the screen")
    options = parser.parse_args(arguments)
    data = zoo.data.load("digits")
    rows, lines = [], [f"| {' | '.join(COLUMNS)} |", "| --- | --- | --- |" + " ---: |" * (len(COLUMNS) - 3)]
    print("\n".join(lines), flush=True)
    for family in options.families:
        row = learn(networks[family], seconds=options.seconds, target=options.target, seed=options.seed, data=data)
        rows.append(row)
        lines.append(f"| {' | '.join(str(row[column]) for column in COLUMNS)} |")
        print(lines[-1], flush=True)
        keras.utils.clear_session()
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
