"""A convolutional network from the ground up: a row for each layer, in any number and any order.

LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE
86(11), 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf, section II.A names the ingredients: convolutions with
shared weights, subsampling, dense layers at the end. How many, which and in what order is what a search decides
(`zoo tune plain_cnn --space free`). Input: grey pictures of 28x28, values 0 to 1. No accuracy is published.

Every layer keeps the size of its feature map or halves it, rounded up, so that each order of layers fits each picture.
"""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from zoo.layers import batch_norm, conv, endpoint, flatten, global_pooling, logits
from zoo.registry import Card, Paper, register

# Keras's own defaults, which a network without published weights may as well have.
EPSILON, MOMENTUM = 1e-3, 0.9

LAYERS: tuple[tuple[str | int, ...], ...] = (("conv", 32, 3), ("max_pool",), ("conv", 64, 3), ("max_pool",))
_POOLS = {"max_pool": layers.MaxPooling2D, "average_pool": layers.AveragePooling2D}
# Kind of layer to the number of values that stand behind it in its row.
_KINDS = {"conv": 2, "strided_conv": 2, "max_pool": 0, "average_pool": 0, "batch_norm": 0}

Activation = Literal["relu", "elu", "gelu", "silu", "tanh", "sigmoid"]


def plain_cnn(
    x: keras.KerasTensor,
    *,
    rows: Sequence[Sequence[str | int]] = LAYERS,
    activation: Activation = "relu",
) -> keras.KerasTensor:
    """The layers of the rows, one after the other.

    Args:
        x: Pictures (batch, height, width, channels).
        rows: A row for each layer: ("conv", filters, kernel_size), ("strided_conv", filters, kernel_size) with
            stride 2, ("max_pool",) or ("average_pool",) of 2x2, or ("batch_norm",). Kernel sizes are odd. Activations
            stand behind the convolutions.
        activation: Activation behind each convolution and each hidden layer of the head.

    Returns:
        Feature map (batch, height / stride, width / stride, filters).

    Raises:
        ValueError: A row is none of these.
    """
    stride = 1
    for number, row in enumerate(rows, start=1):
        kind, *values = row
        _check_row(row)
        if kind in ("strided_conv", *_POOLS):
            x, stride = endpoint(x, f"stride{stride}"), 2 * stride
        if kind in _POOLS:
            x = _POOLS[kind](2, padding="same", data_format="channels_last", name=f"layer{number}_pool")(x)
        elif kind == "batch_norm":
            x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"layer{number}_bn")
        else:
            filters, kernel_size = map(int, values)
            strides = 2 if kind == "strided_conv" else 1
            x = conv(x, filters, kernel_size, strides=strides, use_bias=True, name=f"layer{number}_conv")
            x = layers.Activation(activation, name=f"layer{number}_{activation}")(x)
    return endpoint(x, f"stride{stride}")


def plain_cnn_head(
    x: keras.KerasTensor,
    classes: int,
    *,
    pool: bool = False,
    hidden_layers: Sequence[int] = (128,),
    activation: Activation = "relu",
    dropout: float = 0.0,
) -> keras.KerasTensor:
    """Flatten or average over all positions, hidden dense layers, dense.

    Args:
        x: Feature map, of a fixed size unless it is averaged.
        classes: Number of classes.
        pool: Whether the feature map is averaged over all positions instead of flattened.
        hidden_layers: Number of units of each hidden layer; none for no hidden layer.
        activation: Activation behind each hidden layer.
        dropout: Fraction of the inputs of the classifier and of each hidden layer's outputs that is dropped in
            training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    x = global_pooling(x, "avg") if pool else flatten(x)
    for number, units in enumerate(hidden_layers, start=1):
        x = layers.Dense(units, name=f"hidden{number}")(x)
        x = layers.Activation(activation, name=f"hidden{number}_{activation}")(x)
        x = layers.Dropout(dropout, name=f"hidden{number}_dropout")(x) if dropout else x
    if dropout and not hidden_layers:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return logits(x, classes)


def _check_row(row: Sequence[str | int]) -> None:
    kind, *values = row
    legal = kind in _KINDS and len(values) == _KINDS[kind]
    if legal and values:
        filters, size = values
        legal = all(type(value) is int and value > 0 for value in (filters, size)) and size % 2 == 1
    if not legal:
        raise ValueError(
            'Each of rows must be ("conv", filters, odd kernel_size), ("strided_conv", filters, odd kernel_size), '
            f'("max_pool",), ("average_pool",) or ("batch_norm",). Received: {tuple(row)}'
        )


register(
    Card(
        name="plain_cnn",
        family="plain_cnn",
        modality="image",
        summary="A network from the ground up, a row for each layer in any number and order; made to be searched",
        paper=Paper(
            title="Gradient-Based Learning Applied to Document Recognition",
            year=1998,
            url="http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
        ),
        input_shape=(28, 28, 1),
        min_size=1,
        value_range=(0.0, 1.0),
        classes=10,
        num_params=421_642,
        num_state=0,
        num_macs=4_241_152,
        endpoints=("stride1", "stride2", "stride4", "logits"),
        note="A teaching network after LeNet-5, without a paper of its own.",
    ),
    plain_cnn,
    plain_cnn_head,
)
