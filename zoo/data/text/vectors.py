"""Word vectors that others trained, from a text file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.data.errors import DataError, printable


def read_vectors(
    path: str | Path, symbols: Sequence[str], *, seed: int = 0, limit: float = 0.25
) -> tuple[np.ndarray, int]:
    """The vectors of a vocabulary from a `.vec` or `.txt` file: one word and its numbers on each line.

    The first line may give the number of words and of numbers, as word2vec and fastText write it. Words that the file
    does not have get numbers from a uniform distribution, padding gets zeros.

    Args:
        path: The file, UTF-8.
        symbols: The vocabulary, padding first: `Encoder.symbols`.
        seed: Seed of the vectors of other words.
        limit: Their numbers are from -limit to limit.

    Returns:
        (len(symbols), numbers) float32, as `model.get_layer("embedding").set_weights` takes it in a list, and how many
        words the file had.

    Raises:
        DataError: The file cannot be read, or a line is not as the others; the message names it.
    """
    path = Path(path)
    shown = printable(str(path))
    wanted = {symbol: number for number, symbol in enumerate(symbols)}
    found: dict[int, np.ndarray] = {}
    size = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    word, *cells = line.decode("utf-8").split()
                except (UnicodeDecodeError, ValueError):
                    raise DataError(f"{shown}:{number}: expected a word and numbers in UTF-8.") from None
                if number == 1 and len(cells) == 1:
                    continue
                size = size or len(cells)
                if len(cells) != size or not size:
                    raise DataError(f"{shown}:{number}: expected {size} numbers. Received: {len(cells)}")
                if word in wanted:
                    try:
                        found[wanted[word]] = np.array(cells, np.float32)
                    except ValueError:
                        raise DataError(f"{shown}:{number}: expected numbers behind the word.") from None
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error.strerror}.") from None
    if not size:
        raise DataError(f"{shown} holds no vectors.")
    vectors = np.random.default_rng(seed).uniform(-limit, limit, (len(symbols), size)).astype(np.float32)
    vectors[0] = 0
    for place, vector in found.items():
        vectors[place] = vector
    return vectors, len(found)
