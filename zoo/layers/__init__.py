"""What two or more families share. Imports keras alone."""

from zoo.layers.convolution import batch_norm, conv, depthwise_conv, dilated_strides, he_normal, relu, stochastic_depth
from zoo.layers.heads import endpoint, flatten, full_precision, global_pooling, logits, pooled_head
from zoo.layers.inverted_residual import inverted_residual, rounded_width
from zoo.layers.local_response_norm import LocalResponseNormalization

__all__ = [
    "LocalResponseNormalization",
    "batch_norm",
    "conv",
    "depthwise_conv",
    "dilated_strides",
    "endpoint",
    "flatten",
    "full_precision",
    "global_pooling",
    "he_normal",
    "inverted_residual",
    "logits",
    "pooled_head",
    "relu",
    "rounded_width",
    "stochastic_depth",
]
