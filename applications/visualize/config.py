"""How much is drawn, and how long is searched for it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What a sheet holds.

    Attributes:
        channels: Feature maps shown of each level, the strongest first.
        neurons: Neurons sent back to the pixels from each level.
        classes: Most classes whose wish is shown.
        wishes: Channels of each level whose wish is shown.
        samples: Noisy copies behind a smooth gradient.
        integration_steps: Points of an integrated gradient.
        occlusion_part: Side of the square that covers, as a part of the picture's shorter side.
        wish_steps: Of the optimiser, for a picture that excites a channel or a class.
        inversion_steps: Of the optimiser, for a picture from features.
        dream_steps: Of gradient ascent, at each of three sizes.
        stages: Comparisons while weights are lost.
        seed: Of all that is drawn by lot.
    """

    channels: int = 8
    neurons: int = 4
    classes: int = 10
    wishes: int = 6
    samples: int = 32
    integration_steps: int = 32
    occlusion_part: float = 0.2
    wish_steps: int = 192
    inversion_steps: int = 200
    dream_steps: int = 12
    stages: int = 6
    seed: int = 0


DEFAULT = Sheet()
SMOKE = Sheet(
    channels=2, neurons=1, classes=2, wishes=1, samples=2, integration_steps=4, occlusion_part=0.5, wish_steps=2,
    inversion_steps=2, dream_steps=1, stages=1,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What linear probes are fitted to.

    Attributes:
        examples: Most training examples, and most test examples.
        grid: Most rows and columns of a feature map, which is averaged down to them.
        components: Principal components of the features, the same number for every depth.
        regularisation: Strength of the ridge regression, and of the logistic regression's inverse.
        pixels: Side in pixels of the picture that the regression rebuilds.
        seed: Of the choice of examples, and of the network without training.
    """

    examples: int = 2000
    grid: int = 8
    components: int = 64
    regularisation: float = 1.0
    pixels: int = 8
    seed: int = 0


PROBES = Probes()
PROBES_SMOKE = Probes(examples=60, grid=2, components=4)
