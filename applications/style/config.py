"""How a style is transferred: by optimising a picture, or by training a network that does it at once."""

from dataclasses import dataclass

SOLVERS = ("lbfgs", "adam")
STARTS = ("content", "noise", "style")
NORMALISATIONS = ("instance", "batch")


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Gatys' optimisation of one picture.

    Attributes:
        content_weight: Of what the picture shows.
        style_weight: Of the Gram matrices.
        variation_weight: Of the total variation.
        solver: "lbfgs" of SciPy, or "adam".
        start: What is optimised at the beginning: the content, noise (as in the paper), or the style.
        iterations: Of the solver.
        restart: Iterations after which the state is saved; L-BFGS forgets its curvature there, so that a transfer that
            goes on ends as one that was never interrupted.
        learning_rate: Of Adam, as a part of the range of a pixel.
        size: Longer side of the picture in pixels; None for its own.
        style_size: The same of the style.
        seed: Of the noise.
    """

    content_weight: float = 1.0
    style_weight: float = 1000.0
    variation_weight: float = 0.02
    solver: str = "lbfgs"
    start: str = "content"
    iterations: int = 300
    restart: int = 50
    learning_rate: float = 0.02
    size: int | None = 384
    style_size: int | None = 384
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("solver", self.solver, SOLVERS)
        _one_of("start", self.start, STARTS)
        for name in ("iterations", "restart", "size", "style_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {value}")
        _weights(self)


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """A training of Johnson's network for one style.

    Attributes:
        data: `photographs` or `folder:PATH`, pictures to train on.
        size: Side of the training crops in pixels.
        crops: Crops of each picture in an epoch.
        shorter_side: Pixels that the shorter side of a picture is reduced to; None for its own.
        style_size: Longer side of the style's picture; None for its own.
        filters: Of the network's first convolution; the paper's are 32.
        blocks: Residual blocks; the paper's are 5.
        normalization: "instance", or "batch" as in the paper.
        padding: "each" reflects before each convolution, "once" at the picture's border, as in the paper.
        content_weight: As for `Transfer`.
        style_weight: As for `Transfer`.
        variation_weight: As for `Transfer`.
        epochs: Of training.
        batch_size: Crops in a batch.
        learning_rate: Of Adam.
        seed: Of weights, order and crops.
    """

    data: str = "photographs"
    size: int = 64
    crops: int = 100
    shorter_side: int | None = 160
    style_size: int | None = 160
    filters: int = 32
    blocks: int = 5
    normalization: str = "instance"
    padding: str = "each"
    content_weight: float = 1.0
    style_weight: float = 100.0
    variation_weight: float = 0.02
    epochs: int = 10
    batch_size: int = 4
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("normalization", self.normalization, NORMALISATIONS)
        _one_of("padding", self.padding, ("each", "once"))
        for name in ("size", "crops", "filters", "blocks", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if self.size % 4:
            raise ValueError(f"size must be a multiple of 4. Received: {self.size}")
        _weights(self)


def _one_of(name: str, value: str, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ValueError(f"{name} must be one of {', '.join(legal)}. Received: {value!r}")


def _weights(config: Transfer | FeedForward) -> None:
    for name in ("content_weight", "style_weight", "variation_weight"):
        if getattr(config, name) < 0:
            raise ValueError(f"{name} must be 0 or more. Received: {getattr(config, name)}")


DEFAULT = Transfer()
SMOKE = Transfer(iterations=4, restart=2, size=32, style_size=32)
FEED_FORWARD = FeedForward()
FEED_FORWARD_SMOKE = FeedForward(size=32, crops=2, shorter_side=40, style_size=32, filters=4, blocks=1, epochs=1)
