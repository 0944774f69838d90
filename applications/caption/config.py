"""What is trained, on what, and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NETWORKS = ("gru", "transformer", "embedding")

# A small body that learns scenes of digits in minutes: rows of `plain_cnn`, with a map of 5 x 5 places at the end.
_ROWS = (
    ("conv", 16, 3), ("batch_norm",), ("max_pool",), ("conv", 32, 3), ("batch_norm",), ("max_pool",),
    ("conv", 64, 3), ("batch_norm",), ("max_pool",), ("conv", 128, 3), ("batch_norm",),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Captioning:
    """A training.

    Attributes:
        data: Source, as `applications.caption.scenes.load` takes it.
        size: Side of the pictures in pixels; None for the source's own, 40 for made scenes and 224 for others.
        count: Most pictures of a split, or how many scenes are made to train; None for all, or 12,000.
        network: "gru": a recurrent decoder with additive attention. "transformer": a transformer decoder. "embedding":
            pictures and sentences in one space, for retrieval.
        body: Registered network under it.
        knobs: Of the body, such as {"stem": "cifar"}.
        endpoint: Its feature map that is looked at; None for the last.
        weights: Published weights of the body, a tag; None for none.
        units: Width of the decoder, or of the joint space.
        blocks: Of the transformer.
        heads: Of its attention.
        dropout: Fraction of the decoder's values that is dropped in training.
        margin: Of the ranking loss of the joint space.
        blind: Whether the network sees black pictures: what the sentences alone give.
        max_words: Most words that are known.
        max_length: Most words of a sentence; longer ones are cut off.
        epochs: Of training.
        batch_size: Pictures in a batch.
        learning_rate: Of AdamW, at the beginning of a cosine.
        weight_decay: Of AdamW.
        beams: Sentences that are kept while one is searched for; 1 takes the most probable word each time.
        normalisation: By what power of its length a sentence's log probability is divided; 0 for none.
        seed: Of weights, order and made scenes.
    """

    data: str = "digits"
    size: int | None = None
    count: int | None = None
    network: str = "gru"
    body: str = "plain_cnn"
    knobs: Mapping[str, Any] = field(default_factory=lambda: {"rows": _ROWS})
    endpoint: str | None = None
    weights: str | None = None
    units: int = 96
    blocks: int = 2
    heads: int = 4
    dropout: float = 0.1
    margin: float = 0.2
    blind: bool = False
    max_words: int = 10_000
    max_length: int = 30
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    beams: int = 3
    normalisation: float = 0.7
    seed: int = 0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}. Received: {self.network!r}")
        for name in ("epochs", "batch_size", "units", "blocks", "heads", "beams", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if self.network == "transformer" and self.units % self.heads:
            raise ValueError(f"units must be a multiple of heads. Received: units={self.units}, heads={self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1. Received: {self.dropout}")


DEFAULT = Captioning()
SMOKE = Captioning(count=64, epochs=1, units=16, blocks=1, heads=2, knobs={}, batch_size=32)
