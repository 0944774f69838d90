"""A network written to a file of another runtime, proven in that runtime before it counts.

An export is a folder: the file, and `manifest.json`, which says what the file takes and gives, what made it, and how
far its answers are from Keras's on the examples that it was compared on. It is written beside its place and renamed
when all is proven, so that a folder that is there is whole.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from zoo.deploy import engines, formats
from zoo.deploy.differences import by_name, expected_of, flat, in_batches, relative_difference
from zoo.deploy.folding import fold
from zoo.deploy.graphs import Graph, fixed, input_of, output_names
from zoo.files import sha256, sync_folder, write_json

if TYPE_CHECKING:
    from zoo.weights.preprocessing import Preprocessing

FORMAT = 1
MANIFEST = "manifest.json"

# Largest difference from Keras, as a part of the largest output, of an export in float32.
TOLERANCE = 1e-3
# The same of pictures that another decoder read: a few pixels are one step of 255 brighter or darker.
JPEG_TOLERANCE = 0.05

_PACKAGES = (
    "cnn-zoo", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx", "openvino", "nncf", "ai-edge-litert"
)  # fmt: skip


@dataclass(frozen=True)
class Export:
    """An export that was written or opened.

    Attributes:
        folder: Where it lies.
        manifest: What `manifest.json` says.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def format(self) -> formats.Format:
        return formats.FORMATS[self.manifest["to"]]

    @property
    def graph(self) -> Graph:
        """What the file takes and gives; the network itself is in the file."""
        shape, dtype = self.input
        return Graph(None, (None, *shape), dtype, tuple(self.manifest["outputs"]["names"]))

    @property
    def input(self) -> tuple[tuple[int, ...], str]:
        """Shape of an example, and its type."""
        return tuple(self.manifest["input"]["shape"]), self.manifest["input"]["dtype"]

    def start(self, precision: str, batch_size: int, threads: int | None, shape: tuple[int, ...]) -> engines.Call:
        """The compiled call of the file's engine for a size of batch."""
        graph = self.graph
        artifact = self.format.read(self.folder / self.format.file, graph)
        engine = engines.ENGINES[self.format.engine]
        return engines.answering(graph, engine.start(artifact, (batch_size, *shape), precision, threads))


def export(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    to: str,
    examples: np.ndarray,
    labels: np.ndarray | None = None,
    int8: bool = False,
    calibrate: np.ndarray | None = None,
    max_loss: float = 0.02,
    preprocessing: "Preprocessing | None" = None,
    inside: bool = False,
    input_shape: Sequence[int] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Export:
    """Write a network for another runtime; it is read again there and compared before it counts.

    Batch norm is folded, the batch may be of any size. A SavedModel with preprocessing has a second signature,
    `serving_jpeg`, which takes JPEG or PNG files as strings and resizes them too.

    Args:
        model: A built model with one input.
        path: Folder to make.
        to: "saved_model", "onnx", "openvino" or "litert".
        examples: What to compare on, at least one: (n, …) as the model takes it, or with `inside` pixels of 0…255.
        labels: Their classes (n,), for the accuracy that int8 costs; None where they are not known: then the part of
            the examples counts that gets the same class as from Keras.
        int8: Whether weights and activations become whole numbers of 8 bits.
        calibrate: (n, …) examples for that, as `examples`, some hundreds, not those that are compared.
        max_loss: The largest loss of accuracy by int8 with which the export counts, 0 to 1.
        preprocessing: What belongs to the weights, for the manifest and the SavedModel's second signature.
        inside: Whether its scaling goes into the file, which then takes pixels as uint8. Resizing stays outside.
        input_shape: Shape of an example, for a model whose own is not fixed; None for the model's own.
        facts: What else the manifest shall say.

    Returns:
        The export, opened.

    Raises:
        ValueError: An argument is not legal, a package is missing, the folder is there already, or the answers in the
            other runtime are not Keras's.

    Example:
        >>> import tempfile, zoo
        >>> from zoo.deploy import Predictor, example_inputs, export
        >>> model = zoo.create_model("lenet5")
        >>> folder = tempfile.mkdtemp() + "/lenet5"
        >>> written = export(model, folder, to="saved_model", examples=example_inputs(model, 4))
        >>> written.manifest["compared"]["difference"] < 1e-3
        True
        >>> Predictor(folder)(example_inputs(model, 4)).shape
        (4, 10)
    """
    kind, path = formats.find(to, int8=int8), Path(path)
    shape = tuple(input_shape) if input_shape else input_of(model)[0]
    _refuse(shape, path, examples, labels, int8, calibrate, max_loss, preprocessing, inside)
    if inside:
        assert preprocessing is not None
        model = with_preprocessing(model, preprocessing)
    prepared = fold(model)
    examples = examples.astype(input_of(model)[1])
    expected = expected_of(model, examples)
    graph = engines.ENGINES[kind.engine].graph(prepared, shape, output_names(model))
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.absolute().parent))
    try:
        file = temporary / kind.file
        if int8:
            assert kind.quantise is not None
            assert calibrate is not None
            kind.quantise(graph, calibrate.astype(graph.dtype), file)
        else:
            decode = _decoder(graph, preprocessing, inside) if preprocessing is not None else None
            kind.write(graph, file, decode)
        manifest = {
            "format": FORMAT,
            "to": to,
            "model": model.name,
            "precision": "int8" if int8 else "float32",
            "input": {"shape": list(graph.shape[1:]), "dtype": graph.dtype},
            "outputs": {
                "names": list(graph.outputs),
                "shapes": [list(tensor.shape[1:]) for tensor in graph.function.outputs],
            },
            "preprocessing": None if preprocessing is None else preprocessing.to_config(),
            "preprocessing_inside": inside,
            "versions": dict(_versions()),
            **(facts or {}),
        }
        written = Export(temporary, manifest)
        compared = _compared(written, graph, examples, labels, expected, max_loss)
        if to == "saved_model" and preprocessing is not None:
            compared["jpeg_difference"] = _jpeg_difference(written, model, preprocessing, inside)
        files = sorted(item for item in temporary.rglob("*") if item.is_file())
        hashes = {str(item.relative_to(temporary)): sha256(item) for item in files}
        manifest |= {"bytes": sum(item.stat().st_size for item in files), "sha256": hashes, "compared": compared}
        write_json(temporary / MANIFEST, manifest)
        temporary.chmod(0o755)
        temporary.rename(path)
        sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Export(path, manifest)


