"""What a check finds, each caused by really doing it."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import zoo
from zoo.cli import main
from zoo.data import DataError
from zoo.data.duplicates import MAX_BITS, near_duplicates, perceptual_hash, thumbnail

PHOTOGRAPHS = [Image.fromarray(image) for image in load_sample_images().images]


def cut(number):
    """Photographs of which no two look alike, and none is of a clear sky."""
    rng = np.random.default_rng(number)
    while True:
        left, top = int(rng.integers(0, 500)), int(rng.integers(0, 300))
        picture = PHOTOGRAPHS[number % 2].crop((left, top, left + 100, top + 90))
        if thumbnail(picture).std() > 30:
            return picture


@pytest.fixture
def root(tmp_path):
    """Splits of their own, two classes, six persons with two pictures each a class."""
    number = 0
    for split, persons in (("train", range(4)), ("validation", (4,)), ("test", (5,))):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for person in persons:
                for shot in range(2):
                    cut(number).save(tmp_path / split / label / f"person{person}_{shot}.png")
                    number += 1
    return tmp_path


def check(root, **options):
    return zoo.data.check(zoo.data.load(f"folder:{root}", on_bad="count"), **options)


def test_a_good_set_has_no_problems(root):
    report = check(root, group_by="(person[0-9]+)")
    assert report.problems == ()
    assert report.notes == ()
    assert report.num_examples == {"cat": (8, 2, 2), "dog": (8, 2, 2)}
    assert report.sizes == ((90, 90), (100, 100))


def test_a_copy_in_another_split_is_a_problem(root):
    (root / "test/cat/copy.png").write_bytes((root / "train/cat/person1_0.png").read_bytes())
    (problem,) = check(root).problems
    assert problem == (
        "Pictures in more than one split, to the pixel: 1 (train/cat/person1_0.png = test/cat/copy.png)."
    )


def test_a_copy_in_another_class_is_a_problem(root):
    (root / "train/dog/copy.png").write_bytes((root / "train/cat/person1_0.png").read_bytes())
    report = check(root)
    assert report.problems == (
        "Equal pictures in more than one class: 1 (train/cat/person1_0.png = train/dog/copy.png).",
    )
    assert report.notes[0].startswith("Pictures that come more than once within a split: 1 (")


@pytest.mark.parametrize("change", ["jpeg", "smaller", "brighter"])
def test_a_changed_copy_is_noticed(root, change):
    picture = Image.open(root / "train/dog/person0_0.png")
    if change == "jpeg":
        picture.save(root / "test/dog/copy.jpg", quality=50)
    elif change == "smaller":
        picture.resize((70, 63)).save(root / "test/dog/copy.png")
    else:
        picture.point(lambda value: min(255, value + 4)).save(root / "test/dog/copy.png")
    report = check(root)
    assert report.problems == ()
    assert report.notes[0].startswith("Pictures of different splits that look the same: 1 (train/dog/person0_0.png = ")


def test_a_group_in_two_splits_is_a_problem(root):
    cut(99).save(root / "test/dog/person2_7.png")
    assert check(root).problems == ()
    (problem,) = check(root, group_by="(person[0-9]+)").problems
    assert problem == "Groups in more than one split: 1 of 6 (person2)."


def test_rare_classes_and_bad_files_are_noted(root):
    for number in range(90):
        cut(1000 + number).save(root / f"train/cat/more{number}.png")
    (root / "test/cat/broken.png").write_bytes(b"")
    notes = check(root).notes
    assert "The class dog is rare: 8 examples in train, the largest class has 98; see balance=." in notes
    assert "Files left out: 1; the file is empty (1)." in notes


@pytest.mark.parametrize(
    ("group_by", "message"),
    [
        ("(", "group_by is no regular expression: .* Received: group_by='\\('"),
        ("person", "group_by needs one group, such as"),
        ("(horse)", "group_by matches no name, such as 'train/cat/person0_0.png'. Received: group_by='\\(horse\\)'"),
    ],
)
def test_wrong_groups_are_refused(root, group_by, message):
    with pytest.raises(DataError, match=message):
        check(root, group_by=group_by)


def test_every_pair_within_the_limit_is_found():
    rng = np.random.default_rng(0)
    base = int(rng.integers(1 << 62))
    flips = [sum(1 << int(bit) for bit in rng.choice(64, count, replace=False)) for count in (0, 1, 2, 5, 7, 8, 9, 20)]
    hashes = [base, *(base ^ flip for flip in flips)]
    same = np.zeros((9, 16, 16), np.uint8)
    pairs = set(near_duplicates(hashes, same, [0] + [1] * 8))
    assert pairs == {(0, number) for number in range(1, 7)}
    assert all((hashes[a] ^ hashes[b]).bit_count() <= MAX_BITS for a, b in pairs)
    same[1] = 7
    assert (0, 1) not in set(near_duplicates(hashes, same, [0] + [1] * 8))


def test_hash_and_thumbnail_by_hand():
    # One wave across: of the 64 frequencies, the constant and that wave stand out, the others are zero.
    wave = 128 + 100 * np.cos(np.pi * 2 * (np.arange(32) + 0.5) / 32)
    bits = perceptual_hash(Image.fromarray(np.tile(wave, (32, 1)).round().astype("uint8")))
    assert bits >> 63 == bits >> 61 & 1 == 1
    assert bits >> 62 & 1 == 0
    assert thumbnail(Image.new("RGB", (50, 7), (10, 10, 10))).tolist() == [[10] * 16] * 16


def test_the_command(root, capsys):
    assert main(["check-data", f"folder:{root}", "--group-by", "(person[0-9]+)"]) == 0
    out = capsys.readouterr().out
    assert "no problem found" in out
    assert "height 90 to 90, width 100 to 100 pixels" in out
    (root / "test/cat/copy.png").write_bytes((root / "train/cat/person1_0.png").read_bytes())
    assert main(["check-data", f"folder:{root}"]) == 2
    out, error = capsys.readouterr()
    assert "problem: Pictures in more than one split" in out
    assert error == f"zoo check-data: error: folder:{root}: problems found: 1; see above\n"


def test_the_command_looks_at_the_splits_that_are_trained_on(tmp_path, capsys):
    """Training knows of no groups: a folder that it divides straddles, and shards that keep groups do not."""
    folder, shards, groups = tmp_path / "folder", tmp_path / "shards", ["--group-by", "(person[0-9]+)"]
    for number in range(40):
        path = folder / ("cat", "dog")[number % 2] / f"person{number // 4}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cut(number).save(path)
    assert main(["check-data", f"folder:{folder}", *groups]) == 2
    assert "problem: Groups in more than one split: " in capsys.readouterr().out
    assert main(["shard", "--data", f"folder:{folder}", "--out", str(shards), *groups]) == 0
    assert main(["check-data", f"shards:{shards}", *groups]) == 0
