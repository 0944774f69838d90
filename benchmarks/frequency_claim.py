"""Do filters that move along frequency hear voices whose formants are moved?

    python benchmarks/frequency_claim.py
    python benchmarks/frequency_claim.py --voices 6 --seeds 0 --epochs 5 --out table.md

Ten words by a few voices of espeak-ng. The same voices then speak again with all formants multiplied by a factor, which
is what a shorter or longer vocal tract does, and other voices speak as they are. Three networks of the same size, three
convolutions with batch norm and ReLU each, hear 40 log-mel bands:

- `time`: the filters of the first layer see all bands and move along time alone;
- `frequency`: all filters move along time and frequency, and the head sees the mean over both;
- `frequency, places kept`: the same filters, but the head has weights of its own for each place on the frequency axis.

Number of epochs and rates are fixed beforehand, so nothing is chosen by what is tested. Prints a table in Markdown:
mean and standard deviation of the accuracy over the seeds. Needs espeak-ng and soundfile.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

import zoo
from applications.speech import scoring, synthesis
from zoo.data.audio import FrontEnd

FACTORS = (0.8, 0.9, 1.0, 1.1, 1.25)
PARAMETERS = 60_000
BATCH_SIZE, LEARNING_RATE, BATCH_NORM_MOMENTUM = 32, 2e-3, 0.9
SHAPE = (98, 40, 1)
# Frames and bands of the first filter; 8 bands as in Abdel-Hamid et al. 2014.
FRAMES, BANDS = 10, 8


def network(kind: str, width: int, classes: int) -> keras.Model:
    """One of the three networks, with `width` filters in each convolution."""
    over_time = kind == "time"
    first, strides = ((FRAMES, SHAPE[1]), (2, SHAPE[1])) if over_time else ((FRAMES, BANDS), (2, 2))
    x = inputs = keras.Input(SHAPE)
    for index in range(3):
        size = first if index == 0 else (3, 1) if over_time else (3, 3)
        padding = "valid" if over_time and index == 0 else "same"
        x = layers.Conv2D(width, size, strides if index == 0 else 1, padding, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x))
    if kind == "frequency, places kept":
        # Mean over time alone.
        x = layers.Flatten()(layers.AveragePooling2D((x.shape[1], 1))(x))
    else:
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def fitting(kind: str, classes: int, parameters: int = PARAMETERS) -> keras.Model:
    """The widest network of a kind that has at most so many parameters."""
    # The number of parameters is a polynomial of the second degree in the width.
    widths = (10, 20, 30)
    polynomial = np.polyfit(widths, [network(kind, width, classes).count_params() for width in widths], 2)
    square, linear, constant = polynomial
    root = (-linear + np.sqrt(linear**2 - 4 * square * (constant - parameters))) / (2 * square)
    return network(kind, int(root + 1e-6), classes)


KINDS = ("time", "frequency", "frequency, places kept")


def speak(folder: Path, num_voices: int) -> None:
    """`words` to train, with other voices as its test split, and a folder for each factor."""
    names = np.random.default_rng(0).permutation(synthesis.voices()).tolist()
    known, unknown = names[:num_voices], names[num_voices : 2 * num_voices]
    synthesis.synthesise_shifted(folder / "words" / "train", 1.0, known, seed=0)
    synthesis.synthesise_shifted(folder / "words" / "test", 1.0, unknown, seed=1)
    for factor in FACTORS:
        synthesis.synthesise_shifted(folder / f"{factor:g}", factor, known, seed=1)


def learn(kind: str, seed: int, epochs: int, data: zoo.data.Dataset) -> tuple[keras.Model, float]:
    """A trained network, and the seconds that it took."""
    zoo.training.seed_everything(seed)
    model = fitting(kind, len(data.classes))
    batches = data.pipeline(
        "train", batch_size=BATCH_SIZE, training=True, seed=seed, augmentation="timeshift(0.1)+gain(6)"
    )
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * len(batches))
    trainer = zoo.training.Trainer(
        model, optimizer=keras.optimizers.AdamW(rate, weight_decay=0.01), loss="sparse_categorical_crossentropy"
    )
    began = time.process_time()
    trainer.fit(batches, epochs=epochs)
    return model, time.process_time() - began


def answers(model: keras.Model, front_end: FrontEnd) -> Callable[[np.ndarray], np.ndarray]:
    """From sound to classes."""
    return lambda sound: np.concatenate(
        [np.argmax(model(front_end(part), training=False), -1) for part in np.array_split(sound, -(-len(sound) // 64))]
    )


def main(arguments: Sequence[str] | None = None) -> list[dict[str, str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=int, default=12, help="voices to train on, two accents each (default: 12)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of weights and order")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each training (default: 30)")
    parser.add_argument("--folder", type=Path, help="where clips are kept (default: a temporary folder)")
    parser.add_argument("--out", type=Path, help="file for the table, besides the screen")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        speak(folder, options.voices)
        raw = zoo.data.load(f"wav:{folder / 'words'}")
        tested = {f"x {factor:g}": scoring.everything(folder / f"{factor:g}", raw.classes) for factor in FACTORS}
        tested["other voices"] = scoring.clips(raw, "test")
    data = raw.for_model("audio", SHAPE)
    columns = ("network", "parameters", "seconds", *tested)
    lines = [f"| {' | '.join(columns)} |", "| --- |" + " ---: |" * (len(columns) - 1)]
    print("\n".join(lines), flush=True)
    rows = []
    for kind in KINDS:
        found: dict[str, list[float]] = {name: [] for name in tested}
        seconds = []
        for seed in options.seeds:
            model, took = learn(kind, seed, options.epochs, data)
            seconds.append(took)
            for name, accuracy in scoring.table({kind: answers(model, FrontEnd())}, tested)[kind].items():
                found[name].append(accuracy)
        row = {"network": kind, "parameters": f"{model.count_params():,}", "seconds": f"{np.mean(seconds):.0f}"}
        row |= {name: f"{np.mean(own):.3f} ± {np.std(own):.3f}" for name, own in found.items()}
        rows.append(row)
        lines.append(f"| {' | '.join(row[column] for column in columns)} |")
        print(lines[-1], flush=True)
        keras.utils.clear_session()
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
