import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from PIL import Image

import zoo
from zoo.weights import Preprocessing, PreprocessingLayer

PHOTOGRAPHS = [Path(sklearn.datasets.__file__).parent / "images" / name for name in ("china.jpg", "flower.jpg")]
FORMS = {
    "torchvision": Preprocessing(),
    "timm": Preprocessing.from_crop_pct(96, 0.95, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3),
    "border": Preprocessing.from_crop_pct((80, 120), 0.9, crop_mode="border"),
    "squash": Preprocessing(resize_size=(64, 48), crop_size=None, crop_mode="squash", interpolation="lanczos"),
    "caffe": Preprocessing.from_keras_mode("caffe", resize_size=64, crop_size=56),
    "inception": Preprocessing(
        resize_size=80, crop_size=75, input_transform=((0.458, 0.448, 0.45), (-0.03, -0.09, -0.2))
    ),
}


@pytest.fixture(scope="module")
def picture():
    return np.asarray(Image.open(PHOTOGRAPHS[0]))[:300, :400]


@pytest.fixture(params=FORMS)
def preprocessing(request):
    return FORMS[request.param]


def by_hand(picture, size, resized, box):
    """Pillow's resize and crop, then numpy."""
    image = Image.fromarray(picture).resize(resized[::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(image).astype("float32")[box[0] : box[0] + size, box[1] : box[1] + size]
    return (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)


def test_the_short_side_is_resized_and_the_middle_cut_out(picture):
    # 256 * 400 / 300 = 341.3, cut off; (341 - 224) / 2 = 58.5, rounded to even
    actual = Preprocessing()(picture)
    np.testing.assert_allclose(actual, by_hand(picture, 224, (256, 341), (16, 58)), atol=1e-5)
    assert actual.dtype == "float32"
    turned = np.ascontiguousarray(picture.transpose(1, 0, 2))
    np.testing.assert_allclose(Preprocessing()(turned), by_hand(turned, 224, (341, 256), (58, 16)), atol=1e-5)


def test_everything_that_holds_a_picture_gives_the_same(picture, preprocessing, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    expected = preprocessing(picture).numpy()
    np.testing.assert_array_equal(preprocessing(path), expected)
    np.testing.assert_array_equal(preprocessing(str(path)), expected)
    np.testing.assert_array_equal(preprocessing(Image.open(path)), expected)
    np.testing.assert_array_equal(preprocessing(tf.constant(picture)), expected)
    np.testing.assert_array_equal(preprocessing(tf.constant(str(path))), expected)
    batch = preprocessing(np.stack([picture, picture[::-1]]))
    np.testing.assert_array_equal(batch[0], expected)
    np.testing.assert_array_equal(batch[1], preprocessing(picture[::-1]))


def test_lists_hold_pictures_of_different_kinds_and_sizes(picture):
    preprocessing = FORMS["timm"]
    mixed = [PHOTOGRAPHS[1], picture, Image.fromarray(picture[:50, :200]), tf.constant(picture[:20, :20])]
    batch = preprocessing(mixed)
    assert batch.shape == (4, 96, 96, 3)
    for single, row in zip(mixed, batch, strict=True):
        np.testing.assert_array_equal(preprocessing(single), row)


def test_in_tf_data_it_does_the_same(picture, preprocessing, tmp_path):
    pictures = [picture, np.ascontiguousarray(picture[:, :150]), picture[:33, :77]]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(pictures), output_signature=tf.TensorSpec((None, None, 3), tf.uint8)
    )
    for element, actual in zip(pictures, dataset.map(preprocessing), strict=True):
        np.testing.assert_array_equal(actual, preprocessing(element))
    labelled = tf.data.Dataset.zip(dataset, tf.data.Dataset.range(3)).map(preprocessing, num_parallel_calls=2)
    for number, (element, (actual, label)) in enumerate(zip(pictures, labelled, strict=True)):
        np.testing.assert_array_equal(actual, preprocessing(element))
        assert label == number
    batches = tf.data.Dataset.from_tensors(np.stack([picture] * 2)).map(preprocessing)
    np.testing.assert_array_equal(next(iter(batches))[1], preprocessing(picture))


def test_paths_in_tf_data_are_read_by_the_same_decoder():
    paths = tf.data.Dataset.from_tensor_slices([str(path) for path in PHOTOGRAPHS])
    preprocessing = FORMS["torchvision"]
    batch = next(iter(paths.map(preprocessing, num_parallel_calls=2).batch(2)))
    np.testing.assert_array_equal(batch, preprocessing(PHOTOGRAPHS))


def test_the_input_is_never_changed(picture, preprocessing):
    for given in (picture.copy(), picture.astype("float32"), picture[np.newaxis].astype("float64")):
        before = given.copy()
        preprocessing(given)
        preprocessing.layer()(given if given.ndim == 4 else given[np.newaxis])
        np.testing.assert_array_equal(given, before)


def test_floating_point_pictures_of_any_range(picture):
    preprocessing = Preprocessing(resize_size=96, crop_size=90, mean=(0.5,) * 3, std=(0.5,) * 3)
    expected = preprocessing(picture.astype("float32"))
    # Without the rounding to 8 bits: nearly, but not quite, what uint8 gives.
    difference = np.abs(expected - preprocessing(picture)).max()
    assert 0 < difference < 4 / 255
    np.testing.assert_allclose(preprocessing(picture / 255, value_range=(0, 1)), expected, atol=1e-5)
    np.testing.assert_allclose(preprocessing(picture / 127.5 - 1, value_range=(-1, 1)), expected, atol=1e-5)
    halves = preprocessing(picture.astype("float16"))
    np.testing.assert_array_equal(halves, expected)


def test_grey_pictures_become_colour(picture, tmp_path):
    grey = np.ascontiguousarray(picture[..., 1])
    expected = FORMS["timm"](np.repeat(grey[..., np.newaxis], 3, axis=-1))
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for given in (grey, grey[..., np.newaxis], Image.fromarray(grey), tmp_path / "grey.png"):
        np.testing.assert_array_equal(FORMS["timm"](given), expected)


def test_one_channel(picture):
    preprocessing = Preprocessing(resize_size=64, crop_size=56).grey()
    assert preprocessing.channels == 1
    assert preprocessing.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    actual = preprocessing(Image.fromarray(picture))
    assert actual.shape == (56, 56, 1)
    np.testing.assert_array_equal(preprocessing(np.asarray(Image.fromarray(picture).convert("L"))), actual)
    grey = FORMS["inception"].grey()
    assert grey.input_transform == (pytest.approx((0.452,)), pytest.approx((-0.32 / 3,)))


def test_from_a_record():
    facts = {"resize_size": 235, "eval_size": 224, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3}
    plain = Preprocessing.from_record(SimpleNamespace(**facts, crop_mode=None, tag="timm.a1"))
    assert plain == Preprocessing.from_crop_pct(224, 0.95, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    full = Preprocessing.from_record(
        SimpleNamespace(**facts, crop_mode="border", antialias=False, rescale=1.0, channel_order="BGR")
    )
    assert (full.crop_mode, full.antialias, full.rescale, full.channel_order) == ("border", False, 1.0, "BGR")
    with pytest.raises(ValueError, match="interpolation must be one of"):
        Preprocessing.from_record(SimpleNamespace(**{**facts, "interpolation": "random"}))


def test_a_models_preprocessor_is_that_of_its_record(monkeypatch):
    asked = []

    def find(model, weights):
        asked.append((model, weights))
        return SimpleNamespace(resize_size=232, eval_size=224, interpolation="bilinear", mean=(0,) * 3, std=(1,) * 3)

    monkeypatch.setitem(sys.modules, "zoo.weights.published", SimpleNamespace(find=find))
    preprocessing = zoo.preprocessor("resnet50", weights="torchvision.v2")
    assert preprocessing == Preprocessing(resize_size=232, mean=(0,) * 3, std=(1,) * 3)
    zoo.preprocessor("resnet50")
    assert asked == [("resnet50", "torchvision.v2"), ("resnet50", None)]


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_keras_modes(picture, mode):
    pixels = picture.astype("float32")
    expected = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode=mode)
    preprocessing = Preprocessing.from_keras_mode(mode)
    for actual in (preprocessing(picture), preprocessing(pixels), preprocessing.layer()(pixels[np.newaxis])[0]):
        np.testing.assert_allclose(actual, expected, atol=2e-5)
    low, high = preprocessing.value_range
    assert low <= expected.min()
    assert high >= expected.max()


def test_small_pictures_are_padded(picture):
    small = picture[:5, :20]
    plain = {"resize_size": None, "crop_size": (8, 12), "mean": (0, 0, 0), "std": (1, 1, 1), "rescale": 1}
    expected = np.zeros((8, 12, 3))
    expected[1:6] = small[:, 4:16]
    np.testing.assert_array_equal(Preprocessing(**plain)(small), expected)
    filled = Preprocessing(**{**plain, "mean": (1, 2, 3)}, crop_mode="border", channel_order="BGR")(small)
    # The fill is the mean, so that it is 0 in the result; the mean is blue first as the result is.
    assert (filled.numpy()[[0, 6, 7]] == 0).all()
    np.testing.assert_array_equal(filled[1:6], small[:, 4:16, ::-1] - np.float32([1, 2, 3]))
    beyond = Preprocessing(**{**plain, "mean": (-1, 2, 300)}, crop_mode="border")(small)
    np.testing.assert_array_equal(beyond[0, 0], [0 + 1, 2 - 2, 255 - 300])


def test_input_transform(picture):
    plain = Preprocessing(resize_size=64, crop_size=56)(picture).numpy()
    scale, offset = (2.0, 3.0, 4.0), (0.5, -1.0, 0.0)
    transformed = Preprocessing(resize_size=64, crop_size=56, input_transform=(scale, offset))(picture)
    np.testing.assert_allclose(transformed, plain * scale + offset, atol=1e-5)


def test_config_and_file(preprocessing, tmp_path):
    config = preprocessing.to_config()
    assert json.loads(json.dumps(config)) == config
    assert Preprocessing.from_config(config) == preprocessing
    preprocessing.save(tmp_path / "preprocessing.json")
    assert Preprocessing.load(tmp_path / "preprocessing.json") == preprocessing
    assert hash(Preprocessing.from_config(config)) == hash(preprocessing)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"mean": [0]}', "null"])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "file.json").write_text(content)
    with pytest.raises(ValueError, match="file.json holds no Preprocessing: "):
        Preprocessing.load(tmp_path / "file.json")


def test_unknown_fields_are_refused():
    config = Preprocessing().to_config()
    with pytest.raises(ValueError, match="unknown 'crop_pct', missing 'mean'"):
        Preprocessing.from_config({**{k: v for k, v in config.items() if k != "mean"}, "crop_pct": 0.9})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("resize_size", 0, "resize_size must be a number of pixels, .height, width. or None. Received: resize_size=0"),
        ("crop_size", (3, 4, 5), "crop_size must be a number of pixels"),
        ("crop_size", True, "crop_size must be a number of pixels"),
        ("crop_size", 3.5, "crop_size must be a number of pixels"),
        ("crop_mode", "middle", "crop_mode must be one of 'center', 'squash', 'border'. Received: crop_mode='middle'"),
        ("interpolation", "cubic", "interpolation must be one of 'nearest', 'bilinear', 'bicubic', 'lanczos'"),
        ("channel_order", "GBR", "channel_order must be one of 'RGB', 'BGR'"),
        ("antialias", None, "antialias must be one of True, False"),
        ("mean", (0.5, 0.5), "std must be 2 finite number"),
        ("mean", (0.5,) * 4, "std must be 4 finite number"),
        ("mean", (float("nan"),) * 3, "mean must be finite numbers, one for each channel"),
        ("mean", 0.5, "mean must be finite numbers"),
        ("std", (0.1, 0.0, 0.1), "rescale and std must be above 0"),
        ("rescale", -1, "rescale and std must be above 0"),
        ("rescale", "1/255", "rescale must be 1 finite number"),
        ("input_transform", (1, 2, 3), "input_transform must be None or .scale, offset.. Received: .1, 2, 3."),
        ("input_transform", ((1, 2), (3, 4)), "input_transform must be 3 finite number"),
    ],
)
def test_illegal_fields(field, value, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**{field: value})


