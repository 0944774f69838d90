"""LeNet-5 and the small network that courses teach it by.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE
86(11), 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf: section II.B, figure 2 and table I. Input: grey
pictures of 32x32, background -0.1 and ink 1.175. Published: 0.95 % error on MNIST, 0.8 % with distortions.

`simple_cnn` is the first Keras network of many courses: two convolutions of 25 and 50 filters, each with max-pooling,
a hidden dense layer, softmax; 28x28 pictures give 1,250 features.

Differences from the paper (lenet5):
- The codes of the output units are random +1 and -1, the first of the three choices that section II.B names; the
  paper then drew 7x12 pictures of the characters by hand.
- `variant="modern"` is the form of today's re-implementations: every map of C3 sees all six maps of S2, subsampling
  has no coefficients, the output is a dense layer, the squashing is a plain tanh: 61,706 parameters in place of 60,000.
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers, ops

from zoo.layers import endpoint, flatten, full_precision, logits
from zoo.registry import Card, Paper, Result, register

# Appendix A: a squashing function with f(1) = 1, f(-1) = -1 and its largest curvature there.
AMPLITUDE, SLOPE = 1.7159, 2 / 3

# Table I: the maps of S2 that each of the 16 maps of C3 sees.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


@keras.saving.register_keras_serializable("zoo")
def scaled_tanh(x: Any) -> Any:
    """1.7159 tanh(2/3 x), the squashing function of LeNet-5."""
    return AMPLITUDE * ops.tanh(SLOPE * x)


@keras.saving.register_keras_serializable("zoo")
class TableConv2D(layers.Layer):
    """A convolution in which each output map sees its own choice of input maps; stride 1, no padding.

    Args:
        table: For each output map the indices of the input maps that it sees.
        kernel_size: Height and width of the kernels.

    Input (batch, height, width, maps); output (batch, height - kernel_size + 1, width - kernel_size + 1, len(table)).
    """

    def __init__(self, table: Sequence[Sequence[int]], kernel_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = tuple(tuple(row) for row in table)
        self.kernel_size = kernel_size

    def build(self, input_shape: tuple[int, ...]) -> None:
        pairs = [(source, target) for target, row in enumerate(self.table) for source in row]
        maps = input_shape[-1]
        if any(source >= maps for source, _ in pairs):
            raise ValueError(f"The table of {self.name!r} names a map beyond the input's {maps}.")
        limit = [2.4 / (self.kernel_size**2 * len(self.table[target])) for _, target in pairs]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, len(pairs)),
            initializer=lambda shape, dtype: (
                keras.random.uniform(shape, -1.0, 1.0, dtype, seed=keras.random.SeedGenerator())
                * ops.cast(limit, dtype)
            ),
        )
        self.bias = self.add_weight(name="bias", shape=(len(self.table),), initializer="zeros")
        self._to_dense = [
            [float((s, t) == pair) for s in range(maps) for t in range(len(self.table))] for pair in pairs
        ]
        self._dense_shape = (self.kernel_size, self.kernel_size, maps, len(self.table))

    def call(self, x: Any) -> Any:
        kernel = ops.matmul(self.kernel, ops.cast(self._to_dense, self.kernel.dtype))
        return ops.conv(x, ops.reshape(kernel, self._dense_shape), data_format="channels_last") + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, *sizes, _ = input_shape
        return (batch, *(size and size - self.kernel_size + 1 for size in sizes), len(self.table))

    def count_macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiply-accumulates for one picture, the absent connections left out."""
        return output_shape[1] * output_shape[2] * self.kernel_size**2 * sum(len(row) for row in self.table)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "table": self.table, "kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("zoo")
