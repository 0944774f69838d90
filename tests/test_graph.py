import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import zoo
from zoo.graph import ReceptiveField, layer_table

# (layer, multiply-accumulates by hand) for an input of 10x12 with 6 channels
CASES = [
    (layers.Conv2D(8, 3), 8 * 10 * (3 * 3 * 6 * 8)),
    (layers.Conv2D(8, 3, padding="same", strides=2), 5 * 6 * (3 * 3 * 6 * 8)),
    (layers.Conv2D(8, 3, dilation_rate=2), 6 * 8 * (3 * 3 * 6 * 8)),
    (layers.Conv2D(8, 3, groups=2), 8 * 10 * (3 * 3 * 3 * 8)),
    (layers.DepthwiseConv2D(3, depth_multiplier=2), 8 * 10 * (3 * 3 * 6 * 2)),
    (layers.SeparableConv2D(8, 3), 8 * 10 * (3 * 3 * 6 + 6 * 8)),
    (layers.Conv2DTranspose(8, 3, strides=2), 10 * 12 * (3 * 3 * 6 * 8)),
    (layers.Dense(5), 10 * 12 * 6 * 5),
    (layers.Conv2D(8, 3, use_bias=True, activation="relu"), 8 * 10 * (3 * 3 * 6 * 8)),
    (layers.BatchNormalization(), 0),
    (layers.MaxPooling2D(2), 0),
]


