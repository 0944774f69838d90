"""Sound from files, checked whole before the first step.

soundfile reads WAV, FLAC, OGG and MP3 of any rate, width and number of channels; the extra `audio` brings it.
"""

import hashlib
import importlib.util
import io
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import scipy.signal

from zoo.data.arrays import ArrayDataset, Arrays, carved
from zoo.data.audio.front_end import FrontEnd
from zoo.data.dataset import OnBad
from zoo.data.errors import DataError, printable
from zoo.data.folder import split_folders
from zoo.data.splits import groups_by_name
from zoo.messages import some

RATE = 16_000
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

# Clips are padded or cut to this length; a file that is much longer is no clip.
CLIP_SECONDS, LONGEST_SECONDS = 1.0, 60.0

# Under "skip" so many files may be bad, or this fraction of all, whichever is more: as for pictures.
MAX_SKIPPED, MAX_SKIPPED_FRACTION = 10, 0.01


def read_sound(path: str | os.PathLike, *, rate: int = RATE, longest: float | None = None) -> np.ndarray:
    """The sound of a file: one channel, the mean of all, at a rate that is asked for.

    Args:
        path: WAV, FLAC, OGG or MP3, whatever its name says.
        rate: Samples a second; sound of another rate is resampled by a polyphase filter.
        longest: Seconds that it may have at most; None for no limit.

    Returns:
        (samples,) float32, -1 to 1.

    Raises:
        DataError: The file cannot be read, is cut short, empty or too long, or soundfile is not installed; the message
            names the file.
    """
    _require_soundfile()
    try:
        return _sound(Path(path), rate, longest)
    except DataError as error:
        raise DataError(f"{printable(str(path))} {error}") from None


def _require_soundfile() -> None:
    if importlib.util.find_spec("soundfile") is None:
        raise DataError('Reading sound needs soundfile: pip install "cnn-zoo[audio]"')


def _sound(path: Path, rate: int, longest: float | None) -> np.ndarray:
    """What `read_sound` returns; an error has the reason alone, such as "is empty."."""
    import soundfile

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}.") from None
    _require_whole(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            own_rate, frames = file.samplerate, file.frames
            if own_rate < 1:
                raise DataError(f"says that it has {own_rate} samples a second.")
            if longest is not None and frames > longest * own_rate:
                raise DataError(f"is {frames / own_rate:.0f} s long; a clip has {longest:g} s at most.")
            values = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DataError(f"is no sound that can be read: {str(error).rstrip('.')}.") from None
    if not len(values):
        raise DataError("holds no sound.")
    if len(values) < frames:
        raise DataError(f"is cut short: it says {frames} samples and has {len(values)}.")
    if not np.isfinite(values).all():
        raise DataError("holds values that are no finite numbers.")
    sound = values.mean(1)
    if own_rate != rate:
        common = math.gcd(own_rate, rate)
        sound = scipy.signal.resample_poly(sound, rate // common, own_rate // common)
    return sound.astype(np.float32)


def _require_whole(content: bytes) -> None:
    """Refuse an empty file, and a WAV file whose data is shorter than its header says, which libsndfile forgives."""
    if not content:
        raise DataError("is empty.")
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return
    place = 12
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        # Programs that write to a pipe do not know the length and say the largest there is.
        if content[place : place + 4] == b"data" and size < 0x7FFFF000 and place + 8 + size > len(content):
            there = len(content) - place - 8
            raise DataError(f"is cut short: its header says {size} bytes of sound, and there are {there}.")
        if content[place : place + 4] == b"fmt " and int.from_bytes(content[place + 12 : place + 16], "little") == 0:
            raise DataError("says that it has 0 samples a second.")
        place += 8 + size + size % 2


def fitted(sound: np.ndarray, samples: int) -> np.ndarray:
    """Sound of a length that is asked for: silence around what is shorter, the loudest part of what is longer.

    Args:
        sound: (any,).
        samples: The length.

    Returns:
        (samples,).
    """
    if len(sound) <= samples:
        before = (samples - len(sound)) // 2
        return np.pad(sound, (before, samples - len(sound) - before))
    energy = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[samples:] - energy[:-samples]))
    return sound[start : start + samples]


