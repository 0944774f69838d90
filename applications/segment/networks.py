"""Networks that give each pixel a class, over the feature maps of any body.

- FCN: Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015,
  https://arxiv.org/abs/1411.4038: scores of the coarsest map, enlarged by transposed convolutions that begin as
  bilinear interpolation, plus scores of finer maps, which begin at zero.
- U-Net: Ronneberger, Fischer, Brox, 2015, https://arxiv.org/abs/1505.04597, figure 1: a way down, a way up, and each
  level of the first beside that of the second.
- DeepLab v3: Chen, Papandreou, Schroff, Adam, 2017, https://arxiv.org/abs/1706.05587, section 3.3: dilated convolutions
  of several rates side by side on a body with `output_stride`.

All take pictures of any size that their body takes, odd ones too, and give logits (batch, height, width, classes) of
the same size: the picture is filled up with zeros, below and on the right, to a multiple of the coarsest stride, and
what belongs to them is cut off again.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

import zoo


@keras.saving.register_keras_serializable("zoo")
class PadToMultiple(layers.Layer):
    """Zeros below and on the right, until height and width are multiples of a number.

    Args:
        multiple: The number.
    """

    def __init__(self, multiple: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, x: Any) -> Any:
        batch, height, width, channels = ops.shape(x)
        rows, columns = -height % self.multiple, -width % self.multiple
        x = ops.concatenate([x, ops.zeros((batch, rows, width, channels), x.dtype)], axis=1)
        return ops.concatenate([x, ops.zeros((batch, height + rows, columns, channels), x.dtype)], axis=2)

    def compute_output_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        batch, *sides, channels = input_shape
        return (batch, *(side if side is None else side + -side % self.multiple for side in sides), channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable("zoo")
class CropLike(layers.Layer):
    """The upper left part of a map, or its middle, as large as another.

    Args:
        middle: Whether it is the middle.
    """

    def __init__(self, *, middle: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.middle = middle

    def call(self, x: Any, like: Any) -> Any:
        (_, *have, _), (_, *want, _) = ops.shape(x), ops.shape(like)
        top, left = ((a - b) // 2 if self.middle else 0 for a, b in zip(have, want, strict=True))
        return x[:, top : top + want[0], left : left + want[1]]

    def compute_output_shape(self, x_shape: Sequence[Any], like_shape: Sequence[Any]) -> tuple[Any, ...]:
        return (x_shape[0], *like_shape[1:3], x_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "middle": self.middle}


@keras.saving.register_keras_serializable("zoo")
class SpreadLike(layers.Layer):
    """A map of one place, repeated at all places of another."""

    def call(self, x: Any, like: Any) -> Any:
        return x + ops.zeros_like(like[..., :1])

    def compute_output_shape(self, x_shape: Sequence[Any], like_shape: Sequence[Any]) -> tuple[Any, ...]:
        return (x_shape[0], *like_shape[1:3], x_shape[3])


@keras.saving.register_keras_serializable("zoo")
class Bilinear(keras.initializers.Initializer):
    """Weights of a transposed convolution that enlarges each channel by bilinear interpolation.

    Example:
        >>> from applications.segment.networks import Bilinear
        >>> Bilinear()((4, 4, 1, 1))[:, 1, 0, 0].round(4).tolist()
        [0.1875, 0.5625, 0.5625, 0.1875]
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        size, _, outputs, inputs = shape
        factor = (size + 1) // 2
        centre = factor - 1 if size % 2 else factor - 0.5
        line = 1 - np.abs(np.arange(size) - centre) / factor
        kernel = np.zeros(shape)
        for channel in range(min(outputs, inputs)):
            kernel[:, :, channel, channel] = np.outer(line, line)
        return kernel.astype(dtype or "float32")


def _levels(body: keras.Model, levels: Sequence[str]) -> tuple[Any, dict[str, Any], list[int]]:
    """The picture, its maps by level, and the levels' strides."""
    strides = [zoo.receptive_field(body, level).stride for level in levels]
    sides = [stride[0] for stride in strides if stride is not None and stride[0] == stride[1]]
    if len(sides) != len(levels) or not sides or sorted(set(sides), reverse=True) != sides:
        raise ValueError(
            f"levels go from the coarsest to finer feature maps. Received: {list(levels)}, of strides {strides}"
        )
    features = zoo.features(body, levels)
    picture = keras.Input(body.input_shape[1:], name="x")
    return picture, features(PadToMultiple(sides[0], name="pad")(picture)), sides


