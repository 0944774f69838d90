"""Networks that see pictures; importing a family registers its models."""

from zoo.models.image import lenet, resnet

__all__ = ["lenet", "resnet"]
