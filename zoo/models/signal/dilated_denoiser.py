"""A network of dilated convolutions that takes the noise off a signal.

The stack of convolutions whose spacing doubles is that of Yu, Koltun, "Multi-Scale Context Aggregation by Dilated
Convolutions", 2016, https://arxiv.org/abs/1511.07122, here along one axis: six layers of 9 taps see 513 samples, two
seconds at 250 Hz, with 46,849 parameters. Input: one channel, scaled to a deviation of about 1; output: the same signal
without its noise, of the same length.

Differences from the paper:
- One axis, 9 taps, 32 filters, and ReLU before what the paper writes after; its network labels pictures.
- The convolutions give the noise, which is subtracted, as in Zhang et al. 2017, https://arxiv.org/abs/1608.03981.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import conv_1d, endpoint, full_precision, relu
from zoo.registry import Card, Paper, register

KERNEL_SIZE = 9


def dilated_denoiser(
    x: keras.KerasTensor, *, depth: int = 6, filters: int = 32, dilation: Literal["doubling", "none"] = "doubling"
) -> dict[str, keras.KerasTensor]:
    """Convolutions of 9 taps whose spacing doubles from one to the next.

    Args:
        x: Signals (batch, samples, channels).
        depth: Number of convolutions.
        filters: Number of filters of each.
        dilation: "doubling" spaces the taps of layer n by 2 ** n samples, "none" by one: a plain network of the same
            size, for comparison.

    Returns:
        The feature map (batch, samples, filters) as "features", and the input as "signal".
    """
    signal = x
    for index in range(depth):
        spacing = 2**index if dilation == "doubling" else 1
        x = conv_1d(x, filters, KERNEL_SIZE, dilation_rate=spacing, name=f"conv{index + 1}")
        x = relu(x, name=f"conv{index + 1}_relu")
        x = endpoint(x, "stem") if index == 0 else x
    return {"features": endpoint(x, "stride1"), "signal": signal}


def subtracting_head(x: dict[str, keras.KerasTensor], classes: int) -> keras.KerasTensor:
    """The signal less the noise that a last convolution finds.

    Args:
        x: What `dilated_denoiser` returns.
        classes: Number of channels of the signal.

    Returns:
        Signals (batch, samples, classes).

    Raises:
        ValueError: The signal has another number of channels.
    """
    channels = x["signal"].shape[-1]
    if classes != channels:
        raise ValueError(f"A denoiser gives the channels that it gets, {channels}. Received: classes={classes}")
    noise = conv_1d(
        x["features"], classes, KERNEL_SIZE, kernel_initializer=keras.initializers.GlorotUniform(), name="noise"
    )
    return layers.Subtract(dtype=full_precision(), name="logits")([x["signal"], noise])


register(
    Card(
        name="dilated_denoiser",
        family="dilated_denoiser",
        modality="signal",
        summary="Denoiser of dilated convolutions: a signal in, the same signal without its noise out",
        paper=Paper(
            title="Multi-Scale Context Aggregation by Dilated Convolutions",
            year=2016,
            url="https://arxiv.org/abs/1511.07122",
        ),
        input_shape=(512, 1),
        min_size=1,
        value_range=(-3.0, 3.0),
        classes=1,
        num_params=46_849,
        num_state=0,
        num_macs=23_887_872,
        endpoints=("stem", "stride1", "logits"),
        activation=None,
        note="A network of this zoo's own size; the paper gives the principle.",
    ),
    dilated_denoiser,
    subtracting_head,
)
