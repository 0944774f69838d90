"""What two or more families share. Imports keras alone."""

from zoo.layers.convolution import batch_norm, conv, dilated_strides, he_normal, relu, stochastic_depth
from zoo.layers.heads import endpoint, flatten, full_precision, global_pooling, logits, pooled_head

__all__ = [
    "batch_norm",
    "conv",
    "dilated_strides",
    "endpoint",
    "flatten",
    "full_precision",
    "global_pooling",
    "he_normal",
    "logits",
    "pooled_head",
    "relu",
    "stochastic_depth",
]
