"""Convolutions of 3x3 with a quarter of the multiplications, in OpenVINO on a CPU, which knows only the direct way.

Winograd's minimal filtering F(4x4, 3x3) makes a tile of 4x4 outputs of a patch of 6x6 inputs by 36 products for each
pair of channels, where the sums themselves take 144 (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural
Networks", https://arxiv.org/abs/1509.09308, section 4). For a patch d and a kernel g

    Y = A' [(G g G') * (B' d B)] A,

where * multiplies place by place, and the sum over channels is taken before A: 36 products of matrices, which run near
what the processor multiplies. In float32 the answers differ from those of the sums by 1e-6 to 1e-5 of the largest.

To transform costs what it moves, so it is worth it where a layer has many channels and tiles; `accelerate` weighs that
for each layer. For 5x5, where a patch of 6x6 makes only 2x2 outputs, it hardly ever is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

# B', G and A' of the paper.
_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
_TILE, _PATCH = 4, 6

# What else there is to do, in multiplications and additions that take as long, as measured in OpenVINO 2026.4 on two
# processors with AVX-512: to transform a channel of a tile, where all tiles are a megabyte, and more for each time that
# they are twice as many; and to read the transformed kernel of a pair of channels.
_TRANSFORM, _DOUBLED, _READ = 1_900, 370, 1_000
# Part of the direct way's cost that it may come to.
_WORTH = 0.9


@dataclass(frozen=True)
class _Convolution:
    """A convolution of 3x3, of step 1.

    Attributes:
        shape: (n, channels, height, width) of its input.
        filters: Channels of its output.
        size: (height, width) of its output.
        before: Zeros put (above, left of) its input.
        kernel: The node that holds (filters, channels, 3, 3).
    """

    shape: tuple[int, int, int, int]
    filters: int
    size: tuple[int, int]
    before: tuple[int, int]
    kernel: Any

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.size[0] // _TILE), -(-self.size[1] // _TILE)

    def pays(self) -> bool:
        """Whether it takes less time by tiles."""
        n, channels, *_ = self.shape
        tiles, pairs = n * self.tiles[0] * self.tiles[1], channels * self.filters
        megabytes = 4 * _PATCH**2 * tiles * max(channels, self.filters) / 1e6
        transform = _TRANSFORM + _DOUBLED * max(0.0, math.log2(megabytes))
        by_tiles = (_PATCH**2 * tiles + _READ) * pairs + transform * tiles * (channels + self.filters)
        return by_tiles < _WORTH * 9 * n * self.size[0] * self.size[1] * pairs


def accelerate(model: Any) -> int:
    """Write the convolutions of a network by tiles, where that is faster.

    Args:
        model: An `openvino.Model` in float32, all of whose shapes are fixed; it is changed.

    Returns:
        How many were.

    Example:
        >>> import numpy as np
        >>> import openvino
        >>> from openvino import opset13 as ops
        >>> from zoo.deploy import winograd
        >>> images = ops.parameter((1, 256, 32, 32), np.float32)
        >>> kernel = np.ones((256, 256, 3, 3), np.float32)
        >>> found = ops.convolution(images, kernel, (1, 1), (1, 1), (1, 1), (1, 1))
        >>> winograd.accelerate(openvino.Model([found], [images], "network"))
        1
    """
    from openvino import opset13 as ops

    # What gives an output with its channels last, for those that were turned back.
    sources: dict[str, Any] = {}
    for node in model.get_ordered_ops():
        layer = _convolution(node)
        if layer is None or not layer.pays():
            continue
        images = node.input_value(0)
        last = sources.get(images.get_node().get_name())
        found = _by_tiles(ops.transpose(images, (0, 2, 3, 1)) if last is None else last, layer)
        while (follower := _follower(node)) is not None:
            make, node = follower
            found = make(found)
        turned = ops.transpose(found, (0, 3, 1, 2))
        sources[turned.get_name()] = found
        for entry in node.output(0).get_target_inputs():
            entry.replace_source_output(turned.output(0))
    if sources:
        model.validate_nodes_and_infer_types()
    return len(sources)


def _convolution(node: Any) -> _Convolution | None:
    """What a node convolves, if it can be written by tiles."""
    if node.get_type_name() != "Convolution" or node.get_output_element_type(0).get_type_name() != "f32":
        return None
    kernel, facts = node.input_value(1).get_node(), node.get_attributes()
    if kernel.get_type_name() != "Constant" or list(facts["strides"]) != [1, 1] or list(facts["dilations"]) != [1, 1]:
        return None
    filters, _, *size = kernel.get_output_shape(0)
    if size != [3, 3]:
        return None
    n, channels, height, width = node.get_input_shape(0)
    rows, columns = node.get_output_shape(0)[2:]
    above, left = facts["pads_begin"]
    return _Convolution((n, channels, height, width), filters, (rows, columns), (above, left), kernel)


def _follower(node: Any) -> tuple[Callable[[Any], Any], Any] | None:
    """The only node that takes another's output, if it adds a bias or activates: how to make it for channels last."""
    from openvino import opset13 as ops

    entries = list(node.output(0).get_target_inputs())
    if len(entries) != 1:
        return None
    follower = entries[0].get_node()
    kind, facts = follower.get_type_name(), follower.get_attributes()
    if kind == "Relu":
        return ops.relu, follower
    if kind == "Clamp":
        return lambda images: ops.clamp(images, facts["min"], facts["max"]), follower
    if kind == "Add":
        other = follower.input_value(1 - entries[0].get_index()).get_node()
        shape = node.get_output_shape(0)
        if other.get_type_name() == "Constant" and list(other.get_output_shape(0)) == [1, shape[1], 1, 1]:
            return lambda images: ops.add(images, other.get_data().reshape(1, 1, 1, -1)), follower
    return None


