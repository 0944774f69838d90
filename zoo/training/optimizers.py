"""Optimizers that recipes name and Keras lacks: LAMB, LARS, NovoGrad as their papers have them, SGD as PyTorch has it.

Keras's `Lamb` applies weight decay beside the update, not inside of what the ratio of norms scales, so that a published
decay means another one; and it scales the steps of biases and norms too.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from zoo.training.parameter_groups import grouped_class


@keras.saving.register_keras_serializable(package="zoo")
class TorchSGD(keras.Optimizer):
    """SGD with momentum, the learning rate outside of the momentum, as in PyTorch.

    The buffer sums gradients, `buffer = momentum * buffer + gradient`, and the step is `rate * buffer`. In Keras, in
    Caffe and in most papers it sums steps, `buffer = momentum * buffer - rate * gradient`. Both are the same while the
    rate stays; when it falls, here the whole step falls at once, there what is in the buffer first runs out.

    Args:
        learning_rate: Learning rate or schedule.
        momentum: 0 to below 1.
        nesterov: Whether the step looks ahead.
        **options: Of every Keras optimizer.
    """

    def __init__(
        self, learning_rate: Any = 0.01, *, momentum: float = 0.9, nesterov: bool = False, **options: Any
    ) -> None:
        super().__init__(learning_rate, **{"name": "torch_sgd", **options})
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1. Received: momentum={momentum}")
        self.momentum, self.nesterov = float(momentum), bool(nesterov)

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._buffers = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        buffer = self._buffers[self._get_variable_index(variable)]
        if isinstance(gradient, tf.Tensor) and gradient.dtype == variable.dtype and hasattr(variable, "handle"):
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle,
                accum=buffer.value.handle,
                lr=tf.cast(learning_rate, variable.dtype),
                grad=gradient,
                momentum=tf.cast(self.momentum, variable.dtype),
                use_nesterov=self.nesterov,
            )
            return
        gradient = ops.cast(ops.convert_to_tensor(gradient), variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign(buffer, self.momentum * buffer + gradient)
        self.assign_sub(variable, rate * (gradient + self.momentum * buffer if self.nesterov else buffer))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class _LayerWise(keras.Optimizer):
    """What LAMB and LARS share: the decay is a part of the update, and each parameter's step follows its norm."""

    # What `with_groups` asks for: it leaves the decay to the update here.
    decays_itself = True

    def decay_of(self, variable: Any) -> float:
        """The weight decay of a parameter; `with_groups` gives each its own."""
        return self.weight_decay or 0.0

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Not beside the update."""


@keras.saving.register_keras_serializable(package="zoo")
class LAMB(_LayerWise):
    """LAMB (You et al. 2019, arXiv:1904.00962): Adam's step plus the decay, scaled to each parameter's norm.

    Parameters without decay take Adam's step as it is, as in timm, with which the published recipes were run.

    Args:
        learning_rate: Learning rate or schedule.
        beta_1: Decay of the mean of the gradients.
        beta_2: Decay of the mean of their squares.
        epsilon: Added to the denominator.
        weight_decay: Weight decay inside of the scaled step.
        **options: Of every Keras optimizer; timm clips by `global_clipnorm=1.0`.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float | None = 0.01,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **{"name": "lamb", **options})
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._means, self._squares = self.add_optimizer_variables(variables, ["mean", "square"])

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        mean, square = self._means[index], self._squares[index]
        gradient = ops.cast(ops.convert_to_tensor(gradient), variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        corrected = mean / (1 - ops.power(ops.cast(self.beta_1, variable.dtype), step))
        root = ops.sqrt(square / (1 - ops.power(ops.cast(self.beta_2, variable.dtype), step)))
        update = corrected / (root + self.epsilon)
        if decay := self.decay_of(variable):
            update = update + decay * variable
            update = update * _ratio_of_norms(variable, update)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * update)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="zoo")
class LARS(_LayerWise, TorchSGD):
    """LARS (You et al. 2017, arXiv:1708.03888): SGD whose step is scaled to each parameter's norm.

    Parameters without decay take SGD's step as it is, as in timm. The learning rate is outside of the momentum.

    Args:
        learning_rate: Learning rate or schedule.
        momentum: 0 to below 1.
        nesterov: Whether the step looks ahead.
        trust: Part of a parameter's norm that a step of rate 1 has.
        epsilon: Added to the denominator.
        weight_decay: Weight decay inside of the scaled step.
        **options: Of every Keras optimizer.
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        trust: float = 1e-3,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        options = {"name": "lars", "weight_decay": weight_decay, **options}
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **options)
        self.trust, self.epsilon = float(trust), float(epsilon)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        buffer = self._buffers[self._get_variable_index(variable)]
        gradient = ops.cast(ops.convert_to_tensor(gradient), variable.dtype)
        if decay := self.decay_of(variable):
            size, slope = tf.norm(variable), tf.norm(gradient)
            ratio = self.trust * size / (slope + decay * size + self.epsilon)
            gradient = (gradient + decay * variable) * ops.where((size > 0) & (slope > 0), ratio, 1.0)
        self.assign(buffer, self.momentum * buffer + gradient)
        update = gradient + self.momentum * buffer if self.nesterov else buffer
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * update)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "trust": self.trust, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="zoo")
class NovoGrad(_LayerWise):
    """NovoGrad (Ginsburg et al. 2019, arXiv:1905.11286): momentum on gradients over their norm, one for each parameter.

    The first squared norm is taken as it is; the learning rate is outside of the momentum. Keras has none, and
    MatchboxNet was trained with it.

    Args:
        learning_rate: Learning rate or schedule.
        beta_1: Decay of the momentum, 0 to below 1.
        beta_2: Decay of the squared norms, 0 to below 1.
        epsilon: Added to the denominator.
        weight_decay: Weight decay, added to the gradient after its division by the norm.
        **options: Of every Keras optimizer.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        *,
        beta_1: float = 0.95,
        beta_2: float = 0.98,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **{"name": "novograd", **options})
        self.beta_1, self.beta_2, self.epsilon = float(beta_1), float(beta_2), float(epsilon)

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._moments = self.add_optimizer_variables(variables, "moment")
        self._squares = [
            self.add_variable(shape=(), dtype=variable.dtype, name=f"square_{number}")
            for number, variable in enumerate(variables)
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        moment, square = self._moments[index], self._squares[index]
        gradient = ops.cast(ops.convert_to_tensor(gradient), variable.dtype)
        norm = ops.sum(ops.square(gradient))
        first = ops.equal(self.iterations, 0)
        self.assign(square, ops.where(first, norm, self.beta_2 * square + (1 - self.beta_2) * norm))
        gradient = gradient / (ops.sqrt(square) + self.epsilon)
        if decay := self.decay_of(variable):
            gradient = gradient + decay * variable
        self.assign(moment, self.beta_1 * moment + gradient)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * moment)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


def _ratio_of_norms(variable: Any, update: Any) -> Any:
    """The norm of a parameter over that of its update; 1 where either is 0."""
    size, slope = tf.norm(variable), tf.norm(update)
    is_usable = (size > 0) & (slope > 0)
    return ops.where(is_usable, size / ops.where(is_usable, slope, 1.0), 1.0)


for _base in (TorchSGD, LAMB, LARS, NovoGrad):
    grouped_class(_base)
