"""Weights on disk: safetensors with a manifest, written whole, verified on every load; and what belongs to weights."""

from zoo.weights.adapt import first_convolution, input_channels
from zoo.weights.conversion import load
from zoo.weights.imagenet import decode_predictions, imagenet_classes
from zoo.weights.preprocessing import Preprocessing, PreprocessingLayer, preprocessor
from zoo.weights.store import Stored, open_weights, save

__all__ = [
    "Preprocessing",
    "PreprocessingLayer",
    "Stored",
    "decode_predictions",
    "first_convolution",
    "imagenet_classes",
    "input_channels",
    "load",
    "open_weights",
    "preprocessor",
    "save",
]