def fcn(
    body: keras.Model,
    classes: int,
    *,
    levels: Sequence[str] = ("stride32", "stride16", "stride8"),
    hidden_units: int = 0,
    hidden_kernel: int = 7,
    dropout: float = 0.5,
    name: str = "fcn",
) -> keras.Model:
    """A fully convolutional network: FCN-32s with one level, FCN-16s with two, FCN-8s with three.

    Args:
        body: A network of the zoo without its head, made for pictures of any size or of a multiple of the stride.
        classes: Number of classes.
        levels: Endpoints or other layers, from the coarsest to finer ones, each with half the stride of the one before.
            The paper's three are VGG-16's `stage5_pool`, `stage4_pool`, `stage3_pool`: 134,489,759 parameters with 21
            classes and 4,096 hidden units.
        hidden_units: Filters of the two convolutions that stand for VGG's dense layers, 4096 in the paper; 0 for none.
        hidden_kernel: Size of the first of these.
        dropout: Behind each of these.
        name: Name of the model.

    Returns:
        A model of pictures (batch, height, width, channels) with logits (batch, height, width, classes).

    Raises:
        ValueError: The levels are no layers of the body, or not in order, each with half the stride of the one before.

    Example:
        >>> import zoo
        >>> from applications.segment import networks
        >>> body = zoo.create_model("resnet20", include_top=False, input_shape=(None, None, 3))
        >>> networks.fcn(body, 5, levels=("stride4", "stride2")).output_shape
        (None, None, None, 5)
    """
    picture, maps, strides = _levels(body, levels)
    if any(coarse != 2 * fine for coarse, fine in itertools.pairwise(strides)):
        raise ValueError(f"Each level has half the stride of the one before. Received: {list(levels)}")
    x = maps[levels[0]]
    if hidden_units:
        for number, size in enumerate((hidden_kernel, 1), 6):
            x = layers.Conv2D(hidden_units, size, padding="same", activation="relu", name=f"fc{number}")(x)
            x = layers.Dropout(dropout, name=f"drop{number}")(x)
    x = layers.Conv2D(classes, 1, name="score")(x)
    for level in levels[1:]:
        x = _enlarged(x, classes, 2, name=f"up_to_{level}")
        score = layers.Conv2D(classes, 1, kernel_initializer="zeros", name=f"score_{level}")(maps[level])
        x = layers.Add(name=f"sum_{level}")([x, score])
    if strides[-1] > 1:
        x = _enlarged(x, classes, strides[-1], name="up")
    x = layers.Activation("linear", dtype="float32", name="logits")(CropLike(name="crop")(x, picture))
    return keras.Model(picture, x, name=name)


def _enlarged(x: Any, classes: int, factor: int, name: str) -> Any:
    return layers.Conv2DTranspose(
        classes, 2 * factor, strides=factor, padding="same", use_bias=False, kernel_initializer=Bilinear(), name=name
    )(x)


