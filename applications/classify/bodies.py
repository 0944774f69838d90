"""What is fine-tuned: a body and its weights, by name; settings of its training; what it makes of pictures."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import zoo
from applications.classify.config import STAGES, FineTuning
from zoo import runs, training
from zoo.training.hyperparameters import ALIASES


def named(text: str) -> tuple[str, str | None]:
    """Body and weights of a name.

    Args:
        text: `resnet50:torchvision.v2`, a registered name with a tag of published weights; `resnet20:runs/x`, one
            with the path of a run or of weights; `resnet50` for its default weights; `runs/x`, a run's network with
            its weights; `resnet20:none` for random weights.

    Raises:
        ValueError: There is no such network, it is none for pictures, or it has no published weights.
    """
    name, colon, weights = text.partition(":")
    if (Path(text) / "config.json").is_file():
        config = json.loads((Path(text) / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config.get("model"), Mapping):
            raise ValueError(f"{text} is no run of a classifier. Give one that zoo train or zoo finetune has made.")
        return _pictures(config["model"]["name"]), text
    card = zoo.model_card(_pictures(name))
    if weights == "none":
        return name, None
    if not colon and not card.weights:
        raise ValueError(
            f"{name} has no published weights. Give those of a run, {name}:runs/x, or {name}:none for random ones."
        )
    return name, weights or "default"


def _pictures(name: str) -> str:
    card = zoo.model_card(name)
    if card.modality != "image":
        raise ValueError(f"zoo finetune takes networks for pictures. Received: {name!r}, a network for {card.modality}")
    return name


def settings(config: FineTuning, **others: Any) -> runs.Settings:
    """The settings of a run.

    Args:
        config: What is fine-tuned.
        **others: Settings that take the place of its own.

    Raises:
        ValueError: A hyper-parameter is not known, or a value is out of its range.
    """
    known = {item.name for item in dataclasses.fields(runs.Settings)}
    changes = {ALIASES.get(name, name): value for name, value in config.changes.items()}
    knobs = {name: value for name, value in changes.items() if name not in known}
    values = {name: value for name, value in changes.items() if name in known}
    values |= {"data": config.data, "weights": config.weights, "seed": config.seed, **others}
    if knobs:
        values["knobs"] = {**values.get("knobs", {}), **knobs}
    stages = STAGES if values["weights"] is not None else {**STAGES, "batch_norm": "train"}

    def made(**own: Any) -> runs.Settings:
        if config.recipe is not None:
            return runs.Settings.from_recipe(config.recipe, model=config.body, **{**values, **own})
        return runs.Settings(model=config.body, **{**stages, **values, **own})

    chosen = made()
    if chosen.weights is None:  # nothing to be kept: everything at once, for as many epochs as both stages have
        chosen = made(epochs=chosen.epochs + chosen.head_epochs, head_epochs=0, layer_decay=1.0)
    return chosen


def replaced(chosen: runs.Settings) -> str:
    """What of the weights stays and what is new, in one line."""
    if chosen.weights is None:
        return f"{chosen.model} from scratch"
    run = runs.run_of_weights(chosen.weights)
    source = chosen.weights if run is None else f"{chosen.weights} ({len(run.config['data']['classes'])} classes)"
    return f"{chosen.model} with the weights {source}"


def features(chosen: runs.Settings, run: runs.Run) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What the network with its weights gives to its last layer, averaged over all positions where it has some.

    Args:
        chosen: The settings, with weights.
        run: What `zoo.runs.prepare` made of them.

    Returns:
        For each split (examples, features) float32 and the classes, (examples,).
    """
    arguments = dict(run.config["model"]["arguments"])
    arguments.pop("aux", None)
    shape = tuple(arguments.pop("input_shape"))
    model = zoo.create_model(chosen.model, weights=chosen.weights, input_shape=shape, **arguments)
    x = next(layer for layer in reversed(model.layers) if layer.weights).input
    if len(x.shape) > 2:
        x = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    trainer = training.Trainer(keras.Model(model.input, x), optimizer="sgd", loss="mse", metrics=())
    found = {}
    for split in run.dataset.splits:
        batches = run.pipeline(split)
        labels = np.concatenate([labels.numpy() for _, labels in batches.epoch()])
        found[split] = trainer.predict(batches).astype(np.float32), labels
    return found


def pixels(run: runs.Run) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The pictures themselves, as `features` returns what a body makes of them."""
    found = {}
    for split in run.dataset.splits:
        pairs = [(pictures.numpy(), labels.numpy()) for pictures, labels in run.pipeline(split).epoch()]
        values = np.concatenate([pictures.reshape(len(pictures), -1) for pictures, _ in pairs])
        found[split] = values, np.concatenate([labels for _, labels in pairs])
    return found
