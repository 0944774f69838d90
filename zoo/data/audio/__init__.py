"""Sound: files of it, and the front-ends that make spectrograms of it."""

from zoo.data.audio.files import ClipReader, SoundDataset, read_sound
from zoo.data.audio.front_end import FrontEnd, FrontEndLayer, mel_filters

__all__ = ["ClipReader", "FrontEnd", "FrontEndLayer", "SoundDataset", "mel_filters", "read_sound"]
