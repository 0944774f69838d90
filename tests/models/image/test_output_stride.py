"""Strides replaced by dilation, in every family that has the knob: what both networks compute, they compute alike."""

import keras
import numpy as np
import pytest
from representatives import backbone_and_block, cheapest

import zoo
from zoo import registry
from zoo.builder import builder

KNOB = "output_stride"


def has_the_knob(name):
    return KNOB in registry.keyword_parameters(registry.entry(name).backbone)


REPRESENTATIVES = cheapest(backbone_and_block, list(filter(has_the_knob, zoo.list_models(modality="image"))))
# The default run has one of each family but the Inceptions, which take longest.
QUICK = [
    name
    for name in cheapest(lambda name: zoo.model_card(name).family, REPRESENTATIVES)
    if not name.startswith("inception")
]


def own_strides(name):
    strides = [int(end.removeprefix("stride")) for end in zoo.model_card(name).endpoints if end.startswith("stride")]
    return sorted(strides)


def small_size(name):
    """Odd and not square, but for MobileNet: with zeros at one side alone an odd map loses its last position."""
    if zoo.model_card(name).family == "mobilenet":
        return (96, 64)
    smallest = zoo.model_card(name).min_size
    return (max(97, smallest), max(81, smallest)) if own_strides(name)[-1] == 32 else (37, max(29, smallest))


def randomised(model):
    """Kernels as they start, batch norm as after training: all that a shift or a border could go wrong in."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        *(pytest.param(name, {}, marks=() if name in QUICK else pytest.mark.slow) for name in REPRESENTATIVES),
        ("resnet50", {"variant": "paper"}),
        pytest.param("resnet50_v2", {"variant": "paper"}, marks=pytest.mark.slow),
    ],
)
def test_dilated_network_computes_what_the_strided_one_does(name, knobs):
    """Two stages are dilated; every fourth position is one of the strided network's."""
    *_, output_stride, _, last = own_strides(name)
    shape = (*small_size(name), 3)
    strided = randomised(zoo.create_model(name, include_top=False, input_shape=shape, **knobs))
    dilated = zoo.create_model(name, include_top=False, input_shape=shape, output_stride=output_stride, **knobs)
    dilated.set_weights(strided.get_weights())
    names = [end for end in zoo.endpoints(dilated) if end.startswith("stride")]
    assert names == [f"stride{stride}" for stride in own_strides(name) if stride <= output_stride]
    assert zoo.receptive_field(dilated, names[-1]).stride == (output_stride, output_stride)
    if any(isinstance(layer, keras.layers.Multiply) for layer in dilated.layers):
        return  # Squeeze and excitation takes means over all positions, of which the dilated network has more.
    pictures = np.random.default_rng(1).normal(size=(1, *shape)).astype("float32")
    expected = strided(pictures, training=False).numpy()
    step = last // output_stride
    outputs = dilated(pictures, training=False).numpy()[:, ::step, ::step]
    assert outputs.shape == expected.shape
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_other_strides_are_refused_with_the_legal_ones(name):
    with pytest.raises(ValueError, match=r"output_stride must be one of .*\d\. Received: output_stride=12"):
        zoo.create_model(name, include_top=False, output_stride=12)


def test_dilated_pooling_survives_saving(tmp_path):
    model = zoo.create_model("squeezenet1_1", include_top=False, input_shape=(40, 40, 3), output_stride=4)
    pictures = np.random.default_rng(1).normal(size=(1, 40, 40, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(pictures), model(pictures))


def test_every_image_family_but_the_oldest_has_the_knob():
    without = {
        zoo.model_card(name).family
        for name in zoo.list_models(modality="image")
        if KNOB not in builder(name).__signature__.parameters
    }
    assert without == {"lenet", "plain_cnn"}
