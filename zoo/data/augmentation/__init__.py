"""Random changes of pictures in training, as a function of seed, epoch and example."""

from zoo.data.augmentation.chain import Augmentation
from zoo.data.augmentation.mix import Mix
from zoo.data.augmentation.policies import AutoAugment, RandAugment, TrivialAugment
from zoo.data.augmentation.sound import Gain, Noise, SpecAugment, Speed, TimeShift
from zoo.data.augmentation.steps import (
    ColorJitter,
    Cutout,
    Flip,
    Lighting,
    RandomErasing,
    RandomResizedCrop,
    Shift,
)

__all__ = [
    "Augmentation",
    "AutoAugment",
    "ColorJitter",
    "Cutout",
    "Flip",
    "Gain",
    "Lighting",
    "Mix",
    "Noise",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Shift",
    "SpecAugment",
    "Speed",
    "TimeShift",
    "TrivialAugment",
]
