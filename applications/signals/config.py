"""The numbers of the experiments with signals."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """How a denoiser is trained and measured.

    Attributes:
        recordings: Number of patients of the training, validation and test recordings.
        seconds: Length of a recording.
        draws: Times that each training recording gets other noise.
        window: Samples of a training example.
        decibels: Lowest and highest ratio of signal and noise in training.
        tested: Ratios at which is measured.
        epochs: Number of epochs.
        batch_size: Examples of a batch.
        learning_rate: At the start; it falls to 0 along a cosine.
        seed: Seed of everything.
    """

    recordings: tuple[int, int, int] = (90, 10, 20)
    seconds: float = 20.0
    draws: int = 6
    window: int = 512
    decibels: tuple[float, float] = (-2.0, 14.0)
    tested: tuple[float, ...] = (0.0, 6.0, 12.0)
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    seed: int = 0


DEFAULT = Denoising()
SMOKE = Denoising(recordings=(4, 1, 2), seconds=6.0, draws=2, epochs=2, tested=(6.0,))
