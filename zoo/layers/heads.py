"""Named endpoints and classifier heads."""

import keras
from keras import layers


def endpoint(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Give a feature map a name that survives saving, loading and cloning.

    An Identity layer returns its input as it is: it costs nothing in the compiled graph, and
    `model.get_layer("stride8").output` is the feature map.
    """
    return layers.Identity(name=name)(x)


def pooled_head(x: keras.KerasTensor, classes: int, *, dropout: float = 0.0) -> keras.KerasTensor:
    """Global average pooling, dropout, dense.

    Args:
        x: Feature map (batch, height, width, channels) of any size.
        classes: Number of classes.
        dropout: Fraction of the pooled features that is dropped in training, 0 to 1.

    Returns:
        Logits (batch, classes).
    """
    x = global_pooling(x, "avg")
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    return logits(x, classes)


def global_pooling(x: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """The mean ("avg") or maximum ("max") over all positions, as the endpoint `pooled`, in full precision."""
    kind = {"avg": "Average", "max": "Max"}[pooling]
    layer = getattr(layers, f"Global{kind}Pooling{len(x.shape) - 2}D")
    return layer(data_format="channels_last", dtype=full_precision(), name="pooled")(x)


def flatten(x: keras.KerasTensor) -> keras.KerasTensor:
    """All positions and channels in one vector, for a dense layer whose size depends on the input's.

    Raises:
        ValueError: The size of the feature map is not known.
    """
    if None in x.shape[1:]:
        raise ValueError(
            "This network's dense head needs a fixed input size. "
            f"Received a feature map of shape {tuple(x.shape)}. Give input_shape in full, or include_top=False."
        )
    return layers.Flatten(data_format="channels_last", name="flatten")(x)


def logits(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """The last dense layer, as the endpoint `logits`, in full precision under mixed precision too."""
    return layers.Dense(classes, dtype=full_precision(), name="logits")(x)


def full_precision() -> str:
    """The dtype that variables have: float32 under mixed_float16 and mixed_bfloat16."""
    return keras.config.dtype_policy().variable_dtype
