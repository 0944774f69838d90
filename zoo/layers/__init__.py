"""What two or more families share. Imports keras alone."""

from zoo.layers.board import LegalMask, PositionBias, check_board, check_moves
from zoo.layers.convolution import batch_norm, conv, depthwise_conv, dilated_strides, he_normal, relu, stochastic_depth
from zoo.layers.heads import endpoint, flatten, full_precision, global_pooling, logits, pooled_head
from zoo.layers.inception import branch, conv_bn_relu
from zoo.layers.inverted_residual import inverted_residual, rounded_width
from zoo.layers.k_max_pooling import KMaxPooling1D
from zoo.layers.limited_weight_sharing import LimitedWeightSharing
from zoo.layers.local_response_norm import LocalResponseNormalization
from zoo.layers.pooling import AdaptiveAveragePooling2D, DilatedPooling2D, adaptive_average_pool, average_pool, max_pool
from zoo.layers.residual import residual_stages, stem_conv
from zoo.layers.signals import conv_1d, max_pool_1d
from zoo.layers.sub_spectral_norm import SubSpectralNormalization
from zoo.layers.symbols import FixedEmbedding, OneHot
from zoo.layers.symmetric import SymmetricBoardDense, SymmetricConv2D

__all__ = [
    "AdaptiveAveragePooling2D",
    "DilatedPooling2D",
    "FixedEmbedding",
    "KMaxPooling1D",
    "LegalMask",
    "LimitedWeightSharing",
    "LocalResponseNormalization",
    "OneHot",
    "PositionBias",
    "SubSpectralNormalization",
    "SymmetricBoardDense",
    "SymmetricConv2D",
    "adaptive_average_pool",
    "average_pool",
    "batch_norm",
    "branch",
    "check_board",
    "check_moves",
    "conv",
    "conv_1d",
    "conv_bn_relu",
    "depthwise_conv",
    "dilated_strides",
    "endpoint",
    "flatten",
    "full_precision",
    "global_pooling",
    "he_normal",
    "inverted_residual",
    "logits",
    "max_pool",
    "max_pool_1d",
    "pooled_head",
    "relu",
    "residual_stages",
    "rounded_width",
    "stem_conv",
    "stochastic_depth",
]
