"""What each ingredient of a recipe is worth on the digits, and the recipe that is made of those that help.

    python benchmarks/recipe_ingredients.py
    python benchmarks/recipe_ingredients.py --models simple_cnn --epochs 10 --out table.md

scikit-learn's 1,797 digits, so that no network is needed. The training and validation splits together, 1,438 pictures,
are cut into five folds. Each row trains five networks, each on four folds with a seed of its own; the fifth fold says
how good it is, and with that fold alone ingredients are chosen. "chosen" has all that beat the plain training in the
mean over the folds; "chosen, long" has three times the epochs. The last row is the zoo's recipe `small_data`. The test
split, 359 pictures, takes no part in any choice; its column is computed for the same networks and read when the table
is printed.

Plain is AdamW with a constant rate of 0.003, a decay of 0.05 on everything, batches of 64, and the last weights. ± is
half the width of a 95 % interval for the mean, by Student's t with four degrees of freedom; it counts the chance of
seed and fold, not that of the 1,797 pictures. Trainings that `--results` holds already are not repeated.
"""

import argparse
import functools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy import stats
from sklearn.model_selection import StratifiedKFold

import zoo
from zoo.data.dataset import Source
from zoo.training import Accuracy, CrossEntropy, Hyperparameters, Trainer, seed_everything

FOLDS, BATCH_SIZE, STEPS_PER_CALL, LONG = 5, 64, 8, 3
# Epochs of a training; a residual network learns the digits in fewer, and each takes longer.
EPOCHS = {"simple_cnn": 30, "resnet20": 12}
RECIPE = "small_data"
PLAIN: dict[str, Any] = {"batch_size": BATCH_SIZE, "augment": "", "plateau": 0, "patience": None}
INGREDIENTS: dict[str, dict[str, Any]] = {
    "shift by 1 pixel": {"augment": "shift=1"},
    "flip": {"augment": "flip"},
    "TrivialAugment": {"augment": "trivialaugment"},
    "mixup 0.2": {"mixup": 0.2},
    "cutmix 1.0, half of the batches": {"cutmix": 1.0, "mix_probability": 0.5},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "average of the weights, 0.98": {"average": 0.98},
    "drop path 0.1": {"knobs": {"drop_path": 0.1}},
    "decay on kernels alone": {"decay_on": "kernels"},
    "cosine, warm-up of 2 epochs": {"schedule": "cosine", "warmup_epochs": 2},
}
COLUMNS = ("model", "training", "folds %", "±", "test %", "±", "wrong of 359")


def has_ingredient(model: str, changes: Mapping[str, Any]) -> bool:
    """Whether a network has the knobs that an ingredient sets."""
    return not changes.get("knobs") or model != "simple_cnn"


def combined(names: Sequence[str]) -> dict[str, Any]:
    """Several ingredients as one; augmentations come one after the other."""
    parts = [INGREDIENTS[name] for name in names]
    together: dict[str, Any] = functools.reduce(lambda all_, part: {**all_, **part}, parts, {})
    together["augment"] = "+".join(part["augment"] for part in parts if "augment" in part)
    if "mixup" in together and "cutmix" in together:
        together["mix_probability"] = 0.75
    return together


def differences(hyper: Hyperparameters) -> dict[str, Any]:
    """In what hyper-parameters differ from the plain ones, but for the epochs."""
    plain = Hyperparameters(**PLAIN)
    names = (item.name for item in fields(hyper) if item.name != "epochs")
    return {name: getattr(hyper, name) for name in names if getattr(hyper, name) != getattr(plain, name)}


@functools.cache
def fold_data(fold: int) -> zoo.data.Dataset:
    """The digits with four folds as the training split and the fifth as the validation split."""
    digits = zoo.data.load("digits")
    parts = [digits.splits[split] for split in ("train", "validation")]
    labels = np.concatenate([part.labels for part in parts])
    places = [(part, index) for part in parts for index in range(len(part))]
    cut = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels)
    chosen = list(cut)[fold]

    def subset(indices: np.ndarray) -> Source:
        def content(index: int) -> bytes:
            part, place = places[indices[index]]
            return part.content(place)

        names = [places[index][0].names[places[index][1]] for index in indices]
        return Source(labels=labels[indices], names=names, content=content)

    splits = dict(zip(("train", "validation"), map(subset, chosen), strict=True))
    return replace(digits, splits={**splits, "test": digits.splits["test"]})


class _Learner:
    """The trainer of one row: its graphs are traced once, and each fold begins with new weights."""

    key: tuple[Any, ...] = ()
    trainer: Trainer
    unused: list[np.ndarray]


