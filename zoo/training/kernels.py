"""Fewer and faster kernels for what takes most of a step's graph, with the numbers of Keras.

Keras 3 writes batch normalisation and the updates of its optimizers as chains of small operations. In ResNet-50 with
AdamW these are 20,000 of the graph's nodes, and the time to the first step is proportional to their number. TensorFlow
has one kernel for each. In bfloat16 some gradients of depthwise convolutions, and batch norms of odd widths, fall to
kernels of oneDNN that take 2 to 10 times as long as those for float32, which are taken instead. The replacements hold
while a step is traced; model and optimizer are not changed by them.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf


@contextlib.contextmanager
def replaced(target: Any, **methods: Callable[..., Any]) -> Iterator[None]:
    """Give an object other methods for a while, past what its `__setattr__` does."""
    for name, method in methods.items():
        target.__dict__[name] = method
    try:
        yield
    finally:
        for name in methods:
            target.__dict__.pop(name, None)


def batch_norm_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch-norm layers of a model, nested ones included."""
    found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def batch_norm(model: keras.Model, synchronized_moments: Callable[..., Any] | None) -> Iterator[None]:
    """Batch normalisation by TensorFlow's kernel, or over all replicas where the layer asks for it.

    Args:
        model: The model that is about to be traced.
        synchronized_moments: (inputs, axes) -> (mean, variance) over all replicas; None for one replica, where a
            synchronised layer is as any other.
    """
    with contextlib.ExitStack() as stack:
        for layer in batch_norm_layers(model):
            if layer.synchronized and synchronized_moments is not None:
                stack.enter_context(replaced(layer, _moments=_masked(layer, synchronized_moments)))
            elif _can_fuse(layer):
                stack.enter_context(replaced(layer, call=_fused_call(layer)))
        yield


