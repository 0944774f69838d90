"""Records as PhysioNet keeps them: a header of text, and samples of 16 or of 12 bits.

The formats are those of the WFDB manual, https://physionet.org/physiotools/wag/header-5.htm and signal-5.htm; a test
compares with files that the package `wfdb` wrote. That package reads many more formats; it is not used here for what it
brings along (pandas, aiohttp and others).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.errors import DataError, printable

# Units of the converter for a physical unit, where the header does not say.
_GAIN = 200.0
_FORMATS = {"16": -(1 << 15), "212": -(1 << 11)}  # with the number that stands for no sample


@dataclass(frozen=True)
class Record:
    """A recording of several channels.

    Attributes:
        values: (samples, channels) float64, in physical units; NaN where a sample is missing.
        rate: Samples a second.
        channels: Names of the channels.
        units: Their units, such as "mV".
    """

    values: np.ndarray
    rate: float
    channels: tuple[str, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class _Signal:
    file: str
    kind: str
    gain: float
    baseline: int
    units: str
    checksum: int | None
    name: str


def read_record(path: Path) -> Record:
    """A record from its header file.

    Args:
        path: The header, whose name ends in `.hea`; the files that it names lie beside it.

    Returns:
        The record.

    Raises:
        DataError: A file cannot be read, is not of format 16 or 212, is cut short, or its sum is not what the header
            says; the message names file and line.
    """
    shown = printable(str(path))
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error.strerror}.") from None
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    if not rows or len(rows[0][1]) < 2 or not rows[0][1][1].isdigit():
        raise DataError(f"{shown}:1: expected the name of a record and its number of signals.")
    first = rows[0][1]
    if "/" in first[0]:
        raise DataError(f"{shown}:1: records of several segments are not read. Received: {first[0]}")
    number = int(first[1])
    rate = _number(first[2].partition("/")[0].partition("(")[0], f"{shown}:1") if len(first) > 2 else 250.0
    if not number or len(rows) < 1 + number:
        raise DataError(f"{shown}: it says {number} signals and describes {len(rows) - 1}.")
    signals = [_signal(cells, f"{shown}:{line}") for line, cells in rows[1 : 1 + number]]
    parts = {}
    for file in dict.fromkeys(signal.file for signal in signals):
        own = [signal for signal in signals if signal.file == file]
        raw = _samples(path.parent / file, own[0].kind, len(own))
        for place, signal in enumerate(own):
            parts[id(signal)] = _physical(raw[:, place], signal, printable(str(path.parent / file)))
    columns = [parts[id(signal)] for signal in signals]
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"{shown}: its signals differ in length. Received: {[len(column) for column in columns]}")
    if len(first) > 3 and first[3].isdigit() and int(first[3]) not in (0, len(columns[0])):
        raise DataError(f"{shown} says {first[3]} samples, and its files hold {len(columns[0])}.")
    return Record(
        np.stack(columns, 1), rate, tuple(signal.name for signal in signals), tuple(signal.units for signal in signals)
    )


def _signal(cells: list[str], place: str) -> _Signal:
    """One line of a header: file, format, gain(baseline)/units, bits, zero, first value, checksum, block, name."""
    if len(cells) < 2:
        raise DataError(f"{place}: expected a file and a format.")
    if cells[1] not in _FORMATS:
        raise DataError(f"{place}: signals of the formats 16 and 212 are read. Received: {cells[1]}")
    gain, baseline, units = _GAIN, None, "mV"
    if len(cells) > 2:
        match = re.fullmatch(r"([-+.\deE]+)(?:\((-?\d+)\))?(?:/(\S+))?", cells[2])
        if match is None:
            raise DataError(f"{place}: expected a gain such as 200(0)/mV. Received: {printable(cells[2])}")
        gain, units = _number(match[1], place) or _GAIN, match[3] or "mV"
        baseline = None if match[2] is None else int(match[2])
    zero = int(_number(cells[4], place)) if len(cells) > 4 else 0
    checksum = int(_number(cells[6], place)) if len(cells) > 6 else None
    name = " ".join(cells[8:])
    return _Signal(cells[0], cells[1], gain, zero if baseline is None else baseline, units, checksum, name)


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{place}: expected a number. Received: {printable(text)}") from None


def _samples(path: Path, kind: str, channels: int) -> np.ndarray:
    """What a file holds, (samples, channels) int64."""
    shown = printable(str(path))
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error.strerror}.") from None
    if kind == "16":
        if len(content) % 2:
            raise DataError(f"{shown} is cut short: {len(content)} bytes are no whole samples.")
        values = content.view("<i2").astype(np.int64)
    else:
        # Two samples in three bytes; behind an odd number of samples the last one takes two bytes.
        padded = np.concatenate([content, np.zeros(-len(content) % 3, np.uint8)]).reshape(-1, 3).astype(np.int64)
        low, middle, high = padded.T
        values = np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], 1).ravel()
        values = np.where(values >= 1 << 11, values - (1 << 12), values)
        values = values[: len(content) * 2 // 3]
    if not len(values) or len(values) % channels:
        raise DataError(f"{shown} is cut short: it has {len(values)} samples for {channels} channels.")
    return values.reshape(-1, channels)


def _physical(raw: np.ndarray, signal: _Signal, shown: str) -> np.ndarray:
    """Samples in physical units, where their sum is the one that the header has."""
    total = int(raw.sum()) & 0xFFFF
    if signal.checksum is not None and total != signal.checksum & 0xFFFF:
        raise DataError(
            f"{shown} is damaged: the samples of {signal.name or 'a signal'} sum to {total} of 65536, and the header "
            f"says {signal.checksum & 0xFFFF}."
        )
    values = (raw - signal.baseline) / signal.gain
    return np.where(raw == _FORMATS[signal.kind], np.nan, values)
