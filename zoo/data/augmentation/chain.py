"""Steps one after the other, and how they are written as text."""

import ast
import dataclasses
import difflib
import functools
import re
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from zoo.data.augmentation.policies import AutoAugment, RandAugment, TrivialAugment
from zoo.data.augmentation.seeds import branch
from zoo.data.augmentation.sound import SOUND, Gain, Noise, SpecAugment, Speed, TimeShift
from zoo.data.augmentation.steps import (
    ColorJitter,
    Cutout,
    Flip,
    Lighting,
    PlannedStep,
    RandomErasing,
    RandomResizedCrop,
    Shift,
    Step,
)
from zoo.data.errors import DataError

STEPS: dict[str, type] = {
    "flip": Flip,
    "shift": Shift,
    "crop": RandomResizedCrop,
    "randaugment": RandAugment,
    "autoaugment": AutoAugment,
    "trivialaugment": TrivialAugment,
    "jitter": ColorJitter,
    "lighting": Lighting,
    "erase": RandomErasing,
    "cutout": Cutout,
    "timeshift": TimeShift,
    "speed": Speed,
    "gain": Gain,
    "noise": Noise,
    "specaugment": SpecAugment,
}
_NAMES = {step: name for name, step in STEPS.items()}

# How many random numbers `shift_and_flip` takes for an example: flip, vertical shift, horizontal shift.
NUM_DRAWS = 3


