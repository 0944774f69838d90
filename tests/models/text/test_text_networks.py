"""Networks for text, in the terms of their papers."""

import keras
import numpy as np
import pytest

import zoo
from zoo.layers import FixedEmbedding, KMaxPooling1D


def small_kim(form, **arguments):
    return zoo.create_model(f"kim_cnn_{form}", vocabulary=50, dimensions=8, input_shape=(12,), **arguments)


def test_kim_has_100_filters_of_each_width():
    model = zoo.create_model("kim_cnn_rand")
    found = [(layer.filters, layer.kernel_size[0]) for layer in model.layers if isinstance(layer, keras.layers.Conv1D)]
    assert found == [(100, 3), (100, 4), (100, 5)]
    assert model.get_layer("pooled").output.shape == (None, 300)
    assert model.get_layer("head_dropout").rate == 0.5
    assert model.get_layer("logits").kernel_constraint.max_value == 3.0


@pytest.mark.parametrize(("form", "fixed", "trained"), [("rand", 0, 1), ("static", 1, 0), ("non_static", 0, 1),
                                                        ("multichannel", 1, 1)])  # fmt: skip
def test_kim_forms_differ_in_which_vectors_are_trained(form, fixed, trained):
    model = small_kim(form)
    assert len([layer for layer in model.layers if isinstance(layer, FixedEmbedding)]) == fixed
    assert len([layer for layer in model.layers if isinstance(layer, keras.layers.Embedding)]) == trained
    model.trainable = False
    zoo.unfreeze(model)
    assert len(model.trainable_variables) == 8 + trained


def test_kim_multichannel_adds_what_a_filter_finds_in_both():
    both, single = small_kim("multichannel"), small_kim("rand")
    for layer in single.layers:
        if layer.weights and layer.name != "embedding":
            layer.set_weights(both.get_layer(layer.name).get_weights())
    summed = both.get_layer("embedding").get_weights()[0] + both.get_layer("fixed_embedding").get_weights()[0]
    single.get_layer("embedding").set_weights([summed])
    words = np.random.default_rng(0).integers(0, 50, (3, 12))
    np.testing.assert_allclose(both(words), single(words), atol=1e-6)


def test_width_1_cannot_know_the_order_and_width_2_can():
    sentence = np.array([[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]])
    other = sentence[:, ::-1]
    for widths, same in (((1,), True), ((2,), False)):
        model = small_kim("rand", widths=widths)
        assert np.allclose(model(sentence), model(other), atol=1e-6) is same


@pytest.mark.parametrize("widths", [(), (3, 3)])
def test_illegal_widths_are_refused(widths):
    with pytest.raises(ValueError, match="widths must be different numbers of words, at least one. Received: widths="):
        small_kim("rand", widths=widths)


def test_char_cnn_has_the_lengths_of_the_paper_and_sees_nothing_in_blanks():
    model = zoo.create_model("char_cnn_small")
    assert [model.get_layer(f"stride{3**power}").output.shape[1] for power in (1, 2)] == [330, 102]
    assert model.get_layer("flatten").output.shape == (None, 34 * 256)
    columns = zoo.features(model, ["characters"])(np.array([[0, 1, 70] * 338]))["characters"].numpy()
    assert columns.shape == (1, 1014, 70)
    np.testing.assert_array_equal(columns[0, :3].sum(-1), [0, 1, 1])
    assert columns[0, 1, 0] == columns[0, 2, 69] == 1


def test_char_cnn_dense_layer_needs_a_known_length():
    with pytest.raises(ValueError, match="needs a fixed input size"):
        zoo.create_model("char_cnn_small", input_shape=(None,))


@pytest.mark.parametrize(
    ("name", "depth", "millions"),
    [("vdcnn9", 9, 1.59), ("vdcnn17", 17, 3.69), ("vdcnn29", 29, 4.06), ("vdcnn49", 49, 7.20)],
)
def test_vdcnn_has_its_convolutions(name, depth, millions):
    model = zoo.create_model(name)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)]
    assert len(found) == depth
    # Counted elsewhere with biases, and with batch norm's four numbers for each channel.
    count = sum(int(np.prod(layer.kernel.shape)) + 5 * layer.filters for layer in found)
    assert count / 1e6 == pytest.approx(millions, abs=0.006)
    assert model.get_layer("k_max").output.shape == (None, 8, 512)


def test_vdcnn_shortcuts_are_over_every_two_convolutions():
    model = zoo.create_model("vdcnn9", shortcut=True)
    names = {layer.name for layer in model.layers}
    assert {f"stage{stage}_block1_add" for stage in range(1, 5)} <= names
    assert {name for name in names if name.endswith("shortcut_conv")} == {
        f"stage{stage}_block1_shortcut_conv" for stage in (2, 3, 4)
    }


def test_k_max_keeps_the_order_and_refuses_too_few_positions():
    values = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
    expected = np.stack(
        [np.stack([row[np.sort(np.argsort(row)[-4:])] for row in example.T], axis=-1) for example in values]
    )
    np.testing.assert_array_equal(KMaxPooling1D(4)(values), expected)
    with pytest.raises(ValueError, match="keeps 4 values of each channel .* Received: "):
        KMaxPooling1D(4)(keras.Input((3, 2)))


def test_dpcnn_has_15_layers_and_halves_the_positions():
    model = zoo.create_model("dpcnn", vocabulary=100)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)]
    assert len(found) == 15
    assert {layer.filters for layer in found} == {250}
    assert model.get_layer("stride64").output.shape == (None, 4, 250)
    with pytest.raises(ValueError, match="blocks must be at least 1. Received: blocks=0"):
        zoo.create_model("dpcnn", blocks=0)


def test_text_takes_whole_numbers_of_any_length():
    model = small_kim("rand", include_top=False)
    assert model.inputs[0].dtype == "int32"
    assert zoo.create_model("kim_cnn_rand", vocabulary=9, dimensions=4, input_shape=(None,)).input_shape == (None, None)
