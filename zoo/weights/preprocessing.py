"""Preprocessing that belongs to weights: what was done to a picture before the network saw it in training.

The rules are those of torchvision (`transforms/_presets.py`) and timm (`data/transforms_factory.py`), whose weights
`zoo` converts, and of keras.applications' three modes. A network that gets another resizing, another crop or another
scale answers worse, by up to several percent, and nothing says so.
"""

import functools
import importlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import keras
import numpy as np

from zoo.files import write_json

if TYPE_CHECKING:
    import tensorflow as tf

CropMode = Literal["center", "squash", "border"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
ChannelOrder = Literal["RGB", "BGR"]
Size = int | tuple[int, int]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The means of keras.applications' mode "caffe", blue first.
CAFFE_MEAN = (103.939, 116.779, 123.68)


class PreprocessingRecord(Protocol):
    """What a record of published weights has to say for its preprocessing; what else it may say is in `OPTIONAL`."""

    @property
    def resize_size(self) -> Size | None:
        """What the picture is resized to."""

    @property
    def eval_size(self) -> Size:
        """What is cut out: the size at which the published accuracy was measured."""

    @property
    def interpolation(self) -> str:
        """The filter of the resizing."""

    @property
    def mean(self) -> tuple[float, ...]:
        """What is subtracted."""

    @property
    def std(self) -> tuple[float, ...]:
        """What that is divided by."""


# Further fields of a Preprocessing that a record may have; None and a missing one stand for the default.
OPTIONAL = ("crop_mode", "antialias", "rescale", "channel_order", "input_transform")


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a picture of any size to what a network expects: resize, crop, scale, normalise.

    Called on pictures, it gives a float32 tensor. It keeps the number of axes: one picture gives (height, width,
    channels), a batch or a list of pictures (batch, height, width, channels). What it is given, it never changes.

    Pictures are files (a path), PIL pictures, or arrays and tensors with their channels last, uint8 or
    floating-point; a list may hold any of them, of different sizes. Files are read upright, without transparency;
    grey pictures become colour ones. uint8 is resized as Pillow does it, to the bit; floating-point pictures are not
    rounded, as in torchvision's transforms of tensors.

    In tf.data, `dataset.map(preprocessing)` does the same to elements `picture`, `(picture, label)` and so on; string
    tensors are taken for paths.

    Args:
        resize_size: What the picture is resized to; None keeps its size. See `crop_mode`.
        crop_size: Height and width of the result, one number for both; None for all of the resized picture.
        crop_mode: "center": the short side becomes `resize_size`, the long one int(resize_size * long / short), and
            the middle is cut out. With a height and a width that differ, timm's rule: the picture covers both.
            "squash": the picture gets exactly this height and width, whatever its form. "border": it fits into them,
            and what is missing is filled with the mean.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos".
        antialias: Whether the filter is stretched where the picture shrinks, as Pillow always does.
        rescale: Factor on pixels of 0…255.
        mean: What is subtracted then, a number for each channel; three for colour, one for grey pictures.
        std: What that is divided by.
        channel_order: Order of the channels of mean, std and the result; "BGR" turns them round first. Pictures that
            are given are RGB always.
        input_transform: (scale, offset) of a last step x * scale + offset, each with a number for each channel; None
            for none. This is what torchvision calls `transform_input`.

    Raises:
        ValueError: A field has an illegal value.

    Example:
        >>> import numpy as np
        >>> from zoo.weights import Preprocessing
        >>> preprocessing = Preprocessing(resize_size=256, crop_size=224)
        >>> preprocessing(np.zeros((300, 400, 3), "uint8")).shape
        TensorShape([224, 224, 3])
    """

    resize_size: Size | None = 256
    crop_size: Size | None = 224
    crop_mode: CropMode = "center"
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    rescale: float = 1 / 255
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    channel_order: ChannelOrder = "RGB"
    input_transform: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __post_init__(self) -> None:
        for field in ("resize_size", "crop_size"):
            object.__setattr__(self, field, _size(field, getattr(self, field)))
        for field, legal in (
            ("crop_mode", CropMode),
            ("interpolation", Interpolation),
            ("channel_order", ChannelOrder),
            ("antialias", Literal[True, False]),
        ):
            if getattr(self, field) not in get_args(legal):
                choices = ", ".join(map(repr, get_args(legal)))
                raise ValueError(f"{field} must be one of {choices}. Received: {field}={getattr(self, field)!r}")
        object.__setattr__(self, "rescale", _numbers("rescale", [self.rescale], 1)[0])
        object.__setattr__(self, "mean", _numbers("mean", self.mean, None))
        object.__setattr__(self, "std", _numbers("std", self.std, len(self.mean)))
        if len(self.mean) not in (1, 3):
            raise ValueError(f"mean must have 1 number (grey) or 3 (colour). Received: mean={self.mean}")
        if min(self.std) <= 0 or self.rescale <= 0:
            raise ValueError(f"rescale and std must be above 0. Received: rescale={self.rescale}, std={self.std}")
        if self.input_transform is not None:
            if not isinstance(self.input_transform, Sequence) or len(self.input_transform) != 2:
                raise ValueError(f"input_transform must be None or (scale, offset). Received: {self.input_transform!r}")
            pair = tuple(_numbers("input_transform", item, len(self.mean)) for item in self.input_transform)
            object.__setattr__(self, "input_transform", pair)

    @classmethod
    def from_crop_pct(cls, eval_size: Size, crop_pct: float = 0.875, **rest: Any) -> "Preprocessing":
        """By timm's rule: resized to floor(eval_size / crop_pct), cropped to `eval_size`.

        Args:
            eval_size: Height and width of the result.
            crop_pct: Part of the resized picture that is kept along each side, above 0, to 1.
            **rest: The other fields.

        Raises:
            ValueError: `crop_pct` or a field has an illegal value.

        Example:
            >>> from zoo.weights import Preprocessing
            >>> Preprocessing.from_crop_pct(288, 0.95, interpolation="bicubic").resize_size
            303
        """
        if not 0 < crop_pct <= 1:
            raise ValueError(f"crop_pct must be above 0 and at most 1. Received: crop_pct={crop_pct!r}")
        sizes = (eval_size,) if isinstance(eval_size, int) else tuple(eval_size)
        resized = tuple(math.floor(size / crop_pct) for size in sizes)
        return cls(resize_size=resized[0] if len(resized) == 1 else resized, crop_size=eval_size, **rest)  # type: ignore[arg-type]

    @classmethod
    def from_record(cls, record: PreprocessingRecord) -> "Preprocessing":
        """What a record of published weights says.

        Raises:
            ValueError: A field has an illegal value.
        """
        found = {field: getattr(record, field, None) for field in OPTIONAL}
        return cls(
            resize_size=record.resize_size,
            crop_size=record.eval_size,
            interpolation=record.interpolation,  # type: ignore[arg-type]
            mean=record.mean,
            std=record.std,
            **{field: value for field, value in found.items() if value is not None},
        )

    @classmethod
    def from_keras_mode(
        cls, mode: Literal["caffe", "tf", "torch"], *, resize_size: Size | None = None, crop_size: Size | None = None,
        **rest: Any,
    ) -> "Preprocessing":  # fmt: skip
        """The scale of `keras.applications.*.preprocess_input`, which resizes nothing.

        Args:
            mode: "caffe": BGR, less the mean, not scaled. "tf": -1 to 1. "torch": 0 to 1, then ImageNet's mean and
                standard deviation.
            resize_size: None as in keras.applications, or what pictures are resized to.
            crop_size: None, or what is cut out.
            **rest: The other fields.

        Raises:
            ValueError: There is no such mode, or a field has an illegal value.

        Example:
            >>> from zoo.weights import Preprocessing
            >>> Preprocessing.from_keras_mode("tf").value_range
            (-1.0, 1.0)
        """
        modes: dict[str, dict[str, Any]] = {
            "caffe": {"rescale": 1.0, "mean": CAFFE_MEAN, "std": (1.0,) * 3, "channel_order": "BGR"},
            "tf": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
            "torch": {},
        }
        if mode not in modes:
            raise ValueError(f"mode must be one of {', '.join(map(repr, modes))}. Received: mode={mode!r}")
        return cls(resize_size=resize_size, crop_size=crop_size, **modes[mode], **rest)

    @classmethod
    def from_value_range(cls, value_range: tuple[float, float], channels: int = 3, **rest: Any) -> "Preprocessing":
        """Pixels of 0…255 scaled to a range, in all channels alike; by default nothing is resized.

        Args:
            value_range: What black and white become.
            channels: 3 for colour, 1 for grey pictures.
            **rest: The other fields.

        Raises:
            ValueError: The range does not rise, or a field has an illegal value.

        Example:
            >>> from zoo.weights import Preprocessing
            >>> Preprocessing.from_value_range((-1.0, 1.0)) == Preprocessing.from_keras_mode("tf")
            True
        """
        low, high = value_range
        if not low < high:
            raise ValueError(f"value_range must rise. Received: value_range={value_range!r}")
        mean, std = (-low / (high - low),) * channels, (1 / (high - low),) * channels
        return cls(**{"resize_size": None, "crop_size": None, **rest}, mean=mean, std=std)

    @property
    def channels(self) -> int:
        """Channels of the result, 3 or 1."""
        return len(self.mean)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the result; None where they depend on the picture."""
        if self.crop_size is not None:
            return _pair(self.crop_size)
        return _pair(self.resize_size) if self.crop_mode == "squash" and self.resize_size is not None else None

    @property
    def value_range(self) -> tuple[float, float]:
        """The lowest and highest value that the result can have in any channel."""
        scale, offset = self._linear()
        corners = np.concatenate([offset, 255 * scale + offset])
        return round(float(corners.min()), 6), round(float(corners.max()), 6)

    def grey(self) -> "Preprocessing":
        """The same for pictures of one channel, with the means of mean, std and input transform over the channels.

        This is what belongs to a first convolution whose colour channels were summed (`zoo.weights.input_channels`).
        """
        transform = self.input_transform and (_mean(self.input_transform[0]), _mean(self.input_transform[1]))
        return replace(self, mean=_mean(self.mean), std=_mean(self.std), channel_order="RGB", input_transform=transform)

    def __call__(self, pictures: Any, *others: Any, value_range: tuple[float, float] = (0.0, 255.0)) -> Any:
        """Preprocess pictures.

        Args:
            pictures: One picture, a batch, or a list of pictures; see the class.
            *others: Labels and weights, for `dataset.map`; returned as they are.
            value_range: What black and white are in floating-point pictures; has no effect on uint8.

        Returns:
            float32 tensor ([batch,] height, width, channels); with `others` a tuple of it and them.

        Raises:
            ValueError: The pictures have a wrong shape or dtype, values outside of `value_range`, or different sizes
                after preprocessing.
            DataError: A file cannot be used (a ValueError too); says why.
        """
        import tensorflow as tf

        low, high = value_range
        if not low < high:
            raise ValueError(f"value_range must rise. Received: value_range={value_range!r}")
        if isinstance(pictures, (list, tuple)):
            result = self._stacked([self(picture, value_range=value_range) for picture in pictures])
        elif tf.is_tensor(pictures) and pictures.dtype == tf.string:
            result = self._paths(pictures)
        else:
            result = self._arrays(self._pixels(pictures), low, high)
        return (result, *others) if others else result

    def layer(self, *, resize: bool = False, name: str = "preprocessing") -> "PreprocessingLayer":
        """A Keras layer to put in front of a network, so that the model takes pixels of 0…255.

        Args:
            resize: Whether the layer resizes and crops too; else pictures must have their size already.
            name: Name of the layer.

        Example:
            >>> import keras, zoo
            >>> preprocessing = zoo.weights.Preprocessing.from_keras_mode("tf")
            >>> pixels = keras.Input((32, 32, 3), dtype="uint8")
            >>> model = zoo.create_model("resnet20", input_tensor=preprocessing.layer()(pixels))
            >>> model.input.dtype
            'uint8'
        """
        return PreprocessingLayer(self, resize=resize, name=name)

    def to_config(self) -> dict[str, Any]:
        """The fields as plain numbers, strings and lists."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Preprocessing":
        """What `to_config` gave.

        Raises:
            ValueError: A field is missing, not known or has an illegal value.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in config if name not in known]
        missing = [name for name in known if name not in config]
        if unknown or missing:
            raise ValueError(
                f"These are no fields of a Preprocessing: unknown {', '.join(map(repr, unknown)) or 'none'}, "
                f"missing {', '.join(map(repr, missing)) or 'none'}. Fields: {', '.join(known)}"
            )
        return cls(**config)

    def save(self, path: str | os.PathLike) -> None:
        """Write the fields to a JSON file, whole or not at all."""
        write_json(path, self.to_config())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Preprocessing":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is damaged or does not hold a Preprocessing; the message names the file.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            config = json.loads(text)
            if not isinstance(config, dict):
                raise ValueError(f"expected an object, found {type(config).__name__}.")
            return cls.from_config(config)
        except ValueError as error:
            raise ValueError(f"{path} holds no Preprocessing: {error}") from None

    def _linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and offset of each channel of the result: all that happens behind the crop is x * scale + offset."""
        scale = self.rescale / np.asarray(self.std)
        offset = -np.asarray(self.mean) / np.asarray(self.std)
        if self.input_transform is not None:
            factor, addend = map(np.asarray, self.input_transform)
            scale, offset = scale * factor, offset * factor + addend
        return scale, offset

    def _fill(self) -> list[int]:
        """Pixel (RGB) where there is no picture: black, in mode "border" the mean."""
        if self.crop_mode != "border":
            return [0] * self.channels
        fill = [min(max(round(mean / self.rescale), 0), 255) for mean in self.mean]
        return fill[::-1] if self.channel_order == "BGR" else fill

    def _stacked(self, results: list["tf.Tensor"]) -> "tf.Tensor":
        import tensorflow as tf

        if not results:
            raise ValueError("There is no picture: the list is empty.")
        shapes = {tuple(result.shape) for result in results}
        if len(shapes) > 1 or len(next(iter(shapes))) != 3:
            raise ValueError(
                "A list must hold single pictures that have one size after preprocessing. Received: "
                f"{', '.join(map(str, sorted(shapes)))}. Set crop_size, or pass the pictures one by one."
            )
        return tf.stack(results)

    def _paths(self, paths: "tf.Tensor") -> "tf.Tensor":
        """Read files named by a string tensor, through the same decoder as elsewhere."""
        import tensorflow as tf

        if paths.shape.rank != 0:
            raise ValueError(
                "A string tensor must be one path, so that pictures may have any size. "
                f"Received: shape {paths.shape}. Preprocess before batching."
            )
        if tf.executing_eagerly():
            return self(os.fsdecode(paths.numpy()))
        pixels = tf.numpy_function(lambda path: self._read(os.fsdecode(path)), [paths], tf.uint8)
        return self._arrays(tf.ensure_shape(pixels, (None, None, self.channels)), 0.0, 255.0)

    def _read(self, path: str | os.PathLike) -> np.ndarray:
        """The pixels of a file (height, width, channels) uint8."""
        from zoo.data.errors import DataError, printable
        from zoo.data.pictures import decode, fit, read

        try:
            return fit(decode(read(Path(path))), None, self.channels)
        except DataError as error:
            raise DataError(f"{printable(str(path))} cannot be used: {error}.") from None

    def _pixels(self, picture: Any) -> Any:
        """A file, PIL picture, array or tensor as an array or tensor with the right number of channels."""
        import tensorflow as tf

        if isinstance(picture, (str, os.PathLike)):
            from zoo.data.pictures import quiet_pillow

            with quiet_pillow():
                return self._read(picture)
        if hasattr(picture, "getbands"):  # a PIL picture; asking by its class would import PIL
            if picture.mode.startswith(("I", "F")):
                raise ValueError(
                    f"A PIL picture must have 8 bits a channel. Received: mode {picture.mode!r}. Give np.asarray of it "
                    "as float32, with value_range."
                )
            picture = np.asarray(picture.convert("L" if self.channels == 1 else "RGB"))
        elif isinstance(picture, keras.KerasTensor):
            raise ValueError(
                f"Inside a model, preprocessing is a layer: preprocessing.layer()(x). Received: {picture!r}"
            )
        elif not tf.is_tensor(picture):
            picture = np.asarray(keras.ops.convert_to_numpy(picture))
        rank = tf.TensorShape(picture.shape).rank
        if rank not in (2, 3, 4):
            raise ValueError(
                "Pictures must have the shape (height, width), (height, width, channels) or (batch, height, width, "
                f"channels). Received: shape {picture.shape}. In tf.data, tf.ensure_shape says what is not known."
            )
        if rank == 2:
            picture = picture[..., np.newaxis]
        if 0 in tuple(picture.shape):
            raise ValueError(f"A picture must have pixels. Received: shape {tuple(picture.shape)}")
        channels = picture.shape[-1]
        if channels == 1 and self.channels == 3:
            return tf.repeat(picture, 3, axis=-1)
        if channels != self.channels:
            raise ValueError(
                f"Pictures must have {self.channels} channels{' or 1' if self.channels == 3 else ''}, last. "
                f"Received: shape {tuple(picture.shape)}."
            )
        return picture

    def _arrays(self, pictures: Any, low: float, high: float) -> "tf.Tensor":
        """Preprocess an array or tensor (…, height, width, channels)."""
        import tensorflow as tf

        dtype = tf.as_dtype(pictures.dtype)
        if dtype != tf.uint8 and not dtype.is_floating:
            raise ValueError(
                f"Pictures must be uint8 or floating-point. Received: {dtype.name}. Cast to uint8 if they are 0…255."
            )
        if dtype == tf.uint8:
            pictures = tf.convert_to_tensor(pictures)
        else:
            pictures = _to_255(tf.cast(pictures, tf.float32), low, high)
        single = pictures.shape.rank == 3
        batch = pictures[tf.newaxis] if single else pictures
        result = _compiled(self, batch.dtype.name)(batch)
        return result[0] if single else result

    def _run(self, pictures: "tf.Tensor") -> "tf.Tensor":
        """Resize, crop, scale and normalise (batch, height, width, channels), uint8 or float32 of 0…255."""
        import tensorflow as tf

        x = tf.cast(self._resized_and_cropped(pictures), tf.float32)
        if self.channel_order == "BGR":
            x = x[..., ::-1]
        # A row at a time: TensorFlow is slow at broadcasting over an axis of three.
        width = tf.shape(x)[2]
        scale, offset = (tf.tile(tf.constant(item, tf.float32), [width]) for item in self._linear())
        rows = tf.reshape(x, (-1, width * self.channels))
        return tf.ensure_shape(tf.reshape(rows * scale + offset, tf.shape(x)), x.shape)

    def _resized_and_cropped(self, pictures: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        from zoo.weights.resampling import resize_window

        shape = tf.shape(pictures)
        height, width = self._resized_size(shape[1], shape[2])
        if self.crop_size is None:
            top = left = tf.constant(0)
            rows, columns = height, width
        else:
            crop = _pair(self.crop_size)
            top, rows = _window(height, crop[0])
            left, columns = _window(width, crop[1])
        if self.resize_size is None:
            x = pictures[:, top : top + rows, left : left + columns]
        else:
            x = resize_window(
                pictures, (height, width), (top, left), (rows, columns),
                interpolation=self.interpolation, antialias=self.antialias,
            )  # fmt: skip
        if self.crop_size is not None:
            # Only what is missing is padded: one pixel more behind than before where the number is odd.
            missing = [crop[0] - rows, crop[1] - columns]
            margins = [[0, 0], *([item // 2, (item + 1) // 2] for item in missing), [0, 0]]
            fill = tf.constant(self._fill(), x.dtype)
            # `fill` is added back where zeros were put; unsigned numbers wrap around and come back.
            x = tf.pad(x - fill, margins) + fill
        x.set_shape((pictures.shape[0], *(self.size or (None, None)), self.channels))
        return x

    def _resized_size(self, height: "tf.Tensor", width: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        """Height and width of the whole resized picture."""
        import tensorflow as tf

        if self.resize_size is None:
            return height, width
        target = _pair(self.resize_size)
        if self.crop_mode == "squash":
            return tf.constant(target[0]), tf.constant(target[1])
        sides = tf.cast(tf.stack([height, width]), tf.float64)
        if self.crop_mode == "center" and target[0] == target[1]:
            # torchvision's rule; the product first, then the quotient, cut off.
            long = tf.cast(target[0] * tf.reduce_max(sides) / tf.reduce_min(sides), tf.int32)
            return (
                tf.where(height <= width, target[0], long),
                tf.where(width <= height, target[0], long),
            )
        # timm's ResizeKeepRatio: rounded, half to even.
        ratios = sides / tf.constant(target, tf.float64)
        ratio = tf.reduce_max(ratios) if self.crop_mode == "border" else tf.reduce_min(ratios)
        resized = tf.maximum(tf.cast(tf.round(sides / ratio), tf.int32), 1)
        return resized[0], resized[1]


def preprocessor(model: str, weights: str | None = None) -> Preprocessing:
    """The preprocessing that published weights were trained for.

    Args:
        model: A registered name, e.g. "resnet50".
        weights: Tag of its published weights, e.g. "torchvision.v2"; None for the model's default.

    Returns:
        The preprocessing of their record. Call it on pictures, or put its `layer` in front of the network.

    Raises:
        ValueError: There is no such model, or it has no such weights.
    """
    # The table of published weights is read when it is asked for.
    published = importlib.import_module("zoo.weights.published")
    return Preprocessing.from_record(published.find(model, weights))


@keras.saving.register_keras_serializable(package="zoo")
class PreprocessingLayer(keras.layers.Layer):
    """Preprocessing as the first layer of a network: pixels of 0…255 in, what the network expects out.

    Without `resize` it scales and normalises a batch of pictures that have their size already, on any backend of
    Keras. With `resize` it takes pictures of any size, all of one batch of the same, rounds them to 8 bits and does
    all that the object does; that needs TensorFlow, runs on the CPU and cannot be compiled by XLA.

    Args:
        preprocessing: A `Preprocessing`, or its config.
        resize: Whether to resize and crop.
        **kwargs: As for every Keras layer.

    Raises:
        ValueError: `resize` on another backend than TensorFlow.
    """

    def __init__(self, preprocessing: Preprocessing | Mapping[str, Any], *, resize: bool = False, **kwargs: Any):
        # Halves have too few digits for pixels: the layer keeps full precision, and what follows casts.
        kwargs.setdefault("dtype", keras.config.dtype_policy().variable_dtype)
        super().__init__(**kwargs)
        if not isinstance(preprocessing, Preprocessing):
            preprocessing = Preprocessing.from_config(preprocessing)
        if resize and keras.backend.backend() != "tensorflow":
            raise ValueError(
                "Resizing inside the model needs TensorFlow. Received: resize=True with the backend "
                f"{keras.backend.backend()!r}. Resize in tf.data, and use resize=False."
            )
        self.preprocessing = preprocessing
        self.resize = resize
        self.supports_jit = not resize

    def call(self, pictures: Any) -> Any:
        """Preprocess pictures.

        Args:
            pictures: (batch, height, width, channels), 0…255, uint8 or floating-point.

        Returns:
            (batch, height, width, channels), floating-point.
        """
        ops, recipe = keras.ops, self.preprocessing
        if self.resize:
            if pictures.dtype != "uint8":
                pictures = ops.cast(ops.clip(ops.round(pictures), 0, 255), "uint8")
            return ops.cast(recipe._run(pictures), self.compute_dtype)
        x = ops.cast(pictures, self.compute_dtype)
        if recipe.channel_order == "BGR":
            x = ops.flip(x, axis=-1)
        scale, offset = (ops.convert_to_tensor(item, dtype=self.compute_dtype) for item in recipe._linear())
        return x * scale + offset

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        recipe = self.preprocessing
        if input_shape[-1] != recipe.channels:
            raise ValueError(
                f"This preprocessing takes pictures of {recipe.channels} channels. Received: shape {input_shape}."
            )
        if not self.resize or (recipe.resize_size is None and recipe.crop_size is None):
            return input_shape
        return (input_shape[0], *(recipe.size or (None, None)), input_shape[-1])

    def compute_output_spec(self, pictures: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(self.compute_output_shape(pictures.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preprocessing": self.preprocessing.to_config(), "resize": self.resize}


@functools.lru_cache(maxsize=64)
def _compiled(preprocessing: Preprocessing, dtype: str) -> Any:
    """`_run` as one TensorFlow function for pictures of every size: traced once."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, None, preprocessing.channels), dtype)]
    return tf.function(preprocessing._run, input_signature=signature, autograph=False)


