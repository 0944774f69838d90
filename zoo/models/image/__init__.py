"""Networks that see pictures; importing a family registers its models."""

from zoo.models.image import densenet, googlenet, lenet, mobilenet, mobilenet_v2, mobilenet_v3, resnet

__all__ = ["densenet", "googlenet", "lenet", "mobilenet", "mobilenet_v2", "mobilenet_v3", "resnet"]
