"""Data: sources with a fixed split, and batches in an order that is a function of seed and epoch."""

from zoo.data.augmentation import (
    Augmentation,
    AutoAugment,
    ColorJitter,
    Cutout,
    Flip,
    Lighting,
    Mix,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    Shift,
    TrivialAugment,
)
from zoo.data.dataset import Dataset, OnBad, load
from zoo.data.errors import DataError
from zoo.data.pictures import read_image
from zoo.data.pipeline import Pipeline

__all__ = [
    "Augmentation",
    "AutoAugment",
    "ColorJitter",
    "Cutout",
    "DataError",
    "Dataset",
    "Flip",
    "Lighting",
    "Mix",
    "OnBad",
    "Pipeline",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Shift",
    "TrivialAugment",
    "load",
    "read_image",
]
