"""JPEG files to ready batches, images/s on one core: ours beside the bare decoders, Keras's layers and other loaders.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --peer torchvision --peer timm      # the extra packages must be installed

A folder of JPEG files, 500x375, quality 90, cut from scikit-learn's photographs, becomes batches of 224x224. The first
table reads, decodes and resizes, with and without augmentation; the second only augments pictures that are decoded.
Rates are pictures divided by processor seconds of the process, the best of several rounds, in which the ways take
turns; the process is bound to one core, so that no library has helpers elsewhere.
"""

import argparse
import importlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import zoo
import zoo.data.dataset
from zoo.data.augmentation.seeds import example_seed

SIZE, BATCH = 224, 32
CLASSES = ("a", "b")
AUGMENTATIONS = ("flip", "trivialaugment", "randaugment", "autoaugment(imagenet)", "erase(1.0)")

Way = Callable[[], int]


def make_folder(root: Path, count: int) -> list[Path]:
    """So many pictures, cut out at random places, in two classes."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    paths = []
    for index in range(count):
        path = root / CLASSES[index % 2] / f"{index:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        left, top = rng.integers(0, 140), rng.integers(0, 52)
        photographs[index % 2].crop((left, top, left + 500, top + 375)).save(path, quality=90)
        paths.append(path)
    return paths


def with_pillow(paths: list[Path]) -> Way:
    def run() -> int:
        for path in paths:
            np.asarray(Image.open(io.BytesIO(path.read_bytes())).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        return len(paths)

    return run


def with_tensorflow(paths: list[Path], antialias: bool) -> Way:
    def decode(path: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(path)), (SIZE, SIZE), antialias=antialias)

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).map(decode).batch(BATCH)
    return lambda: drain(files)


def ours(data: zoo.data.Dataset, augmentation: str | None, **options: object) -> Way:
    pipeline = data.pipeline(
        "train", batch_size=BATCH, image_size=(SIZE, SIZE), training=augmentation is not None,
        augmentation=augmentation, **options,
    )  # fmt: skip
    return lambda: drain(pipeline.epoch(0))


def drain(batches: Iterable) -> int:
    """Take all batches; the number of pictures."""
    count = 0
    for batch in batches:
        count += len(batch[0] if isinstance(batch, tuple | list) else batch)
    return count


def torch_loader(root: Path, transform: Callable) -> Way:
    import torch
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(1)  # as in the workers of a DataLoader
    loader = torch.utils.data.DataLoader(ImageFolder(str(root), transform), batch_size=BATCH)
    return lambda: drain(loader)


def import_torchvision() -> object:
    """Its transforms; without its compiled operators it imports once their names are declared."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        return importlib.import_module("torchvision.transforms")
    except RuntimeError:
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision.transforms")


def loaders(root: Path, paths: list[Path], peers: list[str]) -> dict[str, Way]:
    """From files to batches."""
    data = zoo.data.load(f"folder:{root}")
    train = [root / data.example_name("train", index) for index in range(data.num_examples["train"])]
    ways: dict[str, Way] = {"held in memory": ours(data, None)}
    zoo.data.dataset.CACHE_BYTES = 0  # from here on pictures are decoded each time
    ways = {
        "limit: Pillow, decode and resize, bare loop": with_pillow(train),
        "limit: TensorFlow, decode and resize, antialias": with_tensorflow(train, True),
        "limit: TensorFlow, decode and resize, no antialias": with_tensorflow(train, False),
        "zoo, decode and resize": ours(data, None),
        "zoo, held in memory from the first epoch on": ways["held in memory"],
        "zoo, crop+flip": ours(data, "crop+flip"),
        "zoo, crop+flip+trivialaugment": ours(data, "crop+flip+trivialaugment"),
        "zoo, crop+flip+randaugment": ours(data, "crop+flip+randaugment"),
        "zoo, crop+flip, mixup and cutmix": ours(data, "crop+flip", mix=zoo.data.Mix(mixup=0.2, cutmix=1.0)),
    }
    if "torchvision" in peers:
        t = import_torchvision()
        tensor = [t.ToTensor()]
        crop = [t.RandomResizedCrop(SIZE), t.RandomHorizontalFlip()]
        ways["torch DataLoader, torchvision, resize"] = torch_loader(root, t.Compose([t.Resize((SIZE, SIZE)), *tensor]))
        ways["torch DataLoader, torchvision, crop+flip"] = torch_loader(root, t.Compose(crop + tensor))
        for name in ("TrivialAugmentWide", "RandAugment"):
            transform = t.Compose([*crop, getattr(t, name)(), *tensor])
            ways[f"torch DataLoader, torchvision, crop+flip+{name}"] = torch_loader(root, transform)
    if "timm" in peers:
        import_torchvision()
        from timm.data import create_transform

        for policy in (None, "rand-m7-mstd0.5-inc1"):
            transform = create_transform(SIZE, is_training=True, auto_augment=policy, color_jitter=None)
            ways[f"torch DataLoader, timm, crop+flip{'+' + policy if policy else ''}"] = torch_loader(root, transform)
    return ways