def unet(
    input_shape: tuple[int | None, int | None, int] = (572, 572, 1),
    classes: int = 2,
    *,
    filters: int = 64,
    depth: int = 4,
    padding: str = "valid",
    dropout: float = 0.5,
    name: str = "unet",
) -> keras.Model:
    """U-Net as in its paper, 31,030,658 parameters; with padding="same" the answer is as large as the picture.

    Args:
        input_shape: Of pictures; height and width may be None with padding="same".
        classes: Number of classes.
        filters: Of the first level; each further one has twice as many.
        depth: Poolings.
        padding: "valid" as in the paper, where 572 pixels give 388, or "same".
        dropout: At the end of the way down.
        name: Name of the model.

    Returns:
        A model of pictures with logits (batch, height, width, classes).

    Raises:
        ValueError: padding is neither; with "valid", a size that pooling does not halve, or that leaves nothing.
    """
    if padding not in ("valid", "same"):
        raise ValueError(f'padding must be "valid" or "same". Received: {padding!r}')
    if padding == "valid":
        _check_valid(input_shape, depth)

    def convolutions(x: Any, count: int, level: str) -> Any:
        for number in (1, 2):
            x = layers.Conv2D(
                count,
                3,
                padding=padding,
                activation="relu",
                kernel_initializer="he_normal",
                name=f"{level}_conv{number}",
            )(x)
        return x

    picture = keras.Input(input_shape, name="x")
    x = PadToMultiple(2**depth, name="pad")(picture) if padding == "same" else picture
    kept = []
    for level in range(depth):
        x = convolutions(x, filters << level, f"down{level + 1}")
        kept.append(layers.Dropout(dropout)(x) if level == depth - 1 else x)
        x = layers.MaxPooling2D(name=f"pool{level + 1}")(kept[-1])
    x = layers.Dropout(dropout)(convolutions(x, filters << depth, "bottom"))
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(
            filters << level, 2, strides=2, kernel_initializer="he_normal", name=f"up{level + 1}"
        )(x)
        beside = kept[level] if padding == "same" else CropLike(middle=True, name=f"crop{level + 1}")(kept[level], x)
        x = convolutions(layers.Concatenate(name=f"beside{level + 1}")([beside, x]), filters << level, f"up{level + 1}")
    x = layers.Conv2D(classes, 1, name="score")(x)
    if padding == "same":
        x = CropLike(name="crop")(x, picture)
    return keras.Model(picture, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def _check_valid(input_shape: tuple[int | None, int | None, int], depth: int) -> None:
    for side in input_shape[:2]:
        size = side or 0
        for _ in range(depth):
            size -= 4
            if size <= 0 or size % 2:
                raise ValueError(
                    f'With padding="valid" each level must have an even size before it is pooled, as 572 pixels have. '
                    f"Received: input_shape={input_shape}"
                )
            size //= 2


def unet_over(
    body: keras.Model,
    classes: int,
    *,
    levels: Sequence[str] = ("stride32", "stride16", "stride8", "stride4", "stride2"),
    filters: Sequence[int] = (256, 128, 64, 32, 16),
    name: str = "unet_over",
) -> keras.Model:
    """U-Net's way up, with batch norm, over any body.

    Args:
        body: As for `fcn`.
        classes: Number of classes.
        levels: Endpoints or other layers, from the coarsest to the finest.
        filters: Of each level on the way up, the picture's own at the end if the finest endpoint is coarser than it.
        name: Name of the model.

    Returns:
        As `fcn`.

    Raises:
        ValueError: As `fcn`, or there are fewer filters than enlargements.
    """
    picture, maps, strides = _levels(body, levels)
    steps = [*zip(levels[1:], strides[1:], strict=True), *([(None, 1)] if strides[-1] > 1 else [])]
    if len(filters) < len(steps):
        raise ValueError(f"{len(steps)} enlargements need as many numbers of filters. Received: {list(filters)}")
    x, stride = maps[levels[0]], strides[0]
    for (step, finer), count in zip(steps, filters, strict=False):
        label = step or "picture"
        x = layers.UpSampling2D(stride // finer, interpolation="bilinear", name=f"up_to_{label}")(x)
        if step is not None:
            x = layers.Concatenate(name=f"beside_{label}")([maps[step], x])
        for number in (1, 2):
            x = _conv_bn_relu(x, count, 3, name=f"{label}_{number}")
        stride = finer
    x = CropLike(name="crop")(layers.Conv2D(classes, 1, name="score")(x), picture)
    return keras.Model(picture, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def deeplab_v3(
    body: keras.Model,
    classes: int,
    *,
    level: str = "stride16",
    rates: Sequence[int] = (6, 12, 18),
    filters: int = 256,
    dropout: float = 0.5,
    name: str = "deeplab_v3",
) -> keras.Model:
    """DeepLab v3, with the head of torchvision's weights: one more convolution of 3x3 behind the branches.

    Args:
        body: As for `fcn`, made with `output_stride` 16 or 8.
        classes: Number of classes.
        level: The endpoint that it ends with.
        rates: Dilations of the branches; 6, 12, 18 at stride 16, twice as much at stride 8.
        filters: Of each branch.
        dropout: Behind the branches.
        name: Name of the model.

    Returns:
        As `fcn`.
    """
    picture, maps, (stride,) = _levels(body, [level])
    x = maps[level]
    branches = [_conv_bn_relu(x, filters, 1, name="aspp1")]
    branches += [_conv_bn_relu(x, filters, 3, rate, name=f"aspp{number}") for number, rate in enumerate(rates, 2)]
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="image_pool")(x)
    mean = _conv_bn_relu(mean, filters, 1, name="image")
    branches.append(SpreadLike(name="image_everywhere")(mean, x))
    x = layers.Concatenate(name="branches")(branches)
    x = layers.Dropout(dropout, name="drop")(_conv_bn_relu(x, filters, 1, name="project"))
    x = layers.Conv2D(classes, 1, name="score")(_conv_bn_relu(x, filters, 3, name="head"))
    x = layers.UpSampling2D(stride, interpolation="bilinear", name="up")(x)
    x = CropLike(name="crop")(x, picture)
    return keras.Model(picture, layers.Activation("linear", dtype="float32", name="logits")(x), name=name)


def _conv_bn_relu(x: Any, filters: int, size: int, rate: int = 1, *, name: str) -> Any:
    x = layers.Conv2D(
        filters, size, padding="same", dilation_rate=rate, use_bias=False, kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)  # fmt: skip
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x))