def test_illegal_forms():
    with pytest.raises(ValueError, match="mean must have 1 number .grey. or 3 .colour.. Received: mean="):
        Preprocessing(mean=(0.5,) * 4, std=(1,) * 4)
    with pytest.raises(ValueError, match="crop_pct must be above 0 and at most 1. Received: crop_pct=1.1"):
        Preprocessing.from_crop_pct(224, 1.1)
    with pytest.raises(ValueError, match="mode must be one of 'caffe', 'tf', 'torch'. Received: mode='keras'"):
        Preprocessing.from_keras_mode("keras")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 20, 20), "uint8"), r"must have 3 channels or 1, last. Received: shape \(3, 20, 20\)"),
        (np.zeros((20, 20, 4), "uint8"), "must have 3 channels or 1, last"),
        (np.zeros(20, "uint8"), r"Pictures must have the shape .*Received: shape \(20,\)"),
        (np.zeros((0, 20, 3), "uint8"), r"A picture must have pixels. Received: shape \(0, 20, 3\)"),
        (np.zeros((20, 20, 3), "int64"), "must be uint8 or floating-point. Received: int64. Cast to uint8"),
        (np.full((20, 20, 3), 0.7, "float32"), "Pictures look like 0…1. Received: values from 0.7 to 0.7"),
        (np.full((20, 20, 3), 300.0), "outside of their range, or not finite. Received: values from 300 to 300"),
        (np.full((20, 20, 3), np.nan), "outside of their range, or not finite"),
        (Image.new("I;16", (20, 20)), "A PIL picture must have 8 bits a channel. Received: mode 'I;16'"),
        (keras.KerasTensor((1, 8, 8, 3)), r"Inside a model, preprocessing is a layer: preprocessing.layer\(\)\(x\)"),
        ([], "There is no picture: the list is empty"),
        ([np.zeros((2, 20, 20, 3), "uint8")], r"A list must hold single pictures .*Received: \(2, 224, 224, 3\)"),
        (tf.constant(["a.png"]), r"A string tensor must be one path.*Received: shape \(1,\)"),
        ("nowhere.png", "nowhere.png cannot be used: it cannot be read: No such file"),
    ],
)
def test_what_is_no_picture_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing()(given)


