"""Networks that see pictures; importing a family registers its models."""

from zoo.models.image import densenet, lenet, mobilenet, mobilenet_v2, mobilenet_v3, resnet

__all__ = ["densenet", "lenet", "mobilenet", "mobilenet_v2", "mobilenet_v3", "resnet"]
