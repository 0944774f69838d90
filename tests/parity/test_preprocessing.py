"""Preprocessing against torchvision's presets and timm's transforms, on photographs, through Pillow as they do it."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from zoo.weights import Preprocessing

torch = pytest.importorskip("torch")

# What is asked for is one of 255 levels; what is found is the rounding of float32.
TOLERANCE = 1e-6

TORCHVISION = [
    ("alexnet", "AlexNet_Weights.IMAGENET1K_V1"),
    ("vgg16", "VGG16_Weights.IMAGENET1K_FEATURES"),
    ("resnet50", "ResNet50_Weights.IMAGENET1K_V2"),
    ("inception_v3", "Inception_V3_Weights.IMAGENET1K_V1"),
    ("googlenet", "GoogLeNet_Weights.IMAGENET1K_V1"),
    ("mobilenet_v3_large", "MobileNet_V3_Large_Weights.IMAGENET1K_V2"),
    ("efficientnet_b1", "EfficientNet_B1_Weights.IMAGENET1K_V2"),
    ("vit_l_16", "ViT_L_16_Weights.IMAGENET1K_SWAG_E2E_V1"),
]
TIMM = {
    "resnet18.tv_in1k": {},
    "resnet50.a1_in1k at 288": {"input_size": 288, "crop_pct": 1.0, "interpolation": "bicubic"},
    "resnet50.tv2_in1k": {"input_size": 176, "crop_pct": 0.875, "interpolation": "bilinear"},
    "inception_v4": {"input_size": 299, "crop_pct": 0.8975, "interpolation": "bicubic", "mean": (0.5,) * 3,
                     "std": (0.5,) * 3},
    "resnetv2_50x1_bit": {"input_size": 448, "crop_pct": 1.0, "interpolation": "bilinear", "mean": (0.5,) * 3,
                          "std": (0.5,) * 3},
    "lanczos": {"input_size": 160, "crop_pct": 0.95, "interpolation": "lanczos"},
    "nearest": {"input_size": 160, "crop_pct": 0.95, "interpolation": "nearest"},
    "not square": {"input_size": (3, 200, 260), "crop_pct": 0.9, "interpolation": "bicubic"},
    "squash": {"input_size": 224, "crop_pct": 0.965, "crop_mode": "squash", "interpolation": "bicubic"},
    "border": {"input_size": 224, "crop_pct": 0.9, "crop_mode": "border", "interpolation": "bicubic"},
    "border, not square": {"input_size": (3, 100, 151), "crop_pct": 1.0, "crop_mode": "border"},
}  # fmt: skip


def photographs():
    pictures = list(load_sample_images().images)
    try:
        from skimage import data
    except ImportError:
        pass  # more of them where scikit-image is installed
    else:
        pictures += [data.astronaut(), data.coffee(), data.chelsea()]
    # Upright, narrow, small, of odd sizes.
    pictures += [pictures[0].transpose(1, 0, 2), pictures[0][:401, :301], pictures[1][:90, :111], pictures[1][::3, ::4]]
    return [Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures]


def differences(transform, preprocessing):
    found = []
    for picture in photographs():
        expected = transform(picture).numpy().transpose(1, 2, 0)
        actual = preprocessing(picture).numpy()
        assert actual.shape == expected.shape
        found.append(np.abs(actual - expected).max() * min(preprocessing.std))
    return found


@pytest.mark.parametrize(("model", "name"), TORCHVISION, ids=[name for _, name in TORCHVISION])
def test_torchvision_presets(peer, model, name):
    weights = peer.torchvision().models.get_weight(name)
    transform = weights.transforms()
    preprocessing = Preprocessing(
        resize_size=transform.resize_size[0],
        crop_size=transform.crop_size[0],
        interpolation=transform.interpolation.value,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )
    assert max(differences(transform, preprocessing)) < TOLERANCE


@pytest.mark.parametrize("form", TIMM)
def test_timm_transforms(peer, form):
    peer.torchvision()
    data = pytest.importorskip("timm.data")
    config = TIMM[form]
    size = config.get("input_size", 224)
    rest = {key: value for key, value in config.items() if key not in ("input_size", "crop_pct")}
    preprocessing = Preprocessing.from_crop_pct(
        size if isinstance(size, int) else size[1:], config.get("crop_pct", 0.875), **rest
    )
    assert max(differences(data.create_transform(**config), preprocessing)) < TOLERANCE


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_floating_point_is_as_torchvision_resizes_tensors(peer, interpolation):
    peer.torchvision()
    from torchvision.transforms import _presets as presets

    mode = presets.InterpolationMode(interpolation)
    transform = presets.ImageClassification(crop_size=100, resize_size=130, interpolation=mode)
    preprocessing = Preprocessing(resize_size=130, crop_size=100, interpolation=interpolation)
    picture = load_sample_images().images[0].astype("float32") / 255
    expected = transform(torch.from_numpy(picture.transpose(2, 0, 1).copy())).numpy().transpose(1, 2, 0)
    actual = preprocessing(picture, value_range=(0, 1)).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-4)
