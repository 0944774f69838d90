"""Networks that see pictures; importing a family registers its models."""

from zoo.models.image import densenet, lenet, resnet

__all__ = ["densenet", "lenet", "resnet"]
