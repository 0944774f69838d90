"""Recipes: named hyper-parameters with their source, what they are published to reach, and what differs here.

    recipe = zoo.training.recipe("resnet_cifar")
    print(recipe.hyperparameters.learning_rate, recipe.source.url)
    zoo.training.paper_recipe("resnet20").name   # the recipe of the paper that the model is from

`zoo recipes` lists them, `zoo train … --recipe NAME --set lr=0.05` trains by one. A file does too: JSON or TOML with
`name`, optionally `base` (a recipe that it starts from), and a table `hyperparameters`.
"""

import difflib
import fnmatch
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.training.hyperparameters import Hyperparameters, check_names

# What the short form of a recipe is made of: enough to see that everything works together.
_SMOKE_EPOCHS, _SMOKE_BATCH_SIZE, _SMOKE_SIZE = 2, 64, 32


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a recipe stands.

    Attributes:
        title: Paper, repository or article.
        year: Year of publication.
        url: Its address.
        place: Section, table or file in it.
        checked: Addresses of texts that the numbers were compared with; empty: they are recalled, not compared.
    """

    title: str
    year: int
    url: str
    place: str = ""
    checked: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a recipe is published to reach, in percent."""

    model: str
    dataset: str
    top1: float
    top5: float | None = None
    protocol: str = ""

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f", top-5 {self.top5:g} %"
        protocol = f" ({self.protocol})" if self.protocol else ""
        return f"{self.model} on {self.dataset}: top-1 {self.top1:g} %{top5}{protocol}"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters with a name and a source.

    Attributes:
        name: By which `recipe` finds it.
        summary: One line: what it is for.
        source: Where it stands.
        hyperparameters: The numbers.
        published: What it is published to reach; None where nothing comparable is.
        differences: In what a training here differs from the source, a sentence each.
        models: Shell patterns of the registered models that it is the paper's recipe of.
    """

    name: str
    summary: str
    source: Source
    hyperparameters: Hyperparameters
    published: Published | None = None
    differences: tuple[str, ...] = ()
    models: tuple[str, ...] = field(default=(), repr=False)

    def changed(self, **changes: Any) -> "Recipe":
        """The recipe with other hyper-parameters.

        Another number of `epochs` stretches the warm-up and the times of the schedule in proportion, unless these are
        given too. `optimizer_options` and `knobs` are added to those of the recipe; another `optimizer` or `schedule`
        drops the options of the recipe's.

        Args:
            **changes: Hyper-parameters; `lr`, `wd`, `ema` and `batch` stand for the long names.

        Returns:
            A recipe of the same name.

        Raises:
            ValueError: There is no such hyper-parameter (close matches are listed), or its value is illegal.

        Example:
            >>> import zoo
            >>> short = zoo.training.recipe("densenet_cifar").changed(epochs=30, lr=0.05)
            >>> short.hyperparameters.schedule_options["milestones"], short.hyperparameters.learning_rate
            ([15.0, 22.5], 0.05)
        """
        changes = check_names(changes)
        old = self.hyperparameters
        if "knobs" in changes:
            changes["knobs"] = {**old.knobs, **changes["knobs"]}
        if changes.get("optimizer", old.optimizer) != old.optimizer:
            changes.setdefault("optimizer_options", {})
        elif "optimizer_options" in changes:
            changes["optimizer_options"] = {**old.optimizer_options, **changes["optimizer_options"]}
        if changes.get("schedule", old.schedule) != old.schedule:
            changes.setdefault("schedule_options", {})
        if isinstance(changes.get("epochs"), int) and changes["epochs"] > 0:
            changes = {**old.over(changes["epochs"]), **changes}
        return replace(self, hyperparameters=replace(old, **changes))

    def smoke(self) -> "Recipe":
        """The recipe in a form that takes seconds: two epochs, small batches and pictures, all ingredients.

        Returns:
            A recipe of the same name.
        """
        old = self.hyperparameters
        size = None if old.image_size is None else (_SMOKE_SIZE, _SMOKE_SIZE)
        train_size = None
        if old.train_size is not None and old.image_size is not None:
            train_size = tuple(round(_SMOKE_SIZE * a / b) for a, b in zip(old.train_size, old.image_size, strict=True))
        batch_size = min(old.batch_size, _SMOKE_BATCH_SIZE)
        return self.changed(
            epochs=_SMOKE_EPOCHS,
            batch_size=max(batch_size, 16),
            learning_rate=min(old.learning_rate, old.learning_rate * _SMOKE_BATCH_SIZE / old.batch_size),
            rate_batch_size=None,
            head_epochs=min(old.head_epochs, 1),
            accumulate=min(old.accumulate, 2),
            average=min(old.average, 0.9),
            image_size=size,
            train_size=train_size,
        )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON; `read_recipe` reads a file of it."""
        return json.loads(json.dumps(asdict(self)))