def augmenters(peers: list[str], count: int) -> dict[str, Way]:
    """From decoded pictures of 224x224 to changed ones."""
    pictures = np.stack([image[100 : 100 + SIZE, 200 : 200 + SIZE] for image in load_sample_images().images])
    ways: dict[str, Way] = {}
    repeated = tf.data.Dataset.range(count)
    stored = tf.constant(pictures)
    for text in (*AUGMENTATIONS, "randaugment(m=7, mstd=0.5, p=0.5, space=timm)"):
        augmentation = zoo.data.Augmentation.parse(text)

        def change(index: tf.Tensor, augmentation: zoo.data.Augmentation = augmentation) -> tf.Tensor:
            return augmentation.apply(stored[index % 2], example_seed(1, tf.constant(0, tf.int64), index))

        changed = repeated.map(change).batch(BATCH)
        ways[f"zoo, {text}"] = lambda changed=changed: drain(changed)
    few = repeated.take(BATCH).map(lambda index: stored[index % 2]).batch(BATCH)  # it is that slow
    layers = {"RandAugment": keras.layers.RandAugment(value_range=(0, 255)), "RandomFlip": keras.layers.RandomFlip()}
    for name, layer in layers.items():
        changed = few.map(lambda batch, layer=layer: layer(batch, training=True))
        ways[f"Keras layer {name}"] = lambda changed=changed: drain(changed)
    transforms: dict[str, Callable] = {}
    if "torchvision" in peers:
        t = import_torchvision()
        transforms |= {f"torchvision, {name}": getattr(t, name)() for name in ("TrivialAugmentWide", "RandAugment")}
        transforms["torchvision, AutoAugment"] = t.AutoAugment()
    if "timm" in peers:
        import_torchvision()
        from timm.data.auto_augment import rand_augment_transform

        transforms["timm, rand-m7-mstd0.5-inc1"] = rand_augment_transform("rand-m7-mstd0.5-inc1", {})
    images = [Image.fromarray(picture) for picture in pictures]
    for name, transform in transforms.items():

        def loop(transform: Callable = transform) -> int:
            for index in range(count):
                np.asarray(transform(images[index % 2]))
            return count

        ways[name] = loop
    return ways


def measure(title: str, ways: dict[str, Way], rounds: int) -> None:
    best = dict.fromkeys(ways, 0.0)
    for number in range(rounds + 1):
        for name, run in ways.items():
            began = time.process_time()
            count = run()
            if number:  # the first round traces and warms up
                best[name] = max(best[name], count / (time.process_time() - began))
    print(f"\n{title:<62}{'images/s':>10}")
    for name, rate in best.items():
        print(f"{name:<62}{rate:>10.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=["torchvision", "timm"], action="append", default=[],
                        help="whose loader is measured too; may be repeated (default: none)")  # fmt: skip
    parser.add_argument("--count", type=int, default=256, help="pictures of a round (default: 256)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the best counts (default: 5)")
    parser.add_argument("--core", type=int, help="which core (default: the last of those allowed)")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if arguments.core is None else arguments.core})
    with tempfile.TemporaryDirectory() as folder:
        paths = make_folder(Path(folder), arguments.count)
        measure("files to batches", loaders(Path(folder), paths, arguments.peer), arguments.rounds)
    measure("augmentation alone, 224x224", augmenters(arguments.peer, arguments.count), arguments.rounds)


if __name__ == "__main__":
    main()
