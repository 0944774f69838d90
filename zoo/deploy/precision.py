"""A network in numbers of 16 bits, for processors that multiply them faster (AMX, AVX512-BF16)."""

from typing import Any

import keras
from keras import layers

from zoo.deploy.folding import LINEAR


def in_bfloat16(model: keras.Model) -> keras.Model:
    """The same network computing in bfloat16, for inference; inputs and outputs stay float32.

    Convolutions and dense layers keep their weights in bfloat16 too, which else would be rounded at each call. The
    output layers and softmax keep full precision, as does what takes pixels: bfloat16 has 8 bits for all digits.

    Args:
        model: A functional model. It stays as it is; the result has weights of its own.

    Example:
        >>> import zoo
        >>> from zoo.deploy.precision import in_bfloat16
        >>> model = in_bfloat16(zoo.create_model("lenet5"))
        >>> model.get_layer("c1").compute_dtype, model.output.dtype
        ('bfloat16', 'float32')
    """
    outputs = {id(tensor._keras_history[0]) for tensor in keras.tree.flatten(model.output)}

    def cloned(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return in_bfloat16(layer)
        config = layer.get_config()
        if id(layer) not in outputs and not _needs_digits(layer):
            config["dtype"] = "bfloat16" if type(layer) in LINEAR else "mixed_bfloat16"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=cloned)
    for new, old in zip(copy.variables, model.variables, strict=True):
        new.assign(old)
    return copy


def _needs_digits(layer: Any) -> bool:
    return (
        isinstance(layer, (layers.InputLayer, layers.Softmax, layers.Rescaling, layers.Normalization))
        or getattr(layer, "activation", None) is keras.activations.softmax
        or hasattr(layer, "preprocessing")
    )
