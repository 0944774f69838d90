"""A trained network with its encoder: from positions to probabilities of moves and values."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from zoo import runs, weights
from zoo.data import DataError
from zoo.data.go import Board, Encoder, encoder, symmetries
from zoo.data.go.encoders import View
from zoo.data.go.ladders import Ladders
from zoo.files import write_json
from zoo.runs.run import BEST, CONFIG, FORMAT, RESULT

_NO_LADDERS = Ladders()


class Network:
    """A policy, with a value where the network has one.

    Args:
        model: Takes planes; gives probabilities of the points, or a dict of "predictions", with the pass last, and
            "value" from -1 to 1.
        item: The encoder that belongs to the planes.

    Raises:
        DataError: Model and encoder do not belong together.
    """

    def __init__(self, model: keras.Model, item: Encoder) -> None:
        size, planes = _checked(model, item)
        outputs = model.output if isinstance(model.output, dict) else {"predictions": model.output}
        if "predictions" not in outputs:
            raise DataError(f"A player needs a policy. Received: a network with the outputs {', '.join(outputs)}")
        self.model = model
        self.encoder = item
        self.size = size
        self.has_value = "value" in outputs
        self.has_pass = outputs["predictions"].shape[-1] == size * size + 1
        self._call = tf.function(self._run, input_signature=[tf.TensorSpec((None, size, size, planes), tf.float32)])

    def _run(self, planes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = self.model(planes, training=False)
        if not isinstance(outputs, dict):
            return outputs, tf.zeros((tf.shape(outputs)[0],))
        policy = outputs["predictions"]
        return policy, outputs["value"][:, 0] if self.has_value else tf.zeros((tf.shape(policy)[0],))

    def __call__(self, boards: Sequence[Board], *, symmetric: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """What the network says of positions, illegal moves and all.

        Args:
            boards: Positions on boards of the network's size.
            symmetric: Whether the mean over the board's eight symmetries is taken, as AlphaGo did in its table.

        Returns:
            Probabilities (n, points or points + 1 with the pass) and values (n,), zeros without a value head.
        """
        planes = np.stack([self.encoder.encode(board) for board in boards])
        return self.judge(planes, symmetric=symmetric)

    def judge(self, planes: np.ndarray, *, symmetric: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The same of positions that are encoded already, (n, size, size, planes)."""
        planes = planes.astype(np.float32)
        if not symmetric:
            policy, value = self._call(planes)
            return policy.numpy(), value.numpy()
        count = len(planes)
        views = [symmetries.transform(planes, number) for number in range(symmetries.NUM_SYMMETRIES)]
        policy, value = (output.numpy() for output in self._call(np.concatenate(views)))
        back = symmetries.moves(self.size)[:, : policy.shape[1]]
        parts = [policy[number * count : (number + 1) * count][:, back[number]] for number in range(len(views))]
        return np.mean(parts, axis=0), value.reshape(len(views), count).mean(axis=0)


class ValueNetwork:
    """A network that says who wins, and nothing else, as AlphaGo's value network.

    Args:
        model: Takes planes; gives a dict of "value", (batch, 1) from -1 to 1.
        item: The encoder that belongs to the planes.

    Raises:
        DataError: Model and encoder do not belong together, or the model has no value.
    """

    def __init__(self, model: keras.Model, item: Encoder) -> None:
        size, planes = _checked(model, item)
        if not isinstance(model.output, dict) or "value" not in model.output:
            raise DataError("Who wins is said by networks with a value, such as go_value. Received: one without.")
        self.model = model
        self.encoder = item
        self.size = size
        self._call = tf.function(self._run, input_signature=[tf.TensorSpec((None, size, size, planes), tf.float32)])

    def _run(self, planes: tf.Tensor) -> tf.Tensor:
        return self.model(planes, training=False)["value"][:, 0]

    def judge(self, planes: np.ndarray) -> np.ndarray:
        """Values of positions that are encoded already: from (n, size, size, planes) to (n,), -1 to 1."""
        return self._call(planes.astype(np.float32)).numpy()


def _checked(model: keras.Model, item: Encoder) -> tuple[int, int]:
    """Size of the board and number of planes of a model, which are the encoder's."""
    size, _, planes = model.input_shape[1:]
    if planes != item.num_planes:
        raise DataError(f"The network takes {planes} planes. Received: encoder {item.name} of {item.num_planes}")
    return size, planes


def sensible_moves(board: Board) -> int:
    """The set of legal moves that do not fill an own eye."""
    return board.legal() & ~View(board, _NO_LADDERS).eyes


def load_network(folder: str | os.PathLike) -> Network:
    """The network of a run folder that was trained on games.

    Raises:
        ValueError: It is no such folder.
    """
    return Network(*_read(folder))


def load_value(folder: str | os.PathLike) -> ValueNetwork:
    """The value network of a run folder, of `zoo go train-value` or of a network with two heads.

    Raises:
        ValueError: It is no such folder.
    """
    return ValueNetwork(*_read(folder))


def _read(folder: str | os.PathLike) -> tuple[keras.Model, Encoder]:
    run = runs.open_run(Path(folder))
    return run.model, encoder(run.config["data"].get("encoder") or encoder_of(run.config["data"]["name"]))


def check_new(folder: str | os.PathLike) -> None:
    """Refuse a run folder that holds something.

    Raises:
        DataError: It does.
    """
    if Path(folder).exists() and (not Path(folder).is_dir() or any(Path(folder).iterdir())):
        raise DataError(f"{folder} is not empty; a run needs a folder of its own.")


def write_run(
    folder: str | os.PathLike,
    model: keras.Model,
    *,
    name: str,
    arguments: Mapping[str, Any],
    item: Encoder,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    result: Mapping[str, Any],
) -> None:
    """Write a trained network as a run folder, which `load_network` and `zoo` read.

    Args:
        folder: Made if it does not exist.
        model: The network.
        name: Its registered name.
        arguments: What `zoo.create_model` was given.
        item: The encoder.
        data: Where the games are from: "name", and what else is to be known.
        settings: Of the training.
        seed: Of the training.
        result: What was measured.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(model, folder / BEST)
    size = arguments["input_shape"][0]
    config = {
        "format": FORMAT,
        "model": {"name": name, "arguments": dict(arguments)},
        "data": {
            **data, "encoder": item.name, "split_seed": 0, "on_bad": "count", "value_range": item.value_range,
            "image_size": (size, size), "classes": ["move"] * arguments["classes"],
        },
        "training": dict(settings),
        "seed": seed,
    }  # fmt: skip
    write_json(folder / CONFIG, config)
    write_json(folder / RESULT, dict(result))


def encoder_of(data_name: str) -> str:
    """The encoder in the name of a data set, such as "go:games:tactical".

    Raises:
        DataError: It is no data set of games.
    """
    from zoo.data.go.positions import DEFAULT_ENCODER, INDEX, read_shards

    kind, _, rest = data_name.partition(":")
    path, _, options = rest.partition(":")
    if kind != "go":
        raise DataError(f"The run was not trained on games of Go. Received: data {data_name!r}")
    if wanted := options.partition(":")[0]:
        return wanted
    return read_shards(path).encoder.name if (Path(path) / INDEX).is_file() else DEFAULT_ENCODER