def open_export(path: str | os.PathLike) -> Export:
    """Open what `export` wrote; its files are proven to be whole.

    Raises:
        ValueError: It is no export, of a format that this version does not read, or damaged.
    """
    folder = Path(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} is no export: it has no {MANIFEST}.") from None
    except ValueError as error:
        raise ValueError(f"{folder / MANIFEST} is damaged: {error}.") from None
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ValueError(f"{folder} is no export: its {MANIFEST} is of something else.")
    if manifest["format"] != FORMAT:
        raise ValueError(f"{folder / MANIFEST} has format {manifest['format']!r}, this version reads {FORMAT}.")
    if "to" not in manifest:
        raise ValueError(f"{folder} is no export: its {MANIFEST} is of something else, such as weights.")
    for name, digest in manifest["sha256"].items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ValueError(f"{folder / name} is missing or not what was written. Export again.")
    return Export(folder, manifest)


def with_preprocessing(model: keras.Model, preprocessing: "Preprocessing") -> keras.Model:
    """The model behind the scaling of its pictures: it takes pixels of 0…255 as uint8; a list of outputs is a dict."""
    shape, _ = input_of(model)
    pixels = keras.Input(shape, dtype="uint8", name="pixels")
    return keras.Model(pixels, by_name(model, model(preprocessing.layer()(pixels))), name=model.name)


def refuse_path(path: str | os.PathLike) -> None:
    """Raise a ValueError if an export cannot be written there: it is there already, or its folder is not."""
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path} is there already. Remove it, or give another folder.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is no folder. Make it, or give another one.")


def _refuse(
    shape: tuple[int | None, ...],
    path: Path,
    examples: np.ndarray,
    labels: np.ndarray | None,
    int8: bool,
    calibrate: np.ndarray | None,
    max_loss: float,
    preprocessing: "Preprocessing | None",
    inside: bool,
) -> None:
    """Before anything expensive."""
    if fixed(shape) is None:
        raise ValueError(f"The size of the input must be known. Received: shape {shape}. Give input_shape.")
    refuse_path(path)
    if int8 != (calibrate is not None):
        raise ValueError(
            "int8 needs examples to find the ranges of activations by, and nothing else does. "
            f"Received: int8={int8}, calibrate={'None' if calibrate is None else calibrate.shape}"
        )
    if not 0 <= max_loss <= 1:
        raise ValueError(f"max_loss must be from 0 to 1. Received: max_loss={max_loss!r}")
    if inside and preprocessing is None:
        raise ValueError("inside needs preprocessing. Received: preprocessing=None")
    for name, values in (("examples", examples), ("calibrate", calibrate)):
        if values is not None and (values.shape[1:] != shape or not len(values)):
            raise ValueError(f"{name} must be of shape (n, {str(shape)[1:]}. Received: {values.shape}")
    if labels is not None and labels.shape != examples.shape[:1]:
        raise ValueError(f"labels must be one to each of {len(examples)} examples. Received: {labels.shape}")


