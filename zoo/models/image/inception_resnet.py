"""Inception-ResNet: inception modules whose output is added to their input.

Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
2016, https://arxiv.org/abs/1602.07261: figures 10 to 20. Input: colour pictures, 299x299.

Differences from the paper:
- The second version is that of the authors' published weights, which timm and keras.applications have: the stem of
  Inception v3 and one more module in place of figure 14's stem, 10, 20 and 10 blocks in place of 5, 10 and 5, a last
  block without ReLU and without scaling, a last convolution. The widths of its sums are 320, 1088 and 2080.
- The first version is the paper's: no weights of it for ImageNet are published.
- Residuals are scaled by 0.17, 0.1 and 0.2 as in the authors' code; section 3.3 says between 0.1 and 0.3.
- Kernels start from He's normal distribution; the paper does not say.
"""

from typing import Literal

import keras
from keras import layers

from zoo.layers import (
    average_pool,
    branch,
    conv,
    conv_bn_relu,
    dilated_strides,
    endpoint,
    max_pool,
    pooled_head,
    relu,
    stochastic_depth,
)
from zoo.registry import TIMM, Card, Paper, Result, imagenet_result, register

ROW_7, COLUMN_7, ROW_3, COLUMN_3 = (1, 7), (7, 1), (1, 3), (3, 1)

# Kernel sizes of the branches: figures 10, 11 and 13 (16, 17 and 19), 12 and 18 with figure 7.
BLOCKS = {
    "block35": ((1,), (1, 3), (1, 3, 3)),
    "block17": ((1,), (1, ROW_7, COLUMN_7)),
    "block8": ((1,), (1, ROW_3, COLUMN_3)),
}
REDUCTIONS = {"block35": ((3,), (1, 3, 3)), "block17": ((1, 3), (1, 3), (1, 3, 3))}

# Filters of the branches: the blocks of each stage, and the reduction behind it.
FILTERS_V1 = (
    ("block35", ((32,), (32, 32), (32, 32, 32)), ((384,), (192, 192, 256))),
    ("block17", ((128,), (128, 128, 128)), ((256, 384), (256, 256), (256, 256, 256))),
    ("block8", ((192,), (192, 192, 192)), None),
)
FILTERS_V2 = (
    ("block35", ((32,), (32, 32), (32, 48, 64)), ((384,), (256, 256, 384))),
    ("block17", ((192,), (128, 160, 192)), ((256, 384), (256, 288), (256, 288, 320))),
    ("block8", ((192,), (192, 224, 256)), None),
)

Stem = Literal["imagenet", "cifar"]


def inception_resnet(
    x: keras.KerasTensor,
    *,
    stages: tuple,
    blocks: tuple[int, ...],
    last_filters: int | None,
    stem: Stem = "imagenet",
    residual_scales: tuple[float, float, float] = (0.17, 0.1, 0.2),
    output_stride: int | None = None,
    drop_path: float = 0.0,
) -> keras.KerasTensor:
    """A stem, then three stages of residual blocks with reductions between them.

    Args:
        x: Pictures (batch, height, width, channels).
        stages: Name of the blocks of each stage, filters of their branches, and of those of the reduction behind it.
        blocks: Number of blocks of each stage.
        last_filters: Number of filters of the last convolution of the second version, whose last block is neither
            scaled nor followed by ReLU; None for the first version, which has neither that nor a module between stem
            and blocks.
        stem: "imagenet" halves the resolution three times before the first block, "cifar" never, with padding: small
            pictures.
        residual_scales: Factor on the residual of the blocks of each stage, before it is added.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: the network's own.
        drop_path: Stochastic depth: the rate at which the last block is dropped in training; it rises linearly from
            block to block. 0 to 1.

    Returns:
        Feature map (batch, about height / stride, about width / stride, 1792 or 1536).

    Raises:
        ValueError: `output_stride` is none of the network's own strides.
    """
    is_second = last_filters is not None
    x, stride = _stem(x, stem, is_second)
    plan = dilated_strides([2, 2], stem_stride=stride, output_stride=output_stride)
    x = _mixed_5b(x, name="mixed5b") if is_second else x
    dilation, done = 1, 0
    for stage, (kind, filters, reduction) in enumerate(stages):
        for number in range(1, blocks[stage] + 1):
            done += 1
            is_plain_end = is_second and done == sum(blocks)
            x = _block(
                x,
                _branches(x, filters, BLOCKS[kind], dilation_rate=dilation, name=f"{kind}_{number}"),
                scale=1.0 if is_plain_end else residual_scales[stage],
                drop_rate=drop_path * done / sum(blocks),
                activate=not is_plain_end,
                name=f"{kind}_{number}",
            )
        if reduction is not None:
            step, next_dilation, next_stride = plan[stage]
            x = endpoint(x, f"stride{stride}") if step > 1 else x
            name = f"mixed{6 + stage}a"
            branches = _branches(x, reduction, REDUCTIONS[kind], reduction=step, dilation_rate=dilation, name=name)
            pooled = max_pool(x, 3, strides=step, dilation_rate=dilation, name=f"{name}_pool")
            x = layers.Concatenate(name=f"{name}_concat")([*branches, pooled])
            stride, dilation = next_stride, next_dilation
    x = conv_bn_relu(x, last_filters, 1, name="conv7b") if last_filters is not None else x
    return endpoint(x, f"stride{stride}")


