"""The table of published weights that fit models of ours: where they lie, what they reach, what they expect.

Facts are those that torchvision (`models/*.py`, the enumerations of weights), timm (1.0.31, `pretrained_cfg` and
`results-imagenet.csv`) and Keras (3.15, `applications/*.py`, and the table of https://keras.io/api/applications/)
publish. Where timm states several sizes for the same weights, the row is the most accurate. Keras says "one centre
crop" and not from what; 256 for 224 and 342 for 299 are ours.

Left out, because our networks cannot give the same outputs at the size that the weights are for: timm's MobileNet v1,
which pads on all sides alike where ours pads as its authors do; Keras's MobileNet v2 and v3, where it is the other way
round (`zoo.weights.load` takes them for sizes of 32 n + 1, at which both are equal); Keras's ResNet v2, which strides
elsewhere.
"""

import csv
import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

from zoo.weights.preprocessing import ChannelOrder, CropMode, Interpolation

# Licences that allow any use; one that is not stated is taken after these, a non-commercial one by its name alone.
_FREE = ("apache-2.0", "bsd-3-clause", "mit")
# What stands in the column `knobs`.
_KNOBS: dict[str, dict[str, Any]] = {
    "": {},
    "variant=paper": {"variant": "paper"},
    "count_include_pad=False": {"count_include_pad": False},
}
# What torchvision's `transform_input` does after its mean and standard deviation: from those to -1 to 1.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TRANSFORM = (tuple(std / 0.5 for std in _STD), tuple((mean - 0.5) / 0.5 for mean in _MEAN))


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published set of weights.

    Attributes:
        model: The registered name.
        tag: What names the weights, e.g. "torchvision.v2" or "timm.a1".
        source: "torchvision", "timm" or "keras": whose names the file has (`zoo.weights.load`).
        url: Where the file lies.
        kind: "pth", which `torch.load(weights_only=True)` reads, "safetensors" or "h5".
        sha256_prefix: First digits of the file's SHA-256, as far as they are published; may be empty.
        md5: The file's MD5, where that is what is published; may be empty. It proves that nothing was damaged.
        num_params: Trainable parameters.
        licence: As published; empty if none is stated for the weights.
        top1: Accuracy on ImageNet-1k's validation set in percent, as published, with the preprocessing below.
        top5: The same for the best five.
        eval_size: Height and width at which that was measured.
        resize_size: What the short side is resized to before.
        crop_pct: eval_size / resize_size as published.
        crop_mode: As in `Preprocessing`.
        interpolation: The filter of the resizing.
        rescale: Factor on pixels of 0…255.
        mean: What is subtracted then.
        std: What that is divided by.
        channel_order: "RGB" or "BGR", for mean and std too.
        input_transform: (scale, offset) of a last step, or None. Where the first convolution has no padding it can be
            given to `zoo.weights.load` instead, which makes it part of the weights.
        knobs: Arguments of the model's builder without which it is not the network of these weights.
    """

    model: str
    tag: str
    source: str
    url: str
    kind: str
    sha256_prefix: str
    md5: str
    num_params: int
    licence: str
    top1: float
    top5: float
    eval_size: int
    resize_size: int
    crop_pct: float
    crop_mode: CropMode
    interpolation: Interpolation
    rescale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: ChannelOrder
    input_transform: tuple[tuple[float, ...], tuple[float, ...]] | None
    knobs: Mapping[str, Any]

    @property
    def is_non_commercial(self) -> bool:
        """Whether the licence forbids commercial use."""
        return "-nc" in self.licence


@functools.cache
def published() -> tuple[Published, ...]:
    """All rows of the table, in the order of the file.

    Example:
        >>> from zoo.weights.published import published
        >>> [row.tag for row in published() if row.model == "alexnet"]
        ['torchvision']
    """
    text = resources.files("zoo.weights").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_row(row) for row in csv.DictReader(text.splitlines()))


def find(model: str, tag: str | None = None) -> Published:
    """The published weights of a model.

    Args:
        model: A registered name.
        tag: Their tag, a source for its best ("timm"; "torchvision" is a tag itself, torchvision's first weights),
            or None or "default" for the most accurate ones. A choice is made among those whose licence allows any
            use, then among those that state none; non-commercial ones must be asked for by their tag.

    Raises:
        ValueError: The model has no such published weights; those that it has are listed.

    Warns:
        UserWarning: The licence of the weights forbids commercial use.

    Example:
        >>> from zoo.weights.published import find
        >>> find("resnet50", "torchvision.v2").resize_size
        232
    """
    rows = [row for row in published() if row.model == model]
    for row in rows:
        if row.tag == tag:
            if row.is_non_commercial:
                warnings.warn(
                    f"The weights {model}:{tag} have the licence {row.licence}: no commercial use.", stacklevel=2
                )
            return row
    wanted = [row for row in rows if tag in (None, "default", row.source) and not row.is_non_commercial]
    if not wanted:
        tags = ", ".join(row.tag for row in rows) or "none"
        raise ValueError(f"{model!r} has no published weights {tag or 'default'!r}. Published weights: {tags}.")
    return max(wanted, key=lambda row: (row.licence in _FREE, row.top1))


def _row(row: dict[str, str]) -> Published:
    return Published(
        model=row["model"],
        tag=row["tag"],
        source=row["source"],
        url=row["url"],
        kind=row["kind"],
        sha256_prefix=row["sha256_prefix"],
        md5=row["md5"],
        num_params=int(row["num_params"]),
        licence=row["licence"],
        top1=float(row["top1"]),
        top5=float(row["top5"]),
        eval_size=int(row["eval_size"]),
        resize_size=int(row["resize_size"]),
        crop_pct=float(row["crop_pct"]),
        crop_mode=row["crop_mode"],  # type: ignore[arg-type]
        interpolation=row["interpolation"],  # type: ignore[arg-type]
        rescale=float(row["rescale"] or 1 / 255),
        mean=tuple(map(float, row["mean"].split())),
        std=tuple(map(float, row["std"].split())),
        channel_order=row["channel_order"] or "RGB",  # type: ignore[arg-type]
        input_transform=_TRANSFORM if row["has_input_transform"] == "1" else None,
        knobs=MappingProxyType(_KNOBS[row["knobs"]]),
    )
