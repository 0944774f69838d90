"""Small networks that spot spoken keywords, for telephones.

Sainath, Parada, "Convolutional Neural Networks for Small-footprint Keyword Spotting", Interspeech 2015,
https://www.isca-archive.org/interspeech_2015/sainath15b_interspeech.html: tables 1 and 2. Input: 32 frames (23 before,
8 after) of 40 log-mel bands; output: 4 classes. Published: 27 to 44 % fewer false rejects than a dense network.

Differences from the paper:
- The tables count weights alone; here every layer has a bias, too.
- The text says that filters of `cnn_trad_fpool3` span 9 bands, the table 8, which its parameters bear out.
"""

import keras
from keras import layers

from zoo.layers import endpoint, flatten, he_normal, logits
from zoo.registry import Card, Paper, register

FRAMES, BANDS = 32, 40


def keyword_cnn(x: keras.KerasTensor, *, convolutions: tuple[tuple[int, int, int, int, int], ...]) -> keras.KerasTensor:
    """One or two convolutions over many frames and few bands.

    Args:
        x: Log-mel bands (batch, frames, bands, maps).
        convolutions: Of each its filters, frames, bands, stride along frequency, and size of the pooling along
            frequency that follows.

    Returns:
        Feature map (batch, new frames, new bands, filters).
    """
    for index, (filters, frames, bands, stride, pool_size) in enumerate(convolutions, 1):
        x = layers.Conv2D(
            filters,
            (frames, bands),
            strides=(1, stride),
            activation="relu",
            kernel_initializer=he_normal(),
            data_format="channels_last",
            name=f"conv{index}",
        )(x)
        x = endpoint(x, "stem") if index == 1 else x
        if pool_size > 1:
            x = layers.MaxPooling2D((1, pool_size), data_format="channels_last", name=f"pool{index}")(x)
    return endpoint(x, "stride1")


def linear_head(x: keras.KerasTensor, classes: int, *, hidden_units: int = 128, hidden: int) -> keras.KerasTensor:
    """A linear layer of 32 units, which keeps the number of weights low, and hidden layers.

    Args:
        x: Feature map (batch, frames, bands, channels) of a known size.
        classes: Number of classes.
        hidden_units: Units of a hidden layer.
        hidden: Number of hidden layers.

    Returns:
        Logits (batch, classes).
    """
    x = layers.Dense(32, name="linear")(flatten(x))
    for index in range(1, hidden + 1):
        x = layers.Dense(hidden_units, activation="relu", kernel_initializer="he_normal", name=f"hidden{index}")(x)
    return logits(x, classes)


# name: convolutions (filters, frames, bands, stride, pooling), hidden layers, smallest input, parameters, MACs
_ROWS = {
    "cnn_trad_fpool3": (((64, 20, 8, 1, 3), (64, 10, 4, 1, 1)), 1, 29, 244_516, 9_705_984),
    "cnn_one_fpool3": (((54, 32, 8, 1, 3),), 2, 32, 54_170, 496_192),
    "cnn_one_fstride4": (((186, 32, 8, 4, 1),), 2, 32, 122_654, 503_104),
}

for _name, (_convolutions, _hidden, _min_size, _params, _macs) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="trad_fpool",
            modality="audio",
            summary=f"Network for keywords, {len(_convolutions)} convolution{'s' * (len(_convolutions) > 1)} with "
            f"{'a stride' if _name.endswith('stride4') else 'pooling'} along frequency",
            paper=Paper(
                title="Convolutional Neural Networks for Small-footprint Keyword Spotting",
                year=2015,
                url="https://www.isca-archive.org/interspeech_2015/sainath15b_interspeech.html",
            ),
            input_shape=(FRAMES, BANDS, 1),
            min_size=_min_size,
            value_range=(-3.0, 3.0),
            classes=4,
            num_params=_params,
            num_state=0,
            num_macs=_macs,
            endpoints=("stem", "stride1", "logits"),
        ),
        keyword_cnn,
        linear_head,
        convolutions=_convolutions,
        hidden=_hidden,
    )
