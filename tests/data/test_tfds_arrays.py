"""Sound and text of TensorFlow Datasets: mocked, and prepared for real without a network."""

import numpy as np
import pytest

import zoo
from zoo import cli, runs
from zoo.data import DataError

tfds = pytest.importorskip("tensorflow_datasets", reason="the extra 'data' is not installed")
# Imported behind the check, for it is of no use without the package.
from zoo.data.tfds_arrays import warden_copies  # noqa: E402


class SpokenTones(tfds.core.GeneratorBasedBuilder):
    """Two words at 8 kHz, many other words, little silence; the test split has as many of each."""

    VERSION = tfds.core.Version("1.0.0")
    COUNTS = {"train": (60, 40, 50, 3), "validation": (20, 20, 30, 1), "test": (5, 5, 5, 5)}  # noqa: RUF012
    HERTZ = (300, 1200, 2500, 0)

    def _info(self):
        features = {
            "audio": tfds.features.Audio(sample_rate=8000, dtype=np.int16),
            "label": tfds.features.ClassLabel(names=["low", "high", "_unknown_", "_silence_"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.COUNTS}

    def _generate_examples(self, split):
        time = np.arange(4000) / 8000
        for label, (count, hertz) in enumerate(zip(self.COUNTS[split], self.HERTZ, strict=True)):
            for index in range(count):
                wave = 8000 * np.sin(2 * np.pi * hertz * time) if hertz else np.full(4000, 1000.0)
                yield f"{label}-{index}", {"audio": wave.astype(np.int16), "label": label}


@pytest.mark.parametrize(
    ("name", "classes", "first"),
    [("ag_news_subset", 4, "World"), ("imdb_reviews", 2, "neg")],
)
def test_texts_of_tensorflow_datasets(name, classes, first, tmp_path):
    with tfds.testing.mock_data(num_examples=60):
        raw = zoo.data.load(f"tfds:{name}", data_dir=tmp_path, download=True)
        again = zoo.data.load(f"tfds:{name}", data_dir=tmp_path, download=True)
    assert len(raw.classes) == classes
    assert raw.classes[0] == first  # in the order of the set, which numbers them so
    assert raw.fingerprint == again.fingerprint
    assert sum(raw.num_examples.values()) == 60  # without its metadata the mock knows of "train" alone
    dataset = raw.for_model("text", (400,))
    values, labels = next(iter(dataset.pipeline("train", batch_size=8, training=True).epoch()))
    assert values.dtype == "int32"
    assert int(labels.numpy().max()) < classes


def test_a_title_stands_before_the_text(tmp_path):
    with tfds.testing.mock_data(num_examples=12):
        raw = zoo.data.load("tfds:ag_news_subset", data_dir=tmp_path, download=True)
        examples = list(tfds.builder("ag_news_subset", data_dir=tmp_path).as_dataset(split="train").as_numpy_iterator())
    texts = {text for part in raw.splits.values() for text in part.values}
    assert texts == {f"{example['title'].decode()} {example['description'].decode()}" for example in examples}


@pytest.mark.parametrize(
    ("model", "name", "options", "shape"),
    [
        pytest.param(
            "ds_cnn_s",
            "speech_commands?rule=warden",
            ("--augment", "specaugment"),
            (None, 49, 10, 1),
            marks=pytest.mark.slow,
        ),
        ("kim_cnn_rand", "ag_news_subset", ("--set", "filters=4"), None),
        pytest.param("kim_cnn_rand", "imdb_reviews", ("--set", "filters=4"), None, marks=pytest.mark.slow),
    ],
)
def test_networks_are_trained_on_mocked_sets(model, name, options, shape, tmp_path, monkeypatch):
    load = zoo.data.load
    monkeypatch.setattr(zoo.data, "load", lambda name, **options: load(
        name, **options, data_dir=tmp_path / "tfds", download=True))  # fmt: skip
    command = ["train", model, "--data", f"tfds:{name}", "--out", str(tmp_path / "run"), "--epochs", "1", *options]
    with tfds.testing.mock_data(num_examples=60):
        assert cli.main(command) == 0
        run = runs.open_run(tmp_path / "run")
        classes = run.dataset.classes
    assert shape is None or run.model.input_shape == shape
    assert run.model.output_shape == (None, len(classes))
    assert run.result()["evaluation"]["examples"] > 0


@pytest.fixture
def data_dir(tmp_path):
    SpokenTones(data_dir=tmp_path).download_and_prepare()
    return tmp_path


def test_sound_is_brought_to_the_common_rate_and_length(data_dir):
    raw = zoo.data.load("tfds:spoken_tones?bands=32", data_dir=data_dir)
    assert raw.classes == ("low", "high", "_unknown_", "_silence_")
    assert raw.num_examples == {"train": 153, "validation": 71, "test": 20}
    test = raw.splits["test"]
    assert test.values.shape == (20, 16000)
    for label, hertz in ((0, 300), (1, 1200), (2, 2500)):
        clip = test.scaled[test.labels == label][0]
        assert np.abs(clip[:3900]).max() == 0  # half a second in the middle of a whole one
        assert np.abs(np.fft.rfft(clip)).argmax() == pytest.approx(hertz, abs=2)
        assert np.abs(clip).max() == pytest.approx(8000 / 32768, rel=0.1)
    dataset = raw.for_model("audio", (98, 40, 1))
    spectrogram, _ = next(iter(dataset.pipeline("test", batch_size=4).epoch()))
    assert spectrogram.shape == (4, 98, 32, 1)
    reread = next(iter(raw.pipeline("test", batch_size=20).epoch()))[0].numpy()
    np.testing.assert_array_equal(reread, test.scaled)


def test_wardens_rule_gives_a_tenth_of_silence_and_of_unknown_words(data_dir):
    dataset = zoo.data.load("tfds:spoken_tones?rule=warden", data_dir=data_dir)
    counts = {split: np.bincount(part.labels).tolist() for split, part in dataset.splits.items()}
    assert counts == {"train": [60, 40, 10, 10], "validation": [20, 20, 4, 4], "test": [5, 5, 5, 5]}
    train = dataset.splits["train"]
    assert len(set(train.names)) == len(train.names)
    loudness = sorted(np.abs(train.values[train.labels == 3]).max(1).tolist())
    assert loudness[0] < 0.5 * loudness[-1]  # silence comes several times, softer each time
    again = zoo.data.load("tfds:spoken_tones?rule=warden", data_dir=data_dir)
    other = zoo.data.load("tfds:spoken_tones?rule=warden", data_dir=data_dir, split_seed=1)
    assert list(again.splits["train"].names) == list(train.names)
    assert list(other.splits["train"].names) != list(train.names)


def test_the_rule_takes_all_where_there_are_too_few():
    classes = ("a", "_silence_", "_unknown_")
    labels = np.array([0] * 100 + [2] * 4)
    copies = warden_copies(labels, classes, [str(index) for index in range(104)], 0)
    assert copies.tolist() == [1] * 104


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spoken_tones?rule=half", "The rule is warden, for sets with the classes _silence_ and _unknown_."),
        ("spoken_tones?band=3", "A front-end has sample_rate"),
    ],
)
def test_wrong_options_are_refused(data_dir, name, message):
    with pytest.raises(DataError, match=message):
        zoo.data.load(f"tfds:{name}", data_dir=data_dir)


def test_options_are_for_sound(tmp_path):
    with (
        tfds.testing.mock_data(num_examples=3),
        pytest.raises(DataError, match=r"Options are for sound, and tfds:imdb_reviews holds none. Received: 'bands=4'"),
    ):
        zoo.data.load("tfds:imdb_reviews?bands=4", data_dir=tmp_path, download=True)
