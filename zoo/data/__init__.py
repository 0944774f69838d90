"""Data: sources with a fixed split, and batches in an order that is a function of seed and epoch."""

from zoo.data.arrays import ArrayDataset, Arrays
from zoo.data.augmentation import (
    Augmentation,
    AutoAugment,
    ColorJitter,
    Cutout,
    Flip,
    Gain,
    Lighting,
    Mix,
    Noise,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    Shift,
    SpecAugment,
    Speed,
    TimeShift,
    TrivialAugment,
)
from zoo.data.check import DataReport, check
from zoo.data.dataset import Dataset, OnBad, load
from zoo.data.errors import DataError
from zoo.data.forms import example_reader, in_form, symbol_writer
from zoo.data.pictures import Decoder, read_image
from zoo.data.pipeline import Pipeline
from zoo.data.shards import write_shards
from zoo.data.statistics import ChannelStatistics, channel_statistics

__all__ = [
    "ArrayDataset",
    "Arrays",
    "Augmentation",
    "AutoAugment",
    "ChannelStatistics",
    "ColorJitter",
    "Cutout",
    "DataError",
    "DataReport",
    "Dataset",
    "Decoder",
    "Flip",
    "Gain",
    "Lighting",
    "Mix",
    "Noise",
    "OnBad",
    "Pipeline",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Shift",
    "SpecAugment",
    "Speed",
    "TimeShift",
    "TrivialAugment",
    "channel_statistics",
    "check",
    "example_reader",
    "in_form",
    "load",
    "read_image",
    "symbol_writer",
    "write_shards",
]
