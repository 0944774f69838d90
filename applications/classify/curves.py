"""Few-shot curves and remedies for rare classes: the same data, several methods, several seeds, one table.

Every result is written down as soon as it is there, so that what was interrupted goes on.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from applications.classify import answers, bodies, probes
from applications.classify.config import Curve, FineTuning
from zoo import files, runs
from zoo.report import figures

RESULTS, FIGURE, PRETRAINED = "results.json", "curve.png", "pretrained"

# What a training is scored by.
SCORES = ("accuracy", "mean_recall", "rarest_recall")

METHODS: Mapping[str, str] = {
    "finetune": "fine-tuned, in two stages",
    "linear": "linear probe",
    "knn": "k-NN on features",
    "scratch": "the same network from scratch",
    "pixels_svm": "SVM on pixels",
    "pixels_knn": "k-NN on pixels",
}

# What is done about classes that differ in number, as settings.
REMEDIES: Mapping[str, Mapping[str, Any]] = {
    "nothing": {},
    "class weights": {"class_weight": 1.0},
    "balanced sampling": {"balance": 1.0},
    "logit adjustment": {"logit_adjustment": 1.0},
}

Tell = Callable[[str], None]


class Results:
    """What is known so far, in a file.

    Args:
        folder: Where the file lies; made when there is something to write.
        facts: What the results belong to.

    Raises:
        ValueError: The folder holds results of something else.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._path = folder / RESULTS
        self._facts = json.loads(json.dumps(facts))
        self._found: dict[str, dict[str, float]] = {}
        is_used = folder.exists() and any(item.name not in (PRETRAINED, RESULTS) for item in folder.iterdir())
        if self._path.is_file():
            there = json.loads(self._path.read_text(encoding="utf-8"))
            if there["of"] != self._facts and (there["results"] or is_used):
                raise ValueError(f"{folder} holds results of something else. Choose another folder, or remove it.")
            self._found = there["results"]
        elif is_used:
            raise ValueError(f"{folder} is not empty, and holds no results of this kind.")

    def get(self, key: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """The result of a key, made and written down if it is not known."""
        if key not in self._found:
            self._write()  # what is begun can go on, also where the first training is killed
            self._found[key] = make()
            self._write()
        return self._found[key]

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(self._path, {"of": self._facts, "results": self._found})


def pretrain(
    body: str, source: str, folder: Path, *, changes: Mapping[str, Any], seed: int = 0, callbacks: Sequence[Any] = ()
) -> None:
    """Train a body from scratch on other classes; what is trained already is taken.

    Args:
        body: Registered name.
        source: Data, as `zoo.data.load` takes it.
        folder: Where its run folder, `PRETRAINED`, comes to lie.
        changes: Settings that differ from the zoo's own.
        seed: Of weights, order and augmentation.
        callbacks: More Keras callbacks.
    """
    settings = runs.Settings(**{"model": body, "data": source, "seed": seed, **changes})
    runs.train(settings, folder / PRETRAINED, callbacks=callbacks)


def known(config: FineTuning, curve: Curve, folder: Path) -> Results:
    """The results that a folder has of a curve, before anything is trained.

    Args:
        config: As `curve` takes it.
        curve: As `curve` takes it.
        folder: As `curve` takes it.

    Raises:
        ValueError: A method is not known, the data has no parts, or the folder holds something else.
    """
    if unknown := [name for name in curve.methods if name not in METHODS]:
        raise ValueError(f"Methods are {', '.join(METHODS)}. Received: {', '.join(unknown)}")
    _require_parts(config.data)
    return Results(folder, {**_facts(config), "counts": curve.counts})


def curve(
    config: FineTuning, curve: Curve, folder: Path, *, tell: Tell = print, callbacks: Sequence[Any] = ()
) -> dict[str, dict[int, list[float]]]:
    """Accuracy on the test split by method and number of training pictures, one for each seed.

    A method has as many labelled pictures for choosing as for training, `zoo.data.subset.Part` says; the test split
    is the same for all.

    Args:
        config: What is fine-tuned, on what; the seeds are those of the draws.
        curve: Numbers, seeds, methods.
        folder: Where results, run folders and the picture come to lie.
        tell: Is told each result.
        callbacks: More Keras callbacks for the trainings.

    Raises:
        ValueError: As `known`.
    """
    results = known(config, curve, folder)
    found: dict[str, dict[int, list[float]]] = {name: {count: [] for count in curve.counts} for name in curve.methods}
    for count in curve.counts:
        for seed in curve.seeds:
            part = dataclasses.replace(config, data=_part(config.data, per_class=count, draw=seed), seed=seed)
            for name in curve.methods:
                place = folder / f"{name}-{count}-{seed}"
                scored = results.get(f"{name}-{count}-{seed}", _Method(name, part, place, callbacks))
                found[name][count].append(scored["accuracy"])
                tell(f"{count} a class, seed {seed}, {METHODS[name]}: {100 * scored['accuracy']:.1f} %")
    draw(found, folder / FIGURE)
    return found


@dataclasses.dataclass(frozen=True)
class _Method:
    """One point of a curve, not yet made."""

    name: str
    config: FineTuning
    place: Path
    callbacks: Sequence[Any]

    def __call__(self) -> dict[str, float]:
        if self.name == "scratch":  # random weights have no statistics to keep
            changes = {**self.config.changes, "batch_norm": "train"}
            return _trained(dataclasses.replace(self.config, weights=None, changes=changes), self.place, self.callbacks)
        if self.name == "finetune":
            return _trained(self.config, self.place, self.callbacks)
        chosen = bodies.settings(self.config)
        run = runs.prepare(chosen)
        values = bodies.pixels(run) if self.name.startswith("pixels") else bodies.features(chosen, run)
        found = probes.KINDS[self.name.removeprefix("pixels_")](values)
        return {"accuracy": found.accuracy, "chosen": found.chosen}


def _trained(config: FineTuning, place: Path, callbacks: Sequence[Any]) -> dict[str, float]:
    run = runs.train(bodies.settings(config), place, callbacks=callbacks, test=False)
    if run is None:
        raise ValueError("A curve is measured by one process. Received: several workers")
    rows, labels = answers.probabilities(run, "test"), answers.labels_of(run, "test")
    right = rows.argmax(-1) == labels
    tested = np.unique(labels)
    recalls = [float(right[labels == label].mean()) for label in tested]
    counts = np.bincount(answers.labels_of(run, "train"), minlength=tested[-1] + 1)[tested]
    found = float(right.mean()), float(np.mean(recalls)), recalls[int(counts.argmin())]
    return dict(zip(SCORES, found, strict=True))


def imbalance(
    config: FineTuning,
    folder: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    tell: Tell = print,
    callbacks: Sequence[Any] = (),
) -> dict[str, dict[str, list[float]]]:
    """What the remedies for rare classes are worth: accuracy, mean recall and the rarest class's, one for each seed.

    Args:
        config: What is fine-tuned; its data has rare classes, such as `digits?tail=0.05`.
        folder: Where results and run folders come to lie.
        seeds: Of head, order and augmentation.
        tell: Is told each result.
        callbacks: More Keras callbacks for the trainings.
    """
    results = Results(folder, {**_facts(config), "scores": SCORES})
    found: dict[str, dict[str, list[float]]] = {}
    for remedy, changes in REMEDIES.items():
        for seed in seeds:
            key = f"{remedy.replace(' ', '_')}-{seed}"
            one = dataclasses.replace(config, seed=seed, changes={**config.changes, **changes})
            scored = results.get(key, functools.partial(_trained, one, folder / key, callbacks))
            for name, value in scored.items():
                found.setdefault(remedy, {}).setdefault(name, []).append(value)
            tell(f"{remedy}, seed {seed}: mean recall {100 * scored['mean_recall']:.1f} %")
    return found


def table(found: Mapping[str, Mapping[int, Sequence[float]]]) -> str:
    """A curve as a table: mean and deviation over the seeds, in per cent."""
    counts = list(next(iter(found.values())))
    lines = [
        "| method | " + " | ".join(f"{count} a class" for count in counts) + " |",
        "| --- |" + " ---: |" * len(counts),
    ]
    for name in [name for name in METHODS if name in found]:
        lines.append(f"| {METHODS[name]} | " + " | ".join(_spread(found[name][count]) for count in counts) + " |")
    return "\n".join(lines)


def imbalance_table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The remedies as a table: mean and deviation over the seeds, in per cent."""
    lines = ["| remedy | accuracy | mean recall | recall of the rarest class |", "| --- | ---: | ---: | ---: |"]
    for name, parts in found.items():
        cells = [_spread(parts[part]) for part in SCORES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(found: Mapping[str, Mapping[int, Sequence[float]]], path: Path) -> None:
    """The curve as a picture: means, and bars of one deviation."""
    theme = figures.LIGHT
    figure = figures.new_figure(6.4, 4.0, theme)
    axis = figure.add_subplot()
    figures.dress(axis, theme, "")
    axis.grid(color=theme.line, linewidth=0.8)
    styles = {"finetune": ("-", "o"), "linear": ("-", "s"), "knn": ("-", "^"), "scratch": ("--", "o"),
              "pixels_svm": (":", "s"), "pixels_knn": (":", "^")}  # fmt: skip
    for name in [name for name in METHODS if name in found]:
        counts = np.array(list(found[name]))
        values = [100 * np.array(found[name][count]) for count in counts]
        line, marker = styles[name]
        colour = theme.right if line == "-" else theme.wrong if line == "--" else theme.muted
        spread = [each.std(ddof=1) if len(each) > 1 else 0.0 for each in values]
        axis.errorbar(counts, [each.mean() for each in values], spread, color=colour, linestyle=line, marker=marker,
                      linewidth=1.4, markersize=4, capsize=2, label=METHODS[name])  # fmt: skip
    axis.set_xscale("log")
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.minorticks_off()
    axis.set_xlabel("training pictures of each class", color=theme.muted, fontsize=8)
    axis.set_ylabel("test accuracy, %", color=theme.muted, fontsize=8)
    axis.legend(frameon=False, fontsize=8, labelcolor=theme.ink)
    files.write_atomic(path, figures.png(figure))


def _facts(config: FineTuning) -> dict[str, Any]:
    facts = dataclasses.asdict(config)
    return {name: facts[name] for name in ("body", "weights", "data", "recipe", "changes")}


def _spread(values: Sequence[float]) -> str:
    percent = 100 * np.array(values)
    return f"{percent.mean():.1f} ± {percent.std(ddof=1):.1f} %" if len(percent) > 1 else f"{percent.mean():.1f} %"


def _require_parts(source: str) -> None:
    if not re.match(r"digits$|digits\?|folder:", source) or re.search(r"[?&](per_class|draw)=", source):
        raise ValueError(
            "A curve draws few pictures of each class, from digits or folder:PATH, "
            f"perhaps of some classes alone (?classes=…). Received: {source!r}"
        )


def _part(source: str, **keys: int) -> str:
    mark = "&" if re.search(r"\?\w+=", source) else "?"
    return source + mark + "&".join(f"{name}={value}" for name, value in keys.items())
