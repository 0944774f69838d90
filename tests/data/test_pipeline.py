import dataclasses
import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.python.eager import context

import zoo
from zoo.data import Augmentation, DataError, Mix


@pytest.fixture(scope="module")
def digits():
    return zoo.data.load("digits")


def arrays(dataset):
    batches = [(x.numpy(), y.numpy()) for x, y in dataset]
    return [x for x, _ in batches], [y for _, y in batches]


def test_evaluation_sees_each_example_once_in_a_fixed_order(digits):
    pipeline = digits.pipeline("validation", batch_size=50)
    assert len(pipeline) == 6
    assert pipeline.num_examples == 269
    pictures, labels = arrays(pipeline.epoch(0))
    assert [len(batch) for batch in labels] == [50] * 5 + [19]
    again, _ = arrays(pipeline.epoch(5))
    np.testing.assert_array_equal(np.concatenate(pictures), np.concatenate(again))
    assert len({picture.tobytes() for picture in np.concatenate(pictures)}) == 269


def test_spec_and_length_are_what_comes(digits):
    pipeline = digits.pipeline("test", batch_size=64, image_size=(12, 10), channels=3)
    dataset = pipeline.epoch()
    assert dataset.element_spec == pipeline.element_spec
    assert len(dataset) == len(pipeline) == 6
    assert len(pipeline.epoch(0, start=4)) == 2
    pictures, labels = next(iter(dataset))
    assert pictures.shape == (64, 12, 10, 3)
    assert pictures.dtype == tf.float32
    assert labels.dtype == tf.int32


def test_training_order_is_a_permutation_of_seed_and_epoch(digits):
    def order(seed, epoch):
        pipeline = digits.pipeline("train", batch_size=100, training=True, seed=seed)
        pictures, _ = arrays(pipeline.epoch(epoch))
        return [picture.tobytes() for picture in np.concatenate(pictures)]

    first = order(1, 0)
    assert order(1, 0) == first
    assert sorted(order(1, 1)) == sorted(order(2, 0)) == sorted(first)
    assert order(1, 1) != first != order(2, 0)
    assert order(1, 1) != order(2, 0)


def test_an_epoch_can_start_anywhere(digits):
    pipeline = digits.pipeline(
        "train", batch_size=64, training=True, seed=3, augmentation=Augmentation(flip=True, shift=2)
    )
    whole, labels = arrays(pipeline.epoch(4))
    for start in (0, 1, 7, 18, 19):
        rest, rest_labels = arrays(pipeline.epoch(4, start=start))
        assert len(rest) == len(whole) - start
        for one, other in zip(whole[start:] + labels[start:], rest + rest_labels, strict=True):
            np.testing.assert_array_equal(one, other)


