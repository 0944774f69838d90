"""Which networks stand for all others of their kind, where a check of each registered name would take too long."""

import functools
import re
from collections.abc import Callable, Hashable, Sequence

import zoo
from zoo import registry


def cheapest(kind: Callable[[str], Hashable], names: Sequence[str]) -> list[str]:
    """Of each kind of network the name with the fewest multiply-accumulates, in the order of the alphabet.

    One with more than a hundred layers in its name stands for its kind only if all do: each layer takes its time.
    """
    chosen: dict[Hashable, str] = {}
    for name in sorted(names, key=lambda name: (is_deep(name), zoo.model_card(name).num_macs)):
        chosen.setdefault(kind(name), name)
    return sorted(chosen.values())


def is_deep(name: str) -> bool:
    """Whether a network for pictures tells such a depth; the numbers of others are their filters."""
    depth = re.search(r"\d+", name)
    return zoo.model_card(name).modality == "image" and depth is not None and int(depth[0]) > 100


def backbone(name: str) -> Hashable:
    return registry.entry(name).backbone


def backbone_and_block(name: str) -> Hashable:
    """Also the block that a residual or dense network repeats; not the numbers that are filled in there."""
    block = registry.entry(name).row.get("block")
    return registry.entry(name).backbone, getattr(block, "func", block)


def architecture(name: str) -> Hashable:
    """Backbone, head and block; of a block with arguments filled in whether it groups, for all else is numbers.

    Of networks that read words, whether their vectors are trained.
    """
    entry = registry.entry(name)
    if "vectors" in entry.row:
        return entry.backbone, entry.head, entry.row["vectors"]
    block = entry.row.get("block")
    if isinstance(block, functools.partial):
        return entry.backbone, entry.head, block.func, *(("groups",) if "groups" in block.keywords else ())
    return entry.backbone, entry.head, block
