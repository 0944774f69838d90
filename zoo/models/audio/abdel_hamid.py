"""The first convolutional networks for speech: filters that move along frequency, not along time.

Abdel-Hamid, Mohamed, Jiang, Deng, Penn, Yu, "Convolutional Neural Networks for Speech Recognition", IEEE/ACM TASLP
22(10), 2014, https://doi.org/10.1109/TASLP.2014.2339736, sections III and IV. Input: 15 frames of 40 log-mel bands with
their first and second differences as three maps; output: 183 states of phones. Published: phone error on TIMIT that is
6 to 10 % below that of a dense network.

Differences from the paper:
- Longer inputs than 15 frames are legal: the filters then stand at several places in time, the dense layers see all.
- The energy, which the paper adds as a 41st value, is left out.
"""

import keras
from keras import layers

from zoo.layers import LimitedWeightSharing, endpoint, flatten, he_normal, logits
from zoo.registry import Card, Paper, register

# Section IV: frames, bands and maps of the input, filter of 8 bands, pooling over 6 positions every 2.
FRAMES, BANDS, MAPS = 15, 40, 3
FILTER_BANDS, POOL_SIZE, POOL_STRIDES = 8, 6, 2


def full_weight_sharing(x: keras.KerasTensor, *, filters: int) -> keras.KerasTensor:
    """Filters that are the same at all frequencies, and max-pooling along frequency.

    Args:
        x: Log-mel bands (batch, frames, bands, maps).
        filters: Number of filters.

    Returns:
        Feature map (batch, frames - 14, (bands - 13) // 2 + 1, filters).
    """
    x = layers.Conv2D(
        filters,
        (FRAMES, FILTER_BANDS),
        activation="sigmoid",
        kernel_initializer=he_normal(),
        data_format="channels_last",
        name="conv",
    )(x)
    x = endpoint(x, "stem")
    x = layers.MaxPooling2D((1, POOL_SIZE), (1, POOL_STRIDES), data_format="channels_last", name="pool")(x)
    return endpoint(x, "stride1")


def limited_weight_sharing(x: keras.KerasTensor, *, filters: int) -> keras.KerasTensor:
    """Filters of their own for each of 14 overlapping sections of the spectrum, and the maximum over each section.

    Args:
        x: Log-mel bands (batch, frames, bands, maps).
        filters: Number of filters of each section.

    Returns:
        Feature map (batch, frames - 14, (bands - 13) // 2 + 1, filters).
    """
    x = LimitedWeightSharing(
        filters, (FRAMES, FILTER_BANDS), POOL_SIZE, POOL_STRIDES, activation="sigmoid", name="sections"
    )(x)
    return endpoint(x, "stride1")


def dense_head(x: keras.KerasTensor, classes: int, *, hidden_units: int = 1000) -> keras.KerasTensor:
    """Two hidden layers.

    Args:
        x: Feature map (batch, frames, bands, channels) of a known size.
        classes: Number of classes.
        hidden_units: Units of each hidden layer.

    Returns:
        Logits (batch, classes).
    """
    x = flatten(x)
    for index in (1, 2):
        x = layers.Dense(hidden_units, activation="sigmoid", name=f"hidden{index}")(x)
    return logits(x, classes)


# name: network, filters, what it is, parameters, multiply-accumulates, endpoints
_ROWS = {
    "abdel_hamid_fws": (
        full_weight_sharing,
        150,
        "shared by all frequencies",
        3_339_333,
        5_065_000,
        ("stem", "stride1", "logits"),
    ),
    "abdel_hamid_lws": (
        limited_weight_sharing,
        80,
        "of each part of the spectrum",
        2_709_503,
        4_722_200,
        ("stride1", "logits"),
    ),
}

for _name, (_network, _filters, _what, _params, _macs, _endpoints) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="abdel_hamid",
            modality="audio",
            summary=f"Network for phones whose filters move along frequency, {_what}",
            paper=Paper(
                title="Convolutional Neural Networks for Speech Recognition",
                year=2014,
                url="https://doi.org/10.1109/TASLP.2014.2339736",
            ),
            input_shape=(FRAMES, BANDS, MAPS),
            min_size=FRAMES,
            value_range=(-3.0, 3.0),
            classes=183,
            num_params=_params,
            num_state=0,
            num_macs=_macs,
            endpoints=_endpoints,
            note="The numbers of filters, 150 and 80, are those of the article as recalled, not compared with it.",
        ),
        _network,
        dense_head,
        filters=_filters,
    )
