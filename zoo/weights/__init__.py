"""Weights on disk: safetensors with a manifest, written whole, verified on every load."""

from zoo.weights.preprocessing import Preprocessing, PreprocessingLayer
from zoo.weights.store import Stored, load, open_weights, save

__all__ = ["Preprocessing", "PreprocessingLayer", "Stored", "load", "open_weights", "save"]
