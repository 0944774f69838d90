"""The worked examples of a course on convolutional networks, each computed by Keras layers and told step by step.

The numbers that are given are inputs and kernels alone; every result is computed.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from applications.filters.convolution import convolution

WINDOW = 2


@dataclass(frozen=True)
class Step:
    """One position of one filter.

    Attributes:
        filter: Which filter.
        row: Row of the output.
        column: Column of the output.
        top: First row of the window in the input.
        left: Its first column.
        products: (height, width, channels), input times weight.
        sums: (channels,), the sum of the products of each.
        result: What stands in the output.
    """

    filter: int
    row: int
    column: int
    top: int
    left: int
    products: np.ndarray
    sums: np.ndarray
    result: float


@dataclass(frozen=True)
class Example:
    """A convolution of small numbers.

    Attributes:
        key: Short name.
        title: What it shows.
        note: More of it.
        volume: Input, (height, width, channels).
        kernels: (height, width, channels, filters).
        biases: One for each filter.
        strides: Step of the window.
        mean: Whether the products are averaged and not summed.
        pooled: Whether max-pooling of 2x2, stride 2, follows, the last row and column being kept.
        flattened: Whether that is made one row, as dense layers take it.
    """

    key: str
    title: str
    note: str
    volume: np.ndarray
    kernels: np.ndarray
    biases: tuple[float, ...] = ()
    strides: int = 1
    mean: bool = False
    pooled: bool = False
    flattened: bool = False

    @functools.cached_property
    def output(self) -> np.ndarray:
        """(rows, columns, filters), by a Keras layer with these weights."""
        weights = self.kernels / self._divisor
        model = convolution(weights, biases=self.biases or None, strides=self.strides)
        return np.asarray(model(self.volume[None].astype(np.float32)))[0]

    @functools.cached_property
    def maxima(self) -> np.ndarray:
        """(rows, columns, filters): the largest of each 2x2, by a Keras layer."""
        pool = layers.MaxPooling2D(WINDOW, padding="same", data_format="channels_last")
        return np.asarray(pool(keras.ops.convert_to_tensor(self.output[None])))[0]

    @functools.cached_property
    def row(self) -> np.ndarray:
        """(rows * columns * filters,): the maxima one after the other, by a Keras layer."""
        return np.asarray(layers.Flatten(data_format="channels_last")(keras.ops.convert_to_tensor(self.maxima[None])))[
            0
        ]

    @property
    def _divisor(self) -> int:
        """Number of products of a window, where these are averaged."""
        return int(np.prod(self.kernels.shape[:3])) if self.mean else 1

    def steps(self) -> Iterator[Step]:
        """Each window of each filter, in the order of reading, with the sum done by hand."""
        height, width, _, filters = self.kernels.shape
        rows, columns, _ = self.output.shape
        for number in range(filters):
            bias = self.biases[number] if self.biases else 0.0
            for row in range(rows):
                for column in range(columns):
                    top, left = row * self.strides, column * self.strides
                    window = self.volume[top : top + height, left : left + width]
                    products = window * self.kernels[..., number]
                    sums = products.sum(axis=(0, 1))
                    yield Step(number, row, column, top, left, products, sums, sums.sum() / self._divisor + bias)


def _cross() -> np.ndarray:
    """An X of ones, 7x7, on a 9x9 ground of -1."""
    picture = np.full((9, 9), -1.0)
    inner = np.arange(1, 8)
    picture[inner, inner] = picture[inner, inner[::-1]] = 1
    return picture


def _rows(text: str) -> np.ndarray:
    """Numbers from text: rows apart by "/"."""
    return np.array([[float(number) for number in row.split()] for row in text.split("/")])


def _digits(text: str) -> np.ndarray:
    """Digits from text: rows apart by spaces."""
    return np.array([[float(digit) for digit in row] for row in text.split()])


def _volume() -> np.ndarray:
    channels = (
        "00102 10201 10220 20020 21220",
        "21211 21201 02101 12222 01201",
        "21120 10010 01000 10210 22111",
    )
    return np.pad(np.stack([_digits(channel) for channel in channels], axis=-1), ((1, 1), (1, 1), (0, 0)))


def _kernels() -> np.ndarray:
    first = ("-1 0 1/0 0 1/1 -1 1", "-1 0 1/1 -1 1/0 1 0", "-1 1 1/1 1 0/0 -1 0")
    second = ("0 1 -1/0 -1 0/0 -1 1", "-1 0 0/1 -1 0/1 -1 0", "-1 1 -1/0 -1 -1/1 0 0")
    return np.stack([np.stack([_rows(part) for part in parts], axis=-1) for parts in (first, second)], axis=-1)


def _figure() -> np.ndarray:
    picture = np.zeros((7, 7))
    for place in ((1, 1), (1, 5), (3, 3), (4, 1), (4, 5), (5, 2), (5, 3), (5, 4)):
        picture[place] = 1
    return picture


_DIAGONAL = _rows("1 -1 -1/-1 1 -1/-1 -1 1")
_SMALL_CROSS = _rows("1 -1 1/-1 1 -1/1 -1 1")

EXAMPLES = (
    Example(
        "cross",
        "Three filters look at an X",
        "The mean of nine products is 1 where the picture equals the filter. The first and the third find the two "
        "strokes, the second their crossing; pooling keeps that, and forgets where exactly.",
        _cross()[..., None],
        np.stack([_DIAGONAL, _SMALL_CROSS, _DIAGONAL[:, ::-1]], axis=-1)[:, :, None],
        mean=True,
        pooled=True,
    ),
    Example(
        "slide",
        "A window slides over a picture",
        "Nine windows of 3 × 3 fit into 5 × 5. The kernel is not reversed.",
        _rows("3 3 2 1 0/0 0 1 3 1/3 1 2 2 3/2 0 0 2 2/2 0 0 0 1")[..., None],
        _rows("0 1 2/2 2 0/0 1 2")[:, :, None, None],
    ),
    Example(
        "detector",
        "A detector, pooling, flattening",
        "The answer is largest where the picture looks like the detector: all 4 of its ones are found once.",
        _figure()[..., None],
        _rows("0 0 1/1 0 0/0 1 1")[:, :, None, None],
        pooled=True,
        flattened=True,
    ),
    Example(
        "volume",
        "Three channels, two filters, a stride of 2",
        "The input was padded by zeros to 7 × 7 × 3. Each filter has a kernel for each channel, and one bias; the sums "
        "of the channels are added.",
        _volume(),
        _kernels(),
        biases=(1.0, 0.0),
        strides=2,
    ),
)


@dataclass(frozen=True)
class Classifier:
    """What a classifier says about three pictures: the probability of "dog"."""

    name: str
    dog: tuple[float, ...]


# Truth: dog, cat, dog. Both make the same one mistake, at the last picture.
TRUTH = (1, 0, 1)
CLASSIFIERS = (Classifier("first", (0.9, 0.1, 0.4)), Classifier("second", (0.6, 0.3, 0.1)))


def cross_entropy(classifier: Classifier) -> float:
    """Mean over the pictures of minus the logarithm of the true class's probability, in nats.

    Example:
        >>> from applications.filters.worked import CLASSIFIERS, cross_entropy
        >>> [round(cross_entropy(classifier), 3) for classifier in CLASSIFIERS]
        [0.376, 1.057]
    """
    loss = keras.losses.BinaryCrossentropy()
    return float(loss(np.array(TRUTH)[:, None], np.array(classifier.dog)[:, None]))


def error(classifier: Classifier) -> float:
    """Part of the pictures that are named wrongly."""
    return float(np.mean([(dog > 0.5) != truth for dog, truth in zip(classifier.dog, TRUTH, strict=True)]))


COEFFICIENTS: tuple[tuple[float, ...], ...] = ((1.3, -1.2), (2.2,))


def complexity(coefficients: Sequence[float]) -> tuple[int, float, float]:
    """l0, l1 and l2 as courses on regularisation give them: how many are not 0, the sum of sizes, that of squares.

    Example:
        >>> from applications.filters.worked import complexity
        >>> [round(value, 2) for value in complexity((1.3, -1.2))]
        [2, 2.5, 3.13]
    """
    values = np.asarray(coefficients, float)
    regularisers = (keras.regularizers.L1(1.0), keras.regularizers.L2(1.0))
    l1, l2 = (float(regulariser(keras.ops.convert_to_tensor(values))) for regulariser in regularisers)
    return int(np.count_nonzero(values)), l1, l2


def dense_weights(inputs: Sequence[int], outputs: Sequence[int]) -> int:
    """Weights of a dense layer between two shapes, biases not counted.

    Example:
        >>> from applications.filters.worked import dense_weights
        >>> dense_weights((256, 256, 3), (1000,))
        196608000
    """
    return int(np.prod(inputs, dtype=object) * np.prod(outputs, dtype=object))


def convolution_weights(kernel: int, channels: int, filters: int) -> int:
    """Weights of a convolution, biases not counted.

    Example:
        >>> from applications.filters.worked import convolution_weights
        >>> convolution_weights(5, 96, 256)
        614400
    """
    return kernel * kernel * channels * filters