_registered: dict[str, Recipe] = {}


def register_recipe(recipe: Recipe) -> Recipe:
    """Add a recipe to those that `recipe` finds.

    Raises:
        ValueError: The name is taken.
    """
    if recipe.name in _table():
        raise ValueError(f"A recipe named {recipe.name!r} is registered already. Choose another name.")
    _registered[recipe.name] = recipe
    return recipe


def list_recipes() -> list[str]:
    """Names of the registered recipes, those of papers first."""
    return list(_table())


def recipe(name: str) -> Recipe:
    """A registered recipe.

    Args:
        name: Its name; `list_recipes` has them all.

    Returns:
        The recipe.

    Raises:
        ValueError: There is none of that name; close matches are listed.

    Example:
        >>> import zoo
        >>> print(zoo.training.recipe("resnet_cifar").published)
        resnet20 on CIFAR-10: top-1 91.25 % (test set)
    """
    recipes = _table()
    if name not in recipes:
        close = difflib.get_close_matches(str(name).lower().replace("-", "_"), recipes, n=4, cutoff=0.5)
        hint = f"Did you mean {', '.join(close)}?" if close else f"There are: {', '.join(recipes)}."
        raise ValueError(f"There is no recipe named {name!r}. {hint}")
    return recipes[name]


def paper_recipe(model: str) -> Recipe:
    """The recipe of the paper that a registered model is from.

    Args:
        model: Registered name of the model.

    Raises:
        ValueError: No recipe says that it is the one.

    Example:
        >>> import zoo
        >>> zoo.training.paper_recipe("wide_resnet28_10").name
        'wide_resnet_cifar'
    """
    found = [item for item in _table().values() if any(fnmatch.fnmatchcase(model, part) for part in item.models)]
    if len(found) != 1:
        names = ", ".join(item.name for item in found) or "none"
        raise ValueError(f"One recipe must be that of {model}'s paper. Received: {names}")
    return found[0]


def read_recipe(path: str | os.PathLike) -> Recipe:
    """A recipe from a JSON or TOML file.

    The file has `name` (else the file's), optionally `base`, the name of a recipe that it changes, `summary`,
    `differences`, `source` and `published` (tables), and the table `hyperparameters`. Without `base` what is left out
    has the defaults of `zoo.training.Hyperparameters`.

    Args:
        path: File whose name ends in `.json` or `.toml`.

    Returns:
        The recipe; it is not registered.

    Raises:
        ValueError: The file cannot be read or has entries that no recipe has; the message names file and entry.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8")) if path.suffix == ".toml" else json.loads(
            path.read_text(encoding="utf-8"))  # fmt: skip
    except (OSError, ValueError) as error:
        raise ValueError(f"The recipe {path} cannot be read: {error}") from None
    known = ("name", "base", "summary", "source", "published", "differences", "hyperparameters", "models")
    if not isinstance(content, Mapping) or any(key not in known for key in content):
        strange = sorted(set(content) - set(known)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"The recipe {path} may have {', '.join(known)}. Received: {strange}")
    try:
        return _from_content(content, path)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The recipe {path} is not usable: {error}") from None


def _from_content(content: Mapping[str, Any], path: Path) -> Recipe:
    values = dict(content.get("hyperparameters", {}))
    if "base" in content:
        base = recipe(content["base"])
        made = replace(base.changed(**values), models=())
        summary = content.get("summary", f"{base.name}, changed")
    else:
        source = Source(title=path.name, year=0, url="")
        made = Recipe(name=path.stem, summary="", source=source, hyperparameters=Hyperparameters(**check_names(values)))
        summary = content.get("summary", "")
    return replace(
        made,
        name=content.get("name", path.stem),
        summary=summary,
        source=Source(**_tuples(content["source"])) if content.get("source") else made.source,
        # What another recipe reaches, a changed one has not been shown to reach.
        published=Published(**content["published"]) if content.get("published") else None,
        differences=tuple(content.get("differences", made.differences)),
    )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def resolve_recipe(name: str | os.PathLike | Recipe, model: str) -> Recipe:
    """A recipe by its name or file, or "paper" for that of the model's own paper."""
    if isinstance(name, Recipe):
        return name
    if isinstance(name, str) and name == "paper":
        return paper_recipe(model)
    if Path(name).suffix in (".json", ".toml"):
        return read_recipe(name)
    return recipe(str(name))


def _table() -> dict[str, Recipe]:
    """All recipes; those of this package are made when they are first asked for."""
    from zoo.training.recipe_book import RECIPES

    return {**{item.name: item for item in RECIPES}, **_registered}
