"""A registered model with its space as a hyper-model, for any tuner of keras-tuner and plain `model.fit`."""

from typing import Any

import keras
import keras_tuner

import zoo
from tuning import spaces
from zoo import training
from zoo.messages import some
from zoo.runs import Settings

# Batches of an epoch where a tuner builds a network without training it.
_ANY_STEPS = 100

# The settings that reach the network, its optimizer, its loss or `model.fit`; augmentation, stopping rules and whatever
# else `zoo.runs.train` does are not keras-tuner's.
_USED = (
    "accumulate", "average", "batch_size", "clip_norm", "coupled_decay", "decay_on", "initializer", "knobs",
    "label_smoothing", "layer_decay", "learning_rate", "loss", "model", "optimizer", "optimizer_options", "plateau",
    "plateau_factor", "plateau_floor", "rate_batch_size", "schedule", "schedule_options", "seed", "target_threshold",
    "warmup_epochs", "warmup_shift", "warmup_start", "weight_decay", "weights",
)  # fmt: skip


def hypermodel(
    model: str,
    space: str = "all",
    *,
    classes: int | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    **settings: Any,
) -> keras_tuner.HyperModel:
    """A hyper-model of keras-tuner: builds, compiles and fits what the hyper-parameters say.

    Trained by keras-tuner, a trial has not what `tuning.search` gives it: augmentation, mixup and normalisation are the
    caller's, so the spaces here leave them out; a trial that was killed begins anew; a later rung of Hyperband has the
    weights of the earlier one, but a new optimizer and the beginning of the schedule.

    Args:
        model: Registered name.
        space: "model", "training", "all", "free" (for plain_cnn), or "module:function".
        classes: Number of classes; None for the card's.
        input_shape: Shape of the input without the batch, channels last; None for the card's.
        **settings: Settings of all trials that the space leaves alone, such as label_smoothing=0.1 or
            weights="torchvision"; those of the network, its optimizer and its loss, and batch_size and plateau.

    Returns:
        The hyper-model. Labels are whole numbers or one-hot; the metric is "accuracy".

    Raises:
        ValueError: There is no such model or space, or a setting, or what the space gives, has no effect here.

    Example:
        >>> import keras_tuner, tuning
        >>> network = tuning.hypermodel("mobilenet", "model", classes=10, input_shape=(64, 64, 3))
        >>> hp = keras_tuner.HyperParameters()
        >>> network.build(hp).output_shape, hp.values["alpha"]
        ((None, 10), 1.0)
    """
    found = spaces.space(model, space, preprocessing=False)
    Settings(model=model, **settings)
    _refuse_unused(settings, "Leave it out")
    made = _HyperModel(model, found, classes, input_shape, settings)
    made._read(keras_tuner.HyperParameters())  # raises where the space gives what is no setting
    return made


class _HyperModel(keras_tuner.HyperModel):
    def __init__(
        self,
        model: str,
        space: spaces.Space,
        classes: int | None,
        input_shape: tuple[int | None, ...] | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(name=model)
        self._model, self._space, self._settings = model, space, settings
        self._classes, self._input_shape = classes, input_shape

    def build(self, hp: Any) -> keras.Model:
        settings = self._read(hp)
        model = zoo.create_model(
            settings.model, weights=settings.weights, classes=self._classes, input_shape=self._input_shape,
            classifier_activation=settings.classifier_activation, **settings.knobs,
        )  # fmt: skip
        training.initialise(model, settings.initializer, seed=settings.seed)
        self._compile(model, settings, _ANY_STEPS)
        return model

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        settings = self._read(hp, epochs=kwargs.get("epochs", 1))
        inputs: Any = args[0] if args else kwargs.get("x")
        if hasattr(inputs, "shape"):
            kwargs.setdefault("batch_size", settings.batch_size)
            steps = -(-len(inputs) // kwargs["batch_size"])
        else:
            steps = kwargs.get("steps_per_epoch") or len(inputs)
        self._compile(model, settings, steps)
        if settings.plateau and not settings.has_schedule and _validates(kwargs):
            lower = keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss",
                factor=settings.plateau_factor,
                patience=settings.plateau,
                min_lr=settings.plateau_floor,
            )
            kwargs["callbacks"] = [*kwargs.get("callbacks", ()), lower]
        return model.fit(*args, **kwargs)

    def _read(self, hp: Any, epochs: int | None = None) -> Settings:
        found = dict(self._space(hp))
        _refuse_unused(found, "Leave it out of the space")
        knobs = {**self._settings.get("knobs", {}), **found.pop("knobs", {})}
        values = {"model": self._model, **self._settings, **found, "knobs": knobs}
        if epochs is not None:
            # The warm-up must end before the training does.
            values |= {"epochs": epochs, "warmup_epochs": min(values.get("warmup_epochs", 0.0), 0.5 * epochs)}
        return Settings(**values)

    @staticmethod
    def _compile(model: keras.Model, settings: Settings, steps: int) -> None:
        model.compile(
            optimizer=settings.make_optimizer(model, steps), loss=settings.make_loss(), metrics=[training.Accuracy()]
        )


def _refuse_unused(settings: dict[str, Any], what_to_do: str) -> None:
    if unused := [name for name in settings if name not in _USED]:
        raise ValueError(
            f"A hyper-model is built, compiled and fitted; its settings must be {', '.join(_USED)}. "
            f"Received: {some(unused)}. {what_to_do}, or use tuning.search."
        )


def _validates(kwargs: dict[str, Any]) -> bool:
    return kwargs.get("validation_data") is not None or bool(kwargs.get("validation_split"))