def new_trainer(model: str, shape: tuple[int, int, int], hyper: Hyperparameters, steps_per_epoch: int) -> Trainer:
    """A trainer with new weights, whose optimizer has seen nothing."""

    def make() -> keras.Model:
        return zoo.create_model(model, classes=10, input_shape=shape, **hyper.knobs)

    key = (model, shape, repr(replace(hyper, augment="")), steps_per_epoch)
    if _Learner.key != key:
        keras.utils.clear_session()
        _Learner.trainer = Trainer(
            make,
            optimizer=lambda network: hyper.make_optimizer(network, steps_per_epoch),
            loss=hyper.make_loss(),
            evaluation_loss=CrossEntropy(),
            metrics=[Accuracy()],
            steps_per_call=STEPS_PER_CALL,
        )
        _Learner.key = key
        _Learner.unused = [np.array(variable.numpy()) for variable in _Learner.trainer.optimizer.variables]
        return _Learner.trainer
    trainer = _Learner.trainer
    for variable, new in zip(trainer.model.variables, make().variables, strict=True):
        variable.assign(new)
    for variable, value in zip(trainer.optimizer.variables, _Learner.unused, strict=True):
        variable.assign(value)
    return trainer


def learn(model: str, hyper: Hyperparameters, fold: int) -> dict[str, float]:
    """Train one network on four folds; its accuracy on the fifth and on the test split, 0 to 1."""
    data, card = fold_data(fold), zoo.model_card(model)
    size = card.input_shape[:2] if card.min_size > 8 else (8, 8)
    form = {"batch_size": hyper.batch_size, "image_size": size, "value_range": card.value_range}
    random: dict[str, Any] = {"augmentation": zoo.data.Augmentation.parse(hyper.augment)}
    if hyper.mixup or hyper.cutmix:
        random["mix"] = zoo.data.Mix(
            mixup=hyper.mixup, cutmix=hyper.cutmix, probability=hyper.mix_probability, switch=hyper.mix_switch
        )
    train = data.pipeline("train", **form, training=True, seed=fold, **random)
    seed_everything(fold)
    trainer = new_trainer(model, (*size, 1), hyper, len(train))
    trainer.fit(train, epochs=hyper.epochs)
    scores = {split: trainer.evaluate(data.pipeline(split, **form))["accuracy"] for split in ("validation", "test")}
    return {"fold": scores["validation"], "test": scores["test"]}


class Results:
    """The trainings that are done, one line of JSON each, by model, changes and fold."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else []
        self._known = dict(map(json.loads, lines))

    def of(self, model: str, epochs: int, changes: Mapping[str, Any]) -> list[dict[str, float]]:
        """The scores of all folds."""
        hyper = Hyperparameters(**{**PLAIN, "epochs": epochs, **changes})
        return [self._one(model, hyper, changes, fold) for fold in range(FOLDS)]

    def _one(self, model: str, hyper: Hyperparameters, changes: Mapping[str, Any], fold: int) -> dict[str, float]:
        key = json.dumps([model, hyper.epochs, dict(changes), fold], sort_keys=True)
        if key not in self._known:
            self._known[key] = learn(model, hyper, fold)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]


def interval(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval for the mean."""
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def mean_of(scores: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([score[name] for score in scores]))


def row(model: str, training: str, scores: Sequence[Mapping[str, float]]) -> list[str]:
    cells = [model, training]
    for name in ("fold", "test"):
        values = [100 * score[name] for score in scores]
        cells += [f"{np.mean(values):.2f}", f"{interval(values):.2f}"]
    wrong = np.mean([round(359 * (1 - score["test"])) for score in scores])
    return [*cells, f"{wrong:.1f}"]


def main(arguments: Sequence[str] | None = None) -> list[list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=EPOCHS, default=list(EPOCHS), help="networks (default: both)")
    parser.add_argument("--epochs", type=int, help="epochs of a training (default: 30 for simple_cnn, 12 for resnet20)")
    parser.add_argument("--only", nargs="+", choices=INGREDIENTS, metavar="INGREDIENT",
                        help=f"of {', '.join(INGREDIENTS)} (default: all)")  # fmt: skip
    parser.add_argument("--results", type=Path, help="file that keeps each training, to go on after an interruption")
    parser.add_argument("--out", type=Path, help="file for the table, besides the screen")
    options = parser.parse_args(arguments)
    if options.epochs is not None and options.epochs < 3:
        parser.error(f"--epochs must be at least 3, more than the warm-up. Received: {options.epochs}")
    results, rows = Results(options.results), []
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- | --- |" + " ---: |" * (len(COLUMNS) - 2)]
    print("\n".join(lines), flush=True)

    def add(model: str, training: str, epochs: int, changes: Mapping[str, Any]) -> float:
        scores = results.of(model, epochs, changes)
        rows.append(row(model, training, scores))
        lines.append(f"| {' | '.join(rows[-1])} |")
        print(lines[-1], flush=True)
        return mean_of(scores, "fold")

    for model in options.models:
        epochs = options.epochs or EPOCHS[model]
        plain = add(model, "plain", epochs, {})
        helped = []
        for name in options.only or INGREDIENTS:
            changes = INGREDIENTS[name]
            if has_ingredient(model, changes) and add(model, f"+ {name}", epochs, changes) > plain:
                helped.append(name)
        if helped:
            chosen = combined(helped)
            add(model, f"chosen: {', '.join(helped)}", epochs, chosen)
            add(model, "chosen, long", LONG * epochs, chosen)
        if options.only is None:
            recipe = zoo.training.recipe(RECIPE).hyperparameters
            add(model, f"recipe {RECIPE}", options.epochs or recipe.epochs, differences(recipe))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
