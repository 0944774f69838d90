"""Exports: written, read again in their own runtime, compared; what is not right is not written."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from deploy.networks import needs_format, of_any_size, of_words, pictures, two_outputs

import zoo
from zoo.deploy import Predictor, export, exports, formats, open_export
from zoo.weights import Preprocessing


@pytest.mark.parametrize("name", formats.FORMATS)
def test_an_export_answers_as_keras_does(name, tmp_path):
    needs_format(name)
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


def test_pixels_alone_are_resized_cropped_and_filled_as_before():
    preprocessing = Preprocessing(resize_size=20, crop_size=24, crop_mode="border", channel_order="BGR")
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
    needs_format("litert")
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
    zoo.weights.save(of_words(), tmp_path / "weights")
    with pytest.raises(ValueError, match=r"is no export: its manifest\.json is of something else"):
        Predictor(tmp_path / "weights")


def test_a_float_export_is_not_run_in_8_bits(tmp_path):
    needs_format("openvino")
    export(of_words(), tmp_path / "out", to="openvino", examples=np.ones((2, 12), "int32"))
    with pytest.raises(
        ValueError, match="holds float32 for openvino, which stays as it is. Received: precision='int8'"
    ):
        Predictor(tmp_path / "out", precision="int8")


def test_an_export_has_its_engine_and_its_precision(tmp_path):
    export(of_words(), tmp_path / "out", to="saved_model", examples=np.ones((2, 12), "int32"))
    with pytest.raises(ValueError, match="out is a file for tensorflow. Received: engine='onnxruntime'"):
        Predictor(tmp_path / "out", engine="onnxruntime")
    with pytest.raises(ValueError, match="holds float32 for tensorflow, which stays as it is. Received: precision='bf"):
        Predictor(tmp_path / "out", precision="bfloat16")
    with pytest.raises(ValueError, match="out takes no pixels. Export again with the preprocessing inside"):
        Predictor(tmp_path / "out", include_preprocessing=True)


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
    with pytest.raises(ValueError, match=r"shape \(None, None, 1\)\. Give input_shape"):
        export(of_any_size(), tmp_path / "a", to="saved_model", examples=pictures(1))
