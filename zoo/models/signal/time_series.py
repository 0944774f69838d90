"""The fully convolutional and the residual network for time series.

Wang, Yan, Oates, "Time Series Classification from Scratch with Deep Neural Networks: A Strong Baseline", 2017,
https://arxiv.org/abs/1611.06455: figure 1. Input: one channel, normalised, of any length; 128 samples and 3 classes as
in the CBF data. Published results are those of Fawaz et al. 2019, https://arxiv.org/abs/1809.04356, mean of ten runs.

Differences from the paper:
- It says nothing of biases, of padding or of the shortcuts. Here convolutions have biases and keep the length; where
  the number of channels changes, a shortcut is a convolution of one tap with batch norm, elsewhere batch norm alone:
  the form of the code that the results were measured with.
- Batch norm's momentum is 0.9 instead of Keras's 0.99, with which moving statistics lag behind short trainings.
"""

import keras
from keras import layers

from zoo.layers import batch_norm, conv_1d, endpoint, pooled_head, relu
from zoo.registry import Card, Paper, Result, register

EPSILON, MOMENTUM = 1e-3, 0.9

# Taps of the convolutions, in both networks.
KERNEL_SIZES = (8, 5, 3)


def fcn_1d(x: keras.KerasTensor, *, filters: tuple[int, ...]) -> keras.KerasTensor:
    """Three convolutions with batch norm and ReLU.

    Args:
        x: Signals (batch, samples, channels).
        filters: Number of filters of each convolution.

    Returns:
        Feature map (batch, samples, filters[-1]).
    """
    for index, (width, kernel_size) in enumerate(zip(filters, KERNEL_SIZES, strict=True), 1):
        x = _conv_bn(x, width, kernel_size, name=f"block{index}")
        x = relu(x, name=f"block{index}_relu")
        x = endpoint(x, "stem") if index == 1 else x
    return endpoint(x, "stride1")


def resnet_1d(x: keras.KerasTensor, *, filters: tuple[int, ...]) -> keras.KerasTensor:
    """Residual blocks of three convolutions.

    Args:
        x: Signals (batch, samples, channels).
        filters: Number of filters of each block.

    Returns:
        Feature map (batch, samples, filters[-1]).
    """
    for index, width in enumerate(filters, 1):
        x = _block(x, width, name=f"block{index}")
        x = endpoint(x, "stem") if index == 1 else x
    return endpoint(x, "stride1")


def _block(x, filters, *, name):
    y = x
    for index, kernel_size in enumerate(KERNEL_SIZES, 1):
        y = _conv_bn(y, filters, kernel_size, name=f"{name}_{index}")
        if index < len(KERNEL_SIZES):
            y = relu(y, name=f"{name}_{index}_relu")
    if x.shape[-1] != filters:
        x = _conv_bn(x, filters, 1, name=f"{name}_shortcut")
    else:
        x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_shortcut_bn")
    return relu(layers.Add(name=f"{name}_add")([x, y]), name=f"{name}_relu")


def _conv_bn(x, filters, kernel_size, *, name):
    x = conv_1d(x, filters, kernel_size, name=f"{name}_conv")
    return batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")


_PAPER = Paper(
    title="Time Series Classification from Scratch with Deep Neural Networks: A Strong Baseline",
    year=2017,
    url="https://arxiv.org/abs/1611.06455",
)


def _results(cbf, synthetic_control):
    protocol, source = "test set, mean of ten runs", "Fawaz et al. 2019, table of all data sets"
    return tuple(
        Result(dataset=f"UCR {name}", top1=top1, protocol=protocol, source=source)
        for name, top1 in (("CBF", cbf), ("synthetic_control", synthetic_control))
    )


# name: network, filters, parameters, batch-norm statistics, multiply-accumulates, summary, published
_ROWS = {
    "fcn_1d": (
        fcn_1d, (128, 256, 128), 265_091, 1_024, 33_685_888,
        "Fully convolutional network for time series, 3 convolutions", _results(99.4, 98.5),
    ),
    "resnet_1d": (
        resnet_1d, (64, 128, 128), 504_387, 2_560, 64_037_248,
        "Residual network for time series, 3 blocks of 3 convolutions", _results(99.5, 99.8),
    ),
}  # fmt: skip

for _name, (_network, _filters, _params, _state, _macs, _summary, _published) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="time_series",
            modality="signal",
            summary=_summary,
            paper=_PAPER,
            input_shape=(128, 1),
            min_size=1,
            value_range=(-3.0, 3.0),
            classes=3,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride1", "pooled", "logits"),
            results=_published,
        ),
        _network,
        pooled_head,
        filters=_filters,
    )