def test_a_list_of_different_sizes_needs_a_crop(picture):
    with pytest.raises(ValueError, match=r"one size after preprocessing. Received: \(64, 64, 3\), \(64, 85, 3\)"):
        Preprocessing(resize_size=64, crop_size=None)([picture, picture[:, :300]])


def test_a_range_that_does_not_rise(picture):
    with pytest.raises(ValueError, match="value_range must rise. Received: value_range=.1, 0."):
        Preprocessing()(picture / 255, value_range=(1, 0))


def test_wrong_values_are_refused_in_tf_data_too(picture):
    dataset = tf.data.Dataset.from_tensors(picture.astype("float32") / 255).map(Preprocessing())
    with pytest.raises(tf.errors.InvalidArgumentError, match="says what black and white are"):
        next(iter(dataset))
    unknown = tf.data.Dataset.from_tensors(b"").map(tf.io.decode_image)
    with pytest.raises(ValueError, match=r"Received: shape <unknown>. In tf.data, tf.ensure_shape says"):
        unknown.map(Preprocessing())


def test_a_layer_that_scales(picture, preprocessing):
    sized = preprocessing.crop_size or (64, 48)
    height, width = (sized, sized) if isinstance(sized, int) else sized
    pixels = picture[np.newaxis, :height, :width]
    expected = Preprocessing.from_config(
        {**preprocessing.to_config(), "resize_size": None, "crop_size": None}
    )(pixels)  # fmt: skip
    for dtype in ("uint8", "float32"):
        inputs = keras.Input((height, width, 3), dtype=dtype)
        model = keras.Model(inputs, preprocessing.layer()(inputs))
        np.testing.assert_allclose(model.predict(pixels.astype(dtype), verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["timm", "squash", "caffe"])
def test_a_layer_that_resizes_does_what_the_object_does(picture, form, tmp_path):
    preprocessing = FORMS[form]
    pixels = np.stack([picture, picture[::-1]])
    for dtype in ("uint8", "float32"):
        inputs = keras.Input((None, None, 3), dtype=dtype)
        model = keras.Model(inputs, preprocessing.layer(resize=True)(inputs))
        np.testing.assert_array_equal(model.predict(pixels.astype(dtype), verbose=0), preprocessing(pixels))
    assert model.output.shape == (None, *preprocessing(picture).shape)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("preprocessing").preprocessing == preprocessing
    np.testing.assert_array_equal(loaded.predict(pixels, verbose=0), preprocessing(pixels))


def test_inside_a_network(picture):
    preprocessing = Preprocessing(resize_size=40, crop_size=32)
    alone = zoo.create_model("resnet20")
    inputs = keras.Input((None, None, 3), dtype="uint8")
    model = zoo.create_model("resnet20", input_tensor=preprocessing.layer(resize=True)(inputs))
    model.set_weights(alone.get_weights())
    expected = alone(preprocessing(picture[np.newaxis]), training=False)
    np.testing.assert_allclose(model.predict(picture[np.newaxis], verbose=0), expected, atol=1e-5)
    assert zoo.endpoints(model) == zoo.endpoints(alone)


@pytest.mark.slow
def test_a_network_with_preprocessing_leaves_the_process(picture, tmp_path):
    inputs = keras.Input((None, None, 3), dtype="uint8")
    layer = Preprocessing(resize_size=40, crop_size=32).layer(resize=True)
    model = zoo.create_model("resnet20", input_tensor=layer(inputs))
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    expected = model(picture[np.newaxis], training=False)
    np.testing.assert_allclose(exported.serve(picture[np.newaxis]), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    script = f"import keras, zoo.weights; print(keras.saving.load_model({str(tmp_path / 'model.keras')!r}).name)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "resnet20"


def test_the_layer_keeps_full_precision_under_mixed_precision(picture):
    expected = Preprocessing().layer()(picture[np.newaxis])
    keras.config.set_dtype_policy("mixed_float16")
    layer = Preprocessing().layer()
    np.testing.assert_array_equal(layer(picture[np.newaxis]), expected)


def test_the_layer_says_what_it_cannot(monkeypatch):
    with pytest.raises(ValueError, match=r"takes pictures of 3 channels. Received: shape \(None, 8, 8, 1\)"):
        Preprocessing().layer()(keras.Input((8, 8, 1)))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="Resizing inside the model needs TensorFlow. Received: resize=True"):
        PreprocessingLayer(Preprocessing(), resize=True)
