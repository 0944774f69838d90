"""What each level of a network knows, found by linear probes.

Two questions are put to the features of each level, with the same means: which class is it (logistic regression), and
what did the picture look like (ridge regression of the pixels)? Close to the input features are more about the data,
close to the output more about the task. The same questions to a network without training tell what is due to the
graph alone. Alain, Bengio, "Understanding Intermediate Layers Using Linear Classifier Probes", 2016,
https://arxiv.org/abs/1610.01644.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from applications.visualize.config import PROBES, Probes
from applications.visualize.network import Call, Network
from zoo import runs


@dataclass(frozen=True)
class Level:
    """What the probes found at a level, on test examples.

    Attributes:
        name: Path of the level; "pixels" for the input.
        features: Numbers of the feature map.
        picture: Part of the variance of the pixels that was rebuilt, at most 1.
        task: Accuracy, 0 to 1.
        picture_untrained: As `picture`, for a network without training.
        task_untrained: As `task`, likewise.
    """

    name: str
    features: int
    picture: float
    task: float
    picture_untrained: float
    task_untrained: float


def probe(run: runs.Run, config: Probes = PROBES) -> list[Level]:
    """Probe the pixels and each level of a run's network.

    Args:
        run: A run on pictures.
        config: Sizes.

    Returns:
        The levels, from the input to the output.

    Raises:
        ValueError: The run is not on pictures.
    """
    if "form" in run.config["data"]:
        raise ValueError(f"{run.folder} was not trained on pictures. Received: data {run.config['data']['name']!r}")
    known = [_examples(run, split, config) for split in ("train", "test")]
    trained = Network(run.model, known[0][0].shape[1:])
    keras.utils.set_random_seed(config.seed)
    untrained = Network(keras.models.clone_model(run.model), known[0][0].shape[1:])  # a clone has weights of its own
    names = [call.path for call in _levels(trained)]
    both = [list(_features(network, known, names, config.grid)) for network in (trained, untrained)]
    rows = []
    for name, own, other in zip(("pixels", *names), *both, strict=True):
        found = [_ask(features, known, config) for features in (own[1], other[1])]
        rows.append(Level(name, own[0], *found[0], *found[1]))
    return rows


def markdown(rows: Sequence[Level]) -> str:
    """The levels as a table."""
    lines = [
        "| level | features | picture rebuilt | class found | untrained: picture | untrained: class |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.name} | {row.features:,} | {row.picture:.3f} | {row.task:.3f} "
        f"| {row.picture_untrained:.3f} | {row.task_untrained:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def _levels(network: Network) -> list[Call]:
    """Feature maps of each size, and what stands behind them: pooled, hidden, scores."""
    maps = network.levels
    behind = network.calls[network.calls.index(maps[-1]) + 1 :]
    vectors: dict[int | None, Call] = {}
    for call in behind:
        if len(call.shape) == 1 and not isinstance(call.layer, keras.layers.Flatten):
            vectors[call.shape[0]] = call
    return [*maps, *vectors.values()]


def _examples(run: runs.Run, split: str, config: Probes) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels, drawn by lot from the whole split where there are too many."""
    too_many = run.pipeline(split).num_examples > config.examples
    batches = run.pipeline(split, training=too_many, seed=config.seed)
    pictures, labels = [], []
    for some, classes in batches.epoch():
        pictures.append(some.numpy())
        labels.append(classes.numpy())
        if sum(map(len, labels)) >= config.examples:
            break
    every = np.concatenate(pictures), np.concatenate(labels)
    chosen = np.random.default_rng(config.seed).permutation(len(every[1]))[: config.examples]
    return every[0][chosen], every[1][chosen]


def _features(
    network: Network, known: Sequence[tuple[np.ndarray, np.ndarray]], names: Sequence[str], grid: int
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """(number of features, those of the training and of the test examples) of pixels and levels."""
    yield int(np.prod(known[0][0].shape[1:])), [_flat(pictures, grid) for pictures, _ in known]
    sizes = {call.path: math.prod(size or 1 for size in call.shape) for call in _levels(network)}
    parts: list[dict[str, list[np.ndarray]]] = [{name: [] for name in names} for _ in known]
    for part, (pictures, _) in zip(parts, known, strict=True):
        for start in range(0, len(pictures), 64):
            taken = network.run(pictures[start : start + 64], take=names, scores=False).taken
            for name in names:
                part[name].append(_flat(np.asarray(taken[name], np.float32), grid))
    for name in names:
        yield sizes[name], [np.concatenate(part[name]) for part in parts]


def _flat(maps: np.ndarray, grid: int) -> np.ndarray:
    """(examples, features), the maps averaged to at most `grid` rows and columns."""
    for axis in range(1, maps.ndim - 1):
        count = maps.shape[axis]
        if count > grid:
            edges = np.linspace(0, count, grid + 1).round().astype(int)[:-1]
            sizes = np.diff([*edges, count])
            sums = np.add.reduceat(maps, edges, axis=axis)
            maps = sums / sizes.reshape([-1 if place == axis else 1 for place in range(maps.ndim)])
    return maps.reshape(len(maps), -1)


def _ask(
    features: list[np.ndarray], known: Sequence[tuple[np.ndarray, np.ndarray]], config: Probes
) -> tuple[float, float]:
    """(part of the picture rebuilt, part of the classes found), on test examples."""
    train, test = features
    count = min(config.components, *train.shape)
    body = make_pipeline(StandardScaler(), PCA(count, random_state=config.seed)).fit(train)
    train, test = body.transform(train), body.transform(test)
    scale = float(train.std()) or 1.0
    train, test = train / scale, test / scale
    wanted = [_pixels(pictures, config.pixels) for pictures, _ in known]
    ridge = Ridge(alpha=config.regularisation).fit(train, wanted[0])
    rebuilt = float(r2_score(wanted[1], ridge.predict(test), multioutput="variance_weighted"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 1,000 steps decide no label differently
        classifier = LogisticRegression(C=1 / config.regularisation, max_iter=1000).fit(train, known[0][1])
    return rebuilt, float(classifier.score(test, known[1][1]))


def _pixels(pictures: np.ndarray, side: int) -> np.ndarray:
    """(examples, pixels) of the pictures at a small size."""
    small = keras.ops.image.resize(pictures, (side, side), antialias=True, data_format="channels_last")
    return np.asarray(small, np.float32).reshape(len(pictures), -1)