def _by_tiles(images: Any, layer: _Convolution) -> Any:
    """The convolution of images (n, height, width, channels)."""
    from openvino import opset13 as ops

    n, channels, height, width = layer.shape
    taken, given = _places(layer)
    count = taken.shape[1]
    pixels = ops.reshape(images, (n * height * width, channels), False)
    zero = ops.constant(np.zeros((1, channels), np.float32))
    inputs = ops.gather(ops.concat([pixels, zero], 0), ops.constant(taken), ops.constant(np.int32(0)))
    inputs = ops.reshape(inputs, (_PATCH**2, count * channels), False)
    inputs = ops.matmul(np.kron(_INPUT, _INPUT).astype("float32"), inputs, False, False)
    inputs = ops.reshape(inputs, (_PATCH**2, count, channels), False)
    products = ops.matmul(inputs, _transformed(layer.kernel.get_data()), False, False)
    products = ops.reshape(products, (_PATCH**2, count * layer.filters), False)
    outputs = ops.matmul(np.kron(_OUTPUT, _OUTPUT).astype("float32"), products, False, False)
    outputs = ops.reshape(outputs, (_TILE**2 * count, layer.filters), False)
    return ops.gather(outputs, ops.constant(given), ops.constant(np.int32(0)))


def _places(layer: _Convolution) -> tuple[np.ndarray, np.ndarray]:
    """Where numbers come from.

    Returns:
        The pixel (36, tiles) of all images that each place of each patch takes, one behind the last for a zero; and the
        place in (16, tiles) that each pixel (n, height, width) of the output takes.
    """
    n, _, *size = layer.shape
    rows, columns = layer.tiles
    place_y, place_x, image, row, column = np.ogrid[:_PATCH, :_PATCH, :n, :rows, :columns]
    y, x = _TILE * row - layer.before[0] + place_y, _TILE * column - layer.before[1] + place_x
    is_inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    taken = np.where(is_inside, (image * size[0] + y) * size[1] + x, n * size[0] * size[1])
    image, y, x = np.ogrid[:n, : layer.size[0], : layer.size[1]]
    tile = (image * rows + y // _TILE) * columns + x // _TILE
    given = (y % _TILE * _TILE + x % _TILE) * (n * rows * columns) + tile
    return taken.reshape(_PATCH**2, -1).astype("int32"), given.astype("int32")


def _transformed(kernel: np.ndarray) -> np.ndarray:
    """(36, channels, filters) of a kernel (filters, channels, 3, 3), in double precision until it is done."""
    filters, channels = kernel.shape[:2]
    flat = np.kron(_KERNEL, _KERNEL) @ kernel.reshape(filters * channels, 9).T.astype("float64")
    return np.ascontiguousarray(flat.reshape(_PATCH**2, filters, channels).transpose(0, 2, 1), "float32")
