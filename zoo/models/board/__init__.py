"""Networks that see boards; importing a family registers its models."""

from zoo.models.board import alphago, alphagozero, clark_storkey, maddison

__all__ = ["alphago", "alphagozero", "clark_storkey", "maddison"]