def _stem(x, stem, is_second):
    """Figure 14, with max-pooling in place of its last convolution in the second version; the map and its stride."""
    is_small = stem == "cifar"
    strides = 1 if is_small else 2
    padding: Literal["same", "valid"] = "same" if is_small else "valid"
    x = conv_bn_relu(x, 32, 3, strides=strides, padding=padding, name="conv1a")
    x = conv_bn_relu(x, 32, 3, padding=padding, name="conv2a")
    x = endpoint(conv_bn_relu(x, 64, 3, name="conv2b"), "stem")
    x = x if is_small else max_pool(x, 3, strides=2, name="pool3a")
    x = conv_bn_relu(x, 80, 1, name="conv3b")
    x = conv_bn_relu(x, 192, 3, padding=padding, name="conv4a")
    x = x if is_small else endpoint(x, "stride4")
    if not is_second:
        x = conv_bn_relu(x, 256, 3, strides=strides, padding=padding, name="conv4b")
    elif not is_small:
        x = max_pool(x, 3, strides=2, name="pool5a")
    return x, 1 if is_small else 8


def _mixed_5b(x, *, name):
    """An inception module without an addition."""
    pooled = average_pool(x, 3, padding="same", name=f"{name}_pool")
    branches = [
        branch(x, (96, 1), name=f"{name}_1x1"),
        branch(x, (48, 1), (64, 5), name=f"{name}_5x5"),
        branch(x, (64, 1), (96, 3), (96, 3), name=f"{name}_3x3dbl"),
        branch(pooled, (64, 1), name=f"{name}_pool_proj"),
    ]
    return layers.Concatenate(name=f"{name}_concat")(branches)


def _branches(x, filters, kernel_sizes, *, name, **options):
    return [
        branch(x, *zip(*convolutions, strict=True), name=f"{name}_branch{number}", **options)
        for number, convolutions in enumerate(zip(filters, kernel_sizes, strict=True), 1)
    ]


def _block(x, branches, *, scale, drop_rate, activate, name):
    """Branches, concatenated, a 1x1 convolution back to the width of the input, scaled and added (figure 20)."""
    y = layers.Concatenate(name=f"{name}_concat")(branches)
    y = conv(y, x.shape[-1], 1, use_bias=True, name=f"{name}_up_conv")
    y = y if scale == 1 else layers.Rescaling(scale, name=f"{name}_scale")(y)
    y = stochastic_depth(y, drop_rate, name=f"{name}_drop_path")
    y = layers.Add(name=f"{name}_add")([x, y])
    return relu(y, name=f"{name}_relu") if activate else y


def inception_resnet_head(x: keras.KerasTensor, classes: int, *, dropout: float = 0.2) -> keras.KerasTensor:
    """Global average pooling, dropout (the paper keeps 0.8), dense.

    Args:
        x: Feature map (batch, height, width, channels) of any size.
        classes: Number of classes.
        dropout: Fraction of the pooled features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    return pooled_head(x, classes, dropout=dropout)


_PAPER = Paper(
    title="Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
    year=2016,
    url="https://arxiv.org/abs/1602.07261",
)
_PUBLISHED = imagenet_result(80.434, 95.312, size=299, source=TIMM)
# Table 2: errors of 21.3 and 5.5 %.
_PAPERS = Result(
    dataset="ImageNet-1k",
    top1=78.7,
    top5=94.5,
    protocol="validation set without its blacklisted pictures, one crop of 299",
    source="table 2",
)

# name: filters, blocks, filters of the last convolution, parameters, batch-norm statistics, MACs, published
_ROWS = {
    "inception_resnet_v1": (FILTERS_V1, (5, 10, 5), None, 22_756_328, 27_040, 6_206_361_696, _PAPERS),
    "inception_resnet_v2": (FILTERS_V2, (10, 20, 10), 1536, 55_843_464, 60_544, 13_155_794_016, _PUBLISHED),
}

for _name, (_stages, _blocks, _last_filters, _params, _state, _macs, _result) in _ROWS.items():
    register(
        Card(
            name=_name,
            family="inception_resnet",
            modality="image",
            summary=f"Inception-ResNet v{_name[-1]}, {sum(_blocks)} inception blocks with residual connections",
            paper=_PAPER,
            input_shape=(299, 299, 3),
            min_size=75,
            value_range=(-1.0, 1.0),
            classes=1000,
            num_params=_params,
            num_state=_state,
            num_macs=_macs,
            endpoints=("stem", "stride4", "stride8", "stride16", "stride32", "pooled", "logits"),
            results=(_result,),
        ),
        inception_resnet,
        inception_resnet_head,
        stages=_stages,
        blocks=_blocks,
        last_filters=_last_filters,
    )