def _to_255(pictures: "tf.Tensor", low: float, high: float) -> "tf.Tensor":
    """Floating-point pictures of low…high as 0…255, after proof that this is what they hold."""
    import tensorflow as tf

    tolerance = 1e-3 * (high - low)
    lowest, highest = tf.reduce_min(pictures), tf.reduce_max(pictures)
    inside = (lowest >= low - tolerance) & (highest <= high + tolerance)
    # A picture of 0…1 where 0…255 is expected would be black, and no one would see why.
    dark = (high >= 255.0) & (highest > 0.0) & (highest <= 1.0) & (lowest >= 0.0)
    advice = f"value_range=({low:g}, {high:g}) says what black and white are; give the range of your pictures."
    if tf.executing_eagerly():
        found = f"Received: values from {float(lowest):g} to {float(highest):g}."
        if not bool(inside):
            raise ValueError(f"Pictures hold values that are outside of their range, or not finite. {found} {advice}")
        if bool(dark):
            raise ValueError(f"Pictures look like 0…1. {found} {advice} Cast to uint8 if they are as dark as that.")
    else:
        checks = [tf.debugging.Assert(inside & ~dark, [f"Pictures hold other values. {advice}", lowest, highest])]
        with tf.control_dependencies([check for check in checks if check is not None]):
            pictures = tf.identity(pictures)
    return (pictures - low) * (255.0 / (high - low))


