"""One HTML page with everything that a network shows of one picture."""

import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras
import numpy as np

from applications.visualize import attribution, drawing, randomisation, synthesis
from applications.visualize.config import DEFAULT, Sheet
from applications.visualize.network import Call
from applications.visualize.subject import Subject
from zoo import files
from zoo.report import figures
from zoo.report.page import Picture, picture, template
from zoo.report.theme import DARK, LIGHT

TOP = 5

# Told the name of a section and the part of it that is done.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Tile:
    """A picture with words below it."""

    png: bytes
    title: str
    note: str = ""
    tiny: bool = True


@dataclass(frozen=True)
class Row:
    """Pictures that belong together."""

    tiles: Sequence[Tile]
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    key: str
    short: str
    title: str
    note: str
    rows: Sequence[Row] = field(default_factory=tuple)
    figure: Picture | None = None
    small: bool = False


@dataclass(frozen=True)
class _Task:
    """What the sections are made from."""

    subject: Subject
    target: int
    config: Sheet
    tell: Callable[[float], None]

    @property
    def background(self) -> float:
        """Value of black."""
        return self.subject.value_range[0]

    @property
    def shown(self) -> np.ndarray:
        """The picture, uint8."""
        return drawing.natural(self.subject.picture, self.subject.value_range)

    def wish_tiles(
        self, layer: str | None, channels: Sequence[int], names: Sequence[str], tell: Callable
    ) -> list[Tile]:
        """A picture for each channel or class."""
        network, value_range = self.subject.network, self.subject.value_range
        found, excited = synthesis.maximise(
            network, layer, channels, value_range=value_range, seed=self.config.seed,
            steps=self.config.wish_steps, jitter=_jitter(network.input_shape), progress=tell,
        )  # fmt: skip
        return [
            Tile(
                drawing.tile(drawing.natural(one, value_range)),
                name,
                f"{'score' if layer is None else 'activation'} {value:.3g}",
            )
            for one, name, value in zip(found, names, excited.tolist(), strict=True)
        ]


def write_sheet(
    subject: Subject,
    path: Path,
    *,
    target: int | None = None,
    config: Sheet = DEFAULT,
    sections: Sequence[str] | None = None,
    command: Sequence[str] = (),
    progress: Progress = lambda name, part: None,
) -> Path:
    """Look into a network, and write what it shows into one page that needs no network and no script.

    Args:
        subject: Network and picture.
        path: The page; its folder must exist.
        target: The class that is explained; None for the most probable one.
        config: How much is drawn.
        sections: Keys of `SECTIONS`; None for all of them.
        command: The command line, for the record.
        progress: Told the name of each section and the part of it that is done.

    Returns:
        The path.

    Raises:
        ValueError: There is no such section.
    """
    chosen = list(SECTIONS if sections is None else sections)
    if unknown := [name for name in chosen if name not in SECTIONS]:
        raise ValueError(f"sections must be of {', '.join(SECTIONS)}. Received: {', '.join(unknown)}")
    batch = subject.picture[None]
    probabilities = subject.network.probabilities(batch)[0]
    scores = subject.network.scores(batch)[0]
    order = np.argsort(-probabilities, kind="stable")[:TOP].tolist()
    target = order[0] if target is None else target
    if target not in order:
        order[-1] = target
    made = []
    for name in chosen:
        task = _Task(subject, target, config, functools.partial(progress, name))
        task.tell(0.0)
        if (section := SECTIONS[name](task)) is not None:
            made.append(section)
        task.tell(1.0)
    page = template("sheet.html.jinja", "applications.visualize").render(
        light=asdict(LIGHT),
        dark=asdict(DARK),
        title=subject.title,
        name=subject.picture_name,
        shown=drawing.tile(drawing.natural(subject.picture, subject.value_range)),
        answers=[
            {"name": subject.classes[index], "probability": float(probabilities[index]), "score": float(scores[index]),
             "explained": index == target}
            for index in order
        ],
        sections=made,
        command=shlex.join(command),
    )  # fmt: skip
    files.write_atomic(path, page)
    return path


