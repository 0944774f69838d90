import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import zoo
from zoo.data.splits import stratified


def whole(dataset, split):
    """All pictures and labels of a split, as the stored 8-bit values."""
    batches = list(dataset.pipeline(split, batch_size=100, value_range=(0, 255)).epoch())
    return np.concatenate([x.numpy() for x, _ in batches]), np.concatenate([y.numpy() for _, y in batches])


def test_each_example_is_in_exactly_one_split():
    digits = zoo.data.load("digits")
    names = [digits.example_name(split, i) for split, count in digits.num_examples.items() for i in range(count)]
    assert sorted(names) == sorted(f"digits/{index}" for index in range(1797))


def test_splits_hold_scikit_learns_pictures_under_their_labels():
    digits, bunch = zoo.data.load("digits"), load_digits()
    for split in ("train", "validation", "test"):
        pictures, labels = whole(digits, split)
        indices = [int(digits.example_name(split, i).split("/")[1]) for i in range(len(labels))]
        np.testing.assert_array_equal(labels, bunch.target[indices])
        np.testing.assert_array_equal(np.rint(pictures[..., 0] * 16 / 255), bunch.images[indices])


def test_every_class_has_its_share_of_every_split():
    digits = zoo.data.load("digits")
    total = np.bincount(load_digits().target)
    for split, share in (("train", 0.65), ("validation", 0.15), ("test", 0.20)):
        counts = np.bincount(whole(digits, split)[1])
        np.testing.assert_allclose(counts, share * total, atol=1.01)


def test_the_split_is_a_function_of_the_seed():
    one, same, other = (zoo.data.load("digits", split_seed=seed) for seed in (3, 3, 4))
    names = [[data.example_name("test", i) for i in range(300)] for data in (one, same, other)]
    assert names[0] == names[1] != names[2]
    assert one.fingerprint == other.fingerprint


def test_the_split_is_the_same_on_every_machine():
    digits = zoo.data.load("digits")
    names = "\n".join(digits.example_name("test", index) for index in range(digits.num_examples["test"]))
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == "6d2450de7398ad2d"


def test_split_by_hand():
    parts = stratified(np.repeat([0, 1], 20), [f"n{i}" for i in range(40)], seed=0, validation=0.1, test=0.25)
    assert {name: len(indices) for name, indices in parts.items()} == {"train": 26, "validation": 4, "test": 10}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(40))
    order = sorted(range(20), key=lambda i: hashlib.sha256(f"0/n{i}".encode()).digest())
    assert sorted(order[:5]) == [i for i in parts["test"] if i < 20]


def test_adding_examples_moves_few():
    labels = np.zeros(1000, int)
    keys = [f"picture{i}" for i in range(1100)]
    before = set(stratified(labels, keys[:1000], seed=0)["test"])
    after = set(stratified(np.zeros(1100, int), keys, seed=0)["test"])
    assert len(before - after) < 25


def test_description():
    facts = zoo.data.load("digits").describe()
    assert facts["classes"] == list("0123456789")
    assert facts["image_shape"] == [8, 8, 1]
    assert facts["num_examples"] == {"train": 1169, "validation": 269, "test": 359}
    assert facts["value_range"] == [0, 16]
    assert facts["licence"] == "CC BY 4.0"
    assert len(facts["fingerprint"]) == 64
    assert json.loads(json.dumps(facts)) == facts


def test_a_digit_saved_as_a_file_is_the_same_to_the_pixel(tmp_path):
    digits = zoo.data.load("digits")
    stored, _ = whole(digits, "test")
    Image.fromarray(stored[5, :, :, 0].astype("uint8")).save(tmp_path / "digit.png")
    form = {"image_size": (28, 28), "channels": 1, "value_range": (-1.0, 1.0)}
    batch, _ = next(iter(digits.pipeline("test", batch_size=6, **form).epoch()))
    np.testing.assert_allclose(zoo.data.read_image(tmp_path / "digit.png", **form), batch[5], atol=1e-6)


def test_levels_are_spread_to_half_a_step_of_eight_bits():
    digits = zoo.data.load("digits")
    batch, _ = next(iter(digits.pipeline("test", batch_size=359, value_range=digits.value_range).epoch()))
    levels = np.rint(batch)
    assert sorted(set(levels.ravel())) == list(range(17))
    np.testing.assert_allclose(batch, levels, atol=16 / 510 + 1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", r"Data is digits, tfds:NAME, folder:PATH, .*Received: 'digit'. Did you mean digits"),
        ("tdfs:mnist", r"Received: 'tdfs:mnist'. Did you mean tfds:mnist"),
        ("/", r"Received: '/'. Did you mean folder:/"),
        ("mnist", r"Data is digits, tfds:NAME, folder:PATH, .*Received: 'mnist'"),
        ("folder:", "Received: 'folder:'"),
        ("http://x", "Received: 'http://x'"),
    ],
)
def test_unknown_names_are_refused(name, message):
    with pytest.raises(zoo.data.DataError, match=message):
        zoo.data.load(name)


def test_illegal_policy_is_refused():
    with pytest.raises(zoo.data.DataError, match="on_bad must be 'raise', 'skip' or 'count'. Received: on_bad='drop'"):
        zoo.data.load("digits", on_bad="drop")