def _masked(layer: keras.layers.BatchNormalization, moments: Callable[..., Any]) -> Callable[..., Any]:
    def call(inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        if mask is not None:
            raise ValueError(f"Synchronised batch normalisation takes no mask. Received one: {layer.name!r}")
        return moments(inputs, layer._reduction_axes)

    return call


def _can_fuse(layer: keras.layers.BatchNormalization) -> bool:
    if type(layer).call is not keras.layers.BatchNormalization.call or not layer.built or layer.renorm:
        return False
    return layer.input_spec.ndim == 4 and layer.axis in (-1, 3)


def _fused_call(layer: keras.layers.BatchNormalization) -> Callable[..., tf.Tensor]:
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    epsilon = max(layer.epsilon, 1.001e-5 if has_gpu else 0.0)  # cuDNN takes no smaller one; the processor takes any

    def call(inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        if mask is not None or inputs.dtype == tf.float64:
            return type(layer).call(layer, inputs, training=training, mask=mask)
        learn = bool(training and layer.trainable)
        channels = inputs.shape[-1]
        if inputs.dtype == tf.bfloat16 and channels % 16 and not has_gpu:
            inputs = tf.cast(inputs, tf.float32)  # oneDNN has no vectors for these
        mean, variance = tf.convert_to_tensor(layer.moving_mean), tf.convert_to_tensor(layer.moving_variance)
        outputs, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones((channels,)),
            offset=tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros((channels,)),
            mean=tf.zeros((0,)) if learn else mean,
            variance=tf.zeros((0,)) if learn else variance,
            epsilon=epsilon,
            is_training=learn,
        )
        if learn:
            # The kernel returns the unbiased variance, for a moving average; Keras keeps the biased one.
            count = tf.cast(tf.size(inputs) // channels, tf.float32)
            batch_variance *= (count - 1) / count
            keep = layer.momentum
            layer.moving_mean.assign(mean * keep + batch_mean * (1 - keep))
            layer.moving_variance.assign(variance * keep + batch_variance * (1 - keep))
        return tf.cast(outputs, layer.compute_dtype)

    return call


@contextlib.contextmanager
def depthwise_gradients(model: keras.Model) -> Iterator[None]:
    """Gradients of depthwise convolutions in bfloat16 that are computed in float32 and rounded, where that is faster.

    On a processor these are the gradients for the inputs of layers that stride, and for kernels higher and wider than
    3. Products of bfloat16 are exact in float32, and both kernels add in it, so that the numbers are those of Keras
    but for the order of sums.

    Args:
        model: The model whose training step is about to be traced.
    """
    with contextlib.ExitStack() as stack:
        for layer in dict.fromkeys(model._flatten_layers()):
            if isinstance(layer, keras.layers.DepthwiseConv2D) and _is_slow_in_bfloat16(layer):
                stack.enter_context(replaced(layer, call=_depthwise_call(layer)))
        yield


def _is_slow_in_bfloat16(layer: keras.layers.DepthwiseConv2D) -> bool:
    if type(layer).call is not keras.layers.DepthwiseConv2D.call or layer.compute_dtype != "bfloat16":
        return False
    if layer.data_format != "channels_last" or layer.dilation_rate != (1, 1):
        return False
    return not tf.config.list_physical_devices("GPU") and (layer.strides != (1, 1) or _has_slow_kernel_gradient(layer))


def _has_slow_kernel_gradient(layer: keras.layers.DepthwiseConv2D) -> bool:
    return min(layer.kernel_size) > 3


def _depthwise_call(layer: keras.layers.DepthwiseConv2D) -> Callable[..., tf.Tensor]:
    strides, padding = (1, *layer.strides, 1), layer.padding.upper()
    for_inputs = tf.float32 if layer.strides != (1, 1) else tf.bfloat16
    for_kernel = tf.float32 if _has_slow_kernel_gradient(layer) else tf.bfloat16

    @tf.custom_gradient
    def convolved(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_inputs = tf.nn.depthwise_conv2d_backprop_input(
                tf.shape(inputs), tf.cast(kernel, for_inputs), tf.cast(upstream, for_inputs), strides, padding
            )
            of_kernel = tf.nn.depthwise_conv2d_backprop_filter(
                tf.cast(inputs, for_kernel), kernel.shape, tf.cast(upstream, for_kernel), strides, padding
            )
            return tf.cast(of_inputs, inputs.dtype), tf.cast(of_kernel, kernel.dtype)

        return tf.nn.depthwise_conv2d(inputs, kernel, strides, padding), gradients

    def call(inputs: tf.Tensor) -> tf.Tensor:
        outputs = convolved(inputs, tf.convert_to_tensor(layer.kernel))
        if layer.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(layer.bias))
        return outputs if layer.activation is None else layer.activation(outputs)

    return call


def fused_update(optimizer: keras.Optimizer) -> Callable[..., None] | None:
    """An `update_step` of one kernel for SGD with momentum, Adam and AdamW; None for others."""
    kind = getattr(type(optimizer), "plain_class", type(optimizer))  # with parameter groups the updates are the same
    if kind is keras.optimizers.SGD and optimizer.momentum:
        return _momentum_update(optimizer)
    if kind in (keras.optimizers.Adam, keras.optimizers.AdamW) and not optimizer.amsgrad:
        return _adam_update(optimizer)
    return None


def _is_dense_float(gradient: Any, variable: Any) -> bool:
    return isinstance(gradient, tf.Tensor) and gradient.dtype == variable.dtype == tf.float32


def _momentum_update(optimizer: keras.optimizers.SGD) -> Callable[..., None]:
    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not _is_dense_float(gradient, variable):
            type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=optimizer.momentums[optimizer._get_variable_index(variable)].value.handle,
            lr=tf.cast(learning_rate, tf.float32),
            grad=gradient,
            momentum=optimizer.momentum,
            use_nesterov=optimizer.nesterov,
        )

    return update_step


def _adam_update(optimizer: keras.optimizers.Adam) -> Callable[..., None]:
    powers: dict[Any, tuple[Any, Any, Any]] = {}

    def powers_here() -> tuple[tf.Tensor, tf.Tensor]:
        """The powers of both betas, computed once on each device."""
        graph = tf.compat.v1.get_default_graph()
        context = tf.distribute.get_replica_context()
        key = id(graph), getattr(context, "_replica_id", 0) if context is not None else 0
        if key not in powers:
            step = tf.cast(optimizer.iterations + 1, tf.float32)
            # The graph is kept with its tensors, so that no other graph gets its id.
            powers[key] = graph, tf.pow(optimizer.beta_1, step), tf.pow(optimizer.beta_2, step)
        return powers[key][1:]

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not _is_dense_float(gradient, variable):
            type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
            return
        index = optimizer._get_variable_index(variable)
        beta_1_power, beta_2_power = powers_here()
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=optimizer._momentums[index].value.handle,
            v=optimizer._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return update_step
