"""Networks side by side: FCN-32s, 16s and 8s, U-Net's way up and DeepLab v3 over one body, with several seeds.

The names are the paper's; the strides are those of the body's levels. On scenes of 32 x 32 these are 4, 2 and 1 for a
ResNet of the CIFAR kind, which takes the place of 32, 16 and 8.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import zoo
from applications.segment import drawing, learning, scenes
from applications.segment.baseline import Baseline
from applications.segment.config import Segmentation
from applications.segment.scores import Scores, score
from zoo import files

TABLE, SHEET = "table.json", "overlays.png"


@dataclass(frozen=True)
class Row:
    """A network's scores on the test split, one for each seed.

    Attributes:
        name: Of the network.
        mean_iou: Mean intersection over union.
        boundary_iou: The same near borders.
        pixel_accuracy: Part of the pixels that are right.
    """

    name: str
    mean_iou: tuple[float, ...]
    boundary_iou: tuple[float, ...]
    pixel_accuracy: tuple[float, ...]


def networks(base: Segmentation) -> dict[str, Segmentation]:
    """What is compared: the three FCNs over the levels of a training, from the coarsest on, and two more.

    Args:
        base: The training that all take after; its levels go from the coarsest to the finest, three of them.

    Raises:
        ValueError: There are not three levels.
    """
    if len(base.levels) != 3:
        raise ValueError(f"FCN-32s, 16s and 8s take three levels. Received: levels={list(base.levels)}")
    found = {
        name: dataclasses.replace(base, network="fcn", levels=base.levels[:count])
        for count, name in enumerate(("FCN-32s", "FCN-16s", "FCN-8s"), 1)
    }
    found["U-Net over the body"] = dataclasses.replace(base, network="unet_over", options={"filters": [32, 16]})
    # DeepLab's body keeps the resolution of its second level, by dilation, down to its end.
    found["DeepLab v3"] = dataclasses.replace(
        base, network="deeplab_v3", levels=base.levels[1:2], options={"filters": 64, "rates": [1, 2, 3]},
        knobs={**base.knobs, "output_stride": _stride(base, base.levels[1])},
    )  # fmt: skip
    return found


def _stride(base: Segmentation, level: str) -> int:
    body = zoo.create_model(base.body, include_top=False, **base.knobs)
    stride = zoo.receptive_field(body, level).stride
    assert stride is not None
    return stride[0]


def compare(
    base: Segmentation,
    folder: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    names: Sequence[str] | None = None,
    tell: Callable[[str], None] = print,
) -> list[Row]:
    """Train each network with each seed, write the table and a sheet of overlays; what is trained already is kept.

    Args:
        base: The training that all take after, but for network, levels and seed.
        folder: Where a run folder of each training comes to lie.
        seeds: Of weights, order and made scenes.
        names: Which of `networks`; None for all.
        tell: Is told each result.

    Returns:
        The baseline where there is one, then the networks.

    Raises:
        ValueError: There is no network of a name, or no seed.
    """
    known = networks(base)
    if unknown := [name for name in names or () if name not in known]:
        raise ValueError(f"Networks are {', '.join(known)}. Received: {', '.join(unknown)}")
    if not seeds:
        raise ValueError("Give at least one seed. Received: none")
    found: dict[str, list[Scores]] = {}
    if base.data == "digits":
        found["threshold, components, SVM"] = [_baseline(base, seed) for seed in seeds]
    for seed in seeds:
        for name in names or known:
            config = dataclasses.replace(known[name], seed=seed)
            place = folder / f"{name.lower().replace(' ', '_')}-{seed}"
            scored = _finished(config, place)
            if scored is None:
                _, scored = learning.train(config, place)
            found.setdefault(name, []).append(scored)
            tell(f"{name}, seed {seed}: mean IoU {scored.mean_iou:.3f}")
    parts = ("mean_iou", "boundary_iou", "pixel_accuracy")
    rows = [Row(name, *(tuple(getattr(one, part) for one in every) for part in parts)) for name, every in found.items()]
    files.write_json(folder / TABLE, [dataclasses.asdict(row) for row in rows])
    _sheet(base, folder, [name for name in found if name in known], seeds[0])
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table: mean and deviation over the seeds."""
    lines = ["| network | mean IoU | near borders | pixel accuracy |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {row.name} | {_spread(row.mean_iou)} | {_spread(row.boundary_iou)} | {_spread(row.pixel_accuracy)} |"
        for row in rows
    ]
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"


def _finished(config: Segmentation, place: Path) -> Scores | None:
    """The scores of a training that has come to its end; another training's folder is refused by `learning.train`."""
    if not (place / learning.RESULT).is_file():
        return None
    if learning.open_run(place)[1] != config:
        return None
    facts: Mapping = json.loads((place / learning.RESULT).read_text(encoding="utf-8"))
    iou = tuple(np.nan if value is None else value for value in facts["iou"].values())
    return Scores(iou, facts["mean_iou"], facts["boundary_iou"], facts["pixel_accuracy"])


def _baseline(base: Segmentation, seed: int) -> Scores:
    known = scenes.load(base.data, "train", size=base.size, count=base.count, seed=seed)
    part = scenes.load(base.data, "test", size=base.size, seed=seed)
    return score(part.masks, Baseline(known)(part.pictures), len(part.classes))


def _sheet(base: Segmentation, folder: Path, names: Sequence[str], seed: int) -> None:
    part = scenes.load(base.data, "test", size=base.size, count=6, seed=seed)
    columns = {"truth": part.masks}
    for name in names:
        model, config, _, _ = learning.open_run(folder / f"{name.lower().replace(' ', '_')}-{seed}")
        columns[name] = learning.answers(model, config, part.pictures)
    drawing.sheet(part.pictures, columns, part.classes, folder / SHEET)