@pytest.mark.parametrize(("layer", "macs"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_macs_of_one_layer(layer, macs):
    source = keras.Input((10, 12, 6))
    fresh = type(layer).from_config(layer.get_config())
    assert zoo.count_macs(keras.Model(source, fresh(source))) == macs


def test_macs_of_one_dimensional_layers():
    source = keras.Input((20, 4))
    assert zoo.count_macs(keras.Model(source, layers.Conv1D(8, 5)(source))) == 16 * 5 * 4 * 8


def test_macs_of_shared_and_nested_layers():
    inner_source = keras.Input((None, None, 6))
    inner = keras.Model(inner_source, layers.Conv2D(6, 3, padding="same")(inner_source))
    source = keras.Input((8, 8, 6))
    shared = layers.Conv2D(6, 1)
    model = keras.Model(source, inner(shared(layers.MaxPooling2D(2)(inner(shared(source))))))
    once = lambda size: size * size * (6 * 6 + 9 * 6 * 6)  # noqa: E731
    assert zoo.count_macs(model) == once(8) + once(4)


def test_macs_need_a_size():
    body = zoo.create_model("resnet20", include_top=False)
    with pytest.raises(ValueError, match=r"size of the input must be known. Received: shape \(None, None, 3\)"):
        zoo.count_macs(body)
    assert zoo.count_macs(body, (32, 32, 3)) == zoo.model_card("resnet20").num_macs - 64 * 10


def test_layer_table_adds_up():
    model = zoo.create_model("resnet20")
    rows = layer_table(model)
    assert sum(row.params for row in rows) == model.count_params()
    assert rows[-1].name == "predictions"
    assert {row.name for row in rows} == {layer.name for layer in model.layers[1:]}


def test_count_params_does_not_depend_on_freezing():
    model = zoo.create_model("resnet20")
    model.trainable = False
    assert zoo.count_params(model) == (269_722, 1_376)


def seen_by_centre(model):
    """Extent of the input pixels that the gradient of the middle output reaches: the definition itself."""
    inputs = tf.Variable(np.ones((1, *model.input_shape[1:]), "float32"))
    with tf.GradientTape() as tape:
        output = model(inputs, training=False)
        middle = output[0, output.shape[1] // 2, output.shape[2] // 2, 0]
    reached = np.abs(tape.gradient(middle, inputs).numpy()[0]).sum(axis=-1) > 0
    rows, columns = np.flatnonzero(reached.any(axis=1)), np.flatnonzero(reached.any(axis=0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def plain_net():
    """Kernels of ones and average pooling: no gradient cancels or dies."""
    ones = {"kernel_initializer": "ones"}
    source = keras.Input((63, 63, 1))
    x = layers.Conv2D(2, (3, 5), padding="same", **ones, name="a")(source)
    x = layers.AveragePooling2D(2, name="b")(x)
    left = layers.Conv2D(2, 3, dilation_rate=2, padding="same", **ones, name="c")(x)
    right = layers.Conv2D(2, 1, **ones, name="d")(x)
    x = layers.Add(name="e")([left, right])
    x = layers.ZeroPadding2D(1, name="f")(x)
    return keras.Model(source, layers.Conv2D(1, 3, strides=2, **ones, name="g")(x))


@pytest.mark.parametrize("name", ["a", "b", "c", "d", "e", "f", "g"])
def test_receptive_field_is_where_the_gradient_is(name):
    model = plain_net()
    field = zoo.receptive_field(model, name)
    assert field.size == seen_by_centre(keras.Model(model.input, model.get_layer(name).output))


def test_receptive_field_of_known_networks():
    # LeNet-5: 32x32 for C5; ResNet-50: 483 with the paper's strides, which Araujo et al. (2019) also state
    assert zoo.receptive_field(zoo.create_model("lenet5"), "stride4") == ReceptiveField((32, 32), (4, 4))
    paper = zoo.create_model("resnet50", variant="paper")
    assert zoo.receptive_field(paper, "stride32") == ReceptiveField((483, 483), (32, 32))
    assert zoo.receptive_field(paper, "logits") == ReceptiveField(None, None)


def test_receptive_field_refuses_what_it_cannot_know():
    model = zoo.create_model("resnet20")
    with pytest.raises(ValueError, match=r"'resnet20' has no layer 'stride64'. Endpoints: stem, stride1"):
        zoo.receptive_field(model, "stride64")
    source = keras.Input((8, 8, 2))
    anywhere = keras.Input((None, None, 2))
    for layer in (layers.Conv2DTranspose(2, 3, strides=2, name="up"), layers.UpSampling2D(name="up")):
        for given in (source, anywhere):
            with pytest.raises(ValueError, match="'up', which makes maps larger, is not uniform"):
                zoo.receptive_field(keras.Model(given, layer(given)), "up")
    nested = keras.Model(anywhere, layers.Conv2D(2, 3, padding="same")(anywhere), name="nested")
    for given in (source, anywhere):
        for layer, kind in ((nested, "Functional"), (layers.Resizing(8, 8, name="nested"), "Resizing")):
            with pytest.raises(ValueError, match=rf"What 'nested' \({kind}\) sees of its input is not known"):
                zoo.receptive_field(keras.Model(given, layer(given)), "nested")
    odd = keras.Model(source, layers.Reshape((4, 16, 2), name="odd")(source))
    with pytest.raises(ValueError, match=r"What 'odd' \(Reshape\) sees of its input is not known"):
        zoo.receptive_field(odd, "odd")


def test_features_share_weights_and_refuse_unknown_names():
    model = zoo.create_model("resnet20")
    body = zoo.features(model, ["stride2", "stage3_block1_relu"])
    assert body.get_layer("stem_conv") is model.get_layer("stem_conv")
    assert {name: tensor.shape for name, tensor in body.output.items()} == {
        "stride2": (None, 16, 16, 32),
        "stage3_block1_relu": (None, 8, 8, 64),
    }
    with pytest.raises(ValueError, match=r"'resnet20' has no endpoint 'stride32'. Endpoints: stem, stride1, stride2"):
        zoo.features(model, ["stride32"])
    with pytest.raises(ValueError, match="names must be a list of endpoints"):
        zoo.features(model, "stride2")
    with pytest.raises(ValueError, match="names must be a list of endpoints"):
        zoo.features(model, [])


def test_gate_does_not_widen_the_receptive_field():
    source = keras.Input((16, 16, 4))
    x = layers.Conv2D(4, 3, strides=2, name="before")(source)
    gate = layers.Dense(4)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply(name="scaled")([gate, x])
    whole = layers.UpSampling2D(7)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    model = keras.Model(source, layers.Concatenate(name="joined")([x, whole]))
    assert zoo.receptive_field(model, "scaled") == ReceptiveField((3, 3), (2, 2))
    assert zoo.receptive_field(model, "joined") == ReceptiveField(None, None)
