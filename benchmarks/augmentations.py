"""Contact sheet: each augmentation beside what Pillow makes of the same photograph, with the largest difference.

    python benchmarks/augmentations.py docs/augmentations.png

The left picture of a pair is ours, the right one Pillow's. Policies and random steps, which have no counterpart there,
follow below, eight pictures each.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_image

import zoo
from zoo.data.augmentation import ops
from zoo.data.augmentation.seeds import example_seed

SIDE, GAP, TEXT, PAIRS = 96, 6, 14, 4
GEOMETRIC = (("shear_x", 0.3), ("shear_y", 0.3), ("translate_x", 20), ("translate_y", 20), ("rotate", 30))
POLICIES = ("trivialaugment", "randaugment", "autoaugment(imagenet)", "jitter(0.4, 0.4, 0.4, 0.1)", "lighting",
            "erase(1.0)", "cutout(32)", "shift(12)+flip")  # fmt: skip


def solarize_add(picture: Image.Image, number: float) -> Image.Image:
    table = [min(255, value + int(number)) if value < 128 else value for value in range(256)]
    return picture.point(table * 3)


def turn_hue(picture: Image.Image, number: float) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue).astype(int) + int(number * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(turned.astype("uint8")), saturation, value)).convert("RGB")


OPERATIONS = {
    "invert": (0, lambda p, _: ImageOps.invert(p)),
    "posterize": (2, lambda p, n: ImageOps.posterize(p, int(n))),
    "solarize": (110, ImageOps.solarize),
    "solarize_add": (80, solarize_add),
    "auto_contrast": (0, lambda p, _: ImageOps.autocontrast(p)),
    "equalize": (0, lambda p, _: ImageOps.equalize(p)),
    "brightness": (1.6, lambda p, n: ImageEnhance.Brightness(p).enhance(n)),
    "color": (0.1, lambda p, n: ImageEnhance.Color(p).enhance(n)),
    "contrast": (1.9, lambda p, n: ImageEnhance.Contrast(p).enhance(n)),
    "sharpness": (1.9, lambda p, n: ImageEnhance.Sharpness(p).enhance(n)),
    "hue": (0.3, turn_hue),
}


def pairs(picture: Image.Image) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, ours and Pillow's of every operation."""
    pixels, found = tf.constant(np.asarray(picture)), []
    for name, (number, pillow) in OPERATIONS.items():
        ours = getattr(ops, name)(pixels, tf.constant(number, tf.float64)).numpy()
        found.append((f"{name} {number:g}" if number else name, ours, np.asarray(pillow(picture, number))))
    for interpolation in ("nearest", "bilinear"):
        filter_ = Image.Resampling[interpolation.upper()]
        for name, number in GEOMETRIC:
            numbers = ops.coefficients(name, number, picture.height, picture.width)
            ours = ops.affine(pixels, tf.constant(numbers, tf.float64), interpolation).numpy()
            if name == "rotate":
                theirs = picture.rotate(number, filter_)
            else:
                theirs = picture.transform(picture.size, Image.Transform.AFFINE, numbers, filter_)
            found.append((f"{name} {number:g} {interpolation}", ours, np.asarray(theirs)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="PNG file to write")
    arguments = parser.parse_args()
    photograph = Image.fromarray(load_sample_image("china.jpg")).crop((60, 40, 400, 380)).resize((SIDE, SIDE))
    found = pairs(photograph)
    cell = 2 * SIDE + 2 + GAP
    rows = -(-len(found) // PAIRS)
    width = PAIRS * cell + GAP
    step = width // 8
    height = (rows + len(POLICIES)) * (SIDE + TEXT + GAP) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, ours, theirs) in enumerate(found):
        x, y = GAP + number % PAIRS * cell, GAP + number // PAIRS * (SIDE + TEXT + GAP)
        difference = np.abs(ours.astype(int) - theirs).max()
        draw.text((x, y), f"{name}: {difference}", "black")
        sheet.paste(Image.fromarray(ours), (x, y + TEXT))
        sheet.paste(Image.fromarray(theirs), (x + SIDE + 2, y + TEXT))
        print(f"{name:<26} largest difference {difference}")
    pixels = tf.constant(np.asarray(photograph))
    for row, text in enumerate(POLICIES):
        y = GAP + (rows + row) * (SIDE + TEXT + GAP)
        draw.text((GAP, y), text, "black")
        augmentation = zoo.data.Augmentation.parse(text)
        for column in range(8):
            seed = example_seed(1, tf.constant(0, tf.int64), tf.constant(column, tf.int64))
            sheet.paste(Image.fromarray(augmentation.apply(pixels, seed).numpy()), (GAP + column * step, y + TEXT))
    sheet.quantize(128).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
