import keras
import numpy as np
import pytest

from zoo.layers import conv, dilated_strides, global_pooling, he_normal, stochastic_depth


@pytest.mark.parametrize(
    ("size", "kernel_size", "strides"), [(8, 3, 2), (9, 3, 2), (8, 7, 2), (7, 5, 2), (8, 1, 2), (6, 3, 1)]
)
def test_padding_is_symmetric(size, kernel_size, strides):
    """Against the sum written out: output i sees inputs i * strides - margin … + margin, zeros beyond the border."""
    source = keras.Input((size, size, 1))
    model = keras.Model(source, conv(source, 1, kernel_size, strides=strides, name="c"))
    rng = np.random.default_rng(0)
    kernel, picture = rng.normal(size=(kernel_size, kernel_size)), rng.normal(size=(size, size))
    model.get_layer("c").set_weights([kernel[:, :, None, None]])
    margin = (kernel_size - 1) // 2
    padded = np.pad(picture, margin)
    expected = [
        [np.sum(padded[i : i + kernel_size, j : j + kernel_size] * kernel) for j in range(0, size, strides)]
        for i in range(0, size, strides)
    ]
    actual = model(picture[None, :, :, None].astype("float32")).numpy()[0, :, :, 0]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_he_normal_has_the_variance_of_the_paper():
    values = np.asarray(he_normal()((3, 3, 64, 256)))
    assert values.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.01)
    assert np.abs(values).max() > 3.5 * values.std()  # not truncated


def test_stochastic_depth_drops_whole_examples_and_keeps_the_mean():
    source = keras.Input((4, 4, 2))
    model = keras.Model(source, stochastic_depth(source, 0.25, name="drop"))
    ones = np.ones((2000, 4, 4, 2), "float32")
    out = model(ones, training=True).numpy()
    per_example = out.reshape(2000, -1)
    assert np.all(per_example.min(axis=1) == per_example.max(axis=1))
    kept = per_example[:, 0] > 0
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(per_example[kept, 0], 1 / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(model(ones[:2], training=False), ones[:2])
    assert stochastic_depth(source, 0.0, name="none") is source


def test_dilated_strides():
    own = dilated_strides([1, 2, 2, 2], stem_stride=4, output_stride=None)
    assert own == [(1, 1, 4), (2, 1, 8), (2, 1, 16), (2, 1, 32)]
    assert dilated_strides([1, 2, 2, 2], stem_stride=4, output_stride=32) == own
    assert dilated_strides([1, 2, 2, 2], stem_stride=4, output_stride=8) == [
        (1, 1, 4), (2, 1, 8), (1, 2, 8), (1, 4, 8)
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"output_stride must be one of 1, 2, 4. Received: output_stride=8"):
        dilated_strides([1, 2, 2], stem_stride=1, output_stride=8)


def test_global_pooling_of_any_rank():
    signal = keras.Input((None, 3))
    assert global_pooling(signal, "avg").shape == (None, 3)
    picture = np.arange(24, dtype="float32").reshape(1, 2, 4, 3)
    source = keras.Input((2, 4, 3))
    assert keras.Model(source, global_pooling(source, "max"))(picture).numpy().tolist() == [[21, 22, 23]]
