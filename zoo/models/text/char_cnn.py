"""Networks that read text by its characters.

Zhang, Zhao, LeCun, "Character-level Convolutional Networks for Text Classification", NIPS 2015,
https://arxiv.org/abs/1509.01626: tables 1 and 2. Input: 1,014 numbers of characters; each becomes one of 70 columns,
and what is no character of the alphabet, padding too, no column at all. Published: error on AG's News, table 4.

Differences from the paper:
- Characters stand in their order, the paper reverses it so that the latest ones are at the beginning.
- ReLU cuts at 0, the paper's code at 1e-6.
"""

import keras
from keras import layers

from zoo.layers import OneHot, conv_1d, endpoint, flatten, logits, max_pool_1d, relu
from zoo.registry import Card, Paper, Result, register

# Table 1: taps of the convolutions, and those that pooling by 3 follows.
KERNEL_SIZES, POOLED = (7, 7, 3, 3, 3, 3), (1, 2, 6)
POOL_SIZE = 3
# Section 2.2: characters of the alphabet; 0 stands for all others and for padding.
CHARACTERS = 70


def char_cnn(x: keras.KerasTensor, *, filters: int, deviation: float) -> keras.KerasTensor:
    """Six convolutions over one-hot characters, with three poolings.

    Args:
        x: Numbers of characters (batch, positions), 0 to 70; 0 stands for padding and for what is not in the alphabet.
        filters: Number of filters of each convolution.
        deviation: Deviation of the normal distribution that weights start from.

    Returns:
        Feature map (batch, (positions - 96) / 27, filters).
    """
    x = OneHot(CHARACTERS, name="characters")(x)
    stride = 1
    for index, kernel_size in enumerate(KERNEL_SIZES, 1):
        initializer = keras.initializers.RandomNormal(stddev=deviation)
        x = conv_1d(x, filters, kernel_size, padding="valid", kernel_initializer=initializer, name=f"conv{index}")
        x = relu(x, name=f"conv{index}_relu")
        if index in POOLED:
            x = endpoint(x, "stem" if stride == 1 else f"stride{stride}")
            x = max_pool_1d(x, POOL_SIZE, strides=POOL_SIZE, name=f"pool{index}")
            stride *= POOL_SIZE
    return endpoint(x, f"stride{stride}")


def dense_head(
    x: keras.KerasTensor, classes: int, *, deviation: float, hidden_units: int, dropout: float = 0.5
) -> keras.KerasTensor:
    """Two hidden layers with dropout, table 2.

    Args:
        x: Feature map (batch, positions, channels) of a known size.
        classes: Number of classes.
        deviation: Deviation of the normal distribution that weights start from.
        hidden_units: Units of each hidden layer.
        dropout: Fraction of the hidden units that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    x = flatten(x)
    for index in (1, 2):
        initializer = keras.initializers.RandomNormal(stddev=deviation)
        x = layers.Dense(hidden_units, kernel_initializer=initializer, name=f"hidden{index}")(x)
        x = relu(x, name=f"hidden{index}_relu")
        x = layers.Dropout(dropout, name=f"hidden{index}_dropout")(x)
    return logits(x, classes)


# Tables 1 and 2. name: filters, hidden units, deviation, parameters, multiply-accumulates, accuracy on AG's News
_ROWS = {
    "char_cnn_small": (256, 1024, 0.05, 11_339_780, 370_372_608, 84.35),
    "char_cnn_large": (1024, 2048, 0.02, 95_940_612, 4_324_696_064, 87.18),
}

for _name, (_filters, _units, _deviation, _params, _macs, _top1) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="char_cnn",
            modality="text",
            symbols="characters",
            summary=f"Network that reads characters: 6 convolutions of {_filters} filters, 3 dense layers",
            paper=Paper(
                title="Character-level Convolutional Networks for Text Classification",
                year=2015,
                url="https://arxiv.org/abs/1509.01626",
            ),
            input_shape=(1014,),
            min_size=123,
            value_range=(0, CHARACTERS),
            classes=4,
            num_params=_params,
            num_state=0,
            num_macs=_macs,
            endpoints=("stem", "stride3", "stride9", "stride27", "logits"),
            results=(Result(dataset="AG's News", top1=_top1, protocol="test set", source="table 4"),),
        ),
        char_cnn,
        dense_head,
        filters=_filters,
        deviation=_deviation,
        hidden_units=_units,
    )
