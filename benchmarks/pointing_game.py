"""Do maps point at what they explain? Digits on textures, where it is known where the digit lies.

    python benchmarks/pointing_game.py
    python benchmarks/pointing_game.py --scenes 100 --seed 1

A small network learns to name a digit that lies anywhere on a texture; digits and textures of the test are others than
those of the training. Each method draws a map for the true class of each test scene that is named rightly. A hit is a
map whose strongest pixel lies on the digit (J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", 2016,
https://arxiv.org/abs/1608.00507), with a tolerance of two pixels, as the last map has a value for 4 x 4 pixels. Two
baselines know nothing: the centre of the scene, and a pixel drawn by lot.

The last column is the rank correlation of a method's maps with those of the network after a fifth of its layers, from
the output on, was lost (J. Adebayo et al., "Sanity Checks for Saliency Maps", 2018, https://arxiv.org/abs/1810.03292):
near 1 the map does not depend on what these layers have learned.
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SIDE, DIGIT, TOLERANCE = 32, 12, 2

# Scenes for which a map is drawn twice, and occlusion, which runs the network for hundreds of covered pictures.
FEW = 8


def scenes(count: int, *, training: bool, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digits somewhere on textures.

    Returns:
        Scenes (count, 32, 32, 1) float32, labels (count,), and the first row and column of each digit (count, 2).
    """
    from scipy import ndimage
    from sklearn.datasets import load_digits

    digits = load_digits()
    half = slice(0, 1200) if training else slice(1200, None)
    images, labels = digits.images[half] / 16, digits.target[half]
    rng = np.random.default_rng([seed, training])
    x, corners = np.empty((count, SIDE, SIDE, 1), np.float32), rng.integers(0, SIDE - DIGIT + 1, (count, 2))
    chosen = rng.integers(len(images), size=count)
    for scene, index, (row, column) in zip(x, chosen, corners, strict=True):
        texture = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(0.5, 2))
        scene[..., 0] = 0.35 + 0.12 * texture / texture.std()
        place = scene[row : row + DIGIT, column : column + DIGIT, 0]
        np.maximum(place, ndimage.zoom(images[index], DIGIT / 8, order=1), out=place)
    return x, labels[chosen], corners


def train(count: int, epochs: int, seed: int) -> Any:
    """A network of four convolutions, batch normalisation and a pooled linear head."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((SIDE, SIDE, 1))
    for filters, strides in ((16, 1), (32, 2), (48, 2), (64, 1)):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(*scenes(count, training=True, seed=seed)[:2], batch_size=64, epochs=epochs, verbose=0)
    return model


def hits(points: np.ndarray, corners: np.ndarray) -> float:
    """Part of the points (count, 2) that lie on their digit."""
    inside = (points >= corners - TOLERANCE) & (points < corners + DIGIT + TOLERANCE)
    return float(inside.all(axis=1).mean())


def strongest(map_: np.ndarray) -> tuple[int, int]:
    """Row and column of the strongest pixel; of maps with a sign, what speaks for the class."""
    from applications.visualize.attribution import enlarged

    values = map_.sum(axis=-1) if map_.ndim == 3 else map_
    if values.shape != (SIDE, SIDE):
        values = enlarged(values, (SIDE, SIDE))
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return int(row), int(column)


def methods(network: Any) -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    """What draws a map of a scene for a class."""
    from applications.visualize import attribution as by

    return {
        "Grad-CAM": functools.partial(by.grad_cam, network),
        "Grad-CAM++": functools.partial(by.grad_cam_plus_plus, network),
        "occlusion": functools.partial(by.occlusion, network, size=8, step=4, fill=0.35),
        "saliency": functools.partial(by.saliency, network),
        "SmoothGrad": functools.partial(by.smooth_gradient, network, samples=16),
        "integrated gradients": functools.partial(by.integrated_gradients, network, baseline=0.35, steps=16),
        "guided backpropagation": functools.partial(by.guided_backpropagation, network),
        "deconvolution": functools.partial(by.deconvolution, network),
    }


def alike(network: Any, draw: Callable[[np.ndarray, int], np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    """Mean rank correlation of maps with those of a network that has lost the last fifth of its layers."""
    from applications.visualize.randomisation import cascade

    found = [
        cascade(network, {"map": functools.partial(draw, one, int(label))}, stages=5)["map"][1]
        for one, label in zip(x[:FEW], y[:FEW], strict=True)
    ]
    return float(np.mean(found))


def main(argv: Sequence[str] | None = None) -> dict[str, tuple[float, float]]:
    """Print the table; returns the hits and the likeness of each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=300, help="test scenes (default: 300)")
    parser.add_argument("--training-scenes", type=int, default=4000, help="training scenes (default: 4000)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of scenes and weights (default: 0)")
    arguments = parser.parse_args(argv)
    if min(arguments.scenes, arguments.training_scenes, arguments.epochs) < 1:
        parser.error("scenes, training scenes and epochs must be at least 1")

    from applications.visualize.network import Network

    network = Network(train(arguments.training_scenes, arguments.epochs, arguments.seed))
    x, y, corners = scenes(arguments.scenes, training=False, seed=arguments.seed)
    right = network.scores(x).argmax(axis=1) == y
    x, y, corners = x[right], y[right], corners[right]
    print(f"{len(x)} of {arguments.scenes} scenes named rightly, {100 * right.mean():.1f} %")
    print("| method | hits % | alike after losing the last fifth |")
    print("| --- | ---: | ---: |")
    rng = np.random.default_rng(arguments.seed)
    found = {
        "centre": (hits(np.full((len(x), 2), SIDE // 2), corners), float("nan")),
        "by lot": (hits(rng.integers(0, SIDE, (len(x), 2)), corners), float("nan")),
    }
    for name, draw in methods(network).items():
        points = np.array([strongest(draw(one, int(label))) for one, label in zip(x, y, strict=True)])
        found[name] = (hits(points, corners), alike(network, draw, x, y))
    for name, (share, likeness) in found.items():
        print(f"| {name} | {100 * share:.1f} | {'' if np.isnan(likeness) else f'{likeness:.2f}'} |")
    return found


if __name__ == "__main__":
    main()
