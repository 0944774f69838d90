"""The residual network of 34 layers that names heart rhythms as cardiologists do.

Hannun, Rajpurkar et al., "Cardiologist-level arrhythmia detection and classification in ambulatory electrocardiograms
using a deep neural network", Nature Medicine 25, 2019, https://doi.org/10.1038/s41591-018-0268-3, extended data figure
1; first in Rajpurkar et al. 2017, https://arxiv.org/abs/1707.01836. Input: one lead at 200 Hz, normalised; 23 outputs
of 256 samples (1.28 s) each. Published: F1 0.837 against 0.780 of the average cardiologist, over 12 classes.

Differences from the paper:
- The head answers once for the whole recording, from the mean over positions; `answers="sequence"` is the paper's form,
  one answer for every 256 samples. Both have the same parameters.
- Filters begin at 32 and double every four blocks as in the article of 2019; the text of 2017 begins at 64.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import batch_norm, conv_1d, endpoint, full_precision, max_pool_1d, pooled_head, relu
from zoo.registry import Card, Paper, register

# Keras's epsilon, which the code of the paper uses; its momentum of 0.99 lags behind short trainings.
EPSILON, MOMENTUM = 1e-3, 0.9

KERNEL_SIZE = 16
FILTERS = 32
BLOCKS = 16
# Every so many blocks the number of filters doubles.
DOUBLING = 4


def ecg_resnet34(x: keras.KerasTensor, *, dropout: float = 0.2) -> keras.KerasTensor:
    """A convolution and 16 residual blocks of two convolutions; every other block halves the resolution.

    Args:
        x: Signals (batch, samples, channels).
        dropout: Fraction that is dropped before the second convolution of each block in training, 0 to 1.

    Returns:
        Feature map (batch, samples / 256, 256).
    """
    x = _bn_relu(conv_1d(x, FILTERS, KERNEL_SIZE, name="stem_conv"), "stem")
    x = endpoint(x, "stem")
    stride = 1
    for index in range(BLOCKS):
        step = 1 + index % 2
        if step > 1:
            x = endpoint(x, f"stride{stride}")
        x = _block(x, FILTERS * 2 ** (index // DOUBLING), step, dropout, index)
        stride *= step
    return endpoint(_bn_relu(x, "final"), f"stride{stride}")


def _block(x, filters, strides, dropout, index):
    """Extended data figure 1: batch norm and ReLU before each convolution; the shortcut keeps the largest values."""
    name = f"block{index + 1}"
    # The first block follows batch norm and ReLU already.
    y = x if index == 0 else _bn_relu(x, f"{name}_1")
    y = conv_1d(y, filters, KERNEL_SIZE, strides=strides, name=f"{name}_1_conv")
    y = _bn_relu(y, f"{name}_2")
    y = layers.Dropout(dropout, name=f"{name}_dropout")(y)
    y = conv_1d(y, filters, KERNEL_SIZE, name=f"{name}_2_conv")
    if strides > 1:
        x = max_pool_1d(x, strides, strides=strides, padding="same", name=f"{name}_shortcut_pool")
    if missing := filters - x.shape[-1]:
        # "channels_first" makes the layer pad its last axis, which here is that of the channels.
        x = layers.ZeroPadding1D((0, missing), data_format="channels_first", name=f"{name}_shortcut_pad")(x)
    return layers.Add(name=f"{name}_add")([x, y])


def _bn_relu(x, name):
    return relu(batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn"), name=f"{name}_relu")


def answering_head(
    x: keras.KerasTensor, classes: int, *, answers: Literal["one", "sequence"] = "one"
) -> keras.KerasTensor:
    """Logits of the whole recording, or of each position of the feature map.

    Args:
        x: Feature map (batch, positions, channels).
        classes: Number of classes.
        answers: "one" for the whole recording, from the mean over positions; "sequence" for one every 256 samples.

    Returns:
        Logits (batch, classes), or (batch, positions, classes).
    """
    if answers == "one":
        return pooled_head(x, classes)
    return layers.Dense(classes, dtype=full_precision(), name="logits")(x)


register(
    Card(
        name="ecg_resnet34",
        family="ecg_resnet",
        modality="signal",
        summary="Residual network for electrocardiograms, 34 layers, one answer for 256 samples or for all",
        paper=Paper(
            title="Cardiologist-level arrhythmia detection and classification in ambulatory electrocardiograms using a "
            "deep neural network",
            year=2019,
            url="https://doi.org/10.1038/s41591-018-0268-3",
        ),
        input_shape=(5888, 1),
        min_size=1,
        value_range=(-3.0, 3.0),
        classes=12,
        num_params=10_468_204,
        num_state=7_744,
        num_macs=1_594_756_096,
        endpoints=(
            "stem", "stride1", "stride2", "stride4", "stride8", "stride16", "stride32", "stride64", "stride128",
            "stride256", "pooled", "logits",
        ),
        note="The published figure is an F1 on recordings that are not public, so that the table has no accuracy.",
    ),
    ecg_resnet34,
    answering_head,
)  # fmt: skip
