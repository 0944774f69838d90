"""Which parameters are decayed, and how fast each learns.

    groups = parameter_groups(model, decay_on="kernels", layer_decay=0.75)
    optimizer = with_groups(keras.optimizers.AdamW(1e-4, weight_decay=0.05), groups)

Keras decays all that an optimizer trains, unless names are excluded, and has one learning rate. Here each parameter
has a factor for its decay and one for its rate. The optimizer stays the Keras optimizer that it was: clipping sees the
whole gradient, a schedule or a callback changes the one learning rate, averages and accumulation work as before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras
import tensorflow as tf

DecayOn = Literal["all", "not_norms", "kernels"]

_NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.UnitNormalization,
    keras.layers.SpectralNormalization,
)

# What of a layer's name says in which block it is; the layers of a block learn at one rate.
_BLOCK = re.compile(r"stage\d+_(?:block|layer)\d+|block\d+_\d+(?=_)|[^_]+")


@dataclass(frozen=True)
class ParameterGroups:
    """A factor of the weight decay and one of the learning rate for each parameter.

    Attributes:
        decay: Factors of the weight decay, in the order of `model.trainable_variables`.
        rate: Factors of the learning rate, in the same order.
    """

    decay: tuple[float, ...]
    rate: tuple[float, ...]

    @property
    def is_plain(self) -> bool:
        """Whether all factors are 1, so that nothing differs from the optimizer alone."""
        return all(factor == 1 for factor in (*self.decay, *self.rate))


def parameter_groups(
    model: keras.Model, *, decay_on: DecayOn = "all", layer_decay: float = 1.0
) -> ParameterGroups:  # fmt: skip
    """The factors of a model's trainable parameters.

    Args:
        model: A built model.
        decay_on: "all" parameters are decayed; "not_norms": all but those of normalisation layers; "kernels": those
            with more than one axis, so neither norms nor biases (timm's rule).
        layer_decay: Each block learns at this times the rate of the next one, the head at the full rate; above 0, and
            1 for the same rate everywhere. Blocks are told by the zoo's names (`stage3_block2_conv1`,
            `inception4b_1x1_conv`), in the order of the graph; in a model of another origin each first part of a name,
            up to "_", is a block.

    Returns:
        The factors.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> import zoo
        >>> model = zoo.create_model("resnet18")
        >>> groups = parameter_groups(model, decay_on="kernels", layer_decay=0.75)
        >>> sum(groups.decay), len(groups.decay)
        (21.0, 62)
        >>> round(groups.rate[0], 4), groups.rate[-1]  # the stem is nine blocks before the head
        (0.0751, 1.0)
    """
    if decay_on not in get_args(DecayOn):
        raise ValueError(f'decay_on must be "all", "not_norms" or "kernels". Received: decay_on={decay_on!r}')
    if not layer_decay > 0:
        raise ValueError(f"layer_decay must be above 0. Received: layer_decay={layer_decay}")
    layers = [layer for layer in dict.fromkeys(model._flatten_layers()) if not layer._layers]
    block_of: dict[int, int] = {}
    blocks: dict[str, int] = {}
    norms: set[int] = set()
    for layer in layers:
        if not layer.trainable_variables:
            continue
        name = _BLOCK.match(layer.name)
        block = blocks.setdefault(name.group() if name else layer.name, len(blocks))
        for variable in layer.trainable_variables:
            block_of[id(variable)] = block
            if isinstance(layer, _NORMS):
                norms.add(id(variable))
    variables = model.trainable_variables
    last = len(blocks) - 1

    def is_decayed(variable: keras.Variable) -> bool:
        if decay_on == "kernels":
            return len(variable.shape) > 1
        return decay_on == "all" or id(variable) not in norms

    return ParameterGroups(
        decay=tuple(float(is_decayed(variable)) for variable in variables),
        rate=tuple(float(layer_decay) ** (last - block_of.get(id(variable), last)) for variable in variables),
    )


def with_groups(
    optimizer: keras.Optimizer, groups: ParameterGroups, *, coupled_decay: bool = False
) -> keras.Optimizer:  # fmt: skip
    """An optimizer with the same settings that heeds the factors.

    Works with every Keras optimizer that updates one parameter at a time, so all of them but those that wrap others.

    Args:
        optimizer: A Keras optimizer that has not been used yet.
        groups: The factors for the variables that it will train, in their order.
        coupled_decay: Whether the decay is a part of the gradient, `gradient + decay * weight`, which momentum and
            adaptive rates then act on: the L2 penalty of the older papers, of Caffe and of PyTorch's SGD. Otherwise it
            is Keras's, beside the update: `weight -= rate * decay * weight`. With momentum 0.9 the same number decays
            ten times as fast when it is coupled.

    Returns:
        A new optimizer of a class that derives from the class given.

    Raises:
        ValueError: The optimizer is used already.

    Example:
        >>> import keras
        >>> groups = ParameterGroups(decay=(1.0, 0.0), rate=(0.5, 1.0))
        >>> optimizer = with_groups(keras.optimizers.SGD(0.1, weight_decay=0.1), groups)
        >>> kernel, bias = keras.Variable([1.0]), keras.Variable([1.0])
        >>> optimizer.apply([[0.0], [0.0]], [kernel, bias])
        >>> [round(float(variable.numpy()[0]), 4) for variable in (kernel, bias)]  # 1 - 0.1 * 0.5 * 0.1, and 1
        [0.995, 1.0]
    """
    if optimizer.built:
        raise ValueError(f"The optimizer {optimizer.name!r} has been used. Give a new one.")
    config = optimizer.get_config()
    if isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        config["learning_rate"] = optimizer._learning_rate  # itself: its class need not be one that Keras can find
    factors = {"decay_factors": groups.decay, "rate_factors": groups.rate, "coupled_decay": coupled_decay}
    return grouped_class(type(optimizer)).from_config({**config, **factors})


class _Grouped:
    """Mixed into an optimizer's class by `grouped_class`."""

    def __init__(
        self,
        *args: Any,
        decay_factors: Sequence[float] = (),
        rate_factors: Sequence[float] = (),
        coupled_decay: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.decay_factors = tuple(map(float, decay_factors))
        self.rate_factors = tuple(map(float, rate_factors))
        self.coupled_decay = bool(coupled_decay)

    def build(self: Any, variables: Sequence[Any]) -> None:
        if not self.built and not len(variables) == len(self.decay_factors) == len(self.rate_factors):
            raise ValueError(
                f"The factors are of {len(self.decay_factors)} parameters, the optimizer is to train {len(variables)}. "
                "Make them by parameter_groups of this model, after freezing."
            )
        super().build(variables)  # type: ignore[misc]

    def decay_of(self: Any, variable: Any) -> float:
        """The weight decay of a parameter."""
        return (self.weight_decay or 0.0) * self.decay_factors[self._get_variable_index(variable)]

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Not here: each parameter is decayed where it is updated, at its own rate."""

    def _distributed_tf_update_step(
        self: Any, distribution: tf.distribute.Strategy, grads_and_vars: Any, learning_rate: Any
    ) -> None:
        """The place where gradients are whole, also after a reduction over replicas, and variables single."""

        def update(variable: Any, gradient: Any, learning_rate: Any) -> Any:
            decay = 0.0 if getattr(self, "decays_itself", False) else self.decay_of(variable)
            rate = tf.cast(learning_rate, variable.dtype) * self.rate_factors[self._get_variable_index(variable)]
            if decay and self.coupled_decay:
                gradient = tf.convert_to_tensor(gradient) + decay * variable
            elif decay:
                variable.assign_sub(variable * (decay * rate))
            return self.update_step(gradient, variable, rate)

        for gradient, variable in grads_and_vars:
            distribution.extended.update(variable, update, args=(gradient, learning_rate), group=False)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),  # type: ignore[misc]
            "decay_factors": self.decay_factors,
            "rate_factors": self.rate_factors,
            "coupled_decay": self.coupled_decay,
        }


_classes: dict[type, Any] = {}


def grouped_class(base: type) -> Any:
    """The class of an optimizer of class `base` with parameter groups; Keras can save and load it.

    Args:
        base: Class of an optimizer.

    Returns:
        A class derived from it, `Grouped…`.
    """
    if base not in _classes:
        # `plain_class` tells the trainer whose kernels of a single operation the updates are (zoo.training.kernels).
        kind = type(f"Grouped{base.__name__}", (_Grouped, base), {"__doc__": base.__doc__, "plain_class": base})
        _classes[base] = keras.saving.register_keras_serializable(package="zoo")(kind)
    return _classes[base]


# So that a saved model with one of these can be loaded.
for _base in (
    keras.optimizers.SGD,
    keras.optimizers.RMSprop,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.Adagrad,
    keras.optimizers.Adadelta,
    keras.optimizers.Nadam,
    keras.optimizers.Lion,
    keras.optimizers.Lamb,
):
    grouped_class(_base)
