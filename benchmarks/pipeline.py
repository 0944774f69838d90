"""JPEG files to ready batches, images/s on one core: ours beside the bare decoders, Keras's layers and other loaders.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --peer torchvision --peer timm      # the extra packages must be installed

A folder of JPEG files, 500x375, quality 90, cut from scikit-learn's photographs, becomes batches of 224x224. The first
table reads, decodes and resizes, with and without augmentation; the second does that with photographs of 2000x1500;
the third only augments pictures that are decoded. Limits are bare loops over the files, with how far their pictures
are from Pillow's: mean and largest difference in levels of 255. Rates are pictures divided by processor seconds of the
process, the best of several rounds, in which the ways take turns; the process is bound to one core, so that no library
has helpers elsewhere.
"""

import argparse
import functools
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


def make_folder(root: Path, count: int, times: int = 1) -> list[Path]:
    """So many pictures, cut out at random places, in two classes, so many times enlarged."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    paths = []
    for index in range(count):
        path = root / CLASSES[index % 2] / f"{index:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        left, top = rng.integers(0, 140), rng.integers(0, 52)
        picture = photographs[index % 2].crop((left, top, left + 500, top + 375))
        picture.resize((500 * times, 375 * times), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(path)
    return paths


def by_pillow(path: Path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def by_pillow_reduced(path: Path) -> np.ndarray:
    """As Pillow makes thumbnails: the decoder may reduce to twice the size."""
    image = Image.open(io.BytesIO(path.read_bytes()))
    image.draft("RGB", (2 * SIZE, 2 * SIZE))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def by_tensorflow(path: tf.Tensor | str, antialias: bool) -> tf.Tensor:
    pixels = tf.io.decode_jpeg(tf.io.read_file(path), dct_method="INTEGER_ACCURATE")
    return tf.image.resize(pixels, (SIZE, SIZE), antialias=antialias)


def loop(change: Callable, items: list) -> Way:
    def run() -> int:
        for item in items:
            change(item)
        return len(items)

    return run


def limits(paths: list[Path]) -> dict[str, Way]:
    """Bare decoding and resizing, each with its distance from Pillow's pictures."""
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    ways = {
        "limit: Pillow": (by_pillow, loop(by_pillow, paths)),
        "limit: Pillow, reduced while decoded": (by_pillow_reduced, loop(by_pillow_reduced, paths)),
    }
    for antialias in (True, False):
        decode = functools.partial(by_tensorflow, antialias=antialias)
        batches = names.map(decode).batch(BATCH)
        name = f"limit: TensorFlow, {'antialias' if antialias else 'no antialias'}"
        ways[name] = (lambda path, decode=decode: decode(str(path)), functools.partial(drain, batches))
    named = {}
    for name, (decode, way) in ways.items():
        levels = np.abs(np.stack([decode(path) - by_pillow(path).astype(np.float32) for path in paths[:32]]))
        named[f"{name} (differs by {levels.mean():.2f}, at most {levels.max():.0f})"] = way
    return named


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
    zoo.data.write_shards(data, root.with_name("shards"))
    train = [root / data.example_name("train", index) for index in range(data.num_examples["train"])]
    ways: dict[str, Way] = {"held in memory": ours(data, None)}
    zoo.data.dataset.CACHE_BYTES = 0  # from here on pictures are decoded each time
    ways = {
        **limits(train),
        "zoo": ours(data, None),
        "zoo, from shards": ours(zoo.data.load(f"shards:{root.with_name('shards')}"), None),
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
        ways["torch DataLoader, torchvision"] = torch_loader(root, t.Compose([t.Resize((SIZE, SIZE)), *tensor]))
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


def large(root: Path, paths: list[Path], peers: list[str]) -> dict[str, Way]:
    """From photographs much larger than what is wanted to batches."""
    make_folder(root, len(paths), times=4)
    data = zoo.data.load(f"folder:{root}")
    ways = {
        **limits([root / data.example_name("train", index) for index in range(data.num_examples["train"])]),
        "zoo": ours(data, None),
        "zoo, decoder=scaled": ours(data, None, decoder="scaled"),
        "zoo, crop+flip": ours(data, "crop+flip"),
        "zoo, crop+flip, decoder=scaled": ours(data, "crop+flip", decoder="scaled"),
    }
    if "torchvision" in peers:
        t = import_torchvision()
        crop = [t.RandomResizedCrop(SIZE), t.RandomHorizontalFlip(), t.ToTensor()]
        ways["torch DataLoader, torchvision, crop+flip"] = torch_loader(root, t.Compose(crop))
    return ways


def augmenters(peers: list[str], count: int) -> dict[str, Way]:
    """From decoded pictures of 224x224 to changed ones."""
    pictures = np.stack([image[100 : 100 + SIZE, 200 : 200 + SIZE] for image in load_sample_images().images])
    ways: dict[str, Way] = {}
    repeated = tf.data.Dataset.range(count)
    stored, images = tf.constant(pictures), [Image.fromarray(picture) for picture in pictures]
    for text in (*AUGMENTATIONS, "randaugment(m=7, mstd=0.5, p=0.5, space=timm)"):
        augmentation = zoo.data.Augmentation.parse(text)

        def change(index: tf.Tensor, augmentation: zoo.data.Augmentation = augmentation) -> tf.Tensor:
            return augmentation.apply(stored[index % 2], example_seed(1, tf.constant(0, tf.int64), index))

        changed = repeated.map(change).batch(BATCH)
        ways[f"zoo, in the graph, {text}"] = lambda changed=changed: drain(changed)
        if augmentation.plan_size:
            seeds = tf.stack([tf.ones(count, tf.int64), tf.range(count, dtype=tf.int64)], 1)

            @tf.function
            def planned(seeds: tf.Tensor, augmentation: zoo.data.Augmentation = augmentation) -> tf.Tensor:
                return augmentation.plan(seeds, SIZE, SIZE)

            def run(augmentation=augmentation, planned=planned, seeds: tf.Tensor = seeds) -> int:
                for begin in range(0, count, BATCH):
                    plans = planned(seeds[begin : begin + BATCH]).numpy()
                    for index, plan in enumerate(plans):
                        np.asarray(augmentation.change(images[index % 2], plan))
                return count

            ways[f"zoo, where pictures are read, {text}"] = run
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
    for name, transform in transforms.items():
        ways[name] = loop(lambda image, transform=transform: np.asarray(transform(image)), images * (count // 2))
    return ways


def measure(title: str, ways: dict[str, Way], rounds: int) -> None:
    best = dict.fromkeys(ways, 0.0)
    for number in range(rounds + 1):
        for name, run in ways.items():
            began = time.process_time()
            count = run()
            if number:  # the first round traces and warms up
                best[name] = max(best[name], count / (time.process_time() - began))
    print(f"\n{title:<75}{'images/s':>10}")
    for name, rate in best.items():
        print(f"{name:<75}{rate:>10.0f}", flush=True)


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
        root = Path(folder) / "pictures"
        root.mkdir()
        paths = make_folder(root, arguments.count)
        measure("files of 500x375 to batches", loaders(root, paths, arguments.peer), arguments.rounds)
        root = Path(folder) / "large"
        root.mkdir()
        few = paths[: max(16, arguments.count // 8)]
        measure("files of 2000x1500 to batches", large(root, few, arguments.peer), arguments.rounds)
    measure("augmentation alone, 224x224", augmenters(arguments.peer, arguments.count), arguments.rounds)


if __name__ == "__main__":
    main()
