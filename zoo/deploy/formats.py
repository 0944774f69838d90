"""The files that a network is exported to: how each is written, read again and made of whole numbers of 8 bits.

| format | file | engine | int8 by |
|---|---|---|---|
| `saved_model` | folder `model` | tensorflow | – |
| `onnx` | `model.onnx` | onnxruntime | `onnxruntime.quantization.quantize_static` |
| `openvino` | `model.xml`, `model.bin` | openvino | `nncf.quantize` |
| `litert` | `model.tflite` | litert | `tf.lite.TFLiteConverter` |

All quantise weights and activations after training (Jacob et al. 2018, https://arxiv.org/abs/1712.05877), weights for
each output channel, activations by the range that the calibration examples give.
"""

import contextlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.deploy import engines
from zoo.deploy.engines import quiet
from zoo.deploy.graphs import INPUT, Graph, module

# What reads a string as a picture, in a SavedModel.
JPEG_SIGNATURE = "serving_jpeg"

Decoder = Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: What `export(to=…)` takes.
        engine: The engine that runs it.
        file: The file, or folder, in the folder of the export.
        write: From a network and what decodes its pictures, if given, to the file.
        quantise: From a network and examples, one to a batch, to the file; None where that is not known.
        quantiser: The package that quantising needs besides.
        read: From the file to what the engine starts.
    """

    name: str
    engine: str
    file: str
    write: Callable[[Graph, Path, Decoder | None], None]
    quantise: Callable[[Graph, np.ndarray, Path], None] | None
    quantiser: str | None
    read: Callable[[Path, Graph], Any]


def find(name: str, *, int8: bool = False) -> Format:
    """A format whose packages are installed.

    Raises:
        ValueError: There is no such format, it has no int8, or a package is not installed.
    """
    if name not in FORMATS:
        raise ValueError(f"to must be one of {', '.join(map(repr, FORMATS))}. Received: to={name!r}")
    found = FORMATS[name]
    if int8 and found.quantise is None:
        able = ", ".join(name for name, item in FORMATS.items() if item.quantise is not None)
        raise ValueError(f"{name} has no int8. Formats that have: {able}")
    engines.find(found.engine)
    if int8 and found.quantiser is not None and importlib.util.find_spec(found.quantiser) is None:
        raise ValueError(
            f"int8 for {name} needs {found.quantiser}, which is not installed: pip install {found.quantiser}"
        )
    return found


def _write_saved_model(graph: Graph, path: Path, decode: Decoder | None) -> None:
    saved = module(graph)
    signatures = {"serving_default": saved.call}
    if decode is not None:

        def call_jpeg(contents: tf.Tensor) -> dict[str, tf.Tensor]:
            spec = tf.TensorSpec(graph.shape[1:], graph.dtype)
            return saved.call(tf.map_fn(decode, contents, fn_output_signature=spec))

        saved.call_jpeg = tf.function(call_jpeg, input_signature=[tf.TensorSpec((None,), tf.string, name="contents")])
        signatures[JPEG_SIGNATURE] = saved.call_jpeg
    with quiet():
        tf.saved_model.save(saved, str(path), signatures=signatures)


def _read_saved_model(path: Path, graph: Graph) -> Graph:
    loaded = tf.saved_model.load(str(path))

    def call(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = loaded.signatures["serving_default"](**{INPUT: images})
        return [outputs[name] for name in graph.output_names]

    return Graph(call, graph.shape, graph.dtype, graph.outputs)


def _write_onnx(graph: Graph, path: Path, _: Decoder | None) -> None:
    path.write_bytes(engines.ENGINES["onnxruntime"].convert(graph))


def _quantise_onnx(graph: Graph, examples: np.ndarray, path: Path) -> None:
    from onnxruntime import quantization

    class Examples(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._rest: Iterator[np.ndarray] = iter(examples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            example = next(self._rest, None)
            return None if example is None else {INPUT: example[np.newaxis]}

    plain = path.with_name("float32.onnx")
    _write_onnx(graph, plain, None)
    with quiet():
        quantization.quantize_static(
            plain,
            path,
            Examples(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    plain.unlink()


def _write_openvino(graph: Graph, path: Path, _: Decoder | None) -> None:
    import openvino

    openvino.save_model(engines.ENGINES["openvino"].convert(graph), path, compress_to_fp16=False)


def _quantise_openvino(graph: Graph, examples: np.ndarray, path: Path) -> None:
    import nncf
    import openvino

    nncf.set_log_level("ERROR")
    batches = nncf.Dataset([example[np.newaxis] for example in examples])
    # Its progress bars belong where those of `zoo` are.
    with contextlib.redirect_stdout(sys.stderr):
        model = nncf.quantize(engines.ENGINES["openvino"].convert(graph), batches, subset_size=len(examples))
    openvino.save_model(model, path, compress_to_fp16=False)


def _read_openvino(path: Path, _: Graph) -> Any:
    import openvino

    return openvino.Core().read_model(path)


def _write_litert(graph: Graph, path: Path, _: Decoder | None) -> None:
    path.write_bytes(engines.ENGINES["litert"].convert(graph).content)


def _quantise_litert(graph: Graph, examples: np.ndarray, path: Path) -> None:
    def set_up(converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)

    with warnings.catch_warnings():
        # The converter says so of every network whose input stays float32.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs", UserWarning)
        path.write_bytes(engines.convert_to_litert(graph, set_up).content)


FORMATS = {
    item.name: item
    for item in (
        Format("saved_model", "tensorflow", "model", _write_saved_model, None, None, _read_saved_model),
        Format("onnx", "onnxruntime", "model.onnx", _write_onnx, _quantise_onnx, None, lambda path, _: str(path)),
        Format("openvino", "openvino", "model.xml", _write_openvino, _quantise_openvino, "nncf", _read_openvino),
        Format("litert", "litert", "model.tflite", _write_litert, _quantise_litert, None,
               lambda path, graph: engines.LiteRT(path.read_bytes(), graph.output_names)),
    )
}  # fmt: skip
