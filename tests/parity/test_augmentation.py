"""Tables and rules of the policies beside torchvision's and timm's."""

import importlib

import numpy as np
import pytest

from zoo.data import RandomResizedCrop
from zoo.data.augmentation.policies import (
    AUTOAUGMENT_POLICIES,
    AUTOAUGMENT_ROWS,
    RANDAUGMENT_ROWS,
    TRIVIALAUGMENT_ROWS,
    table,
)
from zoo.data.augmentation.steps import crop_draws

pytest.importorskip("torch")

TORCHVISION_NAMES = {
    "Identity": "identity", "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x",
    "TranslateY": "translate_y", "Rotate": "rotate", "Brightness": "brightness", "Color": "color",
    "Contrast": "contrast", "Sharpness": "sharpness", "Posterize": "posterize", "Solarize": "solarize",
    "AutoContrast": "auto_contrast", "Equalize": "equalize", "Invert": "invert",
}  # fmt: skip
INDEX = {"shear_x": 1, "shear_y": 3, "translate_x": 2, "translate_y": 5}
ENHANCING = ("brightness", "color", "contrast", "sharpness")


@pytest.fixture
def torchvision(peer):
    peer.torchvision()
    return importlib.import_module("torchvision.transforms")


@pytest.mark.parametrize(
    ("kind", "rows", "num_bins", "sized"),
    [("RandAugment", RANDAUGMENT_ROWS["torchvision"], 31, True), ("TrivialAugmentWide", TRIVIALAUGMENT_ROWS, 31, False),
     ("AutoAugment", AUTOAUGMENT_ROWS[:-1], 10, True)],
)  # fmt: skip
def test_magnitudes_are_torchvisions(torchvision, kind, rows, num_bins, sized):
    arguments = (num_bins, (200, 300)) if sized else (num_bins,)
    space = getattr(torchvision, kind)()._augmentation_space(*arguments)
    assert {TORCHVISION_NAMES[name] for name in space} == {row.op for row in rows}
    ours = table(rows, np.arange(num_bins) / (num_bins - 1), 200, 300)
    for name, (magnitudes, signed) in space.items():
        number = [row.op for row in rows].index(TORCHVISION_NAMES[name])
        row = rows[number]
        assert row.signed == signed
        if magnitudes.ndim == 0 or row.op == "rotate":
            continue
        base = 1 if row.op in ENHANCING else 0
        np.testing.assert_allclose(ours[number, :, 0, INDEX.get(row.op, 0)], base + magnitudes.numpy(), atol=1e-4)
        if signed:
            np.testing.assert_allclose(ours[number, :, 1, INDEX.get(row.op, 0)], base - magnitudes.numpy(), atol=1e-4)


@pytest.mark.parametrize("policy", AUTOAUGMENT_POLICIES)
def test_pairs_are_torchvisions(torchvision, policy):
    theirs = torchvision.AutoAugment(torchvision.AutoAugmentPolicy(policy)).policies
    theirs = tuple(tuple((TORCHVISION_NAMES[op], p, level or 0) for op, p, level in pair) for pair in theirs)
    assert theirs == AUTOAUGMENT_POLICIES[policy]


def test_magnitudes_are_timms(torchvision):
    auto_augment = pytest.importorskip("timm.data.auto_augment")
    names = {
        "AutoContrast": "auto_contrast", "Equalize": "equalize", "Invert": "invert", "Rotate": "rotate",
        "PosterizeIncreasing": "posterize", "SolarizeIncreasing": "solarize", "SolarizeAdd": "solarize_add",
        "ColorIncreasing": "color", "ContrastIncreasing": "contrast", "BrightnessIncreasing": "brightness",
        "SharpnessIncreasing": "sharpness", "ShearX": "shear_x", "ShearY": "shear_y", "TranslateXRel": "translate_x",
        "TranslateYRel": "translate_y",
    }  # fmt: skip
    assert set(auto_augment._RAND_INCREASING_TRANSFORMS) == set(names)
    rows = RANDAUGMENT_ROWS["timm"]
    assert {row.op for row in rows} == set(names.values())
    levels = np.arange(11)
    ours = table(rows, levels / 10, 1, 1)
    for name, op in names.items():
        to_arguments, number = auto_augment.LEVEL_TO_ARG[name], [row.op for row in rows].index(op)
        if to_arguments is None or op == "rotate":
            continue
        for level in levels:
            theirs = {round(to_arguments(float(level), {"translate_pct": 0.45})[0], 6) for _ in range(30)}
            assert theirs <= {round(float(x), 6) for x in ours[number, level, :, INDEX.get(op, 0)]}, (name, level)


def test_crops_have_torchvisions_distribution(torchvision):
    import torch

    torch.manual_seed(0)
    picture = torch.zeros(3, 150, 400)
    theirs = [torchvision.RandomResizedCrop.get_params(picture, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)]
    boxes = (RandomResizedCrop().box(crop_draws(1, visit), 150, 400) for visit in range(4000))
    ours = [(top, left, bottom - top, right - left) for left, top, right, bottom in boxes]
    for quantile in (0.05, 0.25, 0.5, 0.75, 0.95):
        np.testing.assert_allclose(np.quantile(ours, quantile, 0), np.quantile(theirs, quantile, 0), atol=8)
