"""A run folder, and what its best weights answer."""

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from zoo import data, training, weights
from zoo.messages import some
from zoo.report import Evaluation, LookedAt, write_report
from zoo.runs.drawing import draw_example
from zoo.runs.looking import look

FORMAT = 1
CONFIG, RESULT, METRICS, BEST = "config.json", "result.json", "metrics.jsonl", "best"
CHECKPOINTS, HEAD_CHECKPOINTS, REPORT = "checkpoints", "checkpoints_head", "report.html"

# The output of a model with auxiliary classifiers that counts.
PREDICTIONS = "predictions"

# Python takes over every so many steps; a call costs about as much as a step of the smallest networks.
STEPS_PER_CALL = 8


def open_run(folder: str | os.PathLike) -> "Run":
    """Open a run folder.

    Raises:
        ValueError: It is no run folder, or of a format that this version does not read.
    """
    folder = Path(folder)
    config = _read_json(folder / CONFIG)
    if config.get("format") != FORMAT:
        raise ValueError(f"{folder / CONFIG} has format {config.get('format')!r}, this version reads {FORMAT}.")
    return Run(folder, config)


@dataclass(frozen=True)
class Run:
    """A run folder, with the model and the data that belong to it; both are made when first needed.

    Attributes:
        folder: The run folder.
        config: What `config.json` says.
    """

    folder: Path
    config: Mapping[str, Any]

    def _keep(self, **parts: keras.Model | data.Dataset) -> None:
        """Take the model or the data that are there already."""
        self.__dict__.update(parts)

    @functools.cached_property
    def dataset(self) -> data.Dataset:
        """The data set that the run was trained on, with the same split."""
        return self._load_data(self.config["data"]["name"], self.config["data"].get("fold"))

    @functools.cached_property
    def model(self) -> keras.Model:
        """The model with its best weights; what only trained it, auxiliary classifiers, is left out."""
        model = self._trained
        if not self.config["model"]["arguments"].get("aux"):
            return model
        return keras.Model(model.input, model.output[PREDICTIONS], name=model.name)

    @functools.cached_property
    def _trained(self) -> keras.Model:
        """The model as it was trained, with its best weights."""
        name, arguments = self.config["model"]["name"], self.config["model"]["arguments"]
        try:
            stored = weights.open_weights(self.folder / BEST)
        except FileNotFoundError:
            raise ValueError(f"{self.folder} has no weights yet: its training ended before the first epoch.") from None
        model = zoo.create_model(name, **{**arguments, "input_shape": tuple(arguments["input_shape"])})
        return weights.load(model, stored)

    def _load_data(self, name: str, fold: Sequence[int] | None = None) -> data.Dataset:
        facts = self.config["data"]
        dataset = data.load(name, split_seed=facts["split_seed"], on_bad=facts["on_bad"])
        if fold is not None:
            dataset = dataset.fold(fold[0], of=fold[1], seed=facts["split_seed"])
        if self._is_of_arrays:
            return data.in_form(dataset, facts["form"])
        return dataset

    @property
    def _is_of_arrays(self) -> bool:
        """Whether the examples are no pictures."""
        return "form" in self.config["data"]

    def _input_form(self) -> dict[str, Any]:
        """Size, channels, range and decoder of the pictures that the model takes in."""
        if self._is_of_arrays:
            return {}
        facts = self.config["data"]
        return {
            "image_size": tuple(facts["image_size"]),
            "channels": self.config["model"]["arguments"]["input_shape"][-1],
            "value_range": tuple(facts["value_range"]),
            "decoder": facts.get("decoder", "exact"),
        }

    @property
    def preprocessing(self) -> weights.Preprocessing | None:
        """From a picture of any size to what the model takes; None where it takes no pictures."""
        if self._is_of_arrays:
            return None
        form = self._input_form()
        return weights.Preprocessing.from_value_range(
            form["value_range"], form["channels"], resize_size=form["image_size"], crop_mode="squash"
        )

    def examples(self, split: str, count: int, data_name: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Some examples of a split in the form that the model takes, in a random order that is always the same.

        Args:
            split: "train", "validation" or "test".
            count: The largest number of examples, at least 1.
            data_name: Another data set with the same classes; None for the run's own.

        Returns:
            (n, …) examples, and (n,) their classes as whole numbers.

        Raises:
            ValueError: The data cannot be read, or has other classes.
        """
        batches = self.pipeline(split, dataset=self._dataset_named(data_name), training=True)
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for values, labels in batches.epoch():
            found.append((values.numpy(), labels.numpy()))
            if sum(len(labels) for _, labels in found) >= count:
                break
        values, labels = (np.concatenate(part)[:count] for part in zip(*found, strict=True))
        return values, labels

    def pipeline(self, split: str, *, dataset: data.Dataset | None = None, **options: Any) -> data.Pipeline:
        """Batches of a split in the form that the model takes; `options` go to `zoo.data.Dataset.pipeline`."""
        batch_size = self.config["training"]["batch_size"]
        options = {**self._input_form(), **options}
        return (dataset or self.dataset).pipeline(split, batch_size=batch_size, **options)

    def evaluate(
        self, split: str = "test", data_name: str | None = None, *, answer: Callable[[np.ndarray], Any] | None = None
    ) -> dict[str, Any]:
        """Loss and accuracy of the best weights.

        Args:
            split: "train", "validation" or "test".
            data_name: Another data set with the same classes; None for the run's own.
            answer: What runs the network, such as a `zoo.deploy.Predictor` of its model; None for what trained it.

        Returns:
            `data`, `split`, `examples`, `loss` (cross-entropy in nats) and `accuracy` (0 to 1).

        Raises:
            ValueError: The data cannot be read, or has other classes.
        """
        dataset = self._dataset_named(data_name)
        batches = self.pipeline(split, dataset=dataset)
        scores = make_trainer(self.model, "sgd").evaluate(batches) if answer is None else _scores(batches, answer)
        return {"data": dataset.name, "split": split, "examples": batches.num_examples, **scores}

    def _dataset_named(self, name: str | None) -> data.Dataset:
        if name in (None, self.config["data"]["name"]):
            return self.dataset
        dataset = self._load_data(name)
        if list(dataset.classes) != list(self.config["data"]["classes"]):
            raise ValueError(
                f"{name} has other classes than the run. Expected: {some(self.config['data']['classes'])}. "
                f"Received: {some(dataset.classes)}"
            )
        return dataset

    def predict(
        self, paths: Sequence[str | os.PathLike], *, top: int = 5, answer: Callable[[np.ndarray], Any] | None = None
    ) -> list[list[tuple[str, float]]]:
        """The most probable classes of files.

        Args:
            paths: Files of what the model was trained on: pictures, sound, text or signals.
            top: Number of classes to return, at least 1.
            answer: What runs the network, such as a `zoo.deploy.Predictor` of its model; None for what trained it.

        Returns:
            For each file its `top` classes with their probabilities, the most probable first.

        Raises:
            ValueError: A file cannot be read; the message names it.
        """
        if top < 1:
            raise ValueError(f"top must be at least 1. Received: top={top}")
        classes = self.config["data"]["classes"]
        if self._is_of_arrays:
            read = data.example_reader(self.config["data"]["form"])
            pictures = [read(Path(path)) for path in paths]
        else:
            pictures = [data.read_image(path, **self._input_form()) for path in paths]
        examples = np.stack(pictures)
        if answer is None:
            batches = tf.data.Dataset.from_tensor_slices((examples, np.zeros(len(pictures), np.int32)))
            rows = self._probabilities(batches.batch(self.config["training"]["batch_size"]))
        else:
            rows = self._summing_to_1(answer(examples))
        return [[(classes[index], float(row[index])) for index in np.argsort(-row)[:top]] for row in rows]

    def _probabilities(self, batches: Any) -> np.ndarray:
        """(examples, classes), which sum to 1: also where the network was trained to answer for each class apart."""
        return self._summing_to_1(make_trainer(self.model, "sgd").predict(batches))

    def _summing_to_1(self, rows: np.ndarray) -> np.ndarray:
        if self.config["model"]["arguments"].get("classifier_activation", "softmax") == "softmax":
            return rows
        return rows / rows.sum(axis=-1, keepdims=True)

    def report(self, split: str = "test") -> Path:
        """Write `report.html` and `figures/` from the run folder; returns the page's path.

        Raises:
            ValueError: The training has not finished.
        """
        result = self.result()
        batches = self.pipeline(split)
        labels = np.concatenate([labels.numpy() for _, labels in batches.epoch()])
        value_range = tuple(self.config["data"]["value_range"])

        def example(index: int) -> np.ndarray:
            batch, place = divmod(index, batches.batch_size)
            return next(iter(batches.epoch(0, start=batch)))[0][place].numpy()

        def image(index: int) -> np.ndarray:
            if self._is_of_arrays:
                return draw_example(example(index), data.symbol_writer(self.config["data"]["form"]))
            return self.dataset.picture_of(example(index), value_range)

        evaluation = Evaluation(
            split=split,
            classes=tuple(self.config["data"]["classes"]),
            labels=labels,
            probabilities=self._probabilities(batches),
            image=image,
            name=lambda index: self.dataset.example_name(split, index),
        )
        return write_report(
            self.folder,
            config=dict(self.config),
            history=self.history(),
            result=result,
            card=zoo.model_card(self.config["model"]["name"]).to_dict(),
            evaluation=evaluation,
            filters=_first_filters(self.model),
            looked_at=self._look(evaluation, example),
        )

    def _look(self, evaluation: Evaluation, example: Callable[[int], np.ndarray]) -> LookedAt | None:
        """What the network looked at, of sound and text."""
        if not self._is_of_arrays:
            return None
        size = self.config["training"]["batch_size"]

        def answer(values: np.ndarray) -> np.ndarray:
            parts = [self.model(values[start : start + size], training=False) for start in range(0, len(values), size)]
            return self._summing_to_1(np.concatenate([np.asarray(part) for part in parts]))

        known = self.dataset.splits["train"]
        assert isinstance(known, data.Arrays)
        return look(self.model, answer, self.config["data"]["form"], evaluation, example, known.values)

    def result(self) -> dict[str, Any]:
        """What `result.json` says: why training stopped, the best epoch, the scores on the test split.

        Raises:
            ValueError: The training has not finished.
        """
        return _read_json(self.folder / RESULT)

    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; a last line without an end is left out."""
        text = (self.folder / METRICS).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _scores(batches: data.Pipeline, answer: Callable[[np.ndarray], Any]) -> dict[str, float]:
    """Loss and accuracy of what answers, over one epoch."""
    rows, labels = zip(*((answer(images.numpy()), labels.numpy()) for images, labels in batches.epoch()), strict=True)
    probabilities, expected = np.concatenate(rows), np.concatenate(labels)
    right = probabilities.argmax(axis=-1) == expected
    loss = training.CrossEntropy()(expected, probabilities)
    return {"loss": float(loss), "accuracy": float(right.mean())}


def make_trainer(
    model: keras.Model | Callable[[], keras.Model],
    optimizer: keras.Optimizer | str | Callable[[keras.Model], keras.Optimizer],
    *,
    loss: keras.losses.Loss | None = None,
    steps_per_call: int = STEPS_PER_CALL,
    **options: Any,
) -> training.Trainer:
    """The trainer of a classifier: accuracy and cross-entropy, whatever loss it is trained by."""
    return training.Trainer(
        model,
        optimizer=optimizer,
        loss=loss or training.CrossEntropy(),
        evaluation_loss=training.CrossEntropy(),
        metrics=[training.Accuracy()],
        steps_per_call=steps_per_call,
        **options,
    )


def _first_filters(model: keras.Model) -> np.ndarray | None:
    """The kernel (height, width, channels, filters) of the first 2-D convolution, or None."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            return keras.ops.convert_to_numpy(layer.kernel)
    return None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} is no finished run: it has no {path.name}.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