@dataclass(frozen=True)
class ClipReader:
    """From a file to what a network hears.

    Attributes:
        samples: Length of a clip.
        front_end: What is made of it.
    """

    samples: int
    front_end: FrontEnd

    @classmethod
    def from_form(cls, form: Mapping[str, Any]) -> "ClipReader":
        """The reader that `form` describes."""
        return cls(int(form["samples"]), FrontEnd(**form["front_end"]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, bands and maps."""
        own = self.front_end
        return own.num_frames(self.samples), own.coefficients or own.bands, 1 + own.differences

    @property
    def form(self) -> dict[str, Any]:
        """The reader as plain JSON, which `from_form` reads."""
        front_end = self.front_end.to_dict()
        return {"kind": "sound", "samples": self.samples, "front_end": front_end, "shape": list(self.shape)}

    def read(self, path: Path) -> np.ndarray:
        """The spectrogram of a file, (frames, bands, maps) float32."""
        sound = fitted(read_sound(path, rate=self.front_end.sample_rate, longest=LONGEST_SECONDS), self.samples)
        return self.front_end(sound[None]).numpy()[0]


@dataclass(frozen=True, kw_only=True)
class SoundDataset(ArrayDataset):
    """A data set of clips as they sound; `for_model` makes spectrograms of them."""

    modality: str = "audio"
    front_end: Mapping[str, Any] = field(default_factory=dict)

    def for_model(self, modality: str, input_shape: tuple[int, ...], symbols: str = "words") -> ArrayDataset:
        """The clips through a front-end with as many bands and maps as the network has.

        Few bands are cepstral coefficients of frames of 40 ms every 20 ms, as networks for microcontrollers take them;
        otherwise log-mel bands of 25 ms every 10 ms. What the name of the data says of its front-end is kept to.
        """
        super().for_model(modality, input_shape)
        _, bands, maps = input_shape
        options: dict[str, Any] = {"bands": bands, "differences": maps - 1}
        if bands < 20 and "bands" not in self.front_end:
            options |= {"bands": 40, "coefficients": bands, "frame_seconds": 0.04, "hop_seconds": 0.02}
        front_end = FrontEnd(**{**options, **self.front_end})
        return self.in_form(ClipReader(self.image_shape[0] or 0, front_end).form)

    def in_form(self, form: Mapping[str, Any]) -> ArrayDataset:
        """The clips through the front-end of a form."""
        reader = ClipReader.from_form(form)
        if reader.samples != self.image_shape[0]:
            raise DataError(f"Clips have {self.image_shape[0]} samples. Received: a form with {reader.samples}")
        names = ("name", "classes", "source", "licence", "fingerprint", "bad_files", "splits")
        return ArrayDataset(
            **{name: getattr(self, name) for name in names},
            image_shape=reader.shape,
            modality="audio",
            form=reader.form,
            prepare=reader.front_end,
        )


def load(name: str, rest: str, split_seed: int, on_bad: OnBad, group_by: str | None = None) -> SoundDataset:
    """The clips of `root/CLASS/…`, or of `root/{train,validation,test}/CLASS/…`.

    Behind a question mark values of the front-end may stand, such as `wav:words?bands=40&scale=pcen`.
    """
    place, _, options = rest.partition("?")
    front_end = front_end_options(options)
    root = Path(place)
    shown = printable(str(root))
    if not root.is_dir():
        raise DataError(f"{shown} is no folder.")
    folders = split_folders(root)
    paths = {
        part: sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES)
        for part, folder in folders.items()
    }
    bad: dict[str, str] = {}
    samples = round(CLIP_SECONDS * RATE)

    def name_of(path: Path) -> str:
        return printable(path.relative_to(root).as_posix())

    def read(path: Path) -> np.ndarray | None:
        try:
            return fitted(_sound(path, RATE, LONGEST_SECONDS), samples)
        except DataError as error:
            if on_bad == "raise":
                raise DataError(f"{printable(str(path))} {error}") from None
            bad[name_of(path)] = str(error)
            return None

    parts, classes = {}, sorted({_label(path, folders[part]) for part, own in paths.items() for path in own})
    if len(classes) < 2:
        raise DataError(f"{shown} has {len(classes)} classes with {', '.join(SUFFIXES)} files; classifying needs two.")
    digest = hashlib.sha256()
    groups = groups_by_name([name_of(path) for own in paths.values() for path in own], group_by)
    _require_soundfile()
    for part, own in paths.items():
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(read, own))
        good = [(path, sound) for path, sound in zip(own, found, strict=True) if sound is not None]
        if not good:
            raise DataError(f"{printable(str(folders[part]))} holds no usable sound.")
        values = np.stack([sound for _, sound in good])
        labels = np.array([classes.index(_label(path, folders[part])) for path, _ in good], np.int32)
        names = [name_of(path) for path, _ in good]
        parts[part] = Arrays(labels, names, values, None if groups is None else [groups[name] for name in names])
        digest.update("\n".join(names).encode() + values.tobytes())
    total = sum(map(len, paths.values()))
    if on_bad == "skip" and len(bad) > max(MAX_SKIPPED, MAX_SKIPPED_FRACTION * total):
        listed = some(f"{file} ({reason})" for file, reason in sorted(bad.items()))
        raise DataError(f"{len(bad)} of {total} files in {shown} are bad, too many to skip: {listed}. "
                        'on_bad="count" leaves out all of them.')  # fmt: skip
    splits = carved(parts, split_seed, shown)
    return SoundDataset(
        name=name,
        classes=tuple(map(printable, classes)),
        image_shape=(samples,),
        splits=splits,
        source=f"the folder {shown}",
        licence="as its owner says",
        fingerprint=digest.hexdigest(),
        bad_files=bad,
        front_end=front_end,
    )


def front_end_options(text: str) -> dict[str, Any]:
    """`bands=40&scale=pcen`, each value of the type that the front-end has it in."""
    known: dict[str, Any] = {item.name: item.default for item in fields(FrontEnd)}
    options: dict[str, Any] = {}
    for part in filter(None, text.split("&")):
        name, equals, value = part.partition("=")
        if name not in known or not equals:
            raise DataError(f"A front-end has {', '.join(known)}. Received: {part!r}")
        if name == "sample_rate":
            raise DataError(f"Clips are read at {RATE} samples a second. Received: {part!r}")
        try:
            options[name] = type(known[name])(value)
        except ValueError:
            raise DataError(f"{name} is {type(known[name]).__name__}. Received: {part!r}") from None
    FrontEnd(**options)
    return options


def _label(path: Path, folder: Path) -> str:
    """The class folder of a file."""
    inner = path.relative_to(folder).parts
    if len(inner) < 2:
        raise DataError(f"{printable(str(path))} lies outside of the class folders.")
    return inner[0]
