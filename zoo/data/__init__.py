"""Data: sources with a fixed split, and batches in an order that is a function of seed and epoch."""

from zoo.data.augmentation import Augmentation
from zoo.data.dataset import Dataset, OnBad, load
from zoo.data.errors import DataError
from zoo.data.pictures import read_image
from zoo.data.pipeline import Pipeline

__all__ = ["Augmentation", "DataError", "Dataset", "OnBad", "Pipeline", "load", "read_image"]