@dataclasses.dataclass(frozen=True, init=False)
class Augmentation:
    """What happens to a picture or a clip of sound in training: steps, in this order.

    Args:
        *steps: Such as `Flip()` and `RandAugment(n=2, m=9)`, all of `zoo.data`. `RandomResizedCrop` comes first.
        shift: Short for a first step `Shift(shift)`; 0 for none.
        flip: Short for `Flip()` after that.

    Raises:
        DataError: A step is none, or comes in the wrong place.

    Example:
        >>> import zoo
        >>> zoo.data.Augmentation(zoo.data.RandomResizedCrop(), zoo.data.TrivialAugment(), flip=True)
        Augmentation('crop+flip+trivialaugment')
    """

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step, flip: bool = False, shift: int = 0) -> None:
        for step in steps:
            if type(step) not in _NAMES:
                expected = ", ".join(kind.__name__ for kind in _NAMES)
                raise DataError(f"An augmentation is made of the steps {expected}. Received: {step!r}")
        first = [step for step in steps if isinstance(step, RandomResizedCrop)]
        rest = [step for step in steps if not isinstance(step, RandomResizedCrop)]
        if len(first) > 1 or list(steps[: len(first)]) != first:
            raise DataError(f"A crop is made when a picture is read, so it comes once and first. Received: {steps}")
        masks = [step for step in steps if isinstance(step, SpecAugment)]
        if len(masks) > 1 or list(steps[len(steps) - len(masks) :]) != masks:
            raise DataError(
                f"specaugment masks what is made of the changed sound, so it comes once and last. Received: {steps}"
            )
        short: list[Step] = ([Shift(shift)] if Shift(shift).pixels else []) + ([Flip()] if flip else [])
        object.__setattr__(self, "steps", (*first, *short, *rest))

    @classmethod
    def parse(cls, text: str) -> "Augmentation":
        """Read `"crop+flip+randaugment(n=2, m=9)+erase(0.25)"`; `""` means none.

        Steps are divided by plus signs or commas. Each is a name, with arguments in parentheses as in Python where
        those differ from the defaults: flip(p), shift(pixels), crop(scale, ratio), randaugment(n, m, mstd, p, space),
        autoaugment(policy), trivialaugment, jitter(brightness, contrast, saturation, hue), lighting(std),
        erase(p, scale, ratio, fill), cutout(pixels); for sound timeshift(part), speed(change), gain(decibels),
        noise(low, high, p), specaugment(bands, frames, band_masks, frame_masks, most). `shift=2` is the same as
        `shift(2)`.

        Raises:
            DataError: A name is not known, or an argument is wrong.
        """
        return cls(*(_step(part) for part in _parts(text)))

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return "+".join(map(_text, self.steps))

    def __repr__(self) -> str:
        return f"Augmentation({str(self)!r})"

    @property
    def sound_steps(self) -> tuple[Step, ...]:
        """The steps that are for sound; the others are for pictures."""
        return tuple(step for step in self.steps if isinstance(step, SOUND))

    @property
    def masks(self) -> SpecAugment | None:
        """The step that is done behind the front-end, on spectrograms."""
        return next((step for step in self.steps if isinstance(step, SpecAugment)), None)

    @property
    def crop(self) -> RandomResizedCrop | None:
        """The step that is done in reading."""
        return next((step for step in self.steps if isinstance(step, RandomResizedCrop)), None)

    @property
    def shift(self) -> int:
        """Largest shift in pixels."""
        return max((step.pixels for step in self.steps if isinstance(step, Shift)), default=0)

    @property
    def is_shift_and_flip(self) -> bool:
        """Whether `shift_and_flip` does all of it, on whole batches, which for small pictures is much faster."""
        simple = [(Shift,), (Flip,), (Shift, Flip)]
        return tuple(map(type, self.steps)) in simple and self.steps[-1] in (Flip(), Shift(self.shift))

    def shift_and_flip(self, pictures: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Change a batch by the steps `Shift` and `Flip` alone.

        Args:
            pictures: (batch, height, width, channels) uint8.
            draws: (batch, NUM_DRAWS) float32 in [0, 1): what chance says of each picture.

        Returns:
            Pictures of the same shape and type.
        """
        height, width, margin = pictures.shape[1], pictures.shape[2], self.shift
        down, right = tf.unstack(tf.cast(draws[:, 1:, None] * (2 * margin + 1), tf.int32), axis=1)
        columns = right + tf.range(width)
        if Flip() in self.steps:  # by the order of the columns: mirroring and then choosing takes twice the time
            columns = tf.where(draws[:, :1] < 0.5, width + 2 * margin - 1 - columns, columns)
        if margin:
            pictures = tf.pad(pictures, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
            pictures = tf.gather(pictures, down + tf.range(height), axis=1, batch_dims=1)
        return tf.gather(pictures, columns, axis=2, batch_dims=1)

    @functools.cached_property
    def num_read(self) -> int:
        """How many of the steps, from the first on, are done where pictures are read, by Pillow."""
        if self.is_shift_and_flip:
            return 0
        return next(
            (number for number, step in enumerate(self.steps) if not isinstance(step, RandomResizedCrop | PlannedStep)),
            len(self.steps),
        )

    @functools.cached_property
    def _planned(self) -> list[tuple[int, PlannedStep]]:
        """Number and step of what Pillow does, but for the crop."""
        return [(n, step) for n, step in enumerate(self.steps[: self.num_read]) if isinstance(step, PlannedStep)]

    @functools.cached_property
    def plan_size(self) -> int:
        """How many numbers `plan` gives."""
        return sum(step.plan_size for _, step in self._planned)

    def plan(self, seeds: tf.Tensor, height: int, width: int) -> tf.Tensor:
        """What chance decides about the first `num_read` steps, but for the crop.

        Args:
            seeds: (batch, 2) int64, as `apply` takes one.
            height: Height of the pictures in pixels, after the crop.
            width: Width of the pictures in pixels.

        Returns:
            (batch, plan_size) float64.
        """

        def one(seed: tf.Tensor) -> tf.Tensor:
            return tf.concat([step.plan(branch(seed, n << 8), height, width) for n, step in self._planned], 0)

        return tf.map_fn(one, seeds, fn_output_signature=tf.TensorSpec((self.plan_size,), tf.float64))

    def change(self, image: Image.Image, plan: np.ndarray) -> Image.Image:
        """Do the first `num_read` steps but the crop, by Pillow.

        Args:
            image: Grey or colour picture of 8 bits.
            plan: (plan_size,) float64, one row of what `plan` gives.

        Returns:
            A picture of the same size and mode, equal to what `apply` makes of it; with `interpolation=bilinear`
            to one level of 255.
        """
        begin = 0
        for _, step in self._planned:
            image = step.change(image, plan[begin : begin + step.plan_size])
            begin += step.plan_size
        return image

    def apply(self, picture: tf.Tensor, seed: tf.Tensor, *, first: int = 0) -> tf.Tensor:
        """Change a picture by all steps but the crop, which is done in reading, and masks of spectrograms.

        Args:
            picture: (height, width, channels) uint8, with a static shape.
            seed: (2,) int64, other for each example of each epoch.
            first: Number of the first step that is done; those before it have been done in reading.

        Returns:
            A picture of the same shape and type.
        """
        for number, step in enumerate(self.steps[first:], first):
            if isinstance(step, SpecAugment):
                continue
            picture = step.apply(picture, branch(seed, number << 8))
        return picture


def _parts(text: str) -> list[str]:
    """The text between plus signs and commas that stand outside of parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character in "+," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _step(part: str) -> Step:
    match = re.fullmatch(r"(\w+)\s*(?:=\s*([0-9]+)|\((.*)\))?", part, re.DOTALL)
    if match is None or match[1] not in STEPS or (match[2] and match[1] != "shift"):
        name = part.partition("(")[0].partition("=")[0].strip()
        close = difflib.get_close_matches(name, STEPS, n=1)
        hint = f" Did you mean {close[0]}?" if close and close[0] != name else ""
        raise DataError(
            f"Augmentations are {', '.join(STEPS)}, with arguments in parentheses and + between them, such as "
            f'"crop+flip+randaugment(n=2, m=9)". Received: {part!r}.{hint}'
        )
    try:
        call = ast.parse(f"f({match[2] or match[3] or ''})", mode="eval").body
        assert isinstance(call, ast.Call)
        positional = [_value(node) for node in call.args]
        named = {word.arg or "**": _value(word.value) for word in call.keywords}
    except (SyntaxError, ValueError):
        raise DataError(
            f"The arguments of a step are numbers, pairs of numbers and words. Received: {part!r}"
        ) from None
    fields = [field.name for field in dataclasses.fields(STEPS[match[1]])]
    lacking = [
        field.name
        for field in dataclasses.fields(STEPS[match[1]])[len(positional) :]
        if field.default is dataclasses.MISSING and field.name not in named
    ]
    double = set(fields[: len(positional)]) & set(named)
    if len(positional) > len(fields) or set(named) - set(fields) or lacking or double:
        raise DataError(f"{match[1]} takes {', '.join(fields) or 'no arguments'}. Received: {part!r}")
    return STEPS[match[1]](*positional, **named)


def _value(node: ast.expr) -> Any:
    """A number, a pair, a word with or without quotes, or one number divided by another."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return float(ast.literal_eval(node.left)) / float(ast.literal_eval(node.right) or "nan")
    if isinstance(node, ast.Tuple):
        return tuple(_value(element) for element in node.elts)
    return ast.literal_eval(node)


def _text(step: Step) -> str:
    fields = dataclasses.fields(step)  # type: ignore[arg-type]
    changed = [field.name for field in fields if getattr(step, field.name) != field.default]
    if not changed:
        return _NAMES[type(step)]
    named = [f"{name}={_plain(getattr(step, name))}" for name in changed]
    alone = changed == [fields[0].name]
    return f"{_NAMES[type(step)]}({_plain(getattr(step, changed[0])) if alone else ', '.join(named)})"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
