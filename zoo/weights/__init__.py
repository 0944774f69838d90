"""Weights on disk: safetensors with a manifest, written whole, verified on every load."""

from zoo.weights.store import Stored, load, open_weights, save

__all__ = ["Stored", "load", "open_weights", "save"]
