"""Sound, text and signals through the same run as pictures: train, evaluate, predict, report."""

import json

import numpy as np
import pytest

import zoo
from zoo import runs
from zoo.data import DataError


def train(model, data, folder, **settings):
    settings = runs.Settings(model=model, data=data, epochs=1, batch_size=16, **settings)
    return runs.train(settings, folder / "run")


def whole(run):
    """What each finished run has."""
    assert (run.folder / "report.html").stat().st_size > 10_000
    again = runs.open_run(run.folder)
    assert again.evaluate("test")["accuracy"] == run.result()["evaluation"]["accuracy"]
    return again


def test_signals(tmp_path):
    run = whole(train("fcn_1d", "signals:cbf", tmp_path))
    assert "What the network looked at" not in (run.folder / "report.html").read_text()
    signal = np.random.default_rng(0).normal(size=128)
    np.save(tmp_path / "a.npy", signal)
    np.savetxt(tmp_path / "b.csv", signal)
    first, second = run.predict([tmp_path / "a.npy", tmp_path / "b.csv"], top=3)
    assert {name for name, _ in first} == {"cylinder", "bell", "funnel"}
    np.testing.assert_allclose([value for _, value in first], [value for _, value in second], atol=1e-5)
    np.save(tmp_path / "a.npy", np.zeros(100))
    with pytest.raises(DataError, match=r"expected a signal of \(128, 1\). Received: \(100, 1\)"):
        run.predict([tmp_path / "a.npy"])


def test_text_keeps_its_vocabulary_with_the_run(tmp_path):
    run = whole(train("kim_cnn_rand", "text:order", tmp_path, knobs={"widths": (2,), "filters": 10, "dimensions": 8}))
    form = json.loads((run.folder / "config.json").read_text())["data"]["form"]
    assert form["symbols"][:2] == ["", "[UNK]"]
    assert run.model.get_layer("embedding").input_dim == len(form["symbols"])
    page = (run.folder / "report.html").read_text()
    assert page.count('<p class="marked"><mark style="--weight: ') == 12
    assert "Most telling pieces" in page
    (tmp_path / "a.txt").write_text("The film was not good but bad")
    ((_, probability), _) = run.predict([tmp_path / "a.txt"])[0]
    assert 0.5 <= probability <= 1
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"a\.txt:1: this is not UTF-8"):
        run.predict([tmp_path / "a.txt"])


def test_networks_that_read_characters_get_characters():
    card = zoo.model_card("vdcnn9")
    dataset = zoo.data.load("text:order").for_model(card.modality, card.input_shape, card.symbols)
    assert dataset.form["kind"] == "characters"
    assert dataset.image_shape == (1014,)
    # One number for each of 70 characters, and one for padding: VDCNN's embedding holds them, the paper's has 69.
    from zoo.runs.training import _told

    assert _told(dataset, "vdcnn9") == {"vocabulary": 71}
    assert _told(dataset, "char_cnn_small") == {}  # whose columns are fixed


def test_sound(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    for label, hertz in (("low", 300), ("high", 2500)):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for index in range(20):
            tone = 0.3 * np.sin(2 * np.pi * (hertz + 10 * index) * np.arange(12000) / 16000)
            soundfile.write(tmp_path / "clips" / label / f"{index}.wav", tone, 16000)
    run = whole(
        train("ds_cnn_s", f"wav:{tmp_path / 'clips'}", tmp_path, augment="timeshift+noise+specaugment(bands=2)")
    )
    assert run.model.input_shape == (None, 49, 10, 1)
    assert "What decided for" in (run.folder / "report.html").read_text()
    assert len(run.predict([tmp_path / "clips" / "low" / "3.wav"])[0]) == 2


def test_network_and_data_must_be_of_one_kind(tmp_path):
    with pytest.raises(DataError, match="digits holds pictures, and the network takes signal"):
        train("fcn_1d", "digits", tmp_path)
    with pytest.raises(DataError, match="signals:cbf is signal, and the network takes image"):
        train("resnet20", "signals:cbf", tmp_path)
    with pytest.raises(ValueError, match="normalization are for pictures, and not for signals:cbf"):
        train("fcn_1d", "signals:cbf", tmp_path, image_size=(8, 8))
    with pytest.raises(DataError, match="There are augmentations for pictures"):
        train("fcn_1d", "signals:cbf", tmp_path, augment="flip")


def test_pictures_of_examples_that_are_none():
    from zoo.runs.drawing import draw_example

    ramp = np.linspace(-1, 1, 50)[:, None]
    picture = draw_example(ramp)[..., 0]
    rows = [np.flatnonzero(picture[:, column] < 128).mean() for column in (5, 64, 120)]
    assert rows[0] > rows[1] > rows[2]
    bands = np.zeros((6, 4, 1))
    bands[2, 0] = 1  # low frequencies are at the bottom, loud ones dark
    assert draw_example(bands)[-1, 2, 0] == 0
    assert (draw_example(np.array([1, 2]), lambda numbers: "WORDS") < 128).any()


def test_forms_are_checked():
    with pytest.raises(DataError, match="The form of an example is signal, words, characters or sound. Received: 'x'"):
        zoo.data.example_reader({"kind": "x"})
    with pytest.raises(DataError, match="is not of the form signal of"):
        zoo.data.in_form(zoo.data.load("signals:cbf"), {"kind": "signal", "shape": [60, 1]})
