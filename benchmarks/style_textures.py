"""Does a painted picture have the texture of its style? Judged by what knows nothing of the networks.

    python benchmarks/style_textures.py
    python benchmarks/style_textures.py --side 64 --iterations 60

Weights of ImageNet make style transfer look right. Where there are none, a network of the zoo that was trained to tell
brick, grass and gravel apart is the body, and beside it the same network with random filters. A part of a photograph is
painted in the manner of each texture by `zoo style`. The judge is a logistic regression on local binary patterns
(Ojala, Pietikäinen, Mäenpää, 2002) of the photographs' left halves; styles come from their right halves. The columns
are the probability of the style's texture that it gives, the mean over patches of 32 x 32 pixels; the loss of the style
before and after; and the correlation of the painted picture with the photograph, both blurred.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

TEXTURES = ("brick", "grass", "gravel")
PATCH = 32

# VGG in small: its maps are compared at three sizes.
ROWS = [
    ["conv", 16, 3], ["conv", 16, 3], ["max_pool"], ["conv", 32, 3], ["conv", 32, 3], ["max_pool"], ["conv", 64, 3],
    ["conv", 64, 3],
]  # fmt: skip


def halves(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Left and right half of a photographed texture, (height, width) uint8."""
    from skimage import data

    photograph = getattr(data, name)()
    return photograph[:, : photograph.shape[1] // 2], photograph[:, photograph.shape[1] // 2 :]


def patterns(patch: np.ndarray) -> np.ndarray:
    """How often each of 59 local binary patterns occurs in a patch."""
    from skimage.feature import local_binary_pattern

    found = local_binary_pattern(patch, 8, 1, method="nri_uniform")
    return np.bincount(found.astype(int).ravel(), minlength=59)[:59] / found.size


def patches(picture: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Parts of a picture by lot."""
    places = [rng.integers(side - PATCH + 1, size=count) for side in picture.shape]
    return [picture[top : top + PATCH, left : left + PATCH] for top, left in zip(*places, strict=True)]


def judge(rng: np.random.Generator, count: int = 300):
    """A classifier of the textures, from a patch's patterns to three probabilities."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = [patterns(patch) for name in TEXTURES for patch in patches(halves(name)[0], count, rng)]
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        x, np.repeat(range(len(TEXTURES)), count)
    )


def trained(folder: Path, rng: np.random.Generator, epochs: int, count: int = 200) -> str:
    """A run of `zoo train` that tells the left halves apart."""
    from PIL import Image

    from zoo.cli import main

    for name in TEXTURES:
        (folder / "data" / name).mkdir(parents=True)
        for number, patch in enumerate(patches(halves(name)[0], count, rng)):
            Image.fromarray(np.repeat(patch[..., None], 3, 2)).save(folder / "data" / name / f"{number:04d}.png")
    words = [
        "train",
        "plain_cnn",
        "--set",
        f"rows={ROWS}",
        "--data",
        f"folder:{folder / 'data'}",
        "--image-size",
        str(PATCH),
        "--epochs",
        str(epochs),
    ]
    assert main([*words, "--out", str(folder / "run")]) == 0
    return str(folder / "run")


def at_random(body):
    """The same network with filters by lot."""
    import keras

    for number, layer in enumerate(body.maps.layers):
        if layer.name != "grey" and layer.weights:
            kernel, bias = layer.get_weights()
            drawn = keras.initializers.HeNormal(seed=number)(kernel.shape)
            layer.set_weights([keras.ops.convert_to_numpy(drawn), np.zeros_like(bias)])
    return body


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two pictures (height, width) that were blurred."""
    from scipy.ndimage import gaussian_filter

    return float(np.corrcoef(*(gaussian_filter(x.astype(float), 4).ravel() for x in (one, other)))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=96, help="of the painted picture in pixels")
    parser.add_argument("--iterations", type=int, default=100, help="of L-BFGS")
    parser.add_argument("--style-weight", type=float, default=1000.0, help="of the Gram matrices")
    parser.add_argument("--start", default="content", help="content or noise")
    parser.add_argument("--epochs", type=int, default=6, help="of the body's training")
    parser.add_argument("--sheet", type=Path, help="PNG file to draw all pictures into")
    arguments = parser.parse_args()

    from skimage import data

    from applications.style import body as bodies
    from applications.style import gatys
    from applications.style.config import Transfer

    rng = np.random.default_rng(0)
    classifier = judge(rng)
    photograph = data.camera()[80 : 80 + 2 * arguments.side : 2, 170 : 170 + 2 * arguments.side : 2]
    config = Transfer(iterations=arguments.iterations, style_weight=arguments.style_weight, start=arguments.start)

    def likeness(picture: np.ndarray, texture: int) -> float:
        few = patches(picture, 60, np.random.default_rng(1))
        return float(classifier.predict_proba([patterns(patch) for patch in few])[:, texture].mean())

    def coloured(grey: np.ndarray) -> np.ndarray:
        return np.repeat(grey[..., None], 3, 2)

    rows = []
    print("| style | body | probability of the style's texture | style loss | correlation with the photograph |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        run = trained(Path(temporary), rng, arguments.epochs)
        opened = {"random filters": at_random(bodies.open_body(run)), "trained on textures": bodies.open_body(run)}
        for texture, name in enumerate(TEXTURES):
            style = halves(name)[1][100 : 100 + arguments.side, 60 : 60 + arguments.side]
            print(f"| {name} | none: the photograph | {likeness(photograph, texture):.2f} | | 1.00 |")
            line = [coloured(photograph)]
            for label, body in opened.items():
                objective = gatys.Objective(coloured(photograph), coloured(style), body, config)
                before = objective.parts(coloured(photograph).ravel() / 255)["style"]
                painting = gatys.paint(coloured(photograph), coloured(style), body, config)
                grey = np.rint(painting.picture.mean(-1)).astype(np.uint8)
                print(
                    f"| {name} | {label} | {likeness(grey, texture):.2f} "
                    f"| {before:.3f} to {painting.parts['style']:.4f} "
                    f"| {correlation(grey, photograph):.2f} |",
                    flush=True,
                )
                line.append(painting.picture)
            print(f"| {name} | none: the style itself | {likeness(style, texture):.2f} | | |", flush=True)
            rows.append(np.concatenate([*line, coloured(style)], axis=1))
    if arguments.sheet is not None:
        from PIL import Image

        Image.fromarray(np.concatenate(rows)).resize((8 * arguments.side, 6 * arguments.side)).save(arguments.sheet)


if __name__ == "__main__":
    main()