def _compared(
    written: Export,
    graph: Graph,
    examples: np.ndarray,
    labels: np.ndarray | None,
    expected: list[np.ndarray],
    max_loss: float,
) -> dict[str, Any]:
    """How the file answers in its own runtime, at two sizes of batch; raises where that is not what Keras answers."""
    shape = examples.shape[1:]
    one = written.start("float32", 1, None, shape)
    found = in_batches(one, examples, 1)
    several = min(len(examples), 3)
    together = flat(written.start("float32", several, None, shape)(examples[:several]))
    to, int8 = written.manifest["to"], written.manifest["precision"] == "int8"
    batches = relative_difference(together, [value[:several] for value in found])
    if not batches <= (JPEG_TOLERANCE if int8 else TOLERANCE):
        raise ValueError(f"{to} answers otherwise in a batch of {several} than for one (by {batches:.1e}).")
    difference = relative_difference(found, expected)
    compared: dict[str, Any] = {"examples": len(examples), "difference": difference}
    if not int8:
        if not difference <= TOLERANCE:
            raise ValueError(
                f"{to} answers otherwise than Keras: by {difference:.1e} of the largest output, more than "
                f"{TOLERANCE:g}. Nothing was written."
            )
        return compared
    if not np.isfinite(difference):
        raise ValueError(f"{to} in int8 gives values that are not finite. Nothing was written.")
    says_classes = len(expected) == 1 and expected[0].ndim == 2 and expected[0].shape[1] > 1
    if not says_classes:
        return compared
    before, after = expected[0].argmax(axis=-1), found[0].argmax(axis=-1)
    compared["same_class"] = float((before == after).mean())
    loss = 1 - compared["same_class"]
    if labels is not None:
        accuracy = {"float32": float((before == labels).mean()), "int8": float((after == labels).mean())}
        compared["accuracy"] = accuracy
        loss = accuracy["float32"] - accuracy["int8"]
    if loss > max_loss:
        what = "the accuracy falls by" if labels is not None else "the part that gets another class is"
        raise ValueError(
            f"int8 costs too much: {what} {100 * loss:.1f} % of {len(examples)} examples, more than "
            f"{100 * max_loss:g} %. Nothing was written. Calibrate on more examples, or allow more."
        )
    return compared


def _decoder(graph: Graph, preprocessing: "Preprocessing", inside: bool) -> formats.Decoder:
    """From the content of a JPEG or PNG file to an example."""
    shape = graph.shape[1:]
    layer = (pixels_only(preprocessing) if inside else preprocessing).layer(resize=True)

    def decode(content: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
        example = layer((_luma(pixels) if shape[-1] == 1 else pixels)[tf.newaxis])[0]
        return tf.ensure_shape(whole_pixels(example) if inside else example, shape)

    return decode


def pixels_only(preprocessing: "Preprocessing") -> "Preprocessing":
    """What resizes and crops as another preprocessing does, and leaves the values at 0…255."""
    mean = tuple(value / preprocessing.rescale for value in preprocessing.mean)
    if preprocessing.channel_order == "BGR":
        mean = mean[::-1]
    ones = (1.0,) * len(mean)
    # The mean, which is what margins are filled with, is taken off and put on again.
    return replace(preprocessing, rescale=1.0, mean=mean, std=ones, channel_order="RGB", input_transform=(ones, mean))


def whole_pixels(values: tf.Tensor) -> tf.Tensor:
    """Values of 0…255 as uint8."""
    return tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)


def _luma(pixels: tf.Tensor) -> tf.Tensor:
    """Grey after ITU-R 601, in whole numbers as Pillow does it."""
    red, green, blue = tf.unstack(tf.cast(pixels, tf.int32), axis=-1)
    grey = tf.bitwise.right_shift(19595 * red + 38470 * green + 7471 * blue + 0x8000, 16)
    return tf.cast(grey, tf.uint8)[..., tf.newaxis]


def _jpeg_difference(written: Export, model: keras.Model, preprocessing: "Preprocessing", inside: bool) -> float:
    """How far the signature for files is from Keras on the same pictures, read by Pillow; raises where too far."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    shape = written.graph.shape[1:]
    contents, arrays = [], []
    for photo in load_sample_images().images:
        picture = Image.fromarray(photo)
        file = BytesIO()
        picture.save(file, "JPEG", quality=95)
        contents.append(file.getvalue())
        read = Image.open(file)
        arrays.append(np.asarray(read.convert("L"))[..., None] if shape[-1] == 1 else np.asarray(read))
    values = [whole_pixels(pixels_only(preprocessing)(array)) if inside else preprocessing(array) for array in arrays]
    expected = expected_of(model, np.stack(values))
    loaded = tf.saved_model.load(str(written.folder / written.format.file))
    answers = loaded.signatures[formats.JPEG_SIGNATURE](contents=tf.constant(contents))
    found = [answers[name].numpy() for name in sorted(written.graph.output_names)]
    difference = relative_difference(found, expected)
    if not difference <= JPEG_TOLERANCE:
        raise ValueError(
            f"The signature for files answers otherwise than Keras: by {difference:.1e} of the largest output. "
            "Nothing was written."
        )
    return difference


def _versions() -> Iterable[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
