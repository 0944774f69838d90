"""SqueezeNet: fire modules that squeeze before they expand.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size", 2016, https://arxiv.org/abs/1602.07360: table 1 and figure 2. Version 1.1 is that of the authors'
repository, https://github.com/forresti/SqueezeNet. Input: colour pictures, 224x224.

Differences from the paper:
- The sizes are those of torchvision's weights: 7x7 or 3x3 with stride 2 and no padding first, max-pooling whose last
  window may reach over the border.
- Table 3 says 7.7 MB for complex bypass; the four convolutions of figure 2 make 6.4 MB.
- Kernels start from He's normal distribution, the paper's released definition says Xavier's uniform one, which keeps
  half the scale at each ReLU.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import conv, dilated_strides, endpoint, full_precision, he_normal, max_pool, relu
from zoo.registry import Card, Paper, imagenet_result, register

# Table 1: squeeze filters, filters of each of the two expand convolutions. Fire modules 2 to 9.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))

Stem = Literal["imagenet", "cifar"]
Bypass = Literal[None, "simple", "complex"]


def squeezenet(
    x: keras.KerasTensor,
    *,
    stem_filters: int,
    stem_kernel_size: int,
    pooled: tuple[int, ...],
    stem: Stem = "imagenet",
    bypass: Bypass = None,
    output_stride: int | None = None,
) -> keras.KerasTensor:
    """A convolution, then eight fire modules.

    Args:
        x: Pictures (batch, height, width, channels).
        stem_filters: Number of filters of the first convolution.
        stem_kernel_size: Size of its kernel.
        pooled: Numbers of the fire modules that max-pooling stands before.
        stem: "imagenet" for a stride of 2 and max-pooling before the first fire module, "cifar" for 3x3 without either:
            small pictures.
        bypass: Figure 2: "simple" adds the input of fire modules 3, 5, 7 and 9 to their output, "complex" that of the
            others too, through a 1x1 convolution.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, height / stride, width / stride, 512).

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    is_small = stem == "cifar"
    stride = 1 if is_small else 2
    x = layers.Conv2D(
        stem_filters,
        3 if is_small else stem_kernel_size,
        strides=stride,
        padding="same" if is_small else "valid",
        kernel_initializer=he_normal(),
        data_format="channels_last",
        name="conv1",
    )(x)
    x = endpoint(relu(x, name="relu1"), "stem")
    pooled = tuple(number for number in pooled if number > 2 or not is_small)
    plan = iter(dilated_strides([2] * len(pooled), stem_stride=stride, output_stride=output_stride))
    dilation = 1
    for number, (squeezed, expanded) in enumerate(FIRES, 2):
        if number in pooled:
            step, next_dilation, next_stride = next(plan)
            if step > 1 and number > 2:
                x = endpoint(x, f"stride{stride}")
            # Behind a bypass by a convolution values may be negative.
            is_signed = bypass == "complex" and number > 2
            pool = f"pool{number - 1}"
            x = max_pool(x, 3, strides=step, padding="ceil", signed=is_signed, dilation_rate=dilation, name=pool)
            stride, dilation = next_stride, next_dilation
        y = _fire(x, squeezed, expanded, dilation, name=f"fire{number}")
        if bypass is not None and number % 2:
            y = layers.Add(name=f"fire{number}_add")([x, y])
        elif bypass == "complex":
            shortcut = conv(x, 2 * expanded, 1, use_bias=True, name=f"fire{number}_bypass")
            y = layers.Add(name=f"fire{number}_add")([shortcut, y])
        x = y
    return endpoint(x, f"stride{stride}")


def _fire(x, squeezed, expanded, dilation, *, name):
    """Figure 1: 1x1 to few channels, then 1x1 and 3x3 side by side."""
    x = relu(conv(x, squeezed, 1, use_bias=True, name=f"{name}_squeeze"), name=f"{name}_squeeze_relu")
    ones = conv(x, expanded, 1, use_bias=True, name=f"{name}_expand1x1")
    threes = conv(x, expanded, 3, dilation_rate=dilation, use_bias=True, name=f"{name}_expand3x3")
    ones, threes = relu(ones, name=f"{name}_expand1x1_relu"), relu(threes, name=f"{name}_expand3x3_relu")
    return layers.Concatenate(name=f"{name}_concat")([ones, threes])


def squeezenet_head(x: keras.KerasTensor, classes: int, *, dropout: float = 0.5) -> keras.KerasTensor:
    """A 1x1 convolution with ReLU, whose means over all positions are the logits.

    Args:
        x: Feature map (batch, height, width, channels) of any size.
        classes: Number of classes.
        dropout: Fraction of the features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes), not negative.
    """
    x = layers.Dropout(dropout, name="head_dropout")(x) if dropout else x
    x = relu(conv(x, classes, 1, use_bias=True, name="conv10"), name="relu10")
    return layers.GlobalAveragePooling2D(data_format="channels_last", dtype=full_precision(), name="logits")(x)


# name: filters and kernel size of the first convolution, pooling, smallest input, parameters, MACs, top-1, top-5
_ROWS = {
    "squeezenet1_0": (96, 7, (2, 5, 9), 21, 1_248_424, 818_924_576, 58.092, 80.42),
    "squeezenet1_1": (64, 3, (2, 4, 6), 17, 1_235_496, 349_151_936, 58.178, 80.624),
}

for _name, (_filters, _kernel, _pooled, _smallest, _params, _macs, _top1, _top5) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="squeezenet",
            modality="image",
            summary=f"SqueezeNet {_name[-3:].replace('_', '.')}, eight fire modules and no dense layer",
            paper=Paper(
                title="SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
                year=2016,
                url="https://arxiv.org/abs/1602.07360",
            ),
            input_shape=(224, 224, 3),
            min_size=_smallest,
            value_range=(-1.0, 1.0),
            classes=1000,
            num_params=_params,
            num_state=0,
            num_macs=_macs,
            endpoints=("stem", "stride4", "stride8", "stride16", "logits"),
            results=(imagenet_result(_top1, _top5),),
        ),
        squeezenet,
        squeezenet_head,
        stem_filters=_filters,
        stem_kernel_size=_kernel,
        pooled=_pooled,
    )
