"""The page: filters on pictures, and the worked examples step by step."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from keras import layers

from applications.filters import kernels, worked
from applications.filters.config import DEFAULT, Demonstration
from applications.filters.convolution import filtered, output_size, zeros_around
from applications.filters.pictures import Named
from zoo import files
from zoo.report.figures import encode
from zoo.report.page import template
from zoo.report.theme import DARK, LIGHT

# From so many steps on, an example shows them only when asked to.
MANY_STEPS = 9

# The kernels that answer with a sign: zero is grey on the page.
_SIGNED = ("edge enhance", "edge detect", "Sobel x", "Sobel y")

# Of "why convolution": the first layer of a dense network on a small photograph, and AlexNet's second layer.
_DENSE = ((256, 256, 3), (1000,))
_ALEXNET = ((55, 55, 96), (55, 55, 256))
_SIZES = (512, 9)


@dataclass(frozen=True)
class Tile:
    """A picture with words below it."""

    png: bytes
    title: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """Pictures that belong together."""

    title: str
    note: str
    tiles: Sequence[Tile]


def write_page(
    pictures: Sequence[Named],
    path: Path,
    *,
    own: Mapping[str, np.ndarray] | None = None,
    config: Demonstration = DEFAULT,
    command: Sequence[str] = (),
) -> Path:
    """Filter the pictures and write the page, which needs no network and no script.

    Args:
        pictures: What is filtered.
        path: The page; its folder must exist.
        own: Further kernels by name, (height, width).
        config: Sizes.
        command: The command line, for the record.

    Returns:
        The path.
    """
    rows = [_filters(picture, {**kernels.NAMED, **(own or {})}, config) for picture in pictures]
    first = pictures[0]
    rows += [_magnitude(first, config), _reversal(first, config), _strides(first, config), _resampling(first, config)]
    page = template("filters.html.jinja", "applications.filters").render(
        light=asdict(LIGHT),
        dark=asdict(DARK),
        rows=rows,
        kernels={name: _matrix(kernel) for name, kernel in kernels.NAMED.items() if kernel.shape == (3, 3)},
        examples=[_example(example) for example in worked.EXAMPLES],
        paddings=[
            {"name": name, "zeros": sum(zeros_around(_SIZES[1], name)), "size": _with_zeros(name)}
            for name in ("valid", "same", "full")
        ],
        sizes=_SIZES,
        classifiers=[
            {"name": one.name, "dog": one.dog, "entropy": worked.cross_entropy(one), "error": worked.error(one)}
            for one in worked.CLASSIFIERS
        ],
        truth=["dog" if truth else "cat" for truth in worked.TRUTH],
        complexities=[(values, worked.complexity(values)) for values in worked.COEFFICIENTS],
        dense=worked.dense_weights(*_DENSE),
        alexnet=(worked.convolution_weights(5, 96, 256), worked.dense_weights(*_ALEXNET)),
        command=shlex.join(command),
    )
    files.write_atomic(path, page)
    return path


def _with_zeros(padding: str) -> int:
    """Pixels of the example's output along an axis."""
    size, kernel = _SIZES
    return output_size(size + sum(zeros_around(kernel, padding)), kernel)  # type: ignore[arg-type]


def _natural(values: np.ndarray, config: Demonstration) -> bytes:
    return encode(np.clip(np.rint(values), 0, 255).astype(np.uint8), config.shown)


def _around_grey(values: np.ndarray, config: Demonstration) -> bytes:
    """Zero as grey; the strongest half percent may be cut off."""
    top = float(np.percentile(np.abs(values), 99.5)) or 1.0
    return _natural(127.5 + 127.5 * values / top, config)


def _shape(values: np.ndarray) -> str:
    return " × ".join(map(str, values.shape))


def _filters(picture: Named, chosen: Mapping[str, np.ndarray], config: Demonstration) -> Row:
    tiles = [Tile(_natural(picture.values, config), picture.name, _shape(picture.values))]
    for name, kernel in chosen.items():
        found = filtered(picture.values, kernel)
        signed = name in _SIGNED or (name not in kernels.NAMED and abs(kernel.sum()) < 1e-6)
        draw = _around_grey if signed else _natural
        tiles.append(Tile(draw(found, config), name, "grey is zero" if signed else ""))
    return Row(f"Filters on {picture.name}", "Each channel by itself, with zeros around the picture.", tiles)


def _magnitude(picture: Named, config: Demonstration) -> Row:
    """How steep it is, from the two Sobel kernels in one layer."""
    across, down = (filtered(picture.values, kernel, padding="valid") for kernel in (kernels.SOBEL_X, kernels.SOBEL_Y))
    steep = np.sqrt(across**2 + down**2).max(axis=-1, keepdims=True)
    top = float(np.percentile(steep, 99.5)) or 1.0
    tiles = [
        Tile(
            _natural(255 * np.abs(across).max(axis=-1, keepdims=True) / top, config), "size of Sobel x", "upright edges"
        ),
        Tile(_natural(255 * np.abs(down).max(axis=-1, keepdims=True) / top, config), "size of Sobel y", "level edges"),
        Tile(_natural(255 * steep / top, config), "both", "root of the sum of squares"),
    ]
    return Row("Edges", "Two kernels of 3 × 3 in one layer: with a bias for each it has 20 parameters.", tiles)


