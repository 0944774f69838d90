"""`zoo export` on a run of digits: 8 bits in every runtime, and files as the input."""

import json

import numpy as np
import pytest
import tensorflow as tf
from deploy.networks import needs_format
from PIL import Image
from sklearn.datasets import load_digits

from zoo import cli, runs
from zoo.deploy import Predictor, engines, formats, open_export

EIGHT_BITS = [name for name, item in formats.FORMATS.items() if item.quantise is not None]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small network that tells digits apart."""
    settings = runs.Settings(model="simple_cnn", data="digits", epochs=6, batch_size=64, seed=2)
    return runs.train(settings, tmp_path_factory.mktemp("deploy") / "run")


def test_the_options_are_what_there_is():
    assert ("auto", *engines.ENGINES) == cli.ENGINES
    assert cli.PRECISIONS == engines.PRECISIONS
    assert tuple(formats.FORMATS) == cli.FORMATS


@pytest.mark.slow
@pytest.mark.parametrize("name", EIGHT_BITS)
def test_the_command_writes_8_bits_with_the_preprocessing_inside(name, run, tmp_path, capsys):
    needs_format(name, int8=True)
    arguments = ["--to", name, "--int8", "--calibration-examples", "64", "--preprocessing", "inside", "--json"]
    assert cli.main(["export", str(run.folder), "--out", str(tmp_path / "out"), "--examples", "200", *arguments]) == 0
    manifest = json.loads(capsys.readouterr().out)
    accuracy = manifest["compared"]["accuracy"]
    assert accuracy["float32"] - accuracy["int8"] <= 0.02
    assert accuracy["float32"] > 0.85
    assert manifest["compared"]["same_class"] > 0.95
    assert (manifest["precision"], manifest["input"]["dtype"]) == ("int8", "uint8")
    assert manifest["classes"] == [str(digit) for digit in range(10)]
    assert manifest["bytes"] < 0.45 * 4 * run.model.count_params()
    found = Predictor(tmp_path / "out", batch_sizes=(4,))
    assert found.precision == "int8"
    values, _ = run.examples("test", 30)
    answers = found(np.rint(values * 255).astype("uint8"))
    assert (answers.argmax(-1) == np.asarray(run.model(values)).argmax(-1)).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("where", ["inside", "outside"])
def test_a_saved_model_reads_files(where, run, tmp_path, capsys):
    arguments = ["export", run.folder, "--to", "saved_model", "--out", tmp_path / "out", "--preprocessing", where]
    assert cli.main(list(map(str, arguments))) == 0
    assert "compared on 64 examples: differs from Keras by" in capsys.readouterr().out
    files = []
    for index in range(5):
        picture = Image.fromarray(np.rint(load_digits().images[index] * 255 / 16).astype("uint8"))
        files.append(tmp_path / f"{index}.png")
        picture.save(files[-1])
    loaded = tf.saved_model.load(str(tmp_path / "out" / "model"))
    contents = tf.constant([file.read_bytes() for file in files])
    found = loaded.signatures["serving_jpeg"](contents=contents)["output"].numpy()
    expected = run.predict(files, top=1)
    classes = open_export(tmp_path / "out").manifest["classes"]
    for row, ((name, probability),) in zip(found, expected, strict=True):
        assert classes[row.argmax()] == name
        assert row.max() == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{tmp}"], "is no finished run: it has no config.json"),
        (["resnet50:nowhere"], "nowhere"),
        (["resnet20"], "resnet20"),
        (["{tmp}", "--int8"], "saved_model has no int8"),
        (["{tmp}", "--calibrate", "digits"], "--calibrate is for --int8. Received: --calibrate digits alone"),
        (["{tmp}", "--examples", "0"], "--examples must be at least 1. Received: --examples 0"),
    ],
)
def test_the_command_refuses(arguments, text, tmp_path, capsys):
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    assert cli.main(["export", *arguments, "--to", "saved_model", "--out", str(tmp_path / "out")]) == 2
    assert text in capsys.readouterr().err
