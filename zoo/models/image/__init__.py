"""Networks that see pictures; importing a family registers its models."""

from zoo.models.image import (
    alexnet,
    densenet,
    googlenet,
    inception_resnet,
    inception_v2,
    inception_v3,
    inception_v4,
    lenet,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    plain_cnn,
    resnet,
    resnet_v2,
    squeezenet,
    vgg,
)

__all__ = [
    "alexnet",
    "densenet",
    "googlenet",
    "inception_resnet",
    "inception_v2",
    "inception_v3",
    "inception_v4",
    "lenet",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "plain_cnn",
    "resnet",
    "resnet_v2",
    "squeezenet",
    "vgg",
]
