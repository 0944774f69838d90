"""Exports: written, read again in their own runtime, compared; what is not right is not written."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from deploy.networks import of_any_size, of_words, pictures, two_outputs
from PIL import Image
from sklearn.datasets import load_digits

from zoo import cli, runs
from zoo.deploy import Predictor, engines, export, exports, formats, open_export
from zoo.weights import Preprocessing

EIGHT_BITS = [name for name, item in formats.FORMATS.items() if item.quantise is not None]


def needs(name, int8=False):
    item = formats.FORMATS[name]
    if item.engine not in engines.installed():
        pytest.skip(f"{item.engine} is not installed")
    if int8 and item.quantiser is not None:
        pytest.importorskip(item.quantiser)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small network that tells digits apart."""
    settings = runs.Settings(model="simple_cnn", data="digits", epochs=6, batch_size=64, seed=2)
    return runs.train(settings, tmp_path_factory.mktemp("deploy") / "run")


@pytest.mark.parametrize("name", formats.FORMATS)
def test_an_export_answers_as_keras_does(name, tmp_path):
    needs(name)
    model, x = two_outputs(), pictures(5)
    written = export(model, tmp_path / "out", to=name, examples=x, facts={"source": "here"})
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest == written.manifest == open_export(tmp_path / "out").manifest
    assert (manifest["to"], manifest["precision"], manifest["source"]) == (name, "float32", "here")
    assert manifest["input"] == {"shape": [8, 8, 3], "dtype": "float32"}
    assert manifest["outputs"] == {"names": ["value", "policy"], "shapes": [[1], [5]]}
    assert manifest["compared"]["examples"] == 5
    assert 0 <= manifest["compared"]["difference"] < 1e-5
    assert manifest["versions"]["tensorflow"] == tf.__version__
    found = Predictor(tmp_path / "out", batch_sizes=(1, 4))
    assert (found.engine, found.precision) == (formats.FORMATS[name].engine, "float32")
    assert found.why == f"{found.engine}, which runs the export's {name}"
    for key, value in model(x).items():
        np.testing.assert_allclose(found(x)[key], value, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", EIGHT_BITS)
def test_the_command_writes_8_bits_with_the_preprocessing_inside(name, run, tmp_path, capsys):
    needs(name, int8=True)
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


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_pixels_alone_are_resized_cropped_and_filled_as_before(order):
    preprocessing = Preprocessing(resize_size=20, crop_size=24, crop_mode="border", channel_order=order)
    photo = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype("uint8")
    pixels = exports.whole_pixels(exports.pixels_only(preprocessing)(photo))
    again = preprocessing.layer()(pixels[None])[0]
    np.testing.assert_allclose(again, preprocessing(photo), atol=1e-5)


def test_what_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    item = formats.FORMATS["saved_model"]
    model, x = of_words(), np.ones((2, 12), "int32")

    def changed(path, graph):
        right = item.read(path, graph)
        return dataclasses.replace(right, function=lambda images: [value + 1 for value in right.function(images)])

    monkeypatch.setitem(formats.FORMATS, "saved_model", dataclasses.replace(item, read=changed))
    with pytest.raises(ValueError, match=r"saved_model answers otherwise than Keras: by .* Nothing was written\."):
        export(model, tmp_path / "out", to="saved_model", examples=x)
    assert list(tmp_path.iterdir()) == []


def test_8_bits_that_cost_too_much_are_not_written(tmp_path):
    needs("litert")
    model, x = two_outputs(), 50 * pictures(6)
    model = keras.Model(model.input, model.output["policy"])
    labels = np.asarray(model(x)).argmax(-1)
    # All ranges are those of empty pictures.
    arguments = {"to": "litert", "examples": x, "int8": True, "calibrate": np.zeros_like(x), "max_loss": 0}
    with pytest.raises(ValueError, match=r"the accuracy falls by .* % of 6 examples, more than 0 %\. Nothing was writ"):
        export(model, tmp_path / "out", labels=labels, **arguments)
    with pytest.raises(ValueError, match="int8 costs too much: the part that gets another class is"):
        export(model, tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_export_is_refused(tmp_path):
    export(of_words(), tmp_path / "out", to="saved_model", examples=np.ones((2, 12), "int32"))
    file = tmp_path / "out" / "model" / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"saved_model\.pb is missing or not what was written\. Export again\."):
        Predictor(tmp_path / "out")
    (tmp_path / "out" / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="has format 99, this version reads 1"):
        open_export(tmp_path / "out")
    with pytest.raises(ValueError, match=r"is no export: it has no manifest\.json\."):
        open_export(tmp_path)


def test_an_export_has_its_engine_and_its_precision(tmp_path):
    export(of_words(), tmp_path / "out", to="saved_model", examples=np.ones((2, 12), "int32"))
    with pytest.raises(ValueError, match="out is a file for tensorflow. Received: engine='onnxruntime'"):
        Predictor(tmp_path / "out", engine="onnxruntime")
    with pytest.raises(ValueError, match="holds float32 for tensorflow, which stays as it is. Received: precision='bf"):
        Predictor(tmp_path / "out", precision="bfloat16")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"to": "torch"}, "to must be one of 'saved_model', 'onnx', 'openvino', 'litert'. Received: to='torch'"),
        ({"int8": True}, "saved_model has no int8. Formats that have: onnx, openvino, litert"),
        ({"calibrate": pictures(1)}, r"nothing else does\. Received: int8=False, calibrate=\(1, 8, 8, 3\)"),
        ({"max_loss": 2}, "max_loss must be from 0 to 1. Received: max_loss=2"),
        ({"inside": True}, "inside needs preprocessing. Received: preprocessing=None"),
        ({"examples": pictures(2, (4, 8, 3))}, r"examples must be of shape \(n, 8, 8, 3\)\. Received: \(2, 4, 8, 3\)"),
        ({"labels": np.zeros(3)}, r"labels must be one to each of 2 examples\. Received: \(3,\)"),
    ],
)
def test_what_cannot_be_is_refused(changes, text, tmp_path):
    arguments = {"to": "saved_model", "examples": pictures(2), **changes}
    with pytest.raises(ValueError, match=text):
        export(two_outputs(), tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_places_and_sizes_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="is there already. Remove it, or give another folder"):
        export(two_outputs(), tmp_path, to="saved_model", examples=pictures(1))
    with pytest.raises(ValueError, match="is no folder. Make it, or give another one"):
        export(two_outputs(), tmp_path / "a" / "b", to="saved_model", examples=pictures(1))
    with pytest.raises(ValueError, match=r"shape \(None, None, 1\)\. Build it with input_shape"):
        export(of_any_size(), tmp_path / "a", to="saved_model", examples=pictures(1))


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
