"""Segmentation networks have the sizes of their papers, and answer for every pixel of pictures of any size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from applications.segment import networks


def body(**arguments):
    return zoo.create_model("resnet20", include_top=False, input_shape=(None, None, 1), **arguments)


def test_unet_has_the_numbers_of_its_paper():
    model = networks.unet()
    assert model.count_params() == 31_030_658
    assert model.output_shape == (None, 388, 388, 2)


@pytest.mark.slow
def test_fcn_on_vgg16_and_deeplab_on_resnet50_have_published_numbers():
    vgg = zoo.create_model("vgg16", include_top=False, input_shape=(None, None, 3))
    model = networks.fcn(vgg, 21, levels=("stage5_pool", "stage4_pool", "stage3_pool"), hidden_units=4096)
    # VGG-16's convolutions, its dense layers as convolutions, three scores with biases, three enlargements without.
    scores = (4096 + 512 + 256) * 21 + 3 * 21
    assert model.count_params() == 14_714_688 + 102_764_544 + 16_781_312 + scores + (2 * 4**2 + 16**2) * 21 * 21
    resnet = zoo.create_model("resnet50", include_top=False, input_shape=(None, None, 3), output_stride=16)
    # torchvision's deeplabv3_resnet50 has 42,004,074 with its auxiliary head, a convolution of 3x3 and the scores.
    auxiliary = 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21
    assert zoo.count_params(networks.deeplab_v3(resnet, 21))[0] == 42_004_074 - auxiliary


MADE = {
    "FCN, one level": lambda: networks.fcn(body(), 5, levels=("stride4",)),
    "FCN, two levels": lambda: networks.fcn(body(), 5, levels=("stride4", "stride2"), hidden_units=4),
    "U-Net": lambda: networks.unet((None, None, 1), 5, padding="same", filters=4, depth=2),
    "U-Net over a body": lambda: networks.unet_over(body(), 5, levels=("stride4", "stride2"), filters=(8, 4)),
    "DeepLab": lambda: networks.deeplab_v3(body(), 5, level="stride4", filters=8),
}


@pytest.mark.parametrize("name", MADE)
def test_odd_sizes_in_the_same_size_out_and_saved_alike(tmp_path, name):
    model = MADE[name]()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) ** 2 * 0.1 for weight in model.weights])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for size in ((33, 47), (32, 32)):
        picture = rng.normal(size=(2, *size, 1)).astype("float32")
        logits = np.asarray(model(picture))
        assert logits.shape == (2, *size, 5)
        np.testing.assert_allclose(again(picture), logits, rtol=1e-5, atol=1e-5)


def test_enlargement_begins_as_bilinear_interpolation():
    model = networks.fcn(body(), 3, levels=("stride4",))
    enlarge = model.get_layer("up")
    maps = np.random.default_rng(1).normal(size=(1, 6, 5, 3)).astype("float32")
    got = np.asarray(enlarge(maps))
    expected = tf.image.resize(maps, (24, 20), method="bilinear").numpy()
    np.testing.assert_allclose(got[:, 4:-4, 4:-4], expected[:, 4:-4, 4:-4], atol=1e-5)


def test_finer_levels_begin_at_zero():
    """FCN-16s begins as FCN-32s: its answer is that of the coarser level alone."""
    network = body()
    keras.utils.set_random_seed(0)
    fine = networks.fcn(network, 3, levels=("stride4", "stride2"))
    coarse = networks.fcn(network, 3, levels=("stride4",))
    coarse.get_layer("score").set_weights(fine.get_layer("score").get_weights())
    maps = np.zeros((1, 32, 32, 1), "float32")
    maps[0, 8:20, 8:20] = 1
    # Twice by two and once by four are both bilinear, not the same: they agree to what interpolation smooths.
    one, other = np.asarray(fine(maps)), np.asarray(coarse(maps))
    assert np.abs(one - other)[:, 8:-8, 8:-8].max() < 0.2 * np.abs(other).max()
    assert not fine.get_layer("score_stride2").get_weights()[0].any()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="half the stride of the one before. Received: .'stride4', 'stride1'."):
        networks.fcn(body(), 3, levels=("stride4", "stride1"))
    with pytest.raises(
        ValueError, match=r"from the coarsest to finer feature maps. Received: \['stride2', 'stride4'\]"
    ):
        networks.fcn(body(), 3, levels=("stride2", "stride4"))
    with pytest.raises(ValueError, match="each level must have an even size before it is pooled"):
        networks.unet((570, 572, 1))
    with pytest.raises(ValueError, match='padding must be "valid" or "same". Received: \'full\''):
        networks.unet(padding="full")
    with pytest.raises(ValueError, match="2 enlargements need as many numbers of filters. Received: .4."):
        networks.unet_over(body(), 3, levels=("stride4", "stride2"), filters=(4,))
