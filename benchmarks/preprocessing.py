"""Preprocessing, images/s: ours in tf.data and eagerly, beside Pillow and the transforms that it equals.

    python benchmarks/preprocessing.py
    python benchmarks/preprocessing.py --peer torchvision     # or timm; the extra packages must be installed

A decoded photograph of scikit-learn (427x640) and the same enlarged to 1281x1920 are resized to 256, cropped to 224 and
normalised, one by one. Each number is the median of several rounds, which alternate between the ways. Processor time is
that of all threads together: it says what the ways cost where other work runs beside them.
"""

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image

from zoo.weights import Preprocessing

MEAN, STD = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))


def pillow(interpolation: str) -> Callable[[Image.Image], np.ndarray]:
    """The same by hand: Pillow and numpy."""
    filter_ = Image.Resampling[interpolation.upper()]

    def run(picture: Image.Image) -> np.ndarray:
        factor = 256 / min(picture.size)
        size = (int(picture.width * factor), int(picture.height * factor))
        left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
        small = picture.resize(size, filter_).crop((left, top, left + 224, top + 224))
        return (np.asarray(small, np.float32) / 255 - MEAN) / STD

    return run


def peer(name: str, interpolation: str) -> Callable[[Image.Image], object]:
    """The eval transform of torchvision or timm."""
    import torch

    torch.set_num_threads(1)  # as in the workers of a torch DataLoader
    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        # Without its compiled operators, which no transform needs, it imports once their names are declared.
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    if name == "timm":
        from timm.data import create_transform

        return create_transform(224, interpolation=interpolation)
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    return ImageClassification(crop_size=224, interpolation=InterpolationMode(interpolation))


def in_tf_data(picture: np.ndarray, transform: Callable, count: int, workers: int) -> Callable[[], None]:
    """`count` times the same picture through `dataset.map`; the dataset is made once."""
    pictures = tf.data.Dataset.from_tensors(picture).repeat(count)
    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    dataset = pictures.map(transform, num_parallel_calls=workers).with_options(options)

    def run() -> None:
        for _ in dataset:
            pass

    return run


def in_a_loop(picture: object, transform: Callable, count: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(count):
            transform(picture)

    return run


def tf_image(method: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """What is at hand in TensorFlow; antialiased, but not what Pillow does."""

    def run(picture: tf.Tensor) -> tf.Tensor:
        height, width = picture.shape[:2]
        size = (256, int(256 * width / height))
        x = tf.image.resize(picture, size, method=method, antialias=True)
        left = round((size[1] - 224) / 2)
        return (x[16:240, left : left + 224] / 255 - MEAN) / STD

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=["torchvision", "timm"], help="whose transform is measured too")
    parser.add_argument("--count", type=int, default=40, help="pictures in a round (default: 40)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, of which the median counts (default: 7)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads of tf.data (default: all cores)")
    arguments = parser.parse_args()
    count, workers = arguments.count, arguments.workers
    photograph = load_sample_image("china.jpg")
    print(f"{os.cpu_count()} cores; images/s, median of {arguments.rounds} rounds of {count}; "
          f"difference from Pillow in levels of 255")  # fmt: skip
    print(f"{'picture':<12}{'filter':<10}{'way':<36}{'images/s':>9}{'CPU ms':>8}{'difference':>12}")
    for factor in (1, 3):
        size = (640 * factor, 427 * factor)
        image = Image.fromarray(photograph).resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
        for interpolation in ("bilinear", "bicubic"):
            ours = Preprocessing(interpolation=interpolation)
            reference = pillow(interpolation)
            ways: dict[str, tuple[Callable[[], None], object]] = {
                f"zoo, tf.data, {workers} threads": (in_tf_data(pixels, ours, count, workers), ours(pixels)),
                "zoo, tf.data, 1 thread": (in_tf_data(pixels, ours, count, 1), ours(pixels)),
                "zoo, eager": (in_a_loop(pixels, ours, count), ours(pixels)),
                "Pillow and numpy": (in_a_loop(image, reference, count), reference(image)),
                f"tf.image.resize, tf.data, {workers} threads": (
                    in_tf_data(pixels, tf_image(interpolation), count, workers),
                    tf_image(interpolation)(tf.constant(pixels)),
                ),
            }
            if arguments.peer:
                transform = peer(arguments.peer, interpolation)
                answer = np.asarray(transform(image)).transpose(1, 2, 0)
                ways[arguments.peer] = (in_a_loop(image, transform, count), answer)
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            busy: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(arguments.rounds + 1):
                for way, (run, _) in ways.items():
                    began, work = time.perf_counter(), time.process_time()
                    run()
                    if number:  # the first round traces and warms up
                        seconds[way].append(time.perf_counter() - began)
                        busy[way].append(time.process_time() - work)
            for way, (_, answer) in ways.items():
                levels = 255 * np.abs((np.asarray(answer) - reference(image)) * STD).max()
                rate = count / statistics.median(seconds[way])
                cost = 1000 * statistics.median(busy[way]) / count
                name = f"{size[1]}x{size[0]}"
                print(f"{name:<12}{interpolation:<10}{way:<36}{rate:>9.0f}{cost:>8.1f}{levels:>12.2f}")


if __name__ == "__main__":
    main()
