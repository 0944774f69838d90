"""From text to numbers, by words or by characters; what is needed for it is plain JSON and stays with the run."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.data.errors import DataError, printable

# Zhang, Zhao, LeCun 2015, section 2.2: 70 characters, here with the space in place of the second hyphen.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+ =<>()[]{}\n"
PADDING, UNKNOWN = "", "[UNK]"

# As `keras.layers.TextVectorization` by default: lower case, without these characters, split at white space.
_STRIPPED = re.compile(r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']')


@dataclass(frozen=True)
class Encoder:
    """Text to numbers of a fixed length, cut off or padded by 0 at the end.

    Attributes:
        kind: "words" or "characters".
        symbols: What the numbers stand for. Words: the first two are padding and unknown. Characters: number n is the
            n-th character, and 0 stands for padding and for what is not among them.
        length: Number of positions.

    Example:
        >>> from zoo.data.text import Encoder
        >>> Encoder("words", ("", "[UNK]", "good", "bad"), 5).encode("Bad, not good!").tolist()
        [3, 1, 2, 0, 0]
        >>> Encoder("characters", tuple("abc"), 5).encode("Cab?").tolist()
        [3, 1, 2, 0, 0]
    """

    kind: Literal["words", "characters"]
    symbols: tuple[str, ...]
    length: int

    def __post_init__(self) -> None:
        first = 0 if self.kind == "words" else 1
        object.__setattr__(self, "_numbers", {symbol: number for number, symbol in enumerate(self.symbols, first)})

    @classmethod
    def from_form(cls, form: Mapping[str, Any]) -> "Encoder":
        """The encoder that `form` describes."""
        return cls(form["kind"], tuple(form["symbols"]), int(form["length"]))

    @property
    def form(self) -> dict[str, Any]:
        """The encoder as plain JSON, which `from_form` reads."""
        return {"kind": self.kind, "symbols": list(self.symbols), "length": self.length, "shape": [self.length]}

    def encode(self, text: str) -> np.ndarray:
        """(length,) int32."""
        numbers: dict[str, int] = self._numbers  # type: ignore[attr-defined]
        if self.kind == "words":
            found = [numbers.get(word, 1) for word in words(text)[: self.length]]
        else:
            found = [numbers.get(character, 0) for character in text.lower()[: self.length]]
        encoded = np.zeros(self.length, np.int32)
        encoded[: len(found)] = found
        return encoded

    def encode_all(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, length) int32."""
        return np.stack([self.encode(text) for text in texts])

    def decode(self, numbers: np.ndarray) -> str:
        """The text of numbers, without padding; what is unknown is shown as such."""
        if self.kind == "words":
            return " ".join(self.symbols[number] for number in numbers.tolist() if number)
        # What is no symbol stands as 0 like padding, which is left out at the end.
        text = "".join(
            self.symbols[number - 1] if number else "\N{REPLACEMENT CHARACTER}" for number in numbers.tolist()
        )
        return text.rstrip("\N{REPLACEMENT CHARACTER}")

    def read(self, path: Path) -> np.ndarray:
        """The text of a file as numbers.

        Raises:
            DataError: The file cannot be read, or is not UTF-8; the message names the line.
        """
        return self.encode(read_text(path))


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation: what Keras's TextVectorization makes of ASCII text.

    Example:
        >>> words("It's well-known: a CNN.")
        ['its', 'wellknown', 'a', 'cnn']
    """
    return _STRIPPED.sub("", text.lower()).split()


def fit_words(texts: Sequence[str], *, max_words: int, max_length: int) -> Encoder:
    """An encoder of the most frequent words of texts.

    Args:
        texts: The training texts; those of other splits must not be looked at.
        max_words: Largest number of words, padding and unknown among them.
        max_length: Largest number of positions; the longest text decides where it is shorter.

    Returns:
        The encoder. Words of equal frequency stand in the order of the alphabet.

    Raises:
        DataError: There is no word in any text.
    """
    split = [words(text) for text in texts]
    counts = Counter(word for text in split for word in text)
    if not counts:
        raise DataError(f"There is no word in any of {len(texts)} texts.")
    most = sorted(counts, key=lambda word: (-counts[word], word))[: max_words - 2]
    length = min(max_length, max(len(text) for text in split))
    return Encoder("words", (PADDING, UNKNOWN, *most), length)


def read_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        DataError: The file cannot be read, or holds what is not UTF-8 or no text; the message names the line.
    """
    shown = printable(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error.strerror}.") from None
    return decode_text(content, shown)


def decode_text(content: bytes, shown: str) -> str:
    """UTF-8 to text, with a byte order mark left out and line ends as they are on Unix.

    Args:
        content: The bytes.
        shown: What the file is called in an error.

    Raises:
        DataError: It is not UTF-8, or holds a NUL; the message names the line.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{shown}:1: this is UTF-16; save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{shown}:{line}: this is not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8."
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{shown}:{line}: there is a NUL character; this is no text.")
    return text.replace("\r\n", "\n")
