"""Networks that read text, as the numbers of words or characters; importing a family registers its models."""

from zoo.models.text import char_cnn, dpcnn, kim_cnn, vdcnn

__all__ = ["char_cnn", "dpcnn", "kim_cnn", "vdcnn"]
