"""Taking the noise off electrocardiograms: training, and the comparison with filters."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from applications.signals import filters
from applications.signals.config import Denoising
from zoo import training
from zoo.data.signals import add_noise, make_ecg, signal_to_noise
from zoo.training.seeds import seed_everything

RESULT, MODEL = "result.json", "denoiser.keras"

# Seeds of recordings and of noise never meet: for each seed of an experiment, each kind has so many of its own. Kind 0
# are the recordings, the others noise for several uses.
_KIND, _NUM_KINDS = 1_000_000, 5


@dataclasses.dataclass(frozen=True)
class Recordings:
    """Recordings with and without noise.

    Attributes:
        clean: (recordings, samples) float32.
        noisy: The same with noise.
    """

    clean: np.ndarray
    noisy: np.ndarray


def record(
    patients: range, config: Denoising, decibels: Callable[[int], float], *, draws: int = 1, kind: int
) -> Recordings:
    """Recordings of patients, with noise.

    Args:
        patients: Their numbers; no two splits share one.
        config: The experiment.
        decibels: From the number of a recording to the ratio of signal and noise.
        draws: Times that each patient's recording gets other noise.
        kind: What the noise is for, 1 to 4, so that no two uses share it.

    Returns:
        As many recordings as patients times draws.
    """
    recordings, noise = ((config.seed * _NUM_KINDS + own) * _KIND for own in (0, kind))
    clean = [make_ecg(config.seconds, seed=recordings + patient) for patient in patients]
    pairs = [(signal, index * draws + draw) for index, signal in enumerate(clean) for draw in range(draws)]
    noisy = [add_noise(signal, decibels(number), seed=noise + number) for signal, number in pairs]
    return Recordings(np.stack([signal for signal, _ in pairs]), np.stack(noisy))


def windows(recordings: Recordings, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of recordings, both scaled by the deviation of the noisy recording.

    Args:
        recordings: The recordings.
        length: Samples of a piece; what is left over at the end is not used.

    Returns:
        Noisy and clean pieces, (pieces, length, 1) float32 each.
    """
    scale = recordings.noisy.std(1, keepdims=True)
    count = recordings.noisy.shape[1] // length
    noisy, clean = (
        (values / scale)[:, : count * length].reshape(-1, length, 1) for values in (recordings.noisy, recordings.clean)
    )
    return noisy, clean


def denoise(model: keras.Model, signal: np.ndarray) -> np.ndarray:
    """A signal of any length without its noise.

    Args:
        model: A denoiser that takes any length.
        signal: (samples,).

    Returns:
        (samples,) float32, on the scale of the signal.
    """
    scale = float(np.std(signal)) or 1.0
    return scale * np.asarray(model(signal[None, :, None] / np.float32(scale), training=False))[0, :, 0]


def train(config: Denoising, **knobs: Any) -> keras.Model:
    """A denoiser, trained.

    Args:
        config: The experiment.
        **knobs: Those of `dilated_denoiser`, such as dilation="none".

    Returns:
        A model that takes signals of any length, (batch, samples, 1) of deviation 1.
    """
    seed_everything(config.seed)
    rng = np.random.default_rng(config.seed)
    num_train, num_validation, _ = config.recordings
    low, high = config.decibels
    ratios = rng.uniform(low, high, num_train * config.draws)
    recordings = record(range(num_train), config, lambda number: ratios[number], draws=config.draws, kind=1)
    noisy, clean = windows(recordings, config.window)
    batches = tf.data.Dataset.from_tensor_slices((noisy, clean)).shuffle(len(noisy), seed=config.seed)
    patients = range(num_train, num_train + num_validation)
    held_out = windows(record(patients, config, lambda _: 6.0, kind=2), config.window)
    validation = tf.data.Dataset.from_tensor_slices(held_out).batch(config.batch_size)
    model = zoo.create_model("dilated_denoiser", input_shape=(config.window, 1), **knobs)
    steps = -(-len(noisy) // config.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * steps)
    trainer = training.Trainer(
        model, optimizer=keras.optimizers.Adam(rate, clipnorm=1.0), loss="mean_squared_error", metrics=()
    )
    with training.ProgressBar(config.batch_size) as progress:
        trainer.fit(batches.batch(config.batch_size), epochs=config.epochs, validation=validation, callbacks=[progress])
    whole = zoo.create_model("dilated_denoiser", input_shape=(None, 1), **knobs)
    whole.set_weights(model.get_weights())
    return whole


def compare(config: Denoising, folder: Path | None = None) -> dict[str, dict[str, float]]:
    """Train denoisers and measure them, and filters, on recordings of other patients.

    Args:
        config: The experiment.
        folder: Where the dilated network, the result and a figure are written; None for nowhere.

    Returns:
        For each method the mean ratio of signal and noise behind it, in decibels, for each ratio before it.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    num_train, num_validation, num_test = config.recordings
    fitted = record(range(num_train), config, lambda number: config.tested[number % len(config.tested)], kind=3)
    clean, noisy = list(fitted.clean), list(fitted.noisy)
    methods: dict[str, filters.Filter] = {
        "none": lambda signal: signal,
        "average": filters.best(map(filters.average, range(1, 30, 2)), clean, noisy),
        "Savitzky-Golay": filters.best(
            [filters.savitzky_golay(width, degree) for width in range(5, 40, 4) for degree in (2, 3)], clean, noisy
        ),
        f"learned filter of {filters.TAPS} taps": filters.learned(clean, noisy),
    }
    seconds = {}
    for name, dilation in (("network without dilation", "none"), ("dilated_denoiser", "doubling")):
        began = time.monotonic()
        model = train(config, dilation=dilation)
        seconds[name] = round(time.monotonic() - began, 1)
        methods[name] = lambda signal, model=model: denoise(model, signal)  # type: ignore[misc]
    patients = range(num_train + num_validation, num_train + num_validation + num_test)
    scores: dict[str, dict[str, float]] = {name: {} for name in methods}
    for decibels in config.tested:
        tested = record(patients, config, lambda _, decibels=decibels: decibels, kind=4)  # type: ignore[misc]
        for name, method in methods.items():
            found = [signal_to_noise(want, method(have)) for want, have in zip(tested.clean, tested.noisy, strict=True)]
            scores[name][f"{decibels:g}"] = round(float(np.mean(found)), 2)
    if folder is not None:
        model.save(folder / MODEL)
        facts = {"config": dataclasses.asdict(config), "decibels": scores, "seconds": seconds}
        (folder / RESULT).write_text(json.dumps(facts, indent=2), encoding="utf-8")
        draw(record(patients[:1], config, lambda _: 6.0, kind=4), methods, folder / "before_and_after.png")
    return scores


def draw(recordings: Recordings, methods: dict[str, filters.Filter], path: Path) -> None:
    """Three seconds of a recording, before and behind each method.

    Args:
        recordings: The first of them is drawn.
        methods: The methods by name.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.6 * len(methods)), layout="constrained")
    axes = figure.subplots(len(methods), sharex=True, sharey=True)
    piece = slice(500, 1250)
    moments = np.arange(750) / 250
    for axis, (name, method) in zip(axes, methods.items(), strict=True):
        axis.plot(moments, recordings.clean[0, piece], color="0.7", linewidth=3, label="clean")
        axis.plot(moments, method(recordings.noisy[0])[piece], color="tab:blue", linewidth=1)
        axis.set_title(name, loc="left", fontsize=9)
    axes[-1].set_xlabel("seconds")
    figure.savefig(path, dpi=100)
