"""Long recordings, cut into windows; those of one recording come into one split."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.signal

from zoo.data.errors import DAMAGED, DataError, printable
from zoo.data.signals.physionet import read_record
from zoo.data.signals.sampling import downsample_by_2, upsample_by_2

SUFFIXES = (".csv", ".txt", ".npy", ".hea")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How signals are read: what stands behind the question mark of their name.

    Attributes:
        validation: "own"; "train" trains on the validation examples as well and judges epochs by the training
            examples, as published results for very small sets were measured.
        window: Samples of a window; 0 for recordings as they are.
        hop: Samples from the begin of one window to the next; 0 for those of a window.
        rate: Samples a second that records are brought to, by a polyphase filter; 0 for their own. Files without a
            rate are left as they are.
        down: Times that every other sample is kept, after a mean of each with its neighbours.
        up: Times that zeros are put between the samples and filled with the mean of their neighbours.
    """

    validation: Literal["own", "train"] = "own"
    window: int = 0
    hop: int = 0
    rate: float = 0.0
    down: int = 0
    up: int = 0

    def __post_init__(self) -> None:
        """Refuse what no recording can be cut into."""
        if self.validation not in ("own", "train"):
            raise DataError(f"validation must be own or train. Received: validation={self.validation!r}")
        if min(self.window, self.hop, self.rate, self.down, self.up) < 0 or (self.hop and not self.window):
            raise DataError(
                "window, hop, rate, down and up must be at least 0, and a hop is for windows. "
                f"Received: window={self.window}, hop={self.hop}, rate={self.rate:g}, down={self.down}, up={self.up}"
            )

    @classmethod
    def parse(cls, text: str) -> "Options":
        """Read `window=256&hop=128`.

        Raises:
            DataError: There is no such option, or its value is illegal.
        """
        known: dict[str, Any] = {item.name: type(item.default) for item in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for part in filter(None, text.split("&")):
            name, _, value = part.partition("=")
            if name not in known:
                raise DataError(f"Signals have the options {', '.join(known)}. Received: {part!r}")
            try:
                values[name] = known[name](value)
            except ValueError:
                raise DataError(f"{name} is {known[name].__name__}. Received: {part!r}") from None
        return cls(**values)

    @property
    def form(self) -> dict[str, Any]:
        """What reading another recording needs, as plain JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "validation" and value}

    @classmethod
    def from_form(cls, form: Mapping[str, Any]) -> "Options":
        """The options that `form` describes."""
        return cls(**{name: form[name] for name in ("window", "hop", "rate", "down", "up") if name in form})

    @property
    def step(self) -> int:
        """Samples from the begin of one window to the next."""
        return self.hop or self.window


def read_recording(path: Path, options: Options | None = None) -> np.ndarray:
    """A recording of any length.

    Args:
        path: `.npy`; `.csv` or `.txt` with a row for each sample and a column for each channel; `.hea`, the header of a
            record as PhysioNet keeps it.
        options: To which rate it is brought; None for its own.

    Returns:
        (samples, channels) float64.

    Raises:
        DataError: The file cannot be read, or holds values that are no finite numbers.
    """
    options = options or Options()
    shown = printable(str(path))
    if path.suffix == ".hea":
        record = read_record(path)
        values = record.values
        _require_finite(values, shown)
        if options.rate and options.rate != record.rate:
            up, down = _ratio(options.rate, record.rate)
            values = scipy.signal.resample_poly(values, up, down, axis=0)
    else:
        try:
            values = (
                np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=1)
            )
        except DAMAGED as error:
            raise DataError(f"{shown} holds no signal: {error}.") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
            raise DataError(
                f"{shown}: expected numbers of (samples, channels). Received: {values.dtype}, {values.shape}"
            )
        _require_finite(values, shown)
    values = values.astype(np.float64)
    for _ in range(options.down):
        values = downsample_by_2(scipy.signal.convolve(values, _NEIGHBOURS / _NEIGHBOURS.sum(), "same"))
    for _ in range(options.up):
        # Between the samples the filter takes the mean of both neighbours, at the samples these themselves.
        values = scipy.signal.convolve(upsample_by_2(values), 2 * _NEIGHBOURS / _NEIGHBOURS.sum(), "same")
    return values


# A sample counts twice, its neighbours once.
_NEIGHBOURS = np.array([[1.0], [2.0], [1.0]])


def cut(values: np.ndarray, options: Options) -> np.ndarray:
    """The windows of a recording; what is left over at the end is not used.

    Args:
        values: (samples, channels).
        options: Window and hop.

    Returns:
        (windows, window, channels); the whole recording as the only one where no window is asked for.

    Example:
        >>> import numpy as np
        >>> from zoo.data.signals.recordings import Options, cut
        >>> cut(np.arange(7)[:, None], Options(window=4, hop=2))[:, :, 0].tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5]]
    """
    if not options.window:
        return values[None]
    windows = (
        np.lib.stride_tricks.sliding_window_view(values, options.window, axis=0)
        if (len(values) >= options.window)
        else np.empty((0, values.shape[1], options.window))
    )
    return np.swapaxes(windows[:: options.step], 1, 2)


def read_folder(root: Path, options: Options) -> tuple[np.ndarray, list[str], list[str]]:
    """The windows of all recordings below a folder of class folders.

    Args:
        root: Folder of a split.
        options: How recordings are read and cut.

    Returns:
        The windows (n, samples, channels) float64, the class of each, and its name, `CLASS/FILE#BEGIN`.

    Raises:
        DataError: A file cannot be used, recordings differ in channels, or, without windows, in length.
    """
    shown = printable(str(root))
    paths = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix in SUFFIXES)
    pieces: list[np.ndarray] = []
    labels: list[str] = []
    names: list[str] = []
    for path in paths:
        inner = path.relative_to(root)
        if len(inner.parts) < 2:
            raise DataError(f"{printable(str(path))} lies outside of the class folders.")
        windows = cut(read_recording(path, options), options)
        if not len(windows):
            raise DataError(f"{printable(str(path))} is shorter than a window of {options.window} samples.")
        if pieces and windows.shape[1:] != pieces[0].shape[1:]:
            raise DataError(
                f"{printable(str(path))}: expected {pieces[0].shape[1:]} samples and channels as in "
                f"{printable(names[0].partition('#')[0])}, or ?window=SAMPLES. Received: {windows.shape[1:]}"
            )
        pieces.append(windows)
        labels += [inner.parts[0]] * len(windows)
        names += [f"{inner.as_posix()}#{index * options.step}" for index in range(len(windows))]
    if not pieces:
        raise DataError(
            f"{shown} holds neither train.csv or NAME_TRAIN.tsv nor recordings ({', '.join(SUFFIXES)}) in class "
            "folders."
        )
    return np.concatenate(pieces), labels, names


def _ratio(rate: float, own: float) -> tuple[int, int]:
    """Whole numbers whose ratio is that of two rates, which may have three digits behind the point."""
    first, second = round(1000 * rate), round(1000 * own)
    common = math.gcd(first, second)
    return first // common, second // common


def _require_finite(values: np.ndarray, shown: str) -> None:
    if not np.isfinite(values).all():
        raise DataError(f"{shown} holds values that are no finite numbers.")