def _reversal(picture: Named, config: Demonstration) -> Row:
    """Only kernels that are not symmetric know the difference."""
    tiles = []
    for name, kernel, draw in (("Sobel x", kernels.SOBEL_X, _around_grey), ("Gaussian", kernels.gaussian(), _natural)):
        for reverse in (False, True):
            found = filtered(picture.values, kernel, reverse=reverse)
            tiles.append(Tile(draw(found, config), name, "with reversal" if reverse else "without reversal"))
    return Row("Reversal", "In mathematics the kernel is turned by 180 degrees first; networks do not. It changes the "
               "sign of Sobel’s answer, and nothing about a symmetric kernel.", tiles)  # fmt: skip


def _strides(picture: Named, config: Demonstration) -> Row:
    tiles = []
    for strides in config.strides:
        found = filtered(picture.values, kernels.gaussian(), strides=strides)
        tiles.append(Tile(_natural(found, config), f"stride {strides}", _shape(found)))
    return Row("Strides", "The Gaussian, at every pixel, at every second one in both directions, and so on.", tiles)


def _resampling(picture: Named, config: Demonstration) -> Row:
    """Pooling, and half and twice the size."""
    batch = picture.values[None]
    steps: dict[str, layers.Layer] = {
        "max-pooling 8 × 8": layers.MaxPooling2D(8, padding="same", data_format="channels_last"),
        "average pooling 8 × 8": layers.AveragePooling2D(8, padding="same", data_format="channels_last"),
    }
    tiles = []
    for name, layer in steps.items():
        found = np.asarray(layer(batch))[0]
        tiles.append(Tile(_natural(found, config), name, _shape(found)))
    twice = {
        "up by 2, repeated": layers.UpSampling2D(2, data_format="channels_last"),
        "up by 2, bilinear": layers.UpSampling2D(2, interpolation="bilinear", data_format="channels_last"),
    }
    height, width = picture.values.shape[:2]
    # Where a portrait has its face.
    detail = picture.values[height // 10 : height * 3 // 10, width * 7 // 20 : width * 11 // 20]
    for name, layer in twice.items():
        found = np.asarray(layer(detail[None]))[0]
        tiles.append(Tile(_natural(found, config), name, f"{_shape(detail)} to {_shape(found)}"))
    return Row(
        "Pooling, and twice the size", "Windows of 8 here, so that it can be seen; networks pool over 2 or 3.", tiles
    )


def _matrix(kernel: np.ndarray) -> list[list[str]]:
    return [[_text(value) for value in row] for row in kernel.tolist()]


def _text(value: float) -> str:
    """A number as a worked example writes it: whole, or with two digits."""
    value += 0.0  # no minus before a zero
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"


def _signs(text: str) -> str:
    """With the true minus sign."""
    return text.replace("-", "−")


def _grid(values: np.ndarray, window: tuple[int, int, int, int] | None = None) -> list[list[dict[str, object]]]:
    """Rows of cells; those of the window (first row, end, first column, end) are marked.

    Without a window each cell is shaded by its number.
    """
    top, bottom, left, right = window or (0, 0, 0, 0)
    most = float(np.abs(values).max()) or 1.0
    return [
        [
            {
                "text": _signs(_text(value)),
                "on": top <= row < bottom and left <= column < right,
                "shade": 0 if window else round(45 * abs(value) / most),
                "below": value < 0,
            }
            for column, value in enumerate(line)
        ]
        for row, line in enumerate(values.tolist())
    ]


def _example(example: worked.Example) -> dict[str, object]:
    """A worked example as the template shows it."""
    height, width, channels, filters = example.kernels.shape
    steps = list(example.steps())
    parts = []
    for number in range(filters):
        output = example.output[..., number]
        own = [step for step in steps if step.filter == number]
        parts.append(
            {
                "kernels": [_grid(example.kernels[..., channel, number]) for channel in range(channels)],
                "bias": _signs(_text(example.biases[number])) if example.biases else "",
                "output": _grid(output),
                "pooled": _grid(example.maxima[..., number]) if example.pooled else None,
                "steps": [
                    {
                        "title": f"row {step.row + 1}, column {step.column + 1}",
                        "grids": [
                            _grid(
                                example.volume[..., channel],
                                (step.top, step.top + height, step.left, step.left + width),
                            )
                            for channel in range(channels)
                        ],
                        "sum": _told(example, step),
                        "result": _signs(_text(round(step.result, 6))),
                    }
                    for step in own
                ],
            }
        )
    return {
        "key": example.key,
        "title": example.title,
        "note": example.note,
        "inputs": [_grid(example.volume[..., channel]) for channel in range(channels)],
        "parts": parts,
        "row": _grid(example.row[None]) if example.flattened else None,
        "many": len(steps) > MANY_STEPS,
    }


def _sum(values: Iterable[float]) -> str:
    """The terms of a sum, one after the other."""
    first, *others = [_text(value) for value in values]
    return _signs(first + "".join(f" - {term[1:]}" if term.startswith("-") else f" + {term}" for term in others))


def _told(example: worked.Example, step: worked.Step) -> list[str]:
    """The sum of a step in words: a line for each channel, then the whole."""
    lines = []
    for channel in range(example.volume.shape[-1]):
        lines.append(f"{_sum(step.products[..., channel].ravel())} = {_signs(_text(step.sums[channel]))}")
    if len(lines) > 1 or example.biases:
        parts = [*step.sums, *([example.biases[step.filter]] if example.biases else [])]
        lines.append(f"{_sum(parts)} = {_signs(_text(step.result))}")
    if example.mean:
        lines.append(f"{_signs(_text(step.sums.sum()))} / {step.products.size} = {_signs(_text(step.result))}")
    return lines
