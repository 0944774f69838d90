"""InceptionTime: filters of three lengths side by side, for time series.

Fawaz et al., "InceptionTime: Finding AlexNet for Time Series Classification", 2020, https://arxiv.org/abs/1909.04939:
figures 1 and 2. Input: one or more channels, normalised, of any length. The paper's results are those of an ensemble of
five such networks.

Differences from the paper:
- Filters are 40, 20 and 10 samples long, as in the code of the paper, where one sample is taken off 41.
- Batch norm's momentum is 0.9 instead of Keras's 0.99, with which moving statistics lag behind short trainings.
"""

import keras
from keras import layers

from zoo.layers import batch_norm, conv_1d, endpoint, pooled_head, relu
from zoo.registry import Card, Paper, register

EPSILON, MOMENTUM = 1e-3, 0.9

KERNEL_SIZES = (40, 20, 10)


def inception_time(
    x: keras.KerasTensor, *, depth: int = 6, filters: int = 32, bottleneck: int = 32
) -> keras.KerasTensor:
    """Inception modules, with a residual connection over every third.

    Args:
        x: Signals (batch, samples, channels).
        depth: Number of modules.
        filters: Number of filters of each of the four branches of a module.
        bottleneck: Number of channels that a module of more than one channel begins with.

    Returns:
        Feature map (batch, samples, 4 filters).
    """
    residual = x
    for index in range(1, depth + 1):
        x = _module(x, filters, bottleneck, name=f"module{index}")
        if index % 3 == 0:
            shortcut = conv_1d(residual, x.shape[-1], 1, use_bias=False, name=f"module{index}_shortcut_conv")
            shortcut = batch_norm(shortcut, epsilon=EPSILON, momentum=MOMENTUM, name=f"module{index}_shortcut_bn")
            x = layers.Add(name=f"module{index}_add")([x, shortcut])
            x = residual = relu(x, name=f"module{index}_add_relu")
        x = endpoint(x, "stem") if index == 1 else x
    return endpoint(x, "stride1")


def _module(x, filters, bottleneck, *, name):
    """Figure 2: a bottleneck before three convolutions, and beside them max-pooling before one of a single tap."""
    pooled = layers.MaxPooling1D(3, 1, padding="same", data_format="channels_last", name=f"{name}_pool")(x)
    if x.shape[-1] > 1:
        x = conv_1d(x, bottleneck, 1, use_bias=False, name=f"{name}_bottleneck_conv")
    branches = [
        conv_1d(x, filters, kernel_size, use_bias=False, name=f"{name}_conv{kernel_size}")
        for kernel_size in KERNEL_SIZES
    ]
    branches.append(conv_1d(pooled, filters, 1, use_bias=False, name=f"{name}_pool_conv"))
    x = layers.Concatenate(axis=-1, name=f"{name}_concat")(branches)
    x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")
    return relu(x, name=f"{name}_relu")


register(
    Card(
        name="inception_time",
        family="inception_time",
        modality="signal",
        summary="InceptionTime, one network of its ensemble: 6 modules of filters of 40, 20 and 10 samples",
        paper=Paper(
            title="InceptionTime: Finding AlexNet for Time Series Classification",
            year=2020,
            url="https://arxiv.org/abs/1909.04939",
        ),
        input_shape=(128, 1),
        min_size=1,
        value_range=(-3.0, 3.0),
        classes=3,
        num_params=420_579,
        num_state=2_048,
        num_macs=53_522_816,
        endpoints=("stem", "stride1", "pooled", "logits"),
    ),
    inception_time,
    pooled_head,
)
