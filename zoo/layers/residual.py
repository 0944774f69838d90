"""What the residual networks of 2015 and of 2016 share."""

from collections.abc import Callable
from typing import Any, Literal

import keras

from zoo.layers.convolution import conv, dilated_strides
from zoo.layers.heads import endpoint


def stem_conv(x: keras.KerasTensor, filters: int, stem: Literal["imagenet", "cifar"]) -> tuple[keras.KerasTensor, int]:
    """The first convolution, without batch norm: 7x7 with stride 2, or 3x3 without a stride.

    Args:
        x: Pictures (batch, height, width, channels).
        filters: Number of output channels.
        stem: "imagenet" or "cifar".

    Returns:
        Feature map and its stride.
    """
    if stem == "imagenet":
        return conv(x, filters, 7, strides=2, name="stem_conv"), 2
    return conv(x, filters, 3, name="stem_conv"), 1


def residual_stages(
    x: keras.KerasTensor,
    block: Callable[..., keras.KerasTensor],
    *,
    blocks: tuple[int, ...],
    filters: tuple[int, ...],
    stem_stride: int,
    output_stride: int | None,
    drop_path: float,
    **options: Any,
) -> tuple[keras.KerasTensor, int]:
    """All blocks of all stages. Every stage but the first halves the resolution.

    Args:
        x: Feature map (batch, height, width, channels).
        block: `(x, filters, *, strides, dilations, drop_rate, name, **options) -> x`.
        blocks: Number of blocks of each stage.
        filters: Number of output channels of each stage.
        stem_stride: Stride of `x`.
        output_stride: Stride of the last feature map; late strides are replaced by dilation. None: 4 or 8 times that of
            the stem.
        drop_path: Rate at which the last block is dropped in training; it rises linearly from block to block.
        **options: What the block takes besides.

    Returns:
        Feature map and its stride. The last feature map of each stage but the last is an endpoint.
    """
    stage_strides = [1] + [2] * (len(blocks) - 1)
    plan = dilated_strides(stage_strides, stem_stride=stem_stride, output_stride=output_stride)
    drop_rates = iter([drop_path * (index + 1) / sum(blocks) for index in range(sum(blocks))])
    stride, dilation = stem_stride, 1
    for stage, (num_blocks, width, (strides, next_dilation, stride)) in enumerate(
        zip(blocks, filters, plan, strict=True), 1
    ):
        if strides > 1:
            x = endpoint(x, f"stride{stride // strides}")
        for index in range(num_blocks):
            x = block(
                x,
                width,
                strides=strides if index == 0 else 1,
                dilations=(dilation, next_dilation),
                drop_rate=next(drop_rates),
                name=f"stage{stage}_block{index + 1}",
                **options,
            )
            dilation = next_dilation
    return x, stride