def thirds(number):
    """The part of a batch that one of three workers has, at least one example; in tensors, as the Trainer has it."""

    def part(total):
        begin = tf.minimum(number * -(-total // 3), total - 1)
        return begin, tf.maximum(tf.minimum(begin + -(-total // 3), total), begin + 1)

    return part


def check_parts(pipeline, part_of, epoch=1):
    """What each of three workers gets is its part of the whole batch, from any batch on; returns the parts."""
    whole = list(pipeline.epoch(epoch))
    for number in range(3):
        divided = pipeline.divided(part_of(number))
        assert len(divided) == len(pipeline)
        assert divided.epoch().element_spec == divided.element_spec
        for start in (0, 1, len(whole) - 1, len(whole)):
            parts = list(divided.epoch(epoch, start))
            assert len(parts) == len(divided.epoch(epoch, start)) == len(whole) - start
            for (pictures, labels), (total, (own_pictures, own_labels)) in zip(whole[start:], parts, strict=True):
                assert total == len(labels)
                begin, end = part_of(number)(len(labels))
                np.testing.assert_array_equal(pictures[begin:end], own_pictures)
                np.testing.assert_array_equal(labels[begin:end], own_labels)


@pytest.mark.parametrize("batch_size", [100, 1000, 2000])  # the last of 69, of 169, and of 1,169 examples
def test_each_worker_reads_its_part_of_each_batch(digits, batch_size):
    check_parts(
        digits.pipeline(
            "train", batch_size=batch_size, training=True, seed=3, augmentation=Augmentation(flip=True, shift=2)
        ),
        thirds,
    )


CHANGES = {
    "one by one": {"augmentation": "shift=1+trivialaugment"},
    "repeated": {"augmentation": "flip", "repeats": 3},
    "balanced": {"augmentation": "flip", "balance": 1.0},
    "mixed over the whole batch": {"augmentation": "shift=1", "mix": Mix(mixup=0.2, cutmix=1.0)},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_each_worker_has_its_part_whatever_is_done_to_pictures(digits, changes):
    check_parts(digits.pipeline("train", batch_size=500, training=True, seed=3, **changes), thirds)


def test_more_workers_than_examples(digits):
    check_parts(digits.pipeline("validation", batch_size=134), thirds)  # the last batch has one example


def test_what_happens_to_an_example_does_not_depend_on_its_batch(digits):
    def augmented(batch_size):
        pipeline = digits.pipeline(
            "train", batch_size=batch_size, training=True, seed=3, augmentation=Augmentation(shift=2)
        )
        return np.concatenate(arrays(pipeline.epoch(1))[0])

    np.testing.assert_array_equal(augmented(32), augmented(100))


def test_shift_cuts_windows_out_of_the_padded_picture():
    picture = np.arange(1, 13, dtype="uint8").reshape(1, 3, 4, 1)
    padded = np.pad(picture[0, :, :, 0], 1)
    windows = {padded[i : i + 3, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    draws = np.random.default_rng(0).uniform(size=(300, 3)).astype("float32")
    out = Augmentation(shift=1).shift_and_flip(tf.constant(np.repeat(picture, 300, 0)), tf.constant(draws)).numpy()
    assert out.shape == (300, 3, 4, 1)
    assert {one[:, :, 0].tobytes() for one in out} == windows


def test_flip_mirrors_half_of_the_pictures():
    picture = np.arange(6, dtype="uint8").reshape(1, 2, 3, 1)
    draws = np.random.default_rng(0).uniform(size=(1000, 3)).astype("float32")
    out = Augmentation(flip=True).shift_and_flip(tf.constant(np.repeat(picture, 1000, 0)), tf.constant(draws)).numpy()
    mirrored = np.array([np.array_equal(one, picture[0, :, ::-1]) for one in out])
    same = np.array([np.array_equal(one, picture[0]) for one in out])
    assert np.all(mirrored ^ same)
    assert 0.45 < mirrored.mean() < 0.55


def test_flip_and_shift_together_give_windows_of_both():
    picture = np.arange(1, 13, dtype="uint8").reshape(1, 3, 4, 1)
    mirrored = [np.pad(one, 1) for one in (picture[0, :, :, 0], picture[0, :, ::-1, 0])]
    windows = {padded[i : i + 3, j : j + 4].tobytes() for padded in mirrored for i in range(3) for j in range(3)}
    draws = np.random.default_rng(0).uniform(size=(600, 3)).astype("float32")
    out = (
        Augmentation(flip=True, shift=1)
        .shift_and_flip(tf.constant(np.repeat(picture, 600, 0)), tf.constant(draws))
        .numpy()
    )
    assert {one[:, :, 0].tobytes() for one in out} == windows


def test_values_are_scaled_linearly(digits):
    stored, _ = arrays(digits.pipeline("test", batch_size=359, value_range=(0, 255)).epoch())
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (-0.1, 1.175)):
        scaled, _ = arrays(digits.pipeline("test", batch_size=359, value_range=(low, high)).epoch())
        np.testing.assert_allclose(scaled[0], low + stored[0] / 255 * (high - low), atol=1e-6)
        assert scaled[0].min() == pytest.approx(low)
        assert scaled[0].max() == pytest.approx(high)


def test_resizing_is_pillows(digits):
    stored, _ = arrays(digits.pipeline("test", batch_size=8, value_range=(0, 255)).epoch())
    resized, _ = arrays(digits.pipeline("test", batch_size=8, image_size=(28, 5), value_range=(0, 255)).epoch())
    for before, after in zip(stored[0], resized[0], strict=True):
        expected = Image.fromarray(before[..., 0].astype("uint8")).resize((5, 28), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(after[..., 0], np.asarray(expected), atol=1e-4)


def test_a_further_epoch_is_made_at_once(digits):
    pipeline = digits.pipeline("train", batch_size=32, training=True)
    pipeline.epoch(0)
    traced = pipeline._make()
    pipeline.epoch(1, start=3)
    assert pipeline._make() is traced


def test_pictures_are_not_copied_into_the_graph(digits):
    pipeline = digits.pipeline("train", batch_size=32, image_size=(64, 64))
    graph = pipeline._make().graph.as_graph_def()
    assert graph.ByteSize() < 64 * 64 * pipeline.num_examples / 10


@pytest.mark.parametrize("start", [-1, 7])
def test_an_epoch_starts_within_its_batches(digits, start):
    pipeline = digits.pipeline("test", batch_size=64)
    assert list(pipeline.epoch(0, start=6)) == []
    with pytest.raises(DataError, match=f"start must be from 0 to 6, the number of batches. Received: start={start}"):
        pipeline.epoch(0, start=start)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tests"}, "digits has no split 'tests'. Splits: train, validation, test"),
        ({"batch_size": 0}, "batch_size must be at least 1. Received: batch_size=0"),
        ({"channels": 2}, r"Pictures have 1 channel \(grey\) or 3 \(colour\). Received: channels=2"),
        ({"image_size": (0, 8)}, r"image_size must be at least 1x1. Received: image_size=\(0, 8\)"),
        ({"channels": 0}, r"Pictures have 1 channel \(grey\) or 3 \(colour\). Received: channels=0"),
        ({"value_range": (1, 1)}, r"value_range must rise and be finite. Received: value_range=\(1, 1\)"),
        ({"value_range": (0, np.inf)}, r"value_range must rise and be finite. Received: value_range=\(0, inf\)"),
        ({"seed": -1}, r"seed must be from 0 to 2\*\*32 - 1. Received: seed=-1"),
        ({"seed": 1 << 32}, r"seed must be from 0 to 2\*\*32 - 1. Received: seed=4294967296"),
        (
            {"augmentation": Augmentation(flip=True)},
            r"set training=True or leave it out. Received: training=False",
        ),
        (
            {"training": True, "augmentation": Augmentation(shift=8)},
            "A shift must be smaller than the picture.* Received: shift=8, pictures of 8x8",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_illegal_arguments_are_refused(digits, arguments, message):
    with pytest.raises(DataError, match=message):
        digits.pipeline(**{"split": "test", "batch_size": 8, **arguments})


def test_many_pipelines_in_one_process_give_no_warning_and_keep_no_memory(digits, caplog):
    few = dataclasses.replace(digits, splits={"train": digits.splits["train"].chosen(np.arange(16))})
    gone, functions = [], []
    for number in range(30):
        text = ("flip+trivialaugment", "crop+flip")[number % 2]  # held in memory, and decoded each time
        pipeline = few.pipeline("train", batch_size=8, training=True, augmentation=text, seed=number)
        assert sum(len(labels) for _, labels in pipeline.epoch(0)) == 16
        gone.append(weakref.ref(pipeline._examples))
        del pipeline
        if number in (8, 9, 28, 29):
            gc.collect()
            functions.append(len(context.context().list_function_names()))
    assert [reference() for reference in gone] == [None] * 30
    assert functions[:2] == functions[2:]
    assert "retracing" not in caplog.text


def test_batches_outlive_their_pipeline(digits):
    batches = digits.pipeline("train", batch_size=64, training=True, augmentation="flip+randaugment").epoch(0)
    gc.collect()
    assert sum(len(labels) for _, labels in batches.map(lambda x, y: (x, y)).prefetch(2)) == 1169
