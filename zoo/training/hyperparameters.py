"""The numbers of a training, checked, and what is made of them: schedule, optimizer, loss."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import keras

from zoo.training.batch_norm import BatchNorm
from zoo.training.initialisers import Initializer
from zoo.training.losses import BinaryCrossEntropy, CrossEntropy, LogitAdjustedCrossEntropy
from zoo.training.optimizers import LAMB, LARS, NovoGrad, TorchSGD
from zoo.training.parameter_groups import DecayOn, parameter_groups, with_groups
from zoo.training.schedules import Constant, Cosine, Exponential, MultiStep, OneCycle, Polynomial, Schedule, WarmUp

Optimizer = Literal[
    "adamw", "sgd", "torch_sgd", "rmsprop", "lamb", "lars", "novograd", "adam", "nadam", "lion", "adagrad",
    "adadelta",
]  # fmt: skip
ScheduleName = Literal["constant", "cosine", "polynomial", "exponential", "multi_step", "one_cycle"]
LossName = Literal["cross_entropy", "binary_cross_entropy"]
OnNonFinite = Literal["stop", "skip", "lower"]
Normalization = Literal["own", "unit", "symmetric", "standardised"]

# Each optimizer with the options that it has unless `optimizer_options` says otherwise.
_OPTIMIZERS: dict[str, tuple[type[keras.Optimizer], dict[str, Any]]] = {
    "adamw": (keras.optimizers.AdamW, {}),
    "sgd": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "torch_sgd": (TorchSGD, {"momentum": 0.9}),
    "rmsprop": (keras.optimizers.RMSprop, {}),
    "lamb": (LAMB, {}),
    "lars": (LARS, {}),
    "novograd": (NovoGrad, {}),
    "adam": (keras.optimizers.Adam, {}),
    "nadam": (keras.optimizers.Nadam, {}),
    "lion": (keras.optimizers.Lion, {}),
    "adagrad": (keras.optimizers.Adagrad, {}),
    "adadelta": (keras.optimizers.Adadelta, {}),
}
_SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "polynomial": Polynomial,
    "exponential": Exponential,
    "multi_step": MultiStep,
    "one_cycle": OneCycle,
}
# Schedules that end with the training; the others have times of their own.
_TO_THE_END = ("cosine", "polynomial", "one_cycle")
_LOSSES = {"cross_entropy": CrossEntropy, "binary_cross_entropy": BinaryCrossEntropy}


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """How a network is trained, whatever network and data.

    Attributes:
        epochs: Largest number of epochs.
        batch_size: Examples of a batch.
        optimizer: "adamw", "sgd" (momentum 0.9, Nesterov), "torch_sgd" (the rate outside of the momentum), "rmsprop",
            "lamb", "lars", "novograd", "adam", "nadam", "lion", "adagrad" or "adadelta".
        optimizer_options: Other arguments of the optimizer, such as {"momentum": 0.9, "nesterov": False}.
        learning_rate: Learning rate at the start, or after the warm-up.
        rate_batch_size: Batch size that `learning_rate` is for; the rate used is proportional to the examples of an
            update. None: the rate is used as it is.
        weight_decay: Weight decay.
        coupled_decay: Whether the decay is part of the gradient (L2 penalty: the older papers, Caffe, PyTorch's SGD),
            or beside the update (Keras, AdamW). LAMB and LARS have it inside of their scaled step either way.
        decay_on: What is decayed: "all"; "not_norms": not the parameters of normalisation; "kernels": neither norms
            nor biases.
        layer_decay: Factor of the learning rate from each block to the one before it, above 0; 1: the same everywhere.
        schedule: "constant"; "cosine", "polynomial" or "one_cycle" over all epochs; "exponential" or "multi_step". Any
            but "constant" leaves out `plateau`.
        schedule_options: Arguments of the schedule in epochs, such as {"milestones": [30, 60]}, see
            `zoo.training.schedules`; "every": "epoch" holds the rate within an epoch.
        warmup_epochs: Epochs, not necessarily whole, that the rate rises in a line for; 0 for none. Leaves out
            `plateau`.
        warmup_start: First rate of the warm-up over the learning rate, 0 to 1.
        warmup_shift: Whether the schedule begins after the warm-up instead of running below it.
        plateau: Epochs without a lower validation loss after which the learning rate is multiplied by
            `plateau_factor`; 0: never.
        plateau_factor: That factor, above 0 and below 1.
        plateau_floor: Learning rate below which it does not go.
        average: Momentum, 0 to below 1, of a moving average of the weights, which is then what is evaluated and kept;
            0 for none.
        clip_norm: Norm that the gradient of all weights together is clipped to; None for no clipping.
        accumulate: Batches whose gradients are averaged for one update, at least 1.
        on_nonfinite: What a training loss that is NaN or infinite does, after going back to the last checkpoint:
            "stop" the training, "skip" the batch, "lower" the learning rate by half.
        loss: "cross_entropy", or "binary_cross_entropy" of each class against all others.
        label_smoothing: Part of each label that is spread over all classes, 0 to below 1.
        auxiliary_weight: Weight of the loss of each auxiliary classifier, which the network then has in training; 0:
            it has none.
        target_threshold: For "binary_cross_entropy": labels above it count in full, others not; None for fractions.
        augment: Augmentation of the training pictures, as `zoo.data` takes it; "" for none.
        mixup: Parameter of the beta distribution that mixup draws from; 0 for no mixup.
        cutmix: The same for cutmix; 0 for none.
        mix_probability: Part of the batches that are mixed, 0 to 1.
        mix_switch: Where both are on: part of the mixed batches that get cutmix, 0 to 1.
        repeats: Times that an example comes in a batch, each time augmented anew, at least 1; an epoch then has the
            n-th part of the examples.
        balance: 0: each example comes once an epoch; 1: all classes are seen equally often; what is between, in part.
        class_weight: Exponent of the weight of a class in the loss, 0 to 1: the number of its training examples to the
            power of minus this, with a mean of 1 over all examples. 0: all weigh the same; 1: all classes together do.
        logit_adjustment: Strength of the logit adjustment for classes that differ in number (Menon et al. 2020), at
            least 0; 1 in the paper, 0 for none. For "cross_entropy".
        image_size: Height and width of the pictures in pixels. None: the data's own size where the model allows it,
            else the card's.
        train_size: Height and width in training alone, for a model that takes any size; None: `image_size`.
        patience: Epochs without a lower validation loss after which training ends; None: never.
        initializer: Distribution that kernels are drawn from: "own" for the network's own, or another one that
            `zoo.training.initialise` knows.
        normalization: What black and white become: "own" for the values that the network's card expects, "unit" for 0
            and 1, "symmetric" for -1 and 1, "standardised" for mean 0 and deviation 1 over the training pictures.
        head_epochs: Epochs at the beginning in which only the head is trained, the body frozen with its statistics;
            they come before `epochs`.
        head_learning_rate: Learning rate of these epochs, constant.
        batch_norm: What the body's batch norms do while everything is trained. "train": they normalise by the batch and
            update their statistics. "frozen": they keep the statistics of the weights given, and gamma and beta too.
            "recalibrate": as "frozen", with statistics taken anew from the training pictures before the first step
            (Li et al. 2016, https://arxiv.org/abs/1603.04779).
        knobs: The model family's own arguments, such as {"drop_path": 0.05}.

    Raises:
        ValueError: A value is out of its range; the message says which.
    """

    epochs: int = 150
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 3e-3
    rate_batch_size: int | None = None
    weight_decay: float = 0.05
    coupled_decay: bool = False
    decay_on: DecayOn = "all"
    layer_decay: float = 1.0
    schedule: ScheduleName = "constant"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    warmup_epochs: float = 0.0
    warmup_start: float = 0.0
    warmup_shift: bool = False
    plateau: int = 6
    plateau_factor: float = 0.3
    plateau_floor: float = 0.0
    average: float = 0.0
    clip_norm: float | None = None
    accumulate: int = 1
    on_nonfinite: OnNonFinite = "stop"
    loss: LossName = "cross_entropy"
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    target_threshold: float | None = None
    augment: str = "shift=1"
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_probability: float = 1.0
    mix_switch: float = 0.5
    repeats: int = 1
    balance: float = 0.0
    class_weight: float = 0.0
    logit_adjustment: float = 0.0
    image_size: tuple[int, int] | None = None
    train_size: tuple[int, int] | None = None
    patience: int | None = 20
    initializer: Initializer = "own"
    normalization: Normalization = "own"
    head_epochs: int = 0
    head_learning_rate: float = 1e-3
    batch_norm: BatchNorm = "train"
    knobs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no training can use."""
        self._check_choices()
        self._check_ranges()
        for name in ("image_size", "train_size"):
            size = getattr(self, name)
            if size is not None:
                object.__setattr__(self, name, _size(name, size))
        if self.on_nonfinite == "lower" and self.has_schedule:
            raise ValueError(
                'on_nonfinite="lower" needs schedule="constant": a schedule computes the rate from the step. '
                f"Received: schedule={self.schedule!r}, warmup_epochs={self.warmup_epochs}"
            )
        if self.target_threshold is not None and self.loss != "binary_cross_entropy":
            raise ValueError(
                'target_threshold belongs to loss="binary_cross_entropy". '
                f"Received: target_threshold={self.target_threshold}, loss={self.loss!r}"
            )
        if self.logit_adjustment and self.loss != "cross_entropy":
            raise ValueError(
                'logit_adjustment belongs to loss="cross_entropy". '
                f"Received: logit_adjustment={self.logit_adjustment}, loss={self.loss!r}"
            )
        self.make_schedule(steps_per_epoch=1)
        self._check_optimizer_options()
        self.make_loss()

    def _check_choices(self) -> None:
        choices = {
            "optimizer": get_args(Optimizer),
            "schedule": get_args(ScheduleName),
            "loss": get_args(LossName),
            "on_nonfinite": get_args(OnNonFinite),
            "decay_on": get_args(DecayOn),
            "initializer": get_args(Initializer),
            "normalization": get_args(Normalization),
            "batch_norm": get_args(BatchNorm),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be {_alternatives(known)}. Received: {name}={getattr(self, name)!r}"
                )  # fmt: skip

    def _check_ranges(self) -> None:
        for name in ("epochs", "batch_size", "patience", "accumulate", "rate_batch_size", "repeats"):
            if getattr(self, name) is not None:
                _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in (
            "plateau",
            "head_epochs",
            "weight_decay",
            "warmup_epochs",
            "mixup",
            "cutmix",
            "auxiliary_weight",
            "logit_adjustment",
        ):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "at least 0")
        for name in ("learning_rate", "head_learning_rate", "layer_decay", "clip_norm"):
            if getattr(self, name) is not None:
                _require(name, getattr(self, name), getattr(self, name) > 0, "above 0")
        for name in ("mix_probability", "mix_switch", "warmup_start", "balance", "class_weight"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "from 0 to 1")
        _require("average", self.average, 0 <= self.average < 1, "from 0 to below 1")
        _require("plateau_factor", self.plateau_factor, 0 < self.plateau_factor < 1, "above 0 and below 1")
        _require("plateau_floor", self.plateau_floor, self.plateau_floor >= 0, "at least 0")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                "warmup_epochs must be fewer than epochs. "
                f"Received: warmup_epochs={self.warmup_epochs}, epochs={self.epochs}"
            )

    def _check_optimizer_options(self) -> None:
        """By name alone: an optimizer that is made takes hold of TensorFlow's devices, which then cannot be chosen."""
        kind, _ = _OPTIMIZERS[self.optimizer]
        known = {
            name
            for function in (kind.__init__, keras.Optimizer.__init__)
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        } - {"self", "learning_rate", *self._common_options}
        if unknown := [name for name in self.optimizer_options if name not in known]:
            raise ValueError(
                f"optimizer_options do not fit optimizer={self.optimizer!r}: it has no "
                f"{', '.join(map(repr, unknown))}, but {', '.join(sorted(known))}. "
                f"Received: optimizer_options={dict(self.optimizer_options)}"
            )

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate is a function of the step, which a callback cannot change."""
        return self.schedule != "constant" or self.warmup_epochs > 0

    @property
    def scaled_rate(self) -> float:
        """The learning rate for the examples of an update."""
        if self.rate_batch_size is None:
            return self.learning_rate
        return self.learning_rate * self.batch_size * self.accumulate / self.rate_batch_size

    @property
    def classifier_activation(self) -> str:
        """The model's last activation that belongs to the loss."""
        return "sigmoid" if self.loss == "binary_cross_entropy" else "softmax"

    def make_schedule(self, steps_per_epoch: int) -> float | Schedule:
        """The learning rate of `epochs` epochs.

        Args:
            steps_per_epoch: Batches of an epoch.

        Returns:
            A number, or a schedule by the number of batches.
        """
        if not self.has_schedule:
            return self.scaled_rate
        options = {"steps_per_epoch": steps_per_epoch, **self.schedule_options}
        if self.schedule in _TO_THE_END:
            left = self.epochs - (self.warmup_epochs if self.warmup_shift else 0)
            options = {"duration": left, **options}
        try:
            schedule = _SCHEDULES[self.schedule](self.scaled_rate, **options)
        except TypeError as error:
            raise ValueError(
                f"schedule_options do not fit schedule={self.schedule!r}: {error}. "
                f"Received: schedule_options={dict(self.schedule_options)}"
            ) from None
        if self.warmup_epochs:
            return WarmUp(schedule, self.warmup_epochs, start=self.warmup_start, shift=self.warmup_shift)
        return schedule

    def make_optimizer(self, model: keras.Model, steps_per_epoch: int) -> keras.Optimizer:
        """The optimizer for what a model trains at present.

        Args:
            model: A built model.
            steps_per_epoch: Batches of an epoch.

        Returns:
            A new optimizer with schedule, decay, clipping, accumulation and average.
        """
        optimizer = self._make_optimizer(self.make_schedule(steps_per_epoch))
        groups = parameter_groups(model, decay_on=self.decay_on, layer_decay=self.layer_decay)
        if groups.is_plain and not self.coupled_decay:
            return optimizer
        return with_groups(optimizer, groups, coupled_decay=self.coupled_decay)

    def check_optimizer(self) -> None:
        """Refuse values that the optimizer refuses. It is made for that, so the devices must have been chosen.

        Raises:
            ValueError: A value of `optimizer_options` is out of its range.
        """
        self._make_optimizer(self.learning_rate)

    def make_head_optimizer(self) -> keras.Optimizer:
        """The optimizer of the first stage, in which only the head is trained."""
        return keras.optimizers.AdamW(
            self.head_learning_rate, weight_decay=self.weight_decay, global_clipnorm=self.clip_norm
        )

    @property
    def _common_options(self) -> dict[str, Any]:
        """What every optimizer is given besides its rate, from hyper-parameters of other names."""
        return {
            "weight_decay": self.weight_decay,
            "global_clipnorm": self.clip_norm,
            "use_ema": self.average > 0,
            "ema_momentum": self.average,
            "gradient_accumulation_steps": self.accumulate if self.accumulate > 1 else None,
        }

    def _make_optimizer(self, rate: Any) -> keras.Optimizer:
        kind, usual = _OPTIMIZERS[self.optimizer]
        try:
            return kind(rate, **self._common_options, **{**usual, **self.optimizer_options})
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"optimizer_options do not fit optimizer={self.optimizer!r}: {error}. "
                f"Received: optimizer_options={dict(self.optimizer_options)}"
            ) from None

    def make_loss(self, counts: Sequence[int] | None = None) -> keras.losses.Loss:
        """The loss of the training, for a model with `classifier_activation`.

        Args:
            counts: Number of training examples of each class, for `logit_adjustment`; None leaves that out.
        """
        if self.loss == "binary_cross_entropy":
            return BinaryCrossEntropy(label_smoothing=self.label_smoothing, target_threshold=self.target_threshold)
        if self.logit_adjustment and counts is not None:
            return LogitAdjustedCrossEntropy(
                prior=[count / sum(counts) for count in counts],
                strength=self.logit_adjustment,
                label_smoothing=self.label_smoothing,
            )
        return CrossEntropy(label_smoothing=self.label_smoothing)

    def class_weights(self, counts: Sequence[int]) -> dict[int, float] | None:
        """The weight of each class in the loss; None where all are the same.

        Args:
            counts: Number of training examples of each class.

        Example:
            >>> Hyperparameters(class_weight=1).class_weights([30, 10])
            {0: 0.6666666666666666, 1: 2.0}
        """
        if not self.class_weight:
            return None
        raw = [max(count, 1) ** -self.class_weight for count in counts]
        mean = sum(count * weight for count, weight in zip(counts, raw, strict=True)) / sum(counts)
        return {label: weight / mean for label, weight in enumerate(raw)}

    def over(self, epochs: int) -> dict[str, Any]:
        """What changes when the training takes another number of epochs: all times, in proportion.

        Args:
            epochs: The new number of epochs.

        Returns:
            Names and values: `epochs`, `warmup_epochs` and the times in `schedule_options`.
        """
        ratio = epochs / self.epochs
        options = dict(self.schedule_options)
        for name in ("milestones", "period", "duration", "hold"):
            if name in options:
                value = options[name]
                options[name] = [item * ratio for item in value] if isinstance(value, list | tuple) else value * ratio
        return {"epochs": epochs, "warmup_epochs": self.warmup_epochs * ratio, "schedule_options": options}


NAMES = tuple(item.name for item in fields(Hyperparameters))
ALIASES = {"lr": "learning_rate", "wd": "weight_decay", "ema": "average", "batch": "batch_size"}


def check_names(names: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters by their full names; an unknown one raises a ValueError with close matches."""
    resolved = {ALIASES.get(name, name): value for name, value in names.items()}
    for name in resolved:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, n=3, cutoff=0.6)
            hint = f"Did you mean {', '.join(close)}?" if close else f"There are: {', '.join(NAMES)}."
            raise ValueError(f"There is no hyper-parameter {name!r}. {hint}")
    return resolved


def _require(name: str, value: Any, is_legal: bool, what: str) -> None:
    if not is_legal:
        raise ValueError(f"{name} must be {what}. Received: {name}={value}")


def _alternatives(names: tuple[str, ...]) -> str:
    quoted = [repr(name) for name in names]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _size(name: str, value: Any) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(item, int) and item > 0 for item in pair):
        raise ValueError(f"{name} must be a height and a width in pixels. Received: {name}={value}")
    return pair
