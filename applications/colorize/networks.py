"""Networks from lightness to colours: that of the paper, and the same head over any body.

Zhang, Isola, Efros, "Colorful Image Colorization", 2016, https://arxiv.org/abs/1603.08511, figure 2, in the form of the
authors' published weights: batch normalisation behind each group, blurred neither by pooling nor by dense layers, and
dilated convolutions in groups 5 and 6.

A network takes lightness (batch, height, width, 1) and gives scores of the 313 colours, or a and b themselves, at a
stride of its own; sides are multiples of its coarsest stride. It is no registered model: it has no classes of pictures,
and none of the endpoints that other tasks build on.
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers, ops

import zoo
from applications.colorize import gamut

# Of torch.nn.BatchNorm2d, with which the published weights were trained.
EPSILON, MOMENTUM = 1e-5, 0.9

# Filters, convolutions and dilation of the groups 1 to 7; the last convolution of the first three halves the map.
_GROUPS = ((64, 2, 1), (128, 2, 1), (256, 3, 1), (512, 3, 1), (512, 3, 2), (512, 3, 2), (512, 3, 1))
_HALVED = 3

# What a and b of the regression are divided by: then they are of the size of 1.
AB_SCALE = 110.0

Target = Literal["classes", "l2"]
TARGETS = ("classes", "l2")


@keras.saving.register_keras_serializable("zoo")
class AnnealedMean(layers.Layer):
    """Scores of the 313 colours to a and b, by `applications.colorize.gamut.annealed_mean`.

    The colours are a weight of 1x1x313x2 that is not trained, as in the published network.

    Args:
        temperature: T, above 0.
    """

    def __init__(self, temperature: float = 0.38, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0. Received: temperature={temperature}")
        self.temperature = temperature

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.colours = self.add_weight(
            name="colours", shape=(1, 1, gamut.NUM_BINS, 2), trainable=False,
            initializer=lambda shape, dtype=None: ops.reshape(ops.convert_to_tensor(gamut.bins(), dtype), shape),
        )  # fmt: skip

    def call(self, x: Any) -> Any:
        return ops.conv(ops.softmax(x / self.temperature), self.colours, padding="valid")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}


def zhang2016(target: Target = "classes", *, temperature: float | None = None, width: float = 1.0) -> keras.Model:
    """The paper's network, at a stride of 4.

    With the annealed mean it holds 32,241,003 numbers: 32,235,385 are trained, 4,992 are statistics of the batch
    normalisation, and 626 are the colours.

    Args:
        target: "classes" for scores of the 313 colours, "l2" for a and b.
        temperature: For "classes", appends the annealed mean at that temperature; None for scores.
        width: What numbers of filters are multiplied by, for experiments.

    Returns:
        A model from lightness (batch, height, width, 1), -0.5 to 0.5, to (batch, height / 4, width / 4, 313 or 2).
    """
    x = picture = keras.Input((None, None, 1), name="lightness")
    for number, (filters, count, dilation) in enumerate(_GROUPS, 1):
        for place in range(1, count + 1):
            strides = 2 if number <= _HALVED and place == count else 1
            x = _conv(x, round(width * filters), strides, dilation, name=f"conv{number}_{place}")
        x = layers.BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, name=f"bn{number}")(x)
    scores = _head(x, 2, target, round(width * 256), 3, name="conv8")
    return _finished(picture, scores, temperature, name="zhang2016")


def over_body(
    body: keras.Model,
    target: Target = "classes",
    *,
    levels: Sequence[str] = ("stride8",),
    filters: int = 256,
    enlarged: int = 2,
    temperature: float | None = None,
) -> keras.Model:
    """The paper's head over a body: enlarged by a transposed convolution, rectified, convolved, scored.

    Args:
        body: A functional model without head for pictures of one channel or three; three get lightness three times.
        target: As for `zhang2016`.
        levels: Endpoints or other layers, from the coarsest to finer ones. With one it is the paper's head; each
            further one is concatenated on the way up, for bodies whose coarse maps have lost what is small.
        filters: Of the head's convolutions.
        enlarged: Factor by which the finest level is enlarged once more; 1 for not.
        temperature: As for `zhang2016`.

    Returns:
        As `zhang2016`, in the body's value range, and at the stride of the finest level divided by `enlarged`.

    Raises:
        ValueError: The levels have no strides that fall, their maps are cut by convolutions without padding, or the
            enlargement does not divide the finest stride.
    """
    strides = [zoo.receptive_field(body, level).stride for level in levels]
    sides = [stride[0] for stride in strides if stride is not None]
    if len(sides) != len(levels) or not sides or sorted(set(sides), reverse=True) != sides:
        raise ValueError(
            f"levels go from the coarsest to finer feature maps. Received: {list(levels)}, of strides {strides}"
        )
    if enlarged < 1 or sides[-1] % enlarged:
        raise ValueError(f"enlarged must divide the finest stride, {sides[-1]}. Received: enlarged={enlarged}")
    channels = body.input_shape[-1]
    side = 8 * sides[0]
    for level, stride in zip(levels, sides, strict=True):
        size = zoo.features(body, [level]).compute_output_shape((1, side, side, channels))[level][1:3]
        if size != (side // stride,) * 2:
            raise ValueError(
                f"{level!r} must have a place for each {stride}x{stride} pixels, which maps of convolutions without "
                f"padding have not. Received: {body.name!r}, {size} for pictures of {side}x{side}"
            )
    picture = keras.Input((None, None, 1), name="lightness")
    seen = picture if channels == 1 else layers.Concatenate(name="as_colours")([picture] * channels)
    maps = zoo.features(body, list(levels))(seen)
    x = maps[levels[0]]
    for level, before, now in zip(levels[1:], sides, sides[1:], strict=False):
        x = _up(x, filters, before // now, name=f"up_to_{level}")
        x = _conv(layers.Concatenate(name=f"beside_{level}")([maps[level], x]), filters, name=f"{level}_conv")
    return _finished(
        picture, _head(x, enlarged, target, filters, 2 if enlarged == 1 else 3, name="head"), temperature,
        name=f"{body.name}_{target}",
    )  # fmt: skip


def _head(x: Any, enlarged: int, target: Target, filters: int, count: int, *, name: str) -> Any:
    if target not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}. Received: {target!r}")
    if enlarged > 1:
        x = _up(x, filters, enlarged, name=f"{name}_1")
    for place in range(2, count + 1):
        x = _conv(x, filters, name=f"{name}_{place}")
    if target == "classes":
        return layers.Conv2D(gamut.NUM_BINS, 1, dtype="float32", name="scores")(x)
    return layers.Rescaling(AB_SCALE, dtype="float32", name="ab")(
        layers.Conv2D(2, 1, dtype="float32", name="scaled")(x)
    )


def _finished(picture: Any, scores: Any, temperature: float | None, *, name: str) -> keras.Model:
    if temperature is not None:
        scores = AnnealedMean(temperature, dtype="float32", name="ab")(scores)
    return keras.Model(picture, scores, name=name)


def _up(x: Any, filters: int, factor: int, *, name: str) -> Any:
    x = layers.Conv2DTranspose(
        filters, 2 * factor, strides=factor, padding="same", kernel_initializer="he_normal", name=name
    )(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _conv(x: Any, filters: int, strides: int = 1, dilation: int = 1, *, name: str) -> Any:
    # Padding of one pixel on each side, which "same" of Keras is not where a map is halved.
    x = layers.ZeroPadding2D(dilation, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters, 3, strides=strides, dilation_rate=dilation, kernel_initializer="he_normal", name=name
    )(x)  # fmt: skip
    return layers.ReLU(name=f"{name}_relu")(x)
