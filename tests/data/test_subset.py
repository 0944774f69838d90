"""A part of a data set, by its name."""

import numpy as np
import pytest
from PIL import Image

from zoo import data


def test_classes_are_kept_in_the_order_given_and_numbered_anew():
    whole, part = data.load("digits"), data.load("digits?classes=7,5")
    assert part.classes == ("7", "5")
    names = {
        split: [part.example_name(split, index) for index in range(count)] for split, count in part.num_examples.items()
    }
    for split, source in whole.splits.items():
        wanted = [
            (name, int(label)) for name, label in zip(source.names, source.labels, strict=True) if label in (5, 7)
        ]
        assert names[split] == [name for name, _ in wanted]
        assert part.splits[split].labels.tolist() == [int(label == 5) for _, label in wanted]
    pictures, labels = next(iter(part.pipeline("test", batch_size=8).epoch()))
    assert pictures.shape == (8, 8, 8, 1)
    assert set(labels.numpy()) <= {0, 1}


def test_few_examples_of_each_class_and_another_draw():
    parts = [data.load(f"digits?classes=5,6,7,8,9&per_class=5&draw={draw}") for draw in (0, 0, 1)]
    assert parts[0].num_examples == {"train": 25, "validation": 25, "test": 179}
    assert np.bincount(parts[0].splits["train"].labels).tolist() == [5] * 5
    names = [set(part.splits["train"].names) for part in parts]
    assert names[0] == names[1]
    assert len(names[0] & names[2]) < 10
    assert parts[0].fingerprint == parts[1].fingerprint != parts[2].fingerprint
    more = data.load("digits?classes=5,6,7,8,9&per_class=10")
    assert names[0] < set(more.splits["train"].names)  # more pictures are the few, and others


def test_a_long_tail():
    part = data.load("digits?tail=0.1&per_class=50")
    counts = np.bincount(part.splits["train"].labels)
    assert (counts[0], counts[-1]) == (50, 5)
    assert (np.diff(counts) < 0).all()
    assert np.bincount(part.splits["test"].labels).min() > 30


def test_a_part_of_a_folder(tmp_path):
    for number in range(30):
        for name in "abc":
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(np.full((4, 4), number * 3 + ord(name) % 3, "uint8")).save(
                tmp_path / name / f"{number}.png"
            )
    part = data.load(f"folder:{tmp_path}?classes=c,a&per_class=3")
    assert part.classes == ("c", "a")
    assert part.num_examples["train"] == 6
    assert data.load(part.name).fingerprint == part.fingerprint


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("klasses=1,2", r"A part of data has classes, per_class, draw, tail, .* Received: klasses in digits\?klasses"),
        ("classes=5,x", "digits has the classes 0, 1, 2, .* Received: x"),
        ("classes=5", "Name at least two classes, each once. Received: 5"),
        ("classes=5,5", "Name at least two classes, each once. Received: 5, 5"),
        ("per_class=0", "per_class must be at least 1, draw at least 0, tail above 0"),
        ("tail=many", "per_class, draw and tail are numbers. Received"),
    ],
)
def test_what_is_no_part_is_refused(query, message):
    with pytest.raises(data.DataError, match=message):
        data.load(f"digits?{query}")