def _reasons(task: _Task) -> Section:
    """Why this class."""
    subject, config = task.subject, task.config
    network, x, target = subject.network, subject.picture, task.target
    side = max(1, round(config.occlusion_part * min(x.shape[:2])))
    tiles = []

    def add(title: str, note: str, image: np.ndarray) -> None:
        tiles.append(Tile(drawing.tile(image), title, note))
        task.tell(len(tiles) / 8)

    add("Grad-CAM", "where evidence lies", drawing.over(task.shown, attribution.grad_cam(network, x, target)))
    add("Grad-CAM++", "each instance counts",
        drawing.over(task.shown, attribution.grad_cam_plus_plus(network, x, target)))  # fmt: skip
    fill = float(x.mean())
    falls = attribution.occlusion(network, x, target, size=side, step=max(1, side // 2), fill=fill)
    add("occlusion", f"fall of the score, {side} pixels covered", drawing.signed(falls))
    add("saliency", "size of the gradient", drawing.strength(attribution.saliency(network, x, target)))
    smooth = attribution.smooth_gradient(network, x, target, samples=config.samples, seed=config.seed)
    add("SmoothGrad", f"mean gradient of {config.samples} noisy copies", drawing.signed(smooth))
    along = attribution.integrated_gradients(
        network, x, target, baseline=task.background, steps=config.integration_steps
    )
    add("integrated gradients", f"from black; they sum to {along.sum():.3g}", drawing.signed(along))
    guided = attribution.guided_backpropagation(network, x, target)
    add("guided backprop", "only what raises active units",
        drawing.sent_back(guided))  # fmt: skip
    heat = attribution.grad_cam(network, x, target)
    add("guided Grad-CAM", "the product of two",
        drawing.sent_back(guided * attribution.enlarged(heat, x.shape[:2])[..., None]))  # fmt: skip
    plain = "" if network.num_rectifiers else " This network has no ReLU: guided backprop is the plain gradient."
    return Section(
        "reasons", "Reasons", f"Why “{subject.classes[target]}”",
        "Eight answers to one question. Red speaks for the class, blue against it; bright is much, black nothing. They "
        f"do not agree, and not all of them depend on what was learned: see the section on trust.{plain}",
        [Row(tiles)],
    )  # fmt: skip


def _rivals(task: _Task) -> Section:
    """Grad-CAM for the best classes."""
    subject = task.subject
    scores = subject.network.scores(subject.picture[None])[0]
    best = np.argsort(-scores, kind="stable")[:TOP].tolist()
    tiles = [
        Tile(
            drawing.tile(drawing.over(task.shown, attribution.grad_cam(subject.network, subject.picture, index))),
            subject.classes[index],
            f"score {scores[index]:.3g}",
        )
        for index in best
    ]
    return Section(
        "rivals", "Rivals", "What speaks for the other classes",
        "Grad-CAM for the classes with the highest scores, each in its own scale. A map without light: nothing in the "
        "last feature map speaks for that class.",
        [Row(tiles)],
    )  # fmt: skip


def _trust(task: _Task) -> Section:
    """Do the maps depend on what was learned?"""
    network, x, target = task.subject.network, task.subject.picture, task.target
    methods: dict[str, randomisation.Method] = {
        "gradient": lambda: attribution.gradients(network, x[None], target)[0],
        "integrated gradients": lambda: attribution.integrated_gradients(
            network, x, target, baseline=task.background, steps=8
        ),
        "Grad-CAM": lambda: attribution.grad_cam(network, x, target),
        "guided backprop": lambda: attribution.guided_backpropagation(network, x, target),
    }
    found = randomisation.cascade(
        network, methods, stages=task.config.stages, seed=task.config.seed, progress=task.tell
    )
    return Section(
        "trust", "Trust", "Do the maps depend on what was learned?",
        "Layer after layer is lost by shuffling its weights, from the output to the input; a line is how alike a map "
        "stays to that of the whole network. A map that stays alike shows the picture’s edges, and not the network’s "
        "reasons (Adebayo et al., 2018).",
        figure=picture(
            functools.partial(drawing.falling, found), f"Rank correlations of {len(found)} methods as layers are lost"
        ),
    )  # fmt: skip


def _maps(task: _Task) -> Section:
    """The strongest feature maps of each level."""
    rows = []
    for call, values in _values(task):
        best = _strongest(values, task.config.channels)
        draw = drawing.strength if values.min() >= 0 else drawing.signed
        tiles = [
            Tile(
                drawing.tile(draw(values[..., channel])),
                f"channel {channel}",
                f"up to {values[..., channel].max():.3g}",
            )
            for channel in best
        ]
        rows.append(Row(tiles, call.path, _size(call)))
    return Section(
        "maps", "Maps", "What each level makes of it",
        "The channels with the strongest neurons, from the input to the output. Near the input they are pictures of "
        "the picture; near the output only what matters for the task is left.",
        rows, small=True,
    )  # fmt: skip


def _neurons(task: _Task) -> Section:
    """Strong neurons, sent back to the pixels."""
    network, x = task.subject.network, task.subject.picture
    rows = []
    for call, values in _values(task):
        tiles = []
        for channel in _strongest(values, task.config.neurons):
            found = attribution.project(network, x, call.path, channel)
            where = f"row {found.place[0]}, column {found.place[1]}"
            title = f"channel {channel}"
            tiles.append(Tile(drawing.tile(drawing.sent_back(drawing.framed(found.picture, found.seen))), title, where))
            tiles.append(Tile(drawing.tile(drawing.framed(task.shown, found.seen)), "it saw",
                              f"activation {found.activation:.3g}"))  # fmt: skip
        rows.append(Row(tiles, call.path, _size(call)))
    return Section(
        "neurons", "Neurons", "What single neurons saw",
        "The strongest neuron of a channel, sent back to the pixels by a deconvnet with the switches of the pooling "
        "(Zeiler and Fergus, 2014), beside the part of the picture that it came to.",
        rows, small=True,
    )  # fmt: skip


def _wishes(task: _Task) -> Section:
    """Pictures that excite classes and channels."""
    subject, config = task.subject, task.config
    scores = subject.network.scores(subject.picture[None])[0]
    best = sorted(np.argsort(-scores, kind="stable")[: config.classes].tolist())
    levels = list(_values(task))
    parts = len(levels) + 1

    def tell_of(number: int) -> Callable[[float], None]:
        return lambda part: task.tell((number + part) / parts)

    rows = [Row(task.wish_tiles(None, best, [subject.classes[index] for index in best], tell_of(0)), "classes")]
    for number, (call, values) in enumerate(levels, start=1):
        channels = _strongest(values, config.wishes)
        names = [f"channel {channel}" for channel in channels]
        rows.append(Row(task.wish_tiles(call.path, channels, names, tell_of(number)), call.path, _size(call)))
    return Section(
        "wishes", "Wishes", "What it would like to see",
        "Pictures that were made, from grey on, to excite a class, or a channel on average, most. They say "
        "what a unit answers to, not what the data look like.",
        rows, small=True,
    )  # fmt: skip


def _memories(task: _Task) -> Section:
    """What each level still knows."""
    subject, config = task.subject, task.config
    levels = subject.network.levels
    tiles = [Tile(drawing.tile(task.shown), "the picture")]
    for number, call in enumerate(levels):
        found = synthesis.invert(
            subject.network, subject.picture, call.path, value_range=subject.value_range, seed=config.seed,
            steps=config.inversion_steps,
            progress=lambda part, number=number: task.tell((number + part) / len(levels)),  # type: ignore[misc]
        )  # fmt: skip
        tiles.append(
            Tile(drawing.tile(drawing.natural(found.picture, subject.value_range)), call.path,
                 f"error of pixels {found.pixel_error:.2f}, of features {found.error:.2g}")
        )  # fmt: skip
    return Section(
        "memories", "Memories", "What each level still knows of the picture",
        "Pictures that were made, from grey on, to have the same features as the picture at one level. What the level "
        "has forgotten is missing or made up. Errors are parts of the variance of the pixels and of the square of the "
        "features.",
        [Row(tiles)],
    )  # fmt: skip


def _dreams(task: _Task) -> Section:
    """DeepDream."""
    subject, config = task.subject, task.config
    levels = subject.network.levels
    tiles = [Tile(drawing.tile(task.shown), "the picture")]
    for number, call in enumerate(levels):
        found = synthesis.dream(
            subject.network, subject.picture, call.path, value_range=subject.value_range, seed=config.seed,
            steps=config.dream_steps, jitter=_jitter(subject.picture.shape),
            progress=lambda part, number=number: task.tell((number + part) / len(levels)),  # type: ignore[misc]
        )  # fmt: skip
        tiles.append(Tile(drawing.tile(drawing.natural(found, subject.value_range)), call.path, _size(call)))
    return Section(
        "dreams", "Dreams", "More of what it sees",
        "DeepDream: the picture, changed at three sizes so that a level answers more strongly.",
        [Row(tiles)],
    )  # fmt: skip


def _filters(task: _Task) -> Section | None:
    """The first convolution's kernels."""
    kernels = [call for call in task.subject.network.calls if isinstance(call.layer, keras.layers.Conv2D)]
    if not kernels:
        return None
    kernel = np.asarray(keras.ops.convert_to_numpy(kernels[0].layer.kernel), np.float32)
    colours = "Drawn as colours; grey is zero." if kernel.shape[2] == 3 else "Red is positive, blue negative."
    return Section(
        "filters", "Filters", "The first filters",
        f"{kernel.shape[-1]} filters of {kernel.shape[0]} × {kernel.shape[1]} of {kernels[0].path}, each scaled by its "
        f"own largest weight. {colours}",
        figure=picture(
            functools.partial(figures.filters, kernel), f"The {kernel.shape[-1]} filters of the first convolution"
        ),
    )  # fmt: skip


SECTIONS: dict[str, Callable[[_Task], Section | None]] = {
    "reasons": _reasons,
    "rivals": _rivals,
    "trust": _trust,
    "filters": _filters,
    "maps": _maps,
    "neurons": _neurons,
    "wishes": _wishes,
    "memories": _memories,
    "dreams": _dreams,
}


def _values(task: _Task) -> list[tuple[Call, np.ndarray]]:
    """Each level and its feature map (rows, columns, channels)."""
    network = task.subject.network
    paths = [call.path for call in network.levels]
    taken = network.run(task.subject.picture[None], take=paths, scores=False).taken
    return [(call, np.asarray(taken[call.path], np.float32)[0]) for call in network.levels]


def _strongest(values: np.ndarray, count: int) -> list[int]:
    """The channels with the highest peaks."""
    return np.argsort(-values.max(axis=(0, 1)), kind="stable")[:count].tolist()


def _size(call: Call) -> str:
    return " × ".join(map(str, call.shape))


def _jitter(shape: Sequence[int | None]) -> int:
    """A sixteenth of the shorter side, as 14 of 224 pixels."""
    return max(1, min(size or 16 for size in shape[:2]) // 16)
