"""VGG, stacks of 3x3 convolutions.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014,
https://arxiv.org/abs/1409.1556: table 1, columns A, B, D and E. Input: colour pictures, 224x224.

Differences from the paper:
- The last feature map is averaged to 7x7 before the dense layers, as in torchvision, which any input size other than
  224x224 needs.
- The forms with batch norm are torchvision's; the paper of 2014 has none.
- Kernels start from He's normal distribution. The paper trains its deep networks from the layers of shallow ones, and
  says in section 3.1 that a start after Glorot and Bengio does without.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import (
    adaptive_average_pool,
    batch_norm,
    conv,
    dilated_strides,
    endpoint,
    flatten,
    he_normal,
    logits,
    max_pool,
    relu,
)
from zoo.registry import Card, Paper, imagenet_result, register

# The values of the published weights; 0.9 is what PyTorch calls 0.1.
EPSILON, MOMENTUM = 1e-5, 0.9

# Table 1: filters of the convolutions of each stage; max-pooling follows each stage.
FILTERS = (64, 128, 256, 512, 512)

Stem = Literal["imagenet", "cifar"]


def vgg(
    x: keras.KerasTensor,
    *,
    convolutions: tuple[int, ...],
    use_batch_norm: bool,
    stem: Stem = "imagenet",
    output_stride: int | None = None,
) -> keras.KerasTensor:
    """Five stages of 3x3 convolutions, each of which ends in max-pooling.

    Args:
        x: Pictures (batch, height, width, channels).
        convolutions: Number of convolutions of each stage.
        use_batch_norm: Whether batch norm follows each convolution.
        stem: "imagenet" halves the resolution behind each stage, "cifar" not behind the first two: small pictures.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.

    Returns:
        Feature map (batch, height / stride, width / stride, 512).

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    strides = [1 if stem == "cifar" and stage < 2 else 2 for stage in range(len(FILTERS))]
    plan = dilated_strides(strides, stem_stride=1, output_stride=output_stride)
    stride = dilation = 1
    for stage, num_convolutions in enumerate(convolutions):
        for number in range(1, num_convolutions + 1):
            x = conv(x, FILTERS[stage], 3, dilation_rate=dilation, use_bias=True, name=f"stage{stage + 1}_conv{number}")
            if use_batch_norm:
                x = batch_norm(x, epsilon=EPSILON, momentum=MOMENTUM, name=f"stage{stage + 1}_bn{number}")
            x = relu(x, name=f"stage{stage + 1}_relu{number}")
        if strides[stage] == 1:
            continue
        step, next_dilation, next_stride = plan[stage]
        if step > 1:
            x = endpoint(x, f"stride{stride}")
        x = max_pool(x, 2, strides=step, dilation_rate=dilation, name=f"stage{stage + 1}_pool")
        stride, dilation = next_stride, next_dilation
    return endpoint(x, f"stride{stride}")


def vgg_head(
    x: keras.KerasTensor,
    classes: int,
    *,
    dropout: float = 0.5,
    hidden_units: int = 4096,
    head_size: int = 7,
) -> keras.KerasTensor:
    """Two hidden dense layers and the classifier.

    Args:
        x: Feature map (batch, height, width, channels) of a known size.
        classes: Number of classes.
        dropout: Fraction of the outputs of both hidden layers that is dropped in training, 0 to 1.
        hidden_units: Number of units of each hidden layer.
        head_size: Height and width that the feature map is averaged to.

    Returns:
        Logits (batch, classes).

    Raises:
        ValueError: The size of the feature map is not known.
    """
    x = flatten(adaptive_average_pool(x, head_size, name="head_pool"))
    for name in ("fc6", "fc7"):
        x = layers.Dense(hidden_units, kernel_initializer=he_normal(), name=name)(x)
        x = relu(x, name=f"{name}_relu")
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x
    return logits(x, classes)


_PAPER = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    year=2014,
    url="https://arxiv.org/abs/1409.1556",
)

# Columns of table 1; accuracies of torchvision's weights.
# name: convolutions of the stages, parameters, batch-norm statistics, MACs, top-1, top-5
_ROWS = {
    "vgg11": ((1, 1, 2, 2, 2), 132_863_336, 0, 7_609_090_048, 69.02, 88.628),
    "vgg13": ((2, 2, 2, 2, 2), 133_047_848, 0, 11_308_466_176, 69.928, 89.246),
    "vgg16": ((2, 2, 3, 3, 3), 138_357_544, 0, 15_470_264_320, 71.592, 90.382),
    "vgg19": ((2, 2, 4, 4, 4), 143_667_240, 0, 19_632_062_464, 72.376, 90.876),
    "vgg11_bn": ((1, 1, 2, 2, 2), 132_868_840, 5_504, 7_609_090_048, 70.37, 89.81),
    "vgg13_bn": ((2, 2, 2, 2, 2), 133_053_736, 5_888, 11_308_466_176, 71.586, 90.374),
    "vgg16_bn": ((2, 2, 3, 3, 3), 138_365_992, 8_448, 15_470_264_320, 73.36, 91.516),
    "vgg19_bn": ((2, 2, 4, 4, 4), 143_678_248, 11_008, 19_632_062_464, 74.218, 91.842),
}

for _name, (_convolutions, _params, _state, _macs, _top1, _top5) in _ROWS.items():
    _depth = sum(_convolutions) + 3
    register(
        Card(
            name=_name,
            family="vgg",
            modality="image",
            summary=f"VGG of {_depth} layers, stacks of 3x3 convolutions" + (", with batch norm" if _state else ""),
            paper=_PAPER,
            input_shape=(224, 224, 3),
            min_size=32,
            value_range=(-1.0, 1.0),
            classes=1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stride1", "stride2", "stride4", "stride8", "stride16", "stride32", "logits"),
            results=(imagenet_result(_top1, _top5),),
        ),
        vgg,
        vgg_head,
        convolutions=_convolutions,
        use_batch_norm=bool(_state),
    )