class RadialBasis(layers.Layer):
    """Negative squared distance to a fixed code of +1 and -1 for each class (section II.B, equation 7).

    Cross-entropy on these logits is the discriminative criterion of the paper's equation 9 without its rubbish class.

    Args:
        classes: Number of classes.

    Input (batch, features); output (batch, classes), at most 0.
    """

    def __init__(self, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.codes = self.add_weight(
            name="codes",
            shape=(self.classes, input_shape[-1]),
            initializer=lambda shape, dtype: ops.where(
                keras.random.uniform(shape, seed=keras.random.SeedGenerator()) < 0.5,
                ops.cast(-1, dtype),
                ops.cast(1, dtype),
            ),
            trainable=False,
        )

    def call(self, x: Any) -> Any:
        return -ops.sum(ops.square(ops.expand_dims(x, 1) - self.codes), axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


def lenet5(x: keras.KerasTensor, *, variant: Literal["paper", "modern"] = "paper") -> keras.KerasTensor:
    """LeNet-5 up to layer C5, in the paper's order C1, S2, C3, S4, C5.

    Args:
        x: Pictures (batch, height, width, channels).
        variant: "paper" for the form of 1998, "modern" for that of today's re-implementations.

    Returns:
        Feature map C5, (batch, 1, 1, 120) for pictures of 32x32.
    """
    x = _convolution(x, 6, variant=variant, name="c1")
    x = endpoint(x, "stride1")
    x = _subsampling(x, variant=variant, name="s2")
    if variant == "paper":
        x = TableConv2D(C3_TABLE, 5, name="c3")(x)
        x = _squash(x, variant=variant, name="c3_squash")
    else:
        x = _convolution(x, 16, variant=variant, name="c3")
    x = endpoint(x, "stride2")
    x = _subsampling(x, variant=variant, name="s4")
    x = _convolution(x, 120, variant=variant, name="c5")
    return endpoint(x, "stride4")


def lenet5_head(
    x: keras.KerasTensor, classes: int, *, variant: Literal["paper", "modern"] = "paper"
) -> keras.KerasTensor:
    """F6 with 84 units, then the distances to the classes' codes ("paper") or a dense layer ("modern")."""
    x = flatten(x)
    x = layers.Dense(84, kernel_initializer=_uniform(x.shape[-1]), name="f6")(x)
    x = _squash(x, variant=variant, name="f6_squash")
    if variant == "paper":
        return RadialBasis(classes, dtype=full_precision(), name="logits")(x)
    return logits(x, classes)


def simple_cnn(x: keras.KerasTensor, *, filters: tuple[int, int] = (25, 50)) -> keras.KerasTensor:
    """Two convolutions of 3x3 without padding, each followed by 2x2 max-pooling.

    Args:
        x: Pictures (batch, height, width, channels).
        filters: Number of filters of the first and the second convolution.

    Returns:
        Feature map, (batch, 5, 5, 50) for pictures of 28x28.
    """
    first, second = filters
    x = layers.Conv2D(first, 3, activation="relu", data_format="channels_last", name="conv1")(x)
    x = endpoint(x, "stride1")
    x = layers.MaxPooling2D(2, data_format="channels_last", name="pool1")(x)
    x = layers.Conv2D(second, 3, activation="relu", data_format="channels_last", name="conv2")(x)
    x = endpoint(x, "stride2")
    x = layers.MaxPooling2D(2, data_format="channels_last", name="pool2")(x)
    return endpoint(x, "stride4")


def simple_cnn_head(
    x: keras.KerasTensor, classes: int, *, hidden_units: int = 100, dropout: float = 0.0
) -> keras.KerasTensor:
    """Flatten, one hidden dense layer, dense.

    Args:
        x: Feature map of a fixed size.
        classes: Number of classes.
        hidden_units: Width of the hidden layer.
        dropout: Fraction of the hidden units that is dropped in training, 0 to 1.
    """
    x = layers.Dense(hidden_units, activation="relu", name="hidden")(flatten(x))
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return logits(x, classes)


def _convolution(x: keras.KerasTensor, filters: int, *, variant: str, name: str) -> keras.KerasTensor:
    initializer = _uniform(25 * x.shape[-1])
    x = layers.Conv2D(filters, 5, kernel_initializer=initializer, data_format="channels_last", name=name)(x)
    return _squash(x, variant=variant, name=f"{name}_squash")


def _subsampling(x: keras.KerasTensor, *, variant: str, name: str) -> keras.KerasTensor:
    """The mean of 2x2, in the paper times a coefficient plus a bias for each map and squashed."""
    x = layers.AveragePooling2D(2, data_format="channels_last", name=f"{name}_pool")(x)
    if variant == "modern":
        return x
    # The paper's coefficient multiplies the sum of four, ours their mean: hence the fan-in of 1 in place of 4.
    x = layers.DepthwiseConv2D(1, depthwise_initializer=_uniform(1), data_format="channels_last", name=name)(x)
    return _squash(x, variant=variant, name=f"{name}_squash")


def _squash(x: keras.KerasTensor, *, variant: str, name: str) -> keras.KerasTensor:
    return layers.Activation(scaled_tanh if variant == "paper" else "tanh", name=name)(x)


def _uniform(fan_in: int) -> keras.initializers.Initializer:
    """Appendix A: uniform between -2.4 and 2.4 divided by the number of inputs of a unit."""
    return keras.initializers.RandomUniform(-2.4 / fan_in, 2.4 / fan_in)


register(
    Card(
        name="lenet5",
        family="lenet",
        modality="image",
        summary="LeNet-5, the network that read cheques: trainable subsampling, a table of connections, fixed codes",
        paper=Paper(
            title="Gradient-Based Learning Applied to Document Recognition",
            year=1998,
            url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
        ),
        input_shape=(32, 32, 1),
        min_size=32,
        value_range=(-0.1, 1.175),
        classes=10,
        num_params=60_000,
        num_state=840,
        num_macs=327_256,
        endpoints=("stride1", "stride2", "stride4", "logits"),
        results=(
            Result(dataset="MNIST", top1=99.05, protocol="trained on 60,000 digits of 32x32", source="section III.B"),
            Result(dataset="MNIST", top1=99.2, protocol="with 540,000 distorted digits added", source="section III.B"),
        ),
    ),
    lenet5,
    lenet5_head,
)

register(
    Card(
        name="simple_cnn",
        family="lenet",
        modality="image",
        summary="The small Keras network of many courses: 25 and 50 filters of 3x3, max-pooling, a hidden dense layer",
        paper=Paper(
            title="Gradient-Based Learning Applied to Document Recognition",
            year=1998,
            url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
        ),
        input_shape=(28, 28, 1),
        min_size=10,
        value_range=(0.0, 1.0),
        classes=10,
        num_params=137_660,
        num_state=0,
        num_macs=1_639_350,
        endpoints=("stride1", "stride2", "stride4", "logits"),
        note="A teaching network after LeNet-5, without a paper of its own.",
    ),
    simple_cnn,
    simple_cnn_head,
)
