"""From the form of a data set, as a run keeps it, to what reads an example of that form."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.arrays import ArrayDataset
from zoo.data.dataset import Dataset
from zoo.data.errors import DataError


def example_reader(form: Mapping[str, Any]) -> Callable[[Path], np.ndarray]:
    """What reads one example from a file, as the network takes it.

    Args:
        form: `zoo.data.ArrayDataset.form`, as a run's `config.json` keeps it.

    Returns:
        A function from a path to the example; it raises DataError where a file cannot be read.

    Raises:
        DataError: There is no such form.
    """
    kind = form.get("kind")
    if kind == "signal":
        from zoo.data.signals import read_signal

        return lambda path: read_signal(path, form)
    if kind in ("words", "characters"):
        from zoo.data.text import Encoder

        return Encoder.from_form(form).read
    if kind == "sound":
        from zoo.data.audio import ClipReader

        return ClipReader.from_form(form).read
    raise DataError(f"The form of an example is signal, words, characters or sound. Received: {kind!r}")


def symbol_writer(form: Mapping[str, Any]) -> Callable[[np.ndarray], str] | None:
    """What turns the numbers of a text into the text again; None for what is no text."""
    if form.get("kind") not in ("words", "characters"):
        return None
    from zoo.data.text import Encoder

    return Encoder.from_form(form).decode


def in_form(dataset: Dataset, form: Mapping[str, Any]) -> ArrayDataset:
    """A data set as it is loaded, brought to the form of a run: the vocabulary and the length of its own.

    Raises:
        DataError: The data is of another modality.
    """
    from zoo.data.audio import SoundDataset
    from zoo.data.text import TextDataset

    if isinstance(dataset, (TextDataset, SoundDataset)):
        return dataset.in_form(form)
    if isinstance(dataset, ArrayDataset) and list(dataset.form.get("shape", ())) == list(form.get("shape", ())):
        return dataset
    raise DataError(f"{dataset.name} is not of the form {form.get('kind')} of {form.get('shape')} of this run.")
