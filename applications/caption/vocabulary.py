"""Sentences as numbers, with marks of their beginning and end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.data.text import Encoder
from zoo.data.text.encoding import PADDING, UNKNOWN, fit_words

# No word is like these: words have no brackets.
START, END = "[START]", "[END]"
_MARKS = (PADDING, UNKNOWN, START, END)
UNKNOWN_WORD, START_WORD, END_WORD = 1, 2, 3


@dataclass(frozen=True)
class Vocabulary:
    """Words and their numbers: 0 is padding, 1 what is not known, 2 the beginning, 3 the end.

    Attributes:
        encoder: The encoder of sentences without marks.

    Example:
        >>> from applications.caption.vocabulary import fit
        >>> known = fit(["a dog", "a cat"], max_words=10, max_length=5)
        >>> heard, said = known.pairs(["A cat."])
        >>> heard.tolist(), said.tolist()
        ([[2, 4, 5]], [[4, 5, 3]])
        >>> known.text(said[0])
        'a cat'
    """

    encoder: Encoder

    def __len__(self) -> int:
        return len(self.encoder.symbols)

    @property
    def length(self) -> int:
        """Most words of a sentence, without marks."""
        return self.encoder.length

    @property
    def form(self) -> dict[str, Any]:
        """Plain JSON, which `from_form` reads."""
        return self.encoder.form

    @classmethod
    def from_form(cls, form: dict[str, Any]) -> "Vocabulary":
        """The vocabulary that `form` describes."""
        return cls(Encoder.from_form(form))

    def pairs(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """What a decoder hears and what it is to say next.

        Args:
            sentences: The sentences.

        Returns:
            Two arrays (sentences, length + 1) int32: with the beginning in front, and with the end behind.
        """
        numbers = np.pad(self.encoder.encode_all(sentences), ((0, 0), (0, 1)))
        said = numbers.copy()
        said[np.arange(len(said)), (numbers > 0).sum(1)] = END_WORD
        heard = np.roll(numbers, 1, axis=1)
        heard[:, 0] = START_WORD
        return heard, said

    def text(self, numbers: np.ndarray) -> str:
        """The sentence of numbers, up to its end."""
        words = [self.encoder.symbols[number] for number in numbers]
        return " ".join(words[: words.index(END)] if END in words else [word for word in words if word])


def fit(sentences: Sequence[str], *, max_words: int, max_length: int) -> Vocabulary:
    """The most frequent words of sentences.

    Args:
        sentences: Those of training; of others none must be looked at.
        max_words: Most words, the four marks among them.
        max_length: Most words of a sentence; the longest one decides where it is shorter.
    """
    found = fit_words(sentences, max_words=max_words - 2, max_length=max_length)
    return Vocabulary(Encoder("words", (*_MARKS, *found.symbols[2:]), found.length))