def _window(size: "tf.Tensor", crop: int) -> tuple["tf.Tensor", "tf.Tensor"]:
    """First index and number of pixels of the middle of an axis; Python's `round`, half to even, finds the first."""
    import tensorflow as tf

    start = tf.cast(tf.round(tf.cast(size - crop, tf.float64) / 2.0), tf.int32)
    return tf.maximum(start, 0), tf.minimum(size, crop)


def _mean(numbers: tuple[float, ...]) -> tuple[float]:
    return (sum(numbers) / len(numbers),)


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _size(field: str, value: Any) -> Any:
    """One whole number, a tuple of two, or None."""
    sizes = [value] if isinstance(value, (int, np.integer)) else value
    legal = value is None or (
        isinstance(sizes, (list, tuple))
        and len(sizes) in (1, 2)
        and all(isinstance(item, (int, np.integer)) and not isinstance(item, bool) and item > 0 for item in sizes)
    )
    if not legal:
        raise ValueError(f"{field} must be a number of pixels, (height, width) or None. Received: {field}={value!r}")
    if value is None or isinstance(value, int):
        return value
    return int(sizes[0]) if len(sizes) == 1 else tuple(map(int, sizes))


def _numbers(field: str, values: Any, count: int | None) -> tuple[float, ...]:
    """Finite numbers, as a tuple of floats."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)) or count not in (None, len(numbers)):
        expected = "finite numbers, one for each channel" if count is None else f"{count} finite number(s)"
        raise ValueError(f"{field} must be {expected}. Received: {field}={values!r}")
    return numbers
