"""Signals: files of them, makers by published formulas, electrocardiograms with noise, filters to compare with."""

from zoo.data.signals.ecg import add_noise, make_ecg, signal_to_noise
from zoo.data.signals.files import normalised, read_signal, read_windows
from zoo.data.signals.makers import make_cbf, make_synthetic_control
from zoo.data.signals.physionet import Record, read_record
from zoo.data.signals.recordings import read_recording
from zoo.data.signals.sampling import downsample_by_2, upsample_by_2

__all__ = [
    "Record",
    "add_noise",
    "downsample_by_2",
    "make_cbf",
    "make_ecg",
    "make_synthetic_control",
    "normalised",
    "read_record",
    "read_recording",
    "read_signal",
    "read_windows",
    "signal_to_noise",
    "upsample_by_2",
]
