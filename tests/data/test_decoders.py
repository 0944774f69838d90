"""What a decoder gives beside Pillow's full decoding, in levels of 255."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import zoo
from zoo.data import DataError, pictures
from zoo.data.augmentation import Augmentation
from zoo.data.augmentation.seeds import example_seed

PHOTOGRAPHS = [Image.fromarray(image) for image in load_sample_images().images]


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def full(content, size, channels, box=None):
    """By Pillow alone: all of the file, then the box, then the size."""
    image = Image.open(io.BytesIO(content)).convert("L" if channels == 1 else "RGB")
    image = image.crop(box) if box else image
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR)).reshape(*size, channels)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize(("mode", "progressive"), [("RGB", False), ("RGB", True), ("L", False)])
def test_a_part_that_is_decoded_alone_is_exact(mode, progressive, subsampling, monkeypatch):
    monkeypatch.setattr(pictures, "decode", None)  # nothing is decoded in full
    rng = np.random.default_rng(subsampling)
    channels = 3 if mode == "RGB" else 1
    for number in range(12):
        width, height = int(rng.integers(100, 500)), int(rng.integers(100, 373))
        photograph = PHOTOGRAPHS[number % 2].crop((9, 9, 9 + width, 9 + height)).convert(mode)
        content = jpeg(photograph, quality=80, subsampling=subsampling, progressive=progressive)
        box_width, box_height = int(rng.integers(1, width)), int(rng.integers(1, height))
        left, top = int(rng.integers(0, width - box_width + 1)), int(rng.integers(0, height - box_height + 1))
        box = (left, top, left + box_width, top + box_height)
        part = pictures.decode_fitted(content, (56, 48), channels, choose=lambda *_, box=box: box)
        np.testing.assert_array_equal(pictures.pixels(part), full(content, (56, 48), channels, box), str(box))


@pytest.mark.parametrize("size", [(224, 224), (96, 64), (48, 48)])
def test_a_scaled_picture_differs_by_less_than_a_level(size):
    for photograph in (*PHOTOGRAPHS, *(image.resize((2048, 1366), Image.Resampling.BICUBIC) for image in PHOTOGRAPHS)):
        content = jpeg(photograph, quality=90)
        for box in (None, (40, 30, photograph.width - 33, photograph.height - 21)):
            choose = None if box is None else lambda *_, box=box: box
            scaled = pictures.pixels(pictures.decode_fitted(content, size, 3, choose=choose, decoder="scaled"))
            levels = np.abs(scaled.astype(int) - full(content, size, 3, box))
            assert levels.mean() < 0.6
            assert np.quantile(levels, 0.999) <= 8
            assert levels.max() <= 24  # at an edge that lies within a pixel of the reduced picture


def test_a_scaled_picture_is_not_decoded_in_full(monkeypatch):
    content = jpeg(PHOTOGRAPHS[0].resize((2048, 1366)), quality=90)
    sizes, decode = [], tf.io.decode_and_crop_jpeg

    def noted(*arguments, **options):
        sizes.append((result := decode(*arguments, **options)).shape[:2])
        return result

    monkeypatch.setattr(tf.io, "decode_and_crop_jpeg", noted)
    monkeypatch.setattr(pictures, "decode", None)
    pictures.decode_fitted(content, (224, 224), 3, decoder="scaled")
    assert sizes == [(683, 1024)]  # a half: a quarter would leave less than twice 224 rows


def test_what_a_fast_decoder_cannot_do_is_pillows(monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    cases = [
        jpeg(PHOTOGRAPHS[0], exif=exif),
        jpeg(PHOTOGRAPHS[0].convert("CMYK")),
        jpeg(PHOTOGRAPHS[0])[:-2000] + b"\xff\xd9",  # ends early, and says so
    ]
    for content in cases:
        boxes = []

        def choose(height, width, boxes=boxes):
            boxes.append((height, width))
            return 5, 6, width - 7, height - 8

        expected = pictures.decode(content)
        expected = pictures.fit(expected, (30, 40), 3, (5, 6, expected.width - 7, expected.height - 8))
        part = pictures.decode_fitted(content, (30, 40), 3, choose=choose)
        np.testing.assert_array_equal(pictures.pixels(part), expected)
        assert len(set(boxes)) == 1
    with pytest.raises(DataError, match="it is truncated or damaged"):
        pictures.decode_fitted(jpeg(PHOTOGRAPHS[0])[:2000], (30, 40), 3, decoder="scaled")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    for label, photograph in zip("ab", PHOTOGRAPHS, strict=True):
        (root / label).mkdir()
        for index in range(8):
            part = photograph.crop((10 * index, 5 * index, 400 + 10 * index, 300 + 5 * index))
            part.save(root / label / f"{index}.jpg", quality=90)
    return zoo.data.load(f"folder:{root}")


def test_pipeline_and_read_image_have_one_decoder(folder, monkeypatch):
    form = {"image_size": (60, 80), "value_range": (0, 255), "decoder": "scaled"}
    root = folder.name.removeprefix("folder:")
    for limit in (zoo.data.dataset.CACHE_BYTES, 0):
        monkeypatch.setattr(zoo.data.dataset, "CACHE_BYTES", limit)
        batch = next(iter(folder.pipeline("test", batch_size=8, **form).epoch()))[0].numpy()
        for index, picture in enumerate(batch):
            name = f"{root}/{folder.example_name('test', index)}"
            np.testing.assert_array_equal(picture, zoo.data.read_image(name, **form))
            assert not np.array_equal(picture, zoo.data.read_image(name, **{**form, "decoder": "exact"}))
    with pytest.raises(DataError, match='decoder must be "exact" or "scaled". Received: decoder=\'fast\''):
        folder.pipeline("test", batch_size=8, image_size=(60, 80), decoder="fast")


@pytest.mark.parametrize("text", ["flip+randaugment", "crop(scale=(0.3, 1.0))+flip+trivialaugment+erase(1.0)"])
def test_batches_are_what_the_steps_make_of_each_picture(folder, text):
    augmentation = Augmentation.parse(text)
    pipeline = folder.pipeline(
        "train", batch_size=4, image_size=(64, 72), training=True, seed=5, value_range=(0, 255), augmentation=text
    )
    order = tf.random.experimental.stateless_shuffle(tf.range(len(folder.splits["train"]), dtype=tf.int64), [10, 3])
    pictures_ = np.concatenate([x.numpy() for x, _ in pipeline.epoch(3)])
    source = folder.splits["train"]
    for visit, picture in zip(order.numpy().tolist(), pictures_, strict=True):
        seed = example_seed(11, tf.constant(3, tf.int64), tf.constant(visit, tf.int64))
        image, box = source.picture(visit), None
        if augmentation.crop:
            draws = zoo.data.dataset.crop_draws(int(seed[0]), visit)
            box = augmentation.crop.box(draws, image.height, image.width)
        expected = augmentation.apply(tf.constant(pictures.fit(image, (64, 72), 3, box)), seed)
        np.testing.assert_array_equal(picture, expected)
