"""Groups that stay together, folds, and how often examples are drawn."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoo
from zoo.data import DataError
from zoo.data.splits import folds, stratified


def grouped():
    """300 examples of 3 classes by 60 authors, who have one to nine each."""
    rng = np.random.default_rng(0)
    groups = np.sort(rng.choice(60, 300, p=rng.dirichlet(np.full(60, 3.0))))
    labels = rng.choice(3, 300, p=(0.6, 0.3, 0.1))
    return labels, [f"x{index}" for index in range(300)], [f"author{group}" for group in groups]


def test_groups_never_straddle_and_classes_keep_their_shares():
    labels, keys, groups = grouped()
    parts = stratified(labels, keys, seed=1, groups=groups)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(300))
    members = {name: {groups[index] for index in indices} for name, indices in parts.items()}
    assert not members["train"] & members["test"]
    assert not members["train"] & members["validation"]
    assert not members["validation"] & members["test"]
    for name, fraction in (("train", 0.65), ("validation", 0.15), ("test", 0.2)):
        assert len(parts[name]) / 300 == pytest.approx(fraction, abs=0.04)
        for label in range(3):
            share = (labels[parts[name]] == label).sum() / (labels == label).sum()
            assert share == pytest.approx(fraction, abs=0.12)
    other = stratified(labels, keys, seed=2, groups=groups)
    assert any(not np.array_equal(parts[name], other[name]) for name in parts)


def test_a_split_that_is_not_wanted_gets_no_group():
    labels, keys, groups = grouped()
    parts = stratified(labels, keys, seed=0, groups=groups, validation=0.0)
    assert len(parts["validation"]) == 0
    assert len(parts["train"]) + len(parts["test"]) == 300


@pytest.mark.parametrize("by_group", [False, True])
def test_folds_use_each_example_once(by_group):
    labels, keys, groups = grouped()
    parts = folds(labels, keys, 5, seed=0, groups=groups if by_group else None)
    assert sorted(np.concatenate(parts)) == list(range(300))
    assert all(abs(len(part) - 60) <= (8 if by_group else 0) for part in parts)
    for label in range(3):
        counts = [(labels[part] == label).sum() for part in parts]
        assert np.ptp(counts) <= (12 if by_group else 1)
    if by_group:
        assert sum(len({groups[index] for index in part}) for part in parts) == len(set(groups))


def test_folds_of_a_data_set_leave_the_test_split_alone():
    digits = zoo.data.load("digits")
    seen = []
    for number in range(5):
        fold = digits.fold(number, of=5)
        assert fold.splits["test"] is digits.splits["test"]
        assert fold.fingerprint == digits.fingerprint
        train, validation = ([fold.example_name(split, i) for i in range(fold.num_examples[split])]
                             for split in ("train", "validation"))  # fmt: skip
        assert not set(train) & set(validation)
        seen += validation
    assert sorted(seen) == sorted(
        digits.example_name(split, i) for split in ("train", "validation") for i in range(digits.num_examples[split])
    )
    pictures, labels = next(iter(fold.pipeline("validation", batch_size=50).epoch()))
    names = [digits.example_name("train", i) for i in range(digits.num_examples["train"])]
    original, label = next(iter(digits.pipeline("train", batch_size=1169).epoch()))
    shared = [(place, names.index(name)) for place, name in enumerate(validation[:50]) if name in names]
    assert len(shared) > 20
    for place, index in shared:
        np.testing.assert_array_equal(pictures[place], original[index])
        assert labels[place] == label[index]


@pytest.mark.parametrize(("number", "of"), [(5, 5), (-1, 5), (0, 1), (0, 1439)])
def test_impossible_folds_are_refused(number, of):
    message = f"There are 2 to 1438 folds, counted from 0. Received: number={number}, of={of}"
    with pytest.raises(DataError, match=message):
        zoo.data.load("digits").fold(number, of=of)


@pytest.fixture
def persons(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for person in range(10):
            for shot in range(3):
                pixels = rng.integers(0, 256, (4, 4), "uint8")
                Image.fromarray(pixels).save(tmp_path / label / f"p{person}_{shot}.png")
    return tmp_path


def test_a_folder_is_split_by_groups(persons):
    data = zoo.data.load(f"folder:{persons}", group_by=r"(p\d+)_")
    of = {}
    for split, count in data.num_examples.items():
        for index in range(count):
            of.setdefault(data.example_name(split, index).split("/")[1].split("_")[0], set()).add(split)
    assert len(of) == 10
    assert all(len(splits) == 1 for splits in of.values())
    assert zoo.data.check(data, group_by=r"(p\d+)_").problems == ()
    with pytest.raises(DataError, match=r"There are fewer groups than folds. Received: of=9, group_by="):
        data.fold(0, of=9, group_by=r"(p\d+)_")
    with pytest.raises(DataError, match="group_by is for folders, whose files have names. Received: 'digits'"):
        zoo.data.load("digits", group_by="(x)")


def test_a_split_may_have_no_group(persons, tmp_path):
    """An expression must match a name of some split, not of each."""
    for number, label in enumerate(("cat", "dog")):
        (tmp_path / "own" / "test" / label).mkdir(parents=True)
        (tmp_path / "own" / "train").mkdir(exist_ok=True)
        (persons / label).rename(tmp_path / "own" / "train" / label)
        Image.new("L", (4, 4), number).save(tmp_path / "own" / "test" / label / "unknown.png")
    data = zoo.data.load(f"folder:{tmp_path / 'own'}", group_by=r"(p\d+)_")
    assert data.splits["test"].groups == ["test/cat/unknown.png", "test/dog/unknown.png"]
    train, validation = (set(data.splits[split].groups) for split in ("train", "validation"))
    assert not train & validation
    assert train | validation == {f"p{person}" for person in range(10)}
    with pytest.raises(DataError, match="group_by matches no name, such as 'train/cat/p0_0.png'"):
        zoo.data.load(f"folder:{tmp_path / 'own'}", group_by="(q)")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """60 dark pictures of one class, 12 bright ones of another."""
    root = tmp_path_factory.mktemp("uneven")
    for label, count, base in (("many", 92, 0), ("few", 18, 150)):
        (root / label).mkdir()
        for index in range(count):
            Image.new("L", (4, 4), base + index).save(root / label / f"{index:02}.png")
    return zoo.data.load(f"folder:{root}")


def drawn(pipeline, epoch=0):
    batches = [(x.numpy(), y.numpy()) for x, y in pipeline.epoch(epoch)]
    values = np.rint(255 * np.concatenate([x[:, 0, 0, 0] for x, _ in batches])).astype(int)
    return values, np.concatenate([y for _, y in batches])


def test_balance_makes_classes_equal(uneven):
    options = {"batch_size": 16, "training": True, "seed": 1}
    values, labels = drawn(uneven.pipeline("train", balance=1.0, **options))
    few = uneven.classes.index("few")
    assert len(labels) == uneven.num_examples["train"] == 71
    assert (labels == few).sum() in (35, 36, 37)
    counts = Counter(values[labels == few])
    assert set(counts.values()) <= {2, 3, 4}
    again, _ = drawn(uneven.pipeline("train", balance=1.0, **options))
    np.testing.assert_array_equal(values, again)
    assert not np.array_equal(values, drawn(uneven.pipeline("train", balance=1.0, **options), epoch=1)[0])
    half = drawn(uneven.pipeline("train", balance=0.5, **options))[1]
    assert 12 < (half == few).sum() < 36


def test_copies_of_an_example_are_changed_differently(uneven):
    for options in ({"balance": 1.0}, {"repeats": 3}):
        pipeline = uneven.pipeline("train", batch_size=72, training=True, augmentation="shift(2)", **options)
        pictures = next(iter(pipeline.epoch()))[0].numpy()
        by_value = {}
        for picture in pictures:
            by_value.setdefault(picture.max(), set()).add(picture.tobytes())
        assert max(map(len, by_value.values())) > 1


def test_repeats_put_copies_side_by_side(uneven):
    values, _ = drawn(uneven.pipeline("train", batch_size=10, training=True, repeats=3))
    assert len(values) == 71
    rows = values[:69].reshape(23, 3)
    assert (rows == rows[:, :1]).all()
    assert len(set(values)) == 24
    assert set(drawn(uneven.pipeline("train", batch_size=10, training=True, repeats=3), 1)[0]) != set(values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"balance": 2.0}, "balance must be from 0 to 1. Received: balance=2.0"),
        ({"repeats": 0}, "repeats must be at least 1. Received: repeats=0"),
        ({"balance": 1.0, "repeats": 2}, "balance and repeats exclude each other. Received: balance=1.0, repeats=2"),
        ({"training": False, "repeats": 2}, "Repeats is for training; set training=True or leave it out. Received"),
        ({"training": False, "mix": zoo.data.Mix()}, "Mix is for training; set training=True or leave it out."),
    ],
)
def test_wrong_ways_to_draw_are_refused(uneven, options, message):
    with pytest.raises(DataError, match=message):
        uneven.pipeline("train", **{"batch_size": 4, "training": True, **options})


@pytest.mark.parametrize("text", ["crop", "crop(scale=(0.2, 0.5))+flip+randaugment", "erase(1.0)"])
def test_augmented_epochs_can_start_anywhere(uneven, text):
    pipeline = uneven.pipeline("train", batch_size=16, image_size=(6, 5), training=True, augmentation=text, seed=2)
    whole = [x.numpy() for x, _ in pipeline.epoch(3)]
    for expected, (batch, _) in zip(whole[2:], pipeline.epoch(3, start=2), strict=True):
        np.testing.assert_array_equal(batch, expected)
    assert tf.TensorShape((None, 6, 5, 1)) == pipeline.element_spec[0].shape
